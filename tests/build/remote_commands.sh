# SPDX-License-Identifier: MIT
# push and pull by hand; ls, check and gc of what lies there.
mkdir one two
for ws in one two; do
    pipeline $ws/Pipelinefile <<'END2'
step a { in "src" out "a" run "cp src a" }
step b { in a out "b/" run "cp a b/x; echo y > b/y" }
step private { in "src" out "p" cache { remote = "off" } run "cp src p" }
END2
    echo x >$ws/src
done
PAWL_CACHE_DIR=$T/cache-one
export PAWL_CACHE_DIR
build -C one --no-remote
exits 2 pawl -C one cache push
complains "*there is no remote cache*"
PAWL_REMOTE=file://$T/far
export PAWL_REMOTE
pawl -C one cache push
says "pushed: 2 results; 0 were there*"
pawl -C one cache push
says "pushed: 0 results; 2 were there*"
pawl -C one cache ls --remote
same "$(lines "$T/out")" 2
pawl -C one cache check --remote
says "sound: 2 results*"
pawl -C one cache gc --remote
says "results: 2 of 2 kept*"
# Packs that are gone are missed by check, and put anew by push.
rm "$T"/far/p/*
pawl -C one cache push
says "pushed: 0 results; 2 were there*"
pawl -C one cache check --remote
says "*of 2 results not all bytes are there*"
pawl -C one cache push
says "pushed: 2 results; 0 were there*"
pawl -C one cache push
says "pushed: 0 results; 2 were there*"
PAWL_CACHE_DIR=$T/cache-two
pawl -C two cache pull
says "here: 2 of 2 results*"
build -C two --no-remote
expect ran=1 restored=2
expect_step private ran
for pack in "$T"/far/p/*; do
    printf '\377' | dd of="$pack" bs=1 seek=11 conv=notrunc 2>/dev/null
done
exits 1 pawl -C two cache check --remote
says "damaged*"
exits 2 pawl -C two cache gc --remote --now
