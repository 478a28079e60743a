# SPDX-License-Identifier: MIT
# Under GNU make, jobs take make's slots: never more at once than make -j allows, with another recipe counted in.
pipeline <<'END'
step work for i in range(8) {
    out o = "out/{{i}}"
    run "sh ./count {{i}} > {{o}}"
}
END
cat >count <<'END'
mkdir "busy-$1"
ls -d busy-* | wc -l >>most
sleep 0.1
rmdir "busy-$1"
END
cat >Makefile <<'END'
all: pawl other
pawl:
	+@$(PAWL) build --json > events
other:
	@sh ./count other
plain:
	@$(PAWL) build --json > events
END
export PAWL
make -j3 all
test "$(grep -c '"ran"' events)" -ge 8 || fail "not all ran"
test "$(sort -n most | tail -n 1)" -le 3 || fail "more than three at once"
test "$(sort -n most | tail -n 1)" -ge 2 || fail "never two at once"
rm -rf out most .pawl "$PAWL_CACHE_DIR"
make -j3 plain 2>warning
grep -q "job slots are not open" warning || fail "nothing was said of the missing +"
test "$(sort -n most | tail -n 1)" = 1 || fail "more than one at once"
