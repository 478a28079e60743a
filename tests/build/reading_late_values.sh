# SPDX-License-Identifier: MIT
# read() and json() of what a step makes, in run, env, when and by way of a let: the value counts, and orders.
pipeline <<'END'
let best = json(search.report, "best.depth")
step search {
    in  "src"
    out report = "report.json"
    run "cp src report.json"
}
step train {
    out o = "o"
    env DEPTH = json(search.report, "best.depth")
    run "echo {{best}} $DEPTH >> o; echo ran >> log"
}
step deep {
    when best > 4
    out o = "deep"
    run ["sh", "-c", "echo $1 > deep", "sh", read(search.report)]
}
step title {
    out o = "title"
    run "printf '%s' '{{read(search.report)}}' > {{o}}"
}
END
echo '{"best": {"depth": 3}, "other": 1}' >src
build
expect ran=3 skipped=1
holds o "3 3"
echo '{"best": {"depth": 3}, "other": 2}' >src
build
# the value is the same: train does not run
expect ran=2 up_to_date=1 skipped=1
holds title '{"best": {"depth": 3}, "other": 2}'
echo '{"best": {"depth": 5}, "other": 2}' >src
build
expect ran=4
holds deep '{"best": {"depth": 5}, "other": 2}'
echo '{"best": {}}' >src
exits 1 build -k 0
expect_step train failed '*best.depth*'
told status
