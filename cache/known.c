/* SPDX-License-Identifier: MIT */
/* A hash map with linear probing; at most half of its slots are taken. Items of packs that are gone stay as
 * they are, and are not found. */
#include "cache/known.h"

#include <assert.h>
#include <string.h>

enum { KNOWN_FIRST = 1024 };

void known_init(struct known *k)
{
    *k = (struct known){0};
}

void known_free(struct known *k)
{
    mem_free(k->items);
    mem_free(k->packs);
    *k = (struct known){0};
}

/* Digests are as good as any hash of them. */
static struct known_item *known_slot(const struct known *k, uint8_t kind,
                                     const struct digest *digest)
{
    uint32_t i;
    memcpy(&i, digest->b, sizeof i);
    for (i &= k->cap - 1;; i = (i + 1) & (k->cap - 1)) {
        struct known_item *item = &k->items[i];
        if (item->kind == REF_NONE || (item->kind == kind && digest_eq(&item->digest, digest))) {
            return item;
        }
    }
}

static void known_grow(struct known *k)
{
    struct known old = *k;
    k->cap = old.cap ? old.cap * 2 : KNOWN_FIRST;
    k->items = mem_alloc(k->cap * sizeof *k->items);
    for (uint32_t i = 0; i < old.cap; i++) {
        if (old.items[i].kind != REF_NONE) {
            *known_slot(k, old.items[i].kind, &old.items[i].digest) = old.items[i];
        }
    }
    mem_free(old.items);
}

static uint32_t known_pack_index(struct known *k, const struct pack_id *id)
{
    for (uint32_t i = k->pack_count; i > 0; i--) { /* mostly the last one */
        if (pack_id_eq(&k->packs[i - 1].id, id)) {
            return i - 1;
        }
    }
    if (k->pack_count == k->pack_cap) {
        k->pack_cap = k->pack_cap ? k->pack_cap * 2 : 16;
        k->packs = mem_resize(k->packs, k->pack_cap * sizeof *k->packs);
    }
    k->packs[k->pack_count] = (struct known_pack){.id = *id};
    return k->pack_count++;
}

/* Better to store something twice than to grow without end. Packs that are gone are remembered. */
static void known_forget_items(struct known *k)
{
    memset(k->items, 0, k->cap * sizeof *k->items);
    k->count = 0;
    for (uint32_t i = 0; i < k->pack_count; i++) {
        k->packs[i].learned = false;
    }
}

void known_add(struct known *k, const struct ref *ref, const struct pack_run *at)
{
    assert(ref->kind != REF_NONE && ref->kind != REF_LINK);
    uint32_t pack = known_pack_index(k, &at->pack);
    if (k->packs[pack].gone) {
        return;
    }
    if (k->count >= KNOWN_LIMIT) {
        known_forget_items(k);
    }
    if ((k->count + 1) * 2 > k->cap) {
        known_grow(k);
    }
    struct known_item *item = known_slot(k, ref->kind, &ref->digest);
    k->count += item->kind == REF_NONE;
    *item = (struct known_item){ref->digest, at->offset, at->length, pack, ref->kind, !at->count};
}

bool known_find(const struct known *k, const struct ref *ref, struct pack_run *at)
{
    if (!k->count) {
        return false;
    }
    const struct known_item *item = known_slot(k, ref->kind, &ref->digest);
    if (item->kind == REF_NONE || k->packs[item->pack].gone) {
        return false;
    }
    *at = (struct pack_run){k->packs[item->pack].id, item->offset, item->length, !item->plain};
    return true;
}

void known_forget_pack(struct known *k, const struct pack_id *pack)
{
    uint32_t i = known_pack_index(k, pack); /* may move packs */
    k->packs[i].gone = true;
}

bool known_is_gone(const struct known *k, const struct pack_id *pack)
{
    for (uint32_t i = k->pack_count; i > 0; i--) {
        if (pack_id_eq(&k->packs[i - 1].id, pack)) {
            return k->packs[i - 1].gone;
        }
    }
    return false;
}

bool known_learn(struct known *k, const struct pack_id *pack)
{
    uint32_t i = known_pack_index(k, pack); /* may move packs */
    struct known_pack *known = &k->packs[i];
    bool news = !known->gone && !known->learned;
    known->learned = true;
    return news;
}
