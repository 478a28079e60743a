# SPDX-License-Identifier: MIT
# A depfile is removed before the command runs: one that is an input too is refused, and stays.
pipeline <<'END'
step a {
    in i = "listed"
    out o = "o"
    depfile "listed"
    run "touch o"
}
END
echo precious >listed
exits 1 build
expect_step a failed "*'listed' is an input*"
holds listed precious
