/* SPDX-License-Identifier: MIT */
/* Layout of the compiled graph. Invariant: the image is the only memory a graph points into, and each section
 * lies within it at a multiple of 8. */
#include "core/graph_image.h"

#include <assert.h>
#include <string.h>

/* image   = header (IMAGE_HEADER_BYTES), section...
 * header  = magic, version, checksum of all behind it, size, name, one (offset, count) for each section
 * Version history: 1 first; 2: flags of inputs, and where copies of objects in S3 lie;
 * 3: where trust is said. */
enum { IMAGE_VERSION = 3, IMAGE_ALIGN = 8 };
static const char image_magic[8] = {'p', 'a', 'w', 'l', 'g', 'r', 'f', '\n'};

enum section {
    SECTION_POOL,
    SECTION_SOURCES,
    SECTION_STEPS,
    SECTION_FILES,
    SECTION_INPUTS,
    SECTION_OUTPUTS,
    SECTION_EDGES,
    SECTION_BACK_EDGES,
    SECTION_NAMED,
    SECTION_TEXTS,
    SECTION_NUMBERS,
    SECTION_POOLS,
    SECTION_PROBES,
    SECTION_EXECUTORS,
    SECTION_GROUPS,
    SECTION_PARAMS,
    SECTION_DEFAULTS,
    SECTION_ORIGINS,
    SECTION_REMOTE,
    SECTION_ORDER,
    SECTION_STEP_SLOTS,
    SECTION_FILE_SLOTS,
    SECTION_COUNT
};

struct image_section {
    uint64_t offset;
    uint32_t count, bytes_each;
};

struct image_header {
    char magic[8];
    uint32_t version, section_count;
    uint64_t checksum; /* of all bytes behind this field */
    uint64_t size;
    struct gtext name;
    struct image_section sections[SECTION_COUNT];
};

/* Where a section's pointer and count are kept in struct graph; count 0: nowhere. */
struct section_home {
    size_t pointer, count;
    uint32_t bytes_each;
};
#define HOME(section, array, type)                                                                 \
    [section] = {offsetof(struct graph, array##s), offsetof(struct graph, array##_count),          \
                 sizeof(type)}
static const struct section_home homes[SECTION_COUNT] = {
    [SECTION_POOL] = {offsetof(struct graph, pool), 0, 1},
    HOME(SECTION_SOURCES, source, struct gtext),
    HOME(SECTION_STEPS, step, struct graph_step),
    HOME(SECTION_FILES, file, struct graph_file),
    HOME(SECTION_INPUTS, input, struct graph_input),
    HOME(SECTION_OUTPUTS, output, struct graph_output),
    HOME(SECTION_EDGES, edge, struct graph_edge),
    HOME(SECTION_BACK_EDGES, back_edge, struct graph_edge),
    [SECTION_NAMED] = {offsetof(struct graph, named), offsetof(struct graph, named_count),
                       sizeof(struct graph_named)},
    HOME(SECTION_TEXTS, text, struct gtext),
    HOME(SECTION_NUMBERS, number, uint32_t),
    HOME(SECTION_POOLS, pool, struct graph_pool),
    HOME(SECTION_PROBES, probe, struct graph_probe),
    HOME(SECTION_EXECUTORS, executor, struct graph_executor),
    HOME(SECTION_GROUPS, group, struct graph_group),
    HOME(SECTION_PARAMS, param, struct graph_named),
    HOME(SECTION_DEFAULTS, default, uint32_t),
    HOME(SECTION_ORIGINS, origin, struct graph_origin),
    [SECTION_REMOTE] = {offsetof(struct graph, remote), 0, sizeof(struct graph_remote_place)},
    [SECTION_ORDER] = {offsetof(struct graph, order), 0, sizeof(uint32_t)},
    [SECTION_STEP_SLOTS] = {0, 0, sizeof(uint32_t)},
    [SECTION_FILE_SLOTS] = {0, 0, sizeof(uint32_t)},
};

struct piece {
    const void *items;
    uint32_t count;
};

static uint64_t image_checksum(const void *image, size_t n)
{
    const uint8_t *p = image;
    size_t from = offsetof(struct image_header, size);
    uint64_t lanes[4] = {1, 2, 3, 4};
    size_t i = from;
    for (; n - i >= 32; i += 32) {
        for (size_t lane = 0; lane < 4; lane++) {
            uint64_t word;
            memcpy(&word, p + i + 8 * lane, 8);
            uint64_t x = (lanes[lane] ^ word) * UINT64_C(0x9e3779b97f4a7c15);
            lanes[lane] = x ^ (x >> 29);
        }
    }
    uint64_t sum = str_hash((struct str){(const char *)p + i, n - i});
    for (size_t lane = 0; lane < 4; lane++) {
        sum = (sum ^ lanes[lane]) * UINT64_C(0xff51afd7ed558ccd);
        sum ^= sum >> 32;
    }
    return sum;
}

static uint32_t *slots_make(struct arena *a, uint32_t count, uint32_t *cap)
{
    *cap = 4;
    while (*cap < UINT32_C(1) << 31 && *cap / 2 < count) {
        *cap *= 2;
    }
    return ARENA_ARRAY(a, uint32_t, *cap);
}

static void slots_put(uint32_t *slots, uint32_t cap, struct str key, uint32_t number)
{
    uint32_t i = (uint32_t)str_hash(key) & (cap - 1);
    while (slots[i]) {
        i = (i + 1) & (cap - 1);
    }
    slots[i] = number + 1;
}

static struct str draft_text(const struct graph_draft *d, struct gtext t)
{
    return (struct str){d->pool.s + t.at, t.n};
}

static struct piece step_slots(const struct graph_draft *d, struct arena *a)
{
    uint32_t cap;
    uint32_t *slots = slots_make(a, d->steps.n, &cap);
    for (uint32_t i = 0; i < d->steps.n; i++) {
        slots_put(slots, cap, draft_text(d, d->steps.at[i].name), i);
    }
    return (struct piece){slots, cap};
}

static struct piece file_slots(const struct graph_draft *d, struct arena *a)
{
    uint32_t cap;
    uint32_t *slots = slots_make(a, d->files.n, &cap);
    for (uint32_t i = 0; i < d->files.n; i++) {
        slots_put(slots, cap, draft_text(d, d->files.at[i].path), i);
    }
    return (struct piece){slots, cap};
}

static void put_pointer(struct graph *g, size_t at, const void *p)
{
    memcpy((char *)g + at, &p, sizeof p);
}

/* Typed pointers for a header whose sections are known to lie within the image. */
static void image_point(const struct image_header *h, struct graph *g)
{
    const char *base = (const char *)h;
    *g = (struct graph){.name = h->name, .image = h, .image_bytes = (size_t)h->size};
    for (int i = 0; i < SECTION_COUNT; i++) {
        const struct image_section *s = &h->sections[i];
        if (i >= SECTION_STEP_SLOTS) {
            continue;
        }
        put_pointer(g, homes[i].pointer, base + s->offset);
        if (homes[i].count) {
            memcpy((char *)g + homes[i].count, &s->count, sizeof s->count);
        }
    }
    if (!h->sections[SECTION_REMOTE].count) {
        g->remote = NULL;
    }
}

static void gather(const struct graph_draft *d, struct piece *p)
{
    p[SECTION_POOL] = (struct piece){d->pool.s, (uint32_t)d->pool.n};
    p[SECTION_SOURCES] = (struct piece){d->sources.at, d->sources.n};
    p[SECTION_STEPS] = (struct piece){d->steps.at, d->steps.n};
    p[SECTION_FILES] = (struct piece){d->files.at, d->files.n};
    p[SECTION_INPUTS] = (struct piece){d->inputs.at, d->inputs.n};
    p[SECTION_OUTPUTS] = (struct piece){d->outputs.at, d->outputs.n};
    p[SECTION_EDGES] = (struct piece){d->edges.at, d->edges.n};
    p[SECTION_NAMED] = (struct piece){d->named.at, d->named.n};
    p[SECTION_TEXTS] = (struct piece){d->texts.at, d->texts.n};
    p[SECTION_NUMBERS] = (struct piece){d->numbers.at, d->numbers.n};
    p[SECTION_POOLS] = (struct piece){d->pools.at, d->pools.n};
    p[SECTION_PROBES] = (struct piece){d->probes.at, d->probes.n};
    p[SECTION_EXECUTORS] = (struct piece){d->executors.at, d->executors.n};
    p[SECTION_GROUPS] = (struct piece){d->groups.at, d->groups.n};
    p[SECTION_PARAMS] = (struct piece){d->params.at, d->params.n};
    p[SECTION_DEFAULTS] = (struct piece){d->defaults.at, d->defaults.n};
    p[SECTION_ORIGINS] = (struct piece){d->origins.at, d->origins.n};
    p[SECTION_REMOTE] = (struct piece){&d->remote, d->has_remote};
}

void graph_image_lay(const struct graph_draft *draft, const uint32_t *order,
                     const struct graph_edge *back, struct arena *a, struct graph *out)
{
    struct piece pieces[SECTION_COUNT] = {{NULL, 0}};
    gather(draft, pieces);
    pieces[SECTION_ORDER] = (struct piece){order, draft->steps.n};
    pieces[SECTION_BACK_EDGES] = (struct piece){back, draft->edges.n};
    pieces[SECTION_STEP_SLOTS] = step_slots(draft, a);
    pieces[SECTION_FILE_SLOTS] = file_slots(draft, a);

    struct image_header h = {.version = IMAGE_VERSION, .section_count = SECTION_COUNT};
    memcpy(h.magic, image_magic, sizeof h.magic);
    h.name = draft->name;
    uint64_t at = (sizeof h + IMAGE_ALIGN - 1) & ~(uint64_t)(IMAGE_ALIGN - 1);
    for (int i = 0; i < SECTION_COUNT; i++) {
        h.sections[i] = (struct image_section){at, pieces[i].count, homes[i].bytes_each};
        at += (uint64_t)pieces[i].count * homes[i].bytes_each;
        at = (at + IMAGE_ALIGN - 1) & ~(uint64_t)(IMAGE_ALIGN - 1);
    }
    h.size = at;
    char *image = arena_alloc(a, (size_t)at, IMAGE_ALIGN);
    memcpy(image, &h, sizeof h);
    for (int i = 0; i < SECTION_COUNT; i++) {
        size_t n = (size_t)pieces[i].count * homes[i].bytes_each;
        if (n) {
            memcpy(image + h.sections[i].offset, pieces[i].items, n);
        }
    }
    image_point((const struct image_header *)image, out);
}

void graph_image_seal(void *image, size_t n)
{
    struct image_header *h = image;
    h->checksum = image_checksum(image, n);
}

static bool sections_fit(const struct image_header *h, size_t n)
{
    for (int i = 0; i < SECTION_COUNT; i++) {
        const struct image_section *s = &h->sections[i];
        if (s->bytes_each != homes[i].bytes_each || s->offset % IMAGE_ALIGN || s->offset > n
            || (uint64_t)s->count * s->bytes_each > n - s->offset) {
            return false;
        }
    }
    return h->sections[SECTION_REMOTE].count <= 1
           && h->sections[SECTION_ORDER].count == h->sections[SECTION_STEPS].count;
}

/* A table in which every probe ends: a power of two, at least one free slot, numbers in range. */
static bool slots_are_sound(const struct image_header *h, int section, uint32_t limit)
{
    const struct image_section *s = &h->sections[section];
    const uint32_t *slots = (const void *)((const char *)h + s->offset);
    if (!s->count || (s->count & (s->count - 1))) {
        return false;
    }
    uint32_t taken = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        taken += slots[i] != 0;
        if (slots[i] > limit) {
            return false;
        }
    }
    return taken < s->count;
}

bool graph_image_read(const void *bytes, size_t n, struct graph *out)
{
    const struct image_header *h = bytes;
    if (n < sizeof *h || (uintptr_t)bytes % IMAGE_ALIGN
        || memcmp(h->magic, image_magic, sizeof h->magic) != 0 || h->version != IMAGE_VERSION
        || h->section_count != SECTION_COUNT || h->size != n
        || h->checksum != image_checksum(bytes, n) || !sections_fit(h, n)) {
        return false;
    }
    image_point(h, out);
    if (!graph_is_sound(out, h->sections[SECTION_POOL].count)
        || !slots_are_sound(h, SECTION_STEP_SLOTS, out->step_count)
        || !slots_are_sound(h, SECTION_FILE_SLOTS, out->file_count)) {
        *out = (struct graph){0};
        return false;
    }
    return true;
}

static uint32_t slots_find(const struct graph *g, int section, struct str key,
                           struct gtext (*name)(const struct graph *g, uint32_t i))
{
    const struct image_header *h = g->image;
    const uint32_t *slots = (const void *)((const char *)h + h->sections[section].offset);
    uint32_t mask = h->sections[section].count - 1;
    for (uint32_t i = (uint32_t)str_hash(key) & mask; slots[i]; i = (i + 1) & mask) {
        if (str_eq(graph_text(g, name(g, slots[i] - 1)), key)) {
            return slots[i] - 1;
        }
    }
    return GRAPH_NONE;
}

static struct gtext step_name(const struct graph *g, uint32_t i)
{
    return g->steps[i].name;
}

static struct gtext file_path(const struct graph *g, uint32_t i)
{
    return g->files[i].path;
}

uint32_t graph_image_find_step(const struct graph *g, struct str name)
{
    return g->image ? slots_find(g, SECTION_STEP_SLOTS, name, step_name) : GRAPH_NONE;
}

uint32_t graph_image_find_file(const struct graph *g, struct str path)
{
    return g->image ? slots_find(g, SECTION_FILE_SLOTS, path, file_path) : GRAPH_NONE;
}
