/* SPDX-License-Identifier: MIT */
/* The example in docs/formats.md, "Fingerprint", was made by other means: the program must agree with it. */
#include "core/base/file.h"
#include "tests/unit/core/step_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct vector {
    struct step_fixture step;
    struct digest declared, fingerprint;
    uint32_t parts;
};

static struct part_file parse_content(struct str value)
{
    static const char *const kinds[] = {"absent", "blob", "list", "tree", "link"};
    struct str word;
    struct part_file file = {0};
    assert_true(str_cut(&value, ' ', &word));
    while (!str_eq(word, str_from(kinds[file.kind]))) {
        file.kind++;
        assert_true(file.kind <= REF_LINK);
    }
    assert_true(file.kind == REF_NONE || digest_parse_hex(value, &file.digest));
    return file;
}

static void add_param(struct step_fixture *f, struct str name, struct str value)
{
    double number;
    bool quoted = str_starts(value, STR("\""));
    uint32_t flags = quoted || !str_parse_double(value, &number) ? GRAPH_NAMED_TEXT : 0;
    fixture_param(f, name, quoted ? str_sub(value, 1, value.n - 2) : value, flags);
}

static void add_named_part(struct vector *v, struct str kind, struct str name, struct str value)
{
    struct step_fixture *f = &v->step;
    if (str_eq(kind, STR("param"))) {
        add_param(f, name, value);
    } else if (str_eq(kind, STR("env"))) {
        fixture_env(f, name, value, 0);
    } else if (str_eq(kind, STR("output"))) {
        fixture_output(f, name, str_eq(value, STR("dir")));
    } else if (str_eq(kind, STR("probe"))) {
        fixture_probe(f, name, value);
    } else if (str_eq(kind, STR("tool"))) {
        fixture_tool(f, name, parse_content(value));
    } else if (str_eq(kind, STR("input"))) {
        fixture_input(f, GRAPH_IN, name, parse_content(value));
    } else if (str_eq(kind, STR("code"))) {
        fixture_input(f, GRAPH_CODE, name, parse_content(value));
    } else {
        fail_msg("unknown part %.*s", STR_ARG(kind));
    }
}

static void add_part(struct vector *v, struct str label, struct str value)
{
    struct step_fixture *f = &v->step;
    v->parts++;
    if (str_eq(label, STR("command"))) {
        fixture_command(f, value);
    } else if (str_eq(label, STR("run as"))) {
        assert_true(str_eq(value, STR("shell")));
    } else if (str_eq(label, STR("cwd"))) {
        f->step.cwd = fixture_text(f, value);
    } else if (str_eq(label, STR("instance"))) {
        f->step.instance = fixture_text(f, value);
    } else if (str_eq(label, STR("count"))) {
        uint64_t n;
        assert_true(str_parse_u64(value, &n));
        f->step.instance_count = (uint32_t)n;
    } else if (str_eq(label, STR("image"))) {
        fixture_image(f, value);
    } else if (str_eq(label, STR("platform"))) {
        f->values.platform = value;
    } else {
        struct str kind;
        assert_true(str_cut(&label, ' ', &kind));
        add_named_part(v, kind, label, value);
    }
}

static void parse_vector(struct vector *v, struct str block)
{
    fixture_init(&v->step);
    struct str line;
    while (block.n && str_cut(&block, '\n', &line)) {
        if (str_starts(line, STR("=> declared "))) {
            assert_true(digest_parse_hex(str_tail(line, 12), &v->declared));
        } else if (str_starts(line, STR("=> fingerprint "))) {
            assert_true(digest_parse_hex(str_tail(line, 15), &v->fingerprint));
        } else {
            ptrdiff_t at = str_find(line, STR(" = "));
            assert_true(at > 0);
            add_part(v, str_sub(line, 0, (size_t)at), str_tail(line, (size_t)at + 3));
        }
    }
}

/* Cuts the next ```fingerprint block off *text. */
static bool next_block(struct str *text, struct str *block)
{
    const struct str fence = STR("\n```fingerprint\n");
    ptrdiff_t at = str_find(*text, fence);
    if (at < 0) {
        return false;
    }
    *text = str_tail(*text, (size_t)at + fence.n);
    ptrdiff_t end = str_find(*text, STR("\n```\n"));
    assert_true(end > 0);
    *block = str_sub(*text, 0, (size_t)end + 1);
    *text = str_tail(*text, (size_t)end);
    return true;
}

static void fingerprint_agrees_with_the_documented_example(void **state)
{
    (void)state;
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    struct str text;
    assert_true(file_read(&a, FILE_CWD, STR("../docs/formats.md"), 16 << 20, &text, &d));
    struct str block;
    uint32_t blocks = 0;
    for (; next_block(&text, &block); blocks++) {
        struct vector *v = ARENA_NEW(&a, struct vector);
        parse_vector(v, block);
        assert_true(v->parts >= 10);
        struct digest late = fixture_fingerprint(&v->step);
        fingerprint_fill_declared(&v->step.g);
        assert_memory_equal(&v->step.step.declared, &v->declared, sizeof v->declared);
        assert_memory_equal(&late, &v->fingerprint, sizeof late);
        struct digest known = fixture_fingerprint(&v->step);
        assert_memory_equal(&known, &v->fingerprint, sizeof known);
    }
    assert_true(blocks >= 1);
    arena_free(&a);
}

/* The list shows exactly the documented lines, in their order. */
static void fingerprint_list_reads_as_documented(void **state)
{
    (void)state;
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    struct str text;
    assert_true(file_read(&a, FILE_CWD, STR("../docs/formats.md"), 16 << 20, &text, &d));
    struct str block;
    assert_true(next_block(&text, &block));
    struct vector *v = ARENA_NEW(&a, struct vector);
    parse_vector(v, block);
    struct part_list parts;
    fingerprint_parts(&v->step.g, (step_id){0}, &v->step.values, &a, &parts);
    assert_int_equal(parts.n, v->parts);
    struct str line;
    for (uint32_t i = 0; i < parts.n; i++) {
        assert_true(str_cut(&block, '\n', &line));
        struct str shown = str_join3(&a, parts.at[i].label, STR(" = "), parts.at[i].value);
        assert_string_equal(str_c(&a, shown), str_c(&a, line));
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fingerprint_agrees_with_the_documented_example),
        cmocka_unit_test(fingerprint_list_reads_as_documented),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
