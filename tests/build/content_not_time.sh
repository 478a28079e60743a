# SPDX-License-Identifier: MIT
# Content decides, never a time stamp.
pipeline <<'END'
step a {
    in  "src"
    out "o"
    run "cp src o; echo a >> log"
}
END
echo x >src
build
touch src
build
expect up_to_date=1
touch -d '2001-01-01' src o
build
expect up_to_date=1
echo y >src
build
expect ran=1
expect_step a ran 'input src*'
holds o y
echo x >src
build
expect restored=1
holds o x
holds log "a
a"
# same size, same time stamp, other content
cp -p src src.old
echo z >src
touch -r src.old src
build
expect ran=1
holds o z
