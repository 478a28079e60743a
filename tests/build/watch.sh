# SPDX-License-Identifier: MIT
# --watch builds again when something that counts changes: inputs, parameters, new files of a glob, the Pipelinefile.
pipeline <<'END'
step a {
    in  files = glob("data/*.txt")
    out o = "build/all"
    depfile "all.d"
    run "cat {{files}} extra > {{o}}; echo 'x: extra' > all.d; echo ran >> log"
}
END
mkdir data sub
echo 1 >data/1.txt
echo e >extra
echo free >free
# reaches COUNT: waits until so many builds were told
reaches() {
    for try in $(seq 100); do
        [ "$(grep -c summary "$T/events" || :)" -ge "$1" ] && return
        sleep 0.1
    done
    fail "no build number $1"
}
cd sub
"$PAWL" -C .. build --json --watch >"$T/events" 2>"$T/errors" &
watcher=$!
trap 'kill $watcher 2>/dev/null || :' EXIT
cd ..
reaches 1
echo 2 >data/2.txt
reaches 2
holds build/all "1
2
e"
echo 3 >data/2.txt
reaches 3
echo f >extra
reaches 4
holds build/all "1
3
f"
echo other >free
echo x >build/mine
sleep 1
same "$(grep -c summary "$T/events")" 4
echo 'step {' >>Pipelinefile
for try in $(seq 50); do
    grep -q error "$T/errors" && break
    sleep 0.1
done
grep -q 'Pipelinefile:.*error' "$T/errors" || fail "it did not look at the Pipelinefile"
sed -i '$d' Pipelinefile
sed -i 's/echo ran/echo again/' Pipelinefile
reaches 5
same "$(tail -1 log)" again
kill -INT $watcher
code=0
wait $watcher || code=$?
trap - EXIT
same $code 130
