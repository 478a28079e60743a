# SPDX-License-Identifier: MIT
# -n, status and explain say what would be done, and change nothing.
pipeline <<'END'
param p = 1
step a {
    in  "src"
    out o = "build/a"
    run "cp src {{o}}"
}
step b {
    in  a.o
    out o = "build/b"
    run "cat build/a > {{o}}; echo {{p}} >> {{o}}"
}
step c {
    out o = "build/c"
    run "echo {{p}} > {{o}}"
}
END
echo 1 >src
before=$(tree "$T/ws" "$T/home" "$T/cache")
told status
expect would_run=2 may_run=1
expect_step c would_run
expect_step a would_run
expect_step b may_run
pawl status
pawl build -n
exits 0 pawl explain b
told explain b
exits 0 pawl graph
exits 0 pawl list
pawl log a
pawl check
same "$(tree "$T/ws" "$T/home" "$T/cache")" "$before"
build
build -p p=2
expect ran=2 up_to_date=1
echo 2 >src
before=$(tree "$T/ws" "$T/home" "$T/cache")
told status -p p=1
expect would_run=1 may_run=1 would_restore=1
expect_step a would_run 'input src*'
expect_step c would_restore 'param p: 2 -> 1'
told build -n -p p=1
expect would_run=1 may_run=1 would_restore=1
echo 1 >src
told status -p p=2
expect up_to_date=3
told status -p p=1
expect up_to_date=1 would_restore=2
told explain -p p=1 b
expect_step b would_restore 'param p: 2 -> 1'
grep -q '"part":"param p","before":"2","after":"1"' "$T/events" || fail "explain does not tell the parts"
pawl explain c -p p=3
says '*param p*2*3*'
rm -r build
told status
expect would_restore=3
told build -n --no-cache
expect would_run=2 may_run=1
echo 2 >src
mkdir build
same "$(tree "$T/ws" "$T/home" "$T/cache" | grep -v 'ws/build\|/ws d')" "$(echo "$before" | grep -v 'ws/build\|/ws d')"
