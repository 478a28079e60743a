#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inputs in S3, of builds against a real gateway whose requests are counted on the way. inputs.py PAWL [NAME...]
Exit code 77: no gateway is installed."""
import concurrent.futures
import hashlib
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
FEW_THREADS = os.environ.get("PAWL_TEST_FEW_THREADS", "")  # few_threads.c, as a library; empty: not built
BUCKET = "pawl-data"


class LaterFault(proxy.Fault):
    """Spares the first requests of each kind, and all but those for which only_for holds."""

    def __init__(self, text, upstream, spared, only_for=None):
        self.spared, self.only_for = spared, only_for or (lambda head: True)
        super().__init__(text, upstream)

    def befalls(self, head):
        kind = tuple(part.split(b"?")[0] for part in head.split(b" ")[:2])
        return super().befalls(head) and self.seen[kind] > self.spared and self.only_for(head)


class Wire:
    """What a workspace's requests pass through, and how many there were of each kind."""

    def __init__(self, g, fault="none", spared=0, only_for=None):
        self.fault = LaterFault(fault, ("127.0.0.1", g.port), spared, only_for)
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
        home = os.path.join(top, "home")
        os.makedirs(self.dir)
        os.makedirs(home, exist_ok=True)
        self.wire = Wire(g, fault)
        self.write("Pipelinefile", pipeline)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "PAWL_"))}
        self.env.update(HOME=home, PAWL_CACHE_DIR=os.path.join(top, (cache or name) + "-cache"),
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


def many_cost_few_requests(top, g, s3):
    """Side by side in one folder, and each in a folder of its own."""
    keys = [f"many/part-{i:03}.csv" for i in range(40)] + [f"days/dt={i:02}/part.csv" for i in range(40)]
    for key in keys:
        s3.put(key, key)
    uris = ", ".join(f'"{uri(k)}"' for k in keys)
    w = Workspace(top, g, "many", f"""
let shards = [{uris}]
step count {{ in data = shards out o = "count.txt" run "cat {{{{data}}}} | wc -c > {{{{o}}}}" }}
step each for shard in slice(shards, 0, 3) {{
    in data = shard
    out o = "each/{{{{basename(data)}}}}.txt"
    run "cat {{{{data}}}} > {{{{o}}}}"
}}
""")
    w.build("-j1", ran=4)
    got = w.wire.counts()
    want(got["GET"] == 80, f"each object once: {got}")
    w.build(up_to_date=4)
    w.wire.expect("unchanged", LIST=1)
    want(w.read("count.txt").strip() == str(sum(map(len, keys))), "not all of it")
    want(w.read("each/part-001.csv.txt") == keys[1], "not that one")


def few_among_many(top, g, s3):
    """Keys that lie far apart among others: never many more requests than keys."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: s3.put(f"among/{i // 600}/{i:05}", str(i)), range(1800)))
    wanted = [0, 1, 2, 599, 600, 1100, 1199, 1200, 1799]
    keys = [f"among/{i // 600}/{i:05}" for i in wanted] + ["among", "amongst"]
    for key in keys[-2:]:
        s3.put(key, key)
    uris = ", ".join(f'"{uri(k)}"' for k in keys)
    w = Workspace(top, g, "among", f'step s {{ in data = [{uris}] out o = "o" run "cat {{{{data}}}} > {{{{o}}}}" }}')
    w.build(ran=1)
    want(w.read("o") == "".join(map(str, wanted)) + "amongamongst", "not what lies there", w.read("o"))
    w.wire.counts()
    w.build(up_to_date=1)
    got = w.wire.counts()
    want(got["GET"] == 0 and 0 < got["LIST"] <= 9 and got["LIST"] + got["HEAD"] <= len(keys) + 2, f"{got}")
    s3.put(keys[5], "other")
    w.build(ran=1)
    s3.drop(keys[7])
    out = w.run("build", code=2)
    want(keys[7] in out and out.count("error:") == 1, "not told", out)


def only_the_uri(top, g, s3):
    """Who reads by itself needs no copy; nor does a name, or a question."""
    s3.put("uri/data.bin", "12345")
    w = Workspace(top, g, "uri", f"""
step show {{
    in data = "{uri('uri/data.bin')}"
    out o = "{{{{stem(data)}}}}.txt"
    run "echo {{{{uri(data)}}}} {{{{basename(data)}}}} > {{{{o}}}}"
}}
step unnamed {{ in "{uri('uri/data.bin')}" out "u" run "touch u" }}
""")
    for question in (["status"], ["explain", "show"], ["build", "-n"], ["status", "--json"]):
        w.run(*question)
    w.build(ran=2)
    want(w.read("data.txt") == f"{uri('uri/data.bin')} data.bin\n", "the names", w.read("data.txt"))
    s3.put("uri/data.bin", "67890")
    out = w.run("explain", "show")
    old, new = "827ccb0eea8a706c4c34a16891f84e7b", "1e01ba3e07ac48cbdab2d3284d1dd0fa"
    want(old in out and new in out, "does not tell old version and new", out)
    want("would_run" in w.run("status", "--json"), "status does not see it")
    w.build(ran=2)
    want(w.wire.counts()["GET"] == 0, "something was fetched")
    want(not os.path.exists(w.path(".pawl/s3")), "a copy was made")


def one_cache_one_transfer(top, g, s3):
    """A second workspace finds the bytes in the cache, by their version; without a cache they are fetched."""
    s3.put("once/a.txt", "a" * 3000000)
    text = f"""step a {{ in data = "{uri('once/a.txt')}" out o = "{{{{stem(data)}}}}-%s"
                           run "wc -c < {{{{data}}}} > {{{{o}}}}; echo %s" }}"""
    first = Workspace(top, g, "once-1", text % (1, 1), cache="once")
    second = Workspace(top, g, "once-2", text % (2, 2), cache="once")
    first.build(ran=1)
    second.build(ran=1)
    got = first.wire.counts(), second.wire.counts()
    want(got[0]["GET"] == 1 and got[1]["GET"] == 0, f"fetched twice: {got}")
    want(second.read("a-2") == "3000000\n", "not all of it")
    first.write("Pipelinefile", text % (3, 3))  # the copy lies there
    first.build(ran=1)
    want(first.wire.counts()["GET"] == 0, "fetched again")
    shutil.rmtree(first.path(".pawl/s3"))
    first.build("--rerun", "a", ran=1)
    want(first.wire.counts()["GET"] == 0, "fetched again")
    want(f"{uri('once/a.txt')}, etag " in first.run("cache", "ls"), "the cache does not tell what it has")
    third = Workspace(top, g, "once-3", text % (4, 4))
    third.build("--no-cache", ran=1)
    third.build("--no-cache", "--rerun", "a", ran=1)
    want(third.wire.counts()["GET"] == 1, "not once")


TREE = f"""
step list {{
    in data = "{uri('tree/v1/')}"
    out o = "list.txt"
    run "(cd {{{{data}}}} && find . -type f | sort | xargs tail -n +1) > {{{{o}}}}"
}}
step one {{ in data = "{uri('tree/v1/sub/b.txt')}" out o = "one.txt" run "cat {{{{data}}}} > {{{{o}}}}" }}
"""


def tree_of(w):
    return w.read("list.txt").replace("\n\n", "\n").strip()


def prefix_is_a_tree(top, g, s3):
    """Files that are added, removed and changed; one LIST tells, and only what is new is fetched."""
    s3.put("tree/v1/a.txt", "a\n")
    s3.put("tree/v1/sub/b.txt", "b\n")
    s3.put("tree/v1/sub/", "")  # a folder that some tool made
    s3.put("tree/v10/not-mine.txt", "no\n")
    w = Workspace(top, g, "tree", TREE)
    w.build(ran=2)
    want(tree_of(w) == "==> ./a.txt <==\na\n==> ./sub/b.txt <==\nb", "the tree", w.read("list.txt"))
    w.wire.counts()
    w.build(up_to_date=2)
    w.wire.expect("unchanged", LIST=1)
    s3.put("tree/v1/c.txt", "c\n")
    w.build(ran=1, up_to_date=1)
    want(w.wire.counts()["GET"] == 1, "more than what was added")
    want("./c.txt" in tree_of(w), "not added", w.read("list.txt"))
    s3.drop("tree/v1/a.txt")
    w.build(ran=1, up_to_date=1)
    want("./a.txt" not in tree_of(w), "not removed", w.read("list.txt"))
    s3.put("tree/v1/sub/b.txt", "B\n")
    w.wire.counts()
    w.build(ran=2)
    want(w.wire.counts()["GET"] <= 2 and w.read("one.txt") == "B\n", "not changed")
    want(tree_of(w) == "==> ./c.txt <==\nc\n==> ./sub/b.txt <==\nB", "the tree", w.read("list.txt"))
    other = Workspace(top, g, "tree-2", TREE.replace("out o", "param p out o").replace("step list", "param p = 1\nstep list"),
                      cache="tree")
    other.build(ran=2)
    want(other.wire.counts()["GET"] == 0, "fetched though it is in the cache")


def changed_while_it_ran(top, g, s3):
    """The result is told as ran, is not kept, and the step runs again; also where a copy was read."""
    for name, use in (("uri", "{{uri(data)}}"), ("copy", "$(cat {{data}})")):
        key = f"while/{name}.txt"
        s3.put(key, "before")
        w = Workspace(top, g, f"while-{name}", f"""
step s {{ in data = "{uri(key)}" out o = "o" run "echo {use} > {{{{o}}}}; touch began; while [ ! -e go ]; do sleep 0.05; done" }}
""")
        process = w.start("build", "--json")
        while not os.path.exists(w.path("began")):
            want(process.poll() is None, "it ended", "")
            time.sleep(0.02)
        s3.put(key, "after")
        w.write("go", "")
        out, _ = process.communicate(timeout=60)
        told = w.check(out, ran=1)
        want(process.returncode == 0 and told.notices == ["input-changed"], "is not told", out)
        told = w.build(ran=1)
        want(told.notices == [], "is told again", told.out)
        w.build(up_to_date=1)
        s3.put(key, "before")  # what was read is not what the result of then would be
        w.build(ran=1)


def replaced_in_a_long_build(top, g, s3):
    """A step whose turn comes late goes by what lies there then, and not by what the build began with."""
    s3.put("long/data.txt", "before")
    w = Workspace(top, g, "long", f"""
step slow {{ in "src" out o = "same" run "touch began; while [ ! -e go ]; do sleep 0.05; done; echo same > {{{{o}}}}" }}
step late {{ in slow.o, data = "{uri('long/data.txt')}" out o = "late" run "cp {{{{data}}}} {{{{o}}}}" }}
step named {{ in slow.o, data = "{uri('long/data.txt')}" out o = "named" run "echo {{{{uri(data)}}}} > {{{{o}}}}" }}
""")
    w.write("src", "1")
    w.write("go", "")
    w.build(ran=3)
    os.remove(w.path("go"))
    os.remove(w.path("began"))
    w.write("src", "2")
    process = w.start("build", "--json", "-j2")
    while not os.path.exists(w.path("began")):
        want(process.poll() is None, "it ended", "")
        time.sleep(0.02)
    s3.put("long/data.txt", "after")
    time.sleep(61)  # so old the build's first answer must be
    w.write("go", "")
    out, _ = process.communicate(timeout=60)
    told = w.check(out, ran=3)
    want(told.notices == [], "did not know", out)
    want(w.read("late") == "after", "went by the old version", out)
    w.build(up_to_date=3)


def what_is_not_there(top, g, s3):
    """Told with place and remedy, before anything runs."""
    s3.put("there/x", "x")
    for missing, words in ((uri("there/y"), "is not there"), (uri("there/no/"), "nothing lies below"),
                           (uri("there/*.csv"), "no patterns"),
                           ("s3://pawl-no-such-bucket/x", "there is no bucket 'pawl-no-such-bucket'"),
                           ("s3://pawl-no-such-bucket/x/", "there is no bucket 'pawl-no-such-bucket'")):
        w = Workspace(top, g, f"there-{len(os.listdir(top))}", f"""
step first {{ out "marker" run "touch marker" }}
step x {{
    in data = "{missing}"
    out o = "o"
    run "cat {{{{data}}}} > {{{{o}}}}"
}}
""")
        out = w.run("build", code=2)
        want("Pipelinefile:4:15: error" in out and words in out and "help:" in out, "not told as it should be", out)
        want(not os.path.exists(w.path("marker")), "something ran")
        w.build("first", ran=1)
    w = Workspace(top, g, "there-wrong", 'step x { in data = "s3://bucket" out o = "o" run "cat {{data}} > {{o}}" }')
    want("names a bucket" in w.run("check", code=2), "not told")


BESIDE = f"""
step local {{ out o = "local.txt" run "echo x > {{{{o}}}}" }}
step far {{ in data = "{uri('two/left.txt')}" out o = "far.txt" run "cat {{{{data}}}} > {{{{o}}}}" }}
step behind {{ in far.o out o = "behind.txt" run "cat far.txt > {{{{o}}}}" }}
"""


def trouble_is_its_own(top, g, s3):
    """Who does not need what cannot be asked is built; who needs it fails, says why, and is not up to date."""
    s3.put("two/left.txt", "l\n")
    troubles = [("denied", {"AWS_ACCESS_KEY_ID": gateway.STRANGER_ID}, "none", "403"),
                ("keys", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "none", "403"),
                ("refused", {}, "refuse", ""), ("500", {}, "status-500", "500"), ("silent", {}, "stall", ""),
                ("no-http", {}, "no-http", "")]
    for name, env, fault, words in troubles:
        w = Workspace(top, g, f"trouble-{name}", BESIDE)
        w.build(ran=3)
        good = dict(w.env)
        os.unlink(w.path("local.txt"))
        w.env.update(env)
        w.env["AWS_ENDPOINT_URL_S3"] = Wire(g, fault).endpoint
        begun = time.monotonic()
        told = w.build("-k", "0", code=1, restored=1, failed=1, skipped=1)
        took = time.monotonic() - begun
        reason = told.steps["far"]["reason"]
        want("cannot be learned" in reason and words in reason, f"{name}: the reason", told.out)
        want(took < 40, f"{name}: took {took:.1f} s")
        asked = w.check(w.run("status", "--json"))
        want(asked.steps["far"]["result"] == "may_run" and asked.steps["behind"]["result"] == "may_run"
             and "cannot be learned" in asked.steps["far"]["reason"], f"{name}: asked", asked.out)
        w.env = good
        w.build(up_to_date=3)


def odd_keys(top, g, s3):
    """Nothing is ever written elsewhere, and keys that stand in each other's way do not."""
    keys = ["odd/../../up", "odd//double", "odd/sp ace 'q' $x", "odd/\u00fc.txt", "odd/plus+plus", "odd/a", "odd/a/b",
            "odd/" + "long" * 60, "odd/.pawl", "/odd/lead", "odd/./dot", "odd/-n", "odd/..", "odd/tail/.", "odd/c%2Fd"]
    for key in keys:
        s3.put(key, key + "\n")
    steps = "".join(f"""step s{i} {{ in data = "{uri(k)}" out o = "out/{i}" run "cat {{{{data}}}} > {{{{o}}}}" }}
""" for i, k in enumerate(keys))
    w = Workspace(top, g, "odd", steps)
    before = sorted(os.listdir(top))
    w.build(ran=len(keys))
    for i, key in enumerate(keys):
        want(w.read(f"out/{i}") == key + "\n", f"{key!r} differs", w.read(f"out/{i}"))
    want(sorted(os.listdir(top)) == sorted(set(before + ["odd-cache"])), "something lies elsewhere")
    want(sorted(os.listdir(w.dir)) == [".pawl", "Pipelinefile", "out"], "something lies elsewhere",
         str(os.listdir(w.dir)))
    places = os.listdir(w.path(f".pawl/s3/{BUCKET}"))
    want(all("/" not in p and p not in (".", "..") for p in places), str(places))
    w.build(up_to_date=len(keys))
    # As a tree they cannot be: that is said, and only where the copy is wanted.
    w = Workspace(top, g, "odd-tree", f"""
step copy {{ in data = "{uri('odd/')}" out o = "o" run "ls {{{{data}}}} > {{{{o}}}}" }}
step uri {{ in data = "{uri('odd/')}" out o = "u" run "echo {{{{uri(data)}}}} > {{{{o}}}}" }}
""")
    told = w.build("-k", "0", code=1, ran=1, failed=1)
    want("cannot be a file's name" in told.steps["copy"]["reason"], "the reason", told.out)
    want(sorted(os.listdir(w.dir)) == [".pawl", "Pipelinefile", "u"], "something lies elsewhere")


def broken_transfers(top, g, s3):
    """What is cut off goes on; what stalls for ever fails the step, and the next build has it."""
    body = os.urandom(1 << 16) * 400  # 25 MiB
    s3.put("big/file.bin", body)
    text = f"""step s {{ in data = "{uri('big/file.bin')}" out o = "sum" run "sha256sum < {{{{data}}}} > {{{{o}}}}" }}"""
    digest = hashlib.sha256(body).hexdigest() + "  -\n"
    for fault in ("cut-400@1", "cut-5000@2", "garble-head@1", "status-503@2", "length-more@1"):
        w = Workspace(top, g, "big-" + fault.replace("@", "-"), text, fault=fault)
        w.build(ran=1)
        want(w.read("sum") == digest, f"{fault}: wrong bytes")
    w = Workspace(top, g, "big-cut", text)
    good, w.env["AWS_ENDPOINT_URL_S3"] = w.env["AWS_ENDPOINT_URL_S3"], Wire(g, "cut-5000").endpoint
    w.build(code=1, failed=1)
    w.env["AWS_ENDPOINT_URL_S3"] = good
    w.build(ran=1)
    want(w.read("sum") == digest, "wrong bytes")


def no_word_of_the_version(top, g, s3):
    """Bytes that come without an ETag, or with one that is too long to be kept, may be of any version."""
    s3.put("mute/file.txt", "which\n")
    text = f"""step s {{ in data = "{uri('mute/file.txt')}" out o = "o" run "cat {{{{data}}}} > {{{{o}}}}" }}"""
    for fault in ("etag-none", "etag-long"):
        w = Workspace(top, g, f"mute-{fault}", text)
        good = w.env["AWS_ENDPOINT_URL_S3"]
        w.env["AWS_ENDPOINT_URL_S3"] = Wire(g, fault, only_for=lambda head: head.startswith(b"GET ")).endpoint
        told = w.build(code=1, failed=1)
        want("cannot be fetched" in told.steps["s"]["reason"], f"{fault}: the reason", told.out)
        w.env["AWS_ENDPOINT_URL_S3"] = good
        w.build(ran=1)


def emptied_while_it_was_fetched(top, g, s3):
    """What was asked for is no longer within the object: it is another version, and not a server that gives nothing."""
    s3.put("shrinks/file.txt", "x" * 1000)
    text = f"""step s {{ in data = "{uri('shrinks/file.txt')}" out o = "o" run "cat {{{{data}}}} > {{{{o}}}}" }}"""
    w = Workspace(top, g, "shrinks", text)
    left = ["shrinks/file.txt"]

    def before(head):
        if head.startswith(b"GET ") and left:
            s3.put(left.pop(), "")
        return True

    w.env["AWS_ENDPOINT_URL_S3"] = Wire(g, only_for=before).endpoint
    w.build(ran=1)
    want(not left and w.read("o") == "", "not what lies there now")


def no_threads(top, g, s3):
    """Where none can be started for it, the step says so; nothing waits for ever."""
    s3.put("threads/file.txt", "x\n")
    text = f"""
step local {{ out o = "local.txt" run "echo x > {{{{o}}}}" }}
step s {{ in data = "{uri('threads/file.txt')}" out o = "o" run "cat {{{{data}}}} > {{{{o}}}}" }}"""
    own = len(os.sched_getaffinity(0))  # the build's
    for name, more, words in (("ask", 0, "cannot be learned: no thread"), ("fetch", 4, "cannot be fetched: no thread")):
        w = Workspace(top, g, f"threads-{name}", text)
        plain = dict(w.env)
        w.env.update(LD_PRELOAD=FEW_THREADS, PAWL_TEST_THREADS=str(own + more))
        told = w.build("-k", "0", code=1, ran=1, failed=1)
        want(words in told.steps["s"]["reason"], f"{name}: the reason", told.out)
        w.env = plain
        w.build(ran=1, up_to_date=1)


def killed_and_taken_up(top, g, s3):
    """Of a large object what an earlier build got is not fetched again, whatever ended that build."""
    window, part = 128 << 20, 8 << 20
    body = os.urandom(1 << 20) * 145
    s3.put("huge.bin", body)
    w = Workspace(top, g, "huge", f"""
step s {{ in data = "{uri('huge.bin')}" out o = "sum" run "sha256sum < {{{{data}}}} > {{{{o}}}}" }}""")
    w.env["AWS_ENDPOINT_URL_S3"] = Wire(g, "stall-body", spared=window // part).endpoint
    process = w.start("build", "--json")

    def got():
        folders = os.walk(w.path(".pawl/s3/+new")) if os.path.exists(w.path(".pawl/s3/+new")) else []
        return max((os.path.getsize(os.path.join(d, n)) for d, _, names in folders for n in names), default=0)

    while got() <= window:
        want(process.poll() is None, "it ended")
        time.sleep(0.05)
    process.kill()
    process.communicate()
    w.env["AWS_ENDPOINT_URL_S3"] = w.wire.endpoint
    told = w.build(ran=1)
    want(told.notices == ["s3-fetching"], "is not told", told.out)
    want(w.wire.counts()["GET"] == 3, "more than the rest")
    want(w.read("sum") == hashlib.sha256(body).hexdigest() + "  -\n", "wrong bytes")
    want(not os.path.exists(w.path(".pawl/s3/+new")) or not os.listdir(w.path(".pawl/s3/+new")), "rubbish is left")
    s3.drop("huge.bin")


def listings_that_lie(top, g, s3):
    """Out of order, without end, cut: the step fails and says so, or the question is asked again."""
    for i in range(5):
        s3.put(f"lies/{i}", str(i))
    text = f"""step s {{ in data = "{uri('lies/')}" out o = "o" run "cat {{{{data}}}}/* > {{{{o}}}}" }}"""
    for fault, ends_well in (("list-backwards", False), ("list-forever", False), ("truncated-xml", False),
                             ("truncated-xml@1", True), ("error-in-200@1", True), ("cut-400@1", True)):
        w = Workspace(top, g, "lies-" + fault.replace("@", "-"), text, fault=fault)
        told = w.build(code=0 if ends_well else 1, **{"ran" if ends_well else "failed": 1})
        want(ends_well or "cannot be learned" in told.steps["s"]["reason"], f"{fault}: the reason", told.out)
    keys = ", ".join(f'"{uri(f"lies/{i}")}"' for i in range(5))
    w = Workspace(top, g, "lies-keys", f'step s {{ in data = [{keys}] out o = "o" run "cat {{{{data}}}} > {{{{o}}}}" }}',
                  fault="list-backwards")  # of single objects a listing is only a short cut
    w.build(ran=1)
    want(w.read("o") == "01234", "not what lies there")


def with_the_rest_of_a_build(top, g, s3):
    """Late fan-outs, restoring, the program's other ways to look at a pipeline."""
    for i in range(3):
        s3.put(f"rest/{i}", f"{i}\n")
    w = Workspace(top, g, "rest", f"""
step names {{ out all = "names/" run "for i in 0 1 2; do touch {{{{all}}}}/$i; done" }}
step each for f in names.all {{
    in data = "s3://{BUCKET}/rest/{{{{basename(f)}}}}"
    out o = "got/{{{{basename(f)}}}}"
    run "cat {{{{data}}}} > {{{{o}}}}"
}}
step sum {{ in each[*].o out o = "sum.txt" run "cat got/* > {{{{o}}}}" }}
""")
    w.build(ran=5)
    want(w.read("sum.txt") == "0\n1\n2\n", "not all")
    w.build(up_to_date=5)
    s3.put("rest/1", "one\n")
    w.build("sum", ran=2, up_to_date=3)
    want(w.read("sum.txt") == "0\none\n2\n", "not the new one")
    shutil.rmtree(w.path("got"))
    shutil.rmtree(w.path(".pawl/s3"))
    w.wire.counts()
    w.run("restore")
    want(w.read("got/1") == "one\n" and w.wire.counts()["GET"] == 0, "not restored")
    w.run("check")
    w.run("list")
    w.run("graph")
    w.run("clean")
    w.build("--only", "sum", "--no-remote", code=1, failed=1)
    w.build(restored=5)
    s3.drop("rest/2")
    want("rest/2' is not there" in w.run("build", code=2), "not told")
    shutil.rmtree(w.path(".pawl"))  # now its turn comes while others run
    told = w.build("-k", "0", "--no-cache", code=1, ran=3, failed=1, skipped=1)
    want("rest/2' is not there" in told.out, "not told", told.out)


def copies_are_guarded(top, g, s3):
    """A step that writes over its input gets no result kept, and nobody else reads that."""
    s3.put("guard/x.txt", "x\n")
    w = Workspace(top, g, "guard", f"""
step bad {{ in data = "{uri('guard/x.txt')}" out o = "bad.txt"
           run "cat {{{{data}}}} > {{{{o}}}}; chmod u+w {{{{data}}}}; echo y >> {{{{data}}}}" }}
step good {{ in data = "{uri('guard/x.txt')}" after bad out o = "good.txt" run "cat {{{{data}}}} > {{{{o}}}}" }}
""")
    told = w.build(ran=2)
    want(told.notices == ["input-changed"], "is not told", told.out)
    want(w.read("good.txt") == "x\n", "read what another step wrote")
    w.wire.counts()
    w.build(ran=1, up_to_date=1)
    w.build("--rerun", "good", ran=2)
    want(w.wire.counts()["GET"] == 0, "fetched again")


def all_the_ways_to_say_it(top, g, s3):
    """Lists, lets, code, strings of a params file, fan-outs, the folder to work in."""
    for i in range(3):
        s3.put(f"ways/{i}.txt", f"{i}\n")
    s3.put("ways/tool.sh", "cat \"$@\"\n")
    w = Workspace(top, g, "ways", f"""
params "params.yaml"
param bucket = "{BUCKET}"
let base = "s3://{{{{bucket}}}}/ways"
step code {{ code tool = "{{{{base}}}}/tool.sh" in data = ["{{{{base}}}}/0.txt", "{{{{base}}}}/1.txt"]
            out o = "code.txt" run "sh {{{{tool}}}} {{{{data}}}} > {{{{o}}}}" }}
step file {{ in data = params.data out o = "file.txt" run ["cp", data, o] }}
step each for u in ["{uri('ways/0.txt')}", "{uri('ways/1.txt')}"] {{
    in data = u out o = "each-{{{{stem(data)}}}}.txt" run "cat {{{{data}}}} > {{{{o}}}}" }}
step there {{ in data = "{{{{base}}}}/" out o = "there.txt" cwd data run "cat 2.txt > {{{{o}}}}" }}
step env {{ in data = "{{{{base}}}}/2.txt" env DATA = data out o = "env.txt" run "cat $DATA > {{{{o}}}}" }}
step urls {{ in data = ["{{{{base}}}}/0.txt", "{{{{base}}}}/1.txt"] out o = "urls.txt" run "echo {{{{uri(data)}}}} > {{{{o}}}}" }}
""")
    w.write("params.yaml", f"data: {uri('ways/2.txt')}\n")
    w.build(ran=7)
    for name, text in (("code", "0\n1\n"), ("file", "2\n"), ("each-0", "0\n"), ("each-1", "1\n"), ("there", "2\n"),
                       ("env", "2\n"), ("urls", f"{uri('ways/0.txt')} {uri('ways/1.txt')}\n")):
        want(w.read(name + ".txt") == text, f"{name}: {w.read(name + '.txt')!r}")
    w.build(up_to_date=7)


def the_remote_s_bucket(top, g, s3):
    """It is reached as the remote cache is, also with --no-remote; other buckets are not."""
    s3.put("own/x.txt", "x\n")
    text = f"""
remote "s3://{BUCKET}/cache" {{ region = "us-east-1" path_style = true endpoint = "ENDPOINT" }}
step s {{ in data = "{uri('own/x.txt')}" out o = "o" run "cat {{{{data}}}} > {{{{o}}}}" }}
"""
    w = Workspace(top, g, "own", "")
    w.write("Pipelinefile", text.replace("ENDPOINT", w.wire.endpoint))
    del w.env["AWS_ENDPOINT_URL_S3"]
    w.build("--no-remote", ran=1)
    w.build(up_to_date=1)
    w.write("Pipelinefile", text.replace(' endpoint = "ENDPOINT"', ""))
    w.env.update(PAWL_REMOTE_ENDPOINT=w.wire.endpoint, PAWL_REMOTE="off")
    w.build("--no-remote", up_to_date=1)


def copies_that_nobody_names(top, g, s3):
    """clean takes those away, with what was begun for them; named ones stay, and so does all when targets are named."""
    text = f"""step s {{ in data = ["{uri('old/a.txt')}", "{uri('old/tree/')}", "{uri('new.txt')}"] out o = "o"
        run "find {{{{data}}}} -type f > {{{{o}}}}" }}"""
    for key in ("old/a.txt", "old/tree/x", "old/tree/y/z", "new.txt"):
        s3.put(key, key)
    w = Workspace(top, g, "nobody", text)
    w.build(ran=1)
    os.makedirs(w.path(".pawl/s3/+new/0123456789abcdef"))
    os.makedirs(w.path("mine/folder/file"))
    os.symlink("../../mine", w.path(".pawl/s3/link"))
    copies = w.read("o").split()
    want(len(copies) == 4, "not as many", w.read("o"))
    w.write("Pipelinefile", f"""step s {{ in data = "{uri('new.txt')}" out o = "o" run "echo {{{{data}}}} > {{{{o}}}}" }}""")
    w.run("clean", "s")
    w.run("clean", "-n")
    want(all(os.path.exists(w.path(c)) for c in copies), "one is gone", str(copies))
    w.run("clean")
    left = [os.path.join(d, n) for d, _, names in os.walk(w.path(".pawl/s3")) for n in names]
    want([os.path.basename(n) for n in left] == ["new.txt"], "not what is named", str(left))
    want(not os.path.exists(w.path(".pawl/s3/+new")), "what was begun is left")
    want(os.path.exists(w.path("mine/folder/file")), "followed a link")
    w.wire.counts()
    w.build(ran=1)
    want(w.wire.counts()["GET"] == 0, "fetched again")


def watched(top, g, s3):
    """--watch asks S3 every so often; what it cannot learn it goes on without, and what is as it was runs nothing."""
    s3.put("watch/x.txt", "one\n")
    s3.put("watch/gone.txt", "here\n")
    w = Workspace(top, g, "watch", f"""
step s {{ in data = "{uri('watch/x.txt')}" out o = "o" run "cat {{{{data}}}} > {{{{o}}}}" }}
step bad {{ in "{uri('watch/gone.txt')}" out "bad" run "echo ran >> log; false" }}
""", PAWL_WATCH_S3="200ms")
    process = w.start("build", "--json", "-k", "0", "--watch")

    def until(condition, what):
        end = time.monotonic() + 30
        while not condition():
            want(process.poll() is None and time.monotonic() < end, what)
            time.sleep(0.02)

    def polled():
        return w.wire.counts()["HEAD"] + w.wire.counts()["LIST"] > 0

    def o_is(text):
        return lambda: os.path.exists(w.path("o")) and w.read("o") == text

    try:
        until(o_is("one\n"), "was not built")
        until(lambda: os.path.exists(w.path("log")), "was not tried")
        w.wire.counts()
        for _ in range(3):
            until(polled, "does not ask")
        want(w.read("log") == "ran\n", "what failed ran again for nothing", w.read("log"))
        s3.put("watch/x.txt", "two\n")
        until(o_is("two\n"), "does not see another version")
        until(lambda: w.read("log") == "ran\nran\n", "was not tried again")
    finally:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    want(process.returncode == 130, f"ended with {process.returncode}", out)


def interrupted(top, g, s3):
    """Ctrl-C while something is fetched ends at once; what the cache has of it is not fetched again."""
    s3.put("slow/x.bin", os.urandom(1 << 20))
    text = f"""step s {{ in data = "{uri('slow/x.bin')}" out o = "o" run "cat {{{{data}}}} > {{{{o}}}}" }}"""
    w = Workspace(top, g, "slow", text)
    for fault, kind in (("stall", b"HEAD"), ("stall-body", b"GET")):
        wire = Wire(g, fault)
        w.env["AWS_ENDPOINT_URL_S3"] = wire.endpoint
        process = w.start("build", "--json")
        while not any(method == kind for method, _ in list(wire.fault.seen)):
            want(process.poll() is None, "it ended")
            time.sleep(0.02)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        want(process.returncode == 130, f"{fault}: ended with {process.returncode}", out)
        want(time.monotonic() - begun < 10, f"{fault}: took {time.monotonic() - begun:.1f} s", out)
    w.env["AWS_ENDPOINT_URL_S3"] = w.wire.endpoint
    w.build(ran=1)


TESTS = [replaced_in_place, many_cost_few_requests, few_among_many, only_the_uri, one_cache_one_transfer, prefix_is_a_tree,
         changed_while_it_ran, replaced_in_a_long_build, what_is_not_there, trouble_is_its_own, odd_keys, broken_transfers,
         no_word_of_the_version, emptied_while_it_was_fetched, no_threads,
         killed_and_taken_up, listings_that_lie, with_the_rest_of_a_build, copies_are_guarded, all_the_ways_to_say_it,
         the_remote_s_bucket, copies_that_nobody_names, watched,
         interrupted]


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
                if test is no_threads and not FEW_THREADS:
                    continue
                if not names or test.__name__ in names:
                    begun = time.monotonic()
                    test(top, g, s3)
                    print(f"{test.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
