#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole builds against a real gateway. remote.py PAWL FOLDER-WITH-PROGRAMS. Exit code 77: none is installed.
Machine A builds, an empty clone with an empty cache on B restores all and runs nothing; a gateway that stops, or is
paused, in the middle costs a line and a bounded time; keys that are wrong cost a line."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import gateway

PAWL = os.path.abspath(sys.argv[1])
PIPELINE = """
remote "s3://pawl-tests/team/cache" { path_style = true  region = "us-east-1" }
step prep {
    in  "raw.csv"
    out train = "data/train.csv", test = "data/test.csv"
    run "head -n 400 raw.csv > {{train}}; tail -n 100 raw.csv > {{test}}"
}
step fit for depth in [2, 3, 4] {
    in  prep.train
    out model = "model/{{depth}}/"
    run "for i in 1 2 3 4 5; do (echo {{depth}} $i; cat data/train.csv) > {{model}}/tree-$i; done; head -c 3000000 /dev/urandom > {{model}}/weights"
}
step score for depth in [2, 3, 4] {
    in  fit[depth=depth], prep.test
    out metrics = "score/{{depth}}.json"
    run "echo scored; cat model/{{depth}}/tree-* data/test.csv | wc -c > {{metrics}}"
}
step report { in score[*] out "report.txt" run "cat score/*.json > report.txt" }
"""
SLOW = """
remote "s3://pawl-tests/team/cache" { path_style = true  region = "us-east-1" }
step s for i in range(6) { in "raw.csv" out o = "slow/{{i}}" run "sleep 0.7; head -c 200000 /dev/urandom > {{o}}" }
pool one = 1
"""


class Machine:
    """A workspace with a cache of its own."""

    def __init__(self, top, name, g, pipeline=PIPELINE, **more):
        self.dir = os.path.join(top, name)
        os.makedirs(self.dir)
        self.write("Pipelinefile", pipeline)
        self.write("raw.csv", "".join(f"M,{i},{i * 7 % 13}\n" for i in range(500)))
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PAWL_"))}
        self.env.update(HOME=self.dir, PAWL_CACHE_DIR=os.path.join(top, name + "-cache"),
                        AWS_ACCESS_KEY_ID=gateway.KEY_ID, AWS_SECRET_ACCESS_KEY=gateway.SECRET,
                        AWS_EC2_METADATA_DISABLED="true", PAWL_REMOTE_ENDPOINT=g.endpoint, **more)

    def write(self, path, text):
        with open(os.path.join(self.dir, path), "w", encoding="ascii") as f:
            f.write(text)

    def read(self, path):
        with open(os.path.join(self.dir, path), "rb") as f:
            return f.read()

    def start(self, *arguments):
        return subprocess.Popen([PAWL, "build", "--json", *arguments], cwd=self.dir, env=self.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def build(self, *arguments, limit_s=60, process=None):
        begun = time.monotonic()
        process = process or self.start(*arguments)
        out, _ = process.communicate(timeout=limit_s)
        took = time.monotonic() - begun
        events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        if process.returncode:
            raise AssertionError(f"ended with {process.returncode}:\n{out}")
        return Built(events, took, out)


class Built:
    def __init__(self, events, took, out):
        self.out, self.took = out, took
        self.summary = [e for e in events if e["event"] == "summary"][0]
        self.steps = [e for e in events if e["event"] == "step"]
        notices = [e for e in events if e["event"] == "notice"]
        self.notices, self.warnings = [e["code"] for e in notices], [e["code"] for e in notices if e["warning"]]

    def expect(self, **counts):
        for key in ("ran", "restored", "up_to_date", "failed", "skipped"):
            want(self.summary[key] == counts.get(key, 0), f"{key} should be {counts.get(key, 0)}", self.out)


def want(condition, what, out=""):
    if not condition:
        raise AssertionError(what + "\n" + out)


def empty_clone_restores_all(top, g):
    a, b = Machine(top, "a", g), Machine(top, "b", g)
    built = a.build()
    built.expect(ran=8)
    want(built.notices == [], "A is told something", built.out)
    built = b.build()
    built.expect(restored=8)
    want(all(s["from"] == "remote" for s in built.steps), "does not say from where", built.out)
    want(built.notices == [], "B is told something", built.out)
    for path in ("model/3/weights", "report.txt", "data/train.csv"):
        want(a.read(path) == b.read(path), f"{path} differs")
    b.build().expect(up_to_date=8)
    b.write("raw.csv", "changed\n")
    b.build().expect(ran=8)
    print(f"  restored in {built.took:.2f} s")


def wrong_keys_cost_a_line(top, g):
    m = Machine(top, "wrong", g)
    m.env["AWS_SECRET_ACCESS_KEY"] = "wrong"
    built = m.build()
    built.expect(ran=8)
    want(built.notices == ["remote-down"], "expected one line", built.out)
    want("wrong" not in built.out.replace(m.dir, ""), "a key is printed", built.out)


def gateway_that_is_not_there(top, g):
    m = Machine(top, "nobody", g)
    m.env["PAWL_REMOTE_ENDPOINT"] = f"http://127.0.0.1:{gateway.free_ports(1)[0]}"
    built = m.build()
    built.expect(ran=8)
    want(built.notices == ["remote-down"], "expected one line", built.out)
    want(built.took < 20, f"took {built.took} s", built.out)


def no_op_asks_nobody(top, g):
    m = Machine(top, "noop", g)
    m.build()
    m.env["PAWL_REMOTE_ENDPOINT"] = f"http://127.0.0.1:{gateway.free_ports(1)[0]}"
    built = m.build()
    built.expect(up_to_date=8)
    want(built.notices == [], "somebody was asked", built.out)


def paused_gateway(top, g):
    """kill -STOP in the middle, for longer than anybody waits."""
    rgw = [p for p in g.running if p.args[0] == "radosgw"][0]
    m = Machine(top, "paused", g, pipeline=SLOW)
    process = m.start("-j", "1")
    time.sleep(1.5)
    rgw.send_signal(signal.SIGSTOP)
    try:
        built = m.build(process=process, limit_s=90)
    finally:
        rgw.send_signal(signal.SIGCONT)
    built.expect(ran=6)
    want(built.took < 45, f"took {built.took} s", built.out)
    want(len(built.notices) <= 1, "expected at most one line", built.out)
    print(f"  {built.took:.1f} s, {built.notices}")
    fresh = Machine(top, "paused-at-once", g)
    rgw.send_signal(signal.SIGSTOP)
    try:
        built = fresh.build(limit_s=90)
    finally:
        rgw.send_signal(signal.SIGCONT)
    built.expect(ran=8)
    want(built.took < 60, f"took {built.took} s", built.out)
    want(len(built.notices) <= 1, "expected at most one line", built.out)
    print(f"  {built.took:.1f} s, {built.notices}")
    # What could not be given then is given next time, though nothing is left to be built.
    m.build()
    shutil.rmtree(os.path.join(m.dir, "slow"))
    other = Machine(top, "after-pause", g, pipeline=SLOW)
    other.build("-j", "1").expect(restored=6)


def stopped_gateway(top, g):
    """The last one: it does not come back."""
    rgw = [p for p in g.running if p.args[0] == "radosgw"][0]
    m = Machine(top, "stopped", g, pipeline=SLOW.replace("200000", "200001"))
    timer = threading.Timer(1.5, rgw.kill)
    timer.start()
    built = m.build("-j", "1")
    built.expect(ran=6)
    want(built.notices in ([], ["remote-down"], ["remote-read-only"]), "expected at most one line", built.out)
    want(built.took < 45, f"took {built.took} s", built.out)


TESTS = [empty_clone_restores_all, no_op_asks_nobody, wrong_keys_cost_a_line, gateway_that_is_not_there,
         paused_gateway, stopped_gateway]


def make_bucket(g):
    subprocess.run([os.path.join(sys.argv[2], "s3_make_bucket")], check=True,
                   env={**os.environ, "S3_TEST_ENDPOINT": g.endpoint, "S3_TEST_KEY": gateway.KEY_ID,
                        "S3_TEST_SECRET": gateway.SECRET})


def main():
    absent = gateway.missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    names = sys.argv[3:]
    top = tempfile.mkdtemp(prefix="pawl-remote-")
    try:
        with gateway.Gateway() as g:
            make_bucket(g)
            for test in TESTS:
                if not names or test.__name__ in names:
                    print(test.__name__, flush=True)
                    test(top, g)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
