# SPDX-License-Identifier: MIT
# A long build: what is edited before the step that reads it begins counts as edited; that step runs once, is kept, and
# is up to date afterwards. The same for a step that waits for a job slot.
pipeline <<'END'
step slow {
    in  s = "src"
    out o = "slow"
    run "touch begun; sleep 0.2; while [ ! -e edited ]; do sleep 0.02; done; cp {{s}} {{o}}"
}
step late {
    in  a = slow.o
    code c = "code"
    out o = "late"
    run "cat {{a}} {{c}} > {{o}}; echo late >> log"
}
step queued {
    in  s = "src", "big"
    code c = "code"
    out o = "queued"
    run "cat {{c}} > {{o}}; echo queued >> log"
}
step untouched {
    in  a = slow.o
    in  s = "other"
    out o = "third"
    run "cp {{s}} {{o}}"
}
END
echo 1 >src
truncate -s 64M big # its hashing lets the slow step begin first
echo 1 >code
echo 1 >other
touch edited
build -j1
expect ran=4
rm edited begun log
echo 2 >src
touch big
(
    while [ ! -e begun ]; do sleep 0.02; done
    sleep 0.15
    echo 2 >code
    touch edited
) &
build -j1
wait
! grep -q input-changed "$T/events" || fail "an input that was edited before its step began made the result unfit"
expect ran=4
holds late "2
2"
holds queued 2
same "$(grep -c late log)" 1
same "$(grep -c queued log)" 1
build -j1
expect up_to_date=4
