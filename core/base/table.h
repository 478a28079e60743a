/* SPDX-License-Identifier: MIT */
/* Strings to dense numbers (an interner), and with a value for each number the one hash map. */
#pragma once

#include "core/base/str.h"

#define TABLE_NONE UINT32_MAX

/* A hash that nobody outside of this process can foresee: it differs from one to the next, so that no bytes from
 * outside can be made to fall into one slot. Never to be written down, nor to order anything by. [any] */
uint64_t table_hash(struct str key);

/* Keys are numbered 0, 1, 2 … in the order they were first added, and never removed. */
struct table {
    struct arena *arena; /* keys are copied here */
    struct str *keys;    /* keys[0 .. count) */
    uint32_t *slots;     /* open addressing: number + 1, 0 is free */
    uint32_t count, keys_cap, slots_cap;
};

void table_init(struct table *t, struct arena *a);
/* The key's number, added if new; *is_new (may be NULL) says which. */
uint32_t table_add(struct table *t, struct str key, bool *is_new);
uint32_t table_find(const struct table *t, struct str key); /* or TABLE_NONE */
/* The key most like a misspelled one, for "did you mean"; STR_NONE if none is near. */
struct str table_nearest(const struct table *t, struct str key);
