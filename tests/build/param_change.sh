# SPDX-License-Identifier: MIT
# A parameter reaches those steps alone that use it, and going back restores.
pipeline <<'END'
param max_depth = 5
param rounds = 50
step prep {
    out csv = "prep.csv"
    run "echo data > {{csv}}"
}
step train {
    in  prep.csv
    out model = "model"
    run "echo {{max_depth}} > {{model}}"
}
step declared {
    param max_depth
    out o = "declared"
    run "echo $PAWL_PARAMS > {{o}}"
}
step other {
    in  prep.csv
    out o = "other"
    run "echo {{rounds}} > {{o}}"
}
END
build
expect ran=4
build -p max_depth=6
expect ran=2 up_to_date=2
expect_step declared ran 'param max_depth: 5 -> 6'
expect_step train ran '*5*6*'
holds model 6
holds declared '{"max_depth":6}'
build
expect restored=2 up_to_date=2
holds model 5
PAWL_PARAM_max_depth=7 build
expect ran=2 up_to_date=2
holds model 7
PAWL_PARAM_max_depth=7 build -p max_depth=6
expect restored=2 up_to_date=2
holds model 6
PAWL_PARAM_nothing=7 build
expect restored=2 up_to_date=2
exits 2 build -p depth=7
complains "*depth*"
exits 2 build -p max_depth=deep
build -p max_depth=5
expect up_to_date=4
