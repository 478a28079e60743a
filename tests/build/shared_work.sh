# SPDX-License-Identifier: MIT
# Two pipelines that do the same work share it.
pipeline one.pipeline <<'END'
pipeline one
step a {
    in  "src"
    out "o"
    run "cp src o; echo ran >> log"
}
END
pipeline two.pipeline <<'END'
pipeline two
param unused = 4
step b {
    "The same under another name."
    in  source = "src"
    out result = "o"
    run "cp {{source}} {{result}}; echo ran >> log"
}
END
echo x >src
build -f one.pipeline
expect ran=1
build -f two.pipeline
expect up_to_date=1
rm o
build -f two.pipeline
expect restored=1
same "$(lines log)" 1
