/* SPDX-License-Identifier: MIT */
/* Arenas: alignment, zeroing, marks, growth, and how the process ends without memory. */
#include "core/base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void arena_gives_aligned_zeroed_memory(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a);
    for (size_t align = 1; align <= 256; align *= 2) {
        unsigned char *p = arena_alloc(&a, 37, align);
        assert_int_equal((uintptr_t)p % align, 0);
        for (size_t i = 0; i < 37; i++) {
            assert_int_equal(p[i], 0);
        }
        memset(p, 0xff, 37);
    }
    arena_free(&a);
}

static void arena_reset_gives_the_same_place_again_zeroed(void **state)
{
    (void)state;
    struct arena a = {0};
    arena_alloc(&a, 10, 1);
    struct arena_mark mark = arena_mark(&a);
    char *first = arena_alloc(&a, 100, 1);
    memset(first, 'x', 100);
    arena_reset(&a, mark);
    char *second = arena_alloc(&a, 100, 1);
    assert_ptr_equal(first, second);
    assert_int_equal(second[0], 0);
    assert_int_equal(second[99], 0);
    arena_free(&a);
}

static void arena_reset_drops_newer_blocks(void **state)
{
    (void)state;
    struct arena a = {0};
    char *kept = arena_alloc(&a, 8, 1);
    memcpy(kept, "1234567", 8);
    struct arena_mark mark = arena_mark(&a);
    for (int i = 0; i < 100; i++) {
        arena_alloc(&a, 100000, 1);
    }
    arena_reset(&a, mark);
    assert_ptr_equal(a.head, mark.block);
    assert_int_equal(a.used, mark.used);
    assert_string_equal(kept, "1234567");
    arena_free(&a);
}

static void arena_mark_of_an_empty_arena_empties_it(void **state)
{
    (void)state;
    struct arena a = {0};
    struct arena_mark mark = arena_mark(&a);
    arena_alloc(&a, 1 << 22, 16);
    arena_reset(&a, mark);
    assert_null(a.head);
    arena_free(&a);
    arena_free(&a);
}

static void arena_takes_items_larger_than_a_block(void **state)
{
    (void)state;
    struct arena a = {0};
    size_t n = 5 << 20;
    char *big = arena_alloc(&a, n, 64);
    char *small = arena_alloc(&a, 1, 1);
    big[n - 1] = 'b';
    *small = 's';
    assert_int_equal(big[n - 1], 'b');
    arena_free(&a);
}

static void arena_copy_copies(void **state)
{
    (void)state;
    struct arena a = {0};
    char text[] = "content";
    char *copy = arena_copy(&a, text, sizeof text, 1);
    text[0] = 'X';
    assert_string_equal(copy, "content");
    assert_non_null(arena_copy(&a, NULL, 0, 1));
    arena_free(&a);
}

static void vec_push_keeps_what_was_pushed(void **state)
{
    (void)state;
    struct arena a = {0};
    VEC(uint32_t) numbers = {0};
    for (uint32_t i = 0; i < 5000; i++) {
        uint32_t *new = VEC_PUSH(&a, &numbers);
        assert_int_equal(*new, 0);
        *new = i * 3;
    }
    assert_int_equal(numbers.n, 5000);
    for (uint32_t i = 0; i < numbers.n; i++) {
        assert_int_equal(numbers.at[i], i * 3);
    }
    arena_free(&a);
}

/* Runs f in a child; gives its exit code and what it wrote to stderr. */
static int run_child(void (*f)(void), char *text, size_t n)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        f();
        _exit(0);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], text, n - 1);
    text[got > 0 ? got : 0] = '\0';
    close(ends[0]);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void ask_too_much(void)
{
    struct arena a = {0};
    arena_alloc_array(&a, SIZE_MAX / 4, 8, 8);
}

static void ask_beyond_the_address_space(void)
{
    struct arena a = {0};
    arena_alloc(&a, SIZE_MAX - 8, 8);
}

static void grow_too_often(void)
{
    struct arena a = {0};
    uint32_t cap = UINT32_C(1) << 31;
    arena_grow(&a, NULL, &cap, 1);
}

static void without_memory_the_process_ends_with_3(void **state)
{
    (void)state;
    char text[100];
    assert_int_equal(run_child(ask_too_much, text, sizeof text), 3);
    assert_string_equal(text, "pawl: out of memory\n");
    assert_int_equal(run_child(ask_beyond_the_address_space, text, sizeof text), 3);
    assert_int_equal(run_child(grow_too_often, text, sizeof text), 3);
}

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>

static void arena_poisons_what_it_took_back(void **state)
{
    (void)state;
    struct arena a = {0};
    arena_alloc(&a, 1, 1);
    struct arena_mark mark = arena_mark(&a);
    char *p = arena_alloc(&a, 40, 1);
    assert_false(__asan_address_is_poisoned(p + 39));
    assert_true(__asan_address_is_poisoned(p + 40));
    arena_reset(&a, mark);
    assert_true(__asan_address_is_poisoned(p));
    arena_free(&a);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_gives_aligned_zeroed_memory),
        cmocka_unit_test(arena_reset_gives_the_same_place_again_zeroed),
        cmocka_unit_test(arena_reset_drops_newer_blocks),
        cmocka_unit_test(arena_mark_of_an_empty_arena_empties_it),
        cmocka_unit_test(arena_takes_items_larger_than_a_block),
        cmocka_unit_test(arena_copy_copies),
        cmocka_unit_test(vec_push_keeps_what_was_pushed),
        cmocka_unit_test(without_memory_the_process_ends_with_3),
#ifdef __SANITIZE_ADDRESS__
        cmocka_unit_test(arena_poisons_what_it_took_back),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
