#!/bin/sh
# SPDX-License-Identifier: MIT
# targets that are not there
cat >Pipelinefile <<'END'
step train for depth in [3, 5] { out "model-{{depth}}" run "touch model-{{depth}}" }
step prep { out "prep.csv" run "touch prep.csv" }
group some = [train, prep]
END
for target in trian 'train[depth=4]' 'train[dept=3]' 'train[' model-4 smoe ./prep.csv 'train[*]' some; do
    echo "== $target" >&2
    pawl build --progress=none "$target"
    echo "exit $?" >&2
done
