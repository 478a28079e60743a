# SPDX-License-Identifier: MIT
# Runs are named r2, 2, or from the end: -1 is the last but one.
pipeline <<'END'
param n = 1
step a {
    run "true {{n}}"
}
END
build
build -p n=2
build -p n=3
pawl diff
says '*r2*r3*n*2*3*'
pawl diff 1 -1
says '*r1*r2*n*1*2*'
pawl diff -2
says '*r1*r3*n*1*3*'
exits 2 pawl diff r9
complains '*no run*r9*'
