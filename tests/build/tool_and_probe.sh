# SPDX-License-Identifier: MIT
# A tool counts by its content; a probe by what it prints, and runs once a build, only if it is wanted.
mkdir bin
printf '#!/bin/sh\necho one\n' >bin/mytool
chmod +x bin/mytool
PATH=$PWD/bin:$PATH
pipeline <<'END'
probe version = "echo probed >> probes; cat version"
probe unused = "echo unused >> probes"
step a {
    tool "mytool"
    out o = "a"
    run "mytool > {{o}}"
}
step b for i in range(3) {
    probe version
    out o = "b-{{i}}"
    run "echo {{i}} > {{o}}"
}
step c {
    out o = "c"
    run "echo version {{version}} > {{o}}"
}
END
echo v1 >version
build
expect ran=5
same "$(lines probes)" 1
holds c "version v1"
build a
same "$(lines probes)" 1
build
expect up_to_date=5
same "$(lines probes)" 2
printf '#!/bin/sh\necho two\n' >bin/mytool
build
expect ran=1 up_to_date=4
expect_step a ran '*mytool*'
printf '\n v2 \n\n' >version
build
expect ran=4 up_to_date=1
expect_step 'b[i=1]' ran '*version*v1*v2*'
holds c "version v2"
rm version
exits 1 build c
expect_step c failed '*probe*version*'
rm bin/mytool
exits 1 build a
