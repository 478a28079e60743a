# SPDX-License-Identifier: MIT
# A full cache costs a warning; a step that finds no room fails.
[ "$(id -u)" = 0 ] || skip "needs to mount"
mkdir "$T/small"
mount -t tmpfs -o size=256k tmpfs "$T/small" 2>/dev/null || skip "cannot mount"
trap 'umount "$T/small"' EXIT
pipeline <<'END'
step big {
    out o = "big"
    run "head -c 2000000 /dev/urandom > {{o}}"
}
step small {
    in  i = big.o
    out o = "small"
    run "head -c 10 {{i}} > {{o}}"
}
END
PAWL_CACHE_DIR=$T/small/cache build
expect ran=2
grep -q '"event":"notice"' "$T/events" || fail "nothing was said about the cache"
PAWL_CACHE_DIR=$T/small/cache build
expect up_to_date=2
rm small
PAWL_CACHE_DIR=$T/small/cache build
present small
# read-only: what is in it is used, nothing is stored
umount "$T/small"
mount -t tmpfs -o size=64m tmpfs "$T/small"
rm -rf .pawl big small
PAWL_CACHE_DIR=$T/small/cache build
expect ran=2
mount -o remount,ro "$T/small"
rm small
PAWL_CACHE_DIR=$T/small/cache build
expect restored=1 up_to_date=1
sed -i 's/head -c 10/head -c 11/' Pipelinefile
PAWL_CACHE_DIR=$T/small/cache build
expect ran=1 up_to_date=1
