/* SPDX-License-Identifier: MIT */
/* Values, their types and how they print, the operators and functions of the language; and what cannot be
 * known yet: a late value, an expression left over after all that is known was put in. Late values are
 * encoded as bytes in the graph and evaluated once steps have run, by the same operator and function code. */
#pragma once

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/base/json.h"

enum value_kind {
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INT,
    VALUE_REAL,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_DURATION, /* ns */
    VALUE_SIZE,     /* bytes */
    VALUE_TREE,     /* a parameter file's mapping (or mixed list) */
    VALUE_LATE,
};

/* From which steps' outputs a value was made: what makes an edge. Shared, immutable. */
struct value_refs {
    const struct value_refs *next;
    uint32_t step;      /* number in the evaluation */
    uint32_t output;    /* of that step, or GRAPH_NONE: the step as a whole */
    bool value_only;    /* by way of json() or read(): an order, no content */
};

struct value {
    uint8_t kind;    /* enum value_kind */
    bool boolean;
    bool is_path;    /* VALUE_STRING: names a file; written relative to cwd in commands */
    bool is_dir;     /* … a folder: prints without a last slash */
    bool untracked;  /* came out of untracked(): not in the fingerprint */
    bool raw;        /* came out of raw(): put into shell text as it is */
    uint32_t count;  /* VALUE_LIST */
    int64_t integer; /* INT, DURATION (ns), SIZE (bytes) */
    double real;
    struct str text; /* STRING; for numbers and quantities as it was written, if it was (else empty) */
    const struct value *items;      /* LIST */
    const struct json *tree;        /* TREE */
    const struct value_late *late;  /* LATE */
    const struct value_refs *refs;
};

/* What is asked while a late value is evaluated. */
struct value_reader {
    void *context;
    /* Whole text of a workspace file; false with a diagnostic. */
    bool (*read)(void *context, struct str path, struct str *text, struct diags *d);
    /* What a probe printed, trimmed. */
    bool (*probe)(void *context, uint32_t probe, struct str *text, struct diags *d);
};

/* The reader that nothing is late for does not exist: without a reader, json(), read() of produced files and
 * probes give VALUE_LATE. With one (after the steps ran) nothing stays late. */

/* Evaluates an encoded late value (graph's gexpr.bytes with late set). A command evaluates to a STRING (shell
 * text, all places escaped) or to a LIST of strings (argv). false with a diagnostic. */
bool value_late_evaluate(struct arena *a, struct str bytes, const struct value_reader *reader,
                         struct value *out, struct diags *d);
/* As it prints: numbers as written, whole results without .0, lists as "a b c", booleans true/false. */
void value_put(struct buf *b, const struct value *v);
/* The same value as JSON text, for PAWL_PARAMS and --json. */
void value_put_json(struct buf *b, const struct value *v);
const char *value_kind_name(enum value_kind kind); /* "int", "string", … for messages */
