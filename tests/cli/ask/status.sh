#!/bin/sh
# SPDX-License-Identifier: MIT
cat >Pipelinefile <<'END'
# What people see of a small pipeline.
param depth = 5
step prep {
    "Split the data."
    in  raw = "raw.csv"
    out csv = "build/prep.csv"
    run "cp {{raw}} {{csv}}"
}
step train for eta in [0.1, 0.3] {
    "Train a model."
    in  csv = prep.csv
    out model = "build/model-{{eta}}.json"
    run """
        echo training with {{eta}}
        echo '{"mse": {{eta}}, "depth": {{depth}}}' > {{model}}
    """
    metric mse = json(model, "mse")
}
step publish {
    in  train[eta=0.1].model
    out card = "build/card"
    when depth < 7
    run "cp build/model-0.1.json {{card}}"
}
group models = [train]
default publish
END
echo 1,2 >raw.csv
pawl status
echo ---- after a build
pawl build -q
pawl status
pawl status train
echo ---- after a change
echo 3,4 >raw.csv
pawl status
pawl -n
pawl explain publish
pawl explain prep
echo ---- another parameter
echo 1,2 >raw.csv
pawl status -p depth=6
pawl explain -p depth=6 'train[eta=0.1]'
pawl status -p depth=9 --json
