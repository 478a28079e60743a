/* SPDX-License-Identifier: MIT */
/* Regions in doubling blocks. Invariant: blocks are linked newest first, and of each block but the
 * head everything is taken; under ASan every byte that is not handed out is poisoned. */
#include "core/base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifndef ARENA_ASAN
#define ARENA_ASAN 0
#endif

#if ARENA_ASAN
#include <sanitizer/asan_interface.h>
enum { ARENA_ALIGN_LEAST = 8, ARENA_GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { ARENA_ALIGN_LEAST = 1, ARENA_GAP = 0 };
#endif

enum { ARENA_BLOCK_FIRST = 1 << 10, ARENA_BLOCK_LAST = 1 << 20 };

struct arena_block {
    struct arena_block *older;
    size_t size; /* of bytes */
    _Alignas(max_align_t) unsigned char bytes[];
};

_Noreturn void mem_exhausted(size_t wanted)
{
    static const char text[] = "pawl: out of memory\n";
    (void)wanted; /* for whoever stands here with a debugger */
    ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
    (void)ignored;
    _exit(3);
}

void *mem_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p) {
        mem_exhausted(size);
    }
    return p;
}

void *mem_resize(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);
    if (!q) {
        mem_exhausted(size);
    }
    return q;
}

void mem_free(void *p)
{
    free(p);
}

void arena_init(struct arena *a)
{
    *a = (struct arena){0};
}

static void arena_drop_head(struct arena *a)
{
    struct arena_block *head = a->head;
    a->head = head->older;
    a->used = a->head ? a->head->size : 0;
    ASAN_UNPOISON_MEMORY_REGION(head->bytes, head->size);
    free(head);
}

void arena_free(struct arena *a)
{
    while (a->head) {
        arena_drop_head(a);
    }
}

static void arena_add_block(struct arena *a, size_t least)
{
    size_t size = ARENA_BLOCK_FIRST;
    if (a->head) {
        size = a->head->size < ARENA_BLOCK_LAST / 2 ? a->head->size * 2 : ARENA_BLOCK_LAST;
    }
    if (size < least) {
        size = least;
    }
    if (size > PTRDIFF_MAX - sizeof(struct arena_block)) {
        mem_exhausted(size);
    }
    struct arena_block *block = malloc(sizeof *block + size);
    if (!block) {
        mem_exhausted(size);
    }
    block->older = a->head;
    block->size = size;
    ASAN_POISON_MEMORY_REGION(block->bytes, size);
    a->head = block;
    a->used = 0;
}

/* Where in the head the next item begins; SIZE_MAX if it does not fit. */
static size_t arena_place(const struct arena *a, size_t size, size_t align)
{
    if (!a->head) {
        return SIZE_MAX;
    }
    uintptr_t end = (uintptr_t)a->head->bytes + a->used;
    size_t skip = (size_t)(-end & (align - 1));
    size_t left = a->head->size - a->used;
    return skip <= left && size <= left - skip ? a->used + skip : SIZE_MAX;
}

void *arena_alloc(struct arena *a, size_t size, size_t align)
{
    assert(align && !(align & (align - 1)));
    if (align < ARENA_ALIGN_LEAST) {
        align = ARENA_ALIGN_LEAST;
    }
    if (size > PTRDIFF_MAX / 2 || align > PTRDIFF_MAX / 4) {
        mem_exhausted(size);
    }
    size_t whole = size + ARENA_GAP;
    size_t at = arena_place(a, whole, align);
    if (at == SIZE_MAX) {
        arena_add_block(a, whole + align);
        at = arena_place(a, whole, align);
    }
    unsigned char *p = a->head->bytes + at;
    a->used = at + whole;
    ASAN_UNPOISON_MEMORY_REGION(p, size);
    return memset(p, 0, size);
}

void *arena_alloc_array(struct arena *a, size_t count, size_t size, size_t align)
{
    if (size && count > SIZE_MAX / size) {
        mem_exhausted(SIZE_MAX);
    }
    return arena_alloc(a, count * size, align);
}

void *arena_copy(struct arena *a, const void *bytes, size_t n, size_t align)
{
    void *p = arena_alloc(a, n, align);
    return n ? memcpy(p, bytes, n) : p;
}

struct arena_mark arena_mark(const struct arena *a)
{
    return (struct arena_mark){a->head, a->used};
}

void arena_reset(struct arena *a, struct arena_mark mark)
{
    while (a->head != mark.block) {
        assert(a->head);
        arena_drop_head(a);
    }
    if (a->head) {
        assert(mark.used <= a->used);
        a->used = mark.used;
        ASAN_POISON_MEMORY_REGION(a->head->bytes + mark.used, a->head->size - mark.used);
    }
}

void *arena_grow(struct arena *a, const void *items, uint32_t *cap, size_t size)
{
    if (*cap > UINT32_C(1) << 30) {
        mem_exhausted(SIZE_MAX);
    }
    uint32_t more = *cap ? *cap * 2 : 8;
    char *p = arena_alloc_array(a, more, size, _Alignof(max_align_t));
    if (*cap) {
        memcpy(p, items, *cap * size);
    }
    *cap = more;
    return p;
}
