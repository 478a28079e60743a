#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Builds beside a remote cache that has each fault of the proxy, and others: trouble.py PAWL FOLDER-WITH-PROGRAMS [NAME...]
Exit code 77: no gateway is installed. In each case a machine with an empty cache builds what the bucket has, then something
new: both builds end well, with the bytes of a build from nothing, within the bound, and say at most one line."""
import concurrent.futures
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import gateway
import proxy
import remote
from remote import want

BOUND_S = 30  # docs/s3.md; what these builds take without a remote is less than
SLACK_S = 5   # … this, on a machine that has others to serve
SILENT_S = 5  # nobody waits any longer for a server that says nothing
SILENT = ["stall", "drip-1", "deaf"]
BESIDE = 8
PIPELINE = """
remote "s3://pawl-tests/trouble/cache" { path_style = true  region = "us-east-1" }
step prep { in "raw.csv" out train = "train.csv" run "head -n 400 raw.csv > {{train}}" }
step fit for depth in [2, 3] {
    in  prep.train
    out model = "model/{{depth}}/"
    run "for i in 1 2 3; do (echo {{depth}} $i; cat train.csv) > {{model}}/tree-$i; done; seq 300000 > {{model}}/weights"
}
step report { in fit[*] out o = "report.txt" run "cat model/2/tree-* model/3/tree-1 > {{o}}" }
"""
STEPS = 4


def check(m, raw):
    """All bytes, computed here."""
    train = "".join(raw.splitlines(True)[:400])
    weights = "".join(f"{i}\n" for i in range(1, 300001))
    trees = {(d, i): f"{d} {i}\n{train}" for d in (2, 3) for i in (1, 2, 3)}
    files = {"train.csv": train, "report.txt": trees[2, 1] + trees[2, 2] + trees[2, 3] + trees[3, 1]}
    files.update({f"model/{d}/tree-{i}": text for (d, i), text in trees.items()})
    files.update({f"model/{d}/weights": weights for d in (2, 3)})
    for path, text in files.items():
        want(m.read(path) == text.encode(), f"{path} is wrong")


def raw_of(what):
    return "".join(f"{what},{i}\n" for i in range(500))


class Case:
    def __init__(self, top, g, name):
        self.name, self.said, self.took = name, [], []
        self.machine = remote.Machine(top, name.replace("/", "-"), g, pipeline=PIPELINE)

    def build(self, raw):
        self.machine.write("raw.csv", raw)
        built = self.machine.build(limit_s=200)
        check(self.machine, raw)
        self.took.append(built.took)
        self.said.append(built.notices)
        other = [line for line in built.out.splitlines() if not line.startswith("{")]
        want(len(built.warnings) + len(other) <= 1, f"{self.name}: more than one line", built.out)
        bound = SILENT_S if self.name in SILENT else BOUND_S
        want(built.took < bound + SLACK_S, f"{self.name}: took {built.took:.1f} s", built.out)
        return built

    def run(self):
        first = self.build(raw_of("same"))
        second = self.build(raw_of(self.name))
        second.expect(ran=STEPS)
        done = subprocess.run([remote.PAWL, "cache", "check"], cwd=self.machine.dir, env=self.machine.env, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        want(done.returncode == 0, f"{self.name}: the local cache is damaged", done.stdout)
        return first


class Watched(Case):
    """One process that builds again and again beside a silent server: no thread stays behind for good."""
    def threads(self, pid):
        with open(f"/proc/{pid}/status", encoding="ascii") as f:
            return int([line for line in f if line.startswith("Threads:")][0].split()[1])

    def run(self):
        m = self.machine
        m.env["PAWL_REMOTE_ENDPOINT"] = self.endpoint
        m.write("raw.csv", raw_of("watched 0"))
        most, begun = 0, time.monotonic()
        with m.start("--watch") as process:
            for i in range(3):
                while '"summary"' not in (line := process.stdout.readline()):
                    want(line, "it ended")
                check(m, raw_of(f"watched {i}"))
                most = max(most, self.threads(process.pid))
                m.write("raw.csv", raw_of(f"watched {i + 1}"))
            while '"summary"' not in process.stdout.readline():
                pass
            while self.threads(process.pid) > 1 and time.monotonic() < begun + 120:
                time.sleep(0.2)
            left = self.threads(process.pid)
            process.send_signal(signal.SIGINT)
            process.stdout.read()
        want(most > 1 and left == 1, f"{most} threads, and at last {left}")
        want(process.returncode == 130, f"ended with {process.returncode}")
        print(f"watched: {most} threads, and at last {left}; {time.monotonic() - begun:.1f} s")
        return remote.Built([{"event": "summary", "restored": 0}], 0, "")


def deaf():
    """A port whose queue of connections is full: nobody is ever let in."""
    s = socket.create_server(("127.0.0.1", 0), backlog=0)
    held = []
    for _ in range(4):
        c = socket.socket()
        c.setblocking(False)
        c.connect_ex(s.getsockname())
        held.append(c)
    return (s, held), f"http://127.0.0.1:{s.getsockname()[1]}"


def cases_of(top, g, names):
    """Case and what it does before it begins."""
    ports = {name: f"http://127.0.0.1:{fault.port}" for name, fault in proxy.begin(g.port).items()}
    kept, ports["deaf"] = deaf()
    ports.update({"tls-stranger": g.tls_endpoint, "no-such-name": "http://s3.no-such-name.invalid",
                  "tls-to-plain": g.endpoint.replace("http", "https"), "plain-to-tls": g.tls_endpoint.replace("https", "http")})
    cases = []
    for name, endpoint in ports.items():
        if not names or name in names:
            case = Case(top, g, name)
            case.machine.env["PAWL_REMOTE_ENDPOINT"] = endpoint
            if name == "expired":  # keys asked for less than half a minute ago are not asked for anew
                case.machine.env["AWS_ACCESS_KEY_ID"] = "OLDKEY"
            cases.append(case)
    if not names or "watched" in names:
        cases.append(Watched(top, g, "watched"))
        cases[-1].endpoint = ports["stall"]
    return cases, kept


def main():
    absent = gateway.missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    top = tempfile.mkdtemp(prefix="pawl-trouble-")
    failed = []
    try:
        with gateway.Gateway() as g:
            remote.make_bucket(g)
            origin = Case(top, g, "origin")
            origin.build(raw_of("same")).expect(ran=STEPS)
            cases, _kept = cases_of(top, g, sys.argv[3:])
            begun = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(BESIDE) as pool:
                for case, job in [(case, pool.submit(case.run)) for case in cases]:
                    try:
                        first = job.result()
                        print(f"{case.name}: {first.summary['restored']} restored; "
                              f"{', '.join(f'{t:.1f} s' for t in case.took)}; {case.said}", flush=True)
                    except Exception as error:  # pylint: disable=broad-exception-caught
                        print(f"FAILED {case.name}: {error} {case.took}", flush=True)
                        failed.append(case.name)
            print(f"{len(cases)} cases in {time.monotonic() - begun:.0f} s")
            last = Case(top, g, "last")
            last.build(raw_of("same")).expect(restored=STEPS)
    finally:
        shutil.rmtree(top, ignore_errors=True)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
