# SPDX-License-Identifier: MIT
# An answer that cannot be written is no answer; a reader that has seen enough is no trouble.
pipeline <<'PIPELINE'
step a {
    out "a"
    run "echo made > a"
}
PIPELINE
if [ -w /dev/full ]; then
    for command in list graph check runs --help 'completion bash' 'fmt -'; do
        code=0
        # shellcheck disable=SC2086 # two words
        "$PAWL" $command <Pipelinefile >/dev/full 2>"$T/errors" || code=$?
        [ "$code" != 0 ] || fail "pawl $command was content with a full disk"
        grep -q 'cannot write to the standard output' "$T/errors" || fail "pawl $command did not say why"
    done
fi
{
    sleep 0.1
    "$PAWL" list 2>"$T/errors" || echo "$?" >code
} | true
[ ! -s "$T/errors" ] && [ ! -e code ] || fail "pawl list took a closed pipe for trouble"
