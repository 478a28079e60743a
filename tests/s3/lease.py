#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Two builders at once against a real gateway: a long step is run by one of them. lease.py PAWL FOLDER-WITH-PROGRAMS.
Exit code 77: no gateway is installed."""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import gateway
import proxy
from remote import Machine, want

LONG_S = 10  # so long a step is expected to take, and no longer does anybody wait
PIPELINE = """
pipeline leased
remote "s3://pawl-tests/leases" {{ path_style = true  region = "us-east-1" }}
step long for x in ["a", "b", "c", "d"] {{
    in  "raw.csv"
    out o = "{{{{x}}}}"
    run "echo {{{{x}}}} >> {top}/log; sleep $(cat {top}/more); while [ -e {top}/hold ]; do sleep 0.1; done; cp raw.csv {{{{o}}}}"
}}
"""


class Scene:
    """Two machines of a team, and what their steps wait for and write."""

    def __init__(self, top, g):
        self.top, self.g = top, g
        self.count = 0

    def path(self, name):
        return os.path.join(self.top, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="ascii") as f:
            f.write(text)

    def ran(self):
        with open(self.path("log"), encoding="ascii") as f:
            return f.read().split()

    def machine(self, endpoint=None):
        """Without a past: it learns from the remote cache how long the step takes."""
        self.count += 1
        m = Machine(self.top, f"m{self.count}", self.g, pipeline=PIPELINE.format(top=self.top),
                    PAWL_REMOTE_LEASE_AFTER="5s")
        if endpoint:
            m.env["PAWL_REMOTE_ENDPOINT"] = endpoint
        return m

    def begin(self, machine, step, text):
        """A build whose events go to a file."""
        machine.write("raw.csv", text)
        machine.events = os.path.join(machine.dir, "events")
        with open(machine.events, "w", encoding="utf-8") as out:
            return subprocess.Popen([PAWL, "build", "--json", f"long[x={step}]"], cwd=machine.dir, env=machine.env,
                                    stdout=out, stderr=subprocess.STDOUT, start_new_session=True)

    def until(self, what, holds, limit_s=60):
        deadline = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > deadline:
                texts = [open(f, encoding="utf-8").read() for f in glob.glob(self.path("m*/events"))]
                raise AssertionError(f"never came true: {what}\n" + "\n".join(texts))
            time.sleep(0.05)

    def ended(self, machine, process, limit_s=60):
        process.wait(timeout=limit_s)
        with open(machine.events, encoding="utf-8") as f:
            text = f.read()
        events = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        want(process.returncode == 0, f"ended with {process.returncode}", text)
        return [e for e in events if e["event"] == "step"][0]["result"], [e["code"] for e in events if e["event"] == "notice"]

    def waits(self, machine):
        with open(machine.events, encoding="utf-8") as f:
            return "lease-wait" in f.read()


PAWL = os.path.abspath(sys.argv[1])


def make_it_long(scene, long_s=LONG_S):
    """One build of all, so that all know how long they take."""
    scene.write("log", "")
    scene.write("more", str(long_s))
    scene.machine().build("-j", "4", limit_s=long_s + 60).expect(ran=4)
    scene.write("more", "0")


def one_of_two_runs(scene):
    scene.write("log", "")
    scene.write("hold", "")
    machines = [scene.machine(), scene.machine()]
    builds = [scene.begin(m, "a", "raced\n") for m in machines]
    scene.until("one waits", lambda: scene.waits(machines[0]) or scene.waits(machines[1]))
    os.remove(scene.path("hold"))
    ended = [scene.ended(m, b) for m, b in zip(machines, builds)]
    want(sorted(r for r, _ in ended) == ["ran", "restored"], "one should run", str(ended))
    want(sorted(n for _, n in ended) == [[], ["lease-wait"]], "one should be told", str(ended))
    want(scene.ran() == ["a"], "ran more than once", str(scene.ran()))


def killed_holder_is_not_waited_for(scene, patience_s=LONG_S, step="b"):
    """By patience, or because 90 s without a renewal are enough."""
    scene.write("log", "")
    scene.write("hold", "")
    a, b = scene.machine(), scene.machine()
    first = scene.begin(a, step, "killed\n")
    scene.until("the first one runs", lambda: scene.ran() == [step])
    second = scene.begin(b, step, "killed\n")
    scene.until("the second one waits", lambda: scene.waits(b))
    begun = time.monotonic()
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    os.remove(scene.path("hold"))
    result, notices = scene.ended(b, second, limit_s=patience_s + 60)
    want(result == "ran" and notices == ["lease-wait"], f"{result} {notices}")
    took = time.monotonic() - begun
    print(f"  runs after {took:.1f} s")
    return took


def without_conditions_both_run(scene, fault, step):
    scene.write("log", "")
    scene.write("hold", "")
    machines = [scene.machine(f"http://127.0.0.1:{fault.port}") for _ in range(2)]
    builds = [scene.begin(m, step, fault.name + "\n") for m in machines]
    scene.until("both run", lambda: scene.ran() == [step, step])
    os.remove(scene.path("hold"))
    for m, b in zip(machines, builds):
        want(scene.ended(m, b) == ("ran", []), "it is no trouble")
        found = glob.glob(m.env["PAWL_CACHE_DIR"] + "/remote/*/leases")
        want(len(found) == 1, "it does not keep in mind what the place can do")
        with open(found[0], encoding="ascii") as f:
            want(json.load(f)["able"] is False, "it believes the place")
    scene.write("hold", "")
    before = fault.requests
    again = scene.begin(machines[0], step, fault.name + " again\n")
    scene.until("it runs", lambda: len(scene.ran()) == 3)
    os.remove(scene.path("hold"))
    scene.ended(machines[0], again)
    print(f"  {fault.name}: {fault.requests - before} requests the second time")


def main():
    absent = gateway.missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    top = tempfile.mkdtemp(prefix="pawl-lease-")
    try:
        with gateway.Gateway() as g:
            subprocess.run([os.path.join(sys.argv[2], "s3_make_bucket")], check=True,
                           env={**os.environ, "S3_TEST_ENDPOINT": g.endpoint, "S3_TEST_KEY": gateway.KEY_ID,
                                "S3_TEST_SECRET": gateway.SECRET})
            faults = proxy.begin(g.port)
            scene = Scene(top, g)
            for name, test in (("make it long", lambda: make_it_long(scene)),
                               ("one of two runs", lambda: one_of_two_runs(scene)),
                               ("a killed holder", lambda: killed_holder_is_not_waited_for(scene)),
                               ("no conditions", lambda: without_conditions_both_run(scene, faults["condition-501"], "c")),
                               ("careless", lambda: without_conditions_both_run(scene, faults["condition-200"], "d"))):
                begun = time.monotonic()
                print(name, flush=True)
                test()
                print(f"  {time.monotonic() - begun:.1f} s", flush=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
