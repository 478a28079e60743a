#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh PAWL CASE.sh…: runs scenarios, each in a folder of its own; a transcript of those that fail.
here=$(cd "$(dirname "$0")" && pwd)
PAWL=$(realpath "$1")
shift
export PAWL

one() {
    T=$(mktemp -d "${TMPDIR:-/tmp}/pawl-scenario.XXXXXX")
    mkdir "$T/ws" "$T/home" "$T/tmp"
    (
        unset $(env | sed -n 's/^\(PAWL_PARAM_[A-Za-z0-9_]*\)=.*/\1/p') CUDA_VISIBLE_DEVICES MAKEFLAGS NO_COLOR
        export T HOME="$T/home" PAWL_CACHE_DIR="$T/cache" TMPDIR="$T/tmp" LC_ALL=C.UTF-8 XDG_CACHE_HOME= XDG_CONFIG_HOME=
        unset PAWL_SIGNING_KEY
        cd "$T/ws" && exec sh -c '. "$0/lib.sh"; . "$1"' "$here" "$1"
    ) >"$T/transcript" 2>&1
    code=$?
    if [ $code -ne 0 ]; then
        echo "==== $1"
        cat "$T/transcript"
        echo "==== exit $code"
    fi
    chmod -R u+rwX "$T" && rm -rf "$T"
    return $code
}

worst=0
for case; do
    one "$(realpath "$case")" || worst=$?
done
exit $worst
