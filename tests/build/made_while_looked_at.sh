# SPDX-License-Identifier: MIT
# What a depfile found inside of another step's output counts as it is once that step has run; and a file that is
# being hashed while its maker starts is hashed again.
pipeline <<'END'
step make {
    in  s = "src"
    out d = "gen/"
    run "cp {{s}} {{d}}/x; truncate -s 64M {{d}}/x"
}
step first {
    in  s = "other"
    out o = "first.o"
    depfile "first.d"
    run "echo 'o: gen/x' > first.d; head -c 2 gen/x > {{o}}"
}
step second {
    in  s = "src"
    after make
    out o = "second.o"
    depfile "second.d"
    run "echo 'o: gen/x' > second.d; head -c 2 gen/x > {{o}}"
}
END
echo 1 >src
echo 1 >other
build make
build
expect ran=2 up_to_date=1
holds second.o 1
echo 2 >src
touch gen/x
build
holds second.o 2
build
holds first.o 2
build
expect up_to_date=3
# Back again: what is restored counts too.
echo 1 >src
build
holds second.o 1
build
holds first.o 1
