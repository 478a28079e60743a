/* SPDX-License-Identifier: MIT */
/* One result as a value, and its bytes: the one noun that the cache shares with core. Format: docs/formats.md,
 * "Record". Everything in a decoded record lives in the arena given. */
#pragma once

#include "core/base/arena.h"
#include "core/base/digest.h"

enum ref_kind { REF_NONE = 0, REF_BLOB = 1, REF_LIST = 2, REF_TREE = 3, REF_LINK = 4 };

/* A digest never stands without its kind. size: of the file for a blob and a list, of the object for a tree,
 * of the target's text for a link. */
struct ref {
    uint8_t kind; /* enum ref_kind */
    uint64_t size;
    struct digest digest;
};
bool ref_eq(const struct ref *x, const struct ref *y);
/* For a table: kind and digest; with the size, too. */
enum { REF_KEY = 33, REF_KEY_SIZED = 41 };
struct str ref_key(uint8_t kind, const struct digest *digest, char out[REF_KEY]);
struct str ref_key_sized(const struct ref *ref, char out[REF_KEY_SIZED]);

struct record_output {
    struct str path; /* workspace-relative, normal */
    uint32_t mode;   /* permission bits */
    struct ref ref;  /* what is stored */
    struct digest
        content; /* as a fingerprint sees it: ref.digest, for a tree with modes reduced to the x bit */
};

struct record_input { /* discovered while the step ran */
    struct str path;
    uint8_t kind; /* REF_NONE: was not there (and that counts) */
    struct digest digest;
};

struct record_metric {
    struct str name, text;
};

/* One labelled part of the fingerprint. secret: value holds only a salted tag's hex (env, probe). */
struct record_part {
    struct str label, value;
    bool tag;
};

struct record {
    struct digest fingerprint;
    int64_t success_ms; /* since 1970, when the success was made */
    int64_t duration_ms;
    uint8_t hint[8]; /* first bytes of SHA-256 of the pipeline's name; never part of a lookup */
    struct record_output *outputs;
    struct record_metric *metrics;
    struct record_input *inputs;
    struct record_part *parts;
    uint32_t output_count, metric_count, input_count, part_count;
    struct ref log;   /* REF_NONE: none */
    struct str where; /* where it ran, for people */
    uint8_t salt[16];
};

enum {
    RECORD_BYTES_LIMIT = 1 << 20,
    RECORD_OUTPUTS_LIMIT = 65536,
    RECORD_PATH_LIMIT = 4096,
    RECORD_TEXT_LIMIT = 64 << 10,
};

/* Appends the row. false: it passes a limit (nothing appended that counts). */
bool record_put(struct buf *b, const struct record *r);
/* false: malformed in any way: a path that is absolute, not normal, leaves the workspace, stands twice or
 * lies below another output that is a file or link; a count or text beyond its limit; bytes left over. */
bool record_read(struct arena *a, struct str row, struct record *out);
/* The 8-byte tag, as 16 hex digits, under which a value of env or of a probe leaves the machine. */
struct str record_tag(struct arena *a, const uint8_t salt[16], struct str label, struct str value);
