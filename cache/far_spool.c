/* SPDX-License-Identifier: MIT */
/* Each range has its part of the file from the beginning on, so that threads write without asking each other. Who reads
 * waits for the part that is wanted, and nobody else touches a part that is there. */
#include "cache/far_spool.h"

#include "core/base/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 256 << 10 };

struct spooled {
    struct fetch_range range;
    uint64_t at, got; /* in the file */
};

struct far_spool {
    struct depot depot;
    int fd;
    struct arena arena;
    struct spooled *parts; /* by pack and offset */
    uint32_t count;
    uint32_t *order, *turn; /* of fetching: the part of a turn, the turn of a part */
    struct far_spool_source from;
    struct ahead *ahead; /* that fills it; NULL: none */
};

/* ---- filling ---- */

/* What comes in small pieces is written in large ones. */
struct writing {
    int fd;
    struct spooled *part;
    char *piece;
    size_t n;
};

static bool write_out(struct writing *w)
{
    for (size_t at = 0; at < w->n;) {
        ssize_t done = pwrite(w->fd, w->piece + at, w->n - at, (off_t)(w->part->at + w->part->got));
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        at += (size_t)done;
        w->part->got += (uint64_t)done;
    }
    w->n = 0;
    return true;
}

static bool write_piece(void *context, const void *bytes, size_t n)
{
    struct writing *w = context;
    const char *from = bytes;
    if (n > w->part->range.length - w->part->got - w->n) {
        return false; /* more than was asked for */
    }
    while (n > 0) {
        size_t part = n < PIECE - w->n ? n : PIECE - w->n;
        memcpy(w->piece + w->n, from, part);
        w->n += part;
        from += part;
        n -= part;
        if (w->n == PIECE && !write_out(w)) {
            return false;
        }
    }
    return true;
}

static void fill_part(void *context, uint32_t turn)
{
    struct far_spool *s = context;
    struct spooled *p = &s->parts[s->order[turn]];
    struct writing w = {.fd = s->fd, .part = p};
    struct depot_sink sink = {write_piece, &w};
    struct depot_reply reply;
    char key[PACK_KEY];
    if (time_boot_ns() >= s->from.until_boot_ns) {
        return;
    }
    struct depot_range range = {p->range.offset, p->range.length};
    w.piece = mem_alloc(PIECE);
    if (depot_get(s->from.depot, pack_key(&p->range.pack, false, key), range, sink, &reply)
            != DEPOT_DONE
        || !write_out(&w)) {
        p->got = 0;
    }
    mem_free(w.piece);
}

/* The part that holds the offset, else the one behind it, which may be of another pack, or none. */
static uint32_t part_find(const struct far_spool *s, const struct pack_id *pack, uint64_t offset)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct fetch_range *r = &s->parts[middle].range;
        int c = memcmp(r->pack.b, pack->b, sizeof pack->b);
        if (c < 0 || (c == 0 && r->offset + r->length <= offset)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* What is wanted first is fetched first. */
static void set_order(struct far_spool *s, const struct pack_run *runs, uint32_t count)
{
    uint32_t next = 0;
    s->order = ARENA_ARRAY(&s->arena, uint32_t, s->count + 1);
    s->turn = ARENA_ARRAY(&s->arena, uint32_t, s->count + 1);
    for (uint32_t i = 0; i < s->count; i++) {
        s->turn[i] = UINT32_MAX;
    }
    for (uint32_t i = 0; i < count && next < s->count; i++) {
        const struct pack_run *run = &runs[i];
        for (uint32_t p = part_find(s, &run->pack, run->offset);
             p < s->count && pack_id_eq(&s->parts[p].range.pack, &run->pack)
             && s->parts[p].range.offset < run->offset + run->length;
             p++) {
            if (s->turn[p] == UINT32_MAX) {
                s->turn[p] = next;
                s->order[next++] = p;
            }
        }
    }
    for (uint32_t p = 0; p < s->count; p++) { /* runs of no length have none */
        if (s->turn[p] == UINT32_MAX) {
            s->turn[p] = next;
            s->order[next++] = p;
        }
    }
}

void far_spool_empty(struct far_spool *s)
{
    ahead_end(s->ahead);
    s->ahead = NULL;
    s->count = 0;
    arena_free(&s->arena);
}

void far_spool_fill(struct far_spool *s, const struct far_spool_source *from,
                    const struct pack_run *runs, uint32_t count)
{
    far_spool_empty(s);
    s->from = *from;
    struct fetch_range *ranges;
    s->count = fetch_ranges(&s->arena, runs, count, FETCH_RANGE_LIMIT, &ranges);
    s->parts = ARENA_ARRAY(&s->arena, struct spooled, s->count + 1);
    uint64_t at = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        s->parts[i] = (struct spooled){ranges[i], at, 0};
        at += ranges[i].length;
    }
    set_order(s, runs, count);
    if (ftruncate(s->fd, 0) == 0) {
        s->ahead = ahead_begin(from->pool, s->count, fill_part, s);
    }
}

/* ---- reading ---- */

/* The part that holds the offset, else the next of the pack, else NULL; it is as full as it will be. */
static const struct spooled *part_at(const struct far_spool *s, const struct pack_id *pack,
                                     uint64_t offset)
{
    uint32_t i = part_find(s, pack, offset);
    if (!s->ahead || i >= s->count || !pack_id_eq(&s->parts[i].range.pack, pack)) {
        return NULL;
    }
    ahead_wait(s->ahead, s->turn[i]);
    return &s->parts[i];
}

/* Bytes between two ranges are nobody's: zeros will do. */
static size_t read_some(const struct far_spool *s, const struct spooled *p, uint64_t offset,
                        char *piece, size_t room)
{
    if (offset < p->range.offset) {
        uint64_t gap = p->range.offset - offset;
        size_t n = gap < room ? (size_t)gap : room;
        memset(piece, 0, n);
        return n;
    }
    uint64_t within = offset - p->range.offset;
    uint64_t left = within < p->got ? p->got - within : 0;
    ssize_t n = pread(s->fd, piece, left < room ? (size_t)left : room, (off_t)(p->at + within));
    return n > 0 ? (size_t)n : 0;
}

static enum depot_answer spool_get(struct depot *d, struct str key, struct depot_range range,
                                   struct depot_sink sink, struct depot_reply *reply)
{
    const struct far_spool *s = (const struct far_spool *)d;
    *reply = (struct depot_reply){0};
    struct pack_id pack;
    bool plain;
    const struct spooled *p = NULL;
    if (pack_key_parse(key, &pack, &plain) && !plain) {
        p = part_at(s, &pack, range.offset);
    }
    if (!p || range.offset < p->range.offset || range.offset - p->range.offset >= p->got) {
        return DEPOT_ABSENT;
    }
    size_t room = range.length < PIECE ? (size_t)range.length : PIECE;
    char *piece = mem_alloc(room + 1);
    enum depot_answer answer = DEPOT_DONE;
    uint64_t at = range.offset, left = range.length;
    while (left > 0 && p && answer == DEPOT_DONE) {
        size_t n = read_some(s, p, at, piece, left < room ? (size_t)left : room);
        if (n == 0) {
            break; /* short: whoever reads counts */
        }
        answer = sink.take(sink.context, piece, n) ? DEPOT_DONE : DEPOT_REFUSED;
        at += n;
        left -= n;
        p = part_at(s, &pack, at);
    }
    mem_free(piece);
    return answer;
}

static void spool_close(struct depot *d)
{
    far_spool_close((struct far_spool *)d);
}

struct far_spool *far_spool_open(int dir)
{
    static const struct depot_functions functions = {.get = spool_get, .close = spool_close};
    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        return NULL;
    }
    struct far_spool *s = mem_alloc(sizeof *s);
    s->depot.f = &functions;
    s->fd = fd;
    return s;
}

void far_spool_close(struct far_spool *s)
{
    if (s) {
        far_spool_empty(s);
        close(s->fd);
        mem_free(s);
    }
}

struct depot *far_spool_depot(struct far_spool *s)
{
    return &s->depot;
}
