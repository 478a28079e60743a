#!/bin/sh
# SPDX-License-Identifier: MIT
# mistakes of every kind are told in one go, also where one could not be read
cat >Pipelinefile <<'END'
let half = 1 / 0

step gather {
    models = "a.json"
    in  "missing.csv"
    out "same"
    run "x {{nope}} {{models}}"
}

step again {
    param lr = 0.1
    in  "also-missing.csv"
    out "same"
    run "x {{nor_this}} {{lr}}"
}

step round {
    after trip
    run "true"
}

step trip {
    after round
    run "true"
}
END
pawl
echo "exit $?"
