# SPDX-License-Identifier: MIT
# Instances of a fan-out, and targets that name some of them.
pipeline <<'END'
let depths = [3, 5, 7]
step prep {
    out train = "train.csv"
    run "echo data > train.csv"
}
step train for depth in depths for eta in [0.1, 0.3] where depth * eta < 2 {
    in  train = prep.train
    out model = "build/model-{{depth}}-{{eta}}.json"
    run "echo {{depth}} {{eta}} > {{model}}"
}
step pick {
    in  models = train[*].model
    in  one = train[depth=5, eta=0.1].model
    out best = "build/best"
    run "cat {{models}} {{one}} > {{best}}"
}
END
build 'train[depth=5]'
expect ran=3
expect_step 'train[depth=5,eta=0.1]' ran
expect_step 'train[depth=5,eta=0.3]' ran
expect_no_step pick
build
expect ran=4 up_to_date=3
expect_no_step 'train[depth=7,eta=0.3]'
holds build/best "3 0.1
3 0.3
5 0.1
5 0.3
7 0.1
5 0.1"
build train
expect up_to_date=6
build 'train[depth=5,eta=0.1]' build/model-7-0.1.json
expect up_to_date=3
exits 2 build 'train[depth=4]'
complains "*depth*"
exits 2 build 'train[size=4]'
sed -i 's/\[3, 5, 7\]/[3, 5, 7, 9]/' Pipelinefile
build
expect ran=2 up_to_date=6
expect_step 'train[depth=9,eta=0.1]' ran
