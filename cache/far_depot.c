/* SPDX-License-Identifier: MIT */
/* The handle's own state is one lane's but for get, which only reads it; what several share is behind a guard. A
 * copy has the time at which the far place stored the segment as its mtime, and appears with it or not at all. */
#include "cache/far_depot.h"

#include "cache/depot_dir.h"
#include "cache/depot_s3.h"
#include "cache/far_s3.h"
#include "cache/segment.h"
#include "core/base/file.h"
#include "core/base/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WHY_BYTES = 400, ID_DIGITS = 16, COPY_NAME = 64 };

struct far_place {
    struct arena arena;
    struct far_options options;
    struct str folder;
    struct guard *guard; /* all below */
    struct far_s3 *s3;   /* made by the first handle */
    struct far_count count;
    struct table lost; /* keys of packs */
    struct far_listed listed;
    bool down, unwritable;
    bool told; /* one warning is enough */
    char why[WHY_BYTES];
};

struct far_depot {
    struct depot depot;
    struct depot *inner;
    struct far_place *place;
    int copies;
    bool bears; /* its trouble is its own */
    struct arena arena;
    struct table stored_keys; /* of the last list … */
    VEC(int64_t) stored_ms;   /* … by number */
};

/* ---- the place ---- */

static struct str folder_of(struct far_place *p)
{
    const struct far_options *o = &p->options;
    struct str name = str_join3(&p->arena, o->endpoint, STR("\n"), o->url);
    struct digest d = digest_of(name.s, name.n);
    struct buf b;
    buf_init(&b, 256);
    digest_put_hex(&b, &d);
    struct str hex = str_sub(buf_str(&b), 0, ID_DIGITS);
    struct str folder = str_join3(&p->arena, STR("remote/"), hex, STR(""));
    buf_free(&b);
    return folder;
}

struct far_place *far_place_open(const struct far_options *o, struct diags *notes)
{
    bool bucket = str_starts(o->url, STR("s3://")) && o->url.n > 5 && o->url.s[5] != '/';
    if (!bucket && !str_starts(o->url, STR("file:///"))) {
        diag_warning(notes, "remote-unusable", SPAN_NONE,
                     "'%.*s' is no remote cache, as 's3://bucket/prefix' and 'file:///folder' are",
                     STR_ARG(o->url));
        return NULL;
    }
    struct far_place *p = mem_alloc(sizeof *p);
    p->options = *o;
    p->options.url = str_copy(&p->arena, o->url);
    p->options.region = str_copy(&p->arena, o->region);
    p->options.endpoint = str_copy(&p->arena, o->endpoint);
    p->options.profile = str_copy(&p->arena, o->profile);
    p->options.near_dir = str_copy(&p->arena, o->near_dir);
    p->options.trust = NULL;
    p->options.self = NULL;
    p->folder = folder_of(p);
    table_init(&p->lost, &p->arena);
    p->guard = guard_open();
    return p;
}

void far_place_close(struct far_place *p)
{
    if (p) {
        far_s3_close(p->s3);
        guard_close(p->guard);
        arena_free(&p->arena);
        mem_free(p);
    }
}

const struct far_options *far_place_options(const struct far_place *p)
{
    return &p->options;
}

struct str far_place_folder(const struct far_place *p)
{
    return p->folder;
}

struct far_s3 *far_place_s3(struct far_place *p)
{
    guard_enter(p->guard);
    struct far_s3 *s3 = p->s3;
    guard_leave(p->guard);
    return s3;
}

struct far_count far_place_count(struct far_place *p)
{
    guard_enter(p->guard);
    struct far_count count = p->count;
    guard_leave(p->guard);
    return count;
}

void far_place_give_up(struct far_place *p, const char *why)
{
    guard_enter(p->guard);
    if (!p->down) {
        snprintf(p->why, sizeof p->why, "%s", why ? why : "");
        p->told |= !why;
    }
    p->down = true;
    guard_leave(p->guard);
}

static void note_unwritable(struct far_place *p, const char *why)
{
    guard_enter(p->guard);
    if (!p->unwritable && !p->down) {
        snprintf(p->why, sizeof p->why, "%s", why);
    }
    p->unwritable = true;
    guard_leave(p->guard);
}

bool far_place_is_down(struct far_place *p)
{
    guard_enter(p->guard);
    bool down = p->down;
    guard_leave(p->guard);
    return down;
}

bool far_place_is_unwritable(struct far_place *p)
{
    guard_enter(p->guard);
    bool unwritable = p->unwritable || p->down;
    guard_leave(p->guard);
    return unwritable;
}

bool far_place_may_tell(struct far_place *p)
{
    guard_enter(p->guard);
    bool may = !p->told;
    p->told = true;
    guard_leave(p->guard);
    return may;
}

int64_t far_place_quiet_ms(struct far_place *p)
{
    guard_enter(p->guard);
    const struct far_s3 *s3 = p->s3;
    guard_leave(p->guard);
    return s3 ? far_s3_quiet_ms(s3) : 0;
}

void far_place_tell(struct far_place *p, struct diags *notes)
{
    char why[WHY_BYTES];
    guard_enter(p->guard);
    bool down = p->down && !p->told;
    bool unwritable = p->unwritable && !p->down && !p->told;
    p->told |= down || unwritable;
    memcpy(why, p->why, sizeof why);
    guard_leave(p->guard);
    bool names_it = str_starts(str_from(why), STR("the remote cache"));
    if (down) {
        diag_warning(notes, "remote-down", SPAN_NONE, "%s%s; going on without '%.*s'",
                     names_it ? "" : "the remote cache is of no help now: ", why,
                     STR_ARG(p->options.url));
    } else if (unwritable) {
        diag_warning(notes, "remote-read-only", SPAN_NONE, "%s%s; results stay here",
                     names_it ? "" : "the remote cache takes no results: ", why);
    }
}

void far_place_note_listed(struct far_place *p, const struct far_listed *l)
{
    guard_enter(p->guard);
    p->listed = *l;
    guard_leave(p->guard);
}

struct far_listed far_place_listed(struct far_place *p)
{
    guard_enter(p->guard);
    struct far_listed listed = p->listed;
    guard_leave(p->guard);
    return listed;
}

/* ---- what is gone ---- */

void far_place_lose(struct far_place *p, struct str key)
{
    if (key.n == PACK_KEY - 1 && str_starts(key, STR("p/"))) {
        guard_enter(p->guard);
        table_add(&p->lost, key, NULL);
        guard_leave(p->guard);
    }
}

bool far_place_has_lost(struct far_place *p, const struct pack_place *place)
{
    char key[PACK_KEY];
    bool lost = false;
    guard_enter(p->guard);
    for (uint32_t i = 0; p->lost.count > 0 && i < place->run_count && !lost; i++) {
        lost = table_find(&p->lost, pack_key(&place->runs[i].pack, false, key)) != TABLE_NONE;
    }
    guard_leave(p->guard);
    return lost;
}

uint32_t far_place_lost(struct far_place *p, uint32_t from, struct arena *a, struct str **keys)
{
    guard_enter(p->guard);
    uint32_t count = p->lost.count > from ? p->lost.count - from : 0;
    *keys = ARENA_ARRAY(a, struct str, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        (*keys)[i] = str_copy(a, p->lost.keys[from + i]);
    }
    guard_leave(p->guard);
    return count;
}

/* ---- counting, and the circuit ---- */

static bool refuses(struct far_depot *d, struct depot_reply *reply)
{
    *reply = (struct depot_reply){0};
    return far_place_is_down(d->place);
}

/* What the handle itself has to say goes before the errno. */
static const char *reason_of(struct far_depot *d, enum depot_answer answer,
                             const struct depot_reply *reply, char out[static WHY_BYTES])
{
    struct arena scratch = {0};
    struct diags notes;
    diags_init(&notes, &scratch);
    if (!str_starts(d->place->options.url, STR("file://"))) {
        depot_s3_tell(d->inner, &notes);
    }
    bool said = notes.all.n > 0;
    if (said) {
        const struct diag *w = &notes.all.at[0];
        snprintf(out, WHY_BYTES, "%.*s%s%.*s%s", STR_ARG(w->message), w->help.n ? " (" : "",
                 STR_ARG(w->help), w->help.n ? ")" : "");
    }
    arena_free(&scratch);
    if (said) {
        return out;
    }
    const char *reason = reply->error ? diag_reason(reply->error) : NULL;
    if (reason) {
        return reason;
    }
    return answer == DEPOT_LATER ? "it does not answer" : "it refuses";
}

/* Whoever does not answer is not asked again; a put that is refused says nothing of the gets. */
static void judge(struct far_depot *d, bool put, enum depot_answer answer,
                  const struct depot_reply *reply)
{
    char why[WHY_BYTES];
    if (d->bears) {
        return;
    }
    if (answer == DEPOT_REFUSED && put) {
        note_unwritable(d->place, reason_of(d, answer, reply, why));
    } else if (answer == DEPOT_LATER || answer == DEPOT_REFUSED) {
        far_place_give_up(d->place, reason_of(d, answer, reply, why));
    }
}

/* ---- copies ---- */

static bool is_copied(struct str key)
{
    return str_starts(key, STR("m/")) || str_eq(key, STR("format"));
}

static bool key_text(struct str key, char out[COPY_NAME])
{
    if (key.n >= COPY_NAME) {
        return false;
    }
    memcpy(out, key.s, key.n);
    out[key.n] = 0;
    return true;
}

static bool fill_copy(int fd, struct str bytes, int64_t stored_ms)
{
    struct timespec t = {(time_t)(stored_ms / 1000), (long)(stored_ms % 1000) * 1000000};
    struct timespec times[2] = {t, t};
    return file_write_all(fd, bytes.s, bytes.n) && futimens(fd, times) == 0;
}

/* A copy that cannot be kept is fetched again next time, and so is one that a power cut has torn. */
static void keep_copy(struct far_depot *d, struct str key, struct str bytes, int64_t stored_ms)
{
    char name[COPY_NAME], temp[COPY_NAME];
    if (d->copies < 0 || !key_text(key, name)) {
        return;
    }
    snprintf(temp, sizeof temp, "tmp-%d-%llx", (int)getpid(), (unsigned long long)time_boot_ns());
    int fd = openat(d->copies, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return;
    }
    bool ok = fill_copy(fd, bytes, stored_ms);
    close(fd);
    if (!ok || renameat(d->copies, temp, d->copies, name) != 0) {
        (void)unlinkat(d->copies, temp, 0);
    }
}

void far_depot_forget_copy(struct depot *base, struct str key)
{
    struct far_depot *d = (struct far_depot *)base;
    char name[COPY_NAME];
    if (d->copies >= 0 && key_text(key, name)) {
        (void)unlinkat(d->copies, name, 0);
    }
}

static bool take_bytes(void *context, const void *bytes, size_t n)
{
    struct buf *b = context;
    buf_put(b, bytes, n);
    return !b->full;
}

static bool read_copy(struct far_depot *d, struct str key, struct buf *out)
{
    char name[COPY_NAME];
    struct arena scratch = {0};
    struct str text;
    bool ok = d->copies >= 0 && key_text(key, name)
              && file_read_quiet(&scratch, d->copies, str_from(name), out->limit, &text);
    if (ok) {
        buf_put_str(out, text);
    }
    arena_free(&scratch);
    return ok;
}

static int64_t stored_of(const struct far_depot *d, struct str key)
{
    uint32_t number = table_find(&d->stored_keys, key);
    return number == TABLE_NONE ? 0 : d->stored_ms.at[number];
}

/* ---- the functions ---- */

static void count_get(struct far_depot *d, uint64_t bytes)
{
    guard_enter(d->place->guard);
    d->place->count.gets++;
    d->place->count.received += bytes;
    guard_leave(d->place->guard);
}

/* Sees whether whoever reads has had enough, which is no trouble of the place's. */
struct watched {
    struct depot_sink sink;
    uint64_t bytes;
    bool enough;
};

static bool watched_take(void *context, const void *bytes, size_t n)
{
    struct watched *w = context;
    w->bytes += n;
    w->enough = !w->sink.take(w->sink.context, bytes, n);
    return !w->enough;
}

static enum depot_answer get_far(struct far_depot *d, struct str key, struct depot_range range,
                                 struct depot_sink sink, struct depot_reply *reply)
{
    struct watched w = {.sink = sink};
    if (refuses(d, reply)) {
        return DEPOT_LATER;
    }
    enum depot_answer answer =
        depot_get(d->inner, key, range, (struct depot_sink){watched_take, &w}, reply);
    count_get(d, w.bytes);
    if (!w.enough) {
        judge(d, false, answer, reply);
    }
    if (answer == DEPOT_ABSENT) {
        far_place_lose(d->place, key);
    }
    return answer;
}

/* What came garbled is not kept for others of this machine. */
static bool is_sound_copy(struct str key, struct str bytes)
{
    return !str_starts(key, STR("m/")) || segment_is_whole(bytes);
}

static enum depot_answer get_copied(struct far_depot *d, struct str key, struct depot_sink sink,
                                    struct depot_reply *reply)
{
    struct buf b;
    buf_init(&b, SEGMENT_STORED_LIMIT + SEGMENT_HEADER);
    *reply = (struct depot_reply){0};
    enum depot_answer answer = DEPOT_DONE;
    if (!read_copy(d, key, &b) || !is_sound_copy(key, buf_str(&b))) {
        struct depot_sink own = {take_bytes, &b};
        buf_clear(&b);
        answer = get_far(d, key, DEPOT_ALL, own, reply);
        if (answer == DEPOT_DONE && is_sound_copy(key, buf_str(&b))) {
            keep_copy(d, key, buf_str(&b), stored_of(d, key));
        }
    }
    if (answer == DEPOT_DONE && b.n && !sink.take(sink.context, b.s, b.n)) {
        answer = DEPOT_REFUSED;
    }
    buf_free(&b);
    return answer;
}

static enum depot_answer far_get(struct depot *base, struct str key, struct depot_range range,
                                 struct depot_sink sink, struct depot_reply *reply)
{
    struct far_depot *d = (struct far_depot *)base;
    return is_copied(key) ? get_copied(d, key, sink, reply) : get_far(d, key, range, sink, reply);
}

static uint64_t source_bytes(const struct depot_source *s)
{
    uint64_t n = s->fd >= 0 ? s->fd_bytes : 0;
    for (uint32_t i = 0; s->fd < 0 && i < s->part_count; i++) {
        n += s->parts[i].n;
    }
    return n;
}

static enum depot_answer far_put(struct depot *base, struct str key,
                                 const struct depot_source *source, bool if_absent,
                                 struct depot_reply *reply)
{
    struct far_depot *d = (struct far_depot *)base;
    *reply = (struct depot_reply){0};
    if (far_place_is_unwritable(d->place)) {
        return DEPOT_REFUSED;
    }
    enum depot_answer answer = depot_put(d->inner, key, source, if_absent, reply);
    guard_enter(d->place->guard);
    d->place->count.puts++;
    d->place->count.sent += source_bytes(source);
    guard_leave(d->place->guard);
    judge(d, true, answer, reply);
    bool whole = answer == DEPOT_DONE && source->fd < 0 && source->part_count == 1;
    if (whole && reply->stored_ms && str_starts(key, STR("m/"))) {
        keep_copy(d, key, source->parts[0], reply->stored_ms);
    }
    return answer;
}

struct listed {
    struct far_depot *d;
    struct depot_each each;
};

static bool note_stored(void *context, const struct depot_entry *e)
{
    struct listed *l = context;
    bool is_new;
    if (str_starts(e->key, STR("m/"))) {
        uint32_t number = table_add(&l->d->stored_keys, e->key, &is_new);
        if (is_new) {
            VEC_PUSH(&l->d->arena, &l->d->stored_ms);
        }
        l->d->stored_ms.at[number] = e->stored_ms;
    }
    return l->each.entry(l->each.context, e);
}

static enum depot_answer far_list(struct depot *base, struct str prefix, struct str after,
                                  struct depot_each each, struct depot_reply *reply)
{
    struct far_depot *d = (struct far_depot *)base;
    struct listed listed = {d, each};
    if (refuses(d, reply)) {
        return DEPOT_LATER;
    }
    enum depot_answer answer =
        depot_list(d->inner, prefix, after, (struct depot_each){note_stored, &listed}, reply);
    guard_enter(d->place->guard);
    d->place->count.lists++;
    guard_leave(d->place->guard);
    judge(d, false, answer, reply);
    return answer;
}

static enum depot_answer far_drop(struct depot *base, struct str key, struct depot_reply *reply)
{
    struct far_depot *d = (struct far_depot *)base;
    *reply = (struct depot_reply){0};
    if (far_place_is_unwritable(d->place)) {
        return DEPOT_REFUSED;
    }
    enum depot_answer answer = depot_drop(d->inner, key, reply);
    guard_enter(d->place->guard);
    d->place->count.drops++;
    guard_leave(d->place->guard);
    judge(d, true, answer, reply);
    return answer;
}

static void far_close(struct depot *base)
{
    struct far_depot *d = (struct far_depot *)base;
    depot_close(d->inner);
    arena_free(&d->arena);
    mem_free(d);
}

static const struct depot_functions functions = {far_get, far_put, far_list, far_drop, far_close};

static struct depot *open_bucket(struct far_place *p, struct diags *notes)
{
    guard_enter(p->guard);
    if (!p->s3) {
        p->s3 = far_s3_open(&p->options, notes);
    }
    struct far_s3 *s3 = p->s3;
    guard_leave(p->guard);
    return s3 ? far_s3_depot(s3, notes) : NULL;
}

static struct depot *open_inner(struct far_place *p, struct diags *notes)
{
    const struct far_options *o = &p->options;
    if (str_starts(o->url, STR("file://"))) {
        return depot_dir_open(str_tail(o->url, 7), o->write && !o->asking, notes);
    }
    return open_bucket(p, notes);
}

struct depot *far_depot_open(struct far_place *p, int copies, struct diags *notes)
{
    struct arena scratch = {0};
    struct diags own;
    diags_init(&own, &scratch);
    struct depot *inner = open_inner(p, &own);
    if (!inner) {
        struct str why = own.all.n ? own.all.at[0].message : STR("it cannot be opened");
        far_place_give_up(p, str_c(&scratch, why));
        far_place_tell(p, notes);
        arena_free(&scratch);
        return NULL;
    }
    arena_free(&scratch);
    struct far_depot *d = mem_alloc(sizeof *d);
    d->depot.f = &functions;
    d->inner = inner;
    d->place = p;
    d->copies = copies;
    table_init(&d->stored_keys, &d->arena);
    return &d->depot;
}

void far_depot_bear(struct depot *base)
{
    ((struct far_depot *)base)->bears = true;
}
