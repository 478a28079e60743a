# SPDX-License-Identifier: MIT
# A file that only `when` reads is no input.
pipeline <<'END'
step evaluate {
    in  "score"
    out report = "report.json"
    run "cp score report.json"
}
step publish {
    out card = "card"
    when json(evaluate.report, "mse") <= 6
    run "echo ran >> log; echo good > {{card}}"
}
END
echo '{"mse": 5}' >score
build
expect ran=2
echo '{"mse": 4}' >score
build
expect ran=1 up_to_date=1
same "$(lines log)" 1
