/* SPDX-License-Identifier: MIT */
/* Each range has its places in the files from the beginning on, so that threads write without asking each other. A file's
 * items are one walker's at a time, and the asking thread's once it has ended; what arrived is behind the guard. */
#include "cache/far_spool.h"

#include "core/base/file.h"
#include "core/base/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PIECE = 128 << 10, FILES_PART = 4 };
#define PATIENCE_NS (INT64_C(3600) * 1000000000)

/* A request. */
struct part {
    struct fetch_range range;
    uint32_t span; /* the first of which it has a byte */
    uint64_t got;  /* like the next one guarded, until it has ended */
    bool ended;
};

/* What a file is being walked with; guarded, but for file, which is who is busy's. */
struct walking {
    struct far_spool_file file;
    uint32_t span; /* the one that is being walked, … */
    uint64_t at,   /* … up to here in the file … */
        seen;      /* … and what was there of it the last time */
    bool busy, ended;
};

/* What a thread fetches and walks with. */
struct bench {
    struct far_walker walker;
    char *piece;
    struct bench *next;
};

struct far_spool {
    struct depot depot;
    int dir;
    struct arena arena;
    struct guard *guard;
    struct bench *benches; /* those not in use; guarded */
    struct far_layout layout;
    struct walking *files; /* by number */
    struct part *parts;    /* by pack and offset; fetched in this order */
    uint32_t count;
    struct far_spool_source from;
    struct ahead *ahead; /* that fills it; NULL: none */
};

static struct bench *take_bench(struct far_spool *s)
{
    guard_enter(s->guard);
    struct bench *b = s->benches;
    s->benches = b ? b->next : NULL;
    guard_leave(s->guard);
    if (!b) {
        b = mem_alloc(sizeof *b);
        far_walker_init(&b->walker);
        b->piece = mem_alloc(PIECE);
    }
    return b;
}

static void give_bench(struct far_spool *s, struct bench *b)
{
    guard_enter(s->guard);
    b->next = s->benches;
    s->benches = b;
    guard_leave(s->guard);
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

/* Whether the span has a byte of the part. */
static bool is_of_part(const struct far_spool *s, uint32_t span, const struct fetch_range *r)
{
    const struct far_span *p = &s->layout.spans[span];
    return span < s->layout.span_count && pack_id_eq(&p->pack, &r->pack)
           && p->offset < r->offset + r->length;
}

/* ---- filling ---- */

/* A part on its way. What comes in small pieces is written in large ones. */
struct writing {
    const struct far_spool *s;
    const struct part *part;
    uint32_t span;
    uint64_t came; /* of the part */
    char *piece;
    size_t n;
    int fd;      /* where the piece goes … */
    uint64_t at; /* … and to which place */
};

static bool write_out(struct writing *w)
{
    for (size_t at = 0; at < w->n;) {
        ssize_t done = pwrite(w->fd, w->piece + at, w->n - at, (off_t)(w->at + at));
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        at += (size_t)done;
    }
    w->at += w->n;
    w->n = 0;
    return true;
}

static bool write_span(struct writing *w, const struct far_span *span, uint64_t within,
                       struct str bytes)
{
    int fd = w->s->files[span->file].file.fd;
    uint64_t at = span->at + within;
    if (fd != w->fd || at != w->at + w->n) {
        if (!write_out(w)) {
            return false;
        }
        w->fd = fd;
        w->at = at;
    }
    while (bytes.n > 0) {
        size_t n = bytes.n < PIECE - w->n ? bytes.n : PIECE - w->n;
        memcpy(w->piece + w->n, bytes.s, n);
        w->n += n;
        bytes = str_tail(bytes, n);
        if (w->n == PIECE && !write_out(w)) {
            return false;
        }
    }
    return true;
}

/* Bytes between two spans are nobody's. */
static bool take_piece(void *context, const void *bytes, size_t n)
{
    struct writing *w = context;
    const struct fetch_range *r = &w->part->range;
    struct str left = {bytes, n};
    if (n > r->length - w->came) {
        return false; /* more than was asked for */
    }
    while (left.n > 0) {
        const struct far_span *span = &w->s->layout.spans[w->span];
        uint64_t at = r->offset + w->came, most = left.n;
        if (is_of_part(w->s, w->span, r)) {
            uint64_t end = span->offset + span->length;
            uint64_t edge = at < span->offset ? span->offset : end;
            most = edge - at < most ? edge - at : most;
            if (at >= span->offset
                && !write_span(w, span, at - span->offset, str_sub(left, 0, (size_t)most))) {
                return false;
            }
            w->span += at + most == end;
        }
        w->came += most;
        left = str_tail(left, (size_t)most);
    }
    return true;
}

/* How many of its bytes are there, from the first one on. */
static uint64_t fetch_part(struct far_spool *s, const struct part *p, char *piece)
{
    struct writing w = {.s = s, .part = p, .span = p->span, .piece = piece, .fd = -1};
    struct depot_sink sink = {take_piece, &w};
    struct depot_range range = {p->range.offset, p->range.length};
    struct depot_reply reply;
    char key[PACK_KEY];
    if (time_boot_ns() >= s->from.until_boot_ns) {
        return 0;
    }
    struct str name = pack_key(&p->range.pack, false, key);
    bool ok = depot_get(s->from.depot, name, range, sink, &reply) == DEPOT_DONE && write_out(&w);
    return ok ? w.came : 0;
}

/* ---- walking ---- */

/* How far the span's bytes are there, as a place in its file; *last: no more will come. */
static uint64_t arrived(const struct far_spool *s, const struct far_span *span, uint64_t at,
                        bool *last)
{
    uint64_t there = span->offset + (at - span->at), end = span->offset + span->length;
    *last = true;
    for (uint32_t i = part_find(s, &span->pack, there); there < end && i < s->count; i++) {
        const struct part *p = &s->parts[i];
        if (!p->ended) {
            *last = false;
            break;
        }
        uint64_t part_end = p->range.offset + p->got;
        there = part_end < there ? there : part_end < end ? part_end : end;
        if (p->got < p->range.length) {
            break;
        }
    }
    return span->at + (there - span->offset);
}

/* On to the next span; what is left of this one does not come, or is no item. */
static void end_span(const struct far_spool *s, struct walking *f)
{
    const struct far_span *span = &s->layout.spans[f->span];
    const struct far_file *file = &s->layout.files[span->file];
    f->file.whole &= f->at == span->at + span->length;
    f->ended = ++f->span == file->first + file->count;
    f->at = f->seen = f->ended ? f->at : s->layout.spans[f->span].at;
}

static void walk_file(struct far_spool *s, struct walking *f, struct far_walker *walker)
{
    guard_enter(s->guard);
    bool mine = !f->busy;
    f->busy = true;
    while (mine && !f->ended) {
        bool last;
        uint64_t from = f->at, to = arrived(s, &s->layout.spans[f->span], from, &last);
        if (to > f->seen) {
            guard_leave(s->guard);
            uint64_t at = far_walk(walker, f->file.fd, from, to, &f->file.items);
            guard_enter(s->guard);
            f->at = at;
            f->seen = to;
        } else if (last) {
            end_span(s, f);
        } else {
            break; /* whoever ends the next part goes on */
        }
    }
    if (mine) {
        f->busy = false;
        guard_wake(s->guard);
    }
    guard_leave(s->guard);
}

static void fill_part(void *context, uint32_t number)
{
    struct far_spool *s = context;
    struct part *p = &s->parts[number];
    struct bench *b = take_bench(s);
    uint64_t got = fetch_part(s, p, b->piece);
    guard_enter(s->guard);
    p->got = got;
    p->ended = true;
    guard_leave(s->guard);
    for (uint32_t i = p->span, file = UINT32_MAX; is_of_part(s, i, &p->range); i++) {
        if (s->layout.spans[i].file != file) {
            file = s->layout.spans[i].file;
            walk_file(s, &s->files[file], &b->walker);
        }
    }
    give_bench(s, b);
}

/* ---- filled ---- */

void far_spool_empty(struct far_spool *s)
{
    ahead_end(s->ahead);
    s->ahead = NULL;
    for (uint32_t i = 0; i < s->layout.file_count; i++) {
        far_items_free(&s->files[i].file.items);
        if (s->files[i].file.fd >= 0) {
            close(s->files[i].file.fd);
        }
    }
    s->count = 0;
    s->layout = (struct far_layout){0};
    arena_free(&s->arena);
}

static void open_files(struct far_spool *s)
{
    s->files = ARENA_ARRAY(&s->arena, struct walking, s->layout.file_count + 1);
    for (uint32_t i = 0; i < s->layout.file_count; i++) {
        const struct far_file *l = &s->layout.files[i];
        struct walking *f = &s->files[i];
        f->file.fd = file_open_nameless(s->dir); /* without it nothing can be written */
        f->file.bytes = l->bytes;
        f->file.whole = !l->loose;
        far_items_init(&f->file.items, l->loose ? 0 : l->entries, l->bytes);
        f->span = l->first;
        f->at = f->seen = s->layout.spans[l->first].at;
        f->ended = l->loose;
    }
}

/* The spans as few ranges. */
static void make_parts(struct far_spool *s)
{
    const struct far_layout *l = &s->layout;
    struct pack_run *runs = ARENA_ARRAY(&s->arena, struct pack_run, (size_t)l->span_count + 1);
    struct fetch_range *ranges;
    for (uint32_t i = 0; i < l->span_count; i++) {
        runs[i] = (struct pack_run){l->spans[i].pack, l->spans[i].offset, l->spans[i].length, 1};
    }
    s->count = fetch_ranges(&s->arena, runs, l->span_count, FETCH_RANGE_LIMIT, &ranges);
    s->parts = ARENA_ARRAY(&s->arena, struct part, (size_t)s->count + 1);
    for (uint32_t i = 0; i < s->count; i++) {
        uint32_t span = far_layout_find(l, &ranges[i].pack, ranges[i].offset);
        s->parts[i] = (struct part){.range = ranges[i], .span = span};
    }
}

/* Commands, connections and other files need descriptors meanwhile. */
static uint32_t files_most(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / FILES_PART > FAR_LAYOUT_FILES) {
        return FAR_LAYOUT_FILES;
    }
    return (uint32_t)(limit.rlim_cur / FILES_PART);
}

void far_spool_fill(struct far_spool *s, const struct far_spool_source *from,
                    const struct pack_run *runs, uint32_t count)
{
    far_spool_empty(s);
    s->from = *from;
    far_layout_make(&s->arena, runs, count, files_most(), &s->layout);
    open_files(s);
    make_parts(s);
    s->ahead = ahead_begin(from->pool, s->count, fill_part, s);
}

uint32_t far_spool_file_count(const struct far_spool *s)
{
    return s->layout.file_count;
}

struct far_spool_file *far_spool_file(struct far_spool *s, uint32_t number)
{
    struct walking *f = &s->files[number];
    guard_enter(s->guard);
    while (!f->ended || f->busy) {
        (void)guard_wait(s->guard, time_boot_ns() + PATIENCE_NS);
    }
    guard_leave(s->guard);
    return &f->file;
}

struct far_item *far_spool_find(struct far_spool *s, const struct pack_id *pack, uint64_t offset,
                                uint32_t *file)
{
    uint32_t i = far_layout_find(&s->layout, pack, offset);
    const struct far_span *span = &s->layout.spans[i];
    if (i == s->layout.span_count || !pack_id_eq(&span->pack, pack) || offset < span->offset) {
        return NULL;
    }
    *file = span->file;
    const struct far_spool_file *f = far_spool_file(s, span->file);
    return far_items_find(&f->items, span->at + (offset - span->offset));
}

/* ---- reading ---- */

/* The part that holds the offset, else the next of the pack, else NULL; it is as full as it will be. */
static const struct part *part_at(const struct far_spool *s, const struct pack_id *pack,
                                  uint64_t offset)
{
    uint32_t i = part_find(s, pack, offset);
    if (!s->ahead || i >= s->count || !pack_id_eq(&s->parts[i].range.pack, pack)) {
        return NULL;
    }
    ahead_wait(s->ahead, i);
    return &s->parts[i];
}

static size_t zeros(char *piece, uint64_t n, size_t room)
{
    size_t some = n < room ? (size_t)n : room;
    memset(piece, 0, some);
    return some;
}

/* Bytes between two spans are nobody's: zeros will do. */
static size_t read_some(const struct far_spool *s, const struct part *p, uint64_t offset,
                        char *piece, size_t room)
{
    if (offset < p->range.offset) {
        return zeros(piece, p->range.offset - offset, room);
    }
    uint64_t end = p->range.offset + p->got;
    if (offset >= end) {
        return 0;
    }
    uint32_t i = far_layout_find(&s->layout, &p->range.pack, offset);
    const struct far_span *span = &s->layout.spans[i];
    if (!is_of_part(s, i, &p->range) || offset < span->offset) {
        uint64_t next = is_of_part(s, i, &p->range) && span->offset < end ? span->offset : end;
        return zeros(piece, next - offset, room);
    }
    end = span->offset + span->length < end ? span->offset + span->length : end;
    room = end - offset < room ? (size_t)(end - offset) : room;
    ssize_t n = pread(s->files[span->file].file.fd, piece, room,
                      (off_t)(span->at + (offset - span->offset)));
    return n > 0 ? (size_t)n : 0;
}

static enum depot_answer spool_get(struct depot *d, struct str key, struct depot_range range,
                                   struct depot_sink sink, struct depot_reply *reply)
{
    const struct far_spool *s = (const struct far_spool *)d;
    *reply = (struct depot_reply){0};
    struct pack_id pack;
    bool plain;
    const struct part *p = NULL;
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
    int fd = file_open_nameless(dir);
    if (fd < 0) {
        return NULL;
    }
    close(fd);
    struct far_spool *s = mem_alloc(sizeof *s);
    s->depot.f = &functions;
    s->dir = dir;
    s->guard = guard_open();
    return s;
}

void far_spool_close(struct far_spool *s)
{
    if (!s) {
        return;
    }
    far_spool_empty(s);
    while (s->benches) {
        struct bench *b = s->benches;
        s->benches = b->next;
        far_walker_free(&b->walker);
        mem_free(b->piece);
        mem_free(b);
    }
    guard_close(s->guard);
    mem_free(s);
}

struct depot *far_spool_depot(struct far_spool *s)
{
    return &s->depot;
}
