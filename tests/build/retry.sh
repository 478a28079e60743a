# SPDX-License-Identifier: MIT
# More tries, the pause doubling; what failed for good is failed once.
pipeline <<'END'
step flaky {
    out o = "o"
    retry 3 backoff 100ms
    run "echo try >> log; test $(wc -l < log) -ge 3; touch {{o}}"
}
END
begin=$(date +%s%N)
build
expect ran=1
expect_notice retry
same "$(lines log)" 3
took=$((($(date +%s%N) - begin) / 1000000))
[ "$took" -ge 300 ] || fail "it paused for $took ms, not 100 + 200"
rm log o
rm -rf .pawl "$PAWL_CACHE_DIR"
sed -i 's/retry 3 backoff 100ms/retry 1/' Pipelinefile
exits 1 build
expect failed=1
same "$(lines log)" 2
