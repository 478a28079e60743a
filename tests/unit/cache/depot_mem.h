/* SPDX-License-Identifier: MIT */
/* A depot in memory whose clock and misfortunes the test controls. Several clients share one place, each through
 * a handle of its own; a handle can die, stall, lose answers, and be given garbled or short bytes. */
#pragma once

#include "cache/manifest.h"

struct mem_entry {
    char *key;
    char *bytes;
    size_t n;
    int64_t stored_ms;
};

struct mem_late { /* a drop that will arrive later */
    char *key;
    int64_t at_ms;
};

struct mem_place {
    struct mem_entry *entries; /* sorted by key */
    uint32_t count, cap;
    int64_t now_ms; /* the depot's clock; everybody's sleep counts on it too */
    struct mem_late *late;
    uint32_t late_count, late_cap;
    uint64_t ops;
};

enum mem_op { MEM_GET, MEM_PUT, MEM_LIST, MEM_DROP };

struct mem_handle {
    struct depot depot;
    struct mem_place *place;
    /* Is asked before each operation: may let time pass, run other clients, kill this one. */
    void (*before)(void *context, struct mem_handle *h, enum mem_op op, struct str key);
    void *context;
    bool dead;             /* nothing reaches the place any more */
    int64_t skew_ms;       /* of this machine's own clock */
    int64_t refuse_put_ms; /* a put that took longer is refused (0: never) */
    uint64_t seed;
    /* The next operation of this kind, counted down to 0: */
    int fail_put, lose_put, fail_get, cut_get, garble_get, fail_list, fail_drop, late_drop;
    int64_t late_ms; /* how much later a late drop arrives */
};

void mem_place_init(struct mem_place *p, int64_t now_ms);
void mem_place_free(struct mem_place *p);
void mem_handle_init(struct mem_handle *h, struct mem_place *p);
/* Time as this handle's client sees it. */
struct manifest_world mem_world(struct mem_handle *h);
uint64_t mem_random(uint64_t *seed);

struct mem_entry *mem_find(struct mem_place *p, struct str key); /* or NULL */
void mem_put(struct mem_place *p, struct str key, struct str bytes);
void mem_remove(struct mem_place *p, struct str key);
uint32_t mem_count(const struct mem_place *p, struct str prefix);
/* Lets time pass, and what is late arrive. */
void mem_pass(struct mem_place *p, int64_t ms);
