# SPDX-License-Identifier: MIT
# A second build of one workspace waits for the first.
pipeline <<'END'
step a {
    out o = "o"
    run "echo a >> log; sleep 1; touch o"
}
END
"$PAWL" build --json >"$T/one" 2>&1 &
first=$!
while ! test -e log; do sleep 0.05; done
build
expect up_to_date=1
complains '*waiting*'
wait $first
same "$(lines log)" 1
# asking does not wait
"$PAWL" build --json --rerun a >"$T/one" 2>&1 &
first=$!
while test "$(lines log)" = 1; do sleep 0.05; done
told status
kill -0 $first || fail "it waited"
wait $first
