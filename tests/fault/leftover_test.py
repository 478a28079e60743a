#!/usr/bin/env python3
"""Kills pawl while its steps run: the next build ends what they left running before it starts anything, whatever those
did to hide, and nothing else.

    tests/fault/leftover_test.py PAWL
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

# The first try hangs on, in three guises, and spoils the output when it is let go; the second is quick.
SCRIPT = """
if mkdir {base}/first 2>/dev/null; then
    spoil() {{ while [ ! -e {base}/go ]; do sleep 0.05; done; echo spoilt > out; }}
    setsid sh -c 'echo $$ > {base}/pid.session; while [ ! -e {base}/go ]; do sleep 0.05; done; echo spoilt > out' &
    env -i PATH="$PATH" sh -c 'echo $$ > {base}/pid.bare; sleep 100' &
    trap '' TERM INT HUP
    echo $$ > {base}/pid.shell
    spoil
fi
echo good > out
"""


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise SystemExit("waited in vain")
        time.sleep(0.01)


def main():
    pawl = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="pawl-leftover-") as base:
        root = os.path.join(base, "ws")
        os.mkdir(root)
        with open(os.path.join(root, "Pipelinefile"), "w", encoding="utf-8") as f:
            f.write('step s {\n    out o = "out"\n    run """' + SCRIPT.format(base=base) + '"""\n}\n')
        env = dict(os.environ, PAWL_CACHE_DIR=os.path.join(base, "cache"), XDG_CONFIG_HOME=os.path.join(base, "config"))
        command = [pawl, "-C", root, "build", "--json"]
        # Another pawl's step, elsewhere, must be left alone.
        other = subprocess.Popen(["sleep", "100"], env=dict(env, PAWL_JOB="0123456789abcdef.1"))
        names = [os.path.join(base, "pid." + guise) for guise in ("session", "bare", "shell")]
        first = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
        wait_for(lambda: all(os.path.exists(n) and open(n, encoding="utf-8").read().endswith("\n") for n in names))
        first.send_signal(signal.SIGKILL)
        first.wait()
        pids = [int(open(n, encoding="utf-8").read()) for n in names]
        if not all(is_alive(p) for p in pids):
            raise SystemExit("the first build's step ended with it: nothing was tried")

        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
        alive = [p for p in pids if is_alive(p)]
        open(os.path.join(base, "go"), "w", encoding="utf-8").close()
        time.sleep(0.3)
        for p in alive:
            os.kill(p, signal.SIGKILL)
        stands = other.poll() is None
        other.kill()
        other.wait()
        if done.returncode != 0 or '"ran":1' not in done.stdout or '"code":"leftover"' not in done.stdout:
            raise SystemExit(f"the next build ended with {done.returncode}\n{done.stdout}{done.stderr}")
        if alive:
            raise SystemExit(f"{len(alive)} of 3 processes of the killed build live on")
        if open(os.path.join(root, "out"), encoding="utf-8").read() != "good\n":
            raise SystemExit("the killed build's step wrote into the next one's output")
        if not stands:
            raise SystemExit("a process of another build was ended")
        if os.path.exists(os.path.join(root, ".pawl/jobs")):
            raise SystemExit("the note of running jobs outlived a build that ended")
        print("three processes of a killed build were ended by the next one")


if __name__ == "__main__":
    main()
