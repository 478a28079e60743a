/* SPDX-License-Identifier: MIT */
/* The rooms of evaluation, which call each other: definitions are evaluated when they are first needed. For
 * eval*.c alone. Functions that return bool give false with a diagnostic, or with eval.pending set. */
#pragma once

#include "core/scope.h"

/* eval_load.c: reads files, gathers what they define. */
bool load_all(struct eval *e);
struct library_want {
    struct str path;
    struct span at; /* who asks for it */
    size_t limit;
};
/* A file that the graph comes from, remembered as one of its origins, and as a source of diagnostics. */
bool library_read(struct eval *e, const struct library_want *w, struct str *text, uint32_t *source);

/* eval_param.c: values of the top of a file. */
bool param_check_options(struct eval *e);
bool def_value(struct eval *e, struct def *def, struct value *out);
bool def_tree(struct eval *e, struct def *def);
uint32_t key_number(struct eval *e, struct str name, const struct value *v, struct span at);

/* eval_expr.c */
bool expr_eval(const struct scope *s, const struct ast_expr *e, struct value *out);
/* The parts of a string with their values, for shell texts and argv. */
bool expr_parts(const struct scope *s, const struct ast_string *string, struct value_parts *out);
struct value_work expr_work(const struct scope *s, struct function_host *host);
/* A value that is known now and of that kind. what: "'timeout'". */
bool expr_need(const struct scope *s, const struct ast_expr *e, enum value_kind kind,
               struct str what, struct value *out);
/* Fails with a diagnostic if v is late. */
bool expr_is_known(const struct scope *s, const struct value *v, struct span at, const char *where);
void expr_say(const struct scope *s, const char *code, struct span at, const char *message);

/* eval_ref.c: names, members and selections. */
enum target_kind {
    TARGET_NONE,
    TARGET_STEPS,
    TARGET_SPACE,
    TARGET_GROUP,
    TARGET_TREE,
    TARGET_VALUE
};
struct target {
    enum target_kind kind;
    struct step_def *step;     /* STEPS */
    const uint32_t *instances; /* STEPS: numbers */
    uint32_t count;
    bool selected;                    /* by [ ] */
    bool single;                      /* one instance is meant, not a list of one */
    const struct value_refs *folders; /* STEPS: what asking for a list of them waits for */
    struct ast_name output;           /* STEPS: step.output; may be empty */
    struct def *def;                  /* SPACE, GROUP, TREE, VALUE */
    const struct json *tree;          /* TREE */
    struct str key;                   /* TREE: "params.train" */
    struct span span;
};
/* What the expression names, if it is no value: kind TARGET_NONE otherwise. false: an error. */
bool ref_resolve(const struct scope *s, const struct ast_expr *e, struct target *out);
bool ref_eval(const struct scope *s, const struct ast_expr *e, struct value *out);
bool ref_name_eval(const struct scope *s, const struct ast_name *name, struct value *out);
/* All instances that a target means, groups and includes too. what: "'after'". */
struct number_list {
    uint32_t *at;
    uint32_t n, cap;
};
bool ref_instances(const struct scope *s, const struct ast_expr *e, const char *what,
                   struct number_list *out);
bool ref_target_instances(const struct scope *s, const struct target *t, struct number_list *out);

/* eval_item.c: a step's items laid flat, and its own values. */
bool item_flatten(struct eval *e, struct step_def *step);
bool own_value(const struct scope *s, uint32_t own, struct value *out);
bool arg_value(const struct scope *s, uint32_t arg, struct value *out);
struct scope item_scope(struct eval *e, struct instance *i, const struct flat_item *flat);
/* The last layer's item of that kind; NULL: none. */
const struct flat_item *item_single(const struct step_def *step, enum ast_item_kind kind);
/* Nothing is wrong, but this waits for a folder's listing: sets eval.pending. Always false. */
bool pending_hit(struct eval *e, const struct instance *i);
/* Outputs of an instance as others see them. */
bool out_value(struct eval *e, struct instance *i, uint32_t out, struct value *v);
/* A path in normal form, as a value; s3:// URIs keep theirs. false: not a path. */
bool path_value(const struct scope *s, const struct value *from, struct span at, struct value *out);

/* eval_for.c: instances. */
bool step_expand(struct eval *e, struct step_def *step);
/* keys: one value for each variable, or NULL where it is not given. */
bool step_select(struct eval *e, struct step_def *step, const struct value *const *keys,
                 const uint32_t **out, uint32_t *count);
/* Refs to the folders that the instances came from (keys: as above, or NULL for all). */
const struct value_refs *step_folders(const struct scope *s, const struct step_def *step,
                                      const struct value *const *keys);
struct str instance_name(struct eval *e, const struct instance *i);

/* eval_out.c: which path is made by whom. */
bool outs_evaluate(
    struct eval *e); /* false: not all outputs are known, for a mistake that was told */
uint32_t file_number(struct eval *e, struct str path, uint32_t flags);
/* The step's number in the graph that makes the path or the folder it lies in; *inside: that folder's file. */
uint32_t path_producer(struct eval *e, struct str path, uint32_t *inside);
/* False with a diagnostic: a step must not make that. what: output, depfile, checkpoint. */
bool output_is_allowed(struct eval *e, const char *what, const struct value *v, struct span at);
bool glob_eval(const struct scope *s, struct str pattern, struct span at, struct value *out);
/* False if patterns that were asked for early would give something else now that the outputs are known. */
bool globs_hold(struct eval *e);
void globs_check(struct eval *e);
void globs_put_origins(struct eval *e);

/* eval_block.c: cache, resources, executors, remote. */
/* made_from gets the refs of what the keys' values used. */
bool block_cache(struct eval *e, struct instance *i, struct graph_step *out,
                 struct value *made_from);
bool block_resources(struct eval *e, struct instance *i, struct graph_step *out,
                     struct value *made_from);
bool block_executor(struct eval *e, struct def *def);
bool block_remote(struct eval *e);
bool block_pool(struct eval *e, struct def *def);
bool block_check_cache(struct eval *e);

/* eval_command.c: run, make, fail and probes. */
bool command_emit(struct eval *e, struct instance *i, struct str cwd, struct graph_step *out,
                  struct value *mentioned);
bool command_probe(struct eval *e, struct def *def);
struct gexpr command_put(struct eval *e, const struct value *v);
/* As an encoded value though it is known: what is untracked in it is remembered. */
struct gexpr command_put_encoded(struct eval *e, const struct value *v);

/* eval_step.c: one instance becomes a step of the graph. */
void step_emit(struct eval *e, struct instance *i);
