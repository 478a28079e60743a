#!/bin/sh
# SPDX-License-Identifier: MIT
for command in build status explain list graph log runs stats diff metrics restore clean cache check fmt init; do
    pawl $command --help
    echo ----
done
pawl --version
