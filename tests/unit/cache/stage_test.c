/* SPDX-License-Identifier: MIT */
/* Several paths appear together, and a failure takes back what was done. */
#include "cache/stage.h"
#include "sandbox.h"

static void stage_text(struct sandbox *s, struct stage *stage, const char *path, const char *text)
{
    struct str temp;
    assert_true(stage_add(stage, str_from(path), false, &temp));
    int fd = stage_make_file(stage, temp, 0644);
    assert_true(fd >= 0);
    assert_true(file_write_all(fd, text, strlen(text)));
    close(fd);
    sandbox_expect(s, str_c(&s->arena, temp), text, strlen(text));
}

static void stage_all_appear(void **state)
{
    struct sandbox *s = *state;
    struct stage stage;
    stage_init(&stage, s->root, &s->arena);
    sandbox_text(s, "old", "old");
    stage_text(s, &stage, "old", "new");
    stage_text(s, &stage, "some/where/new", "new");
    sandbox_expect(s, "old", "old", 3);
    assert_true(stage_commit(&stage));
    stage_end(&stage);
    sandbox_expect(s, "old", "new", 3);
    sandbox_expect(s, "some/where/new", "new", 3);
    assert_int_equal(sandbox_count(s, "work"), 2);
    assert_int_equal(sandbox_count(s, "work/some/where"), 1);
}

static void stage_nothing_remains_without_commit(void **state)
{
    struct sandbox *s = *state;
    struct stage stage;
    stage_init(&stage, s->root, &s->arena);
    sandbox_text(s, "old", "old");
    stage_text(s, &stage, "old", "new");
    stage_text(s, &stage, "new", "new");
    stage_end(&stage);
    sandbox_expect(s, "old", "old", 3);
    assert_int_equal(sandbox_count(s, "work"), 1);
}

/* The third has no temporary: what the first two did is undone. */
static void stage_failure_takes_all_back(void **state)
{
    struct sandbox *s = *state;
    struct stage stage;
    struct str temp;
    stage_init(&stage, s->root, &s->arena);
    sandbox_text(s, "a", "old");
    stage_text(s, &stage, "a", "new");
    stage_text(s, &stage, "b", "new");
    assert_true(stage_add(&stage, STR("c"), false, &temp));
    assert_false(stage_commit(&stage));
    assert_true(str_eq(stage.failed, STR("c")));
    stage_end(&stage);
    sandbox_expect(s, "a", "old", 3);
    assert_int_equal(sandbox_count(s, "work"), 1);
}

/* A build that was killed half-way leaves temporaries; the next one takes their names. */
static void stage_leftovers_are_cleared(void **state)
{
    struct sandbox *s = *state;
    struct stage killed, stage;
    stage_init(&killed, s->root, &s->arena);
    sandbox_text(s, "a", "old");
    stage_text(s, &killed, "a", "half");
    struct str temp;
    assert_true(stage_add(&killed, STR("d"), true, &temp));
    struct str below = path_join(&s->arena, temp, STR("sub/x"));
    sandbox_text(s, str_c(&s->arena, below), "half");
    assert_int_equal(sandbox_count(s, "work"), 3);
    stage_init(&stage, s->root, &s->arena);
    stage_text(s, &stage, "a", "new");
    stage_text(s, &stage, "d", "new");
    assert_true(stage_commit(&stage));
    stage_end(&stage);
    sandbox_expect(s, "a", "new", 3);
    sandbox_expect(s, "d", "new", 3);
    assert_int_equal(sandbox_count(s, "work"), 2);
}

static void stage_parent_that_is_a_file_fails(void **state)
{
    struct sandbox *s = *state;
    struct stage stage;
    struct str temp;
    stage_init(&stage, s->root, &s->arena);
    sandbox_text(s, "file", "x");
    assert_true(stage_add(&stage, STR("file/below"), false, &temp));
    assert_int_equal(stage_make_file(&stage, temp, 0644), -1);
    assert_int_equal(errno, ENOTDIR);
    assert_int_equal(stage_make_folder(&stage, temp, 0755), -1);
    stage_end(&stage);
    sandbox_expect(s, "file", "x", 1);
}

/* A folder above it that was a link to nowhere, and one that may not be written to. */
static void stage_says_why_a_folder_cannot_be_used(void **state)
{
    struct sandbox *s = *state;
    struct stage stage;
    struct str temp;
    stage_init(&stage, s->root, &s->arena);
    assert_int_equal(symlinkat("nowhere", s->root, "link"), 0);
    assert_true(stage_add(&stage, STR("link/below"), false, &temp));
    assert_int_equal(stage_make_file(&stage, temp, 0644), -1);
    assert_int_equal(errno, EEXIST);
    if (geteuid() != 0) {
        assert_int_equal(mkdirat(s->root, "closed", 0555), 0);
        assert_true(stage_add(&stage, STR("closed/below"), false, &temp));
        assert_int_equal(stage_make_file(&stage, temp, 0644), -1);
        assert_int_equal(errno, EACCES);
    }
    stage_end(&stage);
    assert_false(sandbox_has(s, "nowhere"));
}

/* What stood there comes back when a later one fails, whatever it was. */
static void stage_gives_back_what_stood_there(void **state)
{
    struct sandbox *s = *state;
    struct stage stage;
    struct str temp;
    char target[16];
    stage_init(&stage, s->root, &s->arena);
    sandbox_text(s, "folder/x", "old");
    assert_int_equal(symlinkat("folder/x", s->root, "link"), 0);
    stage_text(s, &stage, "absent", "new");
    assert_true(stage_add(&stage, STR("folder"), true, &temp));
    int fd = stage_make_folder(&stage, temp, 0700);
    assert_true(fd >= 0);
    close(fd);
    stage_text(s, &stage, "link", "new");
    assert_true(stage_add(&stage, STR("z"), false, &temp)); /* and is never made */
    assert_false(stage_commit(&stage));
    stage_end(&stage);
    sandbox_expect(s, "folder/x", "old", 3);
    assert_int_equal(readlinkat(s->root, "link", target, sizeof target), 8);
    assert_int_equal(sandbox_count(s, "work"), 2);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_begin, sandbox_end)
    const struct CMUnitTest tests[] = {
        TEST(stage_all_appear),
        TEST(stage_nothing_remains_without_commit),
        TEST(stage_failure_takes_all_back),
        TEST(stage_leftovers_are_cleared),
        TEST(stage_parent_that_is_a_file_fails),
        TEST(stage_says_why_a_folder_cannot_be_used),
        TEST(stage_gives_back_what_stood_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
