/* SPDX-License-Identifier: MIT */
/* Syncing and publishing. Two rules carry all: a list starts well before the begin of the last one, never at the
 * highest name seen; and a segment names only packs that its writer put lately or has just seen uncondemned. */
#include "cache/manifest.h"

#include "core/base/file.h"
#include "core/base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { SYNC_ATTEMPTS = 4, PUBLISH_ATTEMPTS = 4, FORMAT_LIMIT = 64 << 10 };
enum { KEEP_DAYS = 30, GRACE_HOURS = 24, DAYS_LIMIT = 36500, MS_NS = 1000000 };

/* ---- time ---- */

static int64_t real_boot_ns(void *context)
{
    (void)context;
    return time_boot_ns();
}

static int64_t real_now_ms(void *context)
{
    (void)context;
    return time_now_ns() / MS_NS;
}

static uint64_t real_random(void *context)
{
    (void)context;
    uint64_t x = 0;
    while (getrandom(&x, sizeof x, 0) != sizeof x) {
    }
    return x;
}

struct manifest_world manifest_world_real(void)
{
    return (struct manifest_world){real_boot_ns, real_now_ms, real_random, NULL};
}

static int64_t boot_ns(const struct manifest *m)
{
    return m->world.boot_ns(m->world.context);
}

int64_t manifest_now_ms(const struct manifest *m)
{
    if (m->depot_ms == 0) {
        return m->world.now_ms(m->world.context);
    }
    return m->depot_ms + (boot_ns(m) - m->depot_boot_ns) / MS_NS;
}

void manifest_hear(struct manifest *m, const struct depot_reply *reply)
{
    if (reply->now_ms > 0) {
        m->depot_ms = reply->now_ms;
        m->depot_boot_ns = boot_ns(m);
    }
}

int64_t manifest_view_age_ms(const struct manifest *m)
{
    return m->list_boot_ns ? (boot_ns(m) - m->list_boot_ns) / MS_NS : INT64_MAX;
}

/* ---- open ---- */

void manifest_init(struct manifest *m, struct depot *depot, bool folder,
                   struct manifest_world world)
{
    memset(m, 0, sizeof *m);
    m->depot = depot;
    m->folder = folder;
    m->dir = -1;
    m->world = world;
    m->keep_ms = KEEP_DAYS * MANIFEST_DAY_MS;
    m->grace_ms = GRACE_HOURS * MANIFEST_HOUR_MS;
    m->bounds = MANIFEST_BOUNDS;
    view_init(&m->view);
}

void manifest_widen(struct manifest *m)
{
    struct manifest_bounds b = MANIFEST_BOUNDS;
    m->bounds = (struct manifest_bounds){10 * b.segments, 10 * b.bytes, 10 * b.raw, 10 * b.items};
    m->told_many = false;
}

void manifest_free(struct manifest *m)
{
    view_free(&m->view);
    arena_free(&m->arena);
    memset(m, 0, sizeof *m);
}

static bool take_bytes(void *context, const void *bytes, size_t n)
{
    struct buf *b = context;
    buf_put(b, bytes, n);
    return !b->full;
}

static enum depot_answer get_whole(struct manifest *m, struct str key, struct buf *out)
{
    struct depot_reply reply;
    struct depot_sink sink = {take_bytes, out};
    return depot_get(m->depot, key, DEPOT_ALL, sink, &reply);
}

static const char *reason_of(const struct depot_reply *reply, const char *otherwise)
{
    const char *reason = reply->error ? strerrordesc_np(reply->error) : NULL;
    return reason ? reason : otherwise;
}

static bool unusable(struct diags *notes, const char *why)
{
    diag_warning(notes, "cache-unusable", SPAN_NONE, "the cache cannot be used: %s", why);
    return false;
}

static int64_t policy_member(const struct json *format, struct str name, int64_t otherwise,
                             int64_t unit_ms)
{
    const struct json *x = json_member(format, name);
    if (!x || x->kind != JSON_INT || x->integer < 0 || x->integer > DAYS_LIMIT * INT64_C(24)) {
        return otherwise;
    }
    return x->integer * unit_ms;
}

static bool understand_format(struct manifest *m, struct str text, struct diags *notes)
{
    struct arena a = {0};
    struct diags own;
    diags_init(&own, &a);
    const struct json *format = json_parse(&a, text, 0, &own);
    const struct json *version = format ? json_member(format, STR("pawl")) : NULL;
    const struct json *needs = format ? json_member(format, STR("needs")) : NULL;
    bool known = version && version->kind == JSON_INT && version->integer == 1;
    bool plain = !needs || (needs->kind == JSON_LIST && needs->count == 0);
    if (known && plain) {
        m->keep_ms = policy_member(format, STR("keep_days"), m->keep_ms, MANIFEST_DAY_MS);
        m->grace_ms = policy_member(format, STR("grace_hours"), m->grace_ms, MANIFEST_HOUR_MS);
    }
    arena_free(&a);
    if (known && plain) {
        return true;
    }
    struct diag *note = diag_warning(notes, "cache-unusable", SPAN_NONE,
                                     "the cache cannot be used: its 'format' is not one that this "
                                     "program knows");
    diag_help(notes, note, "a newer pawl may have made it; if not, remove the cache's folder");
    return false;
}

static bool make_format(struct manifest *m, struct diags *notes)
{
    char text[100];
    int n = snprintf(text, sizeof text, "{\"pawl\":1,\"keep_days\":%d,\"grace_hours\":%d}\n",
                     KEEP_DAYS, GRACE_HOURS);
    struct str part = {text, (size_t)n};
    struct depot_source source = DEPOT_PARTS(&part, 1);
    struct depot_reply reply;
    if (depot_put(m->depot, STR("format"), &source, false, &reply) != DEPOT_DONE) {
        return unusable(notes, reason_of(&reply, "it takes no files"));
    }
    manifest_hear(m, &reply);
    return true;
}

bool manifest_read_format(struct manifest *m, bool make, struct diags *notes)
{
    if (m->has_format) {
        return true;
    }
    struct buf b;
    buf_init(&b, FORMAT_LIMIT);
    enum depot_answer answer = get_whole(m, STR("format"), &b);
    bool ok;
    switch (answer) {
    case DEPOT_DONE: ok = understand_format(m, buf_str(&b), notes); break;
    case DEPOT_ABSENT: ok = !make || make_format(m, notes); break;
    case DEPOT_REFUSED:
    case DEPOT_LATER:
    case DEPOT_EXISTS:
    default: ok = unusable(notes, "its 'format' cannot be read"); break;
    }
    m->has_format = ok && (make || answer == DEPOT_DONE);
    buf_free(&b);
    return ok;
}

/* ---- sync ---- */

struct found {
    struct str key;
    uint64_t size;
    int64_t stored_ms;
};

struct listing {
    struct arena arena;
    VEC(struct found) at;
    uint32_t most;
    bool too_many;
};

static bool note_segment(void *context, const struct depot_entry *e)
{
    struct listing *l = context;
    int64_t ms;
    if (!segment_key_parse(e->key, &ms)) {
        return true; /* not ours */
    }
    if (l->at.n == l->most) {
        l->too_many = true;
        return false;
    }
    *VEC_PUSH(&l->arena, &l->at) =
        (struct found){str_copy(&l->arena, e->key), e->size, e->stored_ms};
    return true;
}

static void tell_bad(struct manifest *m, struct str key, struct diags *notes)
{
    if (!m->told_bad) {
        struct diag *note =
            diag_warning(notes, "cache-damaged", SPAN_NONE,
                         "'%.*s' in the cache is damaged; its results are lost", STR_ARG(key));
        diag_help(notes, note, "'pawl cache check' says what else is");
    }
    m->told_bad = true;
}

static void tell_many(struct manifest *m, struct diags *notes)
{
    if (!m->told_many) {
        struct diag *note = diag_warning(notes, "cache-too-many", SPAN_NONE,
                                         "the cache holds more segments than can be read");
        diag_help(notes, note, "'pawl cache gc' merges them ('--remote' those of a remote cache)");
    }
    m->told_many = true;
}

enum fetched { FETCHED, FETCHED_GONE, FETCHED_NOT };

static enum fetched fetch_segment(struct manifest *m, const struct found *f, struct diags *notes)
{
    struct segment segment = {0};
    enum segment_answer state = SEGMENT_BAD;
    enum depot_answer answer = DEPOT_DONE;
    if (f->size <= SEGMENT_STORED_LIMIT + SEGMENT_HEADER) {
        struct buf b;
        buf_init(&b, SEGMENT_STORED_LIMIT + SEGMENT_HEADER);
        answer = get_whole(m, f->key, &b);
        if (answer == DEPOT_DONE || (answer == DEPOT_REFUSED && b.full)) {
            state = b.full ? SEGMENT_BAD : segment_read(buf_str(&b), &segment);
            answer = DEPOT_DONE;
        }
        buf_free(&b);
    }
    if (answer == DEPOT_ABSENT || answer == DEPOT_LATER) {
        return answer == DEPOT_ABSENT ? FETCHED_GONE : FETCHED_NOT;
    }
    if (state == SEGMENT_BAD) { /* or refused, for good */
        tell_bad(m, f->key, notes);
    }
    struct depot_entry e = {f->key, f->size, f->stored_ms};
    view_add(&m->view, &e, state, &segment);
    return FETCHED;
}

/* In ascending order: whoever merges segments puts the heir, which sorts later, before the inputs go. */
static enum fetched fetch_new(struct manifest *m, struct listing *l, struct diags *notes)
{
    uint64_t bytes = 0;
    enum fetched result = FETCHED;
    for (uint32_t i = 0; i < l->at.n; i++) {
        const struct found *f = &l->at.at[i];
        if (view_holds(&m->view, f->key)) {
            continue;
        }
        bytes += f->size;
        if (bytes > m->bounds.bytes || m->view.raw_bytes > m->bounds.raw
            || m->view.items > m->bounds.items) {
            l->too_many = true;
            break;
        }
        enum fetched got = fetch_segment(m, f, notes);
        if (got == FETCHED_GONE) {
            return FETCHED_GONE;
        }
        result = got == FETCHED_NOT ? FETCHED_NOT : result;
    }
    return result;
}

static void forget_unlisted(struct manifest *m, const struct listing *l)
{
    struct arena a = {0};
    struct table listed;
    table_init(&listed, &a);
    for (uint32_t i = 0; i < l->at.n; i++) {
        table_add(&listed, l->at.at[i].key, NULL);
    }
    for (uint32_t i = 0; i < m->view.count; i++) {
        struct view_segment *s = m->view.segments[i];
        s->listed = table_find(&listed, str_from(s->name)) != TABLE_NONE;
    }
    view_forget_unlisted(&m->view);
    arena_free(&a);
}

enum synced { SYNCED, SYNC_AGAIN, SYNC_FAILED };

static enum synced sync_once(struct manifest *m, bool full, struct diags *notes)
{
    char after[SEGMENT_NAME] = "";
    if (!full) {
        int64_t from = m->list_began_ms - VIEW_LATE_MS - MANIFEST_SLACK_MS;
        segment_key(from, 0, after);
        after[2 + 12] = 0; /* no random part: sorts before all of that moment */
    }
    struct listing l = {.most = m->bounds.segments};
    struct depot_reply reply;
    struct depot_each each = {note_segment, &l};
    int64_t began = boot_ns(m);
    enum depot_answer answer = depot_list(m->depot, STR("m/"), str_from(after), each, &reply);
    enum synced result = SYNC_FAILED;
    if (answer == DEPOT_DONE) {
        manifest_hear(m, &reply);
        enum fetched got = fetch_new(m, &l, notes);
        if (l.too_many) {
            tell_many(m, notes);
        }
        result = got == FETCHED_GONE                ? SYNC_AGAIN
                 : got == FETCHED_NOT || l.too_many ? SYNC_FAILED
                                                    : SYNCED;
    }
    if (result == SYNCED) {
        m->list_began_ms = reply.now_ms ? reply.now_ms : m->world.now_ms(m->world.context);
        m->list_boot_ns = began;
        if (full) {
            m->full_boot_ns = began;
            forget_unlisted(m, &l);
        }
    }
    arena_free(&l.arena);
    return result;
}

void manifest_pass_over(struct manifest *m, struct str key)
{
    int64_t named_ms;
    if (view_holds(&m->view, key) || !segment_key_parse(key, &named_ms)) {
        return;
    }
    struct segment unread = {0};
    struct depot_entry e = {key, 0, named_ms};
    view_add(&m->view, &e, SEGMENT_GOOD, &unread)->partial = true;
    m->partial = true;
}

/* So that they are read like all that is new. */
static void forget_partial(struct manifest *m)
{
    for (uint32_t i = 0; i < m->view.count; i++) {
        m->view.segments[i]->listed = !m->view.segments[i]->partial;
    }
    view_forget_unlisted(&m->view);
    m->partial = false;
}

bool manifest_sync(struct manifest *m, bool full, struct diags *notes)
{
    full |= m->full_boot_ns == 0 || (boot_ns(m) - m->full_boot_ns) / MS_NS > MANIFEST_FULL_MS;
    if (full && m->partial) {
        forget_partial(m);
    }
    enum synced result = SYNC_AGAIN;
    for (int i = 0; i < SYNC_ATTEMPTS && result == SYNC_AGAIN; i++) {
        result = sync_once(m, full, notes);
    }
    if (result != SYNCED && !m->told_many && !m->told_unreadable) {
        m->told_unreadable = true;
        diag_warning(notes, "cache-unreadable", SPAN_NONE,
                     "the cache's list of results cannot be read");
    }
    return result == SYNCED;
}

/* ---- publish ---- */

/* What is too old counts for nothing any more. */
static void prune_own(struct manifest *m)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < m->own.n; i++) {
        if ((boot_ns(m) - m->own.at[i].boot_ns) / MS_NS < MANIFEST_OWN_MS) {
            m->own.at[kept++] = m->own.at[i];
        }
    }
    m->own.n = kept;
}

void manifest_add_own(struct manifest *m, const struct pack_id *pack, int64_t at_boot_ns)
{
    if (m->own.n == m->own.cap) {
        prune_own(m);
    }
    *VEC_PUSH(&m->arena, &m->own) = (struct manifest_own){*pack, at_boot_ns};
}

static bool is_own_and_young(const struct manifest *m, const struct pack_id *pack)
{
    for (uint32_t i = m->own.n; i-- > 0;) {
        if (pack_id_eq(&m->own.at[i].id, pack)) {
            return (boot_ns(m) - m->own.at[i].boot_ns) / MS_NS < MANIFEST_OWN_MS;
        }
    }
    return false;
}

bool manifest_may_name(const struct manifest *m, const struct pack_id *pack)
{
    const struct view_pack *known = view_find_pack(&m->view, pack);
    if (known && known->condemned_ms) {
        return false;
    }
    return (known && known->places > 0) || is_own_and_young(m, pack);
}

/* Whether all packs are own and young: then no view is needed. */
static bool names_only_own(const struct manifest *m, const struct segment_draft *draft)
{
    for (uint32_t i = 0; i < draft->pack_count; i++) {
        if (!is_own_and_young(m, &draft->packs[i])) {
            return false;
        }
    }
    return true;
}

static bool may_name_all(const struct manifest *m, const struct segment_draft *draft)
{
    for (uint32_t i = 0; i < draft->pack_count; i++) {
        if (!manifest_may_name(m, &draft->packs[i])) {
            return false;
        }
    }
    return true;
}

static void take_into_view(struct manifest *m, const struct segment_draft *draft,
                           const struct depot_entry *e, struct str bytes)
{
    struct segment segment;
    if ((m->lean ? segment_draft_read_places(draft, &segment) : segment_read(bytes, &segment))
        == SEGMENT_GOOD) {
        view_add(&m->view, e, SEGMENT_GOOD, &segment)->partial = m->lean;
        m->partial |= m->lean;
    }
}

enum put_result { PUT_DONE, PUT_AGAIN, PUT_FAILED };

static enum put_result put_once(struct manifest *m, const struct segment_draft *draft,
                                struct str bytes, bool own, struct depot_reply *reply)
{
    char name[SEGMENT_NAME];
    int64_t named_ms = manifest_now_ms(m);
    struct str key = segment_key(named_ms, m->world.random(m->world.context), name);
    struct depot_source source = DEPOT_PARTS(&bytes, 1);
    enum depot_answer answer = depot_put(m->depot, key, &source, false, reply);
    manifest_hear(m, reply);
    if (answer != DEPOT_DONE) {
        return answer == DEPOT_LATER ? PUT_AGAIN : PUT_FAILED;
    }
    int64_t stored_ms = reply->stored_ms ? reply->stored_ms : manifest_now_ms(m);
    take_into_view(m, draft, &(struct depot_entry){key, bytes.n, stored_ms}, bytes);
    memcpy(m->published, name, sizeof name);
    int64_t late = stored_ms - named_ms;
    bool timely = late <= VIEW_LATE_MS && late >= -VIEW_LATE_MS;
    bool seen_in_time = own || !m->folder || manifest_view_age_ms(m) <= MANIFEST_VISIBLE_MS;
    return timely && seen_in_time ? PUT_DONE : PUT_AGAIN;
}

static enum manifest_answer publish_failed(struct diags *notes, const struct depot_reply *reply)
{
    const char *why = reason_of(reply, "it does not take them");
    diag_warning(notes, "cache-write", SPAN_NONE, "cannot write results to the cache: %s", why);
    return MANIFEST_FAILED;
}

static bool write_draft(const struct segment_draft *draft, struct buf *bytes, struct diags *notes)
{
    buf_init(bytes, SEGMENT_STORED_LIMIT + SEGMENT_HEADER);
    if (!segment_draft_write(draft, bytes)) {
        buf_free(bytes);
        diag_warning(notes, "cache-write", SPAN_NONE, "a segment of the cache grew too large");
        return false;
    }
    return true;
}

static enum manifest_answer publish_bytes(struct manifest *m, const struct segment_draft *draft,
                                          struct str bytes, struct diags *notes)
{
    struct depot_reply reply = {0};
    enum put_result put = PUT_AGAIN;
    for (int i = 0; i < PUBLISH_ATTEMPTS && put == PUT_AGAIN; i++) {
        bool own = names_only_own(m, draft);
        if (!own && manifest_view_age_ms(m) > MANIFEST_VIEW_MS && !manifest_sync(m, false, notes)) {
            return MANIFEST_FAILED;
        }
        if (!may_name_all(m, draft)) {
            return MANIFEST_DOOMED;
        }
        put = put_once(m, draft, bytes, own, &reply);
    }
    return put == PUT_DONE ? MANIFEST_DONE : publish_failed(notes, &reply);
}

enum manifest_answer manifest_publish(struct manifest *m, const struct segment_draft *draft,
                                      struct diags *notes)
{
    struct buf bytes;
    if (!write_draft(draft, &bytes, notes)) {
        return MANIFEST_FAILED;
    }
    enum manifest_answer answer = publish_bytes(m, draft, buf_str(&bytes), notes);
    buf_free(&bytes);
    return answer;
}

bool manifest_publish_carried(struct manifest *m, const struct segment_draft *draft,
                              struct diags *notes)
{
    struct buf bytes;
    if (!write_draft(draft, &bytes, notes)) {
        return false;
    }
    struct depot_reply reply = {0};
    enum put_result put = PUT_AGAIN;
    for (int i = 0; i < PUBLISH_ATTEMPTS && put == PUT_AGAIN; i++) {
        if (manifest_view_age_ms(m) > MANIFEST_VIEW_MS) {
            break;
        }
        put = put_once(m, draft, buf_str(&bytes), false, &reply);
    }
    buf_free(&bytes);
    return put == PUT_DONE || publish_failed(notes, &reply) == MANIFEST_DONE;
}
