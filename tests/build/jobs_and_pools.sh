# SPDX-License-Identifier: MIT
# -j bounds all, a pool its own.
pipeline <<'END'
pool gpu = 1
step wide for i in range(6) {
    out o = "wide-{{i}}"
    run "mkdir wide.{{i}}.on; ls -d wide.*.on | wc -l >> wide; sleep 0.1; rmdir wide.{{i}}.on; touch {{o}}"
}
step narrow for i in range(3) {
    pool gpu
    out o = "narrow-{{i}}"
    run "mkdir narrow.on; sleep 0.05; rmdir narrow.on; touch {{o}}"
}
END
build -j3 wide
expect ran=6
[ "$(sort -n wide | tail -1)" -le 3 ] || fail "more than 3 at once"
[ "$(sort -n wide | tail -1)" -ge 2 ] || fail "never more than one at once"
build -j6 narrow
expect ran=3
rm -rf wide* .pawl "$PAWL_CACHE_DIR"
build -j 1 wide
same "$(sort -u wide | tr -d ' ')" 1
