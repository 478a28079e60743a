# SPDX-License-Identifier: MIT
# A step that ran again and made the same bytes makes nothing after it run.
pipeline <<'END'
step strip {
    in  "src"
    out o = "stripped"
    run "grep -v '^#' src > {{o}}"
}
step after_it {
    in  strip.o
    out o = "final"
    run "cp stripped {{o}}; echo ran >> log"
}
END
printf '# one\ntext\n' >src
build
printf '# two\ntext\n' >src
build
expect ran=1 up_to_date=1
expect_step strip ran 'input src*'
same "$(lines log)" 1
