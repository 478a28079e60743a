/* SPDX-License-Identifier: MIT */
/* Every URI's copy has a place of its own: below .pawl/s3, in normal form, and never below another's. */
#include "core/base/path.h"
#include "core/base/table.h"
#include "core/s3_uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *const odd_keys[] = {
    "a",       "a/b",
    "a/",      "a/b/",
    "a//b",    "/a",
    "//a",     "///a",
    "",        "/",
    "//",      "..",
    "../..",   "../../x",
    "a/../b",  "a/..",
    "a/../",   ".",
    "./a",     "a/./b",
    "a/.",     "+",
    "+a",      "a+b/c",
    "a/b+c",   "a+/b",
    "a+b",     "data",
    "data/",   "a/data",
    "a//data", "//a/data",
    "a\n",     "a\n/data",
    "a/\n",    "a b/c",
    "a b",     "\xc3\xbc/\xc3\xbc",
    "\xff",    "a\x01",
    "a/\x7f",  "*",
    "a?",      "$x",
    "`x`",     "-n",
    "~",       ".pawl/s3",
};
enum { ODD_COUNT = sizeof odd_keys / sizeof *odd_keys };

static struct str copy_of(struct arena *a, struct str key)
{
    struct s3_uri uri;
    assert_null(s3_uri_split(str_join3(a, STR("s3://bucket/"), key, STR("")), &uri));
    assert_true(str_eq(uri.key, key));
    return s3_uri_copy_path(a, &uri);
}

static void copies_stay_inside_and_apart(void **state)
{
    (void)state;
    struct arena a = {0};
    struct table seen;
    table_init(&seen, &a);
    for (int i = 0; i < ODD_COUNT; i++) {
        struct str path = copy_of(&a, str_from(odd_keys[i])), normal;
        assert_true(path_normalise(&a, path, &normal));
        assert_true(str_eq(path, normal));
        assert_true(str_starts(path, STR(".pawl/s3/bucket/")));
        uint32_t slashes = 0;
        for (size_t k = 0; k < path.n; k++) {
            slashes += path.s[k] == '/';
        }
        assert_int_equal(slashes, 4);
        bool is_new;
        table_add(&seen, path, &is_new);
        assert_true(is_new);
    }
    arena_free(&a);
}

static void plain_keys_can_be_read(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_true(
        str_eq(copy_of(&a, STR("data/v1/train.csv")), STR(".pawl/s3/bucket/data+v1/train.csv")));
    assert_true(str_eq(copy_of(&a, STR("data/v1/")), STR(".pawl/s3/bucket/data+/v1")));
    assert_true(str_eq(copy_of(&a, STR("train.csv")), STR(".pawl/s3/bucket/+/train.csv")));
    assert_true(str_eq(copy_of(&a, STR("v1/")), STR(".pawl/s3/bucket/++/v1")));
    arena_free(&a);
}

static void long_keys_fit_into_names(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b;
    buf_init(&b, 4096);
    while (b.n < 1020) {
        buf_put_char(&b, b.n % 17 == 3 ? '/' : 'k');
    }
    struct str path = copy_of(&a, buf_str(&b)), name;
    while (str_cut(&path, '/', &name)) {
        assert_true(name.n <= 255);
    }
    buf_clear(&b);
    while (b.n < 1020) {
        buf_put_char(&b, 'k');
    }
    path = copy_of(&a, buf_str(&b));
    while (str_cut(&path, '/', &name)) {
        assert_true(name.n <= 255);
    }
    buf_free(&b);
    arena_free(&a);
}

static void what_names_nothing_is_refused(void **state)
{
    (void)state;
    struct s3_uri uri;
    static const char *const bad[] = {"s3://",          "s3:///key",     "s3://b/key",
                                      "s3://../key",    "s3://bucket",   "s3://b ucket/k",
                                      "s3://bu%63et/k", "S3://bucket/k", "s3://.bucket/k"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_non_null(s3_uri_split(str_from(bad[i]), &uri));
    }
    assert_non_null(s3_uri_split(((struct str){"s3://bucket/a\0b", 15}), &uri));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_stay_inside_and_apart),
        cmocka_unit_test(plain_keys_can_be_read),
        cmocka_unit_test(long_keys_fit_into_names),
        cmocka_unit_test(what_names_nothing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
