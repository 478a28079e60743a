# SPDX-License-Identifier: MIT
# A remote cache that is garbled, gone, read-only or no such place costs a line, never the build.
PAWL_REMOTE=file://$T/far
export PAWL_REMOTE
pipeline <<'END2'
step a for i in range(3) { in "src" out o = "a-{{i}}" run "cp src {{o}}; echo {{i}} >> {{o}}" }
step z { in a[*].o out "z" run "cat a-0 a-1 a-2 > z" }
END2
echo x >src
elsewhere() {
    rm -rf .pawl a-* z
    PAWL_CACHE_DIR=$T/cache-$1
    export PAWL_CACHE_DIR
}
elsewhere one
build
expect ran=4
cp z "$T/z"
cp -r "$T/far" "$T/good"
again() {
    exits 0 build
    cmp z "$T/z" || fail "a wrong byte"
}
# Every byte of every file is hit once in a while: packs and segments are small.
n=0
for file in $(find "$T/good" -type f | sort); do
    size=$(stat -c %s "$file")
    for at in 0 12 $((size / 3)) $((size / 2)) $((size - 20)); do
        [ "$at" -ge 0 ] && [ "$at" -lt "$size" ] || continue
        rm -rf "$T/far"
        cp -r "$T/good" "$T/far"
        printf '\377' | dd of="$T/far/${file#"$T"/good/}" bs=1 seek="$at" conv=notrunc 2>/dev/null
        n=$((n + 1))
        elsewhere "garbled-$n"
        again
    done
done
rm -rf "$T/far"
cp -r "$T/good" "$T/far"
rm "$T"/far/p/*
elsewhere gone
again
expect ran=4
rm -rf "$T/far"
cp -r "$T/good" "$T/far"
chmod -R a-w "$T/far"
elsewhere readonly
again
[ "$(id -u)" = 0 ] || expect restored=4
chmod -R u+w "$T/far"
rm -rf "$T/far"
echo "a file" >"$T/far"
elsewhere file
again
expect ran=4
expect_notice remote-down
same "$(grep -c '"event":"notice"' "$T/events")" 1
PAWL_REMOTE=ftp://x
elsewhere ftp
again
expect_notice remote-unusable
# A bucket that was forgotten is no bucket, and nothing else is read as one.
for PAWL_REMOTE in s3:// s3:///prefix S3://team/prefix; do
    elsewhere "typo-$(echo "$PAWL_REMOTE" | cksum | cut -d' ' -f1)"
    again
    expect ran=4
    expect_notice remote-unusable
    grep -q "'$PAWL_REMOTE' is no remote cache, as 's3://bucket/prefix'" "$T/events" || fail "no remedy for $PAWL_REMOTE"
done
PAWL_REMOTE=file://$T/good
PAWL_REMOTE_PATH_STYLE=yes
export PAWL_REMOTE_PATH_STYLE
elsewhere style
again
expect_notice remote-path-style
for PAWL_REMOTE_PATH_STYLE in true false 1 0; do
    elsewhere "style-$PAWL_REMOTE_PATH_STYLE"
    again
    same "$(grep -c '"event":"notice"' "$T/events")" 0
done
unset PAWL_REMOTE_PATH_STYLE
# What is wrong, what to do, and with which place: one line.
PAWL_REMOTE=s3://team/prefix PAWL_REMOTE_ENDPOINT=http://127.0.0.1:1 AWS_EC2_METADATA_DISABLED=true
export PAWL_REMOTE_ENDPOINT AWS_EC2_METADATA_DISABLED
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_PROFILE
elsewhere keys
again
grep -q "keys.* (see which keys are used.*going on without 's3://team/prefix'" "$T/events" || fail "no remedy for keys"
