#!/bin/sh
# Golden tests of what pawl check says: check_run.sh [--bless] PAWL CASE.pipeline…
# Each case with an .err beside it is checked in an empty folder; the folder CASE.files, if there is one, is put there.
set -u
bless=no
[ "$1" = --bless ] && { bless=yes; shift; }
pawl=$1
shift
failed=0
for case in "$@"; do
    wanted=${case%.pipeline}.err
    [ -f "$wanted" ] || continue
    room=$(mktemp -d)
    name=$(basename "$case")
    cp "$case" "$room/$name"
    [ -d "${case%.pipeline}.files" ] && cp -r "${case%.pipeline}.files/." "$room/"
    (cd "$room" && NO_COLOR=1 "$pawl" check -f "$name" >/dev/null 2>got)
    code=$?
    if [ "$code" != 2 ]; then
        echo "$case: exit code $code, not 2"
        failed=1
    elif [ "$bless" = yes ]; then
        cp "$room/got" "$wanted"
    elif ! diff -u "$wanted" "$room/got"; then
        failed=1
    fi
    rm -rf "$room"
done
exit "$failed"
