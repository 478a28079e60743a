"""Writes the same machine-learning-shaped graph as a Pipelinefile, a build.ninja and a Makefile.

raw file -> shard -> features (one for each shard) -> train (one for each hyper-parameter, on eight feature files)
-> evaluate (one for each model) -> report (one for each 50 evaluations) -> summary.
"""
import os


def steps_of(count):
    """Yields (name, inputs, output) for about `count` steps, in order of dependence."""
    shards = max(count * 3 // 10, 8)
    models = max((count - 2 * shards) * 50 // 101, 1)
    for i in range(shards):
        yield f"shard_{i}", [f"raw/{i % 64}.csv"], f"out/shard/{i}.csv"
    for i in range(shards):
        yield f"features_{i}", [f"out/shard/{i}.csv"], f"out/features/{i}.csv"
    for i in range(models):
        yield f"train_{i}", [f"out/features/{(i * 7 + k) % shards}.csv" for k in range(8)], f"out/model/{i}.bin"
    for i in range(models):
        yield f"evaluate_{i}", [f"out/model/{i}.bin"], f"out/evaluation/{i}.json"
    reports = []
    for i in range(0, models, 50):
        reports.append(f"out/report/{i // 50}.txt")
        inputs = [f"out/evaluation/{k}.json" for k in range(i, min(i + 50, models))]
        yield f"report_{i // 50}", inputs, reports[-1]
    yield "summary", reports, "out/summary.txt"


def write(folder, count):
    """Writes the three files and the raw data below `folder`; gives the number of steps."""
    os.makedirs(os.path.join(folder, "raw"), exist_ok=True)
    for i in range(64):
        with open(os.path.join(folder, f"raw/{i}.csv"), "w") as raw:
            raw.write(f"{i},1,2,3\n")
    pawl, ninja, make, n = [], ["rule cat", "  command = cat $in > $out", ""], ["all: out/summary.txt", ""], 0
    folders = set()
    for name, inputs, output in steps_of(count):
        n += 1
        ins = " ".join(f'"{path}",' for path in inputs).rstrip(",")
        pawl.append(f'step {name} {{\n    in {ins}\n    out o = "{output}"\n'
                    f'    run "cat {" ".join(inputs)} > {{{{o}}}}"\n}}\n')
        ninja.append(f"build {output}: cat {' '.join(inputs)}")
        make.append(f"{output}: {' '.join(inputs)}\n\tcat $^ > $@\n")
        folders.add(os.path.dirname(output))
    for path in folders:
        os.makedirs(os.path.join(folder, path), exist_ok=True)  # make does not make them
    for name, lines in (("Pipelinefile", pawl), ("build.ninja", ninja), ("Makefile", make)):
        with open(os.path.join(folder, name), "w") as out:
            out.write("\n".join(lines) + "\n")
    return n
