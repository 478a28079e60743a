# SPDX-License-Identifier: MIT
# --only takes the inputs as they lie there; --rerun runs whatever the cache says.
pipeline <<'END'
step a {
    in  "src"
    out o = "a"
    run "cp src {{o}}; echo a >> log"
}
step b {
    in  i = a.o
    out o = "b"
    run "cp {{i}} {{o}}; echo b >> log"
}
END
echo x >src
build
echo y >src
build --only b
expect up_to_date=1
expect_no_step a
echo z >a
build --only b
expect ran=1
holds b z
rm log
build --rerun a
expect ran=2
holds b y
rm log
build --rerun b
expect ran=1 up_to_date=1
expect_step b ran '*rerun*'
holds log b
build --rerun a b
expect ran=1 up_to_date=1
rm a
exits 1 build --only b
expect failed=1
