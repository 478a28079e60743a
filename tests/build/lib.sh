# SPDX-License-Identifier: MIT
# The words that scenarios are told in. A scenario acts in its own empty workspace, then says what it expects of the
# last command: of its events (--json), its exit code, and the files. Sourced by run.sh; the first miss ends it.
set -eu

fail() {
    echo "FAILED: $*"
    echo "--- events"
    cat "$T/events" 2>/dev/null || :
    echo "--- errors"
    cat "$T/errors" 2>/dev/null || :
    exit 1
}

# pipeline <<END: the Pipelinefile. A name writes another file.
pipeline() {
    cat >"${1:-Pipelinefile}"
}

want_exit=0

# exits CODE COMMAND…: the command that follows must end with this code.
exits() {
    want_exit=$1
    shift
    "$@"
    want_exit=0
}

# pawl ARG…: standard output lies in $T/out afterwards, standard error in $T/errors.
pawl() {
    echo "\$ pawl $*"
    code=0
    "$PAWL" "$@" >"$T/out" 2>"$T/errors" || code=$?
    cat "$T/out" "$T/errors"
    [ "$code" = "$want_exit" ] || fail "pawl $* ended with $code, expected $want_exit"
}

build() {
    told build "$@"
}

# told COMMAND ARG…: a command whose events are looked at afterwards.
told() {
    command=$1
    shift
    : >"$T/events"
    echo "\$ pawl $command $*"
    code=0
    "$PAWL" "$command" --json "$@" >"$T/events" 2>"$T/errors" || code=$?
    cat "$T/events" "$T/errors"
    [ "$code" = "$want_exit" ] || fail "pawl $command $* ended with $code, expected $want_exit"
}

# expect ran=1 restored=2: what the summary says; what is not named is 0.
expect() {
    summary=$(grep '"event":"summary"' "$T/events") || fail "no summary"
    for key in ran restored up_to_date skipped failed would_run would_restore may_run; do
        want=0
        for pair; do
            case $pair in
            "$key"=*) want=${pair#*=} ;;
            esac
        done
        case $summary in
        *"\"$key\":$want,"*) ;;
        *"\"$key\":"*) fail "expected $key=$want" ;;
        *) [ "$want" = 0 ] || fail "the summary has no $key" ;;
        esac
    done
}

# expect_step NAME RESULT [GLOB]: how a step ended, and a pattern for the reason.
expect_step() {
    line=$(grep -F "\"event\":\"step\",\"step\":\"$1\"," "$T/events") || fail "no event of step '$1'"
    case $line in
    *"\"result\":\"$2\""*) ;;
    *) fail "expected step '$1' to be $2" ;;
    esac
    [ $# -lt 3 ] && return
    reason=${line#*\"reason\":\"}
    reason=${reason%%\",\"*}
    reason=${reason%\"\}}
    # shellcheck disable=SC2254 # a pattern is meant
    case $reason in
    $3) ;;
    *) fail "expected step '$1' for the reason '$3', not '$reason'" ;;
    esac
}

# expect_no_step NAME: it was not wanted.
expect_no_step() {
    ! grep -qF "\"event\":\"step\",\"step\":\"$1\"," "$T/events" || fail "step '$1' was not to be wanted"
}

expect_notice() {
    grep -q "\"event\":\"notice\",\"code\":\"$1\"" "$T/events" || fail "no notice '$1'"
}

# says GLOB, complains GLOB: of standard output and standard error.
says() {
    # shellcheck disable=SC2254
    case $(cat "$T/out") in
    $1) ;;
    *) fail "expected the output to match '$1'" ;;
    esac
}

complains() {
    # shellcheck disable=SC2254
    case $(cat "$T/errors") in
    $1) ;;
    *) fail "expected the errors to match '$1'" ;;
    esac
}

# holds FILE TEXT: the file's content, less line breaks at its end.
holds() {
    [ -e "$1" ] || fail "'$1' is not there"
    [ "$(cat "$1")" = "$2" ] || fail "expected '$1' to hold '$2', not '$(cat "$1")'"
}

absent() {
    [ ! -e "$1" ] || fail "'$1' is there"
}

present() {
    [ -e "$1" ] || fail "'$1' is not there"
}

# same FILE TEXT…: two texts that must be equal.
same() {
    [ "$1" = "$2" ] || fail "expected '$2', not '$1'"
}

# tree FOLDER…: names, kinds, modes, contents and link texts of all that lies there, as text to be compared.
tree() {
    for top; do
        [ -e "$top" ] || continue
        find "$top" -printf '%p %y %m %l ' \( -type f -exec sha256sum {} \; -o -printf '\n' \) | sort
    done
}

# lines FILE: how many.
lines() {
    wc -l <"$1" | tr -d ' '
}

# skip REASON: this machine cannot show it.
skip() {
    echo "skipped: $*"
    exit 77
}
