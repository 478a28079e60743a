# SPDX-License-Identifier: MIT
# A path below a directory output belongs to its step, also before it was ever made.
pipeline <<'END'
step split {
    in  "src"
    out parts = "parts/"
    run "cp src parts/a; echo fixed > parts/b"
}
step use_b {
    in  f = "parts/b"
    out o = "b"
    run "cp {{f}} {{o}}"
}
step use_none {
    in  f = "parts/nothing"
    out o = "n"
    run "cp {{f}} {{o}}"
}
default use_b
END
echo 1 >src
build
expect ran=2
echo 2 >src
build
expect ran=1 up_to_date=1
pawl clean
build
expect restored=2
exits 1 build use_none
expect_step use_none failed '*parts/nothing*'
