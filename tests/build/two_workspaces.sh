# SPDX-License-Identifier: MIT
# Two workspaces share a cache, also at the same time.
mkdir one two
for ws in one two; do
    pipeline $ws/Pipelinefile <<'END'
step a for i in range(20) {
    in  "src"
    out o = "a-{{i}}"
    run "cp src {{o}}; echo {{i}} >> {{o}}"
}
step all {
    in  files = a[*].o
    out o = "all"
    run "cat {{files}} > {{o}}"
}
END
    echo x >$ws/src
done
build -C one
expect ran=21
build -C two
expect restored=21
echo y >one/src
echo y >two/src
"$PAWL" build -q -C one >"$T/one" 2>&1 &
first=$!
exits 0 build -C two
wait $first || fail "the build beside it failed: $(cat "$T/one")"
cmp one/all two/all || fail "they differ"
build -C one
expect up_to_date=21
build -C two
expect up_to_date=21
rm -rf one/a-* one/all
build -C one
expect restored=21
