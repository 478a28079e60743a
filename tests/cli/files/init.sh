#!/bin/sh
# SPDX-License-Identifier: MIT
pawl init
cat Pipelinefile
pawl
pawl init
echo "exit $?"
pawl clean -n
pawl clean
pawl restore
pawl cache ls
