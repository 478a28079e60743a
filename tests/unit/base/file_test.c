/* SPDX-License-Identifier: MIT */
/* Files, folders, locks and signatures, in a folder of this test's own. */
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct box {
    char path[64];
    int dir;
    struct arena arena;
};

static int set_up(void **state)
{
    struct box *b = test_calloc(1, sizeof *b);
    snprintf(b->path, sizeof b->path, "/tmp/pawl-file-XXXXXX");
    assert_non_null(mkdtemp(b->path));
    b->dir = open(b->path, O_RDONLY | O_DIRECTORY);
    assert_true(b->dir >= 0);
    arena_init(&b->arena);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct box *b = *state;
    assert_true(file_remove_tree(FILE_CWD, str_from(b->path)));
    struct file_sig gone = file_stat(FILE_CWD, str_from(b->path), false);
    assert_false(file_sig_exists(&gone));
    close(b->dir);
    arena_free(&b->arena);
    test_free(b);
    return 0;
}

static void put(const struct box *b, const char *path, const char *text)
{
    assert_true(file_make_parents(b->dir, str_from(path), 0777));
    assert_true(file_write(b->dir, str_from(path), str_from(text), 0666, false));
}

static void assert_text(struct box *b, const char *path, const char *text)
{
    struct str got;
    assert_true(file_read_quiet(&b->arena, b->dir, str_from(path), 1 << 20, &got));
    assert_int_equal(got.n, strlen(text));
    assert_memory_equal(got.s, text, got.n + 1);
}

static void file_written_is_read_back(void **state)
{
    struct box *b = *state;
    assert_true(file_write(b->dir, STR("a"), STR("one"), 0640, true));
    assert_text(b, "a", "one");
    assert_true(file_write(b->dir, STR("a"), STR(""), 0640, false));
    assert_text(b, "a", "");
    struct file_entry *entries;
    uint32_t count;
    assert_true(file_list(&b->arena, b->dir, STR("."), &entries, &count));
    assert_int_equal(count, 1); /* no temporary file is left */
}

static void file_of_unknown_size_is_read_to_its_end(void **state)
{
    struct box *b = *state;
    struct str got;
    assert_true(file_read_quiet(&b->arena, FILE_CWD, STR("/proc/self/maps"), 1 << 22, &got));
    assert_true(got.n > 1000);
    assert_true(str_ends(got, STR("\n")));
}

static void file_read_tells_what_is_wrong(void **state)
{
    struct box *b = *state;
    struct str got;
    put(b, "big", "12345");
    assert_true(file_read_quiet(&b->arena, b->dir, STR("big"), 5, &got));
    assert_false(file_read_quiet(&b->arena, b->dir, STR("big"), 4, &got));
    assert_int_equal(errno, EFBIG);
    assert_false(file_read_quiet(&b->arena, b->dir, STR("."), 10, &got));
    assert_int_equal(errno, EISDIR);
    assert_int_equal(mkfifoat(b->dir, "fifo", 0600), 0);
    assert_false(file_read_quiet(&b->arena, b->dir, STR("fifo"), 10, &got));
    assert_int_equal(errno, EINVAL);
    assert_false(file_read_quiet(&b->arena, b->dir, STR("a\0b"), 10, &got));
    assert_int_equal(errno, EINVAL);

    struct diags d;
    diags_init(&d, &b->arena);
    assert_false(file_read(&b->arena, b->dir, STR("none"), 10, &got, &d));
    assert_int_equal(d.errors, 1);
    assert_string_equal(d.all.at[0].code, "cannot-read");
    assert_string_equal(str_c(&b->arena, d.all.at[0].message),
                        "cannot read 'none': No such file or directory");
}

static void file_write_that_fails_leaves_the_old_one(void **state)
{
    struct box *b = *state;
    assert_int_equal(mkdirat(b->dir, "folder", 0777), 0);
    assert_false(file_write(b->dir, STR("folder"), STR("x"), 0666, false));
    assert_false(file_write(b->dir, STR("no/such"), STR("x"), 0666, false));
    struct file_entry *entries;
    uint32_t count;
    assert_true(file_list(&b->arena, b->dir, STR("."), &entries, &count));
    assert_int_equal(count, 1);
}

static void file_signature_follows_content_and_mode(void **state)
{
    struct box *b = *state;
    put(b, "a", "one");
    struct file_sig first = file_stat(b->dir, STR("a"), true);
    struct file_sig again = file_stat(b->dir, STR("a"), true);
    assert_true(file_sig_exists(&first) && file_sig_eq(&first, &again));
    assert_int_equal(first.size, 3);
    put(b, "a", "two");
    again = file_stat(b->dir, STR("a"), true);
    assert_false(file_sig_eq(&first, &again));

    struct file_sig none = file_stat(b->dir, STR("none"), true);
    assert_false(file_sig_exists(&none));
    assert_int_equal(none.error, 0);
    none = file_stat(b->dir, STR("a/below"), true);
    assert_int_equal(none.error, 0);
    assert_int_equal(symlinkat("loop", b->dir, "loop"), 0);
    none = file_stat(b->dir, STR("loop"), true);
    assert_int_equal(none.error, ELOOP);
    assert_true(S_ISLNK(file_stat(b->dir, STR("loop"), false).mode));
    struct file_sig dir = file_stat(b->dir, STR("."), true);
    assert_true(file_sig_is_dir(&dir));
}

static void file_signature_is_racy_only_within_the_clocks_tick(void **state)
{
    struct box *b = *state;
    put(b, "a", "one");
    struct file_sig sig = file_stat(b->dir, STR("a"), true);
    assert_true(file_sig_is_racy(&sig, sig.ctime_ns));
    assert_true(file_sig_is_racy(&sig, sig.ctime_ns - 5));
    assert_false(file_sig_is_racy(&sig, sig.ctime_ns + 100000000));
    sig.ctime_ns -= sig.ctime_ns % 1000000000; /* a file system that counts seconds */
    assert_true(file_sig_is_racy(&sig, sig.ctime_ns + 1900000000));
    assert_false(file_sig_is_racy(&sig, sig.ctime_ns + 2100000000));
    sig.mtime_ns += 86400LL * 1000000000; /* set by hand, and says nothing */
    assert_false(file_sig_is_racy(&sig, sig.ctime_ns + 2100000000));
}

static void file_folders_are_made_and_removed(void **state)
{
    struct box *b = *state;
    assert_true(file_make_dirs(b->dir, STR("x/y/z"), 0777));
    assert_true(file_make_dirs(b->dir, STR("x/y/z"), 0777));
    assert_true(file_make_dirs(b->dir, STR("x/y/w/"), 0777));
    put(b, "x/y/f", "");
    assert_false(file_make_dirs(b->dir, STR("x/y/f"), 0777));
    assert_int_equal(errno, ENOTDIR);
    assert_false(file_make_dirs(b->dir, STR("x/y/f/g"), 0777));
    assert_true(file_make_parents(b->dir, STR("plain"), 0777));

    put(b, "kept/file", "text");
    char target[128];
    snprintf(target, sizeof target, "%s/kept", b->path);
    assert_int_equal(symlinkat(target, b->dir, "x/y/link"), 0);
    assert_int_equal(fchmodat(b->dir, "x/y/z", 0, 0), 0);
    assert_int_equal(fchmodat(b->dir, "x/y", 0500, 0), 0);
    assert_true(file_remove_tree(b->dir, STR("x")));
    struct file_sig gone = file_stat(b->dir, STR("x"), false);
    assert_false(file_sig_exists(&gone));
    assert_text(b, "kept/file", "text");

    assert_true(file_remove_tree(b->dir, STR("x")));
    assert_true(file_remove_tree(b->dir, STR("kept/file")));
    assert_true(file_remove_tree(b->dir, STR("kept/file/below")));
    assert_true(file_remove(b->dir, STR("kept")));
    assert_true(file_remove(b->dir, STR("kept")));
    put(b, "full/file", "");
    assert_false(file_remove(b->dir, STR("full")));
    assert_int_equal(errno, ENOTEMPTY);
    assert_true(file_remove(b->dir, STR("full/file")));
}

static void file_copy_has_bytes_and_mode(void **state)
{
    struct box *b = *state;
    size_t n = 300000;
    char *bytes = ARENA_ARRAY(&b->arena, char, n);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    struct str text = {bytes, n};
    struct str got;
    assert_true(file_write(b->dir, STR("a"), text, 0600, false));
    assert_true(file_copy(b->dir, STR("a"), b->dir, STR("b"), 0751));
    assert_true(file_read_quiet(&b->arena, b->dir, STR("b"), n, &got));
    assert_true(str_eq(text, got));
    assert_int_equal(file_stat(b->dir, STR("b"), true).mode & 07777, 0751);
    assert_true(file_copy(b->dir, STR("a"), b->dir, STR("c"), 0));
    assert_int_equal(file_stat(b->dir, STR("c"), true).mode & 07777, 0600);

    assert_false(file_copy(b->dir, STR("a"), b->dir, STR("b"), 0600));
    assert_int_equal(errno, EEXIST);
    assert_false(file_copy(b->dir, STR("none"), b->dir, STR("d"), 0600));
    assert_false(file_copy(b->dir, STR("."), b->dir, STR("d"), 0600));
    assert_int_equal(errno, EISDIR);
    /* No copy in the kernel: another file system, of files without a size. */
    assert_true(file_copy(FILE_CWD, STR("/proc/self/stat"), b->dir, STR("d"), 0600));
    assert_true(file_stat(b->dir, STR("d"), true).size > 0);
}

static void file_lock_is_held_by_one(void **state)
{
    struct box *b = *state;
    struct file_lock first;
    struct file_lock second;
    int holder;
    assert_int_equal(file_lock_open(&first, b->dir, STR("lock"), false, &holder), FILE_LOCK_HELD);
    assert_int_equal(file_lock_open(&second, b->dir, STR("lock"), false, &holder), FILE_LOCK_BUSY);
    assert_int_equal(holder, getpid());
    assert_int_equal(second.fd, -1);
    file_lock_close(&first);
    file_lock_close(&first);
    assert_int_equal(file_lock_open(&second, b->dir, STR("lock"), true, &holder), FILE_LOCK_HELD);
    file_lock_close(&second);
    assert_int_equal(file_lock_open(&second, b->dir, STR("no/lock"), true, &holder),
                     FILE_LOCK_ERROR);
}

static void file_lock_waits_for_its_holder(void **state)
{
    struct box *b = *state;
    struct file_lock lock;
    int holder;
    assert_int_equal(file_lock_open(&lock, b->dir, STR("lock"), false, &holder), FILE_LOCK_HELD);
    pid_t child = fork();
    if (child == 0) {
        close(lock.fd);
        bool ok = file_lock_open(&lock, b->dir, STR("lock"), true, &holder) == FILE_LOCK_HELD;
        struct file_sig sign = file_stat(b->dir, STR("released"), true);
        _exit(ok && file_sig_exists(&sign) ? 0 : 1);
    }
    usleep(50000);
    put(b, "released", "");
    file_lock_close(&lock);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void file_list_is_sorted_and_typed(void **state)
{
    struct box *b = *state;
    put(b, "b", "");
    put(b, "B", "");
    put(b, "a/x", "");
    put(b, ".hidden", "");
    assert_int_equal(symlinkat("nowhere", b->dir, "link"), 0);
    struct file_entry *entries;
    uint32_t count;
    assert_true(file_list(&b->arena, b->dir, STR("."), &entries, &count));
    assert_int_equal(count, 5);
    const char *names[] = {".hidden", "B", "a", "b", "link"};
    const uint8_t types[] = {DT_REG, DT_REG, DT_DIR, DT_REG, DT_LNK};
    for (uint32_t i = 0; i < count; i++) {
        assert_true(str_eq(entries[i].name, str_from(names[i])));
        assert_int_equal(entries[i].type, types[i]);
    }
    assert_false(file_list(&b->arena, b->dir, STR("b"), &entries, &count));
    assert_int_equal(errno, ENOTDIR);
}

static void file_kill_point_ends_the_nth_write(void **state)
{
    struct box *b = *state;
    pid_t child = fork();
    if (child == 0) {
        setenv("PAWL_TEST_KILL_AT", "4", 1);
        file_write(b->dir, STR("first"), STR("1"), 0666, true);
        file_write(b->dir, STR("second"), STR("2"), 0666, true);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_text(b, "first", "1");
    struct file_sig second = file_stat(b->dir, STR("second"), true);
    assert_false(file_sig_exists(&second));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(file_written_is_read_back),
        CASE(file_of_unknown_size_is_read_to_its_end),
        CASE(file_read_tells_what_is_wrong),
        CASE(file_write_that_fails_leaves_the_old_one),
        CASE(file_signature_follows_content_and_mode),
        CASE(file_signature_is_racy_only_within_the_clocks_tick),
        CASE(file_folders_are_made_and_removed),
        CASE(file_copy_has_bytes_and_mode),
        CASE(file_lock_is_held_by_one),
        CASE(file_lock_waits_for_its_holder),
        CASE(file_list_is_sorted_and_typed),
        CASE(file_kill_point_ends_the_nth_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
