#!/bin/sh
# SPDX-License-Identifier: MIT
# key files that are listed, and missing or no keys, told where the list stands
mkdir keys
echo nothing >keys/garbled.pub
cat >Pipelinefile <<'END'
remote "file:///nowhere" {
    trust = ["keys/missing.pub", "keys/garbled.pub"]
}
step a { in "source" out "b" run "cp source b" }
END
for what in check build 'cache key ls'; do
    echo "\$ pawl $what" >&2
    # shellcheck disable=SC2086
    pawl $what
    echo "exit $?" >&2
done
