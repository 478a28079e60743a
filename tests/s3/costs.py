#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""How many requests a remote cache costs, counted by a real gateway: the figures of "What it costs" in docs/s3.md.
costs.py PAWL FOLDER-WITH-PROGRAMS. Exit code 77: no gateway is installed."""
import os
import shutil
import sys
import tempfile

import gateway
import remote

MANY = """
remote "s3://pawl-tests/costs" { path_style = true  region = "us-east-1" }
step many for i in range(COUNT) {
    out o = "out/{{i}}"
    run "echo {{i}} > {{o}}; head -c 3000 /dev/zero | tr '\\\\0' x >> {{o}}"
}
"""
LARGE = """
remote "s3://pawl-tests/costs" { path_style = true  region = "us-east-1" }
step large { in "raw.csv" out o = "large.bin" run "cp ../noise {{o}}; sleep 5" }
"""
MIB = 1 << 20


def counted(g, what, act):
    """What the gateway was asked for meanwhile, by kind."""
    g.requests("pawl-tests")
    act()
    kinds = dict.fromkeys(("LIST", "GET", "PUT", "DELETE", "HEAD"), 0)
    came = 0
    for method, operation, received, _ in g.requests("pawl-tests"):
        kinds["LIST" if operation == "list_bucket" else "PUT" if method == "POST" else method] += 1
        came += received
    print(f"  {what}: {', '.join(f'{n} {k}' for k, n in kinds.items() if n) or 'none'}; {came / MIB:.1f} MiB up", flush=True)
    return kinds, came


def at_most(kinds, **most):
    for kind, n in kinds.items():
        remote.want(n <= most.get(kind, 0), f"{n} {kind}, expected at most {most.get(kind, 0)}")


def small_results(top, g):
    """500 steps, then 20 more, then both in an empty clone."""
    a = remote.Machine(top, "many-a", g, pipeline=MANY.replace("COUNT", "500"))
    at_most(counted(g, "500 small results, made and given", a.build)[0], LIST=3, GET=4, PUT=12)
    at_most(counted(g, "nothing to do", a.build)[0], LIST=1)
    a.write("Pipelinefile", MANY.replace("COUNT", "520"))
    at_most(counted(g, "20 new results in a warm build", a.build)[0], LIST=3, GET=4, PUT=6)
    b = remote.Machine(top, "many-b", g, pipeline=MANY.replace("COUNT", "520"))
    built = []
    at_most(counted(g, "an empty clone of 520", lambda: built.append(b.build()))[0], LIST=2, GET=16, PUT=1)
    built[0].expect(restored=520)


def large_file(top, g):
    """64 MiB of noise, and the same with a byte changed."""
    noise = bytearray(os.urandom(64 * MIB))
    with open(os.path.join(top, "noise"), "wb") as f:
        f.write(noise)
    a = remote.Machine(top, "large-a", g, pipeline=LARGE)
    at_most(counted(g, "64 MiB, made and given", a.build)[0], LIST=3, GET=4, PUT=6)
    b = remote.Machine(top, "large-b", g, pipeline=LARGE)
    built = []
    at_most(counted(g, "64 MiB in an empty clone", lambda: built.append(b.build()))[0], LIST=2, GET=20, PUT=1)
    built[0].expect(restored=1)
    noise[30 * MIB] ^= 1
    with open(os.path.join(top, "noise"), "wb") as f:
        f.write(noise)
    a.write("raw.csv", "changed\n")
    kinds, came = counted(g, "64 MiB of which a byte changed", a.build)
    at_most(kinds, LIST=3, GET=10, PUT=3)
    remote.want(came < 2 * MIB, f"{came} bytes up")


def main():
    absent = gateway.missing()
    if absent:
        print("skipped: " + absent)
        sys.exit(77)
    top = tempfile.mkdtemp(prefix="pawl-costs-")
    try:
        with gateway.Gateway(log=True) as g:
            g.make_bucket("pawl-tests")
            small_results(top, g)
            large_file(top, g)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
