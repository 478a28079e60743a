/* SPDX-License-Identifier: MIT */
/* Two clients on one place in memory with a clock of its own, for tests of collecting and merging. */
#pragma once

#include "cache/compact.h"
#include "cache/fetch.h"
#include "cache/gc.h"
#include "cache/group.h"
#include "tests/unit/cache/depot_mem.c"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

struct client {
    struct mem_handle handle;
    struct manifest manifest;
    struct store store;
    struct group group;
};

struct scene {
    struct mem_place place;
    struct client one, two;
    int64_t older_ms; /* results are made as if so long ago */
    struct arena arena;
    struct diags notes;
};

static inline void client_begin(struct client *c, struct mem_place *place)
{
    struct store_finder none = {NULL, NULL};
    memset(c, 0, sizeof *c);
    mem_handle_init(&c->handle, place);
    c->handle.seed = (uint64_t)(uintptr_t)c;
    manifest_init(&c->manifest, &c->handle.depot, false, mem_world(&c->handle));
    store_init(&c->store, &c->handle.depot, -1, none);
}

static inline void client_end(struct client *c)
{
    group_free(&c->group);
    store_free(&c->store);
    manifest_free(&c->manifest);
}

static inline int begin(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    mem_place_init(&s->place, INT64_C(1700000000000));
    diags_init(&s->notes, &s->arena);
    client_begin(&s->one, &s->place);
    client_begin(&s->two, &s->place);
    *state = s;
    return 0;
}

static inline int end(void **state)
{
    struct scene *s = *state;
    client_end(&s->one);
    client_end(&s->two);
    mem_place_free(&s->place);
    arena_free(&s->arena);
    free(s);
    return 0;
}

static inline struct str noise(struct scene *s, const char *name, size_t n)
{
    uint64_t seed = str_hash(str_from(name));
    char *bytes = arena_alloc(&s->arena, n, 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)mem_random(&seed);
    }
    return (struct str){bytes, n};
}

static inline void add_row(struct scene *s, struct client *c, const char *name,
                           const struct ref *ref, struct pack_place *place)
{
    struct record_output output = {STR("out"), 0644, *ref, ref->digest};
    struct record r = {.fingerprint = digest_of(name, strlen(name)),
                       .success_ms = s->place.now_ms - s->older_ms,
                       .duration_ms = 1000,
                       .outputs = &output,
                       .output_count = 1};
    struct buf row;
    buf_init(&row, RECORD_BYTES_LIMIT);
    assert_true(record_put(&row, &r));
    group_add(&c->group, buf_str(&row), place, 1);
    buf_free(&row);
}

/* A result with bytes of its own, in the pack under construction. */
static inline void add(struct scene *s, struct client *c, const char *name, size_t n)
{
    group_begin(&c->group, &c->manifest);
    struct str bytes = noise(s, name, n);
    struct ref ref = {REF_BLOB, n, digest_of(bytes.s, n)};
    struct pack_place *place = ARENA_NEW(&c->group.arena, struct pack_place);
    place->root = ref;
    place->runs = ARENA_NEW(&c->group.arena, struct pack_run);
    place->run_count = 1;
    assert_true(pack_add(&c->store.writer, &ref, bytes, place->runs, &s->notes));
    add_row(s, c, name, &ref, place);
}

/* A result whose bytes another one has stored, at the first place that the view knows. */
static inline void add_same(struct scene *s, struct client *c, const char *name, const char *as,
                            size_t n)
{
    group_begin(&c->group, &c->manifest);
    struct str bytes = noise(s, as, n);
    struct ref ref = {REF_BLOB, n, digest_of(bytes.s, n)};
    struct pack_place *places;
    assert_true(view_find_places(&c->manifest.view, &ref, VIEW_PLACES_ALL, &c->group.arena, &places)
                > 0);
    add_row(s, c, name, &ref, places);
}

static inline bool publish(struct scene *s, struct client *c)
{
    return group_publish(&c->group, &c->manifest, &c->store,
                         &(struct group_author){STR("me"), NULL}, &s->notes);
}

static inline void put_result(struct scene *s, struct client *c, const char *name, size_t n)
{
    add(s, c, name, n);
    assert_true(publish(s, c));
}

static inline struct cache_gc_report collect(struct scene *s, struct client *c,
                                             struct cache_gc_options o)
{
    struct cache_gc_report report;
    assert_true(gc_run(&c->manifest, &o, &report, &s->notes));
    return report;
}

/* Whether a client that comes fresh can read the bytes by a place. */
static inline bool readable(struct scene *s, const char *as, size_t n)
{
    struct client c;
    client_begin(&c, &s->place);
    assert_true(manifest_sync(&c.manifest, true, &s->notes));
    struct str bytes = noise(s, as, n);
    struct ref ref = {REF_BLOB, n, digest_of(bytes.s, n)};
    struct cache_places places = {0};
    struct fetch fetch = {&c.handle.depot, -1, NULL, false, NULL};
    places.count = view_find_places(&c.manifest.view, &ref, VIEW_PLACES_ALL, &s->arena, &places.at);
    struct buf b;
    buf_init(&b, 1 << 20);
    bool ok = places.count > 0 && fetch_read(&fetch, &places, &ref, &b, &s->notes)
              && str_eq(buf_str(&b), bytes);
    buf_free(&b);
    client_end(&c);
    return ok;
}

static inline bool has_record(struct scene *s, const char *name)
{
    struct client c;
    struct str *rows;
    client_begin(&c, &s->place);
    assert_true(manifest_sync(&c.manifest, true, &s->notes));
    struct digest fp = digest_of(name, strlen(name));
    bool found = view_find_rows(&c.manifest.view, &fp, &s->arena, &rows) > 0;
    client_end(&c);
    return found;
}

static inline bool merge(struct scene *s, struct client *c, bool all)
{
    struct manifest *m = &c->manifest;
    return manifest_sync(m, true, &s->notes)
           && compact_held(m, all ? COMPACT_ALL : COMPACT_SMALL_ONES, &s->notes);
}
