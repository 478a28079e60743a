#!/usr/bin/env python3
"""Kills pawl at each durable write in turn, or at random moments, then builds again: the bytes must be those of a build
from nothing, nothing finished may have been lost, and the cache must be sound.

    tests/fault/kill_test.py PAWL writes            # at the n-th durable write, for every n
    tests/fault/kill_test.py PAWL random [ROUNDS]   # kill -9 at random moments
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

STEPS = 6
PIPELINE = "".join(
    f'step s{i} {{\n    in a = "{"src.txt" if i == 0 else f"out/{i - 1}.txt"}"\n    out o = "out/{i}.txt"\n'
    f'    run "echo {i} >> {{{{env("COUNT")}}}}; (echo step {i}; cat {{{{a}}}}; sleep 0.01) > {{{{o}}}}"\n}}\n'
    for i in range(STEPS)) + 'step tree {\n    in a = "out/2.txt"\n    out d = "out/tree/"\n' \
    '    run "mkdir -p {{d}}/x; cp {{a}} {{d}}/x/y; ln -s y {{d}}/x/z; head -c 2000000 /dev/zero > {{d}}/zeros"\n}\n'


class Workspace:
    def __init__(self, base, name, cache):
        self.root = os.path.join(base, name)
        self.count = os.path.join(base, name + ".count")
        self.env = dict(os.environ, PAWL_CACHE_DIR=cache, XDG_CONFIG_HOME=cache + "-config", COUNT=self.count)
        os.mkdir(self.root)
        open(self.count, "w").close()
        self.write("src.txt", "source\n")
        self.write("Pipelinefile", PIPELINE.replace('{{env("COUNT")}}', self.count))

    def write(self, path, text):
        with open(os.path.join(self.root, path), "w", encoding="utf-8") as f:
            f.write(text)

    def build(self, pawl, **env):
        return subprocess.run([pawl, "-C", self.root, "build", "-j1", "--json"], env=dict(self.env, **env),
                              capture_output=True, text=True, timeout=120, check=False)

    def runs(self):
        return sum(1 for _ in open(self.count))

    def outputs(self):
        found = {}
        for folder, _, names in os.walk(os.path.join(self.root, "out")):
            for name in names:
                path = os.path.join(folder, name)
                found[os.path.relpath(path, self.root)] = \
                    os.readlink(path) if os.path.islink(path) else open(path, "rb").read()
        return found


def check(pawl, w, golden, what):
    done = w.build(pawl)
    if done.returncode != 0:
        raise SystemExit(f"{what}: the next build ended with {done.returncode}\n{done.stdout}{done.stderr}")
    if w.outputs() != golden:
        raise SystemExit(f"{what}: the next build's outputs differ")
    sound = subprocess.run([pawl, "cache", "check"], env=w.env, capture_output=True, text=True, check=False)
    if sound.returncode != 0:
        raise SystemExit(f"{what}: the cache is damaged\n{sound.stdout}{sound.stderr}")
    last = w.build(pawl)
    if '"up_to_date":7' not in last.stdout:
        raise SystemExit(f"{what}: a build after it is no no-op\n{last.stdout}")


def golden_outputs(pawl, base):
    w = Workspace(base, "golden", os.path.join(base, "golden-cache"))
    done = w.build(pawl)
    assert done.returncode == 0, done.stdout + done.stderr
    return w.outputs()


def at_each_write(pawl, base, golden):
    n = 0
    while True:
        n += 1
        folder = os.path.join(base, "one")
        os.mkdir(folder)
        w = Workspace(folder, "w", os.path.join(folder, "cache"))
        done = w.build(pawl, PAWL_TEST_KILL_AT=str(n))
        killed = done.returncode == -signal.SIGKILL
        check(pawl, w, golden, f"killed at write {n}")
        if w.runs() > STEPS + (1 if killed else 0):
            raise SystemExit(f"killed at write {n}: {w.runs()} runs of {STEPS} steps: finished work was lost")
        clone = Workspace(folder, "clone", os.path.join(folder, "cache"))
        check(pawl, clone, golden, f"killed at write {n}, then a clone with the same cache")
        shutil.rmtree(folder)
        if not killed:
            return n - 1


def at_random(pawl, base, golden, rounds):
    rng, killed, w = random.Random(7), 0, Workspace(base, "w", os.path.join(base, "cache"))
    for i in range(rounds):
        if i % 5 == 0:
            w.write("src.txt", f"source {i}\n" if i % 10 else "source\n")
        child = subprocess.Popen([pawl, "-C", w.root, "build", "-j2", "-q"], env=w.env, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        time.sleep(rng.random() * 0.15)
        child.send_signal(signal.SIGKILL)
        killed += child.wait() == -signal.SIGKILL
    w.write("src.txt", "source\n")
    check(pawl, w, golden, f"{rounds} builds killed")
    return killed


def main():
    pawl, how = os.path.abspath(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(prefix="pawl-kill-") as base:
        golden = golden_outputs(pawl, base)
        if how == "writes":
            print(f"killed at each of {at_each_write(pawl, base, golden)} durable writes: nothing lost, nothing wrong")
        else:
            rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 100
            print(f"{rounds} builds, {at_random(pawl, base, golden, rounds)} killed half-way: nothing lost, nothing wrong")


if __name__ == "__main__":
    main()
