# SPDX-License-Identifier: MIT
# After the timeout all that the command started is ended, also what went into a session of its own.
pipeline <<'END'
step slow {
    out o = "o"
    timeout 500ms
    run """
        (sleep 31 & echo $! >> pids; wait) &
        setsid sh -c 'echo $$ >> pids; sleep 32' &
        (setsid sh -c 'echo $$ >> pids; trap "" TERM; sleep 33' &)
        wait
    """
}
END
begin=$(date +%s)
exits 1 build
expect failed=1
expect_step slow failed 'timed out after*'
[ $(($(date +%s) - begin)) -lt 20 ] || fail "the timeout took too long"
same "$(lines pids)" 3
for pid in $(cat pids); do
    ! kill -0 "$pid" 2>/dev/null || fail "process $pid is still there"
done
