# SPDX-License-Identifier: MIT
# Where files may not grow large (ulimit -f), a pack that would be too large is trouble of the cache, not the build's end.
mkdir ws
pipeline ws/Pipelinefile <<'END2'
step make for i in [1, 2, 3, 4] {
    out o = "out/{{i}}"
    run "head -c 300000 /dev/urandom >{{o}}"
}
END2
(
    ulimit -f 1200
    build -C ws
) || fail "it did not end well"
same "$(ls ws/out | wc -l | tr -d ' ')" 4
build -C ws
expect up_to_date=4
