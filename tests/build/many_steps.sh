# SPDX-License-Identifier: MIT
# A thousand steps, and each of them up to date.
pipeline <<'END'
step gen for i in range(500) {
    out o = "gen/{{i}}"
    run "echo {{i}} > {{o}}"
}
step use for i in range(500) {
    in  f = gen[i=i].o
    out o = "use/{{i}}"
    run "cp {{f}} {{o}}"
}
step all {
    in  fs = use[*].o
    out o = "all"
    run "cat {{fs}} > {{o}}"
}
END
build -j8
expect ran=1001
build
expect up_to_date=1001
rm -r gen use all
build
expect restored=1001
same "$(lines all)" 500
