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
# Without the local cache there is no remote one: said where both are asked for, once, and not where only one is.
elsewhere five
pipeline <<'END2'
step both { in "src" out "both" cache { local = false  remote = "read" } run "cp src both" }
step reads { in "src" out "reads" cache { local = false  remote = "read-write" } run "cp src reads" }
step writes { in "src" out "writes" cache { local = false } run "cp src writes" }
END2
build
expect ran=3
expect_notice remote-needs-local
same "$(grep -c '"event":"notice"' "$T/events")" 1
build --no-remote
same "$(grep -c '"event":"notice"' "$T/events" || :)" 0
rm -rf .pawl
pawl cache push
says "pushed: 0 results; 0 were there*"
# The Pipelinefile that names the remote cache, and what it is made with.
elsewhere six
pipeline other.pipeline <<'END2'
param where = "nowhere"
remote "file://{{where}}" { }
step both { in "src" out "both" run "cp src both" }
END2
unset PAWL_REMOTE
pawl cache pull -f other.pipeline -p "where=$T/far"
says "here: 1 of 1 result
*"
pawl cache ls --remote -f other.pipeline -p "where=$T/far"
exits 2 pawl cache ls -f other.pipeline
complains "*wants no Pipelinefile*"
