# SPDX-License-Identifier: MIT
# Targets that only a late fan-out knows, and a second fan-out behind the first.
pipeline <<'END'
step suites {
    out d = "suites/"
    run "mkdir suites/one suites/two; echo 1 > suites/one.s; echo 2 > suites/two.s; rmdir suites/one suites/two"
}
step prompts for suite in suites.d {
    out shards = "prompts/{{stem(suite)}}/"
    run "echo x > {{shards}}/p.txt; echo y > {{shards}}/q.txt"
}
step score for suite in suites.d for f in prompts[suite=suite].shards {
    out o = "scores/{{stem(suite)}}-{{stem(f)}}"
    run "cp {{f}} {{o}}"
}
END
build score
expect ran=7
present scores/one-p
present scores/two-q
build
expect up_to_date=7
rm -r scores
build score
expect restored=4 up_to_date=3
told status
expect up_to_date=7
rm -rf .pawl suites prompts scores "$PAWL_CACHE_DIR"
told status
expect_step suites would_run
absent suites
build
expect ran=7
