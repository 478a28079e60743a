# SPDX-License-Identifier: MIT
# A secret reaches the command, is masked in what is shown, and is in no file that pawl writes.
pipeline <<'END'
step fetch {
    in  "src"
    out o = "o"
    secret API_TOKEN
    run "echo the token is $API_TOKEN; echo $API_TOKEN >&2; printf %s \"$API_TOKEN\" | wc -c > {{o}}"
}
END
sed -i 's/\\"\$API_TOKEN\\"/$API_TOKEN/' Pipelinefile
echo x >src
API_TOKEN=hunter2-hunter2 build
expect ran=1
same "$(tr -d ' ' <o)" 15
API_TOKEN=hunter2-hunter2 pawl log fetch
says "*the token is \*\*\**"
! grep -rqF hunter2 "$T/ws/.pawl" "$PAWL_CACHE_DIR" "$T/events" "$T/out" "$T/errors" || fail "the secret was written down"
# no fingerprint holds it: another value changes nothing, none at all is good while nothing runs
API_TOKEN=other build
expect up_to_date=1
build
expect up_to_date=1
rm o
build
expect restored=1
echo y >src
exits 1 build
expect failed=1
expect_step fetch failed '*API_TOKEN*'
API_TOKEN=hunter2-hunter2 exits 0 build -v
# a command that fails prints its log, masked
sed -i 's/run "/run "exec 2>\&1; trap "exit 3" EXIT; /; s/"exit 3"/'"'exit 3'"'/' Pipelinefile
code=0
API_TOKEN=hunter2-hunter2 "$PAWL" build >"$T/out" 2>&1 || code=$?
cat "$T/out"
same $code 1
! grep -qF hunter2 "$T/out" || fail "the secret was shown"
! zstd --version >/dev/null 2>&1 || find "$PAWL_CACHE_DIR" -type f | while read -r f; do
    ! grep -qF hunter2 "$f" || fail "in the cache"
done
# a probe that prints it: what pawl keeps of that, and what it says when the probe fails
pipeline <<'END'
probe who = "echo I am $API_TOKEN"
probe ill = "echo no $API_TOKEN here >&2; exit 3"
step a {
    probe who
    out o = "p"
    secret API_TOKEN
    run "echo {{who}} > {{o}}"
}
step b {
    probe ill
    out o = "q"
    run "echo > {{o}}"
}
END
API_TOKEN=hunter2-hunter2 build a
holds p "I am ***"
API_TOKEN=hunter2-hunter2 exits 1 build b
expect_step b failed "*no \*\*\* here*"
! grep -rqF hunter2 "$T/ws/.pawl" "$T/events" "$T/out" "$T/errors" || fail "the secret was in a probe's text"
