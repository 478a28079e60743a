# SPDX-License-Identifier: MIT
# glob sees sources alone, so that the first build and the second agree.
pipeline <<'END'
step make {
    out o = "data/made.txt"
    out d = "data/tree/"
    run "echo made > {{o}}; echo in > data/tree/x.txt"
}
step count {
    in  files = glob("data/**/*.txt")
    in  make.o
    out o = "count"
    run "echo {{len(files)}} {{files}} > {{o}}"
}
step optional {
    in  files = glob("data/maybe.cfg")
    out o = "optional"
    run "echo {{len(files)}} > {{o}}"
}
END
mkdir -p data/deep
echo 1 >data/a.txt
echo 2 >data/deep/b.txt
build
expect ran=3
holds count "2 data/a.txt data/deep/b.txt"
build
expect up_to_date=3
echo 3 >"data/with blank.txt"
build
expect ran=1 up_to_date=2
touch data/maybe.cfg
build
expect ran=1 up_to_date=2
holds optional 1
rm data/deep/b.txt
build
expect ran=1 up_to_date=2
printf 'step a { out d = "t/" run "true" }\nstep b { in glob("t/*.csv") out "o" run "true" }\n' >below.pipeline
exits 2 build -f below.pipeline
complains '*a.d*'
