# SPDX-License-Identifier: MIT
# A file system that knows no files without a name, as NFS: results still go to a remote cache and come from there.
[ -n "${PAWL_TEST_ONLY_NAMES-}" ] || { echo "the library that refuses is not built here"; exit 77; }
for ws in one two; do
    mkdir $ws
    pipeline $ws/Pipelinefile <<END2
remote "file://$T/far"
step make {
    out o = "model"
    run "cp $T/ws/kept {{o}}"
}
END2
done
head -c 3000000 /dev/urandom >kept
LD_PRELOAD=$PAWL_TEST_ONLY_NAMES
export LD_PRELOAD
PAWL_CACHE_DIR=$T/cache-one build -C one
expect ran=1
PAWL_CACHE_DIR=$T/cache-two build -C two
unset LD_PRELOAD
expect restored=1
cmp one/model two/model || fail "they differ"
rm two/model
PAWL_CACHE_DIR=$T/cache-two build -C two --no-remote
expect restored=1
cmp one/model two/model || fail "they differ"
[ -z "$(find "$T/cache-one" "$T/cache-two" -name '.pawl-*')" ] || fail "something was left behind"
