# SPDX-License-Identifier: MIT
# What a step's policy, --no-remote and PAWL_REMOTE say of the remote cache.
PAWL_REMOTE=file://$T/far
export PAWL_REMOTE
pipeline <<'END2'
step both { in "src" out "both" run "cp src both" }
step reads { in "src" out "reads" cache { remote = "read" } run "cp src reads" }
step writes { in "src" out "writes" cache { remote = "write" } run "cp src writes" }
step none { in "src" out "none" cache { remote = "off" } run "cp src none" }
END2
echo x >src
elsewhere() {
    rm -rf .pawl both reads writes none
    PAWL_CACHE_DIR=$T/cache-$1
    export PAWL_CACHE_DIR
}
elsewhere one
build --no-remote
expect ran=4
absent "$T/far"
PAWL_REMOTE=off build --rerun both
expect ran=1 up_to_date=3
absent "$T/far"
elsewhere two
build
expect ran=4
elsewhere three
told status
expect would_run=3 would_restore=1
absent "$T/cache-three/p"
build
expect ran=3 restored=1
expect_step both restored
# "writes" has been given twice, "reads" and "none" never.
elsewhere four
sed -i 's/cache { remote = "[a-z]*" }//' Pipelinefile
build reads writes none
expect ran=2 restored=1
expect_step writes restored
