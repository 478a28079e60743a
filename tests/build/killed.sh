# SPDX-License-Identifier: MIT
# A build that was killed hard leaves nothing that the next one trusts.
pipeline <<'END'
step a {
    out o = "o"
    run "echo half > o; echo begun >> log; sleep 0.7; echo whole > o"
}
step b {
    in  i = a.o
    out o = "b"
    run "cp {{i}} {{o}}"
}
END
"$PAWL" build --json >"$T/events" 2>"$T/errors" &
builder=$!
while ! test -e log; do sleep 0.05; done
kill -KILL $builder
wait $builder 2>/dev/null || :
build
expect ran=2
holds b whole
sleep 0.8
holds o whole
