# SPDX-License-Identifier: MIT
# Parameters without a default, restricted ones, lists and strings from outside.
pipeline <<'END'
param depths = [1, 2]
param name = "x"
param size : int in [3, 5]
param rate : float
param wait = 30s
param room = 4GiB
param on = true
step show {
    out o = "o"
    run "echo {{depths}} {{name}} {{size}} {{rate}} {{wait}} {{room}} {{on}} > {{o}}"
}
step each for d in depths {
    out o = "d-{{d}}"
    run "touch {{o}}"
}
END
exits 2 build
complains '*size*'
complains '*rate*'
build -p size=3 -p rate=0.5
expect ran=3
holds o '1 2 x 3 0.5 30s 4GiB true'
exits 2 build -p size=4 -p rate=0.5
exits 2 build -p size=three -p rate=0.5
exits 2 build -p size=3 -p rate=0.5 -p wait=5
exits 2 build -p size=3 -p rate=0.5 -p on=yes
PAWL_PARAM_size=5 PAWL_PARAM_rate=1 build -p 'depths=[7, 8, 9]' -p 'name=a b = c' -p wait=PT1M -p on=false -p room=1KB
expect ran=4
present d-9
grep -q '^7 8 9 a b = c 5 1' o || fail "$(cat o)"
