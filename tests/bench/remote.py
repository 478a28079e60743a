#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the remote cache with the AWS command line, rclone and curl, against a Ceph object gateway on loopback that
this starts itself: times as ratios, memory, requests by kind, bytes. Prints Markdown.

    tests/bench/remote.py [--pawl build/release/pawl] [--cases small,folder,model,noop,checkpoint] [--repeat 3]

Never a test: what it says depends on the machine. The best of the repetitions counts, for each tool by itself; each
repetition has a new gateway, and all tools in turn. Folders of many files are kept until the end, since ext4 makes new
files slowly for some minutes after it has deleted many: do not run it right after something that did. Wants the Debian packages radosgw ceph-mon ceph-osd ceph-common,
and leaves out what is missing of awscli, rclone and curl. Peak memory has a floor of what this program itself needs.
"""
import argparse
import hashlib
import os
import random
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../s3"))
import gateway  # pylint: disable=wrong-import-position

MIB = 1 << 20
BUCKET = "bench"
LARGE = 32 * MIB  # objects that hold small files' bytes
KINDS = ("GET", "PUT", "LIST", "HEAD", "DELETE")

ROWS = """BEGIN {
    srand(seed); size = 1000 + int(49001 * rand())
    while (n < size) {
        line = sprintf("%d,%.6f,%.6f,%s", seed * 1000 + i++, rand(), rand() * rand(), rand() < 0.5 ? "left" : "right")
        print line; n += length(line) + 1
    }
}
"""
SMALL = """
step file for i in range(COUNT) {
    code make = "rows.awk"
    out  rows = "out/{{i}}.csv"
    run  "awk -v seed={{i}} -f {{make}} > {{rows}}"
}
"""
FOLDER = """
step files {
    code make = "rows.awk"
    out  rows = "out/"
    run  "for i in $(seq 0 LAST); do awk -v seed=$i -f {{make}} > {{rows}}/$i.csv; done"
}
"""
# It takes long enough for fetching to be worth it on any machine.
MODEL = """
step model {
    out file = "out/model.bin"
    run "cp SOURCE {{file}}; sleep 60"
}
"""
CHECKPOINT = """
step model {
    in  version = "version"
    out file = "out/model.bin"
    run "cp SOURCE {{file}}"
}
"""


class Run:
    """What one command took."""
    def __init__(self, seconds, usage, asked):
        self.seconds, self.peak, self.cpu = seconds, usage.ru_maxrss, usage.ru_utime + usage.ru_stime
        self.kinds = dict.fromkeys(KINDS, 0)
        self.received = self.sent = 0
        for method, operation, came, went in asked:
            kind = "LIST" if operation == "list_bucket" else "PUT" if method == "POST" else method
            self.kinds[kind] += 1
            self.received += went
            self.sent += came

    def row(self):
        kinds = " ".join(f"{n} {k}" for k, n in self.kinds.items() if n) or "none"
        return f"{self.seconds:.2f} | {self.cpu:.2f} | {self.peak / 1024:.0f} | {kinds} | {self.received / MIB:.1f} | {self.sent / MIB:.1f}"


def measure(command, folder, env, g):
    """Runs it; nobody else asks the gateway meanwhile."""
    os.sync()
    g.requests(BUCKET)
    begun = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(os.path.join(g.dir, "said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 1)
        os.execvpe(command[0], command, env)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - begun
    if status != 0:
        with open(os.path.join(g.dir, "said"), encoding="utf-8", errors="replace") as f:
            raise SystemExit(f"{' '.join(command)} ended with {status}\n{f.read()[-2000:]}")
    return Run(seconds, usage, g.requests(BUCKET))


class Bench:
    def __init__(self, args, top):
        self.args, self.top, self.pawl = args, top, os.path.abspath(args.pawl)
        self.best, self.order = {}, []
        self.machines = self.folders = 0

    def keep(self, case, tool, run):
        key = case, tool
        if key not in self.best:
            self.order.append(key)
        if key not in self.best or run.seconds < self.best[key].seconds:
            self.best[key] = run
        print(f"  {case}: {tool}: {run.seconds:.2f} s", file=sys.stderr, flush=True)

    def seconds(self, case, tool):
        return self.best[case, tool].seconds if (case, tool) in self.best else None

    # ---- tools ----

    def env(self, g):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PAWL_", "RCLONE_"))}
        remote = "RCLONE_CONFIG_GATE_"
        return {**clean, "AWS_ACCESS_KEY_ID": gateway.KEY_ID, "AWS_SECRET_ACCESS_KEY": gateway.SECRET,
                "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
                "RCLONE_CONFIG": "/dev/null", remote + "TYPE": "s3", remote + "PROVIDER": "Ceph",
                remote + "ENDPOINT": g.endpoint, remote + "ACCESS_KEY_ID": gateway.KEY_ID,
                remote + "SECRET_ACCESS_KEY": gateway.SECRET}

    def aws(self, g, *arguments):
        return ["aws", "--endpoint-url", g.endpoint, "s3", *arguments]

    def curl(self, g, keys):
        """All of them at once, each to a file."""
        command = ["curl", "-sSf", "--no-progress-meter", "--parallel", "--aws-sigv4", "aws:amz:us-east-1:s3", "-u",
                   f"{gateway.KEY_ID}:{gateway.SECRET}", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
        for key in keys:
            command += ["-o", os.path.basename(key), f"{g.endpoint}/{BUCKET}/{key}"]
        return command

    def machine(self, g, pipeline, rest=()):
        """A workspace with an empty cache of its own."""
        self.machines += 1
        folder = os.path.join(self.top, f"machine-{self.machines}", "work")
        os.makedirs(folder)
        with open(os.path.join(folder, "Pipelinefile"), "w", encoding="utf-8") as f:
            f.write(pipeline)
        for name, text in rest:
            with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
                f.write(text)
        env = {**self.env(g), "PAWL_CACHE_DIR": os.path.join(folder, "../cache"), "PAWL_REMOTE": f"s3://{BUCKET}/cache",
               "PAWL_REMOTE_ENDPOINT": g.endpoint, "PAWL_REMOTE_REGION": "us-east-1", "PAWL_REMOTE_PATH_STYLE": "true"}
        return folder, env

    def run(self, machine, g, *arguments):
        return measure([self.pawl, *arguments], machine[0], machine[1], g)

    def empty(self):
        self.folders += 1
        folder = os.path.join(self.top, f"folder-{self.folders}")
        os.makedirs(folder)
        return folder

    def has(self, tool):
        return shutil.which(tool) is not None

    # ---- cases ----

    def small(self, case, pipeline):
        """A builds many small files and gives them; a clone on B with nothing restores them."""
        count = self.args.small
        text = pipeline.replace("COUNT", str(count)).replace("LAST", str(count - 1))
        rest = [("rows.awk", ROWS)]
        made = None
        for _ in range(self.args.repeat):
            with Gateway(self.args) as g:
                a, made = self.built(g, made, text, rest)
                self.keep(case, "pawl cache push", self.run(a, g, "cache", "push"))
                b = self.machine(g, text, rest)
                self.keep(case, "pawl build in an empty clone", self.run(b, g, "build", "-q"))
                check_same(os.path.join(a[0], "out"), os.path.join(b[0], "out"))
                self.run(b, g, "build", "-q")  # settles what was too young to be trusted
                self.keep(case, "pawl build, nothing to do", self.run(b, g, "build", "-q"))
                self.small_by_others(case, g, os.path.join(a[0], "out"))

    def small_by_others(self, case, g, out):
        env = self.env(g)
        if not self.has("aws"):
            return
        large = self.empty()
        count = join_files(out, large)
        measure(self.aws(g, "cp", "--quiet", "--recursive", large, f"s3://{BUCKET}/large"), self.top, env, g)
        here = self.empty()
        self.keep(case, "aws s3 cp of their bytes as large objects", measure(
            self.aws(g, "cp", "--quiet", "--recursive", f"s3://{BUCKET}/large", here), self.top, env, g))
        if self.has("curl"):
            here = self.empty()
            keys = [f"large/{i}" for i in range(count)]
            self.keep(case, "curl of their bytes as large objects", measure(self.curl(g, keys), here, env, g))
        if self.args.one_by_one:
            self.keep(case, "aws s3 cp --recursive, one object a file, up", measure(
                self.aws(g, "cp", "--quiet", "--recursive", out, f"s3://{BUCKET}/files"), self.top, env, g))
            here = self.empty()
            self.keep(case, "aws s3 cp --recursive, one object a file", measure(
                self.aws(g, "cp", "--quiet", "--recursive", f"s3://{BUCKET}/files", here), self.top, env, g))
            self.args.one_by_one -= 1

    def built(self, g, made, pipeline, rest=()):
        """A machine that has built without the remote: the work is done once, its folder and cache copied."""
        machine = self.machine(g, pipeline, rest)
        folder = os.path.dirname(machine[0])
        if made:
            shutil.copytree(made, folder, symlinks=True, dirs_exist_ok=True)  # over its Pipelinefile
            return machine, made
        self.run(machine, g, "build", "-q", "--no-remote")
        shutil.copytree(folder, folder + "-made", symlinks=True)
        return machine, folder + "-made"

    def drop(self, *machines):
        for m in machines:
            shutil.rmtree(os.path.dirname(m[0]))

    def model(self):
        """A large file of noise, up and down."""
        source = os.path.join(self.top, "model.bin")
        write_noise(source, self.args.model * MIB)
        pipeline, made = MODEL.replace("SOURCE", source), None
        for _ in range(self.args.repeat):
            with Gateway(self.args) as g:
                a, made = self.built(g, made, pipeline)
                self.keep("model up", "pawl cache push", self.run(a, g, "cache", "push"))
                b = self.machine(g, pipeline)
                self.keep("model down", "pawl build in an empty clone", self.run(b, g, "build", "-q"))
                check_same(os.path.join(a[0], "out"), os.path.join(b[0], "out"))
                self.drop(a, b)
                self.model_by_others(g, source)
        shutil.rmtree(made)
        quick = MODEL.replace("SOURCE", source).replace("; sleep 60", "")
        for _ in range(self.args.repeat):
            with Gateway(self.args) as g:
                a = self.machine(g, quick)
                self.keep("model up", "pawl build that makes it and gives it", self.run(a, g, "build", "-q"))
                self.drop(a)

    def model_by_others(self, g, source):
        env, folder, here = self.env(g), self.empty(), self.empty()
        os.link(source, os.path.join(folder, "model.bin"))
        there = f"{BUCKET}/rclone"
        ways = {"aws s3 cp": (self.aws(g, "cp", "--quiet", folder + "/model.bin", f"s3://{BUCKET}/aws/"),
                              self.aws(g, "cp", "--quiet", f"s3://{BUCKET}/aws/model.bin", here + "/")),
                "rclone copy": (["rclone", "copy", folder, f"GATE:{there}"], ["rclone", "copy", f"GATE:{there}", here])}
        for tool, (up, down) in ways.items():
            if self.has(up[0]):
                self.keep("model up", tool, measure(up, self.top, env, g))
                self.keep("model down", tool, measure(down, self.top, env, g))
                os.unlink(os.path.join(here, "model.bin"))

    def noop(self):
        text = SMALL.replace("COUNT", "100")
        with Gateway(self.args) as g:
            a = self.machine(g, text, [("rows.awk", ROWS)])
            self.keep("no-op", "pawl build of 100 steps", self.run(a, g, "build", "-q"))
            for _ in range(self.args.repeat):
                self.keep("no-op", "pawl build, nothing to do", self.run(a, g, "build", "-q"))

    def checkpoint(self):
        """A file of which 1 % changes, in 100 places."""
        size = self.args.checkpoint * MIB
        source = os.path.join(self.top, "checkpoint.bin")
        write_noise(source, size)
        pipeline = CHECKPOINT.replace("SOURCE", source)
        with Gateway(self.args) as g:
            a = self.machine(g, pipeline, [("version", "1")])
            self.keep("checkpoint", "pawl build, the first time", self.run(a, g, "build", "-q"))
            rng = random.Random(7)
            with open(source, "r+b") as f:
                for i in range(100):
                    f.seek(size // 100 * i + rng.randrange(size // 200))
                    f.write(rng.randbytes(size // 10000))
            with open(os.path.join(a[0], "version"), "w", encoding="utf-8") as f:
                f.write("2")
            self.keep("checkpoint", "pawl build after 1 % changed in 100 places", self.run(a, g, "build", "-q"))

    # ---- the report ----

    def print_table(self):
        print("| case | what | s | CPU s | peak MiB | requests | MiB down | MiB up |\n|---|---|---|---|---|---|---|---|")
        for case, tool in self.order:
            print(f"| {case} | {tool} | {self.best[case, tool].row()} |")

    def print_targets(self):
        print()
        for case in ("small", "folder"):
            ours = self.seconds(case, "pawl build in an empty clone")
            for tool, least in (("aws s3 cp of their bytes as large objects", 0.5),
                                ("curl of their bytes as large objects", 0.5),
                                ("aws s3 cp --recursive, one object a file", 20)):
                self.target(f"{case}: restored, against {tool}", ours, self.seconds(case, tool), least)
        for way, own in (("up", "pawl cache push"), ("down", "pawl build in an empty clone"), ("up", "pawl build that makes it and gives it")):
            for tool in ("aws s3 cp", "rclone copy"):
                self.target(f"model {way}: {own} against {tool}", self.seconds("model " + way, own),
                            self.seconds("model " + way, tool), 1)
        for case in ("model up", "model down", "checkpoint", "folder", "small"):
            peaks = [r.peak / 1024 for (c, tool), r in self.best.items() if c == case and tool.startswith("pawl")]
            if peaks:
                self.bound(f"{case}: peak memory of pawl, MiB", max(peaks), 64)
        noops = [sum(r.kinds.values()) for (_, tool), r in self.best.items() if tool == "pawl build, nothing to do"]
        if noops:
            self.bound("requests of a build with nothing to do", max(noops), 1)
        changed = self.best.get(("checkpoint", "pawl build after 1 % changed in 100 places"))
        if changed:
            self.bound("checkpoint: share of its bytes that went up, %", 100 * changed.sent / (self.args.checkpoint * MIB), 5)

    def target(self, what, ours, other, least):
        if ours and other:
            print(f"- {what}: {other / ours:.2f} times as fast, wanted {least}: {'yes' if other >= ours * least else 'NO'}")

    def bound(self, what, value, most):
        print(f"- {what}: {value:.1f}, wanted at most {most}: {'yes' if value <= most else 'NO'}")


class Gateway(gateway.Gateway):
    """With a bucket, and room for what is measured."""
    def __init__(self, args):
        super().__init__(store=args.store, log=True)

    def start(self):
        super().start()
        self.make_bucket(BUCKET)


def write_noise(path, size):
    rng = random.Random(size)
    with open(path, "wb") as f:
        for _ in range(size // MIB):
            f.write(rng.randbytes(MIB))


def join_files(folder, to):
    """All bytes of the folder's files in a few large ones; how many."""
    number, left, out = 0, 0, None
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            data = f.read()
        if left < len(data):
            if out:
                out.close()
            out, left, number = open(os.path.join(to, str(number)), "wb"), LARGE, number + 1
        out.write(data)
        left -= len(data)
    if out:
        out.close()
    return number


def digests(folder):
    found = {}
    for name in os.listdir(folder):
        h = hashlib.sha256()
        with open(os.path.join(folder, name), "rb") as f:
            while piece := f.read(MIB):
                h.update(piece)
        found[name] = h.digest()
    return found


def check_same(one, other):
    if digests(one) != digests(other):
        raise SystemExit(f"{one} and {other} differ")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pawl", default=os.path.join(HERE, "../../build/release/pawl"))
    parser.add_argument("--cases", default="small,folder,model,noop,checkpoint")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--small", type=int, default=10000, help="files of 1 to 50 kB")
    parser.add_argument("--model", type=int, default=1024, help="MiB")
    parser.add_argument("--checkpoint", type=int, default=512, help="MiB")
    parser.add_argument("--store", default="12G", help="what the gateway's memory may hold; it needs twice that")
    parser.add_argument("--one-by-one", type=int, default=1, help="how often files are copied one object each: slow")
    args = parser.parse_args()
    absent = gateway.missing()
    if absent:
        raise SystemExit(absent)
    top = tempfile.mkdtemp(prefix="pawl-bench-")
    try:
        b = Bench(args, top)
        print(f"load at the beginning: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n", flush=True)
        for case in args.cases.split(","):
            if case in ("small", "folder"):
                b.small(case, SMALL if case == "small" else FOLDER)
            else:
                getattr(b, case)()
        b.print_table()
        b.print_targets()
        print(f"\nload at the end: {os.getloadavg()[0]:.1f}")
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
