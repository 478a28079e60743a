/* SPDX-License-Identifier: MIT */
/* Records as rows: what goes in comes out, and nothing that could do harm is accepted. */
#include "cache/record.h"

#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

static struct digest digest_n(uint8_t n)
{
    struct digest d;
    memset(d.b, n, sizeof d.b);
    return d;
}

static struct record_output output(struct str path, uint8_t kind)
{
    struct record_output o = {path, 0644, {kind, 5, digest_n(7)}, digest_n(7)};
    return o;
}

static struct str put(struct buf *b, const struct record *r)
{
    buf_init(b, RECORD_BYTES_LIMIT);
    assert_true(record_put(b, r));
    return buf_str(b);
}

static bool accepts(struct record_output *outputs, uint32_t count)
{
    struct buf b;
    buf_init(&b, RECORD_BYTES_LIMIT);
    struct record r = {.outputs = outputs, .output_count = count};
    bool ok = record_put(&b, &r);
    buf_free(&b);
    return ok;
}

static bool accepts_path(struct str path)
{
    struct record_output o = output(path, REF_BLOB);
    return accepts(&o, 1);
}

static void record_comes_back_whole(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b;
    struct record_output outputs[] = {output(STR("build/m"), REF_LIST), output(STR("d"), REF_TREE)};
    outputs[1].content = digest_n(9);
    outputs[1].mode = 0755;
    struct record_metric metrics[] = {{STR("mse"), STR("4.9")}};
    struct record_input inputs[] = {{STR("x.h"), REF_BLOB, digest_n(3)}, {STR("y.h"), 0, {{0}}}};
    struct record_part parts[] = {{STR("command"), STR("cc"), false},
                                  {STR("env"), STR("0123456789abcdef"), true}};
    struct record r = {.fingerprint = digest_n(1),
                       .success_ms = 1700000000123,
                       .duration_ms = 45,
                       .outputs = outputs,
                       .output_count = 2,
                       .metrics = metrics,
                       .metric_count = 1,
                       .inputs = inputs,
                       .input_count = 2,
                       .parts = parts,
                       .part_count = 2,
                       .log = {REF_BLOB, 11, digest_n(4)},
                       .where = STR("here"),
                       .salt = {1, 2}};
    memcpy(r.hint, "abcdefgh", 8);
    struct str row = put(&b, &r);

    struct record got;
    assert_true(record_read(&a, row, &got));
    assert_true(digest_eq(&got.fingerprint, &r.fingerprint));
    assert_int_equal(got.success_ms, r.success_ms);
    assert_int_equal(got.duration_ms, 45);
    assert_int_equal(got.output_count, 2);
    assert_true(str_eq(got.outputs[0].path, STR("build/m")));
    assert_true(ref_eq(&got.outputs[0].ref, &outputs[0].ref));
    assert_true(digest_eq(&got.outputs[0].content, &outputs[0].ref.digest));
    assert_true(digest_eq(&got.outputs[1].content, &outputs[1].content));
    assert_int_equal(got.outputs[1].mode, 0755);
    assert_true(str_eq(got.metrics[0].text, STR("4.9")));
    assert_int_equal(got.inputs[1].kind, REF_NONE);
    assert_true(got.parts[1].tag && str_eq(got.parts[1].value, STR("0123456789abcdef")));
    assert_true(str_eq(got.where, STR("here")) && got.salt[1] == 2);
    assert_true(ref_eq(&got.log, &r.log) && memcmp(got.hint, "abcdefgh", 8) == 0);
    buf_free(&b);
    arena_free(&a);
}

static void row_cut_or_padded_is_refused(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b;
    struct record_output o = output(STR("a"), REF_BLOB);
    struct record r = {.outputs = &o, .output_count = 1, .where = STR("x")};
    struct str row = put(&b, &r);
    struct record got;
    for (size_t n = 0; n < row.n; n++) {
        assert_false(record_read(&a, str_sub(row, 0, n), &got));
    }
    assert_true(record_read(&a, row, &got));
    buf_put_u8(&b, 0);
    assert_false(record_read(&a, buf_str(&b), &got));
    buf_free(&b);
    arena_free(&a);
}

static void unknown_version_is_refused(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b;
    struct record r = {0};
    put(&b, &r);
    b.s[0] = 2;
    struct record got;
    assert_false(record_read(&a, buf_str(&b), &got));
    buf_free(&b);
    arena_free(&a);
}

static void path_that_leaves_or_is_odd_is_refused(void **state)
{
    (void)state;
    assert_true(accepts_path(STR("a")) && accepts_path(STR("a/b.c")) && accepts_path(STR("..a")));
    assert_false(accepts_path(STR("")) || accepts_path(STR("/a")) || accepts_path(STR("..")));
    assert_false(accepts_path(STR("a/../b")) || accepts_path(STR("./a")) || accepts_path(STR(".")));
    assert_false(accepts_path(STR("a/")) || accepts_path(STR("a//b")) || accepts_path(STR("a\0b")));
    static char longest[RECORD_PATH_LIMIT + 1];
    memset(longest, 'x', sizeof longest);
    assert_true(accepts_path((struct str){longest, RECORD_PATH_LIMIT}));
    assert_false(accepts_path((struct str){longest, RECORD_PATH_LIMIT + 1}));
}

static void evil_path_in_bytes_is_refused(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b;
    struct record_output o = output(STR("ab/cd"), REF_BLOB);
    struct record r = {.outputs = &o, .output_count = 1};
    struct str row = put(&b, &r);
    ptrdiff_t at = str_find(row, STR("ab/cd"));
    assert_true(at > 0);
    memcpy(b.s + at, "../cd", 5);
    struct record got;
    assert_false(record_read(&a, buf_str(&b), &got));
    buf_free(&b);
    arena_free(&a);
}

static void outputs_that_collide_are_refused(void **state)
{
    (void)state;
    struct record_output twice[] = {output(STR("b"), REF_BLOB), output(STR("a"), REF_BLOB),
                                    output(STR("b"), REF_LIST)};
    assert_false(accepts(twice, 3));
    /* "a-b" sorts between "a" and "a/b" by bytes: the check must not be fooled */
    struct record_output below[] = {output(STR("a/b"), REF_BLOB), output(STR("a-b"), REF_BLOB),
                                    output(STR("a"), REF_BLOB)};
    assert_false(accepts(below, 3));
    struct record_output deep[] = {output(STR("a/b/c/d"), REF_BLOB), output(STR("a/b"), REF_LINK)};
    assert_false(accepts(deep, 2));
    struct record_output tree[] = {output(STR("a/b"), REF_BLOB), output(STR("a"), REF_TREE)};
    assert_true(accepts(tree, 2));
    struct record_output near[] = {output(STR("a"), REF_BLOB), output(STR("ab"), REF_BLOB),
                                   output(STR("a.b/c"), REF_BLOB)};
    assert_true(accepts(near, 3));
}

static void count_beyond_the_bytes_is_refused(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b;
    buf_init(&b, RECORD_BYTES_LIMIT);
    buf_put_varint(&b, 1);
    struct digest fingerprint = digest_n(1);
    buf_put(&b, fingerprint.b, 32);
    buf_put_u64(&b, 5);
    buf_put_varint(&b, 5);
    buf_put(&b, "hhhhhhhh", 8);
    buf_put_varint(&b, 60000); /* outputs that are not there */
    buf_put(&b, "xx", 2);
    struct record got;
    assert_false(record_read(&a, buf_str(&b), &got));
    buf_free(&b);
    arena_free(&a);
}

static void row_beyond_its_limit_is_not_written(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 2 * RECORD_BYTES_LIMIT);
    buf_put_str(&b, STR("before"));
    static char text[RECORD_TEXT_LIMIT];
    memset(text, 't', sizeof text);
    struct record_metric metrics[17];
    for (int i = 0; i < 17; i++) {
        metrics[i] = (struct record_metric){STR("m"), {text, sizeof text}};
    }
    struct record r = {.metrics = metrics, .metric_count = 17};
    assert_false(record_put(&b, &r));
    assert_true(str_eq(buf_str(&b), STR("before")) && !b.full);
    r.metric_count = 1;
    metrics[0].text.n++; /* a single text is too long */
    assert_false(record_put(&b, &r));
    buf_free(&b);
}

static void tag_is_salted_and_shown_as_hex(void **state)
{
    (void)state;
    struct arena a = {0};
    uint8_t salt[16] = "salt-salt-salt-";
    struct str x = record_tag(&a, salt, STR("env A"), STR("secret"));
    assert_int_equal(x.n, 16);
    assert_true(str_eq(x, record_tag(&a, salt, STR("env A"), STR("secret"))));
    assert_false(str_eq(x, record_tag(&a, salt, STR("env A"), STR("other"))));
    salt[0]++;
    assert_false(str_eq(x, record_tag(&a, salt, STR("env A"), STR("secret"))));
    struct record_part part = {STR("env"), STR("not a tag"), true};
    struct record r = {.parts = &part, .part_count = 1};
    struct buf b;
    buf_init(&b, RECORD_BYTES_LIMIT);
    assert_false(record_put(&b, &r));
    buf_free(&b);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_comes_back_whole),
        cmocka_unit_test(row_cut_or_padded_is_refused),
        cmocka_unit_test(unknown_version_is_refused),
        cmocka_unit_test(path_that_leaves_or_is_odd_is_refused),
        cmocka_unit_test(evil_path_in_bytes_is_refused),
        cmocka_unit_test(outputs_that_collide_are_refused),
        cmocka_unit_test(count_beyond_the_bytes_is_refused),
        cmocka_unit_test(row_beyond_its_limit_is_not_written),
        cmocka_unit_test(tag_is_salted_and_shown_as_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
