# SPDX-License-Identifier: MIT
# --json: one object a line, a step's for each wanted step, the summary last, nothing else on standard output.
pipeline <<'END'
param max_depth = 5
step train {
    "With \"quotes\"."
    out o = "a b.txt"
    run "echo noise; echo noise >&2; echo {{max_depth}} > {{o}}"
}
step gone for x in ["a,b", "c d"] {
    out o = "o-{{len(x)}}-{{x}}"
    run "touch {{o}}"
}
END
build
build -p max_depth=6
python3 - "$T/events" <<'END' || fail "events"
import json, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
train = [e for e in lines if e.get("step") == "train"][0]
assert train["event"] == "step" and train["result"] == "ran", train
assert train["reason"] == "param max_depth: 5 -> 6", train
assert isinstance(train["seconds"], (int, float)), train
assert [e["event"] for e in lines].count("step") == 3
assert lines[-1]["event"] == "summary" and lines[-1]["ran"] == 1 and lines[-1]["up_to_date"] == 2, lines[-1]
names = sorted(e["step"] for e in lines[:-1])
assert names == ['gone[x="a,b"]', 'gone[x="c d"]', "train"], names
END
build 'gone[x="a,b"]'
expect up_to_date=1
