# SPDX-License-Identifier: MIT
# untracked(x) is put in and does not enter the fingerprint.
pipeline <<'END'
param threads = 4
param size = 10
step a {
    out o = "o"
    env OMP = untracked(threads)
    run "echo {{untracked(threads)}} {{size}} $OMP > {{o}}"
}
END
build
holds o "4 10 4"
build -p threads=8
expect up_to_date=1
build -p threads=8 -p size=11
expect ran=1
holds o "8 11 8"
build
expect restored=1
holds o "4 10 4"
