/* SPDX-License-Identifier: MIT */
/* Parameter files: each text beside the JSON that it means, or beside what is wrong with it and
 * where. */
#include "parser/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct str json_of(struct arena *a, const struct json *value)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    json_put(&b, value);
    struct str text = str_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

static const struct {
    const char *yaml, *json;
} GOOD[] = {
    {"", "{}"},
    {"# nothing\n---\n", "{}"},
    {"a: 1\nb: two\n", "{\"a\":1,\"b\":\"two\"}"},
    {"\xef\xbb\xbf"
     "a: 1\r\nb: 2\r\n",
     "{\"a\":1,\"b\":2}"},
    {"[1, -2, +3, 0o17, 0x1F, 007]", "[1,-2,3,15,31,7]"},
    {"[0.5, .5, 1.5e3]", "[0.5,0.5,1500]"},
    {"[~, null, Null, NULL, ]", "[null,null,null,null]"},
    {"[true, True, FALSE, yes, no, on, off]", "[true,true,false,\"yes\",\"no\",\"on\",\"off\"]"},
    {"['1', \"true\", !!str 5, ! 7, 1_000, 0x, 1e, 12:30, -, 2026-01-01]",
     "[\"1\",\"true\",\"5\",\"7\",\"1_000\",\"0x\",\"1e\",\"12:30\",\"-\",\"2026-01-01\"]"},
    {"[!!int 5, !!seq [1], !!map {a: 1}, !!null ~, !!bool true]", "[5,[1],{\"a\":1},null,true]"},
    {"a: &x [1, 2]\nb: *x\nc: {d: *x}\n", "{\"a\":[1,2],\"b\":[1,2],\"c\":{\"d\":[1,2]}}"},
    {"a: |\n  one\n  two\nb: >-\n  three\n  four\n",
     "{\"a\":\"one\\ntwo\\n\",\"b\":\"three four\"}"},
    {"1: a\ntrue: b\n", "{\"1\":\"a\",\"true\":\"b\"}"},
    {"{\"lr\": 0.1, \"layers\": [{\"n\": 3}]}", "{\"layers\":[{\"n\":3}],\"lr\":0.1}"},
    {"just a text", "\"just a text\""},
    {"--- \na: 1\n...\n", "{\"a\":1}"},
};

static void yaml_means_what_json_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        struct arena a = {0};
        struct diags d;
        diags_init(&d, &a);
        const struct json *value = yaml_parse(&a, str_from(GOOD[i].yaml), 0, &d);
        if (!value) {
            fail_msg("%s: %.*s", GOOD[i].yaml, STR_ARG(d.all.at[0].message));
        }
        assert_string_equal(json_of(&a, value).s, GOOD[i].json);
        arena_free(&a);
    }
}

static const struct {
    const char *yaml;
    uint32_t line, column;
    const char *message; /* a part of it */
} BAD[] = {
    {"a: 1\nb: c: d\n", 2, 5, "mapping values"},
    {"a: [1, 2\nb: 3\n", 2, 2, ""},
    {"a:\n\t- b\n", 2, 1, "cannot start any token"},
    {"a: 1\nb: 2\na: 3\n", 3, 1, "'a' stands here twice"},
    {"\xc3\xa4: \xc3\xb6\n\xc3\xa4: 3\n", 2, 1, "twice"},
    {"a: {b: 1, 'b': 2}", 1, 11, "'b' stands here twice"},
    {"a: *x\n", 1, 4, "no anchor 'x'"},
    {"a: &x [*x]\n", 1, 8, "no anchor 'x'"},
    {"a: !python/object 3\n", 1, 4, "'!python/object' means nothing"},
    {"a: !!set {b}\n", 1, 4, "means nothing"},
    {"a: !!int x\n", 1, 4, "means nothing"},
    {"a: 1\n---\nb: 2\n", 2, 1, "second document"},
    {"b: &b {x: 1}\na:\n  <<: *b\n", 3, 3, "merge keys"},
    {"? [a]\n: 1\n", 1, 3, "key must be a plain text"},
    {"a: .inf\n", 1, 4, "no place"},
    {"a: 9223372036854775808\n", 1, 4, "too large"},
    {"a: 0x8000000000000000\n", 1, 4, "too large"},
    {"a: 1e999\n", 1, 4, "too large"},
    {"a: \"\xff\"\n", 1, 5, "UTF-8"},
    {"a: \x01\n", 1, 4, "control"},
};

static void yaml_errors_have_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct arena a = {0};
        struct diags d;
        diags_init(&d, &a);
        struct str text = str_from(BAD[i].yaml);
        uint32_t source = diags_add_source(&d, STR("params.yaml"), text);
        assert_null(yaml_parse(&a, text, source, &d));
        assert_int_equal(d.errors, 1);
        assert_string_equal(d.all.at[0].code, "bad-yaml");
        struct place place = diags_place(&d, d.all.at[0].span);
        if (place.line != BAD[i].line || place.column != BAD[i].column
            || str_find(d.all.at[0].message, str_from(BAD[i].message)) < 0) {
            fail_msg("%s: %u:%u: %.*s", BAD[i].yaml, place.line, place.column,
                     STR_ARG(d.all.at[0].message));
        }
        arena_free(&a);
    }
}

/* Nine anchors, each nine times the one before. */
static void yaml_aliases_are_counted(void **state)
{
    (void)state;
    struct arena a = {0};
    struct diags d;
    struct buf b;
    diags_init(&d, &a);
    buf_init(&b, 1 << 20);
    buf_printf(&b, "a0: &a0 [x]\n");
    for (int i = 1; i < 9; i++) {
        int k = i - 1;
        buf_printf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, k, k, k,
                   k, k, k, k, k, k);
    }
    assert_null(yaml_parse(&a, buf_str(&b), 0, &d));
    assert_non_null(strstr(d.all.at[0].message.s, "too many values"));
    buf_free(&b);
    arena_free(&a);
}

static struct str nested(struct buf *b, int levels)
{
    buf_clear(b);
    for (int i = 0; i < levels; i++) {
        buf_put_char(b, '[');
    }
    for (int i = 0; i < levels; i++) {
        buf_put_char(b, ']');
    }
    return buf_str(b);
}

static void yaml_depth_is_bounded(void **state)
{
    (void)state;
    struct arena a = {0};
    struct diags d;
    struct buf b;
    diags_init(&d, &a);
    buf_init(&b, 1 << 20);
    assert_non_null(yaml_parse(&a, nested(&b, YAML_DEPTH_LIMIT), 0, &d));
    assert_null(yaml_parse(&a, nested(&b, YAML_DEPTH_LIMIT + 1), 0, &d));
    assert_null(yaml_parse(&a, nested(&b, 20000), 0, &d));
    /* through aliases: 60 levels, and 60 more around them */
    buf_clear(&b);
    struct buf inner;
    buf_init(&inner, 1 << 20);
    struct str sixty = nested(&inner, 60);
    buf_printf(&b, "[&x %.*s, %.*s*x%.*s]", STR_ARG(sixty), 60, sixty.s, 60, sixty.s + 60);
    uint32_t errors = d.errors;
    assert_null(yaml_parse(&a, buf_str(&b), 0, &d));
    assert_int_equal(d.errors, errors + 1);
    buf_clear(&b);
    buf_printf(&b, "[&x %.*s, %.*s*x%.*s]", STR_ARG(sixty), 30, sixty.s, 30, sixty.s + 60);
    assert_non_null(yaml_parse(&a, buf_str(&b), 0, &d));
    buf_free(&inner);
    buf_free(&b);
    arena_free(&a);
}

static void yaml_numbers_keep_their_text(void **state)
{
    (void)state;
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    const struct json *value = yaml_parse(&a, STR("[1.50, 1e-3, 7, .5]"), 0, &d);
    assert_non_null(value);
    assert_string_equal(value->items[0].text.s, "1.50");
    assert_string_equal(value->items[1].text.s, "1e-3");
    assert_int_equal(value->items[2].integer, 7);
    assert_true(value->items[2].real == 7.0);
    assert_string_equal(value->items[3].text.s, "0.5");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_means_what_json_says),    cmocka_unit_test(yaml_errors_have_places),
        cmocka_unit_test(yaml_aliases_are_counted),     cmocka_unit_test(yaml_depth_is_bounded),
        cmocka_unit_test(yaml_numbers_keep_their_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
