/* SPDX-License-Identifier: MIT */
/* The text of an instance's name: "train[depth=5,tag=\"a b\"]", taken apart and put together. The same
 * rules for what eval writes and what a person gives as a target. */
#pragma once

#include "core/base/arena.h"
#include "core/base/str.h"

struct graph_key {
    struct str name, value;
};
struct graph_keys {
    struct graph_key *at;
    uint32_t n;
    bool all; /* [*] */
};

/* Splits "base[keys]"; false: a bracket that is not well formed. Without one, *has_keys is false. */
bool graph_name_parse(struct arena *a, struct str text, struct str *base, struct graph_keys *keys,
                      bool *has_keys);
/* Equal as texts, or as numbers. */
bool graph_name_value_eq(struct str x, struct str y);
/* A value as it stands in a name: quoted if it holds , ] = a quote or a blank, or is empty. */
void graph_name_put_value(struct buf *b, struct str value);
