# SPDX-License-Identifier: MIT
# A folder as an input: what lies in it counts, names, modes and links too, and nothing else.
mkdir -p data/sub
echo 1 >data/a
echo 2 >data/sub/b
ln -s a data/link
pipeline <<'END'
step a {
    in  d = "data/"
    out o = "o"
    run "ls -R {{d}} > {{o}}"
}
step part {
    in  p = glob("data/s*/")
    out o = "p"
    run "ls {{p}} > {{o}}"
}
END
build
expect ran=2
build
expect up_to_date=2
touch data/a data/sub
build
expect up_to_date=2
chmod 600 data/a
build
expect up_to_date=2
chmod 700 data/a
build
expect ran=1 up_to_date=1
ln -sfn sub/b data/link
build
expect ran=1 up_to_date=1
echo 3 >data/sub/c
build
expect ran=2
rm data/sub/c
build
expect restored=2
mkdir data/empty
build
expect ran=1 up_to_date=1
mv data/sub data/tub
exits 0 build
