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
pawl
echo ---- again
pawl
echo ---- everything
pawl build -v prep train publish
echo ---- a parameter
pawl -p depth=6 publish
echo ---- and back
pawl
echo ---- explained
pawl --explain -p depth=6 'train[eta=0.3]'
echo ---- quiet
pawl -q -p depth=8
echo ---- plain
rm -r build
pawl --progress=plain
echo ---- none
rm -r build
pawl --progress=none
