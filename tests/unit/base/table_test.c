/* SPDX-License-Identifier: MIT */
/* The interner: numbers are dense and stay, and a misspelled name finds its neighbour. */
#include "core/base/arena.h"
#include "core/base/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Keys that a stranger chose so that a hash known to all puts them into one slot. */
static void table_hash_cannot_be_foreseen(void **state)
{
    (void)state;
    enum { SLOTS = 4096, KEYS = 256 };
    struct arena a = {0};
    bool taken[SLOTS] = {false};
    uint32_t found = 0, slots = 0;
    for (int i = 0; found < KEYS; i++) {
        struct arena_mark mark = arena_mark(&a);
        struct str key = str_printf(&a, "key %d", i);
        if ((str_hash(key) & (SLOTS - 1)) == 17) {
            uint64_t slot = table_hash(key) & (SLOTS - 1);
            slots += !taken[slot];
            taken[slot] = true;
            found++;
        }
        arena_reset(&a, mark);
    }
    assert_true(slots > KEYS / 2);
    arena_free(&a);
}

static void table_hash_sees_each_byte(void **state)
{
    (void)state;
    char bytes[20] = "0123456789abcdefghi";
    for (size_t n = 0; n <= 19; n++) {
        uint64_t before = table_hash((struct str){bytes, n});
        assert_true(before == table_hash((struct str){bytes, n}));
        assert_true(before != table_hash((struct str){bytes, n + 1}));
        for (size_t i = 0; i < n; i++) {
            bytes[i] ^= 1;
            assert_true(before != table_hash((struct str){bytes, n}));
            bytes[i] ^= 1;
        }
    }
}

static void table_numbers_keys_in_order_of_adding(void **state)
{
    (void)state;
    struct arena a = {0};
    struct table t;
    table_init(&t, &a);
    bool is_new = false;
    assert_int_equal(table_find(&t, STR("b")), TABLE_NONE);
    assert_int_equal(table_add(&t, STR("b"), &is_new), 0);
    assert_true(is_new);
    assert_int_equal(table_add(&t, STR("a"), NULL), 1);
    assert_int_equal(table_add(&t, STR("b"), &is_new), 0);
    assert_false(is_new);
    assert_int_equal(table_add(&t, STR(""), NULL), 2);
    assert_int_equal(table_find(&t, STR("")), 2);
    assert_int_equal(t.count, 3);
    arena_free(&a);
}

static void table_keeps_numbers_over_growth(void **state)
{
    (void)state;
    struct arena a = {0};
    struct arena scratch = {0};
    struct table t;
    table_init(&t, &a);
    for (int i = 0; i < 20000; i++) {
        struct arena_mark mark = arena_mark(&scratch);
        assert_int_equal(table_add(&t, str_printf(&scratch, "build/%d.o", i), NULL), i);
        arena_reset(&scratch, mark); /* the table must hold copies */
    }
    for (int i = 0; i < 20000; i++) {
        struct arena_mark mark = arena_mark(&scratch);
        struct str key = str_printf(&scratch, "build/%d.o", i);
        assert_int_equal(table_find(&t, key), i);
        assert_true(str_eq(t.keys[i], key));
        arena_reset(&scratch, mark);
    }
    assert_int_equal(table_find(&t, STR("build/20000.o")), TABLE_NONE);
    arena_free(&scratch);
    arena_free(&a);
}

static void table_tells_keys_with_nul_apart(void **state)
{
    (void)state;
    struct arena a = {0};
    struct table t;
    table_init(&t, &a);
    assert_int_equal(table_add(&t, STR("a\0b"), NULL), 0);
    assert_int_equal(table_add(&t, STR("a\0c"), NULL), 1);
    assert_int_equal(table_add(&t, STR("a"), NULL), 2);
    arena_free(&a);
}

static void table_nearest_is_the_least_different(void **state)
{
    (void)state;
    struct arena a = {0};
    struct table t;
    table_init(&t, &a);
    table_add(&t, STR("preprocess"), NULL);
    table_add(&t, STR("train"), NULL);
    table_add(&t, STR("trains"), NULL);
    table_add(&t, STR("x"), NULL);
    assert_true(str_eq(table_nearest(&t, STR("tarin")), STR("train")));
    assert_true(str_eq(table_nearest(&t, STR("trainz")), STR("train")));
    assert_true(str_eq(table_nearest(&t, STR("prepocess")), STR("preprocess")));
    assert_int_equal(table_nearest(&t, STR("publish")).n, 0);
    assert_int_equal(table_nearest(&t, STR("y")).n, 0);
    assert_int_equal(table_nearest(&t, STR("")).n, 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_hash_cannot_be_foreseen),
        cmocka_unit_test(table_hash_sees_each_byte),
        cmocka_unit_test(table_numbers_keys_in_order_of_adding),
        cmocka_unit_test(table_keeps_numbers_over_growth),
        cmocka_unit_test(table_tells_keys_with_nul_apart),
        cmocka_unit_test(table_nearest_is_the_least_different),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
