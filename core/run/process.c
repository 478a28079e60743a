/* SPDX-License-Identifier: MIT */
/* The processes of this machine, as /proc tells of them. */
#include "core/run/process.h"

#include "core/base/arena.h"
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENVIRONMENT_LIMIT = 8 << 20, STAT_TEXT = 1024, CHILDREN_TEXT = 16384 };

/* Field n (from 0) of the blank-separated rest. */
static bool field(struct str rest, uint32_t n, int64_t *out)
{
    struct str part;
    for (uint32_t i = 0; i <= n; i++) {
        if (!str_cut(&rest, ' ', &part)) {
            return false;
        }
    }
    return str_parse_i64(part, out);
}

/* PID (NAME) STATE PPID PGRP SESSION … and 18 fields on the start; NAME may hold anything. */
static bool parse_stat(struct str text, struct process *p)
{
    ptrdiff_t close = str_rfind_char(text, ')');
    int64_t parent;
    int64_t group;
    int64_t session;
    int64_t started;
    if (close < 0 || text.n < (size_t)close + 4) {
        return false;
    }
    char state = text.s[close + 2];
    struct str rest = str_tail(text, (size_t)close + 4);
    if (!field(rest, 0, &parent) || !field(rest, 1, &group) || !field(rest, 2, &session)
        || !field(rest, 18, &started)) {
        return false;
    }
    p->parent = (pid_t)parent;
    p->group = (pid_t)group;
    p->session = (pid_t)session;
    p->started = (uint64_t)started;
    p->dead = state == 'Z' || state == 'X';
    return true;
}

static bool read_stat(pid_t pid, struct process *p)
{
    char name[32];
    char text[STAT_TEXT];
    snprintf(name, sizeof name, "/proc/%d/stat", (int)pid);
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    *p = (struct process){.pid = pid};
    return n > 0 && parse_stat((struct str){text, (size_t)n}, p);
}

static int process_cmp(const void *x, const void *y)
{
    pid_t a = ((const struct process *)x)->pid;
    pid_t b = ((const struct process *)y)->pid;
    return a < b ? -1 : a > b;
}

const struct process *process_find(const struct process *all, uint32_t count, pid_t pid)
{
    struct process key = {.pid = pid};
    return count ? bsearch(&key, all, count, sizeof *all, process_cmp) : NULL;
}

/* The list is no snapshot, so a parent may be missing, and a chain may even close to a ring. */
static bool descends(const struct process *all, uint32_t count, const struct process *p, pid_t root)
{
    for (uint32_t i = 0; p && i < count; i++) {
        if (p->parent == root) {
            return true;
        }
        p = process_find(all, count, p->parent);
    }
    return false;
}

bool process_scan(struct arena *a, pid_t root, struct process **out, uint32_t *count)
{
    DIR *proc = opendir("/proc");
    if (!proc) {
        return false;
    }
    VEC(struct process) all = {0};
    const struct dirent *e;
    while ((e = readdir(proc)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        int64_t pid;
        struct process p;
        if (str_parse_i64(str_from(e->d_name), &pid) && read_stat((pid_t)pid, &p)) {
            *VEC_PUSH(a, &all) = p;
        }
    }
    closedir(proc);
    if (all.n > 1) {
        qsort(all.at, all.n, sizeof *all.at, process_cmp);
    }
    for (uint32_t i = 0; i < all.n; i++) {
        all.at[i].below = descends(all.at, all.n, &all.at[i], root);
    }
    *out = all.at;
    *count = all.n;
    return true;
}

bool process_read_env(struct arena *a, pid_t pid, struct str name, struct str *out)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    struct str all;
    struct str part;
    if (!file_read_quiet(a, FILE_CWD, str_from(path), ENVIRONMENT_LIMIT, &all)) {
        return false;
    }
    while (str_cut(&all, '\0', &part)) {
        if (part.n > name.n && str_starts(part, name) && part.s[name.n] == '=') {
            *out = str_tail(part, name.n + 1);
            return true;
        }
    }
    return false;
}

bool process_signal(const struct process *p, int signal_number)
{
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    if (fd < 0) {
        return errno == ENOSYS && kill(p->pid, signal_number) == 0;
    }
    struct process now;
    bool sent = read_stat(p->pid, &now) && now.started == p->started
                && syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0) == 0;
    close(fd);
    return sent;
}

int process_children_open(void)
{
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/task/%d/children", (int)getpid(), (int)getpid());
    return open(name, O_RDONLY | O_CLOEXEC);
}

uint32_t process_children_count(int fd)
{
    char text[CHILDREN_TEXT];
    uint32_t count = 0;
    off_t at = 0;
    ssize_t n;
    while ((n = pread(fd, text, sizeof text, at)) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            count += text[i] == ' '; /* one behind each pid */
        }
        at += n;
    }
    return n < 0 ? UINT32_MAX : count;
}
