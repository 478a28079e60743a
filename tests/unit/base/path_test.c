/* SPDX-License-Identifier: MIT */
/* Paths as text. */
#include "core/base/path.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_str(struct str got, const char *want)
{
    struct arena a = {0};
    assert_string_equal(str_c(&a, got), want);
    arena_free(&a);
}

static void normal(const char *path, const char *want)
{
    struct arena a = {0};
    struct str got;
    if (want) {
        assert_true(path_normalise(&a, str_from(path), &got));
        assert_str(got, want);
    } else {
        assert_false(path_normalise(&a, str_from(path), &got));
    }
    arena_free(&a);
}

static void path_normal_form_is_short(void **state)
{
    (void)state;
    normal("", ".");
    normal(".", ".");
    normal("./", ".");
    normal("a", "a");
    normal("./a//b/./c/", "a/b/c");
    normal("a/../b", "b");
    normal("a/b/..", "a");
    normal("a/..", ".");
    normal("a/b/../../c", "c");
    normal("..a/b..", "..a/b..");
    normal("...", "...");
}

static void path_that_leaves_the_workspace_is_refused(void **state)
{
    (void)state;
    normal("..", NULL);
    normal("a/../..", NULL);
    normal("../a", NULL);
    normal("/a", NULL);
    normal("/", NULL);
    struct arena a = {0};
    struct str got;
    assert_false(path_normalise(&a, STR("a\0b"), &got));
    arena_free(&a);
}

static void path_parts_are_cut(void **state)
{
    (void)state;
    assert_str(path_dirname(STR("a")), ".");
    assert_str(path_dirname(STR("a/b/c")), "a/b");
    assert_str(path_dirname(STR("a/b/")), "a");
    assert_str(path_dirname(STR("/a")), "/");
    assert_str(path_dirname(STR("/")), "/");
    assert_str(path_dirname(STR("")), ".");
    assert_str(path_basename(STR("a")), "a");
    assert_str(path_basename(STR("a/b.c")), "b.c");
    assert_str(path_basename(STR("a/b/")), "b");
    assert_str(path_basename(STR("/")), "/");
}

static void path_parts_are_joined(void **state)
{
    (void)state;
    struct arena a = {0};
    assert_str(path_join(&a, STR("."), STR("b")), "b");
    assert_str(path_join(&a, STR("a"), STR("b/c")), "a/b/c");
    assert_str(path_join(&a, STR("/"), STR("b")), "/b");
    assert_str(path_join(&a, STR("a"), STR("/b")), "/b");
    assert_str(path_join(&a, STR("a"), STR(".")), "a");
    arena_free(&a);
}

static void relative(const char *from, const char *path, const char *want)
{
    struct arena a = {0};
    assert_str(path_relative(&a, str_from(from), str_from(path)), want);
    arena_free(&a);
}

static void path_is_seen_from_a_folder(void **state)
{
    (void)state;
    relative("a/b", "a/c/d", "../c/d");
    relative(".", "a/b", "a/b");
    relative("a", ".", "..");
    relative("a/b", "a", "..");
    relative("a", "a", ".");
    relative(".", ".", ".");
    relative("a", "ab", "../ab");
    relative("a", "a/b", "b");
    relative("a/b/c", "x", "../../../x");
}

static void path_below_is_strict(void **state)
{
    (void)state;
    assert_true(path_is_below(STR("a/b"), STR("a")));
    assert_true(path_is_below(STR("a"), STR(".")));
    assert_false(path_is_below(STR("a"), STR("a")));
    assert_false(path_is_below(STR("ab"), STR("a")));
    assert_false(path_is_below(STR("."), STR(".")));
    assert_false(path_is_below(STR("a"), STR("a/b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(path_normal_form_is_short),
        cmocka_unit_test(path_that_leaves_the_workspace_is_refused),
        cmocka_unit_test(path_parts_are_cut),
        cmocka_unit_test(path_parts_are_joined),
        cmocka_unit_test(path_is_seen_from_a_folder),
        cmocka_unit_test(path_below_is_strict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
