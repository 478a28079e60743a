/* SPDX-License-Identifier: MIT */
/* Lists: where they end, how they stack, and what a reader refuses. */
#include "cache/list.h"
#include "cache/scan.h"
#include "sandbox.h"

/* A digest that ends a list, or not. */
static struct digest digest_number(uint32_t i, bool ends)
{
    struct digest d = digest_of(&i, sizeof i);
    d.b[30] = (uint8_t)(ends ? d.b[30] & 0xf0 : d.b[30] | 1);
    d.b[31] = ends ? 0 : d.b[31];
    return d;
}

struct made {
    struct object_set set;
    struct ref root;
    bool ok;
};

static struct made make(struct sandbox *s, uint32_t count, uint32_t every)
{
    struct made m;
    struct list_builder b;
    object_set_init(&m.set, &s->arena);
    list_builder_init(&b, &m.set);
    for (uint32_t i = 0; i < count; i++) {
        struct digest d = digest_number(i, every && (i + 1) % every == 0);
        list_add(&b, 100000 + i % 7, &d);
    }
    m.ok = list_end(&b, &m.root);
    list_builder_free(&b);
    return m;
}

static struct list read_root(struct sandbox *s, const struct made *m)
{
    struct str bytes;
    struct list list;
    assert_true(m->ok);
    assert_true(object_set_find(&m->set, REF_LIST, &m->root.digest, &bytes));
    struct digest d = digest_of(bytes.s, bytes.n);
    assert_true(digest_eq(&d, &m->root.digest));
    assert_true(list_read(&s->arena, bytes, &list));
    assert_int_equal(list.total, m->root.size);
    return list;
}

static void list_of_few_is_one_object(void **state)
{
    struct sandbox *s = *state;
    struct made m = make(s, 10, 0);
    struct list list = read_root(s, &m);
    assert_int_equal(list.level, 0);
    assert_int_equal(list.count, 10);
    assert_int_equal(list.entries[9].size, 100002);
    assert_int_equal(list.entries[9].kind, REF_BLOB);
}

static void list_of_none_is_none(void **state)
{
    struct made m = make(*state, 0, 0);
    assert_false(m.ok);
}

static void list_ends_after_twelve_zero_bits(void **state)
{
    struct sandbox *s = *state;
    struct made m = make(s, 25, 10);
    struct list list = read_root(s, &m);
    assert_int_equal(list.level, 1);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.entries[0].kind, REF_LIST);
    struct str bytes;
    struct list below;
    assert_true(object_set_find(&m.set, REF_LIST, &list.entries[2].digest, &bytes));
    assert_true(list_read(&s->arena, bytes, &below));
    assert_int_equal(below.count, 5);
    assert_int_equal(below.total, list.entries[2].size);
}

/* Ends exactly at the last chunk: no empty list, and no list above a single one. */
static void list_that_ends_with_the_file_stands_alone(void **state)
{
    struct sandbox *s = *state;
    struct made m = make(s, 10, 10);
    struct list list = read_root(s, &m);
    assert_int_equal(list.level, 0);
    assert_int_equal(list.count, 10);
}

/* A single list stays the top, even if its own digest would end the list above it. */
static void list_single_one_is_the_top_whatever_its_digest(void **state)
{
    struct sandbox *s = *state;
    for (uint32_t i = 0; i < 20000; i++) {
        struct made m;
        struct list_builder b;
        struct digest d = digest_number(i, true);
        object_set_init(&m.set, &s->arena);
        list_builder_init(&b, &m.set);
        list_add(&b, 5, &d);
        m.ok = list_end(&b, &m.root);
        list_builder_free(&b);
        if (!m.root.digest.b[31] && !(m.root.digest.b[30] & 15)) {
            struct list list = read_root(s, &m);
            assert_int_equal(list.level, 0);
            return;
        }
    }
    fail_msg("no digest with twelve zero bits among 20,000");
}

static void list_has_at_most_16384_entries(void **state)
{
    struct sandbox *s = *state;
    struct made m = make(s, LIST_ENTRIES_LIMIT, 0);
    assert_int_equal(read_root(s, &m).level, 0);
    m = make(s, LIST_ENTRIES_LIMIT + 1, 0);
    struct list list = read_root(s, &m);
    assert_int_equal(list.level, 1);
    assert_int_equal(list.count, 2);
}

static void list_levels_stack(void **state)
{
    struct sandbox *s = *state;
    struct made m =
        make(s, 20000, 1); /* a list for each chunk, each 4096th of which ends one above */
    struct list list = read_root(s, &m);
    assert_in_range(list.level, 1, 3);
    assert_int_equal(list.total, m.root.size);
}

static void put(struct buf *b, uint8_t level, uint64_t total, uint64_t count)
{
    buf_clear(b);
    buf_put(b, "pawl list", 10);
    buf_put_u8(b, 1);
    buf_put_u8(b, level);
    buf_put_varint(b, total);
    buf_put_varint(b, count);
}

static void put_entry(struct buf *b, uint64_t size)
{
    struct digest d = {{1}};
    buf_put_varint(b, size);
    buf_put(b, d.b, sizeof d.b);
}

static void list_malformed_ones_are_refused(void **state)
{
    struct sandbox *s = *state;
    struct buf b;
    struct list list;
    buf_init(&b, 4 << 20);
    put(&b, 0, 30, 2);
    put_entry(&b, 10);
    put_entry(&b, 20);
    assert_true(list_read(&s->arena, buf_str(&b), &list));
    for (size_t n = 0; n < b.n; n++) { /* cut short */
        assert_false(list_read(&s->arena, str_sub(buf_str(&b), 0, n), &list));
    }
    buf_put_u8(&b, 0); /* something behind it */
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    b.n--;
    b.s[10] = 2; /* another version */
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    put(&b, 0, 31, 2); /* does not add up */
    put_entry(&b, 10);
    put_entry(&b, 20);
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    put(&b, 1, 4, 2); /* adds up only by overflow */
    put_entry(&b, UINT64_MAX);
    put_entry(&b, 5);
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    put(&b, 0, 300000, 1); /* no chunk is so large */
    put_entry(&b, 300000);
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    put(&b, 0, 10, 2); /* an empty chunk */
    put_entry(&b, 10);
    put_entry(&b, 0);
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    put(&b, 0, 0, 0);
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    put(&b, LIST_LEVELS, 10, 1);
    put_entry(&b, 10);
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    put(&b, 0, 10, UINT64_MAX); /* a count that is not there is not reserved either */
    put_entry(&b, 10);
    assert_false(list_read(&s->arena, buf_str(&b), &list));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(list_of_few_is_one_object, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(list_of_none_is_none, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(list_ends_after_twelve_zero_bits, sandbox_begin,
                                        sandbox_end),
        cmocka_unit_test_setup_teardown(list_that_ends_with_the_file_stands_alone, sandbox_begin,
                                        sandbox_end),
        cmocka_unit_test_setup_teardown(list_single_one_is_the_top_whatever_its_digest,
                                        sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(list_has_at_most_16384_entries, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(list_levels_stack, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(list_malformed_ones_are_refused, sandbox_begin,
                                        sandbox_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
