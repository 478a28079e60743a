/* SPDX-License-Identifier: MIT */
/* Trees: what is written is read, and no name gets through that could leave its folder. */
#include "cache/tree.h"
#include "sandbox.h"

static struct tree_entry file_entry(const char *name)
{
    return (struct tree_entry){
        .name = str_from(name), .mode = 0644, .ref = {REF_BLOB, 5, digest_of("hello", 5)}};
}

static struct tree_entry link_entry(const char *name, const char *target)
{
    struct tree_entry e = {.name = str_from(name), .target = str_from(target)};
    e.ref = (struct ref){REF_LINK, e.target.n, digest_of(target, e.target.n)};
    return e;
}

static void tree_is_read_as_written(void **state)
{
    struct sandbox *s = *state;
    struct tree_entry in[3] = {file_entry("a"), link_entry("b", "../x"), file_entry("c")};
    in[2].ref = (struct ref){REF_TREE, 1000, digest_of("t", 1)};
    in[2].mode = 0755;
    struct buf b;
    struct tree out;
    buf_init(&b, 1 << 20);
    tree_put(&b, in, 3);
    assert_true(tree_read(&s->arena, buf_str(&b), &out));
    assert_int_equal(out.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_true(str_eq(out.entries[i].name, in[i].name));
        assert_true(ref_eq(&out.entries[i].ref, &in[i].ref));
        assert_int_equal(out.entries[i].mode, in[i].mode);
    }
    assert_true(str_eq(out.entries[1].target, STR("../x")));
    for (size_t n = 0; n < b.n; n++) {
        assert_false(tree_read(&s->arena, str_sub(buf_str(&b), 0, n), &out));
    }
    buf_put_u8(&b, 0);
    assert_false(tree_read(&s->arena, buf_str(&b), &out));
    buf_clear(&b);
    tree_put(&b, NULL, 0);
    assert_true(tree_read(&s->arena, buf_str(&b), &out));
    assert_int_equal(out.count, 0);
    buf_free(&b);
}

static bool reads(struct sandbox *s, const struct tree_entry *entries, uint32_t count)
{
    struct buf b;
    struct tree out;
    buf_init(&b, 1 << 20);
    tree_put(&b, entries, count);
    bool ok = tree_read(&s->arena, buf_str(&b), &out);
    buf_free(&b);
    return ok;
}

static void tree_names_are_of_this_folder(void **state)
{
    struct sandbox *s = *state;
    static const char *const BAD[] = {"", ".", "..", "/", "a/b", "/etc", "../x", "a/"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct tree_entry e = file_entry(BAD[i]);
        assert_false(reads(s, &e, 1));
    }
    struct tree_entry nul = file_entry("x");
    nul.name = STR("a\0b");
    assert_false(reads(s, &nul, 1));
    char name[300];
    memset(name, 'n', sizeof name);
    name[255] = 0;
    struct tree_entry e = file_entry(name);
    assert_true(reads(s, &e, 1));
    name[255] = 'n';
    name[256] = 0;
    e = file_entry(name);
    assert_false(reads(s, &e, 1));
    e = file_entry("...");
    assert_true(reads(s, &e, 1));
}

static void tree_names_ascend(void **state)
{
    struct sandbox *s = *state;
    struct tree_entry two[2] = {file_entry("a"), file_entry("b")};
    assert_true(reads(s, two, 2));
    two[1].name = STR("a");
    assert_false(reads(s, two, 2));
    two[0].name = STR("b");
    assert_false(reads(s, two, 2));
    two[0].name = STR("a\x7f");
    two[1].name = STR("a\x80"); /* by bytes, not by signed characters */
    assert_true(reads(s, two, 2));
}

static void tree_entries_are_of_known_kinds_and_sizes(void **state)
{
    struct sandbox *s = *state;
    struct tree_entry e = file_entry("a");
    for (int kind = 0; kind < 256; kind++) {
        e.ref.kind = (uint8_t)kind;
        e.ref.size = kind == REF_LIST ? 1 << 20 : 5;
        assert_int_equal(reads(s, &e, 1), kind >= REF_BLOB && kind <= REF_TREE);
        if (kind == 3) {
            kind = 4; /* a link's digest is not this one; below */
        }
    }
    e = file_entry("a");
    e.ref.size = 1 << 20; /* that would be a list */
    assert_false(reads(s, &e, 1));
    e.ref.kind = REF_LIST;
    e.ref.size--;
    assert_false(reads(s, &e, 1));
    e = file_entry("a");
    e.mode = 01000;
    assert_false(reads(s, &e, 1));
}

static void tree_links_are_inline_and_true(void **state)
{
    struct sandbox *s = *state;
    struct tree_entry e = link_entry("l", "/etc/passwd");
    assert_true(reads(s, &e, 1)); /* where it leads is its own affair */
    e.ref.digest.b[0] ^= 1;
    assert_false(reads(s, &e, 1));
    e = link_entry("l", "x");
    e.mode = 0777;
    assert_false(reads(s, &e, 1));
    e = link_entry("l", "");
    assert_false(reads(s, &e, 1));
    e = link_entry("l", "x");
    e.target = STR("a\0b");
    e.ref = (struct ref){REF_LINK, 3, digest_of("a\0b", 3)};
    assert_false(reads(s, &e, 1));
}

static void tree_counts_are_held_against_the_bytes(void **state)
{
    struct sandbox *s = *state;
    struct buf b;
    struct tree out;
    buf_init(&b, 1 << 20);
    buf_put(&b, "pawl tree", 10);
    buf_put_u8(&b, 1);
    buf_put_varint(&b, UINT64_MAX);
    assert_false(tree_read(&s->arena, buf_str(&b), &out));
    b.n = 11;
    buf_put_varint(&b, 1000000);
    assert_false(tree_read(&s->arena, buf_str(&b), &out));
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tree_is_read_as_written, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(tree_names_are_of_this_folder, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(tree_names_ascend, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(tree_entries_are_of_known_kinds_and_sizes, sandbox_begin,
                                        sandbox_end),
        cmocka_unit_test_setup_teardown(tree_links_are_inline_and_true, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(tree_counts_are_held_against_the_bytes, sandbox_begin,
                                        sandbox_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
