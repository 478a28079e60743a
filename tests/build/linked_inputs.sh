# SPDX-License-Identifier: MIT
# A link as an input counts by what it leads to.
echo 1 >target
ln -s target src
pipeline <<'END'
step a {
    in  "src"
    out o = "o"
    run "cat src > o"
}
END
build
expect ran=1
echo 2 >target
build
expect ran=1
holds o 2
echo 1 >other
ln -sfn other src
build
expect restored=1
holds o 1
rm other
exits 2 build
