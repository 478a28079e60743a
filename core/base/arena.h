/* SPDX-License-Identifier: MIT */
/* Regions of memory that are freed as a whole. One arena for each phase of the program; nothing in
 * it is freed singly, nothing in it points into an arena that dies sooner. Poisoned under ASan. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct arena_block;

/* An arena belongs to one thread at a time. All zeros is a valid empty arena. */
struct arena {
    struct arena_block *head; /* newest block; older ones are linked behind it */
    size_t used;              /* bytes in use in head */
};

/* A place to come back to. */
struct arena_mark {
    struct arena_block *block;
    size_t used;
};

void arena_init(struct arena *a);
/* Gives all memory back; leaves the arena empty and usable, may be called twice. */
void arena_free(struct arena *a);

/* Zeroed memory, aligned to align (a power of two). Never NULL: without memory the process ends. */
void *arena_alloc(struct arena *a, size_t size, size_t align);
/* The same for count items; an overflowing product ends the process. */
void *arena_alloc_array(struct arena *a, size_t count, size_t size, size_t align);
void *arena_copy(struct arena *a, const void *bytes, size_t n, size_t align);

struct arena_mark arena_mark(const struct arena *a);
/* Drops everything that was allocated after the mark was taken. */
void arena_reset(struct arena *a, struct arena_mark mark);

#define ARENA_NEW(a, type) ((type *)arena_alloc((a), sizeof(type), _Alignof(type)))
#define ARENA_ARRAY(a, type, count)                                                                \
    ((type *)arena_alloc_array((a), (count), sizeof(type), _Alignof(type)))

/* Growing array in an arena: declare as VEC(struct thing) things; then VEC_PUSH(arena, &things)
 * gives a pointer to a new zeroed item at its end (valid until the next push). */
#define VEC(type)                                                                                  \
    struct {                                                                                       \
        type *at;                                                                                  \
        uint32_t n, cap;                                                                           \
    }
#define VEC_PUSH(a, vec)                                                                           \
    ((vec)->n == (vec)->cap                                                                        \
         ? ((vec)->at = arena_grow((a), (vec)->at, &(vec)->cap, sizeof *(vec)->at), (void)0)       \
         : (void)0,                                                                                \
     &(vec)->at[(vec)->n++])
/* For VEC_PUSH: a copy of items with twice the room, zeroed behind *cap; updates *cap. Growth past
 * 2^31 items ends the process. */
void *arena_grow(struct arena *a, const void *items, uint32_t *cap, size_t size);

/* Heap memory with one owner; these never return NULL (the process ends instead). mem_free(NULL) is fine. */
void *mem_alloc(size_t size); /* zeroed */
void *mem_resize(void *p, size_t size);
void mem_free(void *p);
/* The one place where the process ends for want of memory: message on stderr, exit code 3. */
_Noreturn void mem_exhausted(size_t wanted);
