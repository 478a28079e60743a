# SPDX-License-Identifier: MIT
# A first build runs everything in order; a second one nothing.
pipeline <<'END'
step a {
    in  "src"
    out "build/a"
    run "cat src > build/a; echo a >> log"
}
step b {
    in  a
    out o = "build/deep/er/b"
    run "cat build/a build/a > {{o}}; echo b >> log"
}
END
echo x >src
build
expect ran=2
expect_step a ran 'no earlier result'
expect_step b ran
holds build/deep/er/b "x
x"
holds log "a
b"
build
expect up_to_date=2
holds log "a
b"
pawl
same "$(lines log)" 2
