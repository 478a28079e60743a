/* SPDX-License-Identifier: MIT */
/* Dependency files as gcc, clang and people write them. */
#include "parser/depfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct str joined(struct arena *a, const struct str *names, uint32_t n)
{
    struct str all = STR("");
    for (uint32_t i = 0; i < n; i++) {
        all = str_join3(a, all, i ? STR("|") : STR(""), names[i]);
    }
    return all;
}

static const struct {
    const char *text, *targets, *inputs;
} GOOD[] = {
    {"", "", ""},
    {"\n\n# only a comment\n", "", ""},
    {"out.o: a.c b.h\n", "out.o", "a.c|b.h"},
    {"out.o: a.c b.h", "out.o", "a.c|b.h"},
    {"out.o:a.c", "out.o", "a.c"},
    {"out.o : a.c", "out.o", "a.c"},
    {"a.o: a.c \\\n  b.h \\\r\n  c.h\r\n\r\nb.h:\r\n\r\nc.h:\r\n", "a.o", "a.c|b.h|c.h"},
    {"x y: a b\nz: b c\n", "x|y|z", "a|b|c"},
    {"a: with\\ blank dollar$$ hash\\#tag\n", "a", "with blank|dollar$|hash#tag"},
    {"a: back\\slash\\\\x end\\\\ next\n", "a", "back\\slash\\\\x|end\\\\|next"},
    {"a: three\\\\\\ blanks\n", "a", "three\\ blanks"},
    {"a\\:b: c:d s3://x/y\n", "a:b", "c:d|s3://x/y"},
    {"a:: b\n", "a", "b"},
    {"a: b | c\n", "a", "b|c"},
    {"a: b # comment \\\nc: d\n", "a|c", "b|d"},
    {"a: b b b\na: b\n", "a", "b"},
    {"a: \\\n b\\", "a", "b\\"},
    {"\xc3\xa4: \xc3\xb6\n", "\xc3\xa4", "\xc3\xb6"},
    {"a: \tb\t c\n", "a", "b|c"},
    {"out:\n", "", ""},
};

static void depfile_names_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        struct arena a = {0};
        struct diags d;
        struct depfile out;
        diags_init(&d, &a);
        if (!depfile_parse(&a, str_from(GOOD[i].text), 0, &out, &d)) {
            fail_msg("%s: %.*s", GOOD[i].text, STR_ARG(d.all.at[0].message));
        }
        assert_string_equal(str_c(&a, joined(&a, out.targets, out.target_count)), GOOD[i].targets);
        assert_string_equal(str_c(&a, joined(&a, out.inputs, out.input_count)), GOOD[i].inputs);
        arena_free(&a);
    }
}

static const struct {
    const char *text;
    uint32_t line, column;
} BAD[] = {
    {"no colon here\n", 1, 1},
    {"a: b\nc d\n", 2, 1},
    {"a: b\n\tcc -c $<\n", 2, 8},
    {": b\n", 1, 1},
    {"a: $(X)\n", 1, 4},
    {"a: b: c\n", 1, 5},
    {"a: b\n%: %.c\n\n$x: y", 4, 1},
};

static void depfile_errors_have_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct arena a = {0};
        struct diags d;
        struct depfile out;
        diags_init(&d, &a);
        struct str text = str_from(BAD[i].text);
        uint32_t source = diags_add_source(&d, STR("x.d"), text);
        assert_false(depfile_parse(&a, text, source, &out, &d));
        assert_string_equal(d.all.at[0].code, "bad-depfile");
        struct place place = diags_place(&d, d.all.at[0].span);
        if (place.line != BAD[i].line || place.column != BAD[i].column) {
            fail_msg("%s: %u:%u", BAD[i].text, place.line, place.column);
        }
        arena_free(&a);
    }
}

static void depfile_nul_is_refused(void **state)
{
    (void)state;
    struct arena a = {0};
    struct diags d;
    struct depfile out;
    diags_init(&d, &a);
    assert_false(depfile_parse(&a, (struct str){"a: b\0c", 6}, 0, &out, &d));
    assert_int_equal(out.input_count, 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depfile_names_are_read),
        cmocka_unit_test(depfile_errors_have_places),
        cmocka_unit_test(depfile_nul_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
