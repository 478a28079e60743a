/* SPDX-License-Identifier: MIT */
/* What evaluation works on: files and the names they define, steps with their items laid flat, instances.
 * Everything here lies in the evaluation's arenas and is gone once the graph stands. */
#pragma once

#include "core/base/table.h"
#include "core/eval.h"
#include "core/function.h"
#include "core/origin.h"
#include "core/value.h"
#include "parser/ast.h"

enum {
    EVAL_INSTANCE_LIMIT = 1000000, /* steps of one graph */
    EVAL_DEPTH_LIMIT = 2500,       /* nested expressions, across definitions */
    EVAL_USE_DEPTH = 50,           /* templates that use templates */
    EVAL_FILE_LIMIT = 10000,       /* included and parameter files */
    EVAL_ROUNDS = 5,               /* until the patterns and the outputs agree */
};

/* Of what is evaluated on demand. PENDING: waits for a folder's listing. */
enum lazy { LAZY_NEW, LAZY_BUSY, LAZY_DONE, LAZY_FAILED, LAZY_PENDING };

enum def_kind {
    DEF_PARAM, /* values */
    DEF_LET,
    DEF_PROBE,
    DEF_STEP, /* things */
    DEF_GROUP,
    DEF_SPACE,
    DEF_TREE,
    DEF_TEMPLATE,
    DEF_POOL,
    DEF_EXECUTOR,
};
enum names_kind {
    NAMES_VALUES,
    NAMES_THINGS, /* steps, groups, includes, parameter trees */
    NAMES_TEMPLATES,
    NAMES_POOLS,
    NAMES_EXECUTORS,
    NAMES_COUNT
};

struct unit;
struct space;
struct step_def;

/* What one statement defines. */
struct def {
    enum def_kind kind;
    uint8_t state;   /* enum lazy, of value or tree */
    struct str name; /* with the include's prefix: "prep.clean" */
    struct span span;
    struct unit *unit;
    const struct ast_statement *at;
    struct value value;      /* PARAM, LET, PROBE */
    struct space *space;     /* SPACE */
    struct step_def *step;   /* STEP */
    const struct json *tree; /* TREE */
    uint32_t number;         /* PARAM: of eval.keys; PROBE, POOL, EXECUTOR: in the graph */
    bool in_graph;           /* PROBE, POOL, EXECUTOR: number is set */
};

/* Names of one sort; defs[i] belongs to table.keys[i]. */
struct names {
    struct table table;
    VEC(struct def *) defs;
};

/* One namespace: a file's, together with those it includes plainly. */
struct space {
    struct space *parent; /* the includer's; NULL for the Pipelinefile */
    struct str prefix;    /* "" or "prep." */
    struct names names[NAMES_COUNT];
};

struct export
{
    enum names_kind kind;
    struct str name;
    struct def *def;
};

/* A Pipelinefile or an included file. */
struct unit {
    struct str path;
    struct unit *includer;
    struct span included; /* the include's path */
    struct space *space;
    const struct ast_file *file;
    VEC(const struct ast_use *) uses;
    VEC(struct export) exports; /* what it and its plain includes define, for a second include */
    struct space *view;         /* exports as a namespace, for the second include with `as` */
    bool loading;
};

/* A template used by a step; args are evaluated where the use stands. */
struct frame {
    const struct def *template;
    const struct ast_use *use;
    struct frame *caller; /* NULL: the use stands in the step or at the top of a file */
    struct unit *caller_unit;
    bool by_file;                 /* the use stands at the top of a file: sees no step's names */
    uint32_t first_arg;           /* instance.args[first_arg + i] is its i-th parameter */
    const struct ast_expr **args; /* one for each parameter; NULL: its default */
};

struct flat_item {
    const struct ast_item *item;
    struct frame *frame; /* NULL: written in the step itself */
    uint32_t layer;      /* items that were written in one place; a higher one wins */
};

enum own_kind { OWN_IN, OWN_CODE, OWN_OUT, OWN_LET, OWN_ENV, OWN_DEPFILE, OWN_CHECKPOINT };

/* A value of a step, named or not. */
struct own {
    enum own_kind kind;
    struct str name; /* may be empty */
    const struct ast_binding *binding;
    const struct flat_item *flat;
    uint32_t out;   /* OUT: number among the step's outs */
    uint32_t same;  /* an earlier own of this name that must have the same value; GRAPH_NONE */
    bool overruled; /* a later layer defines the name anew */
};

struct bucket {
    uint32_t *at;
    uint32_t n, cap;
};

/* Instances by the values of some of a step's variables. */
struct step_index {
    uint64_t mask; /* bit i: the i-th variable */
    struct table keys;
    VEC(struct bucket) buckets;
};

/* A folder that some instances came from: whoever asks for these waits for its step. */
struct folder {
    struct value_ref ref;
    uint32_t known; /* variables before it */
    struct value *variables;
};

struct step_def {
    struct def *def;
    const struct ast_step *ast;
    struct unit *unit;
    uint8_t state;         /* enum lazy, of its expansion */
    bool failed;           /* an instance had an error: the others would repeat it */
    VEC(uint32_t) waiting; /* instances that wait for a listing */
    bool flat_done, flat_failed;
    VEC(struct flat_item) items;
    VEC(struct own) owns;
    struct table own_names;
    VEC(uint32_t) own_of_name;
    uint32_t out_count, arg_count;
    VEC(struct ast_name) variables;
    uint32_t first, count; /* of eval.instances, those that wait too */
    uint32_t *numbers;     /* first, first + 1, … */
    VEC(struct folder) folders;
    VEC(struct step_index *) indexes;
};

struct out_value {
    uint8_t state;      /* enum lazy */
    struct value value; /* with the ref to itself */
    const struct value_refs *made_from;
    uint32_t first, n; /* of the graph's outputs */
};

struct instance {
    struct step_def *step;
    uint32_t number;                     /* in eval.instances; what refs name */
    uint32_t graph;                      /* in the graph */
    uint32_t first_output, output_count; /* of the graph's outputs */
    uint32_t known;                      /* how many variables have a value */
    bool waits;                          /* the next variable's folder is not listed yet */
    struct str waits_for;                /* that folder, perhaps of another step's waiting */
    uint32_t waits_on;                   /* instance that makes it */
    struct value *variables;
    struct str *labels; /* as they stand in the name */
    struct out_value *outs;
    /* While its step is evaluated: */
    struct value *own;
    uint8_t *own_state;
    struct value *args;
    uint8_t *arg_state;
};

/* A parameter or a key of a parameter file, for GRAPH_NAMED_INFO. */
struct key_value {
    struct str name;
    struct value value;
    struct span span;
};

struct glob_result {
    struct str pattern;
    struct str *paths; /* as on disk */
    uint32_t count;
    bool bad;   /* and told */
    bool early; /* asked for before all outputs were known */
    struct span span;
};

struct library_file {
    const struct ast_file *file; /* NULL: not to be read, and told */
    uint32_t source;
};

/* Parsed files, kept from round to round. */
struct library {
    struct table paths;
    VEC(struct library_file) files;
    struct table trees;
    VEC(const struct json *) tree_values;
    bool mended; /* a file had mistakes in spite of which it is evaluated, to tell others */
};

struct default_at {
    const struct ast_statement *at;
    struct unit *unit;
};

struct alias {
    struct str name;
    struct def *def;
};

struct early_read {
    struct str path;
    struct span span;
};

struct eval {
    const struct eval_options *o;
    struct arena *arena;      /* of this evaluation */
    struct arena *step_arena; /* of the step under way: arena while outs are evaluated */
    struct diags *d;
    struct library *library;
    struct graph_draft g;
    struct origins *origins;
    struct table environment; /* names; values in environment_values */
    VEC(struct str) environment_values;

    struct table unit_paths;
    VEC(struct unit *) units;
    VEC(struct def *) params, lets, trees, probes, groups, executors, pools;
    VEC(struct step_def *) steps;
    VEC(struct instance *) instances;
    struct table keys;
    VEC(struct key_value) key_values;
    VEC(struct default_at) defaults;
    const struct ast_statement *cache, *remote;
    struct unit *cache_unit, *remote_unit;
    VEC(struct alias) aliases; /* second names of included steps */

    struct table paths;                     /* of g.files */
    uint32_t dir_outputs;                   /* how many outputs are folders */
    struct table excluded;                  /* outputs of the round before */
    struct table excluded_parents, parents; /* folders above those, and above the outputs */
    bool outs_known;
    bool outs_good; /* and no step's are missing for a mistake */
    bool broken; /* nothing more can be evaluated */
    struct table globs;
    VEC(struct glob_result) glob_results;
    VEC(struct early_read) early_reads;

    VEC(uint32_t) edge_stamps, file_stamps, key_stamps; /* 1 + the instance that took it last */

    uint32_t depth;
    bool pending; /* the failure under way is no error: a listing is awaited */
    struct str pending_dir;
    VEC(uint32_t) pending_on; /* instances that are waited for */
    uint32_t *source_map;     /* diags' source number → graph's; GRAPH_NONE */
    uint32_t source_map_count;
};

/* Where an expression stands: what its names mean and where its value goes. */
struct scope {
    struct eval *e;
    struct arena *arena;
    struct instance *instance; /* NULL: at the top of a file */
    struct frame *frame;       /* NULL: not from a template */
    struct unit *unit;
    uint32_t self_own; /* in this definition the name means the outer one; GRAPH_NONE */
    const struct def *self_def;
    bool header;    /* in the step's `for` and `where`: its own names are not seen */
    bool self_args; /* a template parameter's default: parameters are not seen */
};

void names_init(struct space *s, struct arena *a);
struct def *names_find(const struct space *s, enum names_kind kind, struct str name);
/* In the space and those around it, but not skip. */
struct def *scope_find(const struct scope *s, enum names_kind kind, struct str name);
/* false with a diagnostic: the name is taken in this space. */
bool names_add(struct eval *e, struct unit *u, enum names_kind kind, struct str name,
               struct def *def);
enum names_kind names_kind_of(enum def_kind kind);
const char *def_kind_name(enum def_kind kind);

/* The error for a name that nothing defines, with what it may have been. */
void scope_say_unknown(const struct scope *s, struct str name, struct span at);
/* "; did you mean 'x'?" candidates of one table, as a help line; otherwise nothing. */
void scope_help_nearest(struct eval *e, struct diag *x, const struct table *names, struct str name);

struct scope scope_of_unit(struct eval *e, struct unit *u);
struct gspan scope_gspan(const struct eval *e, struct span at);
