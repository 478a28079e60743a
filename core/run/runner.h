/* SPDX-License-Identifier: MIT */
/* A job, what became of it, and the interface of the places where jobs run. A runner belongs to the build
 * thread: every call comes from it, and every callback comes back on it from the loop. */
#pragma once

#include "core/base/str.h"

struct job;

enum {
    JOB_LOG_LIMIT = 64 << 20, /* bytes of a log that are kept; a last line says that it was cut */
    JOB_LOG_TAIL = 256,       /* bytes of that line, at most */
    JOB_ARGUMENT_LIMIT =
        100 << 10, /* a longer script goes through a file; the kernel's limit is 128 KiB */
    JOB_ERROR_TEXT = 240,
    JOB_PLACE_TEXT = 64,
};

/* What became of a job. Times in ns. */
struct outcome {
    int status; /* exit status, where signal is 0 */
    int signal; /* that ended the command, or 0 */
    bool timed_out;
    bool interrupted;             /* ended by stop or stop_all */
    bool left_behind;             /* something that it started could not be ended */
    bool log_cut;                 /* the log reached its limit */
    int log_error;                /* errno of the first write to the log that failed, or 0 */
    int64_t started_ns, ended_ns; /* CLOCK_REALTIME */
    int64_t duration_ns;          /* of CLOCK_MONOTONIC */
    uint64_t max_rss_bytes;       /* of the largest process; 0: not known */
    char place[JOB_PLACE_TEXT];   /* the machine's name */
    char error[JOB_ERROR_TEXT];   /* why it could not be started, or nothing */
};
/* Exited with 0, in time, by itself. */
bool outcome_is_success(const struct outcome *o);

/* All that is pointed to is borrowed until done was called. Paths are the process's own, save that script
 * needs an absolute tmp where cwd is given. */
struct job {
    /* Either the words of a command, run without a shell (NULL ends them), … */
    char *const *argv;
    /* … or, with argv NULL, a text for /bin/sh -e; or one that begins with #!, which is written to a file in
     * tmp and run as that line's words (split as a shell would, quotes honoured) and the file's path. */
    struct str script;
    const char *tmp;   /* a folder of this job's own, made when it is needed */
    const char *cwd;   /* NULL: the process's */
    char *const *envp; /* the whole environment; PAWL_JOB is added, PWD is set right */
    const char *log;   /* where output and errors go, in one stream; made with the first byte */
    int errors;        /* where errors alone go, borrowed; 0: with the output */
    const struct str *secrets; /* each occurrence of one of these becomes *** in the log */
    uint32_t secret_count;
    uint64_t log_limit; /* bytes; 0: JOB_LOG_LIMIT */
    int64_t timeout_ns; /* 0: none */

    const char *name;    /* for people and for schedulers' lists */
    uint32_t cpus, gpus; /* wanted; 0: not declared. Kept in mind by remote runners alone */
    uint64_t memory_bytes;

    /* Masked output as it comes; may be NULL. */
    void (*output)(struct job *job, struct str text);
    /* Called once for a job that start took; the job may be freed or started again in it. */
    void (*done)(struct job *job);
    void *context;

    struct outcome outcome;
    void *place; /* the runner's; NULL while the job is not running */
};

enum job_stop {
    JOB_STOP_GENTLY, /* SIGTERM, and SIGKILL after a grace */
    JOB_STOP_AT_ONCE,
};

/* One of the program's three function tables. A stopped job still comes back through done. */
struct runner {
    /* false: it could not be started; outcome.error says why, and done is not called. */
    bool (*start)(struct runner *r, struct job *job);
    void (*stop)(struct runner *r, struct job *job, enum job_stop how);
    void (*stop_all)(struct runner *r, enum job_stop how);
    /* Ends what still runs, at once, and frees r. */
    void (*close)(struct runner *r);
};
