# SPDX-License-Identifier: MIT
# A step whose condition does not hold is skipped, with what needs it; fail ends the build with its message.
pipeline <<'END'
param limit = 6
step evaluate {
    in  "score"
    out report = "report.json"
    run 'cp score report.json'
}
step publish {
    in  report = evaluate.report
    out card = "card"
    when json(evaluate.report, "mse") <= limit
    run "cp {{report}} {{card}}"
}
step announce {
    in  publish.card
    out o = "announced"
    run "cp card {{o}}"
}
step gate {
    when json(evaluate.report, "mse") > 100
    fail "the error is {{json(evaluate.report, "mse")}}, more than 100"
}
END
echo '{"mse": 5}' >score
build
expect ran=3 skipped=1
expect_step gate skipped '*when*'
present announced
echo '{"mse": 7}' >score
build
expect ran=1 skipped=3
expect_step publish skipped '*when*'
expect_step announce skipped '*publish*'
build
expect up_to_date=1 skipped=3
build -p limit=8
expect ran=2 up_to_date=1 skipped=1
echo '{"mse": 101}' >score
exits 1 build
expect_step gate failed '*the error is 101, more than 100*'
# only what when reads changed: what does not depend on it by input stays
echo '{"mse": 4, "x": 1}' >score
build
expect ran=3 skipped=1
