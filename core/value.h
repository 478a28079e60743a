/* SPDX-License-Identifier: MIT */
/* Values, their types and how they print, and the operators of the language; and what cannot be known yet:
 * a late value, an expression left over after all that is known was put in. Late values are encoded as
 * bytes in the graph and evaluated once steps have run, by the same operator, function and shell code. */
#pragma once

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/base/json.h"

enum value_kind {
    VALUE_NONE, /* a null in a JSON or YAML file */
    VALUE_BOOL,
    VALUE_INT,
    VALUE_REAL,
    VALUE_STRING,
    VALUE_LIST,
    VALUE_DURATION, /* ns */
    VALUE_SIZE,     /* bytes */
    VALUE_TREE,     /* a mapping of a parameter or JSON file */
    VALUE_LATE,
};

enum {
    VALUE_ITEM_LIMIT = 1000000, /* items of a list */
    VALUE_TEXT_LIMIT = 1 << 20, /* bytes of a string that an expression makes */
    VALUE_LATE_DEPTH = 500,     /* levels of a late value or of nested lists */
    VALUE_LATE_LIMIT = 4 << 20, /* bytes of an encoded one */
};

/* ---- what a value was made from ---- */

enum value_ref_kind {
    VALUE_REF_OUTPUT, /* a step's output: what makes an edge */
    VALUE_REF_PROBE,  /* what a probe prints */
    VALUE_REF_PARAM,  /* a parameter or a key of a parameter file, numbered by whoever evaluates */
    VALUE_REF_COPY,   /* where the local copy of an input in S3 lies */
};
struct value_ref {
    uint32_t kind; /* enum value_ref_kind */
    uint32_t
        number; /* OUTPUT: step's number in the evaluation; PROBE, PARAM: its number; COPY: the file's */
    uint32_t
        output; /* OUTPUT: of that step, or UINT32_MAX: the step as a whole; COPY: 1 for its URI alone */
    bool value_only; /* OUTPUT: by way of json() or read() alone: an order, no content */
};
/* Shared, immutable, sorted, each (kind, number, output) once. NULL: none. */
struct value_refs {
    uint32_t count;
    const struct value_ref *at;
};

struct value {
    uint8_t kind; /* enum value_kind */
    bool boolean;
    bool
        is_path; /* STRING: names a file, workspace-relative; written relative to cwd in commands */
    bool is_dir; /* … a folder: prints without a last slash */
    bool untracked;  /* it, or something in it, came out of untracked() */
    bool raw;        /* came out of raw(): put into shell text as it is */
    uint16_t depth;  /* LIST: levels of lists */
    uint32_t count;  /* LIST */
    int64_t integer; /* INT, DURATION (ns), SIZE (bytes) */
    double real;     /* REAL */
    struct str
        text; /* STRING; for numbers and quantities as it was written, if it was (else empty) */
    struct str uri; /* STRING: the s3:// URI that this path is the local copy of; else empty */
    const struct value *items;     /* LIST: none of them late (such a list is LATE) */
    const struct json *tree;       /* TREE: an object */
    const struct value_late *late; /* LATE */
    const struct value
        *tracked; /* what the fingerprint sees instead; NULL: this (for a LIST: its items') */
    const struct value
        *unquoted; /* came out of quote(): this was its argument; shell text takes it */
    const struct value_refs
        *refs; /* of the value itself; a LIST's items have their own (value_each_ref) */
};

/* A piece of an interpolated text, or an argument. */
struct value_part {
    const struct value *value; /* NULL: text */
    struct str text;
    struct span span;
};
struct value_parts {
    const struct value_part *at;
    uint32_t count;
};

/* True if one of the values is late, or holds something untracked. */
bool value_any_late(struct value_parts parts);
bool value_any_untracked(struct value_parts parts);

/* ---- late values ---- */

enum value_late_kind {
    VALUE_LATE_OPERATOR, /* op over one or two parts; and, or keep their right side for later */
    VALUE_LATE_CALL,     /* text: the function's name */
    VALUE_LATE_TEXT,     /* plain interpolation; text: cwd */
    VALUE_LATE_SHELL,    /* shell text; text: cwd; number: enum shell_kind */
    VALUE_LATE_ARGV,     /* words; text: cwd */
    VALUE_LATE_LIST,
    VALUE_LATE_CHOICE, /* condition, then, otherwise */
    VALUE_LATE_MEMBER, /* text: the name */
    VALUE_LATE_INDEX,  /* list, position */
    VALUE_LATE_PROBE,  /* number: of the probe */
    VALUE_LATE_NEED,   /* number: the kind that it must have; text: what for */
};
struct value_late {
    uint8_t kind; /* enum value_late_kind */
    uint8_t op;   /* enum value_op */
    bool tracked; /* TEXT, SHELL, ARGV: the variant that the fingerprint sees */
    uint32_t number;
    uint32_t depth;
    struct str text;
    struct value_parts parts;
    struct span span;
};

/* What is asked while a late value is evaluated. */
struct value_reader {
    void *context;
    /* Whole text of a workspace file; false with a diagnostic. */
    bool (*read)(void *context, struct str path, struct str *text, struct diags *d);
    /* What a probe printed, trimmed. */
    bool (*probe)(void *context, uint32_t probe, struct str *text, struct diags *d);
    /* A place in the graph's terms (source: index in graph.sources) in d's. NULL: no places in messages. */
    struct span (*place)(void *context, struct span in_graph, struct diags *d);
};

/* What operations work with. Without a reader, json() and read() of produced files and probes give LATE.
 * With one (after the steps ran) nothing stays late. The host (core/function.h) is asked by functions that
 * look outside while the Pipelinefile is evaluated; NULL once there is a reader. */
struct value_work {
    struct arena *arena; /* where results go */
    const struct value_reader *reader;
    const struct function_host *host;
};

/* Evaluates an encoded late value (graph's gexpr.bytes with late set). A command evaluates to a STRING (shell
 * text, all places escaped) or to a LIST of strings (argv). false with a diagnostic. */
bool value_late_evaluate(struct arena *a, struct str bytes, const struct value_reader *reader,
                         struct value *out, struct diags *d);
/* The same for a value in memory; what is not late is given as it is. */
bool value_late_force(const struct value_work *w, const struct value *v, struct value *out,
                      struct diags *d);
/* Encodes any value, late or not. sources[n] is the graph's number of the diags' source n; a source of
 * source_count or more, or with GRAPH_NONE there, has no place. false with a diagnostic if it is too large. */
struct value_sources {
    const uint32_t *at;
    uint32_t count;
};
bool value_late_encode(struct buf *b, const struct value *v, struct value_sources sources,
                       struct diags *d);
/* A late value of this form; refs are gathered from its parts. false: nested too deeply. */
bool value_late_make(struct arena *a, const struct value_late *late, struct value *out,
                     struct diags *d);
/* What a probe will print. */
struct value value_probe(struct arena *a, uint32_t probe, struct str name);

/* ---- making values ---- */

struct value value_none(void);
struct value value_bool(bool x);
struct value value_int(int64_t x); /* text may be set to what was written; likewise below */
struct value value_real(double x);
struct value value_duration(int64_t ns);
struct value value_size(int64_t bytes);
struct value value_string(struct str text);            /* borrowed */
struct value value_path(struct str path, bool is_dir); /* borrowed */
struct value value_from_json(struct arena *a,
                             const struct json *j); /* lists become LIST, objects TREE */
/* LIST, or LATE if an item is. Items are copied. */
bool value_list(const struct value_work *w, struct value_parts items, struct span at,
                struct value *out, struct diags *d);
/* Reads a text as -p and PAWL_PARAM_… give it: BOOL (true, false), INT, REAL, STRING, DURATION (ISO 8601 too),
 * SIZE. false, without a word, if it is none of that kind; a LIST is an expression and so never one. */
bool value_from_text(struct arena *a, enum value_kind kind, struct str text, struct value *out);
/* "a whole number, as in 5" … for the message after that. */
const char *value_kind_example(enum value_kind kind);

/* ---- refs ---- */

/* All refs of the parts' values and of the items in them, merged; NULL for none. */
const struct value_refs *value_refs_of(struct arena *a, struct value_parts parts);
/* v with one more ref, or with all of from's (items' too). */
void value_add_ref(struct arena *a, struct value *v, struct value_ref ref);
void value_add_refs_of(struct arena *a, struct value *v, const struct value *from);
/* Each ref of v and of the items in it, perhaps more than once. */
void value_each_ref(const struct value *v, void (*each)(void *context, const struct value_ref *ref),
                    void *context);

/* ---- operations: false with a diagnostic ("type-mismatch", "overflow", "division-by-zero", …) ---- */

enum value_op {
    VALUE_NOT, /* one side */
    VALUE_NEG, /* one side */
    VALUE_OR,
    VALUE_AND,
    VALUE_EQ,
    VALUE_NE,
    VALUE_LT,
    VALUE_LE,
    VALUE_GT,
    VALUE_GE,
    VALUE_ADD,
    VALUE_SUB,
    VALUE_MUL,
    VALUE_DIV,
    VALUE_MOD,
};
struct value_operation {
    enum value_op op;
    struct span at;         /* of the operator: where the message points */
    struct value_part left; /* the one side of NOT and NEG */
    struct value_part right;
};
/* and, or: whoever evaluates may leave the right side out (value NULL) if the left one is known and decides
 * (value_decides); given both, the right one must be bool too. */
bool value_operate(const struct value_work *w, const struct value_operation *o, struct value *out,
                   struct diags *d);
/* True if left alone gives the result of `left op …` (op: AND or OR). */
bool value_decides(enum value_op op, const struct value *left);
/* a if condition else b, for a condition that is LATE: both branches are kept. For a known one
 * whoever evaluates takes the branch (value_need BOOL first). parts: condition, then, otherwise. */
bool value_choose(const struct value_work *w, struct value_parts parts, struct span at,
                  struct value *out, struct diags *d);
/* tree.name and list[position] (from 0, negative from the end). */
bool value_member(const struct value_work *w, const struct value_part *of, struct str name,
                  struct value *out, struct diags *d);
bool value_index(const struct value_work *w, const struct value_part *of,
                 const struct value_part *position, struct value *out, struct diags *d);
/* v as a value of that kind: an INT where REAL is wanted and an ISO 8601 string where DURATION is are
 * converted; LATE stays so and is checked later. what: "'when'", for "'when' wants bool, not int". */
struct value_want {
    enum value_kind kind;
    struct str what;
};
bool value_need(const struct value_work *w, const struct value_part *v, struct value_want want,
                struct value *out, struct diags *d);
/* Equal as == says, without errors: unlike kinds are unequal. */
bool value_eq(const struct value *x, const struct value *y);

/* ---- texts ---- */

struct value_style {
    struct str
        cwd;      /* paths are written relative to it; "." or empty: as they are. Texts that are no
                     * command leave it empty */
    bool tracked; /* what the fingerprint sees: untracked() values left out */
};
/* Interpolation with each value put in plainly: STRING, or LATE. Where cwd is empty and not tracked, the
 * result remembers what of it is untracked. */
bool value_text(const struct value_work *w, struct value_parts parts,
                const struct value_style *style, struct value *out, struct diags *d);
/* A program and its arguments: a LIST of strings in which list items stand one by one, or LATE. A NUL in a
 * word is an error. */
bool value_argv(const struct value_work *w, struct value_parts words,
                const struct value_style *style, struct value *out, struct diags *d);
/* As it prints: numbers as written, whole results without .0, lists as "a b c", booleans true/false. */
void value_put(struct buf *b, const struct value *v);
/* The same, a path written relative to cwd (s3:// and absolute paths as they are). */
void value_put_in(struct buf *b, const struct value *v, struct str cwd);
struct str value_print(struct arena *a, const struct value *v);
/* The same value as JSON text, for PAWL_PARAMS and --json. */
void value_put_json(struct buf *b, const struct value *v);
/* What the fingerprint sees of v, LATE ones excepted. */
struct value value_tracked(struct arena *a, const struct value *v);
const char *value_kind_name(enum value_kind kind); /* "int", "float", "string", … for messages */
const char *value_op_text(enum value_op op);       /* "not", "==", … */
