# SPDX-License-Identifier: MIT
# Targets: steps, groups, output paths, defaults.
pipeline <<'END'
step a {
    out o = "out/a"
    run "touch {{o}}"
}
step b {
    out o = "out/b"
    run "touch {{o}}"
}
step train for i in [1, 2] {
    out o = "out/train-{{i}}"
    run "touch {{o}}"
}
step tree {
    out d = "out/tree/"
    run "touch {{d}}/x"
}
group some = [a, train]
default b
END
build
expect ran=1
expect_step b ran
build some
expect ran=3
build out/a ./out/b
expect up_to_date=2
build out/tree
expect ran=1
build out/tree/ out/tree/x
expect up_to_date=1
exits 2 build trian
complains "*trian*did you mean*train*"
exits 2 build out/nothing
exits 2 build a trian
same "$(grep -c summary "$T/events" || :)" 0
