/* SPDX-License-Identifier: MIT */
/* Patterns: each is held against a small tree on disk, and against its paths as text. */
#include "core/base/file.h"
#include "core/base/glob.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const files[] = {
    "a.csv",
    "b.csv",
    "a.txt",
    ".hidden.csv",
    "data/1.csv",
    "data/2.csv",
    "data/.x/3.csv",
    "data/in/4.csv",
    "data/in/deep/5.csv",
    ".pawl/state.csv",
    "data/.pawl/6.csv",
    "dt=01/part-0",
    "dt=02/part-0",
    "odd[1]*.csv",
    "\xc3\xa9t\xc3\xa9.csv",
};

struct box {
    char path[64];
    int dir;
};

static int set_up(void **state)
{
    struct box *b = test_calloc(1, sizeof *b);
    snprintf(b->path, sizeof b->path, "/tmp/pawl-glob-XXXXXX");
    assert_non_null(mkdtemp(b->path));
    b->dir = open(b->path, O_RDONLY | O_DIRECTORY);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_true(file_make_parents(b->dir, str_from(files[i]), 0777));
        assert_true(file_write(b->dir, str_from(files[i]), STR(""), 0666, false));
    }
    assert_int_equal(symlinkat("data", b->dir, "link"), 0);
    assert_int_equal(symlinkat("../data", b->dir, "data/loop"), 0);
    assert_int_equal(symlinkat("nowhere", b->dir, "broken.csv"), 0);
    assert_int_equal(symlinkat("a.csv", b->dir, "same.csv"), 0);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct box *b = *state;
    close(b->dir);
    assert_true(file_remove_tree(FILE_CWD, str_from(b->path)));
    test_free(b);
    return 0;
}

/* want: the results, joined with one blank. */
static void glob(const struct box *b, const char *pattern, const char *want)
{
    struct arena a = {0};
    struct str *got;
    uint32_t count;
    const char *reason;
    assert_true(file_glob(&a, b->dir, str_from(pattern), &got, &count, &reason));
    struct buf text;
    buf_init(&text, 4096);
    buf_put_str(&text, STR(""));
    for (uint32_t i = 0; i < count; i++) {
        buf_printf(&text, "%s%.*s", i ? " " : "", STR_ARG(got[i]));
        assert_true(path_matches(str_from(pattern), got[i]));
    }
    assert_string_equal(text.s, want);
    buf_free(&text);
    arena_free(&a);
}

static void glob_star_stays_in_a_name(void **state)
{
    struct box *b = *state;
    glob(b, "*.csv", "a.csv b.csv odd[1]*.csv same.csv \xc3\xa9t\xc3\xa9.csv");
    glob(b, "data/*.csv", "data/1.csv data/2.csv");
    glob(b, "*/*.csv", "data/1.csv data/2.csv link/1.csv link/2.csv");
    glob(b, "*", "a.csv a.txt b.csv odd[1]*.csv same.csv \xc3\xa9t\xc3\xa9.csv");
    glob(b, "a*v", "a.csv");
    glob(b, "*a*.*c*v*", "a.csv same.csv");
}

static void glob_double_star_spans_folders(void **state)
{
    struct box *b = *state;
    glob(b, "data/**/*.csv", "data/1.csv data/2.csv data/in/4.csv data/in/deep/5.csv");
    glob(b, "**/4.csv", "data/in/4.csv");
    glob(b, "**/deep/**/5.csv", "data/in/deep/5.csv");
    glob(b, "data/in/**", "data/in/4.csv data/in/deep/5.csv");
    glob(b, "data/**/**/in/*", "data/in/4.csv");
    glob(b, "**/a.csv", "a.csv");
    glob(b, "link/**/5.csv", "link/in/deep/5.csv");
}

static void glob_of_plain_parts_is_an_optional_file(void **state)
{
    struct box *b = *state;
    glob(b, "a.csv", "a.csv");
    glob(b, "./data//1.csv", "data/1.csv");
    glob(b, "data/../a.csv", "a.csv");
    glob(b, "none.csv", "");
    glob(b, "data", "");
    glob(b, "broken.csv", "");
    glob(b, ".hidden.csv", ".hidden.csv");
    glob(b, "data/.x/3.csv", "data/.x/3.csv");
}

static void glob_slash_means_folders(void **state)
{
    struct box *b = *state;
    glob(b, "dt=*/", "dt=01 dt=02");
    glob(b, "*/", "data dt=01 dt=02 link");
    glob(b, "data/", "data");
    glob(b, "data/**/", "data data/in data/in/deep");
    glob(b, "**/in/", "data/in");
}

static void glob_sees_hidden_names_only_when_asked(void **state)
{
    struct box *b = *state;
    glob(b, ".*", ".hidden.csv");
    glob(b, "data/.*/*.csv", "data/.x/3.csv");
    glob(b, "?hidden.csv", "");
    glob(b, "[.]hidden.csv", "");
    glob(b, ".pawl/*", "");
    glob(b, ".pawl/state.csv", "");
    glob(b, ".p*/*", "");
}

static void glob_classes_and_single_characters(void **state)
{
    struct box *b = *state;
    glob(b, "[ab].csv", "a.csv b.csv");
    glob(b, "[!a].csv", "b.csv");
    glob(b, "[a-b].t?t", "a.txt");
    glob(b, "dt=0[2-9]/*", "dt=02/part-0");
    glob(b, "?t?.csv", "\xc3\xa9t\xc3\xa9.csv");
    glob(b, "[\xc3\xa8-\xc3\xaa]t*", "\xc3\xa9t\xc3\xa9.csv");
    glob(b, "odd\\[1\\]\\*.csv", "odd[1]*.csv");
    glob(b, "odd[[]1[]][*].csv", "odd[1]*.csv");
    glob(b, "[]-]*", "");
}

static void malformed(const struct box *b, const char *pattern, const char *want)
{
    struct arena a = {0};
    struct str *got;
    uint32_t count;
    const char *reason;
    assert_false(file_glob(&a, b->dir, str_from(pattern), &got, &count, &reason));
    assert_string_equal(reason, want);
    arena_free(&a);
}

static void glob_says_what_is_malformed(void **state)
{
    struct box *b = *state;
    malformed(b, "", "it is empty");
    malformed(b, "/a", "it begins with '/'");
    malformed(b, "../*", "it leaves the workspace");
    malformed(b, "a/../../b", "it leaves the workspace");
    malformed(b, "*/../a", "a '..' behind a wildcard");
    malformed(b, "a[bc", "a '[' without its ']'");
    malformed(b, "a[]", "a '[' without its ']'");
    malformed(b, "a\\", "a '\\' with nothing behind it");
}

static void path_text_matches_as_on_disk(void **state)
{
    (void)state;
    assert_true(path_matches(STR("**/*.py"), STR("a/b/c.py")));
    assert_true(path_matches(STR("**/*.py"), STR("c.py")));
    assert_false(path_matches(STR("*.py"), STR("a/c.py")));
    assert_false(path_matches(STR("**/*.py"), STR("a/.b/c.py")));
    assert_false(path_matches(STR("**"), STR(".pawl/x")));
    assert_true(path_matches(STR("a/**/z"), STR("a/z")));
    assert_true(path_matches(STR("a/**/z"), STR("a/b/c/z")));
    assert_false(path_matches(STR("a/**/z"), STR("a/b/c/y")));
    assert_false(path_matches(STR("a["), STR("a[")));
    assert_false(path_matches(STR("a"), STR("")));
    assert_false(path_matches(STR("*/*"), STR("a/")));
}

/* The plainest thing that could be right: * as "none, or one and again", within a name of a and b. */
static bool naive(const char *p, const char *s)
{
    if (*p == '*') {
        return naive(p + 1, s) || (*s && naive(p, s + 1));
    }
    if (*p == '\0' || *s == '\0') {
        return *p == *s;
    }
    return (*p == '?' || *p == *s) && naive(p + 1, s + 1);
}

/* The same for whole paths, one character a name; D stands for **. */
static bool naive_path(const char *p, const char *s)
{
    if (*p == 'D') {
        /* The last ** stands for folders, and a name behind it. */
        return (p[1] ? naive_path(p + 1, s) : s[0] && !s[1]) || (*s && naive_path(p, s + 1));
    }
    if (*p == '\0' || *s == '\0') {
        return *p == *s;
    }
    return (*p == '?' || *p == *s) && naive_path(p + 1, s + 1);
}

/* n-th word of the alphabet, without the end; a slash between letters if wanted. */
static void spell(unsigned n, const char *alphabet, bool slashes, char out[64])
{
    unsigned base = (unsigned)strlen(alphabet);
    size_t at = 0;
    for (; n > 0; n = (n - 1) / base) {
        if (slashes && at > 0) {
            out[at++] = '/';
        }
        char c = alphabet[(n - 1) % base];
        out[at++] = c == 'D' ? '*' : c;
        if (c == 'D') {
            out[at++] = '*';
        }
    }
    out[at] = '\0';
}

static void path_matches_as_a_naive_matcher_does(void **state)
{
    (void)state;
    char pattern[64];
    char plain[64];
    char text[64];
    char flat[64];
    for (unsigned i = 1; i < 1400; i++) {
        for (unsigned k = 1; k < 128; k++) {
            spell(i, "*a?b", false, pattern);
            spell(k, "ab", false, text);
            /* ** as a whole is another thing */
            if (strcmp(pattern, "**") != 0) {
                assert_int_equal(path_matches(str_from(pattern), str_from(text)),
                                 naive(pattern, text));
            }
            spell(i, "Da?b", true, pattern);
            spell(k, "ab", true, text);
            spell(k, "ab", false, flat);
            size_t n = 0;
            for (const char *p = pattern; *p; p++) {
                bool deep = p[0] == '*' && p[1] == '*';
                plain[n] = deep ? 'D' : *p;
                n += *p != '/';
                p += deep;
            }
            plain[n] = '\0';
            assert_int_equal(path_matches(str_from(pattern), str_from(text)),
                             naive_path(plain, flat));
        }
    }
}

static void glob_of_many_stars_ends(void **state)
{
    struct box *b = *state;
    char name[201];
    memset(name, 'a', 200);
    name[200] = '\0';
    assert_false(path_matches(STR("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"), str_from(name)));
    glob(b, "**/*/**/*/**/*/**/*/**/nothing", "");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(glob_star_stays_in_a_name),
        CASE(glob_double_star_spans_folders),
        CASE(glob_of_plain_parts_is_an_optional_file),
        CASE(glob_slash_means_folders),
        CASE(glob_sees_hidden_names_only_when_asked),
        CASE(glob_classes_and_single_characters),
        CASE(glob_says_what_is_malformed),
        CASE(path_text_matches_as_on_disk),
        CASE(path_matches_as_a_naive_matcher_does),
        CASE(glob_of_many_stars_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
