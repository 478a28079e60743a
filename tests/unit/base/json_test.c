/* SPDX-License-Identifier: MIT */
/* JSON: what is read, in which order, what is refused and where, paths into it, and the one way in
 * which a value is written. */
#include "core/base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct diags d;
};

static int begin(void **state)
{
    static struct fixture f;
    f = (struct fixture){0};
    diags_init(&f.d, &f.arena);
    *state = &f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    arena_free(&f->arena);
    return 0;
}

static const struct json *read_good(void **state, struct str text)
{
    struct fixture *f = *state;
    const struct json *value = json_parse(&f->arena, text, 0, &f->d);
    assert_non_null(value);
    assert_int_equal(f->d.all.n, 0);
    return value;
}

static void assert_str(struct str x, const char *want)
{
    assert_int_equal(x.n, strlen(want));
    assert_memory_equal(x.s, want, x.n);
}

static void json_reads_each_kind(void **state)
{
    const struct json *v =
        read_good(state, STR(" [null, true, false, -7, 2.5, \"t\\u00e4\", [], {}] "));
    assert_int_equal(v->kind, JSON_LIST);
    assert_int_equal(v->count, 8);
    static const enum json_kind kinds[] = {JSON_NULL, JSON_BOOL,   JSON_BOOL, JSON_INT,
                                           JSON_REAL, JSON_STRING, JSON_LIST, JSON_OBJECT};
    for (uint32_t i = 0; i < v->count; i++) {
        assert_int_equal(v->items[i].kind, kinds[i]);
    }
    assert_true(v->items[1].boolean);
    assert_false(v->items[2].boolean);
    assert_int_equal(v->items[3].integer, -7);
    assert_true(v->items[4].real == 2.5);
    assert_str(v->items[5].text, "t\xc3\xa4");
    assert_int_equal(v->items[6].count, 0);
}

static void json_alone_may_be_a_scalar(void **state)
{
    assert_int_equal(read_good(state, STR("42"))->integer, 42);
    assert_int_equal(read_good(state, STR("null"))->kind, JSON_NULL);
    assert_str(read_good(state, STR("\xef\xbb\xbf\"after a mark\""))->text, "after a mark");
}

static void json_objects_keep_the_order_of_the_file(void **state)
{
    struct buf b = {.limit = 100000};
    buf_put_char(&b, '{');
    for (int i = 0; i < 500; i++) {
        buf_printf(&b, "%s\"k%d\": %d", i ? "," : "", (i * 7919) % 500, i);
    }
    buf_put_char(&b, '}');
    const struct json *v = read_good(state, buf_str(&b));
    assert_int_equal(v->count, 500);
    for (uint32_t i = 0; i < v->count; i++) {
        assert_int_equal(v->items[i].integer, i);
        assert_int_equal(strtol(v->names[i].s + 1, NULL, 10), (i * 7919) % 500);
    }
    buf_free(&b);
}

static void json_numbers_keep_their_text(void **state)
{
    const struct json *v = read_good(
        state,
        STR("{\"1\": [1e-3, \"2 \\\" 3\", 0.10], \"z\": -0, \"a\": {\"b9\": 1E5}, \"c\":17}"));
    assert_str(v->items[0].items[0].text, "1e-3");
    assert_true(v->items[0].items[0].real == 0.001);
    assert_str(v->items[0].items[2].text, "0.10");
    assert_str(v->items[1].text, "-0");
    assert_str(v->items[2].items[0].text, "1E5");
    assert_str(v->items[3].text, "17");
}

static void json_strings_may_hold_nul(void **state)
{
    const struct json *v = read_good(state, STR("\"a\\u0000b\""));
    assert_int_equal(v->text.n, 3);
    assert_memory_equal(v->text.s, "a\0b", 3);
}

static void json_refuses_with_a_place(void **state)
{
    static const struct {
        const char *text;
        uint32_t begin;
        const char *says;
    } cases[] = {
        {"", 0, "not valid JSON"},
        {"  ", 2, "not valid JSON"},
        {"[1, 2", 5, "expected"},
        {"{\"a\": nope}", 6, "nope"},
        {"{\"a\": 1, \"a\": 2}", 9, "duplicate"},
        {"[1] x", 4, "end of file expected"},
        {"[99999999999999999999]", 1, "too big"},
        {"[1e400]", 1, "real number overflow"},
        {"{'a': 1}", 1, "expected"},
        {"[01]", 1, "invalid token"},
        {"\"\xff\"", 0, "0xff"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str text = str_from(cases[i].text);
        diags_init(&f->d, &f->arena);
        uint32_t source = diags_add_source(&f->d, STR("f.json"), text);
        assert_null(json_parse(&f->arena, text, source, &f->d));
        assert_int_equal(f->d.all.n, 1);
        const struct diag *x = &f->d.all.at[0];
        assert_string_equal(x->code, "bad-json");
        assert_int_equal(x->span.source, source);
        if (!strstr(x->message.s, cases[i].says) || x->span.begin != cases[i].begin) {
            fail_msg("case %zu: at %u: %s", i, x->span.begin, x->message.s);
        }
        assert_true(x->span.end >= x->span.begin && x->span.end <= text.n + 1);
    }
}

static struct str nested(struct buf *b, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        buf_put_char(b, '[');
    }
    for (size_t i = 0; i < depth; i++) {
        buf_put_char(b, ']');
    }
    return buf_str(b);
}

static void json_depth_is_limited(void **state)
{
    struct fixture *f = *state;
    struct buf good = {.limit = 1 << 24}, bad = {.limit = 1 << 24}, worse = {.limit = 1 << 24};
    read_good(state, nested(&good, JSON_DEPTH_LIMIT));
    assert_null(json_parse(&f->arena, nested(&bad, JSON_DEPTH_LIMIT + 1), 0, &f->d));
    assert_int_equal(f->d.all.n, 1);
    assert_int_equal(f->d.all.at[0].span.begin, JSON_DEPTH_LIMIT);
    assert_null(json_parse(&f->arena, nested(&worse, 1 << 20), 0, &f->d));
    /* brackets in texts are no depth */
    buf_clear(&bad);
    buf_put_char(&bad, '"');
    for (int i = 0; i < 1000; i++) {
        buf_put_str(&bad, STR("[\\\"{"));
    }
    buf_put_char(&bad, '"');
    assert_non_null(json_parse(&f->arena, buf_str(&bad), 0, &f->d));
    buf_free(&good);
    buf_free(&bad);
    buf_free(&worse);
}

static void json_find_walks_paths(void **state)
{
    const struct json *v = read_good(
        state,
        STR("{\"a\": {\"b\": [{\"c\": 1}, [2, 3]]}, \"x.y\": {\"z\": 4}, \"\": 5, \"0\": 6}"));
    static const struct {
        const char *path;
        int want; /* 0: not there */
    } cases[] = {
        {"a.b[0].c", 1}, {"a.b[1][1]", 3}, {"[\"x.y\"].z", 4},
        {"[\"\"]", 5},   {"0", 6},         {"[\"a\"].b[0]c", 0},
        {"a.b[2]", 0},   {"a.b[-1]", 0},   {"a..b", 0},
        {"a.", 0},       {".a", 0},        {"a.b[0", 0},
        {"a[0]", 0},     {"[\"a", 0},      {"[", 0},
        {"a.b[]", 0},    {"a.b.c", 0},     {"a.b[0]..c", 0},
        {"nope", 0},     {"[\"a\"", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct json *found = json_find(v, str_from(cases[i].path));
        int got = found ? (int)found->integer : 0;
        if (got != cases[i].want || (found && found->kind != JSON_INT)) {
            fail_msg("%s gives %d", cases[i].path, got);
        }
    }
    assert_ptr_equal(json_find(v, STR("")), v);
    assert_null(json_find(NULL, STR("a")));
    assert_null(json_member(json_find(v, STR("a.b")), STR("c")));
}

static void json_put_is_canonical(void **state)
{
    struct buf b = {.limit = 1000};
    json_put(&b, read_good(state, STR("{ \"b\" : [ 1.0, 1e2, true, null ] ,\n \"aa\": \"\\u0001\", "
                                      "\"a\" : {}, \"c\": -5, \"d\": false, \"e\": [] }")));
    assert_string_equal(b.s, "{\"a\":{},\"aa\":\"\\u0001\",\"b\":[1,100,true,null],\"c\":-5,"
                             "\"d\":false,\"e\":[]}");
    buf_clear(&b);
    struct json nan = {.kind = JSON_REAL, .real = (double)NAN};
    json_put(&b, &nan);
    assert_string_equal(b.s, "NaN");
    buf_free(&b);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(json_reads_each_kind),
        TEST(json_alone_may_be_a_scalar),
        TEST(json_objects_keep_the_order_of_the_file),
        TEST(json_numbers_keep_their_text),
        TEST(json_strings_may_hold_nul),
        TEST(json_refuses_with_a_place),
        TEST(json_depth_is_limited),
        TEST(json_find_walks_paths),
        TEST(json_put_is_canonical),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
