#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inputs in S3, of builds against a real gateway whose requests are counted on the way. inputs.py PAWL [NAME...]
Exit code 77: no gateway is installed."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import client
import gateway
import proxy

PAWL = os.path.abspath(sys.argv[1])
BUCKET = "pawl-data"


class Wire:
    """What a workspace's requests pass through, and how many there were of each kind."""

    def __init__(self, g, fault="none"):
        self.fault = proxy.Fault(fault, ("127.0.0.1", g.port))
        self.endpoint = f"http://127.0.0.1:{self.fault.port}"

    def counts(self):
        found = {"LIST": 0, "HEAD": 0, "GET": 0}
        with self.fault.lock:
            for (method, path), n in self.fault.seen.items():
                is_list = method == b"GET" and path.strip(b"/").count(b"/") == 0
                found["LIST" if is_list else method.decode()] += n
            self.fault.seen.clear()
        return found

    def expect(self, what, **wanted):
        got = self.counts()
        want(got == {"LIST": 0, "HEAD": 0, "GET": 0, **wanted}, f"{what}: {got}, not {wanted}")


def want(condition, what, out=""):
    if not condition:
        raise AssertionError(what + "\n" + out)


class Workspace:
    def __init__(self, top, g, name, pipeline, cache=None, fault="none", **env):
        self.dir = os.path.join(top, name)
        os.makedirs(self.dir)
        self.wire = Wire(g, fault)
        self.write("Pipelinefile", pipeline)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PAWL_"))}
        self.env.update(HOME=self.dir, PAWL_CACHE_DIR=os.path.join(top, (cache or name) + "-cache"),
                        AWS_ACCESS_KEY_ID=gateway.KEY_ID, AWS_SECRET_ACCESS_KEY=gateway.SECRET,
                        AWS_EC2_METADATA_DISABLED="true", AWS_REGION="us-east-1",
                        AWS_ENDPOINT_URL_S3=self.wire.endpoint)
        self.env.update(env)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def start(self, *arguments):
        return subprocess.Popen([PAWL, *arguments], cwd=self.dir, env=self.env, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)

    def run(self, *arguments, code=0, limit_s=60):
        done = subprocess.run([PAWL, *arguments], cwd=self.dir, env=self.env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=limit_s, check=False)
        want(done.returncode == code, f"{arguments}: {done.returncode}, not {code}", done.stdout)
        return done.stdout

    def build(self, *arguments, code=0, **counts):
        out = self.run("build", "--json", *arguments, code=code)
        return self.check(out, **counts)

    def check(self, out, **counts):
        events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        if counts:
            summary = [e for e in events if e["event"] == "summary"][0]
            for key in ("ran", "restored", "up_to_date", "failed", "skipped"):
                want(summary[key] == counts.get(key, 0), f"{key} should be {counts.get(key, 0)}", out)
        return Told(out, events)


class Told:
    def __init__(self, out, events):
        self.out = out
        self.steps = {e["step"]: e for e in events if e["event"] == "step"}
        self.notices = [e["code"] for e in events if e["event"] == "notice"]


def uri(key):
    return f"s3://{BUCKET}/{key}"


TWO = f"""
step left  {{ in data = "{uri('two/left.txt')}"  out o = "left.txt"  run "cat {{{{data}}}} > {{{{o}}}}" }}
step right {{ in data = "{uri('two/right.txt')}" out o = "right.txt" run "cat {{{{data}}}} > {{{{o}}}}" }}
step both  {{ in a = left.o, b = right.o out o = "both.txt" run "cat {{{{a}}}} {{{{b}}}} > {{{{o}}}}" }}
"""


def replaced_in_place(top, g, s3):
    """Exactly the dependents of what was replaced run; unchanged costs a question and nothing else."""
    s3.put("two/left.txt", "l1\n")
    s3.put("two/right.txt", "r1\n")
    w = Workspace(top, g, "two", TWO)
    w.build(ran=3)
    w.wire.expect("the first build", HEAD=4, GET=2)  # each input again, after its step ran
    want(w.read("both.txt") == "l1\nr1\n", "not what lies there")
    w.build(up_to_date=3)
    w.wire.expect("nothing changed", HEAD=2)
    s3.put("two/right.txt", "r2\n")
    told = w.build(ran=2, up_to_date=1)
    want(told.steps["left"]["result"] == "up_to_date", "left ran", told.out)
    want("right.txt changed" in told.steps["right"]["reason"], "the reason", told.out)
    want(w.read("both.txt") == "l1\nr2\n", "not what lies there")
    s3.put("two/right.txt", "r2\n")  # the same bytes once more
    w.build(up_to_date=3)
    s3.put("two/right.txt", "r1\n")  # as it was: restored, nothing is fetched
    w.wire.counts()
    w.build(restored=2, up_to_date=1)
    w.wire.expect("as it was", HEAD=2)


TESTS = [replaced_in_place]


def main():
    absent = gateway.missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    names = sys.argv[2:]
    top = tempfile.mkdtemp(prefix="pawl-inputs-")
    try:
        with gateway.Gateway() as g:
            s3 = client.Client(g, BUCKET)
            s3.make()
            for test in TESTS:
                if not names or test.__name__ in names:
                    begun = time.monotonic()
                    test(top, g, s3)
                    print(f"{test.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
