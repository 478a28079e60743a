#!/usr/bin/env python3
"""Compares pawl with Ninja, samurai and make on one graph, in one run: times as ratios, memory, at several sizes.

    tests/bench/bench.py [--pawl build/release/pawl] [--sizes 1000,10000,100000] [--repeat 5]

Prints a Markdown table. Never a test: what it says depends on the machine.
"""
import argparse
import os
import shutil
import statistics
import tempfile
import time

import graph


def measure(command, folder, env):
    """(seconds, peak KiB) of one run."""
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1):
            os.dup2(null, fd)
        os.execvpe(command[0], command, env)
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return time.perf_counter() - started, usage.ru_maxrss


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = os.path.dirname(os.path.abspath(__file__))
    parser.add_argument("--pawl", default=os.path.join(here, "../../build/release/pawl"))
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--no-build", action="store_true", help="only no-op builds are timed against the others")
    args = parser.parse_args()
    tools = {"pawl": [os.path.abspath(args.pawl), "build", "-q", "-j2"]}
    for name, command in (("ninja", ["ninja", "--quiet", "-j2"]), ("samurai", ["samu", "-j2"]),
                          ("make", ["make", "-s", "-j2"])):
        if shutil.which(command[0]):
            tools[name] = command
    print("| steps | build | tool | seconds | against ninja | peak MiB |\n|---|---|---|---|---|---|")
    for size in map(int, args.sizes.split(",")):
        rows = {}
        for name, command in tools.items():
            with tempfile.TemporaryDirectory() as folder:
                count = graph.write(folder, size)
                env = dict(os.environ, PAWL_CACHE_DIR=os.path.join(folder, "cache"),
                           XDG_CONFIG_HOME=os.path.join(folder, "config"))
                rows["all", name] = measure(command, folder, env)
                measure(command, folder, env)  # settles what was too young to be trusted
                time.sleep(0.05)
                measure(command, folder, env)
                runs = [measure(command, folder, env) for _ in range(args.repeat)]
                rows["no-op", name] = (statistics.median(r[0] for r in runs), max(r[1] for r in runs))
                with open(os.path.join(folder, "raw/0.csv"), "a") as raw:
                    raw.write("changed\n")
                rows["one raw file changed", name] = measure(command, folder, env)
        for kind in ("all", "no-op", "one raw file changed"):
            for name in tools:
                seconds, peak = rows[kind, name]
                base = rows.get((kind, "ninja"), (seconds, 0))[0]
                print(f"| {count} | {kind} | {name} | {seconds:.3f} | {seconds / base:.2f} | {peak / 1024:.1f} |", flush=True)


if __name__ == "__main__":
    main()
