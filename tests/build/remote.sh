# SPDX-License-Identifier: MIT
# Two workspaces with caches of their own share a place: what one has made the other restores, and runs nothing.
far=file://$T/far
for ws in one two; do
    mkdir $ws
    pipeline $ws/Pipelinefile <<END2
remote "$far"
step a for i in range(5) {
    in  "src"
    out o = "a-{{i}}"
    run "cp src {{o}}; echo {{i}} >> {{o}}"
}
step tree {
    in  "src"
    out "d/"
    run "mkdir d/sub; cp src d/sub/x; head -c 3000000 /dev/zero | tr '\\\\0' 'z' > d/large; ln -s sub/x d/link"
}
step all {
    in  files = a[*].o, tree
    out o = "all"
    run "cat {{files}} > /dev/null; echo printed; echo done > {{o}}"
}
END2
    echo x >$ws/src
done
export XDG_CACHE_HOME
PAWL_CACHE_DIR=$T/cache-one build -C one
expect ran=7
same "$(find "$T/far/m" -type f | wc -l | tr -d ' ')" 1
PAWL_CACHE_DIR=$T/cache-two build -C two
expect restored=7
grep '"step":"all"' "$T/events" | grep -q '"from":"remote"' || fail "does not say from where"
cmp one/d/large two/d/large || fail "they differ"
cmp one/d/link two/d/link || fail "they differ"
holds two/a-3 "x
3"
PAWL_CACHE_DIR=$T/cache-two pawl log -C two all
says "*printed*"
# It lies here from now on.
rm -r two/a-* two/d two/all "$T/far"
PAWL_CACHE_DIR=$T/cache-two build -C two
expect restored=7
grep '"step":"all"' "$T/events" | grep -q '"from":"local"' || fail "does not say from where"
