#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the console examples of documents: docs.py [--bless] PAWL DOCUMENT.md…

Each document has a fresh folder in which `samples/` lies, as in a clone, and a cache and a HOME of its own. In order:

  ```pipeline            writes Pipelinefile; with `file: NAME` after the language, any block writes NAME
  ```console             lines `$ COMMAND` (`> MORE`), each followed by what it prints, standard error included

A folder that `cd` enters stays for what follows; ```console fresh begins in an empty one. `…` stands for anything within a
line, a line of it alone for any lines; times, dates and digests may differ, and so may the number of blanks. `unordered`
compares without regard to the order of lines. A command that fails must print something. In a block that shows no output at
all none is compared, and no command may fail. --bless writes what came out.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FENCE = re.compile(r"^( *)(```+)([^`]*)$")


class Block:
    def __init__(self, first, indent, info):
        self.first = first  # number of the first line within, from 0
        self.indent = indent
        name, _, rest = info.strip().partition(" ")
        self.language = name
        self.words = rest.split()
        self.file = None
        if "file:" in self.words:
            self.file = self.words[self.words.index("file:") + 1]
        elif name == "pipeline" and "part" not in self.words:
            self.file = "Pipelinefile"
        self.lines = []


def blocks_of(lines):
    blocks, open_block, fence = [], None, None
    for number, line in enumerate(lines):
        m = FENCE.match(line)
        if open_block is None and m:
            open_block, fence = Block(number + 1, m.group(1), m.group(3)), m.group(2)
        elif open_block is not None and line.strip() == fence:
            blocks.append(open_block)
            open_block = None
        elif open_block is not None:
            open_block.lines.append(line[len(open_block.indent):])
    if open_block is not None:
        raise SystemExit(f"line {open_block.first}: this block does not end")
    return blocks


def examples_of(block):
    """(lines of the command as written, command, expected lines)"""
    found = []
    for line in block.lines:
        if line.startswith("$ "):
            found.append(([line], line[2:], []))
        elif line.startswith("> ") and found and not found[-1][2]:
            written, command, expected = found.pop()
            found.append((written + [line], command + "\n" + line[2:], expected))
        elif found:
            found[-1][2].append(line)
        else:
            raise SystemExit(f"line {block.first}: a console block begins with '$ '")
    return found


VARYING = [
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\b"), "DATE"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "DIGEST"),
    (re.compile(r'"((?:saved_)?seconds)":[0-9.]+'), r'"\1":N'),
    (re.compile(r", [0-9.]+\w+(?: [0-9.]+\w+)* saved$"), ""),  # said from one second on
    (re.compile(r"\b(?:\d+(?:\.\d+)?(?:ms|s|m|h|d) ?)+(?![\w.])"), "TIME "),
    (re.compile(r"(\d+\.\d)\d{3,}"), r"\1"),  # other processors, other last digits
    (re.compile(r"\s+"), " "),
]


def normal(line):
    for pattern, text in VARYING:
        line = pattern.sub(text, line)
    return line.strip()


def line_matches(expected, actual):
    parts = [re.escape(normal(x)) for x in expected.split("…")]
    return re.fullmatch(r"\s*.*\s*".join(parts), normal(actual)) is not None


def lines_match(expected, actual):
    """Greedy with a way back, as patterns of shells are matched."""
    e = a = 0
    star = resume = None
    while a < len(actual):
        if e < len(expected) and expected[e].strip() == "…":
            star, resume = e, a
            e += 1
        elif e < len(expected) and line_matches(expected[e], actual[a]):
            e, a = e + 1, a + 1
        elif star is not None:
            resume += 1
            e, a = star + 1, resume
        else:
            return False
    return all(x.strip() == "…" for x in expected[e:])


class Place:
    def __init__(self, pawl):
        self.top = tempfile.mkdtemp(prefix="pawl-docs.")
        self.count = 0
        self.status = 0
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PAWL", "XDG_", "MAKE", "AWS_"))}
        clean.pop("CUDA_VISIBLE_DEVICES", None)
        self.environment = dict(
            clean, HOME=self.top + "/home", PAWL_CACHE_DIR=self.top + "/cache", LC_ALL="C.UTF-8", TERM="dumb",
            PATH=os.path.dirname(pawl) + ":/usr/bin:/bin:" + clean.get("PATH", ""), PYTHONDONTWRITEBYTECODE="1")
        os.mkdir(self.top + "/home")
        self.fresh()

    def fresh(self):
        self.count += 1
        self.folder = f"{self.top}/{self.count}"
        os.mkdir(self.folder)

    def with_samples(self):
        ignore = shutil.ignore_patterns("build", ".pawl", "__pycache__")
        shutil.copytree(ROOT + "/samples", self.folder + "/samples", ignore=ignore)

    def write(self, name, lines):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write("".join(line + "\n" for line in lines))

    def run(self, command):
        script = f"(exit {self.status})\n{command}\nstatus=$?\npwd >&9\nexit $status\n"
        read, write = os.pipe()
        with os.fdopen(read) as where:
            done = subprocess.run(
                ["/bin/bash", "-c", f"exec 9>&{write}\n{script}"], cwd=self.folder, env=self.environment, pass_fds=[write],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300, check=False)
            os.close(write)
            self.folder = where.read().strip() or self.folder
        self.status = done.returncode
        lines = done.stdout.decode("utf-8", "replace").split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    def close(self):
        subprocess.run(["chmod", "-R", "u+rwX", self.top], check=False)
        shutil.rmtree(self.top, ignore_errors=True)


def run_block(place, block, where):
    """What is wrong, and the block as it should be."""
    wrong, written = [], []
    examples = examples_of(block)
    bare = not any(expected for _, _, expected in examples)
    for source, command, expected in examples:
        actual = place.run(command)
        if bare and place.status == 0 and "quiet" not in block.words:
            actual = []
        e, a = (sorted(expected), sorted(actual)) if "unordered" in block.words else (expected, actual)
        good = lines_match(e, a)
        if not good:
            wrong.append("\n".join([f"{where}: {command}", "-- expected", *expected, "-- printed", *actual]))
        if place.status and not actual and "status" not in block.words:
            wrong.append(f"{where}: {command}: ended with {place.status}, and printed nothing")
        written += source + (expected if good else [line.rstrip() for line in actual])
    return wrong, written


def run_document(pawl, path, bless):
    with open(path, encoding="utf-8") as f:
        lines = f.read().split("\n")
    place, wrong, edits = Place(pawl), [], []
    place.with_samples()
    try:
        for block in blocks_of(lines):
            if "fresh" in block.words:
                place.fresh()
            if block.file:
                place.write(block.file, block.lines)
            if block.language == "console":
                found, written = run_block(place, block, f"{os.path.relpath(path, ROOT)}:{block.first + 1}")
                wrong += found
                edits.append((block, written))
    finally:
        place.close()
    if bless and wrong:
        for block, written in reversed(edits):
            lines[block.first:block.first + len(block.lines)] = [block.indent + x if x else x for x in written]
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(lines))
    return wrong


def main():
    arguments = sys.argv[1:]
    bless = "--bless" in arguments
    pawl, *documents = [a for a in arguments if a != "--bless"]
    wrong = []
    for path in documents:
        wrong += run_document(os.path.abspath(pawl), path, bless)
    if wrong:
        print("\n\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
