# SPDX-License-Identifier: MIT
# What would be restored is known, and so are values read from it; what lies in a folder is not.
pipeline <<'END'
step evaluate {
    in  "src"
    out report = "report.json"
    run "cp src {{report}}"
}
step publish {
    in  evaluate.report
    out card = "card"
    when json(evaluate.report, "mse") <= 6
    run "echo {{json(evaluate.report, "mse")}} > {{card}}"
}
step split {
    in  "src"
    out d = "parts/"
    run "echo 1 > parts/a; echo 2 > parts/b"
}
step each for p in split.d {
    out o = "each-{{stem(p)}}"
    run "cp {{p}} {{o}}"
}
END
echo '{"mse": 5}' >src
build
expect ran=5
pawl clean
told status
expect would_restore=3 may_run=2
expect_step publish would_restore
expect_step 'each[p=a]' may_run '*split*'
# what lies there still is of another content
build
echo '{"mse": 7}' >src
build
expect_step publish skipped
echo '{"mse": 5}' >src
told status
expect_step evaluate would_restore
expect_step publish up_to_date
holds report.json '{"mse": 7}'
build
expect_step evaluate restored
expect_step publish up_to_date
# a folder with other files than those that would be restored
sed -i 's/echo 1 >/echo one >/' Pipelinefile
build
sed -i 's/echo one >/echo 1 >/' Pipelinefile
told status
expect_step split would_restore
expect_step each may_run "*'split'*"
touch unrelated
told status each
expect_step each may_run
