/* SPDX-License-Identifier: MIT */
/* Diagnostics as a person sees them: each test holds the whole text that is to be rendered. */
#include "core/base/diag.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
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

static struct diags *diags_of(void **state)
{
    return &((struct fixture *)*state)->d;
}

static void assert_rendered(const struct diags *d, const char *want)
{
    struct buf b = {.limit = 1 << 20};
    diags_render(d, false, &b);
    assert_string_equal(b.s ? b.s : "", want);
    buf_free(&b);
}

/* The span of the first place where part stands in the only source's text. */
static struct span span_of(const struct diags *d, const char *part)
{
    ptrdiff_t at = str_find(d->sources.at[0].text, str_from(part));
    assert_true(at >= 0);
    return (struct span){1, (uint32_t)at, (uint32_t)((size_t)at + strlen(part))};
}

static void diag_shows_the_line_with_a_caret(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("Pipelinefile"), STR("step a {\n    in x = trian.y\n}\n"));
    struct diag *x =
        diag_error(d, "unknown-name", span_of(d, "trian"), "nothing is called '%s'", "trian");
    diag_help(d, x, "did you mean '%s'?", "train");
    assert_rendered(d, "Pipelinefile:2:12: error: nothing is called 'trian'\n"
                       "        in x = trian.y\n"
                       "               ^~~~~\n"
                       "  help: did you mean 'train'?\n");
    assert_int_equal(d->errors, 1);
}

static void diag_without_a_place_speaks_for_pawl(void **state)
{
    struct diags *d = diags_of(state);
    diag_error(d, "usage", SPAN_NONE, "no such option '%s'", "--x");
    diag_warning(d, "w", SPAN_NONE, "careful");
    assert_rendered(d, "pawl: error: no such option '--x'\npawl: warning: careful\n");
    assert_int_equal(d->errors, 1);
    assert_int_equal(d->warnings, 1);
}

static void diag_of_a_source_without_text_names_the_path(void **state)
{
    struct diags *d = diags_of(state);
    uint32_t source = diags_add_source(d, STR("params.yaml"), STR_NONE);
    diag_error(d, "cannot-read", (struct span){source, 0, 0}, "is a folder");
    assert_rendered(d, "params.yaml: error: is a folder\n");
}

static void diag_errno_says_the_reason(void **state)
{
    struct diags *d = diags_of(state);
    errno = ENOENT;
    diag_errno(d, "cannot-open", "cannot open '%s'", "x");
    assert_rendered(d, "pawl: error: cannot open 'x': No such file or directory\n");
}

static void diag_keeps_tabs_aligned(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("f"), STR("\ta\tbad"));
    diag_error(d, "c", span_of(d, "bad"), "m");
    assert_rendered(d, "f:1:4: error: m\n"
                       "    \ta\tbad\n"
                       "    \t \t^~~\n");
}

static void diag_counts_characters_and_shows_their_width(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("f"), STR("\xc3\xa4\xf0\x9f\xa7\xaa\x1b x"));
    diag_error(d, "c", span_of(d, "x"), "m");
    /* columns: a-umlaut 1, test tube 2, escape 3, blank 4, x 5; the tube is two wide, \x1b four */
    assert_rendered(d, "f:1:5: error: m\n"
                       "    \xc3\xa4\xf0\x9f\xa7\xaa\\x1b x\n"
                       "            ^\n");
}

static void diag_of_several_lines_is_shown_on_the_first(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("f"), STR("one\r\ntwo three\r\nfour\n"));
    diag_error(d, "c", span_of(d, "three\r\nfour"), "m");
    assert_rendered(d, "f:2:5: error: m\n"
                       "    two three\n"
                       "        ^~~~~\n");
}

static void diag_at_the_end_stands_behind_the_last_line(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("f"), STR("step a {\n"));
    diag_error(d, "c", (struct span){1, 9, 9}, "m");
    diag_error(d, "c", (struct span){1, 900, 950}, "n");
    assert_rendered(d, "f:1:9: error: m\n"
                       "    step a {\n"
                       "            ^\n"
                       "f:1:9: error: n\n"
                       "    step a {\n"
                       "            ^\n");
}

static void diag_on_an_empty_line(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("f"), STR("a\n\nb"));
    diag_error(d, "c", (struct span){1, 2, 2}, "m");
    assert_rendered(d, "f:2:1: error: m\n    \n    ^\n");
}

static void diag_of_a_long_line_shows_a_window(void **state)
{
    struct diags *d = diags_of(state);
    char text[1001];
    memset(text, 'a', 1000);
    memcpy(text + 500, "BAD", 3);
    text[1000] = '\0';
    diags_add_source(d, STR("f"), str_from(text));
    diag_error(d, "c", (struct span){1, 500, 900}, "m");
    struct buf b = {.limit = 10000};
    diags_render(d, false, &b);
    struct str rest = buf_str(&b), line;
    str_cut(&rest, '\n', &line);
    assert_true(str_eq(line, STR("f:1:501: error: m")));
    str_cut(&rest, '\n', &line);
    assert_true(str_starts(line, STR("    ...aaa")) && str_ends(line, STR("aaa...")));
    assert_true(line.n < 180);
    ptrdiff_t shown = str_find(line, STR("BAD"));
    str_cut(&rest, '\n', &line);
    assert_int_equal(str_find(line, STR("^")), shown);
    assert_int_equal(str_find(line, STR("a")), -1);
    assert_true(line.n < 180);
    buf_free(&b);
}

static void diag_window_cuts_between_characters(void **state)
{
    struct diags *d = diags_of(state);
    struct buf line = {.limit = 10000}, b = {.limit = 100000};
    for (int i = 0; i < 300; i++) {
        buf_put_str(&line, STR("\xe4\xb8\xad")); /* two columns wide */
    }
    diags_add_source(d, STR("f"), buf_str(&line));
    for (uint32_t at = 0; at < 900; at += 50) { /* now and then inside of a character */
        diags_init(d, d->arena);
        diags_add_source(d, STR("f"), buf_str(&line));
        diag_error(d, "c", (struct span){1, at, at + 1}, "m");
        buf_clear(&b);
        diags_render(d, false, &b);
        assert_true(str_is_utf8(buf_str(&b)));
        assert_null(strstr(b.s, "\\x"));
        assert_non_null(strstr(b.s, at % 3 ? "^" : "^~\n"));
    }
    buf_free(&line);
    buf_free(&b);
}

static void diags_are_sorted_by_place_and_else_by_age(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("f"), STR("ab"));
    diags_add_source(d, STR("g"), STR("c"));
    diag_error(d, "c", (struct span){2, 0, 0}, "in g");
    diag_error(d, "c", (struct span){1, 1, 1}, "at b");
    diag_error(d, "c", (struct span){1, 0, 0}, "at a, first");
    diag_error(d, "c", SPAN_NONE, "nowhere, first");
    diag_error(d, "c", (struct span){1, 0, 0}, "at a, second");
    diag_error(d, "c", SPAN_NONE, "nowhere, second");
    assert_rendered(d, "pawl: error: nowhere, first\n"
                       "pawl: error: nowhere, second\n"
                       "f:1:1: error: at a, first\n    ab\n    ^\n"
                       "f:1:1: error: at a, second\n    ab\n    ^\n"
                       "f:1:2: error: at b\n    ab\n     ^\n"
                       "g:1:1: error: in g\n    c\n    ^\n");
}

static void diag_notes_have_places_of_their_own(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("f"), STR("let a = 1\nlet a = 2\n"));
    struct diag *x = diag_error(d, "twice", (struct span){1, 14, 15}, "'a' is defined twice");
    diag_note(d, x, (struct span){1, 4, 5}, "the first is here");
    diag_note(d, x, SPAN_NONE, "while reading %d files", 2);
    assert_rendered(d, "f:2:5: error: 'a' is defined twice\n"
                       "    let a = 2\n"
                       "        ^\n"
                       "f:1:5: note: the first is here\n"
                       "    let a = 1\n"
                       "        ^\n"
                       "  note: while reading 2 files\n");
}

static void diags_beyond_the_limit_are_counted(void **state)
{
    struct diags *d = diags_of(state);
    for (int i = 0; i < DIAG_LIMIT + 30; i++) {
        struct diag *x = diag_error(d, "c", SPAN_NONE, "number %d", i);
        diag_help(d, x, "none");
        diag_note(d, x, SPAN_NONE, "none");
    }
    assert_int_equal(d->all.n, DIAG_LIMIT);
    assert_int_equal(d->dropped, 30);
    assert_int_equal(d->errors, DIAG_LIMIT + 30);
    struct buf b = {.limit = 100000};
    diags_render(d, false, &b);
    assert_non_null(strstr(b.s, "number 19\n"));
    assert_null(strstr(b.s, "number 20\n"));
    assert_true(str_ends(buf_str(&b), STR("pawl: and 110 more\n")));
    buf_free(&b);
}

static void diags_merge_copies_and_drops_foreign_places(void **state)
{
    struct diags *d = diags_of(state);
    struct arena other = {0};
    struct diags from;
    diags_init(&from, &other);
    diags_add_source(&from, STR("elsewhere"), STR("text"));
    struct diag *x = diag_error(&from, "c", (struct span){1, 0, 4}, "it broke");
    diag_help(&from, x, "mend it");
    diag_note(&from, x, SPAN_NONE, "so it is");
    diag_warning(&from, "w", SPAN_NONE, "careful");
    diags_merge(d, &from);
    arena_free(&other);
    assert_int_equal(d->errors, 1);
    assert_int_equal(d->warnings, 1);
    assert_rendered(d, "pawl: error: it broke\n"
                       "  note: so it is\n"
                       "  help: mend it\n"
                       "pawl: warning: careful\n");
}

static void diags_merge_counts_what_was_dropped(void **state)
{
    struct diags *d = diags_of(state);
    struct diags from;
    diags_init(&from, d->arena);
    for (int i = 0; i < DIAG_LIMIT + 5; i++) {
        diag_error(&from, "c", SPAN_NONE, "m");
    }
    diag_error(d, "c", SPAN_NONE, "m");
    diags_merge(d, &from);
    assert_int_equal(d->all.n, DIAG_LIMIT);
    assert_int_equal(d->dropped, 6);
    assert_int_equal(d->errors, DIAG_LIMIT + 6);
}

static void diags_merge_keeps_places_of_shared_sources(void **state)
{
    struct diags *d = diags_of(state);
    struct str text = STR("text");
    diags_add_source(d, STR("f"), text);
    struct diags from;
    diags_init(&from, d->arena);
    diags_add_source(&from, STR("f"), text);
    diag_error(&from, "c", (struct span){1, 1, 2}, "m");
    diags_merge(d, &from);
    assert_rendered(d, "f:1:2: error: m\n    text\n     ^\n");
}

static void diag_text_cannot_steer_the_terminal(void **state)
{
    struct diags *d = diags_of(state);
    diag_error(d, "c", SPAN_NONE, "no '\033[2J'");
    assert_rendered(d, "pawl: error: no '\\x1b[2J'\n");
}

static void diag_in_color_says_the_same(void **state)
{
    struct diags *d = diags_of(state);
    diags_add_source(d, STR("f"), STR("ab"));
    diag_help(d, diag_error(d, "c", (struct span){1, 0, 2}, "m"), "h");
    struct buf b = {.limit = 10000}, plain = {.limit = 10000};
    diags_render(d, true, &b);
    for (size_t i = 0; i < b.n; i++) {
        if (b.s[i] == '\033') {
            i = (size_t)(strchr(b.s + i, 'm') - b.s);
        } else {
            buf_put_char(&plain, b.s[i]);
        }
    }
    assert_true(plain.n < b.n);
    assert_string_equal(plain.s, "f:1:1: error: m\n    ab\n    ^~\n  help: h\n");
    buf_free(&b);
    buf_free(&plain);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(diag_shows_the_line_with_a_caret),
        TEST(diag_without_a_place_speaks_for_pawl),
        TEST(diag_of_a_source_without_text_names_the_path),
        TEST(diag_errno_says_the_reason),
        TEST(diag_keeps_tabs_aligned),
        TEST(diag_counts_characters_and_shows_their_width),
        TEST(diag_of_several_lines_is_shown_on_the_first),
        TEST(diag_at_the_end_stands_behind_the_last_line),
        TEST(diag_on_an_empty_line),
        TEST(diag_of_a_long_line_shows_a_window),
        TEST(diag_window_cuts_between_characters),
        TEST(diags_are_sorted_by_place_and_else_by_age),
        TEST(diag_notes_have_places_of_their_own),
        TEST(diags_beyond_the_limit_are_counted),
        TEST(diags_merge_copies_and_drops_foreign_places),
        TEST(diags_merge_counts_what_was_dropped),
        TEST(diags_merge_keeps_places_of_shared_sources),
        TEST(diag_text_cannot_steer_the_terminal),
        TEST(diag_in_color_says_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
