/* SPDX-License-Identifier: MIT */
/* An interner over open addressing with linear probing; the hash is SipHash-1-3 under a key of this process's own. Invariant: at most two of three slots are
 * taken, so that every probe ends; slots that were outgrown stay in the arena until it dies. */
#include "core/base/table.h"

#include "core/base/arena.h"

#include <assert.h>
#include <string.h>
#include <sys/auxv.h>

enum { TABLE_SLOTS_FIRST = 16 };

/* ---- the hash ---- */

struct sip {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

/* The kernel gives each process 16 bytes of chance: no system call, and nothing of ours that changes. */
static struct sip sip_begin(void)
{
    uint64_t key[2] = {0, 0};
    const void *chance =
        (const void *)(uintptr_t)getauxval(AT_RANDOM); /* NOLINT(performance-no-int-to-ptr) */
    if (chance) {
        memcpy(key, chance, sizeof key);
    }
    return (struct sip){
        key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
}

uint64_t table_hash(struct str key)
{
    struct sip s = sip_begin();
    for (size_t i = 0; i <= key.n; i += 8) {
        size_t left = key.n - i;
        uint64_t word = left < 8 ? (uint64_t)key.n << 56 : 0;
        if (left > 0) {
            memcpy(&word, key.s + i, left < 8 ? left : 8);
        }
        s.v3 ^= word;
        sip_round(&s);
        s.v0 ^= word;
    }
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++) {
        sip_round(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* ---- the table ---- */

void table_init(struct table *t, struct arena *a)
{
    *t = (struct table){.arena = a};
}

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t *table_slot(const struct table *t, struct str key, uint64_t hash)
{
    uint32_t mask = t->slots_cap - 1;
    uint32_t i = (uint32_t)hash & mask;
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
        *table_slot(t, t->keys[i], table_hash(t->keys[i])) = i + 1;
    }
}

uint32_t table_add(struct table *t, struct str key, bool *is_new)
{
    uint64_t hash = table_hash(key);
    uint32_t known = t->count ? *table_slot(t, key, hash) - 1 : TABLE_NONE; /* a free slot: 0 - 1 */
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
    uint32_t *slot = table_slot(t, key, hash);
    t->keys[t->count] = str_copy(t->arena, key);
    *slot = ++t->count;
    return t->count - 1;
}

uint32_t table_find(const struct table *t, struct str key)
{
    if (!t->count) {
        return TABLE_NONE;
    }
    return *table_slot(t, key, table_hash(key)) - 1; /* a free slot: 0 - 1 */
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
