#!/bin/sh
# SPDX-License-Identifier: MIT
# no colours into a pipe, nor with NO_COLOR on a terminal
cat >Pipelinefile <<'END'
step a { out "a" run "echo x > a; echo printed" }
step b { out "b" run "false" }
END
pawl -k 0 2>&1 | grep -c "$(printf '\033')"
NO_COLOR=1 script -qefc "pawl --progress=plain -k 0 --rerun a" /dev/null </dev/null | grep -c "$(printf '\033')"
NO_COLOR=1 script -qefc "pawl -k 0 --rerun a" /dev/null </dev/null | grep -c "$(printf '\033')"
script -qefc "pawl --progress=plain -k 0 --rerun a" /dev/null </dev/null | grep -c "$(printf '\033')" | sed 's/[1-9][0-9]*/some/'
