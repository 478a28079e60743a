# SPDX-License-Identifier: MIT
# A time stamp of years to come, as archives and wrong clocks leave them, is no reason to run or to look anew for ever.
pipeline <<'END'
step a {
    in  d = "folder"
    out o = "o"
    depfile "dep"
    run "echo 'o: header' > dep; cat header {{d}}/x > {{o}}"
}
END
mkdir folder
echo 1 >folder/x
echo 1 >header
touch -d 2199-01-01 folder/x header
build
expect ran=1
build
expect up_to_date=1
echo 2 >header
touch -d 2199-01-01 header
build
expect_step a ran 'input header changed'
build
expect up_to_date=1
