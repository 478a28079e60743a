#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The abalone sample on two machines that share a bucket: abalone.py PAWL FOLDER-WITH-PROGRAMS. A trains; an empty clone on B
restores everything, runs nothing, and says from where. Exit code 77: no gateway, or no pandas, scikit-learn, XGBoost."""
import json
import os
import shutil
import subprocess
import sys
import tempfile

import gateway
import remote
from remote import want

SAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "samples", "abalone")
PATH = "/usr/bin:/bin:" + os.environ["PATH"]  # Debian's Python, where its packages are


def missing():
    done = subprocess.run(["python3", "-c", "import xgboost, sklearn, pandas"], env={**os.environ, "PATH": PATH}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.strip().splitlines()[-1] if done.returncode else ""


class Clone:
    def __init__(self, top, g, name):
        self.dir = os.path.join(top, name, "abalone")
        shutil.copytree(SAMPLE, self.dir, ignore=shutil.ignore_patterns("build", ".pawl", "__pycache__"))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PAWL_"))}
        self.env.update(PATH=PATH, HOME=os.path.join(top, name), PAWL_CACHE_DIR=os.path.join(top, name, "cache"),
                        AWS_ACCESS_KEY_ID=gateway.KEY_ID, AWS_SECRET_ACCESS_KEY=gateway.SECRET,
                        AWS_EC2_METADATA_DISABLED="true", PAWL_REMOTE="s3://pawl-tests/teams/abalone",
                        PAWL_REMOTE_ENDPOINT=g.endpoint, PAWL_REMOTE_REGION="us-east-1", PAWL_REMOTE_PATH_STYLE="true")

    def pawl(self, *arguments):
        done = subprocess.run([remote.PAWL, *arguments], cwd=self.dir, env=self.env, text=True, timeout=250, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        want(done.returncode == 0, f"{arguments} ended with {done.returncode}", done.stdout)
        return done.stdout

    def build(self, *targets):
        out = self.pawl("build", "--json", *targets)
        return remote.Built([json.loads(line) for line in out.splitlines() if line.startswith("{")], 0, out)

    def made(self):
        return {os.path.relpath(os.path.join(folder, name), self.dir): open(os.path.join(folder, name), "rb").read()
                for folder, _, names in os.walk(os.path.join(self.dir, "build")) for name in names}


def show(top, g):
    a, b = Clone(top, g, "a"), Clone(top, g, "b")
    built = a.build("publish", "best")
    built.expect(ran=10)
    want(not built.notices, "A is told something", built.out)
    told = b.pawl("build", "publish", "best")
    print(told)
    want(told.count("from the remote cache") == 10 and "pawl: 10 restored" in told, "B does not say from where", told)
    want("ran " not in told, "B runs something", told)
    want(b.made() == a.made() and len(a.made()) > 10, "B has other bytes")
    b.build("publish", "best").expect(up_to_date=10)
    clone = Clone(top, g, "c")
    built = clone.build("publish", "best")
    built.expect(restored=10)
    want(all(s["from"] == "remote" for s in built.steps), "the events do not say from where", built.out)


def main():
    absent = gateway.missing() or missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    top = tempfile.mkdtemp(prefix="pawl-abalone-")
    try:
        with gateway.Gateway() as g:
            remote.make_bucket(g)
            show(top, g)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
