# SPDX-License-Identifier: MIT
# clean removes outputs, restore puts them back without running anything.
pipeline <<'END'
step a {
    in  "src"
    out o = "build/deep/a"
    run "cp src {{o}}; echo a >> log"
}
step b {
    in  a.o
    out d = "tree/"
    run "mkdir tree/sub; cp build/deep/a tree/sub/x; echo b >> log"
}
END
echo 1 >src
build
before=$(tree build tree)
echo other >build/mine
pawl clean
absent build/deep/a
absent tree
present build/mine
present src
rm build/mine
told restore
expect restored=2
same "$(tree build tree)" "$before"
pawl clean b
absent tree
present build/deep/a
build
expect restored=1 up_to_date=1
pawl clean
build
expect restored=2
pawl clean
pawl clean
echo 2 >src
exits 1 told restore
same "$(lines log)" 2
absent build/deep/a
