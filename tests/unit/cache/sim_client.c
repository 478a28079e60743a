/* SPDX-License-Identifier: MIT */
/* The child's side. Clock, chance, threads and the far depot come in by the linker's --wrap: the product's code is
 * what runs, without a hook in it. */
#include "tests/unit/cache/sim_client.h"

#include "cache/compact.h"
#include "cache/depot_s3.h"
#include "cache/far_inside.h"
#include "cache/far_s3.h"
#include "core/base/file.h"
#include "core/base/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAGE_ENTRIES = 9, LARGE_EACH = 29, TREE_EACH = 17, TREE_FILES = 4, TEXT_LIMIT = 2 << 20 };
#define FAR_FOLDER "/far-of-the-simulation"

static const struct sim_session *self; /* NULL: not a client */
static uint64_t chance, ticks;

static uint64_t next_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* What must never happen in a client: the place sees it die. */
static void must(bool ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "simulated client: %s\n", what);
        abort();
    }
}

/* ---- the socket ---- */

static void send_all(const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t done = send(self->socket, at, n, MSG_NOSIGNAL);
        if (done <= 0 && errno != EINTR) {
            _exit(0); /* the schedule is over */
        }
        at += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

static void receive_all(void *bytes, size_t n)
{
    char *at = bytes;
    while (n > 0) {
        ssize_t done = recv(self->socket, at, n, 0);
        if (done == 0 || (done < 0 && errno != EINTR)) {
            _exit(0);
        }
        at += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

static void ask(const struct sim_ask *ask, struct str key, struct str after)
{
    send_all(ask, sizeof *ask);
    send_all(key.s, key.n);
    send_all(after.s, after.n);
}

static enum depot_answer hear(struct sim_answer *a, struct depot_reply *reply)
{
    receive_all(a, sizeof *a);
    *reply = (struct depot_reply){.now_ms = a->now_ms, .stored_ms = a->stored_ms};
    return (enum depot_answer)a->answer;
}

static void say(enum sim_said_kind kind, uint32_t result, bool done)
{
    struct sim_said said = {.kind = kind, .result = result, .done = done};
    ask(&(struct sim_ask){.op = SIM_SAY, .n = sizeof said}, STR(""), STR(""));
    send_all(&said, sizeof said);
}

/* ---- the depot ---- */

static enum depot_answer sim_get(struct depot *d, struct str key, struct depot_range range,
                                 struct depot_sink sink, struct depot_reply *reply)
{
    (void)d;
    struct sim_answer a;
    ask(&(struct sim_ask){.op = SIM_GET,
                          .key_n = (uint32_t)key.n,
                          .offset = range.offset,
                          .length = range.length},
        key, STR(""));
    enum depot_answer answer = hear(&a, reply);
    char piece[8192];
    bool enough = false;
    for (uint64_t left = a.n; left > 0;) {
        size_t n = left < sizeof piece ? (size_t)left : sizeof piece;
        receive_all(piece, n);
        enough = enough || !sink.take(sink.context, piece, n);
        left -= n;
    }
    return enough ? DEPOT_REFUSED : answer;
}

static void send_file(int fd, uint64_t bytes)
{
    char piece[8192];
    for (uint64_t at = 0; at < bytes;) {
        size_t want = bytes - at < sizeof piece ? (size_t)(bytes - at) : sizeof piece;
        ssize_t n = pread(fd, piece, want, (off_t)at);
        must(n > 0, "a file that is put is as long as it is said to be");
        send_all(piece, (size_t)n);
        at += (uint64_t)n;
    }
}

static enum depot_answer sim_put(struct depot *d, struct str key, const struct depot_source *source,
                                 bool if_absent, struct depot_reply *reply)
{
    (void)d;
    struct sim_answer a;
    uint64_t n = source->fd >= 0 ? source->fd_bytes : 0;
    for (uint32_t i = 0; source->fd < 0 && i < source->part_count; i++) {
        n += source->parts[i].n;
    }
    ask(&(struct sim_ask){.op = SIM_PUT, .key_n = (uint32_t)key.n, .if_absent = if_absent, .n = n},
        key, STR(""));
    if (source->fd >= 0) {
        send_file(source->fd, source->fd_bytes);
    }
    for (uint32_t i = 0; source->fd < 0 && i < source->part_count; i++) {
        send_all(source->parts[i].s, source->parts[i].n);
    }
    return hear(&a, reply);
}

static enum depot_answer sim_list(struct depot *d, struct str prefix, struct str after,
                                  struct depot_each each, struct depot_reply *reply)
{
    (void)d;
    struct sim_answer a;
    struct depot_reply page;
    struct arena arena = {0};
    ask(&(struct sim_ask){.op = SIM_LIST}, STR(""), STR(""));
    enum depot_answer answer = hear(&a, reply);
    struct str from = after;
    bool more = answer == DEPOT_DONE;
    while (more) {
        ask(&(struct sim_ask){.op = SIM_PAGE,
                              .key_n = (uint32_t)prefix.n,
                              .after_n = (uint32_t)from.n,
                              .length = PAGE_ENTRIES},
            prefix, from);
        answer = hear(&a, &page);
        more = answer == DEPOT_DONE && a.more;
        for (uint64_t left = a.n; left > 0;) {
            struct sim_listed e;
            receive_all(&e, sizeof e);
            char *key = arena_alloc(&arena, e.key_n + 1, 1);
            receive_all(key, e.key_n);
            from = (struct str){key, e.key_n};
            struct depot_entry entry = {from, e.size, e.stored_ms};
            left--;
            if (!each.entry(each.context, &entry)) {
                more = false;
                each.entry = NULL;
            }
            while (!each.entry && left > 0) { /* what is not wanted any more */
                receive_all(&e, sizeof e);
                receive_all(arena_alloc(&arena, e.key_n + 1, 1), e.key_n);
                left--;
            }
        }
    }
    arena_free(&arena);
    return answer;
}

static enum depot_answer sim_drop(struct depot *d, struct str key, struct depot_reply *reply)
{
    (void)d;
    struct sim_answer a;
    ask(&(struct sim_ask){.op = SIM_DROP, .key_n = (uint32_t)key.n}, key, STR(""));
    return hear(&a, reply);
}

static void sim_close(struct depot *d)
{
    mem_free(d);
}

static struct depot *sim_depot(void)
{
    static const struct depot_functions functions = {sim_get, sim_put, sim_list, sim_drop,
                                                     sim_close};
    struct depot *d = mem_alloc(sizeof *d);
    d->f = &functions;
    return d;
}

/* ---- in the product's place, by --wrap ---- */

int64_t __real_time_boot_ns(void);
int64_t __wrap_time_boot_ns(void);
int64_t __real_time_now_ns(void);
int64_t __wrap_time_now_ns(void);
ssize_t __real_getrandom(void *to, size_t n, unsigned flags);
ssize_t __wrap_getrandom(void *to, size_t n, unsigned flags);
struct workers *__real_workers_open(uint32_t count);
struct workers *__wrap_workers_open(uint32_t count);
void __real_workers_for_each(struct workers *w, uint32_t count, void (*f)(void *, uint32_t),
                             void *context);
void __wrap_workers_for_each(struct workers *w, uint32_t count, void (*f)(void *, uint32_t),
                             void *context);
struct far_s3 *__wrap_far_s3_open(const struct far_options *o, struct diags *notes);
struct depot *__wrap_far_s3_depot(struct far_s3 *s, struct diags *notes);
void __wrap_far_s3_close(struct far_s3 *s);
void __wrap_depot_s3_tell(struct depot *d, struct diags *notes);
struct depot *__real_depot_dir_open(struct str dir, bool writable, struct diags *notes);
struct depot *__wrap_depot_dir_open(struct str dir, bool writable, struct diags *notes);

int64_t __wrap_time_boot_ns(void)
{
    return self ? (self->clock->now_ms + self->boot_ms) * 1000000 + (int64_t)(ticks++ % 1000000)
                : __real_time_boot_ns();
}

int64_t __wrap_time_now_ns(void)
{
    return self ? (self->clock->now_ms + self->skew_ms) * 1000000 : __real_time_now_ns();
}

ssize_t __wrap_getrandom(void *to, size_t n, unsigned flags)
{
    if (!self) {
        return __real_getrandom(to, n, flags);
    }
    for (size_t i = 0; i < n; i++) {
        ((uint8_t *)to)[i] = (uint8_t)next_random(&chance);
    }
    return (ssize_t)n;
}

struct workers *__wrap_workers_open(uint32_t count)
{
    return __real_workers_open(self && count > 1 ? 1 : count);
}

/* One after the other: what asks the place asks it in one order. */
void __wrap_workers_for_each(struct workers *w, uint32_t count, void (*f)(void *, uint32_t),
                             void *context)
{
    if (!self) {
        __real_workers_for_each(w, count, f, context);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        f(context, i);
    }
}

struct far_s3 *__wrap_far_s3_open(const struct far_options *o, struct diags *notes)
{
    (void)o;
    (void)notes;
    return (struct far_s3 *)(uintptr_t)self;
}

struct depot *__wrap_far_s3_depot(struct far_s3 *s, struct diags *notes)
{
    (void)s;
    (void)notes;
    return sim_depot();
}

void __wrap_far_s3_close(struct far_s3 *s)
{
    (void)s;
}

void __wrap_depot_s3_tell(struct depot *d, struct diags *notes)
{
    (void)d;
    (void)notes;
}

struct depot *__wrap_depot_dir_open(struct str dir, bool writable, struct diags *notes)
{
    return str_eq(dir, STR(FAR_FOLDER)) ? sim_depot() : __real_depot_dir_open(dir, writable, notes);
}

/* ---- contents ---- */

/* Bytes of a content's part, which compress but little. Large ones share most of their chunks with their like. */
static struct str part_bytes(struct arena *a, int content, int part)
{
    bool large = content % LARGE_EACH == 1;
    size_t n =
        large ? (size_t)(1200 << 10) : 700 + (size_t)(content % 40) * 60 + (size_t)part * 100;
    uint64_t seed = large ? 5 : (uint64_t)content * 8 + (uint64_t)part;
    char *bytes = arena_alloc(a, n + 8, 8);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t word = next_random(&seed);
        memcpy(bytes + i, &word, sizeof word);
    }
    if (large) {
        snprintf(bytes + 1000, 32, "content %d", content);
    }
    return (struct str){bytes, n};
}

static uint32_t part_count(int content)
{
    return content % TREE_EACH == 3 ? TREE_FILES : 1;
}

/* Where a part stands below the output's path. Two trees share their first file. */
static struct str part_path(struct arena *a, struct str path, int content, uint32_t part)
{
    static const char *const names[TREE_FILES] = {"/shared", "/b", "/c/d", "/c/e"};
    return part_count(content) == 1 ? path : str_join3(a, path, str_from(names[part]), STR(""));
}

static int part_content(int content, uint32_t part)
{
    return part_count(content) > 1 && part == 0 ? 3 : content;
}

static void write_content(int root, struct str path, int content)
{
    struct arena a = {0};
    (void)file_remove_tree(root, path);
    for (uint32_t i = 0; i < part_count(content); i++) {
        struct str name = part_path(&a, path, content, i);
        must(file_make_parents(root, name, 0700)
                 && file_write(root, name, part_bytes(&a, part_content(content, i), (int)i), 0644,
                               false),
             "the workspace takes an output");
    }
    arena_free(&a);
}

static bool is_content(int root, struct str path, int content)
{
    struct arena a = {0};
    bool same = true;
    for (uint32_t i = 0; i < part_count(content); i++) {
        struct str got;
        same = same && file_read_quiet(&a, root, part_path(&a, path, content, i), TEXT_LIMIT, &got)
               && str_eq(got, part_bytes(&a, part_content(content, i), (int)i));
    }
    arena_free(&a);
    return same;
}

/* ---- a session ---- */

struct session {
    struct arena arena;
    struct diags notes;
    int work;
    struct str near_dir;
    struct far *far;
};

static struct digest fingerprint_of(uint32_t result)
{
    return digest_of(&result, sizeof result);
}

static struct str output_path(struct session *s, uint32_t result, const char *which)
{
    char name[40];
    int n = snprintf(name, sizeof name, "out-%u-%s", result, which);
    return str_copy(&s->arena, (struct str){name, (size_t)n});
}

static void open_session(struct session *s)
{
    diags_init(&s->notes, &s->arena);
    char name[64];
    int n = snprintf(name, sizeof name, "work-%d", (int)getpid());
    struct str dir = str_from(self->dir);
    struct str work = path_join(&s->arena, dir, (struct str){name, (size_t)n});
    must(file_make_dirs(FILE_CWD, work, 0700), "a workspace can be made");
    s->work = open(str_c(&s->arena, work), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->near_dir = path_join(&s->arena, dir, STR("near"));
    struct far_options o = {.url = self->folder ? STR("file://" FAR_FOLDER) : STR("s3://bucket/x"),
                            .read = true,
                            .write = true,
                            .near_dir = s->near_dir};
    s->far = far_open(&o, &s->notes);
    must(s->far != NULL, "the far place can be named");
}

static void add_output(struct session *s, struct record *r, struct str path, int content)
{
    struct object_seen seen;
    write_content(s->work, path, content);
    must(object_digest(s->work, path, &seen, &s->notes), "an output can be read");
    ((struct record_output *)r->outputs)[r->output_count++] =
        (struct record_output){path, seen.mode, seen.ref, seen.content};
}

static void act_store(struct session *s)
{
    struct cache_options options = {.dir = s->near_dir};
    struct cache *near = cache_open(&options, &s->notes);
    struct digest prints[SIM_WANTS];
    must(near != NULL, "the near cache opens");
    for (uint32_t i = 0; i < self->plan.store_count; i++) {
        uint32_t number = self->plan.store[i];
        const struct sim_result *result = &self->results[number];
        struct record r = {.fingerprint = fingerprint_of(number),
                           .success_ms = result->success_ms,
                           .duration_ms = 1000,
                           .where = STR("simulation")};
        r.outputs = ARENA_ARRAY(&s->arena, struct record_output, 2);
        add_output(s, &r, output_path(s, number, "a"), result->content);
        if (result->second >= 0) {
            add_output(s, &r, output_path(s, number, "b"), result->second);
        }
        uint64_t sequence;
        must(cache_store(near, &r, s->work, STR(""), &sequence, &s->notes), "a result is stored");
        prints[i] = r.fingerprint;
    }
    must(cache_flush(near, true, &s->notes), "results are committed");
    cache_close(near, &s->notes);
    must(far_queue_add(far_place_of(s->far), prints, self->plan.store_count), "the queue grows");
}

static uint32_t result_of(const struct digest *fingerprint)
{
    for (uint32_t i = 0; i < SIM_RESULTS; i++) { /* others may have made more meanwhile */
        struct digest d = fingerprint_of(i);
        if (digest_eq(&d, fingerprint)) {
            return i;
        }
    }
    return UINT32_MAX;
}

static void act_push(struct session *s)
{
    struct digest *prints;
    struct far_pushed pushed;
    uint32_t count = far_queue_read(far_place_of(s->far), &s->arena, &prints);
    if (count == 0) {
        return;
    }
    far_push(s->far, prints, count, INT64_MAX, &pushed, &s->notes);
    if (!pushed.whole || pushed.missing > 0) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        say(SIM_ACKED, result_of(&prints[i]), true);
    }
    must(far_queue_drop(far_place_of(s->far), prints, count), "the queue shrinks");
}

static bool is_as_made(struct session *s, uint32_t number, const struct record *r)
{
    return r->output_count == (self->results[number].second < 0 ? 1 : 2)
           && str_eq(r->outputs[0].path, output_path(s, number, "a"))
           && (r->output_count < 2 || str_eq(r->outputs[1].path, output_path(s, number, "b")));
}

static enum sim_said_kind restore(struct session *s, uint32_t number, const struct far_want *w)
{
    const struct sim_result *result = &self->results[number];
    if (!w->here || !cache_restore(far_near(s->far), &w->got, s->work, NULL, &s->notes)) {
        return SIM_MISS;
    }
    if (!is_as_made(s, number, &w->hit->record)) {
        return SIM_MISS; /* who lies may say so: the record is not signed */
    }
    bool right =
        is_content(s->work, output_path(s, number, "a"), result->content)
        && (result->second < 0 || is_content(s->work, output_path(s, number, "b"), result->second));
    return right ? SIM_HIT : SIM_WRONG;
}

static void act_fetch(struct session *s)
{
    uint32_t count = self->plan.fetch_count, n = 0;
    struct far_want *wants = ARENA_ARRAY(&s->arena, struct far_want, count + 1);
    uint32_t *numbers = ARENA_ARRAY(&s->arena, uint32_t, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        struct far_hit *hits;
        numbers[n] = self->plan.fetch[i];
        struct digest print = fingerprint_of(numbers[n]);
        if (far_lookup(s->far, &s->arena, &print, INT64_MIN, &hits, &s->notes) > 0) {
            wants[n++] = (struct far_want){.hit = &hits[0]};
        } else {
            say(SIM_MISS, numbers[n], true);
        }
    }
    far_fetch(s->far, wants, n, INT64_MAX, &s->arena, &s->notes);
    for (uint32_t i = 0; i < n; i++) {
        say(restore(s, numbers[i], &wants[i]), numbers[i], true);
    }
}

static void act_collect(struct session *s)
{
    struct cache_gc_options o = {0};
    struct cache_gc_report report;
    say(SIM_COLLECTED, 0, far_gc(s->far, &o, &report, &s->notes));
}

/* As the end of a build does by chance. */
static void act_merge(struct session *s)
{
    struct far_view *v = &s->far->view;
    struct manifest *m = &v->manifest;
    struct needed needed;
    struct stock stock;
    if (!far_view_open(v, s->far->place, &s->notes) || !far_view_sync_full(v, &s->notes)
        || !manifest_read_format(m, true, &s->notes) || !stock_read(&stock, m, &s->notes)) {
        return;
    }
    needed_init(&needed, &m->view, manifest_now_ms(m), m->keep_ms);
    bool ok = compact_run(m, &needed, &stock,
                          self->plan.merge_all ? COMPACT_ALL : COMPACT_SMALL_ONES, &s->notes);
    needed_free(&needed);
    stock_free(&stock);
    say(SIM_MERGED, 0, ok);
}

static bool add_hit(void *context, const struct far_hit *h)
{
    struct digest d = digest_of(h->row.s, h->row.n);
    for (size_t i = 0; i < sizeof d.b; i++) {
        ((uint8_t *)context)[i] ^= d.b[i]; /* in any order */
    }
    return true;
}

static void act_look_all(struct session *s)
{
    struct sim_said said = {.kind = SIM_ROWS};
    struct far_view *v = &s->far->view;
    if (self->plan.full_look) {
        (void)(far_view_open(v, s->far->place, &s->notes) && far_view_sync_full(v, &s->notes));
    }
    said.done = far_each(s->far, add_hit, said.digest, &s->notes);
    ask(&(struct sim_ask){.op = SIM_SAY, .n = sizeof said}, STR(""), STR(""));
    send_all(&said, sizeof said);
}

static void act(struct session *s, enum sim_action action)
{
    struct cache_check_report report;
    switch (action) {
    case SIM_STORE: act_store(s); break;
    case SIM_PUSH: act_push(s); break;
    case SIM_FETCH: act_fetch(s); break;
    case SIM_COLLECT: act_collect(s); break;
    case SIM_MERGE: act_merge(s); break;
    case SIM_LOOK_ALL: act_look_all(s); break;
    case SIM_CHECK: (void)far_check(s->far, &report, &s->notes); break;
    }
}

static void tell_notes(struct session *s)
{
    for (uint32_t i = 0; getenv("PAWL_SIM_TELL") && i < s->notes.all.n; i++) {
        fprintf(stderr, "    [%d] %s\n", (int)getpid(),
                str_c(&s->arena, s->notes.all.at[i].message));
    }
}

_Noreturn void sim_client_run(const struct sim_session *session)
{
    struct session s = {.work = -1};
    self = session;
    chance = session->seed;
    if (session->hard_limit) {
        struct rlimit limit = {session->hard_limit, session->hard_limit};
        (void)setrlimit(RLIMIT_AS, &limit);
    }
    open_session(&s);
    for (uint32_t i = 0; i < session->plan.action_count; i++) {
        act(&s, session->plan.actions[i]);
    }
    tell_notes(&s);
    far_close(s.far);
    arena_free(&s.arena);
    _exit(0);
}
