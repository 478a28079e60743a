/* SPDX-License-Identifier: MIT */
/* Masking, at every way of cutting the input into reads, and the log's limit. */
#include "core/base/file.h"
#include "core/run/joblog.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct str secrets[] = {
    {"hunter2", 7}, {"", 0}, {"hunter2-long", 12}, {"abab", 4}, {"ba-x", 4}, {"two\nlines", 9},
};
enum { SECRETS = sizeof secrets / sizeof *secrets };

/* All cuts into two, and single bytes. */
static void assert_masked(const char *text, const char *want)
{
    size_t n = strlen(text);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        struct joblog l;
        struct buf got;
        buf_init(&got, 1 << 20);
        joblog_init(&l, NULL, 1 << 20);
        joblog_mask(&l, secrets, SECRETS);
        if (cut <= n) {
            buf_put_str(&got, joblog_put(&l, text, cut));
            buf_put_str(&got, joblog_put(&l, text + cut, n - cut));
        } else {
            for (size_t i = 0; i < n; i++) {
                buf_put_str(&got, joblog_put(&l, text + i, 1));
            }
        }
        buf_put_str(&got, joblog_end(&l));
        buf_put_char(&got, '\0');
        assert_string_equal(got.s, want);
        buf_free(&got);
        joblog_free(&l);
    }
}

static void joblog_masks_across_reads(void **state)
{
    (void)state;
    assert_masked("the word is hunter2.\n", "the word is ***.\n");
    assert_masked("hunter2", "***");
    assert_masked("hunterhunter2hunter", "hunter***hunter");
    assert_masked("nothing here: hunter, hunte2", "nothing here: hunter, hunte2");
    assert_masked("", "");
}

static void joblog_masks_the_longest_and_what_overlaps(void **state)
{
    (void)state;
    assert_masked("hunter2-long!", "***!");
    assert_masked("hunter2-lon!", "***-lon!");
    assert_masked("hunter2-lon", "***-lon");
    assert_masked("ababab", "***");
    assert_masked("abab-x", "***-x");
    assert_masked("abababa-x!", "***!");
    assert_masked("abababab.", "***.");
    assert_masked("abab abab", "*** ***");
    assert_masked("a two\nlines b", "a *** b");
}

static void joblog_without_secrets_holds_nothing_back(void **state)
{
    (void)state;
    struct joblog l;
    joblog_init(&l, NULL, 1 << 20);
    struct str x = joblog_put(&l, "a\0b", 3);
    assert_int_equal(x.n, 3);
    assert_int_equal(joblog_end(&l).n, 0);
    joblog_free(&l);
}

static void joblog_is_made_with_the_first_byte_and_cut_at_its_limit(void **state)
{
    (void)state;
    char dir[] = "/tmp/pawl-joblog-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/log", dir);
    struct arena a = {0};
    struct str text;
    struct joblog l;
    joblog_init(&l, path, 10);
    joblog_put(&l, "", 0);
    assert_int_equal(access(path, F_OK), -1);
    joblog_put(&l, "1234567", 7);
    assert_true(file_read_quiet(&a, FILE_CWD, str_from(path), 1000, &text));
    assert_string_equal(text.s, "1234567");
    assert_int_equal(file_stat(FILE_CWD, str_from(path), true).mode & 0777, 0600);
    assert_false(l.cut);
    joblog_put(&l, "89abcdef", 8);
    joblog_put(&l, "more", 4);
    joblog_end(&l);
    joblog_free(&l);
    assert_true(l.cut);
    assert_true(file_read_quiet(&a, FILE_CWD, str_from(path), 1000, &text));
    assert_string_equal(text.s, "123456789a\n[pawl: the log is cut here, at its limit of 10B]\n");
    assert_true(file_remove_tree(FILE_CWD, str_from(dir)));
    arena_free(&a);
}

static void joblog_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    struct joblog l;
    joblog_init(&l, "/proc/no/log", 10);
    assert_int_equal(joblog_put(&l, "a", 1).n, 1);
    assert_int_equal(l.error, ENOENT);
    assert_int_equal(joblog_put(&l, "b", 1).n, 1);
    joblog_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joblog_masks_across_reads),
        cmocka_unit_test(joblog_masks_the_longest_and_what_overlaps),
        cmocka_unit_test(joblog_without_secrets_holds_nothing_back),
        cmocka_unit_test(joblog_is_made_with_the_first_byte_and_cut_at_its_limit),
        cmocka_unit_test(joblog_that_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
