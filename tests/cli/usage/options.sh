#!/bin/sh
# SPDX-License-Identifier: MIT
# wrong command lines
try() {
    echo "\$ pawl $*" >&2
    pawl "$@"
    echo "exit $?" >&2
}
try build --jbos 4
try --rerunn x
try -Z
try build -j
try build -j zero
try build -j 0
try build -k x
try build -p depth
try build --progress=loud
try build --quiet=yes
try fmt --watch
try cache
try cache frob
try verify
try completion
try -C /nowhere/at/all
try -f nowhere
try
try explain
try log
try cache push some
try stats train
try check other.pipeline
try cache ls --now
try cache push --dry-run
try cache check --remote --age 1d
try cache key --size 1GB
try cache key new -f Pipelinefile
try cache key vouch --remote
