#!/bin/sh
# SPDX-License-Identifier: MIT
# a first word that is neither a command nor a target; and a step that is called as a command nearly is
try() {
    echo "\$ pawl $*" >&2
    pawl "$@"
    echo "exit $?" >&2
}
try bulid
pawl init
for word in bulid hlep statsu shuot nothing; do
    try "$word"
done
try build bulid
echo 'step help { run "true" }' >>Pipelinefile
try -q help
