# SPDX-License-Identifier: MIT
# A result is used only while it is no older than expire_after, counted from the success that made it.
pipeline <<'END'
cache { expire_after = "PT2S" }
step short {
    out o = "short"
    run "date +%s%N > {{o}}"
}
step long {
    out o = "long"
    run "date +%s%N > {{o}}"
    cache { expire_after = 1h }
}
END
build
expect ran=2
build
expect up_to_date=2
sleep 2.2
told status
expect would_run=1 up_to_date=1
expect_step short would_run '*expire*'
build
expect ran=1 up_to_date=1
rm short long
build
expect restored=2
sleep 2.2
rm short
build
expect ran=1 up_to_date=1
sed -i 's/PT2S/P30D/' Pipelinefile
build
expect up_to_date=2
for wrong in P1Y P1M 5 '30 d' -1s; do
    sed "s/\"P30D\"/\"$wrong\"/" Pipelinefile >wrong.pipeline
    exits 2 build -f wrong.pipeline
done
