/* SPDX-License-Identifier: MIT */
/* Adding a run costs one look at each end of the file: the first line's number and the last one's say how
 * many there are. A line that a kill cut short is closed by the next one's leading line break. */
#include "core/runs.h"

#include "core/base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINE_LIMIT = 4 << 20,
    STEPS_LIMIT = 3 << 20, /* bytes of a line after which steps are left out */
    READ_LIMIT = 64 << 20,
    BLOCK = 64 << 10,
    REASON_LIMIT = 300,
};

/* ---- one run as a line ---- */

static void put_text(struct buf *b, const char *name, struct str text)
{
    buf_printf(b, ",\"%s\":", name);
    str_put_json(b, text);
}

static void put_number(struct buf *b, const char *name, int64_t n)
{
    buf_printf(b, ",\"%s\":%lld", name, (long long)n);
}

static void put_pairs(struct buf *b, const char *name, const struct record_metric *pairs,
                      uint32_t count)
{
    if (count == 0) {
        return;
    }
    buf_printf(b, ",\"%s\":[", name);
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(b, i ? STR(",[") : STR("["));
        str_put_json(b, pairs[i].name);
        buf_put_char(b, ',');
        str_put_json(b, pairs[i].text);
        buf_put_char(b, ']');
    }
    buf_put_char(b, ']');
}

static void put_step(struct buf *b, const struct state_run_step *step)
{
    buf_put_str(b, STR("{\"name\":"));
    str_put_json(b, step->name);
    put_text(b, "result", step->result);
    if (step->reason.n) {
        put_text(b, "reason", str_sub(step->reason, 0, REASON_LIMIT));
    }
    put_number(b, "duration_ns", step->duration_ns);
    if (step->saved_ns) {
        put_number(b, "saved_ns", step->saved_ns);
    }
    if (step->price > 0) {
        buf_put_str(b, STR(",\"price\":"));
        str_put_double(b, step->price);
    }
    put_pairs(b, "metrics", step->metrics, step->metric_count);
    buf_put_char(b, '}');
}

/* Steps that do not fit are left out whole. */
static void put_steps(struct buf *b, const struct state_run *run)
{
    buf_put_str(b, STR(",\"steps\":["));
    bool first = true;
    for (uint32_t i = 0; i < run->step_count && b->n < STEPS_LIMIT; i++) {
        size_t before = b->n;
        buf_put_str(b, first ? STR("") : STR(","));
        put_step(b, &run->steps[i]);
        if (b->full || b->n > STEPS_LIMIT) {
            b->n = before;
            b->full = false;
        } else {
            first = false;
        }
    }
    buf_put_char(b, ']');
}

/* Only of a build that had to do with it. */
static void put_remote(struct buf *b, const struct event_remote *r)
{
    if (!event_remote_had_part(r)) {
        return;
    }
    buf_printf(b, ",\"remote\":{\"asked\":%u", r->asked);
    put_number(b, "restored", r->restored);
    put_number(b, "lists", (int64_t)r->lists);
    put_number(b, "gets", (int64_t)r->gets);
    put_number(b, "puts", (int64_t)r->puts);
    put_number(b, "drops", (int64_t)r->drops);
    put_number(b, "received", (int64_t)r->received);
    put_number(b, "sent", (int64_t)r->sent);
    put_number(b, "waited_ns", r->waited_ns);
    buf_put_char(b, '}');
}

static bool put_run(struct buf *b, const struct state_run *run)
{
    buf_put_str(b, STR("{\"id\":"));
    str_put_json(b, run->id);
    put_number(b, "started_ms", run->started_ms);
    put_number(b, "duration_ns", run->duration_ns);
    put_text(b, "pipeline", run->pipeline);
    put_text(b, "targets", run->targets);
    put_number(b, "ran", run->ran);
    put_number(b, "restored", run->restored);
    put_number(b, "up_to_date", run->up_to_date);
    put_number(b, "skipped", run->skipped);
    put_number(b, "failed", run->failed);
    put_number(b, "saved_ns", run->saved_ns);
    if (run->interrupted) {
        buf_put_str(b, STR(",\"interrupted\":true"));
    }
    put_remote(b, &run->remote);
    size_t before = b->n;
    put_pairs(b, "params", run->params, run->param_count);
    if (b->full || b->n > LINE_LIMIT / 4) {
        b->n = before;
        b->full = false;
    }
    put_steps(b, run);
    buf_put_str(b, STR("}\n"));
    return !b->full;
}

/* ---- and back ---- */

static struct str text_of(const struct json *object, struct str name)
{
    const struct json *x = json_member(object, name);
    return x && x->kind == JSON_STRING ? x->text : STR("");
}

static int64_t number_of(const struct json *object, struct str name)
{
    const struct json *x = json_member(object, name);
    return x && x->kind == JSON_INT ? x->integer : 0;
}

static uint32_t count_of(const struct json *object, struct str name)
{
    int64_t n = number_of(object, name);
    return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static struct record_metric *pairs_of(struct arena *a, const struct json *object, struct str name,
                                      uint32_t *count)
{
    *count = 0;
    const struct json *list = json_member(object, name);
    if (!list || list->kind != JSON_LIST) {
        return NULL;
    }
    struct record_metric *pairs = ARENA_ARRAY(a, struct record_metric, list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct json *pair = &list->items[i];
        bool good = pair->kind == JSON_LIST && pair->count == 2
                    && pair->items[0].kind == JSON_STRING && pair->items[1].kind == JSON_STRING;
        if (good) {
            pairs[(*count)++] = (struct record_metric){pair->items[0].text, pair->items[1].text};
        }
    }
    return pairs;
}

static void read_step(struct arena *a, const struct json *from, struct state_run_step *to)
{
    to->name = text_of(from, STR("name"));
    to->result = text_of(from, STR("result"));
    to->reason = text_of(from, STR("reason"));
    to->duration_ns = number_of(from, STR("duration_ns"));
    to->saved_ns = number_of(from, STR("saved_ns"));
    const struct json *price = json_member(from, STR("price"));
    if (price && price->kind == JSON_REAL) {
        to->price = price->real;
    } else if (price && price->kind == JSON_INT) {
        to->price = (double)price->integer;
    }
    to->metrics = pairs_of(a, from, STR("metrics"), &to->metric_count);
}

static void read_steps(struct arena *a, const struct json *from, struct state_run *to)
{
    const struct json *list = json_member(from, STR("steps"));
    if (!list || list->kind != JSON_LIST) {
        return;
    }
    to->steps = ARENA_ARRAY(a, struct state_run_step, list->count);
    for (uint32_t i = 0; i < list->count; i++) {
        if (list->items[i].kind == JSON_OBJECT) {
            read_step(a, &list->items[i], &to->steps[to->step_count++]);
        }
    }
}

static uint64_t amount_of(const struct json *object, struct str name)
{
    int64_t n = number_of(object, name);
    return n < 0 ? 0 : (uint64_t)n;
}

static void read_remote(const struct json *from, struct event_remote *to)
{
    const struct json *remote = json_member(from, STR("remote"));
    if (!remote || remote->kind != JSON_OBJECT) {
        return;
    }
    *to = (struct event_remote){
        .asked = count_of(remote, STR("asked")),
        .restored = count_of(remote, STR("restored")),
        .lists = amount_of(remote, STR("lists")),
        .gets = amount_of(remote, STR("gets")),
        .puts = amount_of(remote, STR("puts")),
        .drops = amount_of(remote, STR("drops")),
        .received = amount_of(remote, STR("received")),
        .sent = amount_of(remote, STR("sent")),
        .waited_ns = number_of(remote, STR("waited_ns")),
    };
}

/* "r17": 17; 0 if it is not of that form. */
static uint64_t id_number(struct str id)
{
    uint64_t n;
    const uint64_t most = UINT64_C(1) << 53;
    return id.n > 1 && id.s[0] == 'r' && str_parse_u64(str_tail(id, 1), &n) && n < most ? n : 0;
}

static bool read_line(struct arena *a, struct str line, struct state_run *out)
{
    struct diags quiet;
    diags_init(&quiet, a);
    const struct json *from = line.n <= LINE_LIMIT ? json_parse(a, line, 0, &quiet) : NULL;
    if (!from || from->kind != JSON_OBJECT || !id_number(text_of(from, STR("id")))) {
        return false;
    }
    *out = (struct state_run){
        .id = text_of(from, STR("id")),
        .started_ms = number_of(from, STR("started_ms")),
        .duration_ns = number_of(from, STR("duration_ns")),
        .pipeline = text_of(from, STR("pipeline")),
        .targets = text_of(from, STR("targets")),
        .ran = count_of(from, STR("ran")),
        .restored = count_of(from, STR("restored")),
        .up_to_date = count_of(from, STR("up_to_date")),
        .skipped = count_of(from, STR("skipped")),
        .failed = count_of(from, STR("failed")),
        .saved_ns = number_of(from, STR("saved_ns")),
    };
    const struct json *interrupted = json_member(from, STR("interrupted"));
    out->interrupted = interrupted && interrupted->kind == JSON_BOOL && interrupted->boolean;
    out->params = pairs_of(a, from, STR("params"), &out->param_count);
    read_remote(from, &out->remote);
    read_steps(a, from, out);
    return true;
}

/* ---- lines, from the end ---- */

/* Cuts the last line off *rest. */
static bool cut_last(struct str *rest, struct str *line)
{
    while (rest->n && rest->s[rest->n - 1] == '\n') {
        rest->n--;
    }
    if (rest->n == 0) {
        return false;
    }
    ptrdiff_t before = str_rfind_char(*rest, '\n');
    *line = str_tail(*rest, (size_t)(before + 1));
    rest->n = (size_t)(before + 1);
    return true;
}

static bool cannot_read(struct diags *d)
{
    diag_errno(d, "cannot-read", "cannot read '.pawl/runs'");
    return false;
}

bool runs_read(int dir, struct arena *a, uint32_t limit, struct state_run **out, uint32_t *count,
               struct diags *d)
{
    *out = NULL;
    *count = 0;
    struct str text;
    if (!file_read_quiet(a, dir, STR("runs"), READ_LIMIT, &text)) {
        return errno == ENOENT || cannot_read(d);
    }
    VEC(struct state_run) newest = {0};
    struct str line;
    while ((limit == 0 || newest.n < limit) && cut_last(&text, &line)) {
        struct state_run run;
        if (read_line(a, line, &run)) {
            *VEC_PUSH(a, &newest) = run;
        }
    }
    *out = ARENA_ARRAY(a, struct state_run, newest.n);
    *count = newest.n;
    for (uint32_t i = 0; i < newest.n; i++) {
        (*out)[i] = newest.at[newest.n - 1 - i];
    }
    return true;
}

/* ---- adding ---- */

/* The number that a line begins with: {"id":"r17", …; 0 if it does not. */
static uint64_t line_number(struct str line)
{
    const struct str head = STR("{\"id\":\"");
    struct str id;
    struct str rest = str_tail(line, head.n);
    return str_starts(line, head) && str_cut(&rest, '"', &id) ? id_number(id) : 0;
}

struct ends {
    uint64_t first, last; /* numbers; 0: none */
    uint64_t bytes;
    bool whole; /* ends in a line break */
};

/* Looks for the newest number in ever longer ends of the file. */
static bool find_last(int fd, struct arena *a, struct ends *e)
{
    for (uint64_t n = BLOCK;; n *= 8) {
        struct arena_mark mark = arena_mark(a);
        bool all = n >= e->bytes;
        size_t wanted = (size_t)(all ? e->bytes : n);
        char *text = arena_alloc(a, wanted, 1);
        ssize_t got = pread(fd, text, wanted, (off_t)(e->bytes - wanted));
        if (got < 0) {
            return false;
        }
        struct str rest = {text, (size_t)got};
        e->whole = got > 0 && text[got - 1] == '\n';
        struct str line;
        while (e->last == 0 && cut_last(&rest, &line)) {
            bool begins = all || rest.n > 0; /* else its beginning may be missing */
            e->last = begins ? line_number(line) : 0;
        }
        arena_reset(a, mark);
        if (all || e->last || n > READ_LIMIT) {
            return true;
        }
    }
}

static bool look_at_ends(int dir, struct arena *a, struct ends *e)
{
    *e = (struct ends){.whole = true};
    int fd = openat(dir, "runs", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return errno == ENOENT;
    }
    struct stat st;
    char head[64];
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (ok && st.st_size > 0) {
        e->bytes = (uint64_t)st.st_size;
        ssize_t got = pread(fd, head, sizeof head, 0);
        e->first = got > 0 ? line_number((struct str){head, (size_t)got}) : 0;
        ok = got >= 0 && find_last(fd, a, e);
    }
    close(fd);
    return ok;
}

static bool are_too_many(const struct ends *e)
{
    uint64_t count = e->last >= e->first ? e->last - e->first + 1 : 0;
    return e->bytes > RUNS_BYTES_LIMIT || (e->first && count > RUNS_COUNT_LIMIT);
}

/* Rewrites the file with its newest lines. A failure leaves it as it is. */
static void drop_old(int dir, struct arena *a)
{
    struct str text;
    if (!file_read_quiet(a, dir, STR("runs"), READ_LIMIT, &text)) {
        if (errno == EFBIG) {
            (void)file_remove(dir, STR("runs"));
        }
        return;
    }
    struct str rest = text;
    struct str line;
    const char *end = text.s + text.n;
    const char *begin = end;
    for (uint32_t n = 0; n < RUNS_KEEP && cut_last(&rest, &line); n++) {
        if ((size_t)(end - line.s) > RUNS_BYTES_LIMIT / 2) {
            break;
        }
        begin = line.s;
    }
    struct str kept = {begin, (size_t)(end - begin)};
    (void)file_write(dir, STR("runs"), kept, 0600, false);
}

static bool append(int dir, struct str line)
{
    int fd = openat(dir, "runs", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) {
        return false;
    }
    file_kill_point();
    bool ok = file_write_all(fd, line.s, line.n);
    int error = errno;
    close(fd);
    errno = error;
    return ok;
}

bool runs_add(int dir, struct arena *a, struct state_run *run, struct diags *d)
{
    struct ends ends;
    if (!look_at_ends(dir, a, &ends)) {
        return cannot_read(d);
    }
    run->id = str_printf(a, "r%llu", (unsigned long long)ends.last + 1);
    if (are_too_many(&ends)) {
        struct arena scratch;
        arena_init(&scratch);
        drop_old(dir, &scratch);
        arena_free(&scratch);
    }
    struct buf b;
    buf_init(&b, LINE_LIMIT);
    if (!ends.whole) {
        buf_put_char(&b, '\n');
    }
    bool ok = put_run(&b, run) && append(dir, buf_str(&b));
    buf_free(&b);
    if (!ok) {
        diag_errno(d, "state-not-written", "cannot write '.pawl/runs'");
    }
    return ok;
}
