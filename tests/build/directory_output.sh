# SPDX-License-Identifier: MIT
# A directory output is one tree: made empty before, restored exactly; a path below it is what counts to others.
pipeline <<'END'
step make_tree {
    in  "src"
    out d = "tree/"
    run """
        test -d tree
        test -z "$(ls -A tree)"
        mkdir -p tree/sub/deep tree/empty
        cp src tree/sub/file
        echo fixed > tree/fixed
        ln -s sub/file tree/link
        ln -s /nowhere tree/dangling
        printf '#!/bin/sh\n' > tree/program
        chmod 755 tree/program
        chmod 600 tree/fixed
        : > tree/.hidden
        echo ran >> log
    """
}
step one_file {
    in  f = "tree/fixed"
    out o = "one"
    run "cp {{f}} {{o}}; echo one >> log"
}
step whole {
    in  d = make_tree.d
    out o = "whole"
    run "ls {{d}} > {{o}}; echo whole >> log"
}
END
echo 1 >src
build
expect ran=3
before=$(tree tree)
build
expect up_to_date=3
rm -r tree
build
expect restored=1 up_to_date=2
same "$(tree tree)" "$before"
echo junk >tree/sub/junk
build
expect restored=1 up_to_date=2
same "$(tree tree)" "$before"
rm tree/link
build
expect restored=1 up_to_date=2
same "$(tree tree)" "$before"
rmdir tree/empty
chmod 644 tree/program
build
expect restored=1 up_to_date=2
same "$(tree tree)" "$before"
echo 2 >src
echo junk >tree/junk
build
expect ran=2 up_to_date=1
expect_step one_file up_to_date
expect_step whole ran
absent tree/junk
same "$(tree tree | grep -c .)" "$(echo "$before" | grep -c .)"
