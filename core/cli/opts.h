/* SPDX-License-Identifier: MIT */
/* The command line: one table of commands and one of options, from which parsing, --help, completions and the
 * man page's list come. */
#pragma once

#include "core/base/diag.h"
#include "core/eval.h"

enum command {
    COMMAND_BUILD,
    COMMAND_STATUS,
    COMMAND_EXPLAIN,
    COMMAND_LIST,
    COMMAND_GRAPH,
    COMMAND_LOG,
    COMMAND_RUNS,
    COMMAND_STATS,
    COMMAND_DIFF,
    COMMAND_METRICS,
    COMMAND_RESTORE,
    COMMAND_CLEAN,
    COMMAND_CACHE,
    COMMAND_CHECK,
    COMMAND_FMT,
    COMMAND_INIT,
    COMMAND_COMPLETION,
    COMMAND_COUNT,
};

enum progress { PROGRESS_AUTO, PROGRESS_TTY, PROGRESS_PLAIN, PROGRESS_NONE };

/* What the person asked for. Texts are argv's. */
struct opts {
    enum command command;
    VEC(struct str) targets; /* positional arguments after the command */
    VEC(struct str) only, rerun;
    VEC(struct eval_param) params;
    struct str file, dir, format;
    struct str near; /* the command that the first word resembles, if it is none */
    uint32_t jobs, keep_going, limit;
    double max_load;
    int64_t age_ns, max_bytes; /* cache gc; -1: not given */
    enum progress progress;
    bool named; /* a command was named */
    bool dry_run, verbose, quiet, explain, no_cache, no_remote, watch, json, check, now, remote, help,
        version;
};

/* false with a diagnostic ("usage"); help and version are set, not carried out. */
bool opts_parse(int argc, char **argv, struct arena *a, struct opts *out, struct diags *d);
/* --help of the program as a whole, or of one command. */
void opts_put_help(struct buf *b, enum command c, bool whole);
/* Lines "--name" for a man page or a completion script. */
void opts_put_completion(struct buf *b, struct str shell, bool *known);
const char *opts_command_name(enum command c);
