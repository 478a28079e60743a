# SPDX-License-Identifier: MIT
# -C and -f; the nearest Pipelinefile above; paths are relative to the root.
mkdir -p project/deep/er other
pipeline project/Pipelinefile <<'END'
step a {
    in  "deep/src"
    out o = "build/a"
    run "cp deep/src {{o}}; pwd > where"
}
END
echo x >project/deep/src
build -C project
expect ran=1
present project/build/a
holds project/where "$PWD/project"
cd project/deep/er
build
expect up_to_date=1
cd ../../..
build -C project/deep/er
expect up_to_date=1
build -C project -C deep
expect up_to_date=1
cp project/Pipelinefile other/x.pipeline
mkdir deep
echo y >deep/src
build -f other/x.pipeline
expect ran=1
holds build/a y
absent other/build
absent other/.pawl
build -C project -f Pipelinefile
expect up_to_date=1
