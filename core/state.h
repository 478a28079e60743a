/* SPDX-License-Identifier: MIT */
/* `.pawl/`: what files looked like and hashed to, what each step last did, results not yet committed to the
 * cache, past runs. A help for speed and for words: whatever is lost or damaged in it costs a slower build,
 * never a wrong one. Each change is appended with a checksum as it happens, so a kill loses nothing finished. */
#pragma once

#include "cache/record.h"
#include "core/base/diag.h"
#include "core/base/file.h"
#include "core/event.h"

struct state;

/* What is known of a file or folder. A digest holds only while the signature is what it was, and not if racy. */
struct state_file {
    struct file_sig sig;
    struct digest walk;    /* of a folder: object_seen.walk */
    struct ref ref;        /* as it would be stored */
    struct digest content; /* as a fingerprint sees it */
    int64_t hashed_ns;     /* realtime before hashing began; 0: racy then, never trust */
};

enum state_outcome { STATE_NEVER, STATE_SUCCEEDED, STATE_FAILED, STATE_INTERRUPTED };

/* What a step last did, by its name. Fixed size part first: enough to say "up to date" without the record. */
struct state_step {
    struct digest fingerprint; /* of the last success; zeros: none */
    int64_t success_ms;        /* when that success was made (not when it was restored) */
    int64_t duration_ns;       /* of the command then; estimate for the next time */
    uint64_t outputs_hash;     /* state_outputs_hash of that success */
    uint64_t pending_sequence; /* not 0: its result is not known to be committed to the cache */
    uint32_t outcome;          /* enum state_outcome of the last try */
    bool has_inputs;           /* the record holds discovered inputs: read it */
    uint8_t signer[16];  /* who stands for what is in place: a struct trust_signer; zeros: it ran here */
    struct str record;   /* record_put bytes of the last success, parts in plain; empty: none */
    struct str log_path; /* workspace-relative; empty: none */
};

/* Opens below root, making .pawl (mode 0700) if need be; damaged parts are dropped with one warning. NULL with a
 * diagnostic ("workspace-unusable") if the folder can't be used. read_only: makes and writes nothing (absent
 * state is an empty one), for commands that only ask; who writes holds the lock in .pawl/lock. */
struct state *state_open(int root, bool read_only, struct diags *d);
/* Writes what waits (compacting when most of the log is old) and frees. */
void state_close(struct state *s, struct diags *d);

/* NULL: unknown. Valid until the next put of any file. */
const struct state_file *state_find_file(const struct state *s, struct str path);
void state_put_file(struct state *s, struct str path, const struct state_file *f);
const struct state_step *state_find_step(const struct state *s, struct str name);
/* A step's last success by fingerprint instead of name (renamed steps). */
const struct state_step *state_find_result(const struct state *s, const struct digest *fingerprint);
void state_put_step(struct state *s, struct str name, const struct state_step *x);
/* Appends to disk what was put since the last call (a write, no sync: the cache's segment is the commit). */
bool state_flush(struct state *s, struct diags *d);
/* Each step known, in no order. */
void state_each_step(const struct state *s,
                     void (*each)(void *context, struct str name, const struct state_step *x),
                     void *context);

/* Over paths, modes and contents in order; the same for a record's outputs and for what lies in place. */
uint64_t state_outputs_hash(const struct record_output *outputs, uint32_t count);

/* Past runs, `.pawl/runs`: one JSON object a line, oldest first; bad lines are passed over. */
struct state_run_step {
    struct str name, result, reason;
    int64_t duration_ns, saved_ns;
    double price; /* for an hour */
    struct record_metric *metrics;
    uint32_t metric_count;
};
struct state_run {
    struct str id; /* "r17": counts up */
    int64_t started_ms, duration_ns;
    struct str pipeline, targets;
    struct record_metric *params; /* name, value */
    uint32_t param_count;
    struct state_run_step *steps; /* those that were not up to date, and all with metrics */
    uint32_t step_count;
    uint32_t ran, restored, up_to_date, skipped, failed;
    bool interrupted;
    int64_t saved_ns; /* by what was not run */
    struct event_remote remote;
};
bool state_add_run(struct state *s, struct state_run *run, struct diags *d); /* sets run->id */
/* The newest limit runs (0: all), oldest first. */
bool state_read_runs(struct state *s, struct arena *a, uint32_t limit, struct state_run **out,
                     uint32_t *count, struct diags *d);
