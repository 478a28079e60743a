# SPDX-License-Identifier: MIT
# What the remote cache gave and cost stands in the summary, in the run's history, and in what push and pull say.
PAWL_REMOTE=file://$T/far
export PAWL_REMOTE
pipeline <<'END2'
step a for i in range(3) { in "src" out o = "a-{{i}}" run "cp src {{o}}; echo {{i}} >> {{o}}" }
step b { in a[*].o out o = "b" run "echo '{\"x\": 1}' > {{o}}" }
step c { in  b = b.o  out "c"  when json(b, "x") == 1  run "cp b c" }
END2
echo x >src
elsewhere() {
    rm -rf .pawl a-* b c
    PAWL_CACHE_DIR=$T/cache-$1
    export PAWL_CACHE_DIR
}
# figure NAME: of the summary's member "remote", or of the line that a command printed.
figure() {
    sed -n "s/.*\"remote\":{[^}]*\"$1\":\([0-9.]*\).*/\1/p" "$T/events" "$T/out" | tail -n 1
}
elsewhere one
build
expect ran=5
: >"$T/out"
same "$(figure asked)" 5
same "$(figure given)" 0
same "$(figure list)" 1 # one for all that asks and gives
[ "$(figure put)" -ge 2 ] || fail "a pack and a segment were put"
[ "$(figure sent_bytes)" -gt 500 ] || fail "bytes were sent"
# All is in place: nothing is asked, and nothing is said.
build
expect up_to_date=5
! grep -q '"remote"' "$T/events" || fail "the remote cache had no part in it"
build --no-remote --rerun b
! grep -q '"remote"' "$T/events" || fail "the remote cache had no part in it"
# Asking tells from where; what hangs on a value that is far away may run.
elsewhere two
told status
expect would_restore=4 may_run=1
same "$(grep -c '"result":"would_restore",.*"from":"remote"' "$T/events")" 4
pawl status
says "*would restore a?i=0?*from the remote cache*"
build
: >"$T/out"
expect restored=5
same "$(figure asked)" 5
same "$(figure given)" 5
[ "$(figure received_bytes)" -gt 500 ] || fail "bytes were received"
pawl runs
says "*from remote*"
pawl runs --json
same "$(figure given)" 5
pawl stats
says "*restored     0 from the local cache, 5 from the remote one
remote       5 of 5 found (100.0 %)
             * requests (* list, * get*), * down*"
pawl stats --json
same "$(figure given)" 5
elsewhere two
told status
expect would_restore=5
same "$(grep -c '"result":"would_restore",.*"from":"local"' "$T/events")" 5
rm -rf .pawl
pawl
says "*5 restored*"
elsewhere three
pawl build -v
says "*
remote: 5 of 5 found, * requests (* list, * get*), * down*"
# By hand.
elsewhere one
pawl cache push
says "pushed: 1 result; 4 were there
remote: * requests (* list*put*), * up*"
pawl cache push --json
same "$(figure list)" 1
elsewhere four
pawl cache pull
says "here: * results
remote: * requests (1 list, * get), * down*"
pawl cache pull --json
same "$(figure list)" 1
# A step beside it that takes the same file, and no value of it, is known.
mkdir beside
pipeline beside/Pipelinefile <<'END2'
step number { out o = "o" run "echo 3 > {{o}}" }
step copy { in number.o out c = "c" run "cp {{number.o}} {{c}}" }
step gate { in number.o when json(number.o, "") < 4 run "true" }
END2
PAWL_CACHE_DIR=$T/beside-one build -C beside
expect ran=3
rm -r beside/o beside/c beside/.pawl
PAWL_CACHE_DIR=$T/beside-two told status -C beside
expect would_restore=2 may_run=1
grep '"step":"gate"' "$T/events" | grep -q may_run || fail "the gate was decided without its value"
PAWL_CACHE_DIR=$T/beside-two build -C beside
expect restored=2 up_to_date=1
