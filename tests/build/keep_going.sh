# SPDX-License-Identifier: MIT
# -k N goes on until N steps have failed, 0 for ever.
pipeline <<'END'
step bad for i in [1, 2, 3, 4] {
    out o = "bad-{{i}}"
    run "echo {{i}} >> log; exit 3"
}
step needs_bad {
    in  bad[i=1].o
    out o = "needs"
    run "touch needs"
}
step good {
    after bad
    out o = "good"
    run "touch good"
}
step fine {
    out o = "fine"
    run "sleep 0.1; touch fine"
}
END
exits 1 build -j1
same "$(lines log)" 1
expect_step 'bad[i=1]' failed '*exit status 3*'
rm log
exits 1 build -j1 -k 2
same "$(lines log)" 2
rm log
exits 1 build -j1 -k 0
expect failed=4 skipped=2 "$(test -e fine && echo ran=1)"
same "$(lines log)" 4
expect_step needs_bad skipped '*bad?i=1?*failed*'
