#!/bin/bash
# SPDX-License-Identifier: MIT
# what the tabulator key offers in bash; a name that holds a command is not run
mkdir data && : >'data/$(touch bad)' && : >'data/a b'
cat >Pipelinefile <<'END'
step train for depth in [3, 5] { out m = "build/model-{{depth}}" run "touch {{m}}" }
step count for f in glob("data/*") { run "true" }
END
# shellcheck source=/dev/null
source <(pawl completion bash)
offers() { # the line up to the cursor, broken as bash breaks it
    COMP_LINE=$1
    COMP_POINT=${#1}
    read -ra COMP_WORDS <<<"${1//=/ = }"
    [[ $1 == *[\ =] ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _pawl 2>/dev/null
    printf '%s ->' "$1"
    [ ${#COMPREPLY[@]} -eq 0 ] || printf ' <%s>' "${COMPREPLY[@]}"
    echo
}
offers 'pawl st'
offers 'pawl tr'
offers 'pawl build b'
offers 'pawl build tra'
offers 'pawl build train\[depth='
offers "pawl build 'train[depth=3"
offers 'pawl log cou'
offers 'pawl --js'
offers 'pawl graph --format '
offers 'pawl graph --format=d'
offers 'pawl build --progress t'
offers 'pawl cache '
offers 'pawl cache key tr'
offers 'pawl cache key trust Pipe'
offers 'pawl cache gc '
offers 'pawl cache gc --re'
offers 'pawl -v -f new cache l'
offers 'pawl --file=new -C key cache key v'
offers 'pawl build cache t'
offers 'pawl log key t'
offers 'pawl --json st'
offers 'pawl completion z'
offers 'pawl -f Pipe'
offers 'pawl nothing'
ls
pawl completion fish | grep '__pawl_said .*-[aF]' | tail -n 5
