# SPDX-License-Identifier: MIT
# A long step is run by one of two builders: the other waits and restores, runs where the first one fails, and is
# interrupted at once. What is expected to be short is not waited for.
PAWL_REMOTE_LEASE_AFTER=5s
export PAWL_REMOTE_LEASE_AFTER
for ws in one two; do
    mkdir $ws
    pipeline $ws/Pipelinefile <<END
pipeline leased
remote "file://$T/far"
step long for x in ["a", "b"] {
    in  "src"
    out o = "o-{{x}}"
    run "echo ran >> $T/log; while [ -e $T/hold ]; do sleep 0.1; done; if [ -e $T/bad ]; then exit 1; fi; sleep \$(cat $T/more); cp src {{o}}"
}
step beside { in "src" out o = "beside" run "cp src beside" }
END
done
# begin NAME: a build in the background, with a cache of its own.
begin() {
    # shellcheck disable=SC2086 # words are meant
    PAWL_CACHE_DIR=$T/cache-$1 "$PAWL" build --json -C "$1" $targets >"$T/events-$1" 2>"$T/errors-$1" &
}
# until_true COMMAND…: waits for it to hold, for a minute.
until_true() {
    for try in $(seq 600); do
        if "$@" 2>/dev/null; then return; fi
        sleep 0.1
    done
    cat "$T"/events-* "$T"/errors-*
    fail "never came true: $*"
}
# ended PID NAME CODE: waits for the builder.
ended() {
    code=0
    wait "$1" || code=$?
    cp "$T/events-$2" "$T/events"
    cp "$T/errors-$2" "$T/errors"
    same $code "$3"
}
both() {
    echo "$1" >one/src
    echo "$1" >two/src
    : >"$T/log"
    : >"$T/hold"
    begin one
    one=$!
    until_true [ -s "$T/log" ]
    begin two
    two=$!
    until_true grep -q lease-wait "$T/events-two"
    # The other steps do not wait.
    until_true grep -q '"step":"beside"' "$T/events-two"
}
# So long they take: as long others wait below.
echo 15 >"$T/more"
echo first >one/src
targets="long"
begin one
ended $! one 0
expect ran=2
echo 0 >"$T/more"

# Ctrl-C ends the waiting, and what was held.
targets="long[x=a] beside"
both second
kill -INT $two
ended $two two 130
expect ran=1 skipped=1
same "$(find "$T/far/l" -type f | wc -l | tr -d ' ')" 1
# On a terminal the live line says for whom it waits; the key is pressed once it does.
if command -v python3 >/dev/null; then
    cat >"$T/press.py" <<'END'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
data, pressed = b"", False
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    data += part
    if b"long[x=a]  waits for " in data and not pressed:
        pressed = True
        os.write(fd, b"\x03")
sys.stdout.write(data.decode())
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(f"ended with {code}" if code != 130 or not pressed else 0)
END
    PAWL_CACHE_DIR=$T/cache-two TERM=xterm timeout 60 python3 "$T/press.py" "$PAWL" -C two "long[x=a]" \
        >"$T/out" || fail "$(cat "$T/out")"
    says "*0 running, 1 waiting*"
fi
kill -INT $one
ended $one one 130
same "$(lines "$T/log")" 1
same "$(find "$T/far/l" -type f | wc -l | tr -d ' ')" 0

both third
rm "$T/hold"
ended $one one 0
expect ran=2
ended $two two 0
expect ran=1 restored=1
grep '"step":"long' "$T/events" | grep -q '"from":"remote"' || fail "does not say from where"
same "$(lines "$T/log")" 1
holds two/o-a third
grep -q "'long.*' is being run by" "$T/events" || fail "does not say who"
# A result is not there in the moment in which its step ends.
patience=$(sed -n 's/.*for at most \([0-9]*\)\(\.[0-9]*\)\{0,1\}s".*/\1/p' "$T/events" | head -n 1)
[ "${patience:-60}" -ge 16 ] || fail "waits $patience s for what takes 15 s and is then published"
same "$(find "$T/far/l" -type f | wc -l | tr -d ' ')" 0

# What the one cannot do the other tries.
targets="long[x=b] beside"
both fourth
: >"$T/bad"
rm "$T/hold"
ended $one one 1
rm "$T/bad"
ended $two two 0
expect ran=2
same "$(lines "$T/log")" 2
same "$(find "$T/far/l" -type f | wc -l | tr -d ' ')" 0

# Steps that are expected to be short are not waited for.
PAWL_REMOTE_LEASE_AFTER=1h
echo fifth >one/src
echo fifth >two/src
: >"$T/log"
: >"$T/hold"
begin one
one=$!
until_true [ -s "$T/log" ]
begin two
two=$!
both_ran() {
    [ "$(lines "$T/log")" = 2 ]
}
until_true both_ran
rm "$T/hold"
ended $one one 0
ended $two two 0
expect ran=2
