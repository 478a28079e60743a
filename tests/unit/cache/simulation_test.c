/* SPDX-License-Identifier: MIT */
/* Several clients on one place with clocks, stalls, lost answers and deaths under control: whatever the schedule,
 * what a writer was told is published stays readable while the policy keeps it, and nothing wrong is accepted.
 * Arguments: how many seeds (default 20), the first one. */
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

enum { CLIENTS = 5, COMMON = 20, CONTENTS = 150, DEPTH = 2, ACTIONS = 60, ACKED_LIMIT = 4096 };
static int seeds = 20;
static uint64_t first_seed = 1;

struct client {
    struct mem_handle handle;
    struct manifest manifest;
    struct store store;
    struct group group;
    bool busy, alive;
    int kill_after; /* operations; -1: never */
};

struct acked {
    struct digest fingerprint;
    int64_t success_ms;
    int content;
};

struct world {
    uint64_t name, seed;
    struct mem_place place;
    struct client clients[CLIENTS];
    struct acked acked[ACKED_LIMIT];
    uint32_t acked_count;
    int depth;
    bool folder;
    int64_t keep_ms;
    uint64_t hits, misses, collections, dropped, merges;
    struct arena arena;
    struct diags notes;
};

static uint64_t roll(struct world *w, uint64_t n)
{
    return mem_random(&w->seed) % n;
}

/* Content number n: 1 to 3 KiB that do not compress. */
static struct str content(int n, char out[4096])
{
    uint64_t seed = (uint64_t)n + 77;
    size_t size = 1024 + (size_t)n * 16;
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)mem_random(&seed);
    }
    return (struct str){out, size};
}

static struct ref content_ref(int n)
{
    char bytes[4096];
    struct str x = content(n, bytes);
    return (struct ref){REF_BLOB, x.n, digest_of(x.s, x.n)};
}

/* ---- clients ---- */

static void act(struct world *w, struct client *c);

static void client_begin(struct world *w, struct client *c);

static void client_end(struct client *c)
{
    group_free(&c->group);
    store_free(&c->store);
    manifest_free(&c->manifest);
}

/* Before each operation: time goes by, others get their turn, death comes. */
static void before(void *context, struct mem_handle *h, enum mem_op op, struct str key)
{
    struct world *w = context;
    struct client *c = (struct client *)(void *)h;
    (void)key;
    (void)op;
    int64_t pass = (int64_t)roll(w, 2000);
    if (roll(w, 60) == 0) {
        pass = (int64_t)roll(w, 19 * (uint64_t)MINUTE_MS);
    } else if (roll(w, 400) == 0) {
        pass = (int64_t)roll(w, 30 * (uint64_t)HOUR_MS);
    }
    if (op == MEM_DROP && w->folder && pass > MINUTE_MS) {
        pass = MINUTE_MS; /* a folder cannot refuse a late unlink: beyond the bounds */
    }
    mem_pass(&w->place, pass);
    if (w->depth < DEPTH && roll(w, 12) == 0) {
        struct client *other = &w->clients[roll(w, CLIENTS)];
        if (!other->busy) {
            act(w, other);
        }
    }
    if (c->kill_after > 0 && --c->kill_after == 0) {
        c->handle.dead = true;
    }
}

static void client_begin(struct world *w, struct client *c)
{
    struct store_finder none = {NULL, NULL};
    memset(c, 0, sizeof *c);
    mem_handle_init(&c->handle, &w->place);
    c->handle.before = before;
    c->handle.context = w;
    c->handle.seed = mem_random(&w->seed);
    c->handle.skew_ms = roll(w, 3) ? 0 : (int64_t)roll(w, 4 * DAY_MS) - 2 * DAY_MS;
    c->handle.refuse_put_ms = w->folder ? 0 : 20 * MINUTE_MS;
    c->kill_after = -1;
    c->alive = true;
    manifest_init(&c->manifest, &c->handle.depot, w->folder, mem_world(&c->handle));
    c->manifest.keep_ms = w->keep_ms;
    store_init(&c->store, &c->handle.depot, -1, none);
}

static void misfortune(struct world *w, struct client *c)
{
    struct mem_handle *h = &c->handle;
    if (roll(w, 5) == 0) {
        int *const KINDS[] = {&h->fail_put,   &h->lose_put,  &h->fail_get,  &h->cut_get,
                              &h->garble_get, &h->fail_list, &h->fail_drop, &h->late_drop};
        *KINDS[roll(w, 8)] = 1 + (int)roll(w, 4);
        h->late_ms = (int64_t)roll(w, 40 * (uint64_t)HOUR_MS);
    }
    if (roll(w, 12) == 0) {
        c->kill_after = 1 + (int)roll(w, 25);
    }
}

/* ---- actions ---- */

static bool find_place(struct client *c, const struct ref *ref, struct arena *a,
                       struct pack_place *out)
{
    struct pack_place *places;
    uint32_t count = view_find_places(&c->manifest.view, ref, VIEW_PLACES_ALL, a, &places);
    for (uint32_t i = 0; i < count; i++) {
        if (!view_place_is_condemned(&c->manifest.view, &places[i])) {
            *out = places[i];
            return true;
        }
    }
    return false;
}

/* One result of one output. */
static bool add_result(struct world *w, struct client *c, struct acked *acked)
{
    struct pack_place *place = ARENA_NEW(&c->group.arena, struct pack_place);
    struct ref ref = content_ref(acked->content);
    if (!find_place(c, &ref, &c->group.arena, place)) {
        char bytes[4096];
        struct pack_run *run = ARENA_NEW(&c->group.arena, struct pack_run);
        struct str x = content(acked->content, bytes);
        if (!pack_add(&c->store.writer, &ref, x, run, &w->notes)) {
            return false;
        }
        *place = (struct pack_place){ref, run, 1};
    }
    struct record_output output = {STR("out"), 0644, ref, ref.digest};
    struct record r = {.fingerprint = acked->fingerprint,
                       .success_ms = acked->success_ms,
                       .duration_ms = 100,
                       .outputs = &output,
                       .output_count = 1};
    struct buf row;
    buf_init(&row, RECORD_BYTES_LIMIT);
    bool ok = record_put(&row, &r);
    group_add(&c->group, buf_str(&row), place, 1);
    buf_free(&row);
    return ok;
}

static void act_write(struct world *w, struct client *c)
{
    struct acked made[4];
    uint32_t count = 1 + (uint32_t)roll(w, 3);
    group_begin(&c->group, &c->manifest);
    bool ok = true;
    for (uint32_t i = 0; i < count && ok; i++) {
        made[i].content = (int)roll(w, roll(w, 2) ? COMMON : CONTENTS);
        uint64_t name = mem_random(&w->seed);
        made[i].fingerprint = digest_of(&name, sizeof name);
        made[i].success_ms = w->place.now_ms;
        ok = add_result(w, c, &made[i]);
        if (roll(w, 6) == 0) {
            mem_pass(&w->place, (int64_t)roll(w, roll(w, 4) ? 20 * MINUTE_MS : 26 * HOUR_MS));
        }
        for (uint64_t others = roll(w, 3) ? 0 : 1 + roll(w, 4); others > 0; others--) {
            struct client *other = &w->clients[roll(w, CLIENTS)];
            if (!other->busy && w->depth < DEPTH) {
                act(w, other); /* between what was seen and what is said */
            }
        }
    }
    ok = ok
         && group_publish(&c->group, &c->manifest, &c->store,
                          &(struct group_author){STR("sim"), NULL}, &w->notes);
    group_free(&c->group);
    pack_abandon(&c->store.writer);
    for (uint32_t i = 0; i < count && ok && w->acked_count < ACKED_LIMIT; i++) {
        w->acked[w->acked_count++] = made[i];
    }
}

static bool read_content(struct mem_handle *h, const struct pack_place *place, int number,
                         struct world *w)
{
    char bytes[4096];
    struct str expected = content(number, bytes);
    struct cache_places places = {(struct pack_place *)(uintptr_t)place, 1};
    struct fetch fetch = {&h->depot, -1, NULL, false, NULL};
    struct buf b;
    buf_init(&b, 1 << 20);
    bool ok = fetch_read(&fetch, &places, &place->root, &b, &w->notes);
    if (ok) {
        assert_true(str_eq(buf_str(&b), expected)); /* nothing wrong is ever accepted */
    }
    buf_free(&b);
    return ok;
}

static void act_read(struct world *w, struct client *c)
{
    if (manifest_view_age_ms(&c->manifest) > MANIFEST_VIEW_MS
        && !manifest_sync(&c->manifest, false, &w->notes)) {
        return;
    }
    for (int i = 0; i < 3 && w->acked_count; i++) {
        const struct acked *a = &w->acked[roll(w, w->acked_count)];
        struct arena scratch = {0};
        struct str *rows;
        struct pack_place place;
        struct ref ref = content_ref(a->content);
        bool hit = view_find_rows(&c->manifest.view, &a->fingerprint, &scratch, &rows) > 0
                   && find_place(c, &ref, &scratch, &place)
                   && read_content(&c->handle, &place, a->content, w);
        w->hits += hit;
        w->misses += !hit;
        arena_free(&scratch);
    }
}

static void act_collect(struct world *w, struct client *c)
{
    struct cache_gc_options o = {0};
    struct cache_gc_report report;
    if (gc_run(&c->manifest, &o, &report, &w->notes)) {
        w->collections++;
    }
    w->dropped += report.dropped;
}

static void act_compact(struct world *w, struct client *c)
{
    struct manifest *m = &c->manifest;
    struct needed needed;
    struct stock stock;
    if (!manifest_sync(m, true, &w->notes) || !stock_read(&stock, m, &w->notes)) {
        return;
    }
    needed_init(&needed, &m->view, manifest_now_ms(m), m->keep_ms);
    w->merges +=
        compact_run(m, &needed, &stock, roll(w, 2) ? COMPACT_ALL : COMPACT_SMALL_ONES, &w->notes);
    needed_free(&needed);
    stock_free(&stock);
}

static void act(struct world *w, struct client *c)
{
    c->busy = true;
    w->depth++;
    misfortune(w, c);
    switch (roll(w, 10)) {
    case 0:
    case 1:
    case 2:
    case 3: act_write(w, c); break;
    case 4:
    case 5: act_read(w, c); break;
    case 6:
    case 7: act_collect(w, c); break;
    default: act_compact(w, c); break;
    }
    if (c->handle.dead || roll(w, 20) == 0) {
        client_end(c);
        client_begin(w, c);
    }
    w->depth--;
    c->busy = false;
    arena_free(&w->arena);
    diags_init(&w->notes, &w->arena);
}

/* ---- what must hold ---- */

/* A client that comes fresh finds all that was acknowledged and is kept. */
static void check_all_is_there(struct world *w)
{
    struct mem_handle h;
    struct manifest m;
    mem_handle_init(&h, &w->place);
    manifest_init(&m, &h.depot, w->folder, mem_world(&h));
    assert_true(manifest_sync(&m, true, &w->notes));
    for (uint32_t i = 0; i < w->acked_count; i++) {
        const struct acked *a = &w->acked[i];
        if (w->place.now_ms - a->success_ms > w->keep_ms - DAY_MS) {
            continue; /* may be on its way out */
        }
        struct arena scratch = {0};
        struct str *rows;
        struct pack_place *places;
        struct ref ref = content_ref(a->content);
        bool found = view_find_rows(&m.view, &a->fingerprint, &scratch, &rows) > 0;
        bool readable = false;
        uint32_t count = view_find_places(&m.view, &ref, VIEW_PLACES_ALL, &scratch, &places);
        for (uint32_t k = 0; k < count && !readable; k++) {
            readable = read_content(&h, &places[k], a->content, w);
        }
        if (!found || !readable) {
            fail_msg("seed %llu: result %u of content %d is %s", (unsigned long long)w->name, i,
                     a->content, found ? "without its bytes" : "gone");
        }
        arena_free(&scratch);
    }
    manifest_free(&m);
}

static void run_world(uint64_t seed, bool folder, struct world *w)
{
    memset(w, 0, sizeof *w);
    w->name = w->seed = seed;
    w->folder = folder;
    w->keep_ms = seed % 3 ? 2 * DAY_MS : 30 * DAY_MS;
    diags_init(&w->notes, &w->arena);
    mem_place_init(&w->place, INT64_C(1700000000000));
    for (int i = 0; i < CLIENTS; i++) {
        client_begin(w, &w->clients[i]);
    }
    for (int i = 0; i < ACTIONS; i++) {
        act(w, &w->clients[roll(w, CLIENTS)]);
        mem_pass(&w->place, (int64_t)roll(w, roll(w, 3) ? 3 * HOUR_MS : 30 * HOUR_MS));
        check_all_is_there(w);
    }
    for (int i = 0; i < CLIENTS; i++) {
        client_end(&w->clients[i]);
    }
    mem_place_free(&w->place);
    arena_free(&w->arena);
}

static void run_seeds(bool folder)
{
    static struct world w;
    uint64_t hits = 0, misses = 0, dropped = 0, merges = 0, acked = 0;
    for (int i = 0; i < seeds; i++) {
        uint64_t seed = first_seed + (uint64_t)i;
        run_world(seed, folder, &w);
        hits += w.hits;
        misses += w.misses;
        dropped += w.dropped;
        merges += w.merges;
        acked += w.acked_count;
    }
    print_message("%llu results, %llu hits, %llu misses, %llu packs dropped, %llu merges\n",
                  (unsigned long long)acked, (unsigned long long)hits, (unsigned long long)misses,
                  (unsigned long long)dropped, (unsigned long long)merges);
    assert_true(acked > 0 && hits > misses && merges > 0); /* the schedule does what it is for */
    assert_true(dropped > 0);
}

static void bucket_loses_nothing_that_lives(void **state)
{
    (void)state;
    run_seeds(false);
}

static void folder_loses_nothing_that_lives(void **state)
{
    (void)state;
    run_seeds(true);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        seeds = (int)strtol(argv[1], NULL, 10);
    }
    if (argc > 2) {
        first_seed = strtoull(argv[2], NULL, 10);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bucket_loses_nothing_that_lives),
        cmocka_unit_test(folder_loses_nothing_that_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
