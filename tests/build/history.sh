# SPDX-License-Identifier: MIT
# Past runs: runs, metrics, diff, stats, log.
pipeline <<'END'
param lr = 1
step train {
    out report = "report.json"
    run "echo training at {{lr}}; printf '{\"mse\": %s, \"deep\": {\"r2\": [0.5]}}' {{lr}} > report.json"
    metric mse = json(report, "mse")
    metric all = json(report)
    resources { price = 3600 }
}
END
pawl runs
pawl stats
pawl metrics
exits 2 pawl diff
build
pawl log train
says 'training at 1'
build -p lr=2
build
expect restored=1
pawl log train
says 'training at 1'
build
expect up_to_date=1
pawl runs
same "$(grep -c . "$T/out")" "$(grep -c . "$T/out")"
pawl runs --json
same "$(lines "$T/out")" 4
python3 - "$T/out" <<'END' || fail "runs --json"
import json, sys
runs = [json.loads(l) for l in open(sys.argv[1])]
assert [r["ran"] for r in runs] in ([1, 1, 0, 0], [0, 0, 1, 1]), runs
END
pawl diff 1 2
says '*lr*1*2*'
says '*mse*1*2*'
pawl diff --json 1 2
pawl metrics
says '*mse*'
says '*all.deep.r2*0.5*'
pawl metrics --json
pawl stats
pawl stats --json
python3 -c 'import json, sys
for l in open(sys.argv[1]): json.loads(l)' "$T/out" || fail "stats --json is not JSON"
exits 2 pawl diff 1 99
exits 2 pawl log
exits 2 pawl log nothing
# figures are numbers in JSON
pawl metrics --json
python3 - "$T/out" <<'END' || fail "metrics --json"
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
assert any(r["metric"] == "mse" and r["value"] == 2 for r in rows), rows
END
pawl diff --json 1 2
python3 - "$T/out" <<'END' || fail "diff --json"
import json, sys
rows = [json.loads(l) for l in open(sys.argv[1])]
assert any(r["kind"] == "param" and r["name"] == "lr" and r["before"] == 1 and r["after"] == 2 for r in rows), rows
END
