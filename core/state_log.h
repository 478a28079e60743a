/* SPDX-License-Identifier: MIT */
/* `.pawl/state` on disk: a snapshot that is mapped and used in place, and a journal behind it. Format:
 * docs/formats.md, "State". Nothing read from it is believed before its check fits. */
#pragma once

#include "core/state.h"

enum { STATE_LOG_NONE = -1, STATE_LOG_IDLE_LIMIT = 64, STATE_LOG_VERSION = 2 };

struct state_log_file; /* entries as they lie on disk */
struct state_log_step;

struct state_log {
    void *map; /* NULL: there is none */
    size_t map_bytes, snapshot_bytes;
    const uint64_t *file_index, *step_index, *result_index;
    const struct state_log_file *files;
    const struct state_log_step *steps;
    const char *pool;
    uint64_t file_slots, step_slots, pool_bytes;
    uint32_t file_count, step_count;
    bool damaged; /* something was passed over since it did not fit its check; found as it is met */
};

/* Maps dir's file `state`. An absent one is an empty log; what is damaged is one too, with damaged set. */
void state_log_open(struct state_log *log, int dir);
void state_log_close(struct state_log *log);

/* Number of an entry, verified and given in out, or STATE_LOG_NONE (out is garbage then). Texts and files
 * are borrowed from the mapping. */
int64_t state_log_find_file(struct state_log *log, struct str path, const struct state_file **out);
int64_t state_log_find_step(struct state_log *log, struct str name, struct state_step *out);
int64_t state_log_find_result(struct state_log *log, const struct digest *fingerprint,
                              struct str *name, struct state_step *out);
/* Entry i with its name, in place; false: damaged. idle: rewritten so often without having been asked for. */
bool state_log_get_file(struct state_log *log, uint32_t i, struct str *path,
                        const struct state_file **out, uint32_t *idle);
bool state_log_get_step(struct state_log *log, uint32_t i, struct str *name, struct state_step *out,
                        uint32_t *idle);

/* The journal, oldest entry first. Texts are borrowed from the mapping. */
struct state_log_entry {
    bool is_step;
    struct str name;
    struct state_file file;
    struct state_step step;
};
struct state_log_reader {
    struct rd in;
    bool cut; /* the last entry is not whole: a kill, no damage */
    bool damaged;
};
struct state_log_reader state_log_read_journal(const struct state_log *log);
bool state_log_next(struct state_log_reader *r, struct state_log_entry *out);
void state_log_put_file(struct buf *b, struct str path, const struct state_file *f);
void state_log_put_step(struct buf *b, struct str name, const struct state_step *x);

/* A new snapshot, in the order given, in place of what is there. false with errno kept. */
struct state_log_item {
    struct str name;
    const struct state_file *file; /* of a file */
    const struct state_step *step; /* of a step */
    uint32_t idle;
};
struct state_log_content {
    struct state_log_item *files, *steps;
    uint32_t file_count, step_count;
    uint64_t bytes; /* out: size of what was written */
};
bool state_log_write(int dir, struct state_log_content *content, bool durable);

/* 64 bits over any bytes, no defence against malice; seed chains several. */
uint64_t state_log_hash(uint64_t seed, const void *bytes, size_t n);
