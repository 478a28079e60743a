# SPDX-License-Identifier: MIT
# `after` is an order, not a need.
pipeline <<'END'
step slow {
    out o = "slow"
    run "sleep 0.3; echo slow >> log; cp src {{o}}"
    in "src"
}
step quick {
    after slow
    out o = "quick"
    run "echo quick >> log; touch {{o}}"
}
END
echo x >src
build quick
expect ran=1
holds log quick
rm -rf .pawl "$PAWL_CACHE_DIR" log quick
build -j4
expect ran=2
holds log "slow
quick"
echo y >src
build
expect ran=1 up_to_date=1
sed -i 's/cp src/false; cp src/' Pipelinefile
exits 1 build -k 0
expect failed=1 skipped=1
expect_step quick skipped '*slow*failed*'
