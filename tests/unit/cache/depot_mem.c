/* SPDX-License-Identifier: MIT */
/* A depot in memory; see the header. */
#include "tests/unit/cache/depot_mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

uint64_t mem_random(uint64_t *seed)
{
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static char *copy(struct str x)
{
    char *s = mem_alloc(x.n + 1);
    if (x.n) {
        memcpy(s, x.s, x.n);
    }
    return s;
}

void mem_place_init(struct mem_place *p, int64_t now_ms)
{
    memset(p, 0, sizeof *p);
    p->now_ms = now_ms;
}

void mem_place_free(struct mem_place *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        mem_free(p->entries[i].key);
        mem_free(p->entries[i].bytes);
    }
    for (uint32_t i = 0; i < p->late_count; i++) {
        mem_free(p->late[i].key);
    }
    mem_free(p->entries);
    mem_free(p->late);
    memset(p, 0, sizeof *p);
}

/* Index of the key, or where it belongs. */
static uint32_t index_of(const struct mem_place *p, struct str key)
{
    uint32_t low = 0;
    uint32_t high = p->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (str_cmp(str_from(p->entries[middle].key), key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct mem_entry *mem_find(struct mem_place *p, struct str key)
{
    uint32_t i = index_of(p, key);
    return i < p->count && str_eq(str_from(p->entries[i].key), key) ? &p->entries[i] : NULL;
}

void mem_remove(struct mem_place *p, struct str key)
{
    struct mem_entry *e = mem_find(p, key);
    if (e) {
        mem_free(e->key);
        mem_free(e->bytes);
        size_t i = (size_t)(e - p->entries);
        memmove(e, e + 1, (p->count - i - 1) * sizeof *e);
        p->count--;
    }
}

void mem_put(struct mem_place *p, struct str key, struct str bytes)
{
    mem_remove(p, key);
    if (p->count == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->entries = mem_resize(p->entries, p->cap * sizeof *p->entries);
    }
    uint32_t i = index_of(p, key);
    memmove(&p->entries[i + 1], &p->entries[i], (p->count - i) * sizeof *p->entries);
    p->entries[i] = (struct mem_entry){copy(key), copy(bytes), bytes.n, p->now_ms};
    p->count++;
}

uint32_t mem_count(const struct mem_place *p, struct str prefix)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        n += str_starts(str_from(p->entries[i].key), prefix);
    }
    return n;
}

void mem_pass(struct mem_place *p, int64_t ms)
{
    p->now_ms += ms;
    for (uint32_t i = 0; i < p->late_count;) {
        if (p->late[i].at_ms <= p->now_ms) {
            mem_remove(p, str_from(p->late[i].key));
            mem_free(p->late[i].key);
            p->late[i] = p->late[--p->late_count];
        } else {
            i++;
        }
    }
}

static bool now_is(int *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

/* false: the client is dead. */
static bool op_begin(struct mem_handle *h, enum mem_op op, struct str key,
                     struct depot_reply *reply)
{
    h->place->ops++;
    if (h->before && !h->dead) {
        h->before(h->context, h, op, key);
    }
    *reply = (struct depot_reply){.now_ms = h->dead ? 0 : h->place->now_ms};
    return !h->dead;
}

static enum depot_answer mem_get(struct depot *d, struct str key, struct depot_range range,
                                 struct depot_sink sink, struct depot_reply *reply)
{
    struct mem_handle *h = (struct mem_handle *)d;
    if (!op_begin(h, MEM_GET, key, reply) || now_is(&h->fail_get)) {
        return DEPOT_LATER;
    }
    const struct mem_entry *e = mem_find(h->place, key);
    if (!e) {
        return DEPOT_ABSENT;
    }
    struct str bytes =
        str_tail((struct str){e->bytes, e->n}, range.offset < e->n ? (size_t)range.offset : e->n);
    bytes.n = range.length < bytes.n ? (size_t)range.length : bytes.n;
    if (now_is(&h->cut_get)) {
        bytes.n /= 2;
    }
    char *given = copy(bytes);
    if (now_is(&h->garble_get) && bytes.n) {
        given[mem_random(&h->seed) % bytes.n] ^= 1;
    }
    bool taken = bytes.n == 0 || sink.take(sink.context, given, bytes.n);
    mem_free(given);
    return taken ? DEPOT_DONE : DEPOT_REFUSED;
}

static bool read_file(struct buf *b, const struct depot_source *source)
{
    char *to = buf_reserve(b, (size_t)source->fd_bytes);
    ssize_t n = to ? pread(source->fd, to, (size_t)source->fd_bytes, 0) : -1;
    b->n += n > 0 ? (size_t)n : 0;
    return n >= 0 && (uint64_t)n == source->fd_bytes;
}

static enum depot_answer mem_put_source(struct depot *d, struct str key,
                                        const struct depot_source *source, bool if_absent,
                                        struct depot_reply *reply)
{
    struct mem_handle *h = (struct mem_handle *)d;
    int64_t began = h->place->now_ms;
    if (!op_begin(h, MEM_PUT, key, reply) || now_is(&h->fail_put)) {
        return DEPOT_LATER;
    }
    if (h->refuse_put_ms && h->place->now_ms - began > h->refuse_put_ms) {
        return DEPOT_LATER; /* the server finds the request too old */
    }
    if (if_absent && mem_find(h->place, key)) {
        return DEPOT_EXISTS;
    }
    struct buf b;
    buf_init(&b, 256 << 20);
    for (uint32_t i = 0; source->fd < 0 && i < source->part_count; i++) {
        buf_put_str(&b, source->parts[i]);
    }
    if (source->fd >= 0 && !read_file(&b, source)) {
        buf_free(&b);
        return DEPOT_REFUSED;
    }
    mem_put(h->place, key, buf_str(&b));
    buf_free(&b);
    if (now_is(&h->lose_put)) {
        return DEPOT_LATER;
    }
    reply->stored_ms = h->place->now_ms;
    return DEPOT_DONE;
}

static enum depot_answer mem_list(struct depot *d, struct str prefix, struct str after,
                                  struct depot_each each, struct depot_reply *reply)
{
    struct mem_handle *h = (struct mem_handle *)d;
    if (!op_begin(h, MEM_LIST, prefix, reply) || now_is(&h->fail_list)) {
        return DEPOT_LATER;
    }
    for (uint32_t i = 0; i < h->place->count; i++) {
        const struct mem_entry *e = &h->place->entries[i];
        struct depot_entry entry = {str_from(e->key), e->n, e->stored_ms};
        if (str_starts(entry.key, prefix) && str_cmp(entry.key, after) > 0
            && !each.entry(each.context, &entry)) {
            break;
        }
    }
    return DEPOT_DONE;
}

static enum depot_answer mem_drop(struct depot *d, struct str key, struct depot_reply *reply)
{
    struct mem_handle *h = (struct mem_handle *)d;
    if (!op_begin(h, MEM_DROP, key, reply) || now_is(&h->fail_drop)) {
        return DEPOT_LATER;
    }
    struct mem_place *p = h->place;
    if (now_is(&h->late_drop)) {
        if (p->late_count == p->late_cap) {
            p->late_cap = p->late_cap ? 2 * p->late_cap : 8;
            p->late = mem_resize(p->late, p->late_cap * sizeof *p->late);
        }
        p->late[p->late_count++] = (struct mem_late){copy(key), p->now_ms + h->late_ms};
        return DEPOT_LATER;
    }
    bool there = mem_find(p, key) != NULL;
    mem_remove(p, key);
    return there ? DEPOT_DONE : DEPOT_ABSENT;
}

static void mem_close(struct depot *d)
{
    (void)d;
}

void mem_handle_init(struct mem_handle *h, struct mem_place *p)
{
    static const struct depot_functions FUNCTIONS = {mem_get, mem_put_source, mem_list, mem_drop,
                                                     mem_close};
    memset(h, 0, sizeof *h);
    h->depot.f = &FUNCTIONS;
    h->place = p;
    h->seed = 1;
}

static int64_t world_boot(void *context)
{
    const struct mem_handle *h = context;
    return h->place->now_ms * 1000000;
}

static int64_t world_now(void *context)
{
    const struct mem_handle *h = context;
    return h->place->now_ms + h->skew_ms;
}

static uint64_t world_random(void *context)
{
    struct mem_handle *h = context;
    return mem_random(&h->seed);
}

struct manifest_world mem_world(struct mem_handle *h)
{
    return (struct manifest_world){world_boot, world_now, world_random, h};
}
