/* SPDX-License-Identifier: MIT */
/* One step on its way into the graph. For eval_step.c, which begins and ends it, and eval_named.c, which
 * adds what has names. */
#pragma once

#include "core/eval_parts.h"

/* One step under way. */
struct emit {
    struct eval *e;
    struct instance *i;
    struct graph_step out;
    struct str cwd;
    VEC(struct graph_edge) edges; /* by instance number */
    VEC(struct graph_input) inputs;
    VEC(struct value_ref) copies; /* of inputs in S3, as the command knows them */
    VEC(uint32_t) keys; /* parameters and keys that anything here was made from */
    VEC(uint32_t) probes;
    bool failed;
    bool waits;
};

/* How a ref is taken: by `in`, `when` and the like; by run and env; by metric. */
enum taking { TAKE_NEED, TAKE_MENTION, TAKE_METRIC };

/* A failure is a mistake, or the step waits for a folder's listing. */
void emit_settle(struct emit *m, bool good);
/* Edges, inputs and parameters that a value was made from. */
void emit_refs(struct emit *m, const struct value *v, enum taking how, struct span at);
void emit_edge(struct emit *m, uint32_t instance, enum graph_edge_kind kind);

void emit_probe(struct emit *m, uint32_t number);

void emit_variables(struct emit *m);
void emit_env(struct emit *m);
void emit_metrics(struct emit *m);
void emit_texts(struct emit *m);   /* secrets, tools */
void emit_numbers(struct emit *m); /* probes, depfiles, checkpoint */
void emit_after(struct emit *m);
/* After everything else was evaluated: parameters that were used without being declared are added as INFO. */
void emit_params(struct emit *m);
