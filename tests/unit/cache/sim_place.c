/* SPDX-License-Identifier: MIT */
/* Misfortune within the bounds that the protocol states: what is signed arrives within 20 min or never, a bucket does
 * what it has confirmed, and its dates are a few seconds off. Clients may sleep for days wherever they wait. */
#include "tests/unit/cache/sim_place.h"

#include "core/base/file.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANG_MS = 120000, OPS_LIMIT = 20000, PLACES_TRIED = 4, PUT_LIMIT = 80 << 20 };
#define VALID_MS (20 * SIM_MINUTE) /* of a signature and its transfer */
#define MEMORY_LIMIT (UINT64_C(1) << 30)

uint64_t sim_roll(struct sim *s, uint64_t n)
{
    return mem_random(&s->seed) % n;
}

void sim_fail(struct sim *s, const char *format, ...)
{
    va_list args;
    if (!s->failed) {
        va_start(args, format);
        vsnprintf(s->why, sizeof s->why, format, args);
        va_end(args);
    }
    s->failed = true;
}

static void tell(const struct sim *s, const struct sim_client *c, const char *what)
{
    static const char *const ops[] = {"get", "put", "list", "page", "drop", "say"};
    if (s->tell) {
        int64_t m = (s->place.now_ms - INT64_C(1700000000000)) / 1000;
        fprintf(stderr, "%3lld d %02lld:%02lld:%02lld  client %d of machine %d: %s %s %s\n",
                (long long)(m / 86400), (long long)(m / 3600 % 24), (long long)(m / 60 % 60),
                (long long)(m % 60), (int)(c - s->clients), c->machine, ops[c->ask.op],
                c->key ? c->key : "", what);
    }
}

/* ---- the clock, and what is late ---- */

static void note_segment(struct sim *s, struct str bytes, const char *key);

static void add_late(struct sim *s, const char *key, struct str bytes, bool drop, int64_t at_ms)
{
    if (s->late_count == s->late_cap) {
        s->late_cap = s->late_cap ? 2 * s->late_cap : 8;
        s->late = mem_resize(s->late, s->late_cap * sizeof *s->late);
    }
    char *copied = mem_alloc(strlen(key) + 1), *content = mem_alloc(bytes.n + 1);
    memcpy(copied, key, strlen(key));
    if (bytes.n) {
        memcpy(content, bytes.s, bytes.n);
    }
    s->late[s->late_count++] = (struct sim_late){at_ms, copied, content, bytes.n, drop};
    s->count.late++;
}

static void arrive(struct sim *s, struct sim_late *l)
{
    struct str key = str_from(l->key);
    if (l->drop) {
        mem_remove(&s->place, key);
        s->check_soon = true;
    } else {
        mem_put(&s->place, key, (struct str){l->bytes, l->n});
        note_segment(s, (struct str){l->bytes, l->n}, l->key);
    }
    mem_free(l->key);
    mem_free(l->bytes);
}

void sim_pass_to(struct sim *s, int64_t ms)
{
    while (true) {
        uint32_t first = UINT32_MAX;
        for (uint32_t i = 0; i < s->late_count; i++) {
            if (s->late[i].at_ms <= ms
                && (first == UINT32_MAX || s->late[i].at_ms < s->late[first].at_ms)) {
                first = i;
            }
        }
        if (first == UINT32_MAX) {
            break;
        }
        struct sim_late l = s->late[first];
        s->late[first] = s->late[--s->late_count];
        s->place.now_ms = l.at_ms > s->place.now_ms ? l.at_ms : s->place.now_ms;
        arrive(s, &l);
    }
    s->place.now_ms = ms > s->place.now_ms ? ms : s->place.now_ms;
    s->clock->now_ms = s->place.now_ms;
}

/* ---- what is condemned, by what was ever put ---- */

static struct sim_condemned *find_condemned(struct sim *s, const struct pack_id *pack)
{
    for (uint32_t i = 0; i < s->condemned_count; i++) {
        if (pack_id_eq(&s->condemned[i].pack, pack)) {
            return &s->condemned[i];
        }
    }
    return NULL;
}

static void note_segment(struct sim *s, struct str bytes, const char *key)
{
    struct segment segment;
    int64_t named_ms;
    if (!segment_key_parse(str_from(key), &named_ms) || s->hostile
        || segment_read(bytes, &segment) != SEGMENT_GOOD) {
        return;
    }
    int64_t late = s->place.now_ms - named_ms;
    bool timely = late <= VIEW_LATE_MS && late >= -VIEW_LATE_MS;
    for (uint32_t i = 0; timely && i < segment.condemned.n; i++) {
        const struct pack_id *pack = &segment.condemned.at[i].pack;
        if (segment.condemned.at[i].since_ms == 0 && !find_condemned(s, pack)
            && s->condemned_count < SIM_CONDEMNED) {
            s->condemned[s->condemned_count++] = (struct sim_condemned){*pack, s->place.now_ms};
        }
    }
    segment_free(&segment);
}

static void judge_drop(struct sim *s, const char *key)
{
    struct pack_id pack;
    bool plain;
    s->count.drops++;
    s->check_soon = true;
    if (s->hostile || !pack_key_parse(str_from(key), &pack, &plain)) {
        return;
    }
    const struct sim_condemned *c = find_condemned(s, &pack);
    if (!c) {
        sim_fail(s, "%s was dropped and never condemned", key);
    } else if (s->place.now_ms - c->since_ms < s->grace_ms - 5000) { /* dates are to the second */
        sim_fail(s, "%s was dropped %lld min after it was condemned", key,
                 (long long)((s->place.now_ms - c->since_ms) / SIM_MINUTE));
    }
}

/* By whoever has a wrong clock: void is what it condemns, and it must hide nobody. */
void sim_plant_future(struct sim *s)
{
    struct segment_draft draft;
    struct buf bytes;
    char name[SEGMENT_NAME];
    segment_draft_init(&draft);
    buf_init(&bytes, SEGMENT_STORED_LIMIT);
    struct segment_use use = {.day = 1};
    segment_draft_add_use(&draft, &use);
    for (uint32_t i = 0; i < s->place.count && draft.condemned_count < 3; i++) {
        struct segment_condemned c = {.since_ms = 0};
        bool plain;
        if (pack_key_parse(str_from(s->place.entries[i].key), &c.pack, &plain)
            && sim_roll(s, 4) == 0) {
            segment_draft_add_condemned(&draft, &c);
        }
    }
    int64_t ahead = 11 * SIM_MINUTE + (int64_t)sim_roll(s, 2 * SIM_DAY);
    if (segment_draft_write(&draft, &bytes)) {
        mem_put(&s->place, segment_key(s->place.now_ms + ahead, mem_random(&s->seed), name),
                buf_str(&bytes));
    }
    buf_free(&bytes);
    segment_draft_free(&draft);
}

/* ---- what the place answers ---- */

static int64_t dated(struct sim *s, int64_t ms)
{
    return s->folder ? ms : ms - ms % 1000;
}

static int64_t told_now(struct sim *s)
{
    return dated(s, s->place.now_ms + (s->folder ? 0 : (int64_t)sim_roll(s, 3000) - 1500));
}

static void apply_get(struct sim *s, struct sim_client *c)
{
    const struct mem_entry *e = mem_find(&s->place, str_from(c->key));
    if (!e) {
        c->answer.answer = DEPOT_ABSENT;
        return;
    }
    uint64_t offset = c->ask.offset < e->n ? c->ask.offset : e->n;
    uint64_t n = e->n - offset < c->ask.length ? e->n - offset : c->ask.length;
    buf_put(&c->reply, e->bytes + offset, (size_t)n);
    if (!c->quiet && sim_roll(s, 150) == 0) {
        c->reply.n /= 2;
    }
    if (!c->quiet && sim_roll(s, 150) == 0 && c->reply.n) {
        c->reply.s[sim_roll(s, c->reply.n)] ^= 1;
    }
    c->answer.n = c->reply.n;
}

static void apply_put(struct sim *s, struct sim_client *c)
{
    struct str bytes = {c->bytes, (size_t)c->ask.n};
    if (!s->folder && s->place.now_ms - c->began_ms > VALID_MS) {
        c->answer.answer = DEPOT_LATER; /* too old to be believed */
        return;
    }
    if (!s->folder && !c->quiet
        && sim_roll(s, 30) == 0) { /* the answer is lost, and the put under way */
        int64_t rest = VALID_MS - (s->place.now_ms - c->began_ms);
        add_late(s, c->key, bytes, false,
                 s->place.now_ms + (int64_t)sim_roll(s, (uint64_t)rest + 1));
        c->answer.answer = DEPOT_LATER;
        return;
    }
    mem_put(&s->place, str_from(c->key), bytes);
    note_segment(s, bytes, c->key);
    c->answer.stored_ms = dated(s, s->place.now_ms);
    if (!s->folder && !c->quiet && sim_roll(s, 40) == 0) { /* a repeated request comes twice */
        add_late(s, c->key, bytes, false, s->place.now_ms + (int64_t)sim_roll(s, 5 * SIM_MINUTE));
    }
}

static void apply_drop(struct sim *s, struct sim_client *c)
{
    int64_t age = s->place.now_ms - c->began_ms;
    if (!s->folder && age > VALID_MS) {
        c->answer.answer = DEPOT_LATER;
        return;
    }
    if (!c->quiet && sim_roll(s, 25) == 0 && !s->folder) {
        bool pack = strncmp(c->key, "p/", 2) == 0;
        judge_drop(s, c->key);
        add_late(s, c->key, STR(""), true,
                 s->place.now_ms
                     + (int64_t)sim_roll(s, pack ? 40 * SIM_HOUR : (uint64_t)(VALID_MS - age) + 1));
        c->answer.answer = DEPOT_LATER;
        return;
    }
    if (!mem_find(&s->place, str_from(c->key))) {
        c->answer.answer = DEPOT_ABSENT;
        return;
    }
    judge_drop(s, c->key);
    mem_remove(&s->place, str_from(c->key));
}

static void apply_page(struct sim *s, struct sim_client *c)
{
    struct str prefix = str_from(c->key), after = str_from(c->after);
    for (uint32_t i = 0; i < s->place.count; i++) {
        const struct mem_entry *e = &s->place.entries[i];
        struct str key = str_from(e->key);
        if (!str_starts(key, prefix) || str_cmp(key, after) <= 0) {
            continue;
        }
        if (c->answer.n == c->ask.length) {
            c->answer.more = 1;
            break;
        }
        struct sim_listed listed = {e->n, dated(s, e->stored_ms), key.n};
        buf_put(&c->reply, &listed, sizeof listed);
        buf_put_str(&c->reply, key);
        c->answer.n++;
    }
}

static void apply(struct sim *s, struct sim_client *c)
{
    c->answer = (struct sim_answer){.answer = DEPOT_DONE, .now_ms = told_now(s)};
    c->reply.n = 0;
    if (!c->quiet && sim_roll(s, 200) == 0) {
        c->answer = (struct sim_answer){.answer = sim_roll(s, 8) ? DEPOT_LATER : DEPOT_REFUSED};
        tell(s, c, "fails");
        return;
    }
    switch ((enum sim_op)c->ask.op) {
    case SIM_GET:
        apply_get(s, c);
        if (s->hostile && !c->quiet && c->answer.answer == DEPOT_DONE) {
            sim_lie_get(s, c);
        }
        break;
    case SIM_PUT: apply_put(s, c); break;
    case SIM_PAGE:
        apply_page(s, c);
        if (s->hostile && !c->quiet) {
            sim_lie_page(s, c);
        }
        break;
    case SIM_DROP: apply_drop(s, c); break;
    case SIM_LIST:
    case SIM_SAY:
    default: break;
    }
    if (s->hostile && !c->quiet) {
        sim_lie_answer(s, c);
    }
    if (!c->quiet && sim_roll(s, 200) == 0) { /* done, and nobody hears of it */
        c->answer = (struct sim_answer){.answer = DEPOT_LATER};
        c->reply.n = 0;
    }
    tell(s, c, c->answer.answer == DEPOT_DONE ? "" : "is not done");
}

/* ---- clients ---- */

static void reap(struct sim *s, struct sim_client *c, bool killed)
{
    int status;
    if (killed) {
        kill(c->pid, SIGKILL);
        s->count.kills++;
        tell(s, c, "and is killed");
    }
    close(c->socket);
    waitpid(c->pid, &status, 0);
    if (!killed && !(WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        sim_fail(s, "a client died: %s %d", WIFEXITED(status) ? "exit" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    }
    s->puts = c->puts;
    s->gets = c->gets;
    s->lists = c->lists;
    mem_free(c->key);
    mem_free(c->after);
    mem_free(c->bytes);
    buf_free(&c->reply);
    memset(c, 0, sizeof *c);
    s->check_soon = true;
}

/* false: it has ended, or hangs. */
static bool receive(struct sim *s, struct sim_client *c, void *bytes, size_t n)
{
    char *at = bytes;
    while (n > 0) {
        struct pollfd p = {c->socket, POLLIN, 0};
        int ready = poll(&p, 1, HANG_MS);
        if (ready == 0) {
            sim_fail(s, "a client hangs");
            kill(c->pid, SIGABRT);
            return false;
        }
        ssize_t done = ready > 0 ? recv(c->socket, at, n, 0) : -1;
        if (done == 0 || (done < 0 && errno != EINTR)) {
            return false;
        }
        at += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
    return true;
}

static char *receive_text(struct sim *s, struct sim_client *c, uint64_t n)
{
    char *text = mem_alloc((size_t)n + 1);
    if (!receive(s, c, text, (size_t)n)) {
        mem_free(text);
        return NULL;
    }
    text[n] = 0;
    return text;
}

static void note_result(struct sim *s, struct sim_client *c, const struct sim_said *said)
{
    struct sim_result *r = said->result < s->result_count ? &s->results[said->result] : NULL;
    if (!r) {
        sim_fail(s, "a client speaks of a result that nobody made");
        return;
    }
    switch ((enum sim_said_kind)said->kind) {
    case SIM_ACKED:
        s->count.acked += r->acked_ms == 0;
        r->acked_ms = r->acked_ms ? r->acked_ms : s->place.now_ms;
        break;
    case SIM_HIT: s->count.hits++; break;
    case SIM_MISS:
        s->count.misses++;
        if (c->strict && r->acked_ms && r->acked_ms < s->place.now_ms - SIM_MINUTE
            && sim_is_kept(s, r)) {
            sim_fail(s, "result %u of content %d is a miss for machine %d", said->result,
                     r->content, c->machine);
        }
        break;
    case SIM_WRONG: sim_fail(s, "result %u came with other bytes", said->result); break;
    case SIM_COLLECTED:
    case SIM_MERGED:
    case SIM_ROWS:
    case SIM_PUSHED:
    default: break;
    }
}

static void take_said(struct sim *s, struct sim_client *c, const struct sim_said *said)
{
    switch ((enum sim_said_kind)said->kind) {
    case SIM_COLLECTED: s->count.collections += said->done; break;
    case SIM_MERGED: s->count.merges += said->done; break;
    case SIM_ROWS: memcpy(s->rows, said->digest, sizeof s->rows); break;
    case SIM_ACKED:
    case SIM_HIT:
    case SIM_MISS:
    case SIM_WRONG:
    case SIM_PUSHED:
    default: note_result(s, c, said); break;
    }
    if (s->tell) {
        fprintf(stderr, "    client %d says %u of result %u: %u\n", (int)(c - s->clients),
                said->kind, said->result, said->done);
    }
}

/* How long something takes: mostly little, at times minutes, seldom a night. */
static int64_t delay(struct sim *s, struct sim_client *c)
{
    int64_t ms = (int64_t)sim_roll(s, 300);
    if (c->quiet) {
        return ms;
    }
    uint32_t puts = c->ask.op == SIM_PUT && !c->applied ? 3 : 1; /* there the most can happen */
    if (sim_roll(s, s->stall_in / puts) == 0) {
        ms = (int64_t)sim_roll(s, (sim_roll(s, 2) ? 8 : 19) * SIM_MINUTE);
        if (puts > 1 && sim_roll(s, 3) == 0) { /* as late as it can be */
            ms = 15 * SIM_MINUTE + (int64_t)sim_roll(s, 5 * SIM_MINUTE);
        }
    } else if (sim_roll(s, s->sleep_in / puts) == 0) {
        ms = (int64_t)sim_roll(s, 30 * SIM_HOUR);
    }
    if (c->ask.op == SIM_DROP && s->folder && ms > SIM_MINUTE) {
        ms = SIM_MINUTE; /* nobody refuses a late unlink: beyond the bounds */
    }
    return ms;
}

/* Runs the client until it waits again, or ends. */
static void run_client(struct sim *s, struct sim_client *c)
{
    bool ok = true;
    while (ok) {
        ok = receive(s, c, &c->ask, sizeof c->ask);
        if (!ok || c->ask.op != SIM_SAY) {
            break;
        }
        struct sim_said said;
        ok = c->ask.n == sizeof said && receive(s, c, &said, sizeof said);
        if (ok) {
            take_said(s, c, &said);
        }
    }
    mem_free(c->key);
    mem_free(c->after);
    mem_free(c->bytes);
    c->key = c->after = c->bytes = NULL;
    ok = ok && c->ask.key_n < 4096 && c->ask.after_n < 4096
         && (c->ask.op != SIM_PUT || c->ask.n <= PUT_LIMIT);
    ok = ok && (c->key = receive_text(s, c, c->ask.key_n)) != NULL
         && (c->after = receive_text(s, c, c->ask.after_n)) != NULL
         && (c->bytes = receive_text(s, c, c->ask.op == SIM_PUT ? c->ask.n : 0)) != NULL;
    if (!ok) {
        reap(s, c, false);
        return;
    }
    s->count.ops++;
    c->puts += c->ask.op == SIM_PUT;
    c->gets += c->ask.op == SIM_GET;
    c->lists += c->ask.op == SIM_LIST;
    if (++c->ops > OPS_LIMIT) {
        sim_fail(s, "a client asks without end");
        reap(s, c, true);
        return;
    }
    c->applied = false;
    c->began_ms = s->place.now_ms;
    c->wake_ms = s->place.now_ms + delay(s, c);
}

static void send_answer(struct sim *s, struct sim_client *c)
{
    (void)s;
    struct str parts[2] = {{(const char *)&c->answer, sizeof c->answer}, buf_str(&c->reply)};
    for (int i = 0; i < 2; i++) {
        for (size_t at = 0; at < parts[i].n;) {
            ssize_t done = send(c->socket, parts[i].s + at, parts[i].n - at, MSG_NOSIGNAL);
            if (done < 0 && errno != EINTR) {
                return; /* it is gone; the next receive sees it */
            }
            at += done > 0 ? (size_t)done : 0;
        }
    }
}

static bool is_killed_now(struct sim_client *c)
{
    return c->kill_in > 0 && --c->kill_in == 0;
}

bool sim_step(struct sim *s, int64_t before_ms)
{
    struct sim_client *next = NULL;
    for (int i = 0; i < SIM_CLIENTS; i++) {
        struct sim_client *c = &s->clients[i];
        if (c->pid && (!next || c->wake_ms < next->wake_ms)) {
            next = c;
        }
    }
    if (!next || next->wake_ms >= before_ms) {
        return false;
    }
    sim_pass_to(s, next->wake_ms);
    if (is_killed_now(next)) {
        reap(s, next, true);
        return true;
    }
    if (!next->applied) {
        apply(s, next);
        next->applied = true;
        next->wake_ms = s->place.now_ms + delay(s, next);
        if (s->check_soon && sim_roll(s, 6) == 0) {
            sim_check(s);
        }
        return true;
    }
    send_answer(s, next);
    run_client(s, next);
    return true;
}

void sim_drain(struct sim *s)
{
    while (sim_step(s, INT64_MAX)) {
    }
}

bool sim_is_busy(const struct sim *s, int machine)
{
    bool busy = false;
    for (int i = 0; i < SIM_CLIENTS; i++) {
        busy |= s->clients[i].pid && s->clients[i].machine == machine;
    }
    return busy;
}

void sim_machine_new(struct sim *s, int machine)
{
    struct sim_machine *m = &s->machines[machine];
    snprintf(m->dir, sizeof m->dir, "%s/machine-%d", s->dir, machine);
    (void)file_remove_tree(FILE_CWD, str_from(m->dir));
    (void)file_make_dirs(FILE_CWD, str_from(m->dir), 0700);
    m->boot_ms = (int64_t)sim_roll(s, 100 * SIM_DAY) - s->place.now_ms;
    m->skew_ms = sim_roll(s, 3) ? 0 : (int64_t)sim_roll(s, 4 * SIM_DAY) - 2 * SIM_DAY;
}

bool sim_start(struct sim *s, int machine, struct sim_plan plan, bool quiet, bool strict)
{
    struct sim_client *c = NULL;
    for (int i = 0; i < SIM_CLIENTS && !c; i++) {
        c = s->clients[i].pid ? NULL : &s->clients[i];
    }
    int pair[2];
    if (!c || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        return false;
    }
    memset(c, 0, sizeof *c);
    for (uint32_t i = 0; i < plan.fetch_count; i++) {
        c->fetch[i] = plan.fetch[i];
    }
    plan.fetch = c->fetch;
    const struct sim_machine *m = &s->machines[machine];
    struct sim_session session = {.socket = pair[1],
                                  .seed = mem_random(&s->seed),
                                  .folder = s->folder,
                                  .dir = m->dir,
                                  .boot_ms = m->boot_ms,
                                  .skew_ms = m->skew_ms,
                                  .clock = s->clock,
                                  .results = s->results,
                                  .result_count = s->result_count,
                                  .plan = plan};
#ifndef __SANITIZE_ADDRESS__
    session.hard_limit = MEMORY_LIMIT;
#endif
    fflush(NULL);
    c->pid = fork();
    if (c->pid == 0) {
        close(pair[0]);
        sim_client_run(&session);
    }
    close(pair[1]);
    c->socket = pair[0];
    c->machine = machine;
    c->quiet = quiet;
    c->strict = strict;
    buf_init(&c->reply, 256 << 20);
    s->count.sessions++;
    if (c->pid < 0) {
        sim_fail(s, "no process can be made");
        c->pid = 0;
        return false;
    }
    run_client(s, c);
    if (c->pid && !quiet && sim_roll(s, 4) == 0) {
        c->kill_in = 1 + (int)sim_roll(s, sim_roll(s, 3) ? 24 : 80);
    }
    return true;
}

/* ---- what must hold ---- */

bool sim_is_kept(const struct sim *s, const struct sim_result *r)
{
    return s->place.now_ms - r->success_ms < s->keep_ms - SIM_DAY;
}

static bool has_bytes(const struct manifest *m, struct mem_handle *h, const struct ref *root)
{
    struct arena scratch = {0};
    struct pack_place *places;
    const struct fetch fetch = {&h->depot, -1, NULL, false, NULL};
    bool found = false;
    uint32_t count = view_find_places(&m->view, root, VIEW_PLACES_FEW, &scratch, &places);
    for (uint32_t i = 0; i < count && i < PLACES_TRIED && !found; i++) {
        found = fetch_check(&fetch, &places[i]) == FETCH_DONE;
    }
    arena_free(&scratch);
    return found;
}

static void check_result(struct sim *s, const struct manifest *m, struct mem_handle *h, uint32_t i)
{
    struct arena scratch = {0};
    struct str *rows;
    struct record r;
    struct digest print = digest_of(&i, sizeof i);
    if (view_find_rows(&m->view, &print, &scratch, &rows) == 0
        || !record_read(&scratch, rows[0], &r)) {
        sim_fail(s, "result %u of content %d is gone", i, s->results[i].content);
    } else {
        for (uint32_t k = 0; k < r.output_count; k++) {
            if (!has_bytes(m, h, &r.outputs[k].ref)) {
                sim_fail(s, "result %u of content %d is without its bytes", i,
                         s->results[i].content);
            }
        }
    }
    arena_free(&scratch);
}

void sim_check(struct sim *s)
{
    struct mem_handle h;
    struct manifest m;
    struct arena arena = {0};
    struct diags notes;
    s->check_soon = false;
    if (s->hostile) {
        return;
    }
    diags_init(&notes, &arena);
    mem_handle_init(&h, &s->place);
    manifest_init(&m, &h.depot, s->folder, mem_world(&h));
    if (!manifest_sync(&m, true, &notes)) {
        sim_fail(s, "the place cannot be read");
    }
    for (uint32_t i = 0; i < s->result_count && !s->failed; i++) {
        if (s->results[i].acked_ms && sim_is_kept(s, &s->results[i])) {
            check_result(s, &m, &h, i);
        }
    }
    manifest_free(&m);
    arena_free(&arena);
}

uint64_t sim_standing_bytes(struct sim *s, int64_t overdue_ms)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->place.count; i++) {
        struct pack_id pack;
        bool plain;
        const struct sim_condemned *c =
            pack_key_parse(str_from(s->place.entries[i].key), &pack, &plain)
                ? find_condemned(s, &pack)
                : NULL;
        if (c && s->place.now_ms - c->since_ms > s->grace_ms + overdue_ms) {
            sim_fail(s, "%s is condemned and stays", s->place.entries[i].key);
        }
        n += !c && s->place.entries[i].key[0] == 'p' ? s->place.entries[i].n : 0;
    }
    return n;
}

void sim_begin(struct sim *s, uint64_t seed, const char *dir, struct sim_clock *clock)
{
    static const int64_t keeps[] = {2, 4, 30}, graces[] = {24, 24, 2, 6};
    static const uint32_t stalls[] = {15, 40, 100}, sleeps[] = {60, 150, 500}, lies[] = {1, 3, 10};
    memset(s, 0, sizeof *s);
    s->name = s->seed = seed;
    s->dir = dir;
    s->clock = clock;
    s->tell = getenv("PAWL_SIM_TELL") != NULL;
    mem_place_init(&s->place, INT64_C(1700000000000));
    clock->now_ms = s->place.now_ms;
    s->folder = sim_roll(s, 4) == 0;
    s->stall_in = stalls[sim_roll(s, 3)];
    s->sleep_in = sleeps[sim_roll(s, 3)];
    s->busy = sim_roll(s, 2) == 0;
    s->lie_in = lies[sim_roll(s, 3)];
    s->rare = sim_roll(s, 3) == 0;
    s->uneven = sim_roll(s, 2) == 0;
    int64_t keep_days = keeps[sim_roll(s, 3)], grace_hours = graces[sim_roll(s, 4)];
    s->keep_ms = keep_days * SIM_DAY;
    s->grace_ms = grace_hours * SIM_HOUR;
    if (keep_days != 30 || grace_hours != 24
        || sim_roll(s, 2)) { /* else the first client makes it */
        char text[100];
        int n = snprintf(text, sizeof text, "{\"pawl\":1,\"keep_days\":%d,\"grace_hours\":%d}\n",
                         (int)keep_days, (int)grace_hours);
        mem_put(&s->place, STR("format"), (struct str){text, (size_t)n});
    }
    for (int i = 0; i < SIM_MACHINES; i++) {
        sim_machine_new(s, i);
    }
}

void sim_end(struct sim *s)
{
    for (int i = 0; i < SIM_CLIENTS; i++) {
        if (s->clients[i].pid) {
            reap(s, &s->clients[i], true);
        }
    }
    for (uint32_t i = 0; i < s->late_count; i++) {
        mem_free(s->late[i].key);
        mem_free(s->late[i].bytes);
    }
    mem_free(s->late);
    s->late = NULL;
    s->late_count = s->late_cap = 0;
    mem_place_free(&s->place);
}
