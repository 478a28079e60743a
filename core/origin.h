/* SPDX-License-Identifier: MIT */
/* What evaluation looked at outside of the Pipelinefile's text, each once, so that a later run can tell
 * whether it would see the same. */
#pragma once

#include "core/base/table.h"
#include "core/eval.h"

struct origins {
    struct arena *arena;
    struct table seen;            /* kind and name */
    VEC(struct graph_origin) all; /* name.at is a number of names */
    VEC(struct str) names;
};

void origins_init(struct origins *o, struct arena *a);
/* sig was taken at looked_ns, before the text was read. */
void origins_add_file(struct origins *o, struct str path, const struct file_sig *sig,
                      int64_t looked_ns, struct str text);
void origins_add_absent(struct origins *o, struct str path);
void origins_add_env(struct origins *o, struct str name, bool set, struct str value);
void origins_add_glob(struct origins *o, struct str pattern, const struct str *paths,
                      uint32_t count);
void origins_add_options(struct origins *o, const struct eval_options *options);
void origins_add_listing(struct origins *o, const struct eval_listing *l);
/* Folders above outputs come and go with them: a pattern does not see one that holds nothing else. */
void origins_add_parents(struct table *parents, struct str output);
struct made_by {
    bool (*is_made)(void *context, struct str path);
    void *context;
};
bool origins_holds_only_made(int root, struct str dir, const struct made_by *by);
/* Moves them into the draft. */
void origins_put(const struct origins *o, struct graph_draft *g);
