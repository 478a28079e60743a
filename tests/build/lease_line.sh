# SPDX-License-Identifier: MIT
# Steps that stand in line for their turn get it also when the one ahead of them has nothing to run: what it would make
# was published meanwhile.
PAWL_REMOTE_LEASE_AFTER=1ms
export PAWL_REMOTE_LEASE_AFTER
for ws in one two; do
    mkdir $ws
    pipeline $ws/Pipelinefile <<END
pipeline leased
remote "file://$T/far"
step long for x in ["a", "b", "c", "d"] {
    in  "src"
    out o = "o-{{x}}"
    run "if [ {{x}} = a ]; then : > $T/began; while [ -e $T/hold ]; do sleep 0.1; done; fi; sleep 0.1; cp src {{o}}"
}
END
    echo second >$ws/src
done
# Both learn from the place how long the steps take.
echo first >one/src
PAWL_CACHE_DIR=$T/cache-one build -C one -j 1
expect ran=4
echo second >one/src

rm "$T/began"
: >"$T/hold"
PAWL_CACHE_DIR=$T/cache-two "$PAWL" build --json -C two -j 1 >"$T/events-two" 2>&1 &
two=$!
for try in $(seq 600); do
    [ -e "$T/began" ] && break
    sleep 0.1
done
PAWL_CACHE_DIR=$T/cache-one build -C one -j 1 "long[x=b]" "long[x=c]"
expect ran=2
rm "$T/hold"
for try in $(seq 600); do
    grep -q '"event":"summary"' "$T/events-two" && break
    sleep 0.1
done
cp "$T/events-two" "$T/events"
grep -q '"event":"summary"' "$T/events" || {
    kill -KILL $two
    fail "waits for ever"
}
wait $two
expect ran=2 restored=2
