# SPDX-License-Identifier: MIT
# What a probe says on its error stream is no part of its text, asked or built, and is shown when it fails.
pipeline <<'END'
probe v = "echo warned >&2; cat version"
probe s = """
    #!/bin/sh
    echo also warned >&2
    echo script
"""
step a {
    probe v, s
    out o = "o"
    run "echo {{s}} > {{o}}"
}
END
echo 1 >version
before=$(tree "$T/ws")
told status
expect would_run=1
same "$(tree "$T/ws" "$T/tmp")" "$before
$(tree "$T/tmp")"
build
expect ran=1
holds o script
told status
expect up_to_date=1
told build -n
expect up_to_date=1
build
expect up_to_date=1
pipeline <<'END'
probe v = "echo the reason >&2; exit 3"
step a {
    probe v
    out o = "o"
    run "touch o"
}
END
exits 1 build
expect_step a failed "*probe 'v' failed*the reason*"
exits 0 told status
expect failed=1
pipeline <<'END'
probe v = "kill -9 $$"
step a {
    probe v
    out o = "o"
    run "touch o"
}
END
exits 1 build
expect_step a failed "*probe 'v'*"
