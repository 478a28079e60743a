# SPDX-License-Identifier: MIT
# --no-cache neither reads nor writes the cache; `cache off` never reuses and never stores.
pipeline <<'END'
step a {
    in  "src"
    out o = "a"
    run "cp src {{o}}"
}
step off {
    in  i = a.o
    out o = "off"
    run "cp {{i}} {{o}}; echo off >> log"
    cache off
}
END
echo 1 >src
build --no-cache
expect ran=2
absent "$PAWL_CACHE_DIR"
build --no-cache
expect ran=1 up_to_date=1
expect_step off ran
rm a
build --no-cache
expect ran=2
rm a
build
expect ran=2
build
expect ran=1 up_to_date=1
rm a
build
expect ran=1 restored=1
rm off
build
expect ran=1 up_to_date=1
