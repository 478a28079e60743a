#!/bin/sh
# SPDX-License-Identifier: MIT
pawl --help
