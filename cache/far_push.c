/* SPDX-License-Identifier: MIT */
/* Pushing: frames of the local cache are gathered into packs of the far one as they lie; only plain files are cut and
 * packed anew. A segment follows its packs, under the publish rule. Nothing is pushed twice, as far as is known. */
#include "cache/cutter.h"
#include "cache/far_inside.h"
#include "cache/fetch.h"
#include "cache/older.h"
#include "cache/place.h"
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { ATTEMPTS = 3 };
#define SEGMENT_WORTH (UINT64_C(3) * GROUP_BYTES)
#define RESUME_MS (MANIFEST_OWN_MS - MANIFEST_HOUR_MS)
#define LEARN_BYTES (UINT64_C(1) << 20) /* of what is smaller no older version is looked for */

void far_pusher_close(struct far_pusher *x, struct diags *notes)
{
    if (x->open) {
        store_free(&x->store);
    }
    far_send_close(x->send);
    far_view_close(&x->view);
    cache_close(x->near, notes);
    *x = (struct far_pusher){0};
}

static void open_store(struct far_pusher *x)
{
    store_init(&x->store, x->view.depot, -1, (struct store_finder){0});
    if (x->send) {
        x->store.writer.depot = far_send_depot(x->send);
        x->store.writer.target = FAR_SEND_TARGET;
    }
}

static bool open_pusher(struct far *f, struct diags *notes)
{
    struct far_pusher *x = &f->pusher;
    if (x->open || x->unusable) {
        return x->open;
    }
    x->unusable = true;
    if (!far_view_open(&x->view, f->place, notes)) {
        return false;
    }
    x->near = far_open_near(f, true, notes);
    if (!x->near) {
        return false;
    }
    x->send = far_send_open(f->place);
    open_store(x);
    x->open = true;
    x->unusable = false;
    return true;
}

/* ---- one root ---- */

struct copying {
    struct far_pusher *x;
    struct pack_runs runs;
    struct arena arena;
    struct table seen;
    struct object_set set; /* lists of a plain file */
    uint8_t *bytes;
    int fd; /* the plain file that is being cut */
    bool failed;
    struct diags *notes;
};

static bool is_first_mention(struct copying *c, const struct ref *ref)
{
    char key[REF_KEY];
    bool is_new;
    table_add(&c->seen, ref_key(ref->kind, &ref->digest, key), &is_new);
    return is_new;
}

static bool add_known(struct copying *c, const struct ref *ref)
{
    struct pack_run at;
    if (!known_find(&c->x->store.known, ref, &at)) {
        return false;
    }
    pack_runs_add(&c->runs, &at);
    return true;
}

static bool added(struct copying *c, const struct ref *ref, const struct pack_run *at, bool ok)
{
    if (!ok) {
        c->failed = true;
        return false;
    }
    known_add(&c->x->store.known, ref, at);
    pack_runs_add(&c->runs, at);
    return true;
}

static bool take_object(void *context, const struct ref *ref, const struct pack_item *item,
                        const struct pack_run *from)
{
    (void)from;
    struct copying *c = context;
    struct pack_run at;
    if (!is_first_mention(c, ref) || add_known(c, ref)) {
        return true;
    }
    return added(c, ref, &at, pack_add_stored(&c->x->store.writer, ref, item, &at, c->notes));
}

static bool take_raw(struct copying *c, const struct ref *ref, struct str raw)
{
    struct pack_run at;
    return added(c, ref, &at, pack_add(&c->x->store.writer, ref, raw, &at, c->notes));
}

static bool take_chunk(struct copying *c, const struct ref *ref, uint64_t offset)
{
    if (!is_first_mention(c, ref) || add_known(c, ref)) {
        return true;
    }
    c->bytes = c->bytes ? c->bytes : mem_alloc(BLOB_LIMIT);
    ssize_t n =
        ref->size <= BLOB_LIMIT ? pread(c->fd, c->bytes, (size_t)ref->size, (off_t)offset) : -1;
    return n == (ssize_t)ref->size
           && take_raw(c, ref, (struct str){(const char *)c->bytes, (size_t)n});
}

static bool take_list(struct copying *c, const struct ref *ref, uint64_t offset)
{
    struct str bytes;
    struct list list;
    if (!is_first_mention(c, ref)) {
        return true;
    }
    if (!object_set_find(&c->set, REF_LIST, &ref->digest, &bytes)
        || !(add_known(c, ref) || take_raw(c, ref, bytes))) {
        return false;
    }
    struct arena a = {0};
    bool ok = list_read(&a, bytes, &list);
    for (uint32_t i = 0; ok && i < list.count; i++) {
        ok = list.level ? take_list(c, &list.entries[i], offset)
                        : take_chunk(c, &list.entries[i], offset);
        offset += list.entries[i].size;
    }
    arena_free(&a);
    return ok;
}

/* Packs go up while the rest is being cut. */
static bool take_cut(void *context, const struct ref *ref, struct str bytes)
{
    struct copying *c = context;
    struct pack_run at;
    struct far_pusher *x = c->x;
    if (known_find(&x->store.known, ref, &at)) {
        return true;
    }
    c->failed = !pack_add(&x->store.writer, ref, bytes, &at, c->notes);
    if (!c->failed) {
        known_add(&x->store.known, ref, &at);
    }
    return !c->failed;
}

/* Its chunks first; then its lists, which say in what order they are named. */
static bool take_plain(void *context, const struct ref *ref, const struct pack_run *run)
{
    struct copying *c = context;
    char key[PACK_KEY];
    struct ref found = {0};
    const struct cutter_taker taker = {take_cut, c};
    pack_key(&run->pack, true, key);
    c->fd = openat(c->x->near->folder, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (c->fd < 0) {
        return false;
    }
    object_set_init(&c->set, &c->arena);
    const struct cutter_source from = {.fd = c->fd, .size = ref->size, .taker = &taker};
    bool ok = cutter_run(&from, &c->set, &found) && ref_eq(&found, ref) && take_list(c, ref, 0);
    close(c->fd);
    return ok;
}

enum copied { COPIED, COPY_ABSENT, COPY_FAILED };

/* Its bytes from one of its places here into packs there. */
static enum copied copy_root(struct far_pusher *x, const struct ref *root, struct arena *a,
                             struct pack_place *out, struct diags *notes)
{
    struct pack_place *places;
    uint32_t count = cache_find_places(x->near, root, a, &places);
    const struct fetch from = {x->near->depot, x->near->folder, x->near->frames, false, NULL};
    for (uint32_t i = 0; i < count; i++) {
        struct copying c = {.x = x, .runs = {.arena = a}, .fd = -1, .notes = notes};
        const struct place_tee tee = {take_object, NULL, take_plain, &c};
        table_init(&c.seen, &c.arena);
        bool ok = fetch_pass(&from, &places[i], &tee) == FETCH_DONE;
        arena_free(&c.arena);
        mem_free(c.bytes);
        if (ok || c.failed) {
            *out = (struct pack_place){*root, c.runs.at, c.runs.n};
            return ok ? COPIED : COPY_FAILED;
        }
    }
    return COPY_ABSENT;
}

/* ---- results ---- */

struct result {
    struct far_row row;
    struct pack_place *places;
    uint32_t place_count;
};

struct pushing {
    struct far_pusher *x;
    struct arena arena;
    VEC(struct result) results;
    int64_t began_boot_ns;
    struct diags *notes;
};

/* A new version of something large mostly consists of the same chunks. */
static void learn_older(struct far_pusher *x, const struct record *r, uint32_t i, struct arena *a)
{
    struct pack_place older;
    if (i < r->output_count
        && (r->outputs[i].ref.kind == REF_LIST || r->outputs[i].ref.kind == REF_TREE)
        && r->outputs[i].ref.size >= (r->outputs[i].ref.kind == REF_TREE ? 0 : LEARN_BYTES)
        && older_place(&x->view.manifest.view, &r->outputs[i], r->hint, a, &older)
        && !far_place_has_lost(x->view.place, &older)) {
        store_learn(&x->store, &older);
    }
}

static enum copied add_result(struct pushing *p, const struct far_hit *hit,
                              const struct far_row *row)
{
    struct far_pusher *x = p->x;
    const struct record *r = &hit->record;
    uint32_t count = far_root_count(r);
    struct pack_place *places = ARENA_ARRAY(&p->arena, struct pack_place, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        const struct ref *root = far_root(r, i);
        if (far_find_place(x->view.place, &x->view.manifest.view, root, &p->arena, &places[i])) {
            continue;
        }
        learn_older(x, r, i, &p->arena);
        enum copied copied = copy_root(x, root, &p->arena, &places[i], p->notes);
        if (copied != COPIED) {
            return copied;
        }
    }
    *VEC_PUSH(&p->arena, &p->results) = (struct result){*row, places, count};
    return COPIED;
}

static void begin(struct pushing *p, struct far_pusher *x, struct diags *notes)
{
    *p = (struct pushing){.x = x, .notes = notes, .began_boot_ns = time_boot_ns()};
}

static bool wait_for_packs(struct far_pusher *x, struct diags *notes)
{
    struct depot_reply reply;
    if (!x->send || far_send_wait(x->send, &reply) == DEPOT_DONE) {
        return true;
    }
    diag_warning(notes, "cache-write", SPAN_NONE, "cannot write to the cache: %s",
                 reply.error ? diag_reason(reply.error) : "no answer");
    return false;
}

/* Packs first, strictly; then what names them. */
static enum manifest_answer publish(struct pushing *p)
{
    struct far_pusher *x = p->x;
    struct manifest *m = &x->view.manifest;
    bool sealed = store_seal(&x->store, p->notes);
    sealed = wait_for_packs(x, p->notes) && sealed;
    for (uint32_t i = 0; i < x->store.writer.put_count; i++) {
        manifest_add_own(m, &x->store.writer.puts[i].id, p->began_boot_ns);
    }
    pack_forget_puts(&x->store.writer);
    if (p->results.n == 0 || !sealed) {
        return sealed ? MANIFEST_DONE : MANIFEST_FAILED;
    }
    struct segment_draft draft;
    segment_draft_init(&draft);
    struct far_row *rows = ARENA_ARRAY(&p->arena, struct far_row, p->results.n);
    for (uint32_t i = 0; i < p->results.n; i++) {
        rows[i] = p->results.at[i].row;
        for (uint32_t k = 0; k < p->results.at[i].place_count; k++) {
            segment_draft_add_place(&draft, &p->results.at[i].places[k]);
        }
    }
    far_put_rows(&draft, rows, p->results.n, &x->near->self);
    struct segment_use *told;
    uint32_t told_count = far_used_say(x, &draft, &p->arena, &told);
    enum manifest_answer answer = manifest_publish(m, &draft, p->notes);
    if (answer == MANIFEST_DONE && told_count > 0) {
        (void)!far_used_drop(x->view.place, told, told_count); /* else it is said twice */
    }
    segment_draft_free(&draft);
    return answer;
}

/* Nothing may count on what was condemned. */
static void forget_condemned(struct far_pusher *x)
{
    const struct view *v = &x->view.manifest.view;
    for (uint32_t i = 0; i < v->packs.count; i++) {
        struct pack_id id;
        memcpy(id.b, v->packs.keys[i].s, sizeof id.b);
        if (v->pack_info.at[i].condemned_ms) {
            store_forget(&x->store, &id);
        }
    }
}

/* Whether a result that is listed there has lost some of its bytes. */
static bool has_lost_some(struct far_pusher *x, const struct record *r, struct arena *a)
{
    struct pack_place place;
    bool lost = false;
    for (uint32_t i = 0; i < far_root_count(r) && !lost; i++) {
        lost = !far_find_place(x->view.place, &x->view.manifest.view, far_root(r, i), a, &place);
    }
    return lost;
}

/* … or is gone. */
static bool forget_lost(struct far_pusher *x)
{
    struct arena scratch = {0};
    struct str *keys;
    uint32_t count = far_place_lost(x->view.place, 0, &scratch, &keys);
    for (uint32_t i = 0; i < count; i++) {
        struct pack_id id;
        bool plain;
        if (pack_key_parse(keys[i], &id, &plain)) {
            store_forget(&x->store, &id);
        }
    }
    arena_free(&scratch);
    return count > 0;
}

/* What a pack under construction would have held is void. */
static void forget_all(struct far_pusher *x)
{
    struct depot_reply unheard;
    if (x->send) {
        (void)far_send_wait(x->send, &unheard);
    }
    store_free(&x->store);
    open_store(x);
}

/* What an earlier run sent and could not publish: of those packs the writer is still the owner. */
static void resume(struct far_pusher *x)
{
    struct arena a = {0};
    struct far_sent *sent;
    struct manifest *m = &x->view.manifest;
    uint32_t count = x->resumed ? 0 : far_sent_read(x->view.place, &a, &sent);
    x->resumed = true;
    for (uint32_t i = 0; i < count; i++) {
        int64_t age_ms = manifest_now_ms(m) - sent[i].at_ms;
        if (age_ms >= 0 && age_ms < RESUME_MS && !view_find_pack(&m->view, &sent[i].id)) {
            store_learn_pack(&x->store, &sent[i].id, sent[i].bytes);
            manifest_add_own(m, &sent[i].id, time_boot_ns() - age_ms * 1000000);
        }
    }
    arena_free(&a);
}

/* ---- a run ---- */

struct run {
    struct far_pusher *x;
    const struct digest *fingerprints;
    uint32_t count, next;
    int64_t until_boot_ns;
    bool any_lost; /* packs there are known to be gone */
    struct far_pushed *out;
    struct diags *notes;
};

/* Who lists what is new misses a segment whose name is far from its stored time: its rows are put again. */
static bool is_in_timely_segment(const struct view *v, const struct view_found *found)
{
    for (uint32_t i = 0; i < v->count; i++) {
        const struct segment *s = &v->segments[i]->segment;
        if (!view_segment_is_timely(v->segments[i])) {
            continue;
        }
        for (uint32_t k = 0; k < s->rows.n; k++) {
            if (s->rows.at[k].row.s == found->row.s || str_eq(s->rows.at[k].row, found->row)) {
                return true;
            }
        }
    }
    return false;
}

static bool any_is_mistimed(const struct view *v)
{
    for (uint32_t i = 0; i < v->count; i++) {
        if (!view_segment_is_timely(v->segments[i])) {
            return true;
        }
    }
    return false;
}

/* Whether the row is there under that name; NULL: under any or none. */
static bool has_row(const struct view *v, struct str row, const uint8_t *key, struct arena *a)
{
    struct view_found *rows;
    uint32_t count = view_find_row(v, row, a, &rows);
    for (uint32_t i = 0; i < count; i++) {
        if (!key || memcmp(rows[i].block->key, key, BLOCK_KEY) == 0) {
            return !any_is_mistimed(v) || is_in_timely_segment(v, &rows[i]);
        }
    }
    return false;
}

/* The newest result of the fingerprint. false: the cache cannot go on. */
static bool push_one(struct run *r, struct pushing *p, const struct digest *fingerprint)
{
    struct far_pusher *x = r->x;
    struct cache *near = x->near;
    const struct view *v = &near->manifest.view;
    struct view_found *rows;
    struct far_hit hit;
    uint32_t count = trust_find(&near->trust, &near->self, v, fingerprint, &p->arena, &rows);
    if (!count || !far_read_row(&p->arena, &rows[0], &hit)) {
        r->out->missing++;
        return true;
    }
    struct far_row row = {hit.row, hit.block, hit.writer, hit.made_ms, false};
    row.own = !hit.key && near->self.signs && trust_is_own(&near->self, rows[0].block);
    const uint8_t *key = row.own ? near->self.key.public.id : hit.key;
    if (has_row(&x->view.manifest.view, hit.row, key, &p->arena)
        && !(r->any_lost && has_lost_some(x, &hit.record, &p->arena))) {
        r->out->known++;
        return true;
    }
    enum copied copied = add_result(p, &hit, &row);
    r->out->missing += copied == COPY_ABSENT;
    return copied != COPY_FAILED;
}

static bool is_late(const struct run *r)
{
    return time_boot_ns() >= r->until_boot_ns;
}

/* Results until a segment is worth its put. */
static bool gather(struct run *r, struct pushing *p)
{
    uint64_t bytes = 0;
    while (r->next < r->count && bytes < SEGMENT_WORTH && !is_late(r)) {
        const struct pack_writer *w = &r->x->store.writer;
        uint32_t puts = w->put_count;
        size_t before = w->body.n;
        if (!push_one(r, p, &r->fingerprints[r->next])) {
            return false;
        }
        r->next++;
        uint64_t put = (uint64_t)(w->put_count - puts) * GROUP_BYTES;
        bytes += put ? put : w->body.n - before;
    }
    return true;
}

static bool push_group(struct run *r)
{
    uint32_t first = r->next;
    struct far_pushed before = *r->out;
    for (int i = 0; i < ATTEMPTS; i++) {
        struct pushing p;
        begin(&p, r->x, r->notes);
        r->next = first;
        *r->out = before;
        bool gathered = gather(r, &p);
        enum manifest_answer answer = gathered ? publish(&p) : MANIFEST_FAILED;
        r->out->results += answer == MANIFEST_DONE ? p.results.n : 0;
        arena_free(&p.arena);
        if (answer == MANIFEST_DONE) {
            far_sent_forget(r->x->view.place);
            return true;
        }
        if (answer == MANIFEST_FAILED) {
            break;
        }
        if (i == 0) {
            forget_condemned(r->x);
        } else {
            forget_all(r->x);
        }
    }
    forget_all(r->x);
    r->next = first;
    *r->out = before;
    return false;
}

void far_push(struct far *f, const struct digest *fingerprints, uint32_t count,
              int64_t until_boot_ns, struct far_pushed *out, struct diags *notes)
{
    *out = (struct far_pushed){.whole = count == 0};
    if (count == 0 || far_place_is_unwritable(f->place)) {
        return;
    }
    struct arena scratch = {0};
    struct diags own; /* the place tells in one line */
    diags_init(&own, &scratch);
    struct far_pusher *x = &f->pusher;
    struct run r = {x, fingerprints, count, 0, until_boot_ns, false, out, &own};
    bool ok = open_pusher(f, notes) && cache_look(x->near, &own)
              && far_view_sync(&x->view, MANIFEST_VIEW_MS, notes)
              && manifest_read_format(&x->view.manifest, true, &own);
    if (ok) {
        resume(x);
        forget_condemned(x);
        r.any_lost = forget_lost(x);
    }
    while (ok && r.next < r.count && !is_late(&r)) {
        ok = push_group(&r);
    }
    out->whole = ok && r.next == r.count;
    if (!ok && !far_place_is_unwritable(f->place)) {
        far_place_give_up(f->place, own.all.n ? str_c(&scratch, own.all.at[0].message)
                                              : "it takes no results");
    }
    far_place_tell(f->place, notes);
    arena_free(&scratch);
}
