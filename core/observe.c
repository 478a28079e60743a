/* SPDX-License-Identifier: MIT */
/* The table of what was seen. Only the build's thread touches it; workers get a copy of the path. */
#include "core/observe.h"

#include "core/base/table.h"

#include <string.h>
#include <time.h>

enum { LARGE_BYTES = 16 << 20, GRAIN_NS = 10000000, TURN_BYTES = 1 << 20 };

struct waiter {
    uint32_t who, next; /* next: index + 1 in the list of waiters, 0 ends */
};

struct observe {
    struct arena *arena;
    struct table paths;
    VEC(struct observed) all;
    VEC(struct waiter) waiters;
    struct table trees;     /* folders that were forgotten with all below them … */
    VEC(uint32_t) trees_at; /* … and at which count */
    uint32_t count;         /* of such events */
    struct observe_with with;
};

/* One file or folder being hashed. */
struct hashing {
    struct work work;
    struct observe *observe;
    struct arena arena; /* the job's: path, diagnostics */
    struct diags diags;
    struct str path;
    uint32_t number;
    int root;
    struct workers *until;
    bool ok;
    struct object_seen seen;
    struct file_sig sig;
    int64_t hashed_ns;
};

struct observe *observe_make(struct arena *a, const struct observe_with *with)
{
    struct observe *o = ARENA_NEW(a, struct observe);
    o->arena = a;
    o->with = *with;
    table_init(&o->paths, a);
    table_init(&o->trees, a);
    return o;
}

void observe_expect(struct observe *o, uint32_t count)
{
    if (count <= o->all.cap)
        return;
    struct observed *room = ARENA_ARRAY(o->arena, struct observed, count);
    if (o->all.n)
        memcpy(room, o->all.at, o->all.n * sizeof *room);
    o->all.at = room;
    o->all.cap = count;
}

uint32_t observe_add(struct observe *o, struct str path)
{
    bool is_new;
    uint32_t number = table_add(&o->paths, path, &is_new);
    if (is_new) {
        struct observed *x = VEC_PUSH(o->arena, &o->all);
        x->path = o->paths.keys[number];
    }
    return number;
}

static void set_absent(struct observed *x)
{
    x->ref = (struct ref){.kind = REF_NONE};
    x->content = (struct digest){{0}};
    x->mode = 0;
    x->status = OBSERVE_KNOWN;
}

/* What the kernel says of x. May run on any thread: touches nothing but x. */
static void glance(int root, struct observed *x)
{
    x->sig = file_stat(root, x->path, true);
    x->status = OBSERVE_GLANCED;
    x->newest_ns = x->sig.ctime_ns;
    if (!file_sig_is_dir(&x->sig))
        return;
    struct object_seen seen = {.changed = false};
    struct arena scratch = {0};
    struct diags quiet; /* hashing will tell */
    diags_init(&quiet, &scratch);
    x->walked = object_walk(root, x->path, &seen, &quiet);
    x->walk = seen.walk;
    x->newest_ns = seen.newest_ns;
    arena_free(&scratch);
}

static bool is_as_known(const struct observed *x, const struct state_file *known)
{
    bool same = file_sig_is_dir(&x->sig) ? x->walked && digest_eq(&x->walk, &known->walk)
                                         : file_sig_eq(&x->sig, &known->sig);
    struct file_sig newest = x->sig;
    if (file_sig_is_dir(&x->sig))
        newest.mtime_ns = newest.ctime_ns = x->newest_ns;
    return same && known->hashed_ns != 0 && !file_sig_is_racy(&newest, known->hashed_ns);
}

/* What the state knows of x, if that is still what lies there. */
static void recall(struct observe *o, struct observed *x)
{
    if (!file_sig_exists(&x->sig) && x->sig.error == 0) {
        set_absent(x);
        return;
    }
    x->status = OBSERVE_STALE;
    const struct state_file *known = state_find_file(o->with.state, x->path);
    if (!known || !is_as_known(x, known))
        return;
    x->ref = known->ref;
    x->content = known->content;
    x->hashed_ns = known->hashed_ns;
    x->mode = x->sig.mode & 07777;
    x->status = OBSERVE_KNOWN;
}

struct batch {
    struct observe *observe;
    const uint32_t *numbers;
    uint32_t count;
};
enum { BATCH_FILES = 64 }; /* files a thread takes at a time */

static void glance_batch(void *context, uint32_t i)
{
    struct batch *b = context;
    uint32_t end = (i + 1) * BATCH_FILES < b->count ? (i + 1) * BATCH_FILES : b->count;
    for (uint32_t k = i * BATCH_FILES; k < end; k++) {
        struct observed *x = &b->observe->all.at[b->numbers[k]];
        if (x->status == OBSERVE_UNSEEN)
            glance(b->observe->with.root, x);
    }
}

void observe_many(struct observe *o, const uint32_t *numbers, uint32_t count)
{
    struct batch b = {o, numbers, count};
    workers_for_each(o->with.workers, (count + BATCH_FILES - 1) / BATCH_FILES, glance_batch, &b);
    for (uint32_t i = 0; i < count; i++) {
        if (o->all.at[numbers[i]].status == OBSERVE_GLANCED)
            recall(o, &o->all.at[numbers[i]]);
    }
}

/* True if a folder above it was forgotten, with all below, after it was looked at. */
static bool is_out_of_date(const struct observe *o, const struct observed *x)
{
    if (o->trees.count == 0)
        return false;
    for (struct str dir = path_dirname(x->path); !str_eq(dir, STR(".")) && !str_eq(dir, STR("/"));
         dir = path_dirname(dir)) {
        uint32_t i = table_find(&o->trees, dir);
        if (i != TABLE_NONE && o->trees_at.at[i] > x->seen_at)
            return true;
    }
    return false;
}

const struct observed *observe_look(struct observe *o, uint32_t number)
{
    struct observed *x = &o->all.at[number];
    if (x->status == OBSERVE_UNSEEN || (x->status != OBSERVE_HASHING && is_out_of_date(o, x))) {
        glance(o->with.root, x);
        recall(o, x);
        x->seen_at = o->count;
    }
    return x;
}

int64_t observe_hashing_begins(int root, struct str path)
{
    struct file_sig sig = file_stat(root, path, true);
    int64_t now = time_now_ns();
    if (!file_sig_is_dir(&sig) && sig.size >= LARGE_BYTES && file_sig_is_racy(&sig, now)) {
        nanosleep(&(struct timespec){.tv_nsec = GRAIN_NS}, NULL);
        now = time_now_ns();
    }
    return now;
}

bool observe_is_quick(const struct file_sig *sig)
{
    return !file_sig_is_dir(sig) && sig->size < TURN_BYTES;
}

static void hashing_run(struct work *work)
{
    struct hashing *h = (struct hashing *)work;
    for (int attempt = 0; attempt < 3; attempt++) {
        struct file_sig before = file_stat(h->root, h->path, true);
        if (!observe_is_quick(&before))
            workers_let_pass(h->until, work);
        h->hashed_ns = observe_hashing_begins(h->root, h->path);
        h->ok = object_digest_until(h->root, h->path, h->until, &h->seen, &h->diags);
        h->sig = file_stat(h->root, h->path, true);
        /* A link or a folder above may have been turned elsewhere, which the open file does not tell. */
        h->seen.changed |= !file_sig_is_dir(&h->sig) && !file_sig_eq(&before, &h->sig);
        if (!h->ok || !h->seen.changed)
            break;
    }
}

/* Tells everyone who waited for the path, in the order in which they came. */
static void tell(struct observe *o, uint32_t number)
{
    uint32_t next = 0;
    for (uint32_t i = o->all.at[number].waiters, before; i; i = before) {
        before = o->waiters.at[i - 1].next;
        o->waiters.at[i - 1].next = next;
        next = i;
    }
    o->all.at[number].waiters = 0;
    while (next) {
        struct waiter w = o->waiters.at[next - 1];
        next = w.next;
        o->with.ready(o->with.context, w.who);
    }
}

static void start_hashing(struct observe *o, uint32_t number);

static void hashing_done(struct work *work)
{
    struct hashing *h = (struct hashing *)work;
    struct observe *o = h->observe;
    uint32_t number = h->number;
    struct observed *x = &o->all.at[number];
    if (x->forgotten || is_out_of_date(o, x)) { /* who waits for it waits on */
        arena_free(&h->arena);
        mem_free(h);
        start_hashing(o, number);
        return;
    }
    x->status = OBSERVE_BROKEN;
    if (!h->ok && workers_is_cancelled(o->with.workers)) {
        x->status = OBSERVE_STALE; /* not asked for any more */
    } else if (!h->ok) {
        diags_merge(o->with.diags, &h->diags);
    } else {
        observe_put(o, number, &h->seen, &h->sig, h->seen.changed ? 0 : h->hashed_ns);
    }
    arena_free(&h->arena);
    mem_free(h);
    tell(o, number);
}

static void start_hashing(struct observe *o, uint32_t number)
{
    struct observed *x = &o->all.at[number];
    x->status = OBSERVE_HASHING;
    x->forgotten = false;
    x->seen_at = o->count;
    struct hashing *h = mem_alloc(sizeof *h);
    h->work = (struct work){.run = hashing_run, .done = hashing_done, .in_turn = true};
    h->observe = o;
    diags_init(&h->diags, &h->arena);
    h->path = str_copy(&h->arena, x->path);
    h->number = number;
    h->root = o->with.root;
    h->until = o->with.workers;
    workers_submit(o->with.workers, &h->work);
}

const struct observed *observe_want(struct observe *o, uint32_t number, uint32_t waiter)
{
    const struct observed *seen = observe_look(o, number);
    if (seen->status == OBSERVE_KNOWN || seen->status == OBSERVE_BROKEN)
        return seen;
    struct waiter *w = VEC_PUSH(o->arena, &o->waiters);
    struct observed *x = &o->all.at[number];
    *w = (struct waiter){waiter, x->waiters};
    x->waiters = o->waiters.n;
    if (x->status != OBSERVE_HASHING)
        start_hashing(o, number);
    return x;
}

void observe_forget(struct observe *o, uint32_t number)
{
    struct observed *x = &o->all.at[number];
    if (x->status == OBSERVE_HASHING) {
        x->forgotten = true;
    } else {
        x->status = OBSERVE_UNSEEN;
    }
}

void observe_forget_tree(struct observe *o, uint32_t number)
{
    bool is_new;
    uint32_t i = table_add(&o->trees, o->all.at[number].path, &is_new);
    if (is_new)
        (void)VEC_PUSH(o->arena, &o->trees_at);
    o->trees_at.at[i] = ++o->count;
    observe_forget(o, number);
}

bool observe_refresh(struct observe *o, uint32_t number)
{
    const struct observed *x = &o->all.at[number];
    if (x->status == OBSERVE_UNSEEN || x->status == OBSERVE_HASHING || x->ref.kind == REF_TREE)
        return false;
    struct file_sig now = file_stat(o->with.root, x->path, true);
    if (file_sig_eq(&now, &x->sig))
        return false;
    observe_forget(o, number);
    return true;
}

bool observe_is_untouched(struct observe *o, uint32_t number)
{
    const struct observed *x = observe_look(o, number);
    if (x->status != OBSERVE_KNOWN || x->ref.kind == REF_TREE)
        return false;
    struct file_sig now = file_stat(o->with.root, x->path, true);
    return file_sig_eq(&now, &x->sig)
           && (x->ref.kind == REF_NONE || !file_sig_is_racy(&x->sig, x->hashed_ns));
}

void observe_put(struct observe *o, uint32_t number, const struct object_seen *seen,
                 const struct file_sig *sig, int64_t hashed_ns)
{
    struct observed *x = &o->all.at[number];
    if (x->status == OBSERVE_HASHING) { /* what the worker saw may be older */
        x->forgotten = true;
        return;
    }
    x->seen_at = o->count;
    x->hashed_ns = hashed_ns;
    if (seen->ref.kind == REF_NONE) {
        set_absent(x);
        x->sig = *sig;
        return;
    }
    x->ref = seen->ref;
    x->content = seen->content;
    x->mode = seen->mode;
    x->sig = *sig;
    x->status = OBSERVE_KNOWN;
    struct state_file known = {.sig = *sig,
                               .walk = seen->walk,
                               .ref = seen->ref,
                               .content = seen->content,
                               .hashed_ns = hashed_ns};
    state_put_file(o->with.state, x->path, &known);
}

void observe_suppose(struct observe *o, uint32_t number, const struct ref *ref,
                     const struct digest *content, uint32_t mode)
{
    struct observed *x = &o->all.at[number];
    x->ref = *ref;
    x->content = *content;
    x->mode = mode;
    x->status = OBSERVE_KNOWN;
}
