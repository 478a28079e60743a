#!/usr/bin/env python3
"""Signals at bad moments: hashing a huge input is given up at once; under nohup a hang-up is no matter; a step that
will not hear is killed.

    tests/fault/interrupt_test.py PAWL
"""
import os
import signal
import subprocess
import sys
import tempfile
import time


class Build:
    def __init__(self, pawl, base, name, text, ignore=None):
        self.root = os.path.join(base, name)
        os.mkdir(self.root)
        with open(os.path.join(self.root, "Pipelinefile"), "w", encoding="utf-8") as f:
            f.write(text)
        self.command = [pawl, "-C", self.root, "build", "--json"]
        self.env = dict(os.environ, PAWL_CACHE_DIR=os.path.join(base, name + "-cache"),
                        XDG_CONFIG_HOME=os.path.join(base, name + "-config"))
        self.ignore = ignore

    def start(self):
        def before():
            if self.ignore:
                signal.signal(self.ignore, signal.SIG_IGN)
        return subprocess.Popen(self.command, env=self.env, stdout=subprocess.PIPE, text=True,
                                preexec_fn=before)  # nosec: single-threaded


def expect(what, value, wanted):
    if value != wanted:
        raise SystemExit(f"{what}: {value}, not {wanted}")


def main():
    pawl = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="pawl-interrupt-") as base:
        huge = Build(pawl, base, "huge", 'step a {\n    in i = "big"\n    out o = "o"\n    run "echo > o"\n}\n'
                                         'step b {\n    in i = "folder/"\n    out o = "p"\n    run "echo > p"\n}\n')
        os.mkdir(os.path.join(huge.root, "folder"))
        for name in ("big", "folder/big"):
            with open(os.path.join(huge.root, name), "wb") as f:
                f.truncate(1 << 40)
        child = huge.start()
        time.sleep(0.5)
        child.send_signal(signal.SIGINT)
        began = time.monotonic()
        out, _ = child.communicate(timeout=60)
        expect("interrupted while hashing", child.returncode, 130)
        expect("steps skipped", out.count('"result":"skipped"'), 2)
        if time.monotonic() - began > 10:
            raise SystemExit("hashing went on long after the interrupt")

        step = 'step a {{\n    out o = "o"\n    run "touch running; {} sleep {}; echo done > o"\n}}\n'
        for name, trap, seconds, ignore, sent, code in (("nohup", "", 1, signal.SIGHUP, signal.SIGHUP, 0),
                                                        ("hangup", "", 100, None, signal.SIGHUP, 130),
                                                        ("terminate", "", 100, None, signal.SIGTERM, 130),
                                                        ("deaf", "trap '' TERM;", 100, None, signal.SIGINT, 130)):
            build = Build(pawl, base, name, step.format(trap, seconds), ignore)
            child = build.start()
            while not os.path.exists(os.path.join(build.root, "running")):
                time.sleep(0.01)
            child.send_signal(sent)
            if name == "deaf":
                time.sleep(0.3)
                child.send_signal(sent)  # who asks twice waits no longer
            child.communicate(timeout=60)
            expect(name, child.returncode, code)
            expect(f"{name}: the output is there", os.path.exists(os.path.join(build.root, "o")), code == 0)
    print("interrupted in five ways")


if __name__ == "__main__":
    main()
