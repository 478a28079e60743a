# SPDX-License-Identifier: MIT
# With one job slot, steps that are equal otherwise run, and are restored, in the order of the graph: whichever of
# their files was hashed, and whichever result put in place, first.
mkdir data
i=0
while [ $i -lt 24 ]; do
    head -c $((600000 - i * 25000)) /dev/zero >"data/$(printf %02d $i).bin"
    i=$((i + 1))
done
pipeline <<'END'
step copy for f in glob("data/*.bin") {
    in  f = f
    out o = "build/{{stem(f)}}"
    run "cp {{f}} {{o}}"
}
END
in_order() {
    sed -n 's/.*"step":"copy\[f=\([^]]*\)\]".*/\1/p' "$T/events" >"$T/order"
    [ "$(wc -l <"$T/order")" = 24 ] || fail "not each step told"
    sort -c "$T/order" || fail "not in the order of the graph"
}
build -j1
expect ran=24
in_order
rm -r build
build -j1
expect restored=24
in_order
