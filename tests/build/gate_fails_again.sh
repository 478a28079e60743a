# SPDX-License-Identifier: MIT
# A test that succeeded and, run once more, failed: its success is no result any more, until it succeeds again.
pipeline <<'END'
step gate {
    in  s = "src"
    run "test ! -e broken; echo ran >> log"
}
step behind {
    in  gate
    out o = "o"
    run "touch {{o}}"
}
END
echo 1 >src
build
expect ran=2
touch broken
exits 1 build --rerun gate
expect failed=1 skipped=1
told status
expect_step gate would_run 'it failed*'
exits 1 build
expect_step gate failed
rm broken
build
expect_step gate ran 'it failed*'
expect_step behind up_to_date
build
expect up_to_date=2
same "$(lines log)" 2
