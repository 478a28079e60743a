# SPDX-License-Identifier: MIT
# A dependency file adds discovered inputs, checked from the next run on; a step can have several recorded sets.
pipeline <<'END'
step cc {
    in  "main.c"
    out o = "out"
    depfile "out.d"
    run """
        cat main.c $(cat main.c) > {{o}}
        printf 'out: main.c' > out.d
        for f in $(cat main.c); do printf ' \\\n  %s' $f >> out.d; done
        echo >> out.d
    """
}
END
echo a.h >main.c
echo A >a.h
echo B >b.h
build
expect ran=1
holds out "a.h
A"
build
expect up_to_date=1
echo A2 >a.h
build
expect ran=1
expect_step cc ran '*a.h*'
echo b.h >main.c
build
expect ran=1
echo A3 >a.h
build
expect up_to_date=1
echo B2 >b.h
build
expect ran=1
# back to the first set: it is recorded still
echo a.h >main.c
echo A >a.h
build
expect restored=1
holds out "a.h
A"
rm b.h
build
expect up_to_date=1
