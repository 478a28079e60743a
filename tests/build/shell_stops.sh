# SPDX-License-Identifier: MIT
# A shell command ends at its first failure.
pipeline <<'END'
step a {
    out o = "o"
    run """
        false
        touch o
    """
}
END
exits 1 build
absent o
expect_step a failed '*exit status 1*'
pipeline <<'END'
step a {
    out o = "o"
    run ["no-such-program-here", "x"]
}
END
exits 1 build
expect_step a failed '*no-such-program-here*'
pipeline <<'END'
step a {
    out o = "o"
    run "kill -9 $$"
}
END
exits 1 build
expect_step a failed '*signal 9*'
pipeline <<'END'
step a {
    cwd "no/such"
    out o = "o"
    run "touch o"
}
END
exits 1 build
expect_step a failed '*cannot go to *no/such*'
