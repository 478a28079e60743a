/* SPDX-License-Identifier: MIT */
/* Values: printing, operators, texts, refs, what the fingerprint sees, and late values through their bytes. */
#include "core/function.h"
#include "core/shell.h"
#include "core/value.h"

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
    struct value_work work;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena);
    diags_init(&f->diags, &f->arena);
    f->work.arena = &f->arena;
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

static void assert_text(struct str x, const char *want)
{
    if (!str_eq(x, str_from(want))) {
        print_error("got '%.*s', wanted '%s'\n", STR_ARG(x), want);
    }
    assert_true(str_eq(x, str_from(want)));
}

static void assert_prints(struct fixture *f, const struct value *v, const char *want)
{
    assert_text(value_print(&f->arena, v), want);
}

/* "5" "0.5" "30m" "4GB" "true" "'text" "[3 5]" (numbers) as values. */
static struct value read_value(struct fixture *f, const char *text)
{
    struct str x = str_from(text);
    struct value v = value_none();
    if (text[0] == '\'') {
        return value_string(str_tail(x, 1));
    }
    if (text[0] == '[') {
        VEC(struct value_part) items = {0};
        struct str rest = str_sub(x, 1, x.n - 2), word;
        while (str_cut(&rest, ' ', &word)) {
            struct value *item = ARENA_NEW(&f->arena, struct value);
            *item = read_value(f, str_c(&f->arena, word));
            VEC_PUSH(&f->arena, &items)->value = item;
        }
        assert_true(value_list(&f->work, (struct value_parts){items.at, items.n}, SPAN_NONE, &v,
                               &f->diags));
        return v;
    }
    enum value_kind kinds[] = {VALUE_INT, VALUE_REAL, VALUE_DURATION, VALUE_SIZE, VALUE_BOOL};
    for (size_t i = 0; i < COUNT(kinds); i++) {
        if (value_from_text(&f->arena, kinds[i], x, &v)) {
            return v;
        }
    }
    fail_msg("no value: %s", text);
    return v;
}

static enum value_op read_op(const char *text)
{
    for (enum value_op op = VALUE_OR; op <= VALUE_MOD; op++) {
        if (strcmp(value_op_text(op), text) == 0) {
            return op;
        }
    }
    fail_msg("no operator: %s", text);
    return VALUE_OR;
}

static bool operate(struct fixture *f, const char *op, const struct value *x, const struct value *y,
                    struct value *out)
{
    struct value_operation o = {.op = read_op(op), .left = {.value = x}, .right = {.value = y}};
    return value_operate(&f->work, &o, out, &f->diags);
}

static const char *last_code(const struct fixture *f)
{
    assert_true(f->diags.all.n > 0);
    return f->diags.all.at[f->diags.all.n - 1].code;
}

/* ---- printing ---- */

static void value_prints_as_written_or_as_it_would_be(void **state)
{
    struct fixture *f = *state;
    static const char *const as_written[] = {"5",  "-3",   "0.050", "1e-3",  "5.0",  "90m",  "1.5h",
                                             "1d", "0KiB", "4GB",   "512KB", "true", "false"};
    for (size_t i = 0; i < COUNT(as_written); i++) {
        struct value v = read_value(f, as_written[i]);
        if (v.kind != VALUE_BOOL || strlen(as_written[i]) > 1) {
            assert_prints(f, &v, as_written[i]);
        }
    }
    struct value made[] = {value_duration(0),
                           value_duration(5400000000000),
                           value_duration(1500000000),
                           value_duration(-30000000000),
                           value_duration(1500000),
                           value_duration(1),
                           value_size(0),
                           value_size(8000000000),
                           value_size(INT64_C(8) << 30),
                           value_size(1500),
                           value_size(2048),
                           value_real(3),
                           value_real(0.1),
                           value_none(),
                           value_size(-1000),
                           value_duration(-1500000)};
    static const char *const prints[] = {"0s",  "90m",  "1500ms", "-30s",  "1.5ms", "0.000001ms",
                                         "0B",  "8GB",  "8GiB",   "1500B", "2KiB",  "3",
                                         "0.1", "null", "-1KB",   "-1.5ms"};
    for (size_t i = 0; i < COUNT(made); i++) {
        assert_prints(f, &made[i], prints[i]);
    }
}

static void value_prints_lists_and_paths(void **state)
{
    struct fixture *f = *state;
    struct value list = read_value(f, "[3 5.0 'a]");
    assert_prints(f, &list, "3 5.0 a");
    struct value dir = value_path(STR("build/data/"), true);
    assert_prints(f, &dir, "build/data");
    struct buf b;
    buf_init(&b, 1000);
    value_put_in(&b, &dir, STR("build/x"));
    buf_put_char(&b, ' ');
    struct value away = value_path(STR("s3://b/k"), false);
    value_put_in(&b, &away, STR("build"));
    assert_text(buf_str(&b), "../data s3://b/k");
    buf_free(&b);
}

static void value_json_keeps_floats_floats(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {
        {"5", "5"},       {"5.0", "5.0"},     {"1e-3", "0.001"},      {"'a\"b", "\"a\\\"b\""},
        {"true", "true"}, {"30m", "\"30m\""}, {"[1 2.5]", "[1,2.5]"}, {"1e3", "1000.0"}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value v = read_value(f, cases[i][0]);
        struct buf b;
        buf_init(&b, 1000);
        value_put_json(&b, &v);
        assert_text(buf_str(&b), cases[i][1]);
        buf_free(&b);
    }
}

static void value_reads_replacements(void **state)
{
    struct fixture *f = *state;
    struct value v;
    assert_true(value_from_text(&f->arena, VALUE_DURATION, STR("PT30M"), &v));
    assert_prints(f, &v, "30m");
    assert_true(value_from_text(&f->arena, VALUE_BOOL, STR("true"), &v) && v.boolean);
    assert_false(value_from_text(&f->arena, VALUE_BOOL, STR("1"), &v));
    assert_true(value_from_text(&f->arena, VALUE_BOOL, STR("false"), &v) && !v.boolean);
    assert_false(value_from_text(&f->arena, VALUE_BOOL, STR("yes"), &v));
    assert_false(value_from_text(&f->arena, VALUE_INT, STR("0.5"), &v));
    assert_false(value_from_text(&f->arena, VALUE_INT, STR(""), &v));
    assert_true(value_from_text(&f->arena, VALUE_REAL, STR("7"), &v) && v.kind == VALUE_REAL);
    assert_prints(f, &v, "7");
    assert_false(value_from_text(&f->arena, VALUE_DURATION, STR("P1M"), &v));
    assert_false(value_from_text(&f->arena, VALUE_SIZE, STR("4"), &v));
    assert_false(value_from_text(&f->arena, VALUE_LIST, STR("[1]"), &v));
    assert_false(value_from_text(&f->arena, VALUE_STRING, STR("a\0b"), &v));
    assert_true(value_from_text(&f->arena, VALUE_STRING, STR_NONE, &v));
}

/* ---- operators ---- */

static void value_operators_give(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][4] = {
        {"2", "+", "3", "5"},
        {"2", "+", "0.5", "2.5"},
        {"6", "/", "3", "2"},
        {"1", "/", "4", "0.25"},
        {"7", "%", "3", "1"},
        {"-7", "%", "3", "2"},
        {"7", "%", "-3", "-2"},
        {"-7.5", "%", "2", "0.5"},
        {"6", "%", "-3", "0"},
        {"-9223372036854775808", "%", "-1", "0"},
        {"2.0", "*", "3", "6"},
        {"-1", "*", "0.0", "0"},
        {"30m", "+", "1h", "90m"},
        {"1h", "-", "90m", "-30m"},
        {"30m", "*", "3", "90m"},
        {"0.5", "*", "1h", "30m"},
        {"1h", "/", "2", "30m"},
        {"1h", "/", "15m", "4"},
        {"90m", "%", "1h", "30m"},
        {"4GB", "*", "2", "8GB"},
        {"1GiB", "/", "512", "2MiB"},
        {"[1 2]", "+", "[3]", "1 2 3"},
        {"1", "==", "1.0", "true"},
        {"9007199254740993", "==", "9007199254740992.0", "false"},
        {"1", "!=", "2", "true"},
        {"60m", "==", "1h", "true"},
        {"1h", "==", "'PT60M", "true"},
        {"'PT60M", "<=", "30m", "false"},
        {"'a", "<", "'b", "true"},
        {"'a", "==", "'a", "true"},
        {"3", "<", "3.5", "true"},
        {"1KB", ">", "1KiB", "false"},
        {"3", ">=", "3", "true"},
        {"[1 2]", "==", "[1.0 2]", "true"},
        {"[1 2]", "==", "[1 'a]", "false"},
        {"[1 2]", "!=", "[1]", "true"},
        {"true", "and", "false", "false"},
        {"false", "or", "true", "true"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value x = read_value(f, cases[i][0]), y = read_value(f, cases[i][2]), out;
        /* 1 and 0 read as int: logic needs true and false */
        if (!operate(f, cases[i][1], &x, &y, &out)) {
            fail_msg("%s %s %s", cases[i][0], cases[i][1], cases[i][2]);
        }
        assert_prints(f, &out, cases[i][3]);
    }
}

static void value_operators_refuse(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][4] = {
        {"'a", "+", "'b", "type-mismatch"},
        {"'a", "+", "1", "type-mismatch"},
        {"1", "+", "[1]", "type-mismatch"},
        {"1h", "+", "1GB", "type-mismatch"},
        {"1h", "*", "1h", "type-mismatch"},
        {"2", "/", "1h", "type-mismatch"},
        {"1h", "+", "2", "type-mismatch"},
        {"1", "==", "'1", "type-mismatch"},
        {"true", "<", "false", "type-mismatch"},
        {"[1]", "<", "[2]", "type-mismatch"},
        {"1h", "<", "'soon", "type-mismatch"},
        {"true", "and", "1", "type-mismatch"},
        {"1", "or", "true", "type-mismatch"},
        {"true", "+", "true", "type-mismatch"},
        {"9223372036854775807", "+", "1", "overflow"},
        {"-9223372036854775808", "-", "1", "overflow"},
        {"9223372036854775807", "*", "2", "overflow"},
        {"1e308", "*", "10.0", "overflow"},
        {"9000d", "*", "99999999", "overflow"},
        {"9000d", "*", "1e30", "overflow"},
        {"1", "/", "0", "division-by-zero"},
        {"1", "%", "0", "division-by-zero"},
        {"1.0", "/", "0.0", "division-by-zero"},
        {"1.0", "%", "0.0", "division-by-zero"},
        {"1h", "/", "0", "division-by-zero"},
        {"1h", "/", "0s", "division-by-zero"},
        {"1h", "%", "0s", "division-by-zero"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value x = read_value(f, cases[i][0]), y = read_value(f, cases[i][2]), out;
        if (operate(f, cases[i][1], &x, &y, &out)) {
            fail_msg("%s %s %s", cases[i][0], cases[i][1], cases[i][2]);
        }
        assert_string_equal(last_code(f), cases[i][3]);
    }
    assert_true(str_find(f->diags.all.at[0].help, STR("{{a}}{{b}}")) >= 0);
}

static void value_signs_and_not(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][2] = {{"0.50", "-0.50"}, {"-3", "3"}, {"1h", "-1h"}};
    struct value out;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value x = read_value(f, cases[i][0]);
        struct value_operation o = {.op = VALUE_NEG, .left = {.value = &x}};
        assert_true(value_operate(&f->work, &o, &out, &f->diags));
        assert_prints(f, &out, cases[i][1]);
    }
    struct value least = value_int(INT64_MIN), yes = value_bool(true), one = value_int(1);
    struct value_operation o = {.op = VALUE_NEG, .left = {.value = &least}};
    assert_false(value_operate(&f->work, &o, &out, &f->diags));
    o = (struct value_operation){.op = VALUE_NOT, .left = {.value = &yes}};
    assert_true(value_operate(&f->work, &o, &out, &f->diags) && !out.boolean);
    o.left.value = &one;
    assert_false(value_operate(&f->work, &o, &out, &f->diags));
}

static void value_and_or_need_one_side_only(void **state)
{
    struct fixture *f = *state;
    struct value no = value_bool(false), out;
    struct value_operation o = {.op = VALUE_AND, .left = {.value = &no}};
    assert_true(value_decides(VALUE_AND, &no));
    assert_false(value_decides(VALUE_OR, &no));
    assert_true(value_operate(&f->work, &o, &out, &f->diags));
    assert_prints(f, &out, "false");
}

static void value_members_and_items(void **state)
{
    struct fixture *f = *state;
    const struct json *j = json_parse(
        &f->arena, STR("{\"lr\": 1e-3, \"list\": [1, {\"a\": null}], \"t\": true}"), 0, &f->diags);
    struct value tree = value_from_json(&f->arena, j), list, out, at = value_int(-1);
    struct value_part of = {.value = &tree}, part = {.value = &list}, position = {.value = &at};
    assert_true(value_member(&f->work, &of, STR("lr"), &out, &f->diags));
    assert_prints(f, &out, "1e-3");
    assert_true(value_member(&f->work, &of, STR("list"), &list, &f->diags));
    assert_prints(f, &list, "1 {\"a\":null}");
    assert_true(value_index(&f->work, &part, &position, &out, &f->diags));
    assert_prints(f, &out, "{\"a\":null}");
    at = value_int(2);
    assert_false(value_index(&f->work, &part, &position, &out, &f->diags));
    assert_string_equal(last_code(f), "out-of-range");
    assert_false(value_member(&f->work, &of, STR("lisd"), &out, &f->diags));
    assert_true(str_find(f->diags.all.at[1].help, STR("'list'")) >= 0);
    assert_false(value_member(&f->work, &part, STR("x"), &out, &f->diags));
}

static void value_need_converts_what_fits(void **state)
{
    struct fixture *f = *state;
    struct value one = value_int(1), iso = value_string(STR("PT1H")), out;
    struct value_part part = {.value = &one};
    struct value_want want = {VALUE_REAL, STR("'price'")};
    assert_true(value_need(&f->work, &part, want, &out, &f->diags));
    assert_true(out.kind == VALUE_REAL && out.real > 0.9);
    part.value = &iso;
    want = (struct value_want){VALUE_DURATION, STR("'timeout'")};
    assert_true(value_need(&f->work, &part, want, &out, &f->diags));
    assert_prints(f, &out, "1h");
    want = (struct value_want){VALUE_BOOL, STR("'when'")};
    assert_false(value_need(&f->work, &part, want, &out, &f->diags));
    assert_text(f->diags.all.at[0].message, "'when' wants bool, not string");
}

/* ---- refs and the fingerprint's view ---- */

static void value_refs_merge_and_keep_the_stronger(void **state)
{
    struct fixture *f = *state;
    struct value x = value_string(STR("x")), y = value_string(STR("y")), out;
    value_add_ref(&f->arena, &x, (struct value_ref){VALUE_REF_OUTPUT, 4, 1, true});
    value_add_ref(&f->arena, &x, (struct value_ref){VALUE_REF_OUTPUT, 2, 0, false});
    value_add_ref(&f->arena, &y, (struct value_ref){VALUE_REF_OUTPUT, 4, 1, false});
    value_add_ref(&f->arena, &y, (struct value_ref){VALUE_REF_PARAM, 0, 0, false});
    value_add_ref(&f->arena, &y, (struct value_ref){VALUE_REF_PARAM, 0, 0, false});
    assert_true(operate(f, "==", &x, &y, &out));
    assert_int_equal(out.refs->count, 3);
    assert_int_equal(out.refs->at[0].number, 2);
    assert_int_equal(out.refs->at[1].number, 4);
    assert_false(out.refs->at[1].value_only);
    const struct value_part parts[] = {{.value = &x}, {.value = &y}};
    assert_true(value_list(&f->work, (struct value_parts){parts, 2}, SPAN_NONE, &out, &f->diags));
    assert_null(out.refs);
    struct value_part whole = {.value = &out};
    assert_int_equal(value_refs_of(&f->arena, (struct value_parts){&whole, 1})->count, 3);
}

static struct value call(struct fixture *f, const struct value_work *w, const char *name,
                         const struct value *x, const struct value *y)
{
    struct value_part args[] = {{.value = x}, {.value = y}};
    struct function_call c = {.name = str_from(name), .args = {args, y ? 2 : 1}};
    struct value out;
    if (!function_apply(w, &c, &out, &f->diags)) {
        fail_msg("%s(): %.*s", name, STR_ARG(f->diags.all.at[f->diags.all.n - 1].message));
    }
    return out;
}

static void value_fingerprint_sees_all_but_the_untracked(void **state)
{
    struct fixture *f = *state;
    struct value n = value_int(8), two = value_int(2), seed = value_int(7), product, text;
    struct value loose = call(f, &f->work, "untracked", &n, NULL);
    assert_prints(f, &loose, "8");
    assert_true(operate(f, "*", &loose, &two, &product));
    assert_prints(f, &product, "16");
    struct value seen = value_tracked(&f->arena, &product);
    assert_prints(f, &seen, "(<untracked> * 2)");
    const struct value_part parts[] = {
        {.text = STR("-j ")}, {.value = &loose}, {.text = STR(" --seed ")}, {.value = &seed}};
    const struct value_style style = {0}, tracked = {.tracked = true};
    assert_true(value_text(&f->work, (struct value_parts){parts, 4}, &style, &text, &f->diags));
    assert_prints(f, &text, "-j 8 --seed 7");
    seen = value_tracked(&f->arena, &text);
    assert_prints(f, &seen, "-j <untracked> --seed 7");
    const struct value_part command[] = {{.text = STR("go ")}, {.value = &text}};
    struct value out;
    assert_true(shell_expand(&f->work, (struct value_parts){command, 2}, SHELL_POSIX, &tracked,
                             &out, &f->diags));
    assert_prints(f, &out, "go '-j <untracked> --seed 7'");
    assert_true(shell_expand(&f->work, (struct value_parts){command, 2}, SHELL_POSIX, &style, &out,
                             &f->diags));
    assert_prints(f, &out, "go '-j 8 --seed 7'");
}

static void value_argv_gives_words(void **state)
{
    struct fixture *f = *state;
    struct value list = read_value(f, "['a 2]"), path = value_path(STR("d/x y"), false), out;
    const struct value_part words[] = {{.text = STR("echo")}, {.value = &list}, {.value = &path}};
    const struct value_style style = {.cwd = STR("d")};
    assert_true(value_argv(&f->work, (struct value_parts){words, 3}, &style, &out, &f->diags));
    assert_int_equal(out.count, 4);
    assert_prints(f, &out.items[3], "x y");
    struct value bad = value_string(STR("a\0b"));
    const struct value_part word = {.value = &bad};
    assert_false(value_argv(&f->work, (struct value_parts){&word, 1}, &style, &out, &f->diags));
    assert_string_equal(last_code(f), "nul-byte");
}

/* ---- late values ---- */

static bool late_read(void *context, struct str path, struct str *text, struct diags *d)
{
    (void)context;
    if (!str_eq(path, STR("build/r.json"))) {
        diag_error(d, "cannot-read", SPAN_NONE, "no '%.*s'", STR_ARG(path));
        return false;
    }
    *text = STR("{\"mse\": 4.50, \"name\": \"a b\", \"parts\": [1, 2], \"bad\": \"x\\u0000\"}");
    return true;
}

static bool late_probe(void *context, uint32_t probe, struct str *text, struct diags *d)
{
    (void)context;
    (void)d;
    *text = probe == 3 ? STR("1.7 2") : STR("?");
    return true;
}

static struct span late_place(void *context, struct span at, struct diags *d)
{
    (void)context;
    (void)d;
    return (struct span){at.source + 1, at.begin + 100, at.end + 100};
}

static const struct value_reader reader = {
    .read = late_read, .probe = late_probe, .place = late_place};

/* As a host does it for the file of a step. */
static bool host_read(void *context, struct value *file, struct span at, struct str *text,
                      bool *late, struct diags *d)
{
    struct fixture *f = context;
    (void)at;
    (void)text;
    (void)d;
    value_add_ref(&f->arena, file, (struct value_ref){VALUE_REF_OUTPUT, 9, 0, false});
    *late = true;
    return true;
}

static struct value late_json(struct fixture *f, const char *path)
{
    struct function_host host = {.context = f, .read = host_read};
    struct value_work w = {.arena = &f->arena, .host = &host};
    struct value file = value_path(STR("build/r.json"), false);
    struct value where = value_string(str_from(path));
    struct value v = call(f, &w, "json", &file, &where);
    assert_int_equal(v.kind, VALUE_LATE);
    return v;
}

static bool through_bytes(struct fixture *f, const struct value *v, struct value *out)
{
    static const uint32_t numbers[] = {UINT32_MAX, 5};
    struct buf b;
    buf_init(&b, VALUE_LATE_LIMIT);
    assert_true(value_late_encode(&b, v, (struct value_sources){numbers, 2}, &f->diags));
    struct str bytes = str_copy(&f->arena, buf_str(&b));
    for (size_t n = 0; n < bytes.n && n < 1000;
         n++) { /* any part of them is an error, and harmless */
        struct diags quiet;
        diags_init(&quiet, &f->arena);
        assert_false(value_late_evaluate(&f->arena, str_sub(bytes, 0, n), &reader, out, &quiet));
    }
    buf_free(&b);
    return value_late_evaluate(&f->arena, bytes, &reader, out, &f->diags);
}

static void late_comparison_waits_and_then_holds(void **state)
{
    struct fixture *f = *state;
    struct value mse = late_json(f, "mse"), six = value_real(6), out, later;
    assert_true(operate(f, "<=", &mse, &six, &later));
    assert_int_equal(later.kind, VALUE_LATE);
    assert_int_equal(later.refs->count, 1);
    assert_int_equal(later.refs->at[0].number, 9);
    assert_true(later.refs->at[0].value_only);
    assert_true(through_bytes(f, &later, &out));
    assert_prints(f, &out, "true");
    assert_true(through_bytes(f, &mse, &out));
    assert_prints(f, &out, "4.50");
}

static void late_branches_are_not_looked_at_in_vain(void **state)
{
    struct fixture *f = *state;
    struct value mse = late_json(f, "mse"), one = value_real(1), small, chosen, out;
    assert_true(operate(f, "<", &mse, &one, &small));
    struct value missing = late_json(f, "not there"), parts = late_json(f, "parts"), both;
    const struct value_part choice[] = {{.value = &small}, {.value = &missing}, {.value = &parts}};
    assert_true(
        value_choose(&f->work, (struct value_parts){choice, 3}, SPAN_NONE, &chosen, &f->diags));
    assert_true(through_bytes(f, &chosen, &out));
    assert_prints(f, &out, "1 2");
    assert_true(operate(f, "and", &small, &missing, &both));
    assert_true(through_bytes(f, &both, &out));
    assert_prints(f, &out, "false");
}

static void late_command_is_escaped_when_known(void **state)
{
    struct fixture *f = *state;
    struct value name = late_json(f, "name"), parts = late_json(f, "parts"), late, out;
    struct value probe = value_probe(&f->arena, 3, STR("libs"));
    struct value path = value_path(STR("build/x"), false), n = value_int(4);
    struct value loose = call(f, &f->work, "untracked", &n, NULL);
    const struct value_part command[] = {
        {.text = STR("go \"")}, {.value = &name},  {.text = STR("\" ")}, {.value = &parts},
        {.text = STR(" ")},     {.value = &probe}, {.text = STR(" ")},   {.value = &path},
        {.text = STR(" -j")},   {.value = &loose}};
    const struct value_style styles[] = {{.cwd = STR("build")},
                                         {.cwd = STR("build"), .tracked = true}};
    static const char *const prints[] = {"go \"a b\" 1 2 '1.7 2' x -j4",
                                         "go \"a b\" 1 2 '1.7 2' x -j'<untracked>'"};
    for (int i = 0; i < 2; i++) {
        assert_true(shell_expand(&f->work, (struct value_parts){command, 10}, SHELL_POSIX,
                                 &styles[i], &late, &f->diags));
        assert_int_equal(late.kind, VALUE_LATE);
        assert_int_equal(late.refs->count, 2);
        assert_true(through_bytes(f, &late, &out));
        assert_prints(f, &out, prints[i]);
        assert_true(
            value_text(&f->work, (struct value_parts){command, 10}, &styles[i], &late, &f->diags));
        assert_true(through_bytes(f, &late, &out));
        assert_true(value_argv(&f->work, (struct value_parts){command + 1, 7}, &styles[i], &late,
                               &f->diags));
        assert_true(through_bytes(f, &late, &out));
        assert_int_equal(out.count, 8);
    }
}

static void late_constants_keep_all_that_they_are(void **state)
{
    struct fixture *f = *state;
    struct value list = read_value(f, "[3 0.50 'x 30m 4GB true]"), out;
    const struct json *j = json_parse(&f->arena, STR("{\"a\": [1, null]}"), 0, &f->diags);
    struct value tree = value_from_json(&f->arena, j), none = value_none();
    const struct value_part items[] = {{.value = &list}, {.value = &tree}, {.value = &none}};
    struct value all;
    assert_true(value_list(&f->work, (struct value_parts){items, 3}, SPAN_NONE, &all, &f->diags));
    assert_true(through_bytes(f, &all, &out));
    assert_true(value_eq(&all, &out));
    assert_prints(f, &out, "3 0.50 x 30m 4GB true {\"a\":[1,null]} null");
}

static void late_errors_point_into_the_pipelinefile(void **state)
{
    struct fixture *f = *state;
    struct value name = late_json(f, "name"), one = value_int(1), late, out;
    struct value_operation o = {
        .op = VALUE_SUB, .at = {1, 20, 21}, .left = {.value = &name}, .right = {.value = &one}};
    assert_true(value_operate(&f->work, &o, &late, &f->diags));
    assert_false(through_bytes(f, &late, &out));
    const struct diag *e = &f->diags.all.at[0];
    assert_string_equal(e->code, "type-mismatch");
    assert_int_equal(e->span.source, 6);
    assert_int_equal(e->span.begin, 120);
    struct value when;
    struct value_part part = {.value = &name};
    struct value_want want = {VALUE_BOOL, STR("'when'")};
    assert_true(value_need(&f->work, &part, want, &when, &f->diags));
    assert_false(through_bytes(f, &when, &out));
    assert_text(f->diags.all.at[1].message, "'when' wants bool, not string");
}

static void late_values_have_a_depth_and_a_size(void **state)
{
    struct fixture *f = *state;
    struct value deep = late_json(f, "mse"), wide = deep, one = value_int(1), next;
    int levels = 0;
    while (levels < 2000 && operate(f, "+", &deep, &one, &next)) {
        deep = next;
        levels++;
    }
    assert_in_range(levels, 100, 1000);
    assert_string_equal(last_code(f), "too-large");
    struct value out;
    assert_true(through_bytes(f, &deep, &out));
    for (int i = 0; i < 40; i++) { /* shares its parts: 2^40 leaves in bytes */
        assert_true(operate(f, "+", &wide, &wide, &next));
        wide = next;
    }
    struct buf b;
    buf_init(&b, VALUE_LATE_LIMIT);
    assert_false(value_late_encode(&b, &wide, (struct value_sources){NULL, 0}, &f->diags));
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

static void late_bytes_may_be_anything(void **state)
{
    struct fixture *f = *state;
    struct value mse = late_json(f, "mse"), n = value_int(4), late, out;
    const struct value_part command[] = {{.text = STR("go ")}, {.value = &mse}, {.value = &n}};
    const struct value_style style = {.cwd = STR("build")};
    assert_true(shell_expand(&f->work, (struct value_parts){command, 3}, SHELL_POSIX, &style, &late,
                             &f->diags));
    struct buf b;
    buf_init(&b, VALUE_LATE_LIMIT);
    assert_true(value_late_encode(&b, &late, (struct value_sources){NULL, 0}, &f->diags));
    for (size_t i = 0; i < b.n; i++) {
        for (int bit = 0; bit < 8; bit++) {
            struct arena_mark mark = arena_mark(&f->arena);
            struct diags quiet;
            diags_init(&quiet, &f->arena);
            b.s[i] = (char)(b.s[i] ^ (1 << bit));
            bool good = value_late_evaluate(&f->arena, buf_str(&b), &reader, &out, &quiet);
            assert_true(good || quiet.errors > 0);
            b.s[i] = (char)(b.s[i] ^ (1 << bit));
            arena_reset(&f->arena, mark);
        }
    }
    buf_free(&b);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(value_prints_as_written_or_as_it_would_be),
        TEST(value_prints_lists_and_paths),
        TEST(value_json_keeps_floats_floats),
        TEST(value_reads_replacements),
        TEST(value_operators_give),
        TEST(value_operators_refuse),
        TEST(value_signs_and_not),
        TEST(value_and_or_need_one_side_only),
        TEST(value_members_and_items),
        TEST(value_need_converts_what_fits),
        TEST(value_refs_merge_and_keep_the_stronger),
        TEST(value_fingerprint_sees_all_but_the_untracked),
        TEST(value_argv_gives_words),
        TEST(late_comparison_waits_and_then_holds),
        TEST(late_branches_are_not_looked_at_in_vain),
        TEST(late_command_is_escaped_when_known),
        TEST(late_constants_keep_all_that_they_are),
        TEST(late_errors_point_into_the_pipelinefile),
        TEST(late_values_have_a_depth_and_a_size),
        TEST(late_bytes_may_be_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
