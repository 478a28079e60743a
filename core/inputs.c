/* SPDX-License-Identifier: MIT */
/* Asking. What is to be asked for is gathered for some milliseconds and asked in rounds, each bucket's prefixes and
 * its single objects on threads of their own; what came of it is taken up on the build's thread. */
#include "core/inputs.h"

#include "core/inputs_inside.h"
#include "core/remote.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { ASKERS = 4, WAIT_MS = 50 };
#define GATHER_NS INT64_C(5000000)
#define BEGIN_NS INT64_C(5000000000) /* so long a build waits before it starts with what it knows */
#define ABANDON_NS INT64_C(2000000000)
#define FRESH_NS INT64_C(60000000000) /* what was asked longer ago is asked once more for a step */

bool inputs_is_s3(const struct building *b, const struct graph_input *in)
{
    return graph_file(b->graph, in->file)->flags & GRAPH_FILE_S3;
}

/* ---- buckets ---- */

static struct str bucket_of_url(struct str url)
{
    struct str bucket = STR(""), rest = str_tail(url, 5);
    if (str_starts(url, STR("s3://")))
        str_cut(&rest, '/', &bucket);
    return bucket;
}

/* The bucket of the remote cache is reached as that is, also where the cache is switched off. */
static void set_options(struct building *b, struct data_options *o)
{
    struct far_options far = {.url = STR("")};
    const struct graph_remote_place *r = b->graph->remote;
    if (remote_options(b->graph, b->options->environment, &far)
        && str_eq(bucket_of_url(far.url), o->bucket)) {
        o->region = far.region;
        o->endpoint = far.endpoint;
        o->profile = far.profile;
        o->path_style = far.path_style;
        o->remote = true;
    } else if (r && str_eq(bucket_of_url(graph_text(b->graph, r->url)), o->bucket)) {
        o->region = graph_text(b->graph, r->region);
        o->endpoint = graph_text(b->graph, r->endpoint);
        o->profile = graph_text(b->graph, r->profile);
        o->path_style = r->path_style;
        o->remote = far.url.n == 0; /* PAWL_REMOTE names no other place */
    }
}

static struct inputs_place *place_of(struct inputs *x, struct str bucket)
{
    struct building *b = x->building;
    for (uint32_t i = 0; i < x->places.n; i++) {
        if (str_eq(x->places.at[i]->bucket, bucket))
            return x->places.at[i];
    }
    struct inputs_place *p = ARENA_NEW(b->arena, struct inputs_place);
    struct data_options o = {.bucket = bucket, .environment = b->options->environment};
    struct arena scratch = {0};
    struct diags notes;
    diags_init(&notes, &scratch);
    set_options(b, &o);
    p->bucket = bucket;
    p->data = data_open(&o, &notes);
    p->trouble = STR("");
    if (!p->data) {
        p->trouble = notes.all.n ? str_copy(b->arena, notes.all.at[0].message)
                                 : STR("its bucket cannot be reached");
    }
    arena_free(&scratch);
    *VEC_PUSH(b->arena, &x->places) = p;
    return p;
}

/* ---- entries ---- */

static struct inputs *inputs_get(struct building *b)
{
    if (!b->inputs) {
        b->inputs = ARENA_NEW(b->arena, struct inputs);
        b->inputs->building = b;
        table_init(&b->inputs->uris, b->arena);
    }
    return b->inputs;
}

struct input *inputs_of(struct building *b, file_id file)
{
    struct inputs *x = inputs_get(b);
    bool is_new;
    uint32_t i = table_add(&x->uris, graph_path(b->graph, file), &is_new);
    if (!is_new)
        return x->all.at[i];
    struct input *in = ARENA_NEW(b->arena, struct input);
    *VEC_PUSH(b->arena, &x->all) = in;
    in->uri = x->uris.keys[i];
    (void)s3_uri_split(in->uri, &in->parts); /* as evaluation did */
    in->place = place_of(x, in->parts.bucket);
    in->copy_path = s3_uri_copy_path(b->arena, &in->parts);
    in->copy_number = observe_add(b->observe, in->copy_path);
    in->trouble = in->place->trouble;
    in->help = STR("see which name the bucket has, and where it is");
    in->state = in->place->data ? INPUT_UNASKED : INPUT_TROUBLE;
    return in;
}

void inputs_wake(struct building *b, const uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        look_file_ready(b, numbers[i]);
}

void inputs_wake_copies(struct building *b, struct input *in)
{
    struct arena scratch = {0};
    uint32_t n = in->copy_waiters.n;
    uint32_t *numbers = ARENA_ARRAY(&scratch, uint32_t, n + 1);
    if (n)
        memcpy(numbers, in->copy_waiters.at, n * sizeof *numbers);
    in->copy_waiters.n = 0;
    inputs_wake(b, numbers, n);
    arena_free(&scratch);
}

/* ---- a version ---- */

static void set_words(struct arena *a, struct input *in)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    if (in->parts.all) {
        buf_printf(&b, "%u object%s, %llu bytes, ", in->count, in->count == 1 ? "" : "s",
                   (unsigned long long)in->bytes);
        digest_put_hex(&b, &in->version);
    } else {
        buf_printf(&b, "etag %.*s, %llu bytes", STR_ARG(in->objects[0].etag),
                   (unsigned long long)in->bytes);
    }
    in->words = str_copy(a, buf_str(&b));
    buf_free(&b);
}

/* Over what each object is called below the prefix, its size and its ETag. docs/formats.md, "Fingerprint". */
static struct digest version_of(const struct input *in, const struct data_object *objects,
                                uint32_t count)
{
    struct digester d;
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    digester_begin(&d);
    buf_put(&b, "pawl s3", sizeof "pawl s3");
    buf_put_u8(&b, 1);
    buf_put_varint(&b, count);
    for (uint32_t i = 0; i < count; i++) {
        buf_put_text(&b, str_tail(objects[i].key, in->parts.key.n));
        buf_put_varint(&b, objects[i].size);
        buf_put_text(&b, objects[i].etag);
        digester_add(&d, b.s, b.n);
        buf_clear(&b);
    }
    buf_free(&b);
    return digester_end(&d);
}

/* One object's version is small, and seldom another one. */
static void keep_objects(struct building *b, struct input *in, const struct data_want *w,
                         const struct digest *version)
{
    struct arena *a = in->parts.all ? &in->arena : b->arena;
    arena_free(&in->arena);
    in->version = *version;
    in->count = w->count;
    in->objects = ARENA_ARRAY(a, struct data_object, w->count + 1);
    in->bytes = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        in->objects[i] = (struct data_object){str_copy(a, w->objects[i].key),
                                              str_copy(a, w->objects[i].etag), w->objects[i].size};
        in->bytes += w->objects[i].size;
    }
    set_words(a, in);
}

static void note_first(struct input *in)
{
    if (!in->answered && in->state == INPUT_HERE)
        in->first = in->version;
    in->answered = true;
}

static void take_answer(struct building *b, struct input *in, const struct data_want *w)
{
    in->unsure = false;
    in->asked_boot_ns = time_boot_ns();
    switch (w->state) {
    case DATA_HERE: {
        struct digest version = version_of(in, w->objects, w->count);
        if (in->state != INPUT_HERE || !digest_eq(&version, &in->version))
            keep_objects(b, in, w, &version);
        in->state = INPUT_HERE;
        note_first(in);
        return;
    }
    case DATA_ABSENT:
        in->state = INPUT_ABSENT;
        note_first(in);
        in->no_bucket = w->no_bucket;
        return;
    case DATA_TROUBLE: break;
    }
    in->unsure = true;
    if (in->state != INPUT_HERE) {
        in->state = INPUT_TROUBLE;
        in->trouble = str_copy(b->arena, w->trouble);
        in->help = str_copy(b->arena, w->help);
    }
}

/* ---- rounds ---- */

struct ask {
    struct work work;
    struct inputs *inputs;
    struct data_bucket *data;
    struct arena arena;
    struct data_want *wants;
    uint32_t count;
};

static void flush(struct inputs *x);

static void flush_soon(void *context)
{
    struct inputs *x = context;
    x->timer = (timer_id){0};
    flush(x);
}

static void gather(struct inputs *x)
{
    if (x->queue.n > 0 && !x->timer.i) {
        x->timer = loop_add_timer(x->building->loop, time_boot_ns() + GATHER_NS, flush_soon, x);
    }
}

void inputs_queue(struct inputs *x, struct input *in, uint32_t waiter)
{
    struct building *b = x->building;
    if (waiter != GRAPH_NONE)
        *VEC_PUSH(b->arena, &in->next) = waiter;
    if (in->queued)
        return;
    in->queued = true;
    *VEC_PUSH(b->arena, &x->queue) = table_find(&x->uris, in->uri);
    gather(x);
}

static void ask_run(struct work *work)
{
    struct ask *a = (struct ask *)work;
    data_ask(a->data, a->wants, a->count, &a->arena);
}

static void ask_done(struct work *work)
{
    struct ask *a = (struct ask *)work;
    struct inputs *x = a->inputs;
    struct building *b = x->building;
    struct arena scratch = {0};
    VEC(uint32_t) woken = {0};
    x->asks--;
    for (uint32_t i = 0; i < a->count; i++) {
        struct input *in = x->all.at[a->wants[i].mark];
        in->asking = false;
        take_answer(b, in, &a->wants[i]);
        for (uint32_t k = 0; k < in->waiters.n; k++)
            *VEC_PUSH(&scratch, &woken) = in->waiters.at[k];
        in->waiters.n = 0;
    }
    arena_free(&a->arena);
    mem_free(a);
    gather(x); /* who was queued for the second time meanwhile */
    inputs_wake(b, woken.at, woken.n);
    arena_free(&scratch);
}

static void on_workers(void *context, int fd, short revents)
{
    (void)fd;
    (void)revents;
    (void)workers_collect(context);
}

static void submit(struct inputs *x, const uint32_t *numbers, uint32_t count)
{
    struct ask *a = mem_alloc(sizeof *a);
    a->work = (struct work){.run = ask_run, .done = ask_done};
    a->inputs = x;
    a->data = x->all.at[numbers[0]]->place->data;
    a->wants = ARENA_ARRAY(&a->arena, struct data_want, count);
    a->count = count;
    for (uint32_t i = 0; i < count; i++) { /* nothing of the build's: a thread may be left behind */
        struct str key = str_copy(&a->arena, x->all.at[numbers[i]]->parts.key);
        a->wants[i] = (struct data_want){.key = key, .mark = numbers[i]};
    }
    x->asks++;
    workers_submit(x->askers, &a->work);
}

static int by_place(const void *left, const void *right, void *context)
{
    const struct inputs *x = context;
    const struct input *p = x->all.at[*(const uint32_t *)left],
                       *q = x->all.at[*(const uint32_t *)right];
    int c = str_cmp(p->parts.bucket, q->parts.bucket);
    return c ? c : str_cmp(p->parts.key, q->parts.key);
}

/* Each prefix with what lies below it is one question; a bucket's other objects together are one. */
static void submit_all(struct inputs *x, uint32_t *numbers, uint32_t count)
{
    struct arena scratch = {0};
    uint32_t *singles = ARENA_ARRAY(&scratch, uint32_t, count + 1), n = 0;
    qsort_r(numbers, count, sizeof *numbers, by_place, x);
    for (uint32_t i = 0; i < count;) {
        const struct input *first = x->all.at[numbers[i]];
        uint32_t end = i + 1;
        while (first->parts.all && end < count && x->all.at[numbers[end]]->place == first->place
               && str_starts(x->all.at[numbers[end]]->parts.key, first->parts.key))
            end++;
        if (n > 0 && x->all.at[singles[0]]->place != first->place) {
            submit(x, singles, n);
            n = 0;
        }
        if (first->parts.all) {
            submit(x, numbers + i, end - i);
        } else {
            singles[n++] = numbers[i];
        }
        i = end;
    }
    if (n > 0)
        submit(x, singles, n);
    arena_free(&scratch);
}

static bool open_askers(struct inputs *x)
{
    if (!x->askers) {
        x->askers = workers_open(ASKERS);
        if (x->askers)
            loop_add_fd(x->building->loop, workers_fd(x->askers), POLLIN, on_workers, x->askers);
    }
    return x->askers != NULL;
}

/* Whoever waits for an answer is told that none will come. */
static void answer_none(struct inputs *x)
{
    struct arena scratch = {0};
    VEC(uint32_t) woken = {0};
    const struct data_want none = {.state = DATA_TROUBLE,
                                   .trouble = STR("no thread can be started to ask for it"),
                                   .help = STR("see how many threads and open files are allowed")};
    for (uint32_t i = 0; i < x->queue.n; i++) {
        struct input *in = x->all.at[x->queue.at[i]];
        in->queued = false;
        take_answer(x->building, in, &none);
        for (uint32_t k = 0; k < in->next.n; k++)
            *VEC_PUSH(&scratch, &woken) = in->next.at[k];
        in->next.n = 0;
    }
    x->queue.n = 0;
    inputs_wake(x->building, woken.at, woken.n);
    arena_free(&scratch);
}

static void flush(struct inputs *x)
{
    if (!x->no_asking && !open_askers(x)) {
        answer_none(x);
        return;
    }
    struct building *b = x->building;
    struct arena scratch = {0};
    uint32_t *numbers = ARENA_ARRAY(&scratch, uint32_t, x->queue.n + 1), n = 0, left = 0;
    for (uint32_t i = 0; i < x->queue.n && !x->no_asking; i++) {
        struct input *in = x->all.at[x->queue.at[i]];
        if (in->asking) { /* again, when that has come */
            x->queue.at[left++] = x->queue.at[i];
            continue;
        }
        numbers[n++] = x->queue.at[i];
        in->queued = false;
        in->asking = true;
        for (uint32_t k = 0; k < in->next.n; k++)
            *VEC_PUSH(b->arena, &in->waiters) = in->next.at[k];
        in->next.n = 0;
    }
    x->queue.n = left;
    submit_all(x, numbers, n);
    arena_free(&scratch);
}

/* ---- the beginning ---- */

struct str inputs_say(struct building *b, const struct input *in, struct gspan at, struct diags *d)
{
    struct span span = graph_span(b->graph, at, b->root, d);
    struct diag *e;
    if (in->state == INPUT_ABSENT && in->no_bucket) {
        e = diag_error(d, "missing-input", span, "'%.*s' is not there: there is no bucket '%.*s'",
                       STR_ARG(in->uri), STR_ARG(in->parts.bucket));
        diag_help(d, e, "correct the bucket's name, or the endpoint that is asked for it");
    } else if (in->state == INPUT_ABSENT) {
        bool pattern = str_has(in->parts.key, '*') || str_has(in->parts.key, '?');
        e = diag_error(d, "missing-input", span,
                       in->parts.all ? "nothing lies below '%.*s'" : "'%.*s' is not there",
                       STR_ARG(in->uri));
        diag_help(d, e, "%s",
                  pattern ? "names are no patterns in S3: a prefix that ends in '/' is all below it"
                  : in->parts.all
                      ? "put the objects there, or correct the prefix"
                      : "put the object there, or correct bucket and name; a prefix ends in '/'");
    } else {
        e = diag_error(d, "s3-input", span, "the version of '%.*s' cannot be learned: %.*s",
                       STR_ARG(in->uri), STR_ARG(in->trouble));
        diag_help(d, e, "%.*s", STR_ARG(in->help));
    }
    return e->message;
}

/* Asks for the inputs of wanted steps that nobody has asked for. */
static void queue_wanted(struct building *b)
{
    const struct graph *g = b->graph;
    for (uint32_t i = 0; i < g->step_count; i++) {
        const struct grange inputs = g->steps[i].inputs;
        for (uint32_t k = 0; b->lives[i].life == LIFE_WANTED && k < inputs.n; k++) {
            if (!inputs_is_s3(b, &g->inputs[inputs.first + k]))
                continue;
            struct input *in = inputs_of(b, g->inputs[inputs.first + k].file);
            if (in->state == INPUT_UNASKED && !in->asking)
                inputs_queue(b->inputs, in, GRAPH_NONE);
        }
    }
}

static bool say_absent(struct building *b, struct diags *d)
{
    const struct graph *g = b->graph;
    bool good = true;
    struct arena scratch = {0};
    struct table told;
    table_init(&told, &scratch);
    for (uint32_t i = 0; i < g->step_count; i++) {
        const struct grange inputs = g->steps[i].inputs;
        for (uint32_t k = 0; b->lives[i].life == LIFE_WANTED && k < inputs.n; k++) {
            const struct graph_input *at = &g->inputs[inputs.first + k];
            bool is_new = false;
            const struct input *in = inputs_is_s3(b, at) ? inputs_of(b, at->file) : NULL;
            if (!in || in->state != INPUT_ABSENT)
                continue;
            (void)table_add(&told, in->uri, &is_new);
            if (is_new)
                (void)inputs_say(b, in, at->span, d);
            good = false;
        }
    }
    arena_free(&scratch);
    return good;
}

bool inputs_begin(struct building *b, bool wait, struct diags *d)
{
    queue_wanted(b);
    struct inputs *x = b->inputs;
    if (!x || !wait)
        return true;
    if (x->timer.i)
        loop_drop_timer(b->loop, x->timer);
    x->timer = (timer_id){0};
    flush(x);
    int64_t until = time_boot_ns() + BEGIN_NS;
    while (x->asks > 0 && time_boot_ns() < until && !b->interrupted)
        loop_wait(b->loop, WAIT_MS);
    return say_absent(b, d);
}

/* ---- for a step ---- */

static void end_failed(struct task *t, const struct input *in, struct gspan at)
{
    struct building *b = t->building;
    if (b->options->mode != BUILD_ASK) {
        build_fail_step(t, inputs_say(b, in, at, &t->diags));
        return;
    }
    struct diags quiet;
    diags_init(&quiet, &t->arena);
    struct ending e = {.life = LIFE_DONE,
                       .result = EVENT_MAY_RUN,
                       .reason = inputs_say(b, in, at, &quiet),
                       .exit_status = -1,
                       .unknown = true};
    build_end_step(b, t->step, t, &e);
}

/* A build may take hours, and what it began with be another version since. */
static bool is_stale(const struct building *b, const struct input *in, int64_t boot_ns)
{
    return in->state == INPUT_HERE && !b->inputs->no_asking
           && boot_ns - in->asked_boot_ns > FRESH_NS;
}

enum inputs_answer inputs_look(struct building *b, struct task *t, const struct graph_input *at,
                               struct part_file *out)
{
    struct input *in = inputs_of(b, at->file);
    switch (in->state) {
    case INPUT_HERE:
        if (is_stale(b, in, t ? t->looks_boot_ns : time_boot_ns()))
            break;
        *out = (struct part_file){PART_S3, in->version, in->words};
        if (t)
            out->version = str_copy(&t->arena, in->words);
        return INPUTS_GOOD;
    case INPUT_UNASKED: break;
    case INPUT_TROUBLE:
    case INPUT_ABSENT:
        if (t)
            end_failed(t, in, at->span);
        return t ? INPUTS_FAILED : INPUTS_WAIT;
    }
    if (!t)
        return INPUTS_WAIT;
    if (in->asking) {
        *VEC_PUSH(b->arena, &in->waiters) = t->number;
    } else {
        inputs_queue(b->inputs, in, t->number);
    }
    t->awaited++;
    return INPUTS_WAIT;
}

uint32_t inputs_check(struct task *t, const struct graph_input *at)
{
    struct input *in = inputs_of(t->building, at->file);
    struct inputs *x = t->building->inputs;
    if (x->no_asking) {
        in->unsure = true;
    } else {
        inputs_queue(x, in, t->number);
        t->awaited++;
    }
    return at->flags & GRAPH_INPUT_COPY ? in->copy_number : GRAPH_NONE;
}

/* Where nobody could say so: what was read from a copy alone was what the copy is. */
bool inputs_held(struct task *t, const struct graph_input *at, const struct part_file *was)
{
    struct building *b = t->building;
    struct input *in = inputs_of(b, at->file);
    bool copy = at->flags & GRAPH_INPUT_COPY;
    bool same = in->state == INPUT_HERE && digest_eq(&in->version, &was->digest)
                && (!in->unsure || at->flags == GRAPH_INPUT_COPY);
    bool untouched = !copy || inputs_copy_is_good(b, in);
    if (!untouched)
        in->copy = in->copy == COPY_HERE ? COPY_NONE : in->copy;
    return same && untouched;
}

bool inputs_are_outdated(struct task *t)
{
    struct building *b = t->building;
    const struct graph_step *s = graph_step(b->graph, t->step);
    bool outdated = false;
    for (uint32_t i = 0; i < s->inputs.n; i++) {
        const struct graph_input *at = &b->graph->inputs[s->inputs.first + i];
        if (!inputs_is_s3(b, at))
            continue;
        struct input *in = inputs_of(b, at->file);
        bool copy = at->flags & GRAPH_INPUT_COPY;
        if (copy && in->copy == COPY_HERE && observe_refresh(b->observe, in->copy_number))
            in->copy = COPY_NONE;
        outdated = outdated || in->state != INPUT_HERE
                   || (!t->looked_twice && is_stale(b, in, time_boot_ns()))
                   || !digest_eq(&in->version, &t->values.inputs[i].digest)
                   || (copy && in->copy != COPY_HERE);
    }
    return outdated;
}

/* ---- the end ---- */

uint32_t inputs_waiting(const struct building *b)
{
    const struct inputs *x = b->inputs;
    return !x ? 0 : (x->no_asking ? 0 : x->asks + x->queue.n) + (x->no_fetching ? 0 : x->brings);
}

static void wake_askers(struct building *b, struct input *in)
{
    struct arena scratch = {0};
    VEC(uint32_t) numbers = {0};
    for (uint32_t i = 0; i < in->waiters.n; i++)
        *VEC_PUSH(&scratch, &numbers) = in->waiters.at[i];
    for (uint32_t i = 0; i < in->next.n; i++)
        *VEC_PUSH(&scratch, &numbers) = in->next.at[i];
    in->waiters.n = in->next.n = 0;
    in->unsure = true;
    inputs_wake(b, numbers.at, numbers.n);
    arena_free(&scratch);
}

static void stop_places(struct inputs *x)
{
    for (uint32_t i = 0; i < x->places.n; i++)
        data_stop(x->places.at[i]->data);
}

void inputs_stop(struct building *b)
{
    struct inputs *x = b->inputs;
    if (!x)
        return;
    if (!x->no_fetching) {
        x->no_fetching = true;
        if (x->fetchers)
            workers_cancel(x->fetchers);
        for (uint32_t i = 0; i < x->all.n; i++)
            inputs_wake_copies(b, x->all.at[i]);
    }
    if (b->interrupted && !x->no_asking) {
        x->no_asking = true;
        x->queue.n = 0;
        stop_places(x);
        for (uint32_t i = 0; i < x->all.n; i++)
            wake_askers(b, x->all.at[i]);
    }
}

static void end_left(void *context, struct work *left)
{
    (void)context;
    (void)left; /* the process is about to end, or has others to build for: it is little */
}

/* true: all its threads are gone. One that is stuck is left behind with what it holds. */
static bool close_workers(struct building *b, struct workers *w)
{
    if (!w)
        return true;
    workers_cancel(w);
    int64_t until = time_boot_ns() + ABANDON_NS;
    while (workers_pending(w) > 0 && time_boot_ns() < until)
        loop_wait(b->loop, WAIT_MS);
    loop_drop_fd(b->loop, workers_fd(w));
    if (workers_pending(w) > 0) {
        workers_leave(w, end_left, NULL);
        return false;
    }
    workers_close(w);
    return true;
}

static void tell_objects(const struct inputs *x, struct build_objects *out)
{
    for (uint32_t i = 0; i < x->all.n; i++) {
        const struct input *in = x->all.at[i];
        struct digest version = in->first;
        if (!in->answered)
            memset(&version, 0xff, sizeof version);
        (void)table_add(&out->uris, str_copy(&out->arena, in->uri), NULL);
        *VEC_PUSH(&out->arena, &out->versions) = version;
    }
}

void build_objects_init(struct build_objects *x)
{
    *x = (struct build_objects){0};
    table_init(&x->uris, &x->arena);
}

void build_objects_free(struct build_objects *x)
{
    arena_free(&x->arena);
    *x = (struct build_objects){0};
}

bool build_objects_differ(const struct build_objects *was, const struct build_objects *now)
{
    struct digest unknown;
    memset(&unknown, 0xff, sizeof unknown);
    for (uint32_t i = 0; i < now->uris.count; i++) {
        uint32_t k = table_find(&was->uris, now->uris.keys[i]);
        if (k != TABLE_NONE && !digest_eq(&now->versions.at[i], &unknown)
            && !digest_eq(&now->versions.at[i], &was->versions.at[k]))
            return true;
    }
    return false;
}

void inputs_close(struct building *b)
{
    struct inputs *x = b->inputs;
    if (!x)
        return;
    if (b->options->objects)
        tell_objects(x, b->options->objects);
    x->no_asking = x->no_fetching = true;
    stop_places(x);
    if (x->timer.i)
        loop_drop_timer(b->loop, x->timer);
    x->timer = (timer_id){0};
    bool over = close_workers(b, x->askers);
    if (!close_workers(b, x->fetchers)) {
        over = false;
        b->cache = NULL; /* which they may read from */
    }
    while (workers_pending(b->workers) > 0) /* cleaning up */
        loop_wait(b->loop, WAIT_MS);
    for (uint32_t i = 0; i < x->all.n; i++)
        arena_free(&x->all.at[i]->arena);
    for (uint32_t i = 0; over && i < x->places.n; i++)
        data_close(x->places.at[i]->data);
}
