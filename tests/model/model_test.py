#!/usr/bin/env python3
"""Random small graphs and random edits, against a naive planner: the same steps run, the same bytes come out.

    tests/model/model_test.py PAWL [SEED [ROUNDS]]
"""
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile


class Graph:
    """Steps in an order in which each may use what came before."""

    def __init__(self, rng, size):
        self.rng = rng
        self.sources = {f"src/{i}.txt": f"source {i}\n" for i in range(rng.randint(1, 4))}
        self.steps = []
        for i in range(size):
            made = [s["out"] for s in self.steps]
            inputs = rng.sample(list(self.sources) + made, rng.randint(1, min(3, len(self.sources) + len(made))))
            self.steps.append({"name": f"s{i}", "inputs": inputs, "out": f"out/{i}.txt", "word": rng.choice("ab"),
                               "lossy": rng.random() < 0.3})  # a lossy step gives early cutoff its chance

    def command(self, step):
        cut = " | head -c 9" if step["lossy"] else ""
        return f"(echo {step['word']}; cat {' '.join(step['inputs'])}){cut} > {step['out']}"

    def run(self, step, contents):
        text = step["word"] + "\n" + "".join(contents[p] for p in step["inputs"])
        return text[:9] if step["lossy"] else text

    def text(self):
        return "".join(f'step {s["name"]} {{\n    in {", ".join(chr(34) + p + chr(34) for p in s["inputs"])}\n'
                       f'    out o = "{s["out"]}"\n    run "{self.command(s)}"\n}}\n' for s in self.steps)


class Naive:
    """What must happen, from content alone."""

    def __init__(self):
        self.cache = {}

    def build(self, graph, disk):
        contents, results = dict(graph.sources), {}
        for s in graph.steps:
            key = hashlib.sha256(json.dumps([graph.command(s), [[p, contents[p]] for p in sorted(s["inputs"])],
                                             s["out"]]).encode()).hexdigest()
            if key not in self.cache:
                results[s["name"]] = "ran"
                self.cache[key] = graph.run(s, contents)
            elif disk.get(s["out"]) == self.cache[key]:
                results[s["name"]] = "up_to_date"
            else:
                results[s["name"]] = "restored"
            contents[s["out"]] = self.cache[key]
        return results, {s["out"]: contents[s["out"]] for s in graph.steps}


def edit(rng, graph, root):
    """One change of the kind that people make; gives its name."""
    kind = rng.choice(["source", "revert", "touch", "word", "delete", "scribble", "rename", "nothing"])
    path = rng.choice(list(graph.sources))
    step = rng.choice(graph.steps)
    out = os.path.join(root, step["out"])
    if kind == "source":
        graph.sources[path] = f"source {rng.randint(0, 5)}\n" * rng.randint(1, 2)
    elif kind == "revert":
        graph.sources[path] = "source 0\n"
    elif kind == "touch":
        os.utime(os.path.join(root, path))
    elif kind == "word":
        step["word"] = rng.choice("abc")
    elif kind == "delete" and os.path.exists(out):
        os.unlink(out)
    elif kind == "scribble" and os.path.exists(out):
        with open(out, "a", encoding="utf-8") as f:
            f.write("scribble\n")
    elif kind == "rename":
        step["name"] = f"r{rng.randint(0, 10**9)}"
    return kind


def write(graph, root):
    os.makedirs(os.path.join(root, "src"), exist_ok=True)
    for path, text in list(graph.sources.items()) + [("Pipelinefile", graph.text())]:
        full = os.path.join(root, path)
        if not os.path.exists(full) or open(full, encoding="utf-8").read() != text:
            with open(full, "w", encoding="utf-8") as f:
                f.write(text)


def read_outputs(graph, root):
    found = {}
    for s in graph.steps:
        path = os.path.join(root, s["out"])
        if os.path.exists(path):
            found[s["out"]] = open(path, encoding="utf-8").read()
    return found


def build(pawl, root, cache):
    env = dict(os.environ, PAWL_CACHE_DIR=cache, XDG_CONFIG_HOME=cache + "-config")
    done = subprocess.run([pawl, "-C", root, "build", "--json"], env=env, capture_output=True, text=True, timeout=60,
                          check=False)
    if done.returncode != 0:
        raise SystemExit(f"pawl ended with {done.returncode}\n{done.stdout}{done.stderr}")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {e["step"]: e["result"] for e in events if e["event"] == "step"}


def one_history(pawl, seed):
    rng = random.Random(seed)
    graph, naive, history = Graph(rng, rng.randint(1, 9)), Naive(), []
    base = tempfile.mkdtemp(prefix="pawl-model-")
    root, cache = os.path.join(base, "w"), os.path.join(base, "cache")
    os.mkdir(root)
    try:
        write(graph, root)
        for _ in range(rng.randint(3, 8)):
            for _ in range(rng.randint(0, 2)):
                history.append(edit(rng, graph, root))
            write(graph, root)
            wanted, outputs = naive.build(graph, read_outputs(graph, root))
            history.append("build")
            got = build(pawl, root, cache)
            if got != wanted or read_outputs(graph, root) != outputs:
                raise SystemExit(f"seed {seed}: after {history}\nwanted {wanted}\ngot    {got}\n{graph.text()}")
    finally:
        shutil.rmtree(base)
    return history.count("build")


def main():
    pawl = os.path.abspath(sys.argv[1])
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 40
    builds = sum(one_history(pawl, seed + i) for i in range(rounds))
    print(f"{rounds} histories, {builds} builds, all as the naive planner says")


if __name__ == "__main__":
    main()
