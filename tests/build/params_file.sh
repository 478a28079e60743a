# SPDX-License-Identifier: MIT
# A step depends on those keys of a parameter file alone that it uses.
cat >params.yaml <<'END'
train:
  lr: 0.1
  depth: 5
prep:
  seed: 1
END
pipeline <<'END'
params "params.yaml"
step prep {
    out o = "prep"
    run "echo {{params.prep.seed}} > {{o}}"
}
step train {
    out o = "train"
    run "echo {{params.train.lr}} > {{o}}"
}
step both {
    param train = params.train
    out o = "both"
    run "echo $PAWL_PARAMS > {{o}}"
}
END
sed -i 's/param train = params.train/param params.train/' Pipelinefile
build
expect ran=3
holds train 0.1
sed -i 's/seed: 1/seed: 2/' params.yaml
build
expect ran=1 up_to_date=2
expect_step prep ran '*seed*1*2*'
sed -i 's/depth: 5/depth: 6/' params.yaml
build
expect ran=1 up_to_date=2
expect_step both ran '*depth*5*6*'
echo 'new: {key: 3}' >>params.yaml
build
expect up_to_date=3
