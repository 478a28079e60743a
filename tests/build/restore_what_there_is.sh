# SPDX-License-Identifier: MIT
# restore: what the cache lacks is said, the rest is put in place; nothing runs.
pipeline <<'END'
step a {
    in  "src"
    out o = "a"
    run "cp src a; echo a >> log"
}
step b {
    out o = "b"
    run "echo b > b; echo b >> log"
}
step c {
    in  i = a.o
    out o = "c"
    run "cp a c; echo c >> log"
}
END
echo 1 >src
build b
exits 1 told restore
expect_step a skipped '*cache*'
expect_step c skipped
expect_step b up_to_date
absent a
rm b
exits 1 told restore
expect restored=1 skipped=2
present b
told restore b
expect up_to_date=1
build
rm a b c
told restore
expect restored=3
same "$(lines log)" 3
