/* SPDX-License-Identifier: MIT */
/* The door. Nothing in here is an error of the build: each function that cannot do its work warns once and
 * answers no. Invariant: a hit names places whose packs were there a moment ago. */
#include "cache/cache.h"

#include "cache/depot_dir.h"
#include "cache/fetch.h"
#include "cache/inside.h"
#include "cache/older.h"
#include "cache/stock.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HITS_LIMIT = 1000, HOST_LIMIT = 64 };
#define FUTURE_MS (10 * VIEW_MINUTE_MS)
#define TICK_MS 50 /* two changes nearer than this may share one time stamp */
#define DAY_MS MANIFEST_DAY_MS

/* ---- open and close ---- */

static struct str absolute(struct arena *a, const char *variable, struct str below)
{
    const char *value = getenv(variable); /* NOLINT(concurrency-mt-unsafe) */
    if (!value || value[0] != '/') {
        return STR_NONE;
    }
    return below.n ? path_join(a, str_from(value), below) : str_copy(a, str_from(value));
}

struct str cache_default_dir(struct arena *a)
{
    struct str dir = absolute(a, "PAWL_CACHE_DIR", STR(""));
    if (!dir.n) {
        dir = absolute(a, "XDG_CACHE_HOME", STR("pawl"));
    }
    if (!dir.n) {
        dir = absolute(a, "HOME", STR(".cache/pawl"));
    }
    return dir;
}

static bool find_sound_place(void *context, const struct ref *root, struct arena *a,
                             struct pack_place *out)
{
    struct cache *c = context;
    struct pack_place *places;
    uint32_t count = cache_find_places(c, root, a, &places);
    for (uint32_t i = 0; i < count; i++) {
        if (!view_place_is_condemned(&c->manifest.view, &places[i])) {
            *out = places[i];
            return true;
        }
    }
    return false;
}

static void note_writer(struct cache *c)
{
    char host[HOST_LIMIT + 1] = "";
    if (gethostname(host, HOST_LIMIT) != 0) {
        host[0] = 0;
    }
    c->writer = str_copy(&c->arena, str_from(host));
}

static void take_trust(struct cache *c, const struct cache_options *options)
{
    if (options->trust) {
        trust_copy(&c->arena, options->trust, &c->trust);
    }
    if (options->self) {
        c->self = *options->self;
        c->self.own_path = str_copy(&c->arena, options->self->own_path);
    }
    c->options.trust = NULL;
    c->options.self = NULL;
}

struct cache *cache_open(const struct cache_options *options, struct diags *notes)
{
    struct file_sig sig = file_stat(FILE_CWD, options->dir, true);
    struct depot *depot = NULL;
    if (file_sig_exists(&sig) || !options->read_only) {
        depot = depot_dir_open(options->dir, !options->read_only, notes);
        if (!depot) {
            return NULL;
        }
    }
    struct cache *c = mem_alloc(sizeof *c);
    c->options = *options;
    c->options.dir = str_copy(&c->arena, options->dir);
    take_trust(c, options);
    c->depot = depot;
    c->folder = depot ? depot_dir_fd(depot) : -1;
    c->frames = frame_pool_open();
    table_init(&c->standing, &c->arena);
    table_init(&c->used, &c->arena);
    note_writer(c);
    manifest_init(&c->manifest, depot, true, manifest_world_real());
    c->manifest.dir = c->folder;
    return c;
}

/* Bytes that are not on their way out already. */
static uint64_t standing_bytes(const struct manifest *m, const struct stock *stock)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < stock->packs.n; i++) {
        const struct view_pack *p = view_find_pack(&m->view, &stock->packs.at[i].id);
        bytes += p && p->condemned_ms ? 0 : stock->packs.at[i].size;
    }
    return bytes;
}

/* Merges by chance, and collects where the folder has outgrown its bound. */
static void tidy(struct cache *c, struct diags *notes)
{
    struct stock stock;
    bool ok = cache_compact(c, false, notes);
    if (!ok || !c->options.max_bytes || !stock_read(&stock, &c->manifest, notes)) {
        return;
    }
    bool outgrown = standing_bytes(&c->manifest, &stock) > c->options.max_bytes;
    stock_free(&stock);
    if (outgrown) {
        struct cache_gc_options o = {.max_bytes = c->options.max_bytes};
        struct cache_gc_report report;
        ok = cache_gc(c, &o, &report, notes);
        (void)ok; /* told; the next build tries again */
    }
}

void cache_close(struct cache *c, struct diags *notes)
{
    if (!c) {
        return;
    }
    if (cache_flush(c, true, notes) && c->sequence > 0) {
        tidy(c, notes);
    }
    if (c->store_open) {
        store_free(&c->store);
    }
    group_free(&c->group);
    manifest_free(&c->manifest);
    depot_close(c->depot);
    trust_self_wipe(&c->self);
    frame_pool_close(c->frames);
    arena_free(&c->arena);
    mem_free(c);
}

/* ---- the view ---- */

static bool load(struct cache *c, struct diags *notes)
{
    c->loaded = true;
    c->looked_stamp = depot_dir_stamp_ns(c->depot, STR("m"));
    c->unusable = !manifest_read_format(&c->manifest, false, notes);
    if (c->unusable) {
        return false;
    }
    bool whole = manifest_sync(&c->manifest, true, notes);
    (void)whole; /* told; what could be read is of use */
    return true;
}

void cache_forget_condemned(struct cache *c)
{
    const struct view *v = &c->manifest.view;
    for (uint32_t i = 0; i < v->packs.count && c->store_open; i++) {
        struct pack_id id;
        memcpy(id.b, v->packs.keys[i].s, sizeof id.b);
        if (v->pack_info.at[i].condemned_ms) {
            store_forget(&c->store, &id);
        }
    }
}

bool cache_look(struct cache *c, struct diags *notes)
{
    if (!c->depot || c->unusable) {
        return false;
    }
    if (!c->loaded) {
        return load(c, notes);
    }
    int64_t stamp = depot_dir_stamp_ns(c->depot, STR("m"));
    int64_t age = manifest_view_age_ms(&c->manifest);
    bool unsure = c->manifest.list_began_ms - stamp / 1000000 < TICK_MS;
    if (stamp == c->looked_stamp && !(unsure && age > TICK_MS)) {
        return true;
    }
    c->looked_stamp = stamp;
    if (manifest_sync(&c->manifest, false, notes)) {
        cache_forget_condemned(c);
    }
    return true;
}

void cache_pass_over(struct cache *c, struct str key)
{
    if (c->loaded && !c->unusable) {
        manifest_pass_over(&c->manifest, key);
    }
}

bool cache_has_pack(struct cache *c, const struct pack_run *run)
{
    char key[PACK_KEY];
    bool is_new;
    struct str name = pack_key(&run->pack, run->count == 0, key);
    uint32_t number = table_add(&c->standing, name, &is_new);
    if (is_new) {
        *VEC_PUSH(&c->arena, &c->stands) = faccessat(c->folder, key, F_OK, 0) == 0;
    }
    return c->stands.at[number];
}

uint32_t cache_find_places(struct cache *c, const struct ref *root, struct arena *a,
                           struct pack_place **out)
{
    uint32_t count = view_find_places(&c->manifest.view, root, VIEW_PLACES_ALL, a, out);
    uint32_t standing = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct pack_place p = (*out)[i];
        bool whole = true;
        for (uint32_t k = 0; k < p.run_count && whole; k++) {
            whole = cache_has_pack(c, &p.runs[k]);
        }
        if (whole) {
            (*out)[standing++] = p;
        }
    }
    return standing;
}

/* ---- lookup ---- */

static bool add_places(struct cache *c, struct arena *a, const struct ref *root,
                       struct cache_places *to, uint32_t *cap)
{
    struct pack_place *found;
    uint32_t count = cache_find_places(c, root, a, &found);
    for (uint32_t i = 0; i < count; i++) {
        if (to->count == *cap) {
            to->at = arena_grow(a, to->at, cap, sizeof *to->at);
        }
        to->at[to->count++] = found[i];
    }
    return count > 0;
}

/* Places for each root of the record; NULL: not all of its bytes are here. */
static const struct cache_places *places_of(struct cache *c, struct arena *a,
                                            const struct record *r)
{
    struct cache_places *all = ARENA_NEW(a, struct cache_places);
    uint32_t cap = 0;
    for (uint32_t i = 0; i < r->output_count; i++) {
        if (!add_places(c, a, &r->outputs[i].ref, all, &cap)) {
            return NULL;
        }
    }
    if (r->log.kind != REF_NONE && !add_places(c, a, &r->log, all, &cap)) {
        return NULL;
    }
    return all;
}

bool cache_is_complete(struct cache *c, const struct record *r)
{
    struct arena scratch = {0};
    bool complete = places_of(c, &scratch, r) != NULL;
    arena_free(&scratch);
    return complete;
}

static bool same_inputs(const struct record *x, const struct record *y)
{
    if (x->input_count != y->input_count) {
        return false;
    }
    for (uint32_t i = 0; i < x->input_count; i++) {
        const struct record_input *p = &x->inputs[i];
        const struct record_input *q = &y->inputs[i];
        if (p->kind != q->kind || !str_eq(p->path, q->path)
            || (p->kind != REF_NONE && !digest_eq(&p->digest, &q->digest))) {
            return false;
        }
    }
    return true;
}

static bool is_shadowed(const struct cache_hit *hits, uint32_t count, const struct record *r)
{
    for (uint32_t i = 0; i < count; i++) {
        if (same_inputs(&hits[i].record, r)) {
            return true;
        }
    }
    return false;
}

static bool is_in_time(const struct cache *c, const struct record *r, int64_t not_before_ms)
{
    if (not_before_ms == INT64_MIN) {
        return true;
    }
    const struct manifest_world *w = &c->manifest.world;
    return r->success_ms >= not_before_ms && r->success_ms <= w->now_ms(w->context) + FUTURE_MS;
}

static bool read_hit(struct cache *c, struct arena *a, const struct view_found *row,
                     int64_t not_before_ms, struct cache_hit *hit)
{
    if (!record_read(a, row->row, &hit->record) || !is_in_time(c, &hit->record, not_before_ms)) {
        return false;
    }
    hit->signer = trust_signer_of(row->block);
    hit->places = places_of(c, a, &hit->record);
    return hit->places != NULL;
}

/* Asks that the newest result be kept: it was of use today. Written with the next segment. */
static void note_use(struct cache *c, const struct digest *fingerprint)
{
    if (c->options.read_only || c->stuck || !c->loaded || c->unusable) {
        return;
    }
    bool is_new;
    table_add(&c->used, (struct str){(const char *)fingerprint->b, sizeof fingerprint->b}, &is_new);
    if (!is_new) {
        return;
    }
    uint32_t today = (uint32_t)(manifest_now_ms(&c->manifest) / DAY_MS);
    struct arena scratch = {0};
    struct str *rows;
    const uint8_t *bytes;
    int64_t success = 0;
    uint32_t count = view_find_rows(&c->manifest.view, fingerprint, &scratch, &rows);
    bool old = count > 0 && segment_row_peek(rows[0], &bytes, &success)
               && (int64_t)today - success / DAY_MS >= 1;
    if (old && view_used_day(&c->manifest.view, fingerprint->b) < today) {
        group_add_use(&c->group, fingerprint->b, today);
    }
    arena_free(&scratch);
}

uint32_t cache_lookup(struct cache *c, struct arena *a, const struct digest *fingerprint,
                      int64_t not_before_ms, struct cache_hit **out, struct diags *notes)
{
    *out = NULL;
    if (!cache_look(c, notes)) {
        return 0;
    }
    struct view_found *rows;
    uint32_t row_count = trust_find(&c->trust, &c->self, &c->manifest.view, fingerprint, a, &rows);
    if (row_count == 0) {
        return 0;
    }
    row_count = row_count < HITS_LIMIT ? row_count : HITS_LIMIT;
    struct cache_hit *hits = ARENA_ARRAY(a, struct cache_hit, row_count);
    uint32_t count = 0;
    for (uint32_t i = 0; i < row_count; i++) {
        struct cache_hit hit = {0};
        if (read_hit(c, a, &rows[i], not_before_ms, &hit)
            && !is_shadowed(hits, count, &hit.record)) {
            hits[count++] = hit;
        }
    }
    if (count > 0) {
        note_use(c, fingerprint);
    }
    *out = hits;
    return count;
}

bool cache_restore(const struct cache *c, const struct cache_hit *hit, int root,
                   struct workers *help, struct diags *notes)
{
    const struct fetch fetch = {c->depot, c->folder, c->frames, hit->verified, help};
    return fetch_outputs(&fetch, &hit->record, hit->places, root, notes);
}

bool cache_read(const struct cache *c, const struct cache_hit *hit, const struct ref *ref,
                size_t limit, struct buf *out, struct diags *notes)
{
    const struct fetch fetch = {c->depot, c->folder, c->frames, hit->verified, NULL};
    size_t own = out->limit;
    size_t most = out->n + limit;
    out->limit = own && own < most ? own : most;
    bool ok = fetch_read(&fetch, hit->places, ref, out, notes);
    out->limit = own ? own : limit;
    return ok;
}

/* ---- store ---- */

/* Whether something may be stored; opens what that needs. */
static bool may_store(struct cache *c, struct diags *notes)
{
    if (c->options.read_only || c->stuck || !cache_look(c, notes)) {
        return false;
    }
    if (!manifest_read_format(&c->manifest, true, notes)) {
        c->stuck = true;
        return false;
    }
    if (!c->store_open) {
        struct store_finder finder = {find_sound_place, c};
        store_init(&c->store, c->depot, c->folder, finder);
        c->store_open = true;
    }
    return true;
}

static bool store_outputs(struct cache *c, const struct record *r, int root,
                          struct pack_place *places, struct diags *notes)
{
    for (uint32_t i = 0; i < r->output_count; i++) {
        const struct record_output *o = &r->outputs[i];
        struct store_source from = {root, o->path, &o->ref, NULL};
        struct pack_place older;
        if ((o->ref.kind == REF_LIST || o->ref.kind == REF_TREE)
            && older_place(&c->manifest.view, o, c->options.hint, &c->group.arena, &older)) {
            from.older = &older;
        }
        if (store_path(&c->store, &from, &c->group.arena, &places[i], notes) != STORE_DONE) {
            return false;
        }
    }
    return true;
}

static bool store_log(struct cache *c, struct record *r, int root, struct str path,
                      struct pack_place *place, struct diags *notes)
{
    r->log = (struct ref){0};
    if (path.n == 0) {
        return true;
    }
    struct store_source from = {root, path, NULL, NULL};
    if (store_path(&c->store, &from, &c->group.arena, place, notes) != STORE_DONE) {
        return false;
    }
    r->log = place->root;
    return true;
}

static bool add_row(struct cache *c, const struct record *r, struct pack_place *places,
                    uint32_t place_count, struct diags *notes)
{
    struct buf row;
    buf_init(&row, RECORD_BYTES_LIMIT);
    bool ok = record_put(&row, r);
    if (ok) {
        group_add(&c->group, buf_str(&row), places, place_count);
    } else {
        diag_warning(notes, "cache-write", SPAN_NONE,
                     "a result is too large to be kept in the cache");
    }
    buf_free(&row);
    return ok;
}

bool cache_store(struct cache *c, struct record *r, int root, struct str log_path,
                 uint64_t *sequence, struct diags *notes)
{
    if (!may_store(c, notes)) {
        return false;
    }
    memcpy(r->hint, c->options.hint, sizeof r->hint);
    group_begin(&c->group, &c->manifest);
    struct pack_place *places =
        ARENA_ARRAY(&c->group.arena, struct pack_place, (size_t)r->output_count + 1);
    if (!store_outputs(c, r, root, places, notes)
        || !store_log(c, r, root, log_path, &places[r->output_count], notes)) {
        return false;
    }
    uint32_t place_count = r->output_count + (r->log.kind != REF_NONE ? 1 : 0);
    if (!add_row(c, r, places, place_count, notes)) {
        return false;
    }
    *sequence = ++c->sequence;
    return cache_flush(c, false, notes);
}

bool cache_flush(struct cache *c, bool force, struct diags *notes)
{
    bool anything = c->group.results.n > 0 || c->group.uses.n > 0;
    if (c->stuck || !anything) {
        return !c->stuck;
    }
    if (!may_store(c, notes)) {
        return false;
    }
    struct group_author author = {c->writer, &c->self};
    if (!force && !group_is_due(&c->group, &c->manifest, &c->store)) {
        return true;
    }
    if (!group_publish(&c->group, &c->manifest, &c->store, &author, notes)) {
        c->stuck = true;
        return false;
    }
    c->committed = c->sequence;
    return true;
}

uint64_t cache_committed(const struct cache *c)
{
    return c->committed;
}
