# SPDX-License-Identifier: MIT
# A declared output that is not there, or is of another kind, makes the step fail.
pipeline <<'END'
step a {
    out o = "o"
    run "true"
}
END
exits 1 build
expect failed=1
expect_step a failed '*o*'
echo stale >o
exits 1 build
absent o
pipeline <<'END'
step a {
    out o = "o"
    run "mkdir o"
}
END
exits 1 build
pipeline <<'END'
step a {
    out o = "o/"
    run "rmdir o; touch o"
}
END
exits 1 build
pipeline <<'END'
step a {
    in  "src"
    out o = "out"
    run "cp src {{o}}; rm src"
}
END
echo 1 >src
build
expect ran=1
expect_notice input-changed
exits 2 build
complains "*src*"
