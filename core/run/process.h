/* SPDX-License-Identifier: MIT */
/* The processes of this machine, as /proc tells of them: who descends from whom, and whose mark it carries. */
#pragma once

#include "core/base/str.h"

#include <sys/types.h>

struct process {
    pid_t pid, parent, group, session;
    uint64_t started; /* since boot, in ticks: with pid it names a process once */
    bool dead;        /* a zombie: nothing to end */
    bool below;       /* descends from the process that process_scan was asked about */
};

/* All processes, sorted by pid; below is set for root's descendants. false with errno: /proc cannot be read. */
bool process_scan(struct arena *a, pid_t root, struct process **out, uint32_t *count);
const struct process *process_find(const struct process *all, uint32_t count, pid_t pid);

/* The value of a variable in the environment that a process was started with; false: none, or not to be read. */
bool process_read_env(struct arena *a, pid_t pid, struct str name, struct str *out);

/* Sends a signal to p unless its pid has gone to another by now. */
bool process_signal(const struct process *p, int signal_number);

/* A descriptor of the list of the calling process's children (those of its first thread, to which orphans
 * come too), or -1 where the kernel has none. */
int process_children_open(void);
/* How many there are, zombies included; UINT32_MAX if that cannot be told. */
uint32_t process_children_count(int fd);
