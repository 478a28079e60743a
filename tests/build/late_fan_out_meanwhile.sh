# SPDX-License-Identifier: MIT
# A folder that instances run over is changed by somebody, while another fan-out has the graph made anew: the build goes by
# what was there when it began with the folder.
pipeline <<'END'
step one {
    out d = "one/"
    run "touch {{d}}/a {{d}}/b"
}
step each_one for x in one.d {
    in  s = "src_one"
    out o = "out_one/{{basename(x)}}"
    run "touch running; while [ ! -e go ]; do sleep 0.02; done; cp {{s}} {{o}}"
}
step two {
    in  s = "src_two"
    out d = "two/"
    run "while [ ! -e changed ]; do sleep 0.02; done; for i in $(cat {{s}}); do echo $i > {{d}}/$i; done"
}
step each_two for x in two.d {
    out o = "out_two/{{basename(x)}}"
    run "cp {{x}} {{o}}; touch go"
}
END
echo 1 >src_one
echo 1 2 >src_two
touch go changed
build -j4
expect ran=6
rm go running changed
echo 2 >src_one
echo 1 2 3 >src_two
# The first fan-out runs, the second is not known yet.
(
    while [ ! -e running ]; do sleep 0.02; done
    rm one/a
    touch one/c changed
) &
build -j4
wait
expect_step 'each_two[x=3]' ran
expect_step 'each_one[x=a]' ran
expect_notice input-changed
build -j4
build -j4
expect up_to_date=7
holds out_one/a 2
holds out_one/b 2
