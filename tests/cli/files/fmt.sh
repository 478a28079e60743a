#!/bin/sh
# SPDX-License-Identifier: MIT
printf 'step   a{out "o"   run "touch o"  }  # why\n\n\n\nparam x=1' >Pipelinefile
pawl fmt --check
echo "exit $?"
pawl fmt
cat Pipelinefile
pawl fmt --check
echo "exit $?"
printf 'step a {' | pawl fmt -
echo "exit $?"
