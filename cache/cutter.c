/* SPDX-License-Identifier: MIT */
/* Two batches of bytes: while the chunks of one are hashed, the other is read and cut. Invariant: a batch is
 * written only when no job of it is out. */
#include "cache/cutter.h"

#include "cache/chunk.h"
#include "core/base/workers.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    BATCH_BYTES = 4 << 20,
    BATCH_ALONE = 1 << 20, /* without threads */
    BATCH_CHUNKS = BATCH_BYTES / CHUNK_MIN + 2,
    BATCH_JOBS = 8,
    THREADS = 4,        /* the cutter keeps no more than these busy */
    PARALLEL = 8 << 20, /* from this size on threads are worth it */
};

struct chunk_at {
    size_t at, n;
    struct digest digest;
};

struct batch;

struct batch_job {
    struct work work; /* first */
    struct batch *batch;
    uint32_t from, to;
};

struct batch {
    uint8_t *bytes;
    struct chunk_at chunks[BATCH_CHUNKS];
    uint32_t count, pending;
    struct batch_job jobs[BATCH_JOBS];
};

struct cutter {
    const struct cutter_source *from;
    struct workers *workers; /* NULL: alone */
    struct batch *batches[2];
    struct list_builder list;
    size_t room;  /* of a batch */
    size_t uncut; /* bytes left at the end of the batch before */
    bool end;
};

static void hash_chunks(struct batch *b, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        b->chunks[i].digest = digest_of(b->bytes + b->chunks[i].at, b->chunks[i].n);
    }
}

static void run_job(struct work *self)
{
    struct batch_job *job = (struct batch_job *)self;
    hash_chunks(job->batch, job->from, job->to);
}

static void job_done(struct work *self)
{
    ((struct batch_job *)self)->batch->pending--;
}

static void hash_batch(struct cutter *c, struct batch *b)
{
    if (!c->workers) {
        hash_chunks(b, 0, b->count);
        return;
    }
    for (uint32_t i = 0; i < BATCH_JOBS; i++) {
        struct batch_job *job = &b->jobs[i];
        *job = (struct batch_job){.work = {.run = run_job, .done = job_done}, .batch = b};
        job->from = b->count * i / BATCH_JOBS;
        job->to = b->count * (i + 1) / BATCH_JOBS;
        if (job->from < job->to) {
            b->pending++;
            workers_submit(c->workers, &job->work);
        }
    }
}

/* The batch's chunks, hashed, go to the list, and to whom they are for; it is free then. */
static bool take_batch(struct cutter *c, struct batch *b)
{
    const struct cutter_taker *taker = c->from->taker;
    bool ok = true;
    while (b->pending) {
        workers_wait(c->workers);
    }
    for (uint32_t i = 0; i < b->count && ok; i++) {
        const struct chunk_at *chunk = &b->chunks[i];
        struct ref ref = {REF_BLOB, chunk->n, chunk->digest};
        list_add(&c->list, chunk->n, &chunk->digest);
        ok = !taker
             || taker->take(taker->context, &ref,
                            (struct str){(const char *)b->bytes + chunk->at, chunk->n});
    }
    b->count = 0;
    return ok;
}

/* No job may be out when the batches go. */
static void wait_for_both(struct cutter *c)
{
    for (int i = 0; i < 2; i++) {
        while (c->batches[i]->pending) {
            workers_wait(c->workers);
        }
    }
}

/* Fills bytes up to n, or to the file's end. */
static bool read_full(struct cutter *c, uint8_t *bytes, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n && !c->end) {
        ssize_t part = read(c->from->fd, bytes + *got, n - *got);
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part < 0) {
            return false;
        }
        c->end = part == 0;
        *got += (size_t)part;
    }
    return true;
}

/* Reads on behind what the other batch left, and cuts what can be cut. */
static bool fill_batch(struct cutter *c, struct batch *b, const struct batch *other, size_t other_n)
{
    size_t got, at = 0;
    if (c->uncut) {
        memcpy(b->bytes, other->bytes + other_n - c->uncut, c->uncut);
    }
    if (!read_full(c, b->bytes + c->uncut, c->room - c->uncut, &got)) {
        return false;
    }
    size_t n = c->uncut + got;
    while (n - at >= CHUNK_MAX || (c->end && n > at)) {
        size_t cut = chunk_cut(b->bytes + at, n - at);
        b->chunks[b->count++] = (struct chunk_at){.at = at, .n = cut};
        at += cut;
    }
    c->uncut = n - at;
    const struct depot_sink *tee = c->from->tee;
    return !tee || !at || tee->take(tee->context, b->bytes, at);
}

static bool cut_all(struct cutter *c)
{
    size_t other_n = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && !c->end; i++) {
        struct batch *b = c->batches[i % 2], *other = c->batches[(i + 1) % 2];
        ok = take_batch(c, b) && fill_batch(c, b, other, other_n);
        other_n = c->room;
        if (ok) {
            hash_batch(c, b);
        }
        if (ok && c->end) {
            ok = take_batch(c, other) && take_batch(c, b);
        }
    }
    int error = errno;
    wait_for_both(c);
    errno = error;
    return ok;
}

bool cutter_run(const struct cutter_source *from, struct object_set *keep, struct ref *out)
{
    struct cutter c = {.from = from, .room = BATCH_ALONE};
    if (from->size >= PARALLEL && sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        c.workers = workers_open(THREADS);
        c.room = c.workers ? BATCH_BYTES : BATCH_ALONE;
    }
    for (int i = 0; i < 2; i++) {
        c.batches[i] = mem_alloc(sizeof *c.batches[i]);
        c.batches[i]->bytes = mem_alloc(c.room);
    }
    list_builder_init(&c.list, keep);
    errno = 0;
    bool ok = cut_all(&c);
    int error = errno;
    if (ok && !list_end(&c.list, out)) {
        *out = (struct ref){REF_LIST, 0, {{0}}}; /* nothing was there */
    }
    list_builder_free(&c.list);
    for (int i = 0; i < 2; i++) {
        mem_free(c.batches[i]->bytes);
        mem_free(c.batches[i]);
    }
    if (c.workers) {
        workers_close(c.workers);
    }
    errno = error;
    return ok;
}
