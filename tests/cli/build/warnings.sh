#!/bin/sh
# SPDX-License-Identifier: MIT
# warnings during a build: a retry, an input that changed
cat >Pipelinefile <<'END'
step flaky {
    out o = "o"
    retry 1
    run "test -e mark && touch o || { touch mark; echo first try; exit 4; }"
}
step changes {
    in  "src"
    out "p"
    run "cp src p; echo more >> src"
}
END
echo x >src
pawl -j1
