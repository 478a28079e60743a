# SPDX-License-Identifier: MIT
# A dependency file may name what it found in any way that leads there: absolute, by way of a link, out and in again.
mkdir -p deep/real inc
ln -s deep/real link
ln -s "$PWD" "$T/elsewhere"
name=$(basename "$PWD")
pipeline <<END
step c {
    out o = "o"
    depfile "d"
    run """
        echo "o: $PWD/one $T/elsewhere/two sub/../../$name/three link/../four ./inc//five /etc/hostname" > d
        cat one two three deep/four inc/five > {{o}}
    """
}
END
mkdir sub
for file in one two three deep/four inc/five; do
    echo 1 >$file
done
build
build
expect up_to_date=1
for file in one two three deep/four inc/five; do
    echo 2 >$file
    build
    expect_step c ran "input $file changed"
done
rm three
mkdir three
exits 1 build
