# SPDX-License-Identifier: MIT
# A log that reached its limit is cut, and comes back from the cache with the result.
pipeline <<'END'
step a {
    out o = "o"
    run "head -c 68000000 /dev/zero | tr '\\0' '\\n'; echo end; touch {{o}}"
}
END
build
expect ran=1
pawl log a >/dev/null
tail -n 1 "$T/out" | grep -q 'the log is cut here' || fail "the log does not say that it was cut"
rm -r o .pawl
build
expect restored=1
! grep -q '"event":"notice"' "$T/events" || fail "a notice about a log that is no news"
pawl log a >/dev/null
tail -n 1 "$T/out" | grep -q 'the log is cut here' || fail "the log did not come back whole"
