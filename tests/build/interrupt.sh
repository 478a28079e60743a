# SPDX-License-Identifier: MIT
# Ctrl-C: children are ended, what was finished is kept.
pipeline <<'END'
step quick {
    out o = "quick"
    run "touch quick"
}
step slow {
    in  quick.o
    out o = "slow"
    run "sleep 61 & echo $! > pid; wait"
}
step later {
    in  slow.o
    out o = "later"
    run "touch later"
}
END
"$PAWL" build --json >"$T/events" 2>"$T/errors" &
builder=$!
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    [ -s pid ] && break
    sleep 0.2
done
[ -s pid ] || fail "it never began"
kill -INT $builder 2>/dev/null || fail "it is gone"
code=0
wait $builder || code=$?
cat "$T/events" "$T/errors"
same $code 130
sleep 0.1
! kill -0 "$(cat pid)" 2>/dev/null || fail "its child is still there"
expect ran=1 failed=1 skipped=1
sed -i 's/sleep 61 & echo $! > pid; wait/touch slow/' Pipelinefile
build
expect up_to_date=1 ran=2
