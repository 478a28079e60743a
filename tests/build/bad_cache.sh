# SPDX-License-Identifier: MIT
# A cache that is not writable, no folder, or full of rubbish costs a warning, never the build.
pipeline <<'END'
step a {
    in  "src"
    out o = "o"
    run "cp src {{o}}"
}
END
echo 1 >src
echo file >"$T/cache"
build
expect ran=1
grep -q '"event":"notice"' "$T/events" || fail "nothing was said about the cache"
build
expect up_to_date=1
rm "$T/cache"
echo 2 >src
build
expect ran=1
rm o
build
expect restored=1
find "$T/cache" -type f | while read -r f; do
    head -c 300 /dev/urandom >"$f"
done
rm o
build
expect ran=1
holds o 2
rm -rf "$T/cache" .pawl
mkdir -p "$T/cache/m" "$T/cache/p"
echo rubbish >"$T/cache/m/0123456789ab-0123456789abcdef"
echo rubbish >"$T/cache/format"
build
expect ran=1
rm -rf "$T/cache" .pawl
build
find "$T/cache/p" "$T/cache/b" -type f | while read -r f; do
    truncate -s 9 "$f"
done
rm o
build
expect ran=1
holds o 2
PAWL_CACHE_DIR=/proc/nowhere build
expect up_to_date=1
echo 3 >src
PAWL_CACHE_DIR=/proc/nowhere build
expect ran=1
PAWL_CACHE_DIR=relative build
