# SPDX-License-Identifier: MIT
# More steps than look for a result at once: they come in turns, and none is left out. From afar results are fetched in
# turns, too, each of them a list of its own in the local cache; where all lie here, they are put in place in order.
export XDG_CACHE_HOME
for ws in one two; do
    mkdir $ws $ws/in
    i=0
    while [ $i -lt 2500 ]; do
        echo $i >$ws/in/$((10000 + i))
        i=$((i + 1))
    done
    pipeline $ws/Pipelinefile <<END2
remote "file://$T/far"
step copy for f in glob("in/*") {
    in  f = f
    out o = "out/{{stem(f)}}"
    run "cp {{f}} {{o}}"
}
END2
done
PAWL_CACHE_DIR=$T/cache-one build -C one
expect ran=2500
PAWL_CACHE_DIR=$T/cache-two build -C two -j1
expect restored=2500
diff -r one/out two/out || fail "they differ"
turns=$(find "$T/cache-two/m" -type f | wc -l | tr -d ' ')
[ "$turns" -ge 3 ] && [ "$turns" -le 12 ] || fail "fetched in $turns turns"
rm -r two/out two/.pawl
PAWL_CACHE_DIR=$T/cache-two build -C two -j1 --no-remote
expect restored=2500
diff -r one/out two/out || fail "they differ"
sed -n 's/.*"step":"copy\[f=\([^]]*\)\]".*"result":"restored".*/\1/p' "$T/events" >"$T/order"
same "$(wc -l <"$T/order" | tr -d ' ')" 2500
sort -c "$T/order" || fail "not in the order of the graph"
