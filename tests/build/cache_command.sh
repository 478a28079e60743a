# SPDX-License-Identifier: MIT
# cache ls, check, gc.
pipeline <<'END'
step a for i in range(5) {
    out o = "o-{{i}}"
    run "head -c 100000 /dev/urandom > {{o}}"
}
END
pawl cache ls
pawl cache check
build
pawl cache ls
[ "$(lines "$T/out")" -ge 5 ] || fail "it lists too little"
pawl cache ls --json
python3 -c 'import json, sys
for l in open(sys.argv[1]): json.loads(l)' "$T/out" || fail "cache ls --json is not JSON"
pawl cache check
before=$(tree "$T/cache" | grep -v 'cache/m ')
pawl cache gc -n --size 1KB
same "$(tree "$T/cache" | grep -v 'cache/m ')" "$before"
pawl cache gc
rm o-*
build
expect restored=5
pawl cache gc --now --size 1KB
[ "$(du -s --apparent-size -B1 "$T/cache" | cut -f1)" -lt 100000 ] || fail "nothing was let go: $(du -a "$T/cache")"
rm o-0
build
expect ran=1 up_to_date=4
pawl cache check
find "$T/cache/p" "$T/cache/b" -type f -size +10k | while read -r f; do
    printf x | dd of="$f" bs=1 seek=5000 conv=notrunc 2>/dev/null
done
exits 1 pawl cache check
rm o-0
build
expect ran=1 up_to_date=4
exits 2 pawl cache
exits 2 pawl cache frob
