#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh [--bless] PAWL CASE.sh…: what people see. Each case is run in an empty folder of its own; its standard output,
# standard error and exit code are compared with CASE.out, CASE.err (absent: empty) and CASE.exit (absent: 0), after
# folders, times, dates and digests were made the same everywhere. --bless writes them instead.
bless=no
[ "$1" = --bless ] && { bless=yes; shift; }
PAWL=$(realpath "$1")
shift

normalise() {
    sed -E -e "s#$1#FOLDER#g" \
        -e 's/[0-9a-f]{64}/DIGEST/g' \
        -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2})?/DATE/g' \
        -e 's/"(seconds|saved_seconds|duration|saved|started_ms)":[0-9.e+-]+/"\1":N/g' \
        -e 's/\b([0-9]+h)?([0-9]+m)?[0-9]+(\.[0-9]+)?(s|ms)\b/TIME/g' \
        -e 's/, TIME saved$//' # said from one second on
}

# keep FILE TEXT: an expectation that is not there when it would be empty (or "0").
keep() {
    if [ -n "$2" ]; then printf '%s\n' "$2" >"$1"; else rm -f "$1"; fi
}

worst=0
for case; do
    stem=${case%.*}
    T=$(mktemp -d "${TMPDIR:-/tmp}/pawl-cli.XXXXXX")
    mkdir "$T/ws" "$T/home" "$T/bin"
    ln -s "$PAWL" "$T/bin/pawl"
    case=$(realpath "$case")
    (
        unset $(env | sed -n 's/^\(PAWL_[A-Za-z0-9_]*\)=.*/\1/p') CUDA_VISIBLE_DEVICES MAKEFLAGS NO_COLOR
        cd "$T/ws" && HOME="$T/home" XDG_CONFIG_HOME= PAWL_SIGNING_KEY= PAWL_CACHE_DIR="$T/cache" PATH="$T/bin:$PATH" LC_ALL=C.UTF-8 TERM=xterm \
            "$case" >"$T/out" 2>"$T/err" </dev/null
    )
    code=$?
    for stream in out err; do
        normalise "$T" <"$T/$stream" >"$T/$stream.norm"
        touch "$T/empty"
        if [ $bless = yes ]; then
            rm -f "$stem.$stream"
            [ ! -s "$T/$stream.norm" ] || cp "$T/$stream.norm" "$stem.$stream"
        else
            wanted=$stem.$stream
            [ -e "$wanted" ] || wanted=$T/empty
            diff -u "$wanted" "$T/$stream.norm" || worst=1
        fi
    done
    if [ $bless = yes ]; then
        keep "$stem.exit" "$([ $code = 0 ] || echo $code)"
    elif [ "$code" != "$(cat "$stem.exit" 2>/dev/null || echo 0)" ]; then
        echo "$case: exit code $code"
        worst=1
    fi
    rm -rf "$T"
done
exit $worst
