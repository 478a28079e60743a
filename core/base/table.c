/* SPDX-License-Identifier: MIT */
/* An interner over open addressing with linear probing. Invariant: at most two of three slots are
 * taken, so that every probe ends; slots that were outgrown stay in the arena until it dies. */
#include "core/base/table.h"

#include "core/base/arena.h"

#include <assert.h>
#include <string.h>

enum { TABLE_SLOTS_FIRST = 16 };

void table_init(struct table *t, struct arena *a)
{
    *t = (struct table){.arena = a};
}

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t *table_slot(const struct table *t, struct str key)
{
    uint32_t mask = t->slots_cap - 1;
    uint32_t i = (uint32_t)str_hash(key) & mask;
    while (t->slots[i] && !str_eq(t->keys[t->slots[i] - 1], key)) {
        i = (i + 1) & mask;
    }
    return &t->slots[i];
}

static void table_grow_slots(struct table *t)
{
    assert(t->slots_cap <= UINT32_C(1) << 30);
    t->slots_cap = t->slots_cap ? t->slots_cap * 2 : TABLE_SLOTS_FIRST;
    t->slots = ARENA_ARRAY(t->arena, uint32_t, t->slots_cap);
    for (uint32_t i = 0; i < t->count; i++) {
        *table_slot(t, t->keys[i]) = i + 1;
    }
}

uint32_t table_add(struct table *t, struct str key, bool *is_new)
{
    uint32_t known = table_find(t, key);
    if (is_new) {
        *is_new = known == TABLE_NONE;
    }
    if (known != TABLE_NONE) {
        return known;
    }
    if ((uint64_t)(t->count + 1) * 3 > (uint64_t)t->slots_cap * 2) {
        table_grow_slots(t);
    }
    if (t->count == t->keys_cap) {
        t->keys = arena_grow(t->arena, t->keys, &t->keys_cap, sizeof *t->keys);
    }
    uint32_t *slot = table_slot(t, key);
    t->keys[t->count] = str_copy(t->arena, key);
    *slot = ++t->count;
    return t->count - 1;
}

uint32_t table_find(const struct table *t, struct str key)
{
    if (!t->count) {
        return TABLE_NONE;
    }
    uint32_t number = *table_slot(t, key);
    return number ? number - 1 : TABLE_NONE;
}

struct str table_nearest(const struct table *t, struct str key)
{
    struct str nearest = STR_NONE;
    size_t limit = key.n < 2 ? 0 : (key.n + 2) / 3; /* one letter resembles every other */
    limit = limit > 3 ? 3 : limit;
    for (uint32_t i = 0; i < t->count && limit; i++) {
        size_t distance = str_distance(key, t->keys[i], limit);
        if (distance <= limit) {
            nearest = t->keys[i];
            limit = distance ? distance - 1 : 0;
        }
    }
    return nearest;
}
