/* SPDX-License-Identifier: MIT */
/* The functions of the language, by tables of calls; and what they ask of their host. */
#include "core/function.h"
#include "core/shell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

struct fixture {
    struct arena arena;
    struct diags diags;
    struct function_host host;
    struct value_work work;
};

static bool host_glob(void *context, struct str pattern, struct span at, struct value *out,
                      struct diags *d)
{
    struct fixture *f = context;
    (void)at;
    (void)d;
    struct value *items = ARENA_ARRAY(&f->arena, struct value, 2);
    items[0] = value_path(STR("data/a.csv"), false);
    items[1] = value_path(pattern, false);
    *out = (struct value){.kind = VALUE_LIST, .count = 2, .items = items, .depth = 1};
    return true;
}

static bool host_env(void *context, struct str name, bool *set, struct str *text)
{
    (void)context;
    *set = str_eq(name, STR("HOME"));
    *text = STR("/home/me");
    return true;
}

static bool host_read(void *context, struct value *file, struct span at, struct str *text,
                      bool *late, struct diags *d)
{
    struct fixture *f = context;
    (void)at;
    (void)d;
    if (str_starts(file->text, STR("build/"))) {
        value_add_ref(&f->arena, file, (struct value_ref){VALUE_REF_OUTPUT, 1, 2, false});
        *late = true;
    } else {
        *text = str_eq(file->text, STR("bad.json"))
                    ? STR("{\"a\": \n oops}")
                    : STR("{\"a\": {\"b\": [1.50, {\"c\": \"x\"}]}, \"n\": null}\n");
    }
    return true;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena);
    diags_init(&f->diags, &f->arena);
    f->host = (struct function_host){f, host_glob, host_env, host_read};
    f->work = (struct value_work){.arena = &f->arena, .host = &f->host};
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    arena_free(&f->arena);
    free(f);
    return 0;
}

/* "L:a b" is a list of strings, "P:x" a path, "N:5" an int, anything else a string. */
static struct value read_arg(struct fixture *f, const char *text)
{
    struct str x = str_from(text), rest = str_tail(x, 2), word;
    if (str_starts(x, STR("P:"))) {
        return value_path(rest, false);
    }
    if (str_starts(x, STR("N:"))) {
        struct value v = value_none();
        assert_true(value_from_text(&f->arena, VALUE_INT, rest, &v));
        return v;
    }
    if (!str_starts(x, STR("L:"))) {
        return value_string(x);
    }
    VEC(struct value) items = {0};
    while (str_cut(&rest, ' ', &word)) {
        *VEC_PUSH(&f->arena, &items) = value_string(word);
    }
    return (struct value){.kind = VALUE_LIST, .count = items.n, .items = items.at, .depth = 1};
}

struct example {
    const char *name;
    const char *args[4];
    const char *gives; /* or the code of the error */
};

static bool apply(struct fixture *f, const struct example *e, struct value *out)
{
    struct value values[4];
    struct value_part args[4];
    uint32_t n = 0;
    for (; n < 4 && e->args[n]; n++) {
        values[n] = read_arg(f, e->args[n]);
        args[n] = (struct value_part){.value = &values[n]};
    }
    struct function_call call = {.name = str_from(e->name), .args = {args, n}};
    return function_apply(&f->work, &call, out, &f->diags);
}

static void function_gives(void **state)
{
    struct fixture *f = *state;
    static const struct example examples[] = {
        {"basename", {"a/b.csv"}, "b.csv"},
        {"basename", {"a/b/"}, "b"},
        {"dirname", {"a.csv"}, "."},
        {"dirname", {"a/b/c.csv"}, "a/b"},
        {"dirname", {"/a"}, "/"},
        {"stem", {"x/a.tar.gz"}, "a.tar"},
        {"stem", {".bashrc"}, ".bashrc"},
        {"ext", {"a.csv"}, ".csv"},
        {"ext", {"a.d/b"}, ""},
        {"ext", {".bashrc"}, ""},
        {"ext", {"..x"}, ""},
        {"join", {"L:a b c", ", "}, "a, b, c"},
        {"join", {"L:", ","}, ""},
        {"len", {"L:a b"}, "2"},
        {"len", {"a\xc3\xa9z"}, "3"},
        {"contains", {"L:a b", "b"}, "true"},
        {"contains", {"L:a b", "N:1"}, "false"},
        {"contains", {"abc", "bc"}, "true"},
        {"range", {"N:3"}, "0 1 2"},
        {"range", {"N:1", "N:4"}, "1 2 3"},
        {"range", {"N:1", "N:8", "N:3"}, "1 4 7"},
        {"range", {"N:5", "N:0", "N:-2"}, "5 3 1"},
        {"range", {"N:5", "N:5"}, ""},
        {"range", {"N:5", "N:0"}, ""},
        {"range", {"N:9223372036854775806", "N:9223372036854775807", "N:9"}, "9223372036854775806"},
        {"slice", {"L:a b c d", "N:1"}, "b c d"},
        {"slice", {"L:a b c d", "N:-2"}, "c d"},
        {"slice", {"L:a b c d", "N:1", "N:-1"}, "b c"},
        {"slice", {"L:a b", "N:-30"}, "a b"},
        {"slice", {"L:a b", "N:5"}, ""},
        {"slice", {"L:a b", "N:1", "N:0"}, ""},
        {"slice", {"L:a b", "N:-9223372036854775808", "N:9223372036854775807"}, "a b"},
        {"replace", {"a-b-c", "-", "__"}, "a__b__c"},
        {"replace", {"aaa", "aa", "b"}, "ba"},
        {"replace", {"N:1010", "0", "N:2"}, "1212"},
        {"lower", {"AbZ\xc3\x89"}, "abz\xc3\x89"},
        {"upper", {"abz_1"}, "ABZ_1"},
        {"glob", {"x*"}, "data/a.csv x*"},
        {"env", {"HOME"}, "/home/me"},
        {"env", {"NOT_SET", "N:4"}, "4"},
        {"read", {"conf.json"}, "{\"a\": {\"b\": [1.50, {\"c\": \"x\"}]}, \"n\": null}\n"},
        {"json", {"conf.json", "a.b[0]"}, "1.50"},
        {"json", {"conf.json", "a.b[1].c"}, "x"},
        {"json", {"conf.json", "a.b"}, "1.50 {\"c\":\"x\"}"},
        {"json", {"conf.json", "n"}, "null"},
        {"json", {"conf.json"}, "{\"a\":{\"b\":[1.5,{\"c\":\"x\"}]},\"n\":null}"},
        {"uri", {"s3://b/k"}, "s3://b/k"},
        {"quote", {"a b"}, "'a b'"},
        {"quote", {"L:a b' c"}, "a 'b'\\''' c"},
        {"raw", {"a b"}, "a b"},
        {"untracked", {"N:4"}, "4"},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        struct value out;
        bool good = apply(f, &examples[i], &out);
        struct str got =
            good ? value_print(&f->arena, &out) : f->diags.all.at[f->diags.all.n - 1].message;
        bool same = good && str_eq(got, str_from(examples[i].gives));
        if (!same) {
            print_error("%s(%s): '%.*s', wanted '%s'\n", examples[i].name, examples[i].args[0],
                        STR_ARG(got), examples[i].gives);
        }
        assert_true(same);
    }
}

static void function_refuses(void **state)
{
    struct fixture *f = *state;
    static const struct example examples[] = {
        {"basename", {"N:5"}, "type-mismatch"},
        {"basename", {NULL}, "wrong-arguments"},
        {"basename", {"a", "b"}, "wrong-arguments"},
        {"slice", {"L:a"}, "wrong-arguments"},
        {"slice", {"a", "N:1"}, "type-mismatch"},
        {"range", {"N:1000001"}, "too-large"},
        {"range", {"N:-9223372036854775808", "N:9223372036854775807"}, "too-large"},
        {"range", {"N:1", "N:2", "N:0"}, "wrong-arguments"},
        {"range", {"1"}, "type-mismatch"},
        {"replace", {"a", "", "b"}, "wrong-arguments"},
        {"contains", {"abc", "N:1"}, "type-mismatch"},
        {"contains", {"N:1", "N:1"}, "type-mismatch"},
        {"env", {"AWS_SECRET_ACCESS"}, "secret-name"},
        {"env", {"api_key"}, "secret-name"},
        {"env", {"MYTOKENS", "x"}, "secret-name"},
        {"env", {"DB_PASSWORD"}, "secret-name"},
        {"env", {"NOT_SET"}, "unset-variable"},
        {"env", {"A=B"}, "wrong-arguments"},
        {"uri", {"a/b"}, "type-mismatch"},
        {"json", {"bad.json", "a"}, "bad-json"},
        {"json", {"conf.json", "a.x"}, "no-such-value"},
        {"json", {""}, "wrong-arguments"},
        {"baename", {"x"}, "unknown-function"},
    };
    for (size_t i = 0; i < COUNT(examples); i++) {
        struct value out;
        if (apply(f, &examples[i], &out)) {
            fail_msg("%s(%s)", examples[i].name, examples[i].args[0]);
        }
        const struct diag *d = &f->diags.all.at[f->diags.all.n - 1];
        assert_string_equal(d->code, examples[i].gives);
    }
    const struct diag *last = &f->diags.all.at[f->diags.all.n - 1];
    assert_true(str_eq(last->help, STR("did you mean 'basename'?")));
    assert_true(str_eq(f->diags.all.at[0].help, STR("write basename(path)")));
    assert_true(str_find(f->diags.all.at[12].help, STR("secret AWS_SECRET_ACCESS")) >= 0);
}

static void function_wrong_json_shows_its_place(void **state)
{
    struct fixture *f = *state;
    struct value out;
    const struct example e = {"json", {"bad.json", "a"}, ""};
    assert_false(apply(f, &e, &out));
    assert_int_equal(f->diags.all.n, 1);
    struct place at = diags_place(&f->diags, f->diags.all.at[0].span);
    assert_int_equal(at.line, 2);
    assert_true(
        str_eq(diags_source(&f->diags, f->diags.all.at[0].span.source)->path, STR("bad.json")));
}

static void function_of_a_made_file_waits(void **state)
{
    struct fixture *f = *state;
    struct value out;
    const struct example json = {"json", {"P:build/r.json", "mse"}, ""};
    assert_true(apply(f, &json, &out));
    assert_int_equal(out.kind, VALUE_LATE);
    assert_int_equal(out.refs->count, 1);
    assert_true(out.refs->at[0].value_only);
    struct value later;
    struct value_part arg = {.value = &out};
    struct function_call upper = {.name = STR("upper"), .args = {&arg, 1}};
    assert_true(function_apply(&f->work, &upper, &later, &f->diags));
    assert_int_equal(later.kind, VALUE_LATE);
    struct function_call glob = {.name = STR("glob"), .args = {&arg, 1}};
    assert_false(function_apply(&f->work, &glob, &later, &f->diags));
    assert_string_equal(f->diags.all.at[0].code, "late-value");
}

static void function_texts_have_a_limit(void **state)
{
    struct fixture *f = *state;
    struct str text = {arena_alloc(&f->arena, 1 << 15, 1), 1 << 15};
    memset((char *)(uintptr_t)text.s, 'a', text.n);
    struct value values[] = {value_string(text), value_string(STR("a")),
                             value_string(STR("0123456789abcdef0123456789abcdef0123456789"))};
    struct value_part args[] = {
        {.value = &values[0]}, {.value = &values[1]}, {.value = &values[2]}};
    struct function_call call = {.name = STR("replace"), .args = {args, 3}};
    struct value out;
    assert_false(function_apply(&f->work, &call, &out, &f->diags));
    assert_string_equal(f->diags.all.at[0].code, "too-large");
}

static void function_passes_refs_and_marks_on(void **state)
{
    struct fixture *f = *state;
    struct value path = value_path(STR("build/a b.csv"), false), out;
    value_add_ref(&f->arena, &path, (struct value_ref){VALUE_REF_OUTPUT, 1, 2, false});
    struct value_part arg = {.value = &path};
    static const char *const names[] = {"basename", "quote", "raw", "untracked", "stem"};
    for (size_t i = 0; i < COUNT(names); i++) {
        struct function_call call = {.name = str_from(names[i]), .args = {&arg, 1}};
        assert_true(function_apply(&f->work, &call, &out, &f->diags));
        assert_int_equal(out.refs->count, 1);
        assert_int_equal(out.refs->at[0].output, 2);
    }
    struct function_call loose = {.name = STR("untracked"), .args = {&arg, 1}};
    assert_true(function_apply(&f->work, &loose, &out, &f->diags));
    struct value untracked = out;
    arg.value = &untracked;
    struct function_call base = {.name = STR("basename"), .args = {&arg, 1}};
    assert_true(function_apply(&f->work, &base, &out, &f->diags));
    assert_true(out.untracked);
    struct value seen = value_tracked(&f->arena, &out);
    assert_true(str_eq(seen.text, STR("basename(<untracked>)")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(function_gives),
        TEST(function_refuses),
        TEST(function_wrong_json_shows_its_place),
        TEST(function_of_a_made_file_waits),
        TEST(function_texts_have_a_limit),
        TEST(function_passes_refs_and_marks_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
