/* SPDX-License-Identifier: MIT */
/* What a job comes to on this machine: the file to execute, its words and its environment. */
#pragma once

#include "core/run/runner.h"

struct arena;

enum launch_way {
    LAUNCH_DIRECT,   /* without a shell where the command needs none */
    LAUNCH_BY_SHELL, /* scripts by a shell in any case */
};

struct launch {
    const char *file;
    char *const *argv;
    char *const *envp;
    const char *script; /* a file that was written for it, or NULL */
    bool has_other_way; /* where the direct way fails, the shell's may be tried */
};

/* mark: the value of PAWL_JOB. false: it cannot be; outcome.error of the job says why, unless the way was
 * direct and the shell's is open. */
bool launch_prepare(struct arena *a, struct job *job, const char *mark, enum launch_way way,
                    struct launch *out);
