# SPDX-License-Identifier: MIT
# An input that changed while the step ran: the step has run, and runs again next time.
pipeline <<'END'
step a {
    in  "src"
    out o = "o"
    run "cp src {{o}}; echo more >> src; echo ran >> log"
}
END
echo 1 >src
build
expect ran=1
expect_step a ran
expect_notice input-changed
sed -i 's/echo more >> src; //' Pipelinefile
build
expect ran=1
build
expect up_to_date=1
# back at the content that it had when that result was begun: it must not be used
rm -rf .pawl "$PAWL_CACHE_DIR"
pipeline <<'END'
step a {
    in  "src"
    out o = "o"
    run "cat src > {{o}}; if test -e racing; then rm racing; echo other > src; fi"
}
END
echo 1 >src
touch racing
build
expect ran=1
echo 1 >src
build
expect ran=1
holds o 1
