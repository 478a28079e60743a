/* SPDX-License-Identifier: MIT */
/* Jobs as processes of this machine. Each is a process group of its own; pawl is the reaper of all that they
 * start, so what leaves its group or session is found too, and nothing outlives its job. The runner owns all
 * children of the process: nobody else may wait for one. */
#pragma once

#include "core/run/runner.h"

struct loop;

/* Watches SIGCHLD on the loop. NULL with errno. To be opened by the process's first thread, and closed outside
 * of the loop's callbacks, before the loop. */
struct runner *local_open(struct loop *loop);

/* What the value of PAWL_JOB begins with, before a '.', in all jobs of this runner and of no other. */
struct str local_mark(const struct runner *r);

enum { LOCAL_GRACE_S = 5 }; /* between SIGTERM and SIGKILL */
/* Another grace than that; for tests. */
void local_set_grace(struct runner *r, int64_t grace_ns);
