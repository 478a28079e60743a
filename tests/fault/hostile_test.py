#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What one who may write to a remote cache can put there: segments, packs and trees that are framed well and lie.

    tests/fault/hostile_test.py PAWL [CASE…]

In each case a machine with an empty cache builds beside such a place. The build ends well, with the bytes of a build from
nothing or with those that the result honestly names, in bounded time and memory, with at most one warning; nothing outside of
the workspace changes, and the local cache is sound afterwards."""
import ctypes
import ctypes.util
import hashlib
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

PIPELINE = """step a { in "src" out o = "out" run "cp src {{o}}; echo a >> {{o}}" }
step d { in "src" out t = "tree/" run "mkdir {{t}}/sub; cp src {{t}}/x; cp src {{t}}/sub/y" }
"""
LIMIT_S, LIMIT_BYTES = 30, 3 << 30
BLOB, LIST, TREE, LINK = 1, 2, 3, 4
HUGE = 1 << 62


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def text(b):
    return varint(len(b)) + b


def sha(b):
    return hashlib.sha256(b).digest()


class Reader:
    def __init__(self, b):
        self.b, self.at = b, 0

    def take(self, n):
        self.at += n
        assert self.at <= len(self.b)
        return self.b[self.at - n:self.at]

    def byte(self):
        return self.take(1)[0]

    def varint(self):
        n = shift = 0
        while True:
            x = self.byte()
            n |= (x & 127) << shift
            shift += 7
            if x < 128:
                return n

    def text(self):
        return self.take(self.varint())

    def rest(self):
        return self.b[self.at:]


class Zstd:
    """libzstd, which pawl itself is linked with."""
    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
        for name in ("ZSTD_decompress", "ZSTD_compress", "ZSTD_compressBound"):
            getattr(self.lib, name).restype = ctypes.c_size_t

    def unpack(self, data, size):
        out = ctypes.create_string_buffer(size)
        n = self.lib.ZSTD_decompress(out, ctypes.c_size_t(size), data, ctypes.c_size_t(len(data)))
        assert n == size
        return out.raw

    def pack(self, data):
        room = self.lib.ZSTD_compressBound(ctypes.c_size_t(len(data)))
        out = ctypes.create_string_buffer(room)
        n = self.lib.ZSTD_compress(out, ctypes.c_size_t(room), data, ctypes.c_size_t(len(data)), 3)
        return out.raw[:n]


def bomb(size, said=None):
    """A zstd frame of a few bytes that comes to so many zeros."""
    said = size if said is None else said
    out = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", said)
    while size:
        n = min(size, 128 << 10)
        size -= n
        out += struct.pack("<I", n << 3 | 1 << 1 | (size == 0))[:3] + b"\0"
    return out


class Row:
    """A record, of which a case changes what it likes."""
    def __init__(self, row):
        r = Reader(row)
        self.version, self.fingerprint, self.success = r.byte(), r.take(32), r.take(8)
        self.duration, self.hint = r.varint(), r.take(8)
        self.outputs = []
        for _ in range(r.varint()):
            path, kind, mode, size, digest = r.text(), r.byte(), r.varint(), r.varint(), r.take(32)
            self.outputs.append([path, kind, mode, size, digest, r.take(32) if kind == TREE else b""])
        self.log = r.byte()
        self.log_rest = (r.varint(), r.take(32)) if self.log else None
        self.rest, self.count = r.rest(), None

    def encode(self):
        out = bytes([self.version]) + self.fingerprint + self.success + varint(self.duration) + self.hint
        out += varint(len(self.outputs) if self.count is None else self.count)
        for path, kind, mode, size, digest, content in self.outputs:
            out += text(path) + bytes([kind]) + varint(mode) + varint(size) + digest + content
        out += bytes([self.log]) + (varint(self.log_rest[0]) + self.log_rest[1] if self.log else b"")
        return out + self.rest


def block(rows, count=None):
    return (b"pawl block\0\x01" + bytes(16) + text(b"somebody") + struct.pack("<Q", int(time.time() * 1000))
            + varint(len(rows) if count is None else count) + b"".join(b"\x01" + text(r) for r in rows) + bytes(64))


class Pack:
    """Raw items, or what a case says that they are."""
    def __init__(self):
        self.id, self.body, self.found, self.count = os.urandom(16), b"pawlpak1", {}, 0

    def add(self, data, encoding=0, stored=None, raw=None):
        at = len(self.body)
        self.body += bytes([encoding]) + varint(len(data) if stored is None else stored)
        self.body += varint(len(data) if raw is None else raw) + data
        self.count += 1
        return at

    def object(self, data):
        """(size, digest), added once."""
        if sha(data) not in self.found:
            self.found[sha(data)] = self.add(data)
        return len(data), sha(data)

    def run(self, at=8, length=None, count=None, number=0):
        return number, at, len(self.body) - at if length is None else length, self.count if count is None else count


def place(kind, size, digest, runs, count=None):
    return (bytes([kind]) + varint(size) + digest + varint(len(runs) if count is None else count)
            + b"".join(b"".join(varint(x) for x in run) for run in runs))


def places(ids, all_places, counts=(None, None)):
    return (varint(len(ids) if counts[0] is None else counts[0]) + b"".join(ids)
            + varint(len(all_places) if counts[1] is None else counts[1]) + b"".join(all_places))


def sections(*parts):
    return b"".join(bytes([tag]) + varint(len(b) if n is None else n) + b
                    for tag, b, n in [p if len(p) == 3 else (*p, None) for p in parts])


class Test:
    def __init__(self, pawl):
        self.pawl, self.zstd = os.path.abspath(pawl), Zstd()
        with open(self.pawl, "rb") as f:
            self.sanitized = b"__asan_init" in f.read()
        self.top = tempfile.mkdtemp(prefix="pawl-hostile-")
        self.far = os.path.join(self.top, "far")
        self.outside = os.path.join(self.top, "outside")
        os.mkdir(self.outside)
        with open(self.outside + "/kept", "w", encoding="ascii") as f:
            f.write("kept\n")
        self.number, self.wrong = 0, []

    # -- machines

    def machine(self):
        self.number += 1
        ws = os.path.join(self.top, f"ws{self.number}")
        os.mkdir(ws)
        for name, body in (("Pipelinefile", PIPELINE), ("src", "source\n")):
            with open(os.path.join(ws, name), "w", encoding="ascii") as f:
                f.write(body)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PAWL_", "AWS_"))}
        env.update(HOME=self.top, PAWL_CACHE_DIR=ws + ".cache", PAWL_REMOTE="file://" + self.far)
        return ws, env

    def build(self, ws, env):
        before = time.monotonic()

        def limit():
            if not self.sanitized:  # which reserves room without end
                resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
        done = subprocess.run(["timeout", "-s", "KILL", str(2 * LIMIT_S), self.pawl, "build", "--json"], cwd=ws, env=env,
                              stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT, check=False,
                              preexec_fn=limit)  # pylint: disable=subprocess-popen-preexec-fn
        return done, time.monotonic() - before

    def learn(self):
        """The honest segment's rows, by the path of their output."""
        ws, env = self.machine()
        done, _ = self.build(ws, env)
        assert done.returncode == 0, done.stdout
        name, = os.listdir(self.far + "/m")
        with open(f"{self.far}/m/{name}", "rb") as f:
            segment = f.read()
        raw, stored = struct.unpack("<QQ", segment[16:32])
        r = Reader(self.zstd.unpack(segment[64:64 + stored], raw))
        assert r.byte() == 1
        blocks = Reader(r.text())
        self.rows = {}
        for _ in range(blocks.varint()):
            b = Reader(blocks.text())
            b.take(11 + 1 + 16)
            b.text()
            b.take(8)
            for _ in range(b.varint()):
                assert b.byte() == 1
                row = b.text()
                self.rows[Row(row).outputs[0][0].decode()] = row

    def row(self, output):
        r = Row(self.rows[output])
        r.log = 0
        return r

    # -- the place

    def put(self, key, data):
        path = os.path.join(self.far, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)

    def segment(self, payload, frame=None, raw=None, stored=None, checksum=None, head=None):
        frame = self.zstd.pack(payload) if frame is None else frame
        data = head or b"pawlseg1" + struct.pack("<HHI", 1, 0, 0)
        data += struct.pack("<QQ", len(payload) if raw is None else raw, len(frame) if stored is None else stored)
        data += (sha(frame) if checksum is None else checksum) + frame
        self.put(f"m/{int(time.time() * 1000):012x}-{os.urandom(8).hex()}", data)

    def fresh(self):
        shutil.rmtree(self.far, ignore_errors=True)
        os.mkdir(self.far)
        self.put("format", b'{"pawl":1,"keep_days":30,"grace_hours":24}')

    def publish(self, rows, pack, all_places):
        """An honest segment about whatever it is."""
        self.put("p/" + pack.id.hex(), pack.body)
        rows = [r if isinstance(r, bytes) else r.encode() for r in rows]
        self.segment(sections((1, varint(1) + text(block(rows))), (2, places([pack.id], all_places))))

    # -- what is right afterwards

    def told(self, done):
        lines = [line for line in done.stdout.splitlines() if not line.startswith("{")]
        return lines + [line for line in done.stdout.splitlines() if '"warning":true' in line]

    def snapshot(self):
        found = {}
        for folder, folders, files in os.walk(self.top):
            folders[:] = [f for f in folders if not (folder == self.top and f.startswith(("ws", "far")))]
            for name in files + folders:
                path = os.path.join(folder, name)
                found[path] = os.readlink(path) if os.path.islink(path) else os.lstat(path).st_mtime_ns
        return found

    def check(self, name, allowed=()):
        """allowed: other texts that out may have, named honestly by the result."""
        ws, env = self.machine()
        before = self.snapshot()
        done, took = self.build(ws, env)
        problems = []
        if done.returncode:
            problems.append(f"ended with {done.returncode}")
        if took > LIMIT_S:
            problems.append(f"took {took:.1f} s")
        if len(self.told(done)) > 1:
            problems.append("more than one line")
        if self.snapshot() != before:
            problems.append("something outside changed")
        for path, want in (("out", b"source\na\n"), ("tree/x", b"source\n"), ("tree/sub/y", b"source\n")):
            try:
                with open(os.path.join(ws, path), "rb") as f:
                    got = f.read()
            except OSError as error:
                got = str(error)
            if got != want and got not in allowed:
                problems.append(f"{path}: {got[:80]}")
        checked = subprocess.run([self.pawl, "cache", "check"], cwd=ws, env=env, stdout=subprocess.PIPE, text=True,
                                 stderr=subprocess.STDOUT, check=False)
        if checked.returncode:
            problems.append("the local cache is damaged: " + checked.stdout)
        restored = done.stdout.count('"result":"restored"')
        if name == "honest" and restored != 1:
            problems.append("an honest result is not taken: the other cases show nothing")
        told = " ".join(self.told(done))[:150]
        print(f"{'FAILED ' if problems else ''}{name}: {took:.1f} s, {restored} restored {told}", flush=True)
        if problems:
            print("\n".join(problems) + "\n" + done.stdout[-3000:], flush=True)
            self.wrong.append(name)
        subprocess.run(["chmod", "-R", "u+rwX", ws, ws + ".cache"], check=False)
        shutil.rmtree(ws, ignore_errors=True)
        shutil.rmtree(ws + ".cache", ignore_errors=True)

    def close(self):
        shutil.rmtree(self.top, ignore_errors=True)


# ---- cases: each fills the place. A generator gives several of them.

def good_blob(t, pack=None):
    pack = pack or Pack()
    size, digest = pack.object(b"source\na\n")
    return pack, size, digest


def honest(t):
    """Shows that what is made here is taken, so that the other cases mean something."""
    pack, size, digest = good_blob(t)
    t.publish([t.row("out")], pack, [place(BLOB, size, digest, [pack.run()])])


def paths(t):
    evil = os.path.join(t.outside, "kept").encode()
    for path in (b"../outside/kept", evil, b"a/../../outside/kept", b"./out", b"out//x", b"", b"ou\0t", b".pawl/state", b"..",
                 b"out/", b"x" * 5000, b"Pipelinefile", b"src", b"out\n", b"tree"):
        pack, size, digest = good_blob(t)
        row = t.row("out")
        row.outputs[0] = [path, BLOB, 0o644, size, digest, b""]
        yield f"path {path[:20]!r}", lambda row=row, pack=pack, s=size, d=digest: t.publish(
            [row], pack, [place(BLOB, s, d, [pack.run()])])


def outputs(t):
    pack, size, digest = good_blob(t)
    one = [b"out", BLOB, 0o644, size, digest, b""]
    where = [place(BLOB, size, digest, [pack.run()])]
    many = [[b"%d" % i, BLOB, 0o644, size, digest, b""] for i in range(40000)]
    for name, changed, count in (
            ("twice", [one, one], None), ("below", [one, [b"out/x", *one[1:]]], None), ("none", [], None),
            ("count 2^62", [one], HUGE), ("many", many, None), ("kind 9", [[b"out", 9, *one[2:]]], None),
            ("setuid", [[b"out", BLOB, 0o4755, *one[3:]]], None), ("size", [[b"out", BLOB, 0o644, HUGE, digest, b""]], None),
            ("list without one", [[b"out", LIST, 0o644, HUGE, digest, b""]], None),
            ("link", [[b"out", LINK, 0, 7, sha(b"/etc/ab"), b""]], None),
            ("tree for a blob", [[b"out", TREE, 0o755, size, digest, digest]], None)):
        row = t.row("out")
        row.outputs, row.count = changed, count
        yield "outputs: " + name, lambda row=row: t.publish([row], pack, where)
    row = t.row("out")
    row.version = 2
    yield "row of version 2", lambda: t.publish([row], pack, where)
    future = t.row("out")
    future.success = struct.pack("<Q", HUGE)
    yield "row from the future", lambda: t.publish([future], pack, where)
    slow = t.row("out")
    slow.duration = HUGE
    yield "duration 2^62", lambda: t.publish([slow], pack, [])


def segments(t):
    pack, size, digest = good_blob(t)
    where = places([pack.id], [place(BLOB, size, digest, [pack.run()])])
    rows = [t.row("out").encode()]
    good = sections((1, varint(1) + text(block(rows))), (2, where))

    def put(payload, **more):
        t.put("p/" + pack.id.hex(), pack.body)
        t.segment(payload, **more)
    yield "raw 2^60", lambda: put(good, raw=1 << 60)
    yield "stored 2^60", lambda: put(good, stored=1 << 60)
    yield "raw one more", lambda: put(good, raw=len(good) + 1)
    yield "checksum", lambda: put(good, checksum=bytes(32))
    yield "empty", lambda: t.put(f"m/{int(time.time() * 1000):012x}-{os.urandom(8).hex()}", b"")
    yield "head alone", lambda: t.put(f"m/{int(time.time() * 1000):012x}-{os.urandom(8).hex()}", b"pawlseg1")
    yield "version 2", lambda: put(good, head=b"pawlseg1" + struct.pack("<HHI", 2, 0, 0))
    yield "bomb of 120 MiB", lambda: put(b"", frame=bomb(120 << 20), raw=120 << 20)
    yield "bomb of 1 TiB", lambda: put(b"", frame=bomb(64 << 20, 1 << 40), raw=1 << 40)
    yield "bomb that lies", lambda: put(b"", frame=bomb(200 << 20, 1000), raw=1000)
    for name, payload in (
            ("section 2^62", sections((1, b"x", HUGE))), ("unknown section", good[:0] + sections((63, b"x"))),
            ("sections turned round", sections((2, where), (1, varint(1) + text(block(rows))))),
            ("section twice", sections((2, where), (2, where))),
            ("blocks 2^62", sections((1, varint(HUGE) + text(block(rows))))),
            ("items 2^62", sections((1, varint(1) + text(block(rows, HUGE))))),
            ("block 2^62", sections((1, varint(1) + varint(HUGE) + block(rows)))),
            ("number without end", sections((1, b"\xff" * 40))),
            ("ids 2^62", sections((2, places([pack.id], [], (HUGE, None))))),
            ("places 2^62", sections((2, places([pack.id], [], (None, HUGE))))),
            ("condemned 2^62", sections((3, varint(HUGE)))),
            ("uses 2^62", sections((64, varint(HUGE)))),
            ("no payload", b"")):
        yield name, lambda payload=payload: put(payload)
    for i in (1, 1000):
        name = f"{i} of no use"
        yield name, lambda i=i: [t.segment(os.urandom(40)) for _ in range(i)]


def runs(t):
    for name, change in (
            ("offset behind", lambda p: [(0, HUGE, 10, 1)]), ("length 2^62", lambda p: [(0, 8, HUGE, 1)]),
            ("count 2^62", lambda p: [(0, 8, len(p.body) - 8, HUGE)]), ("number", lambda p: [p.run(number=7)]),
            ("sum wraps", lambda p: [(0, (1 << 64) - 8, 16, 1)]),
            ("none", lambda p: []), ("plain file", lambda p: [(0, 0, 9, 0)]), ("in the head", lambda p: [(0, 0, 8, 1)]),
            ("many", lambda p: [p.run()] * 60000), ("wide", lambda p: [(0, 8 + i, 8 << 20, 1) for i in range(2000)])):
        pack, size, digest = good_blob(t)
        yield "runs: " + name, lambda p=pack, s=size, d=digest, c=change: t.publish(
            [t.row("out")], p, [place(BLOB, s, d, c(p))])
    pack, size, digest = good_blob(t)
    yield "runs: count of them 2^62", lambda: t.publish([t.row("out")], pack, [place(BLOB, size, digest, [pack.run()], HUGE)])


def packs(t):
    body = b"source\na\n"
    for name, data, more in (
            ("wrong bytes", b"source\nb\n", {}), ("stored 2^62", body, {"stored": HUGE}), ("raw 2^62", body, {"raw": HUGE}),
            ("encoding 7", body, {"encoding": 7}), ("bomb", bomb(1 << 30, 9), {"encoding": 1, "raw": 9}),
            ("honest bomb", bomb(1 << 30), {"encoding": 1, "raw": 1 << 30}), ("no frame", body, {"encoding": 1, "raw": 9})):
        pack = Pack()
        pack.add(data, **more)
        yield "pack: " + name, lambda p=pack: t.publish([t.row("out")], p, [place(BLOB, 9, sha(body), [p.run()])])
    pack, size, digest = good_blob(t)
    whole, pack_id = pack.run(), pack.id
    yield "pack: empty", lambda: (t.publish([t.row("out")], pack, [place(BLOB, size, digest, [whole])]),
                                  t.put("p/" + pack_id.hex(), b""))
    yield "pack: gone", lambda: (t.publish([t.row("out")], pack, [place(BLOB, size, digest, [whole])]),
                                 os.unlink(os.path.join(t.far, "p", pack_id.hex())))
    for total, level, name in ((HUGE, 0, "total 2^62"), (9, 200, "level 200"), (9, 7, "blob as a list")):
        pack = Pack()
        size, digest = pack.object(b"source\na\n")
        listing = b"pawl list\0\x01" + bytes([level]) + varint(total) + varint(1) + varint(size) + digest
        lists = Pack()
        lists.object(listing)
        lists.object(b"source\na\n")
        row = t.row("out")
        row.outputs[0] = [b"out", LIST, 0o644, total, sha(listing), b""]
        yield "list: " + name, lambda r=row, p=lists, s=total, d=sha(listing): t.publish([r], p, [place(LIST, s, d, [p.run()])])
    listing = b"pawl list\0\x01\0" + varint(1 << 40) + varint(HUGE) + varint(5) + bytes(32)
    counted = Pack()
    counted.object(listing)
    row = t.row("out")
    row.outputs[0] = [b"out", LIST, 0o644, 1 << 40, sha(listing), b""]
    yield "list: count 2^62", lambda: t.publish([row], counted, [place(LIST, 1 << 40, sha(listing), [counted.run()])])


def tree_object(entries, count=None):
    out = b"pawl tree\0\x01" + varint(len(entries) if count is None else count)
    for name, kind, mode, size, digest, target in entries:
        out += text(name) + bytes([kind]) + varint(mode) + varint(size) + digest + target
    return out


def trees(t):
    def publish(pack, root):
        row = t.row("tree")
        row.outputs[0] = [b"tree", TREE, 0o755, len(root), sha(root), sha(root)]
        t.publish([row], pack, [place(TREE, len(root), sha(root), [pack.run()])])

    def made(entries_of, count=None):
        file = len(b"evil\n"), sha(b"evil\n")
        entries = entries_of(*file)
        root, pack = tree_object(entries, count), Pack()
        pack.object(root)
        pack.object(b"evil\n")
        return pack, root
    pack, size, digest = good_blob(t)
    row = t.row("tree")
    row.outputs[0] = [b"tree", BLOB, 0o644, size, digest, b""]
    yield "tree: a file in its stead", lambda: t.publish([row], pack, [place(BLOB, size, digest, [pack.run()])])
    up = b"../outside"
    for name, entries_of in (
            ("..", lambda s, d: [(b"..", BLOB, 0o644, s, d, b"")]),
            ("slash", lambda s, d: [(b"../outside/kept", BLOB, 0o644, s, d, b"")]),
            ("absolute", lambda s, d: [(os.path.join(t.outside, "kept").encode(), BLOB, 0o644, s, d, b"")]),
            ("NUL", lambda s, d: [(b"x\0y", BLOB, 0o644, s, d, b"")]),
            ("empty name", lambda s, d: [(b"", BLOB, 0o644, s, d, b"")]),
            ("twice", lambda s, d: [(b"x", BLOB, 0o644, s, d, b""), (b"x", BLOB, 0o644, s, d, b"")]),
            ("link and file", lambda s, d: [(b"sub", LINK, 0, len(up), sha(up), up), (b"sub", BLOB, 0o644, s, d, b"")]),
            ("not sorted", lambda s, d: [(b"y", BLOB, 0o644, s, d, b""), (b"x", BLOB, 0o644, s, d, b"")]),
            ("setuid", lambda s, d: [(b"x", BLOB, 0o4755, s, d, b"")]),
            ("kind", lambda s, d: [(b"x", 9, 0o644, s, d, b"")]),
            ("long name", lambda s, d: [(b"x" * 300, BLOB, 0o644, s, d, b"")])):
        pack, root = made(entries_of)
        yield "tree: " + name, lambda p=pack, r=root: publish(p, r)
    pack, root = made(lambda s, d: [(b"x", BLOB, 0o644, s, d, b"")], HUGE)
    yield "tree: count 2^62", lambda: publish(pack, root)
    for name, levels, twice in (("deep", 20000, False), ("of trees", 60, True)):
        objects, size, digest = [b"evil\n"], 5, sha(b"evil\n")
        kind = BLOB
        for _ in range(levels):
            entries = [(b"a", kind, 0o755, size, digest, b"")] + ([(b"b", kind, 0o755, size, digest, b"")] if twice else [])
            made_tree = tree_object(entries)
            objects.append(made_tree)
            kind, size, digest = TREE, len(made_tree), sha(made_tree)
        nested = Pack()
        for item in reversed(objects):
            nested.object(item)
        yield "tree: " + name, lambda p=nested, r=objects[-1]: publish(p, r)


def steps_of(t):
    yield "honest", lambda: honest(t)
    for family in (paths, outputs, segments, runs, packs, trees):
        yield from family(t)


def main():
    t = Test(sys.argv[1])
    names = sys.argv[2:]
    try:
        t.learn()
        for name, act in steps_of(t):
            if names and name not in names:
                continue
            t.fresh()
            act()
            t.check(name)
    finally:
        t.close()
    if t.wrong:
        sys.exit("failed: " + ", ".join(t.wrong))


if __name__ == "__main__":
    main()
