# SPDX-License-Identifier: MIT
# The reason names the parameter and both of its values, wherever it is used.
pipeline <<'END'
param max_depth = 5
step train {
    param max_depth
    out model = "model"
    run "echo {{max_depth}} > {{model}}"
}
END
build
build -p max_depth=6
expect_step train ran 'param max_depth: 5 -> 6'
pipeline <<'END'
param max_depth = 5
step train {
    out model = "model"
    run "echo {{max_depth}} > {{model}}"
}
END
build
build -p max_depth=6
expect_step train ran 'param max_depth: 5 -> 6'
