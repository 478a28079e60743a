# SPDX-License-Identifier: MIT
# An output that was changed or removed by hand is put back.
pipeline <<'END'
step a {
    in  "src"
    out "o"
    run "cp src o; echo a >> log"
}
step b {
    in  a.o
    out "p"
    run "cp o p"
}
END
sed -i 's/out "o"/out o = "o"/' Pipelinefile
echo x >src
build
rm o
build
expect restored=1 up_to_date=1
expect_step a restored '*o*'
echo tampered >o
build
expect restored=1 up_to_date=1
holds o x
chmod 755 o
build
expect restored=1 up_to_date=1
same "$(stat -c %a o)" "$(stat -c %a p)"
same "$(lines log)" 1
build --no-cache
expect up_to_date=2
rm o
build --no-cache
expect ran=1 up_to_date=1
same "$(lines log)" 2
