# SPDX-License-Identifier: MIT
# cache { local = false } keeps nothing here; the pipeline's policy reaches each step, the step's own wins.
pipeline <<'END'
cache { local = false }
step a {
    out o = "a"
    run "touch a"
}
step b {
    out o = "b"
    run "touch b"
    cache { local = true }
}
END
build
expect ran=2
build
expect up_to_date=2
rm a b
build
expect ran=1 restored=1
expect_step b restored
