# SPDX-License-Identifier: MIT
# include, params in names of files, templates and the file's own use.
mkdir conf parts
echo 'lr: 1' >conf/small.yaml
echo 'lr: 2' >conf/large.yaml
pipeline parts/train.pipeline <<'END'
param rounds = 10
step train {
    out model = "build/model"
    run "echo {{rounds}} {{conf.lr}} {{shared}} > {{model}}"
}
END
pipeline <<'END'
param profile = "small"
params "conf/{{profile}}.yaml" as conf
let shared = "from-outside"
include "parts/train.pipeline" as t
template scored(report, n = 2) {
    retry n
    metric score = json(report, "score")
    env MODE = "templated"
}
step evaluate {
    in  m = t.train.model
    out report = "build/report.json"
    use scored("build/report.json", n = 1)
    run "echo '{\"score\": 3}' > {{report}}; echo $MODE > mode"
}
group all = [t, evaluate]
END
sed -i 's/include "parts\/train.pipeline" as t/include "parts\/train.pipeline" as t/' Pipelinefile
build
expect ran=2
expect_step t.train ran
holds build/model "10 1 from-outside"
holds mode templated
build -p t.rounds=11
expect ran=2
holds build/model "11 1 from-outside"
build -p profile=large
holds build/model "10 2 from-outside"
build t
expect ran=0 restored=1
build t.train
expect up_to_date=1
exits 2 build -p rounds=1
