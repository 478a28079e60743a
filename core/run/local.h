/* SPDX-License-Identifier: MIT */
/* Jobs as processes of this machine. Each is a process group of its own; pawl is the reaper of all that they
 * start, so what leaves its group or session is found too, and nothing outlives its job. The runner owns all
 * children of the process: nobody else may wait for one. */
#pragma once

#include "core/run/runner.h"

struct loop;

/* Watches SIGCHLD on the loop. NULL with errno. Opened by the process's first thread. */
struct runner *local_open(struct loop *loop);
