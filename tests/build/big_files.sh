# SPDX-License-Identifier: MIT
# Files beyond a chunk and a pack come back as they were; a copy of one costs nothing.
pipeline <<'END'
step big {
    out a = "a.bin"
    out b = "b.bin"
    out empty = "empty"
    run "head -c 70000000 /dev/urandom > a.bin; cp a.bin b.bin; printf x | dd of=b.bin bs=1 seek=35000000 conv=notrunc 2>/dev/null; : > empty"
}
step zeros {
    out z = "z.bin"
    run "head -c 30000000 /dev/zero > z.bin"
}
END
build
expect ran=2
sha256sum a.bin b.bin empty z.bin >"$T/sums"
rm a.bin b.bin empty z.bin
build
expect restored=2
sha256sum -c "$T/sums" || fail "they differ"
[ "$(du -s -B1000000 "$T/cache" | cut -f1)" -lt 160 ] || fail "the cache holds $(du -s "$T/cache")"
printf y | dd of=a.bin bs=1 seek=5 conv=notrunc 2>/dev/null
build
expect restored=1 up_to_date=1
sha256sum -c "$T/sums" || fail "they differ"
pawl cache check
