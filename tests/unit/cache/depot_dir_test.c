/* SPDX-License-Identifier: MIT */
/* A folder as a depot: what is put comes back whole, lists are in order, times are the folder's own. */
#include "cache/depot_dir.h"
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

struct folder {
    char dir[64];
    struct arena arena;
    struct diags notes;
    struct depot *depot;
};

static int begin(void **state)
{
    struct folder *p = calloc(1, sizeof *p);
    snprintf(p->dir, sizeof p->dir, "/tmp/pawl-depot-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    diags_init(&p->notes, &p->arena);
    p->depot = depot_dir_open(str_from(p->dir), true, &p->notes);
    assert_non_null(p->depot);
    *state = p;
    return 0;
}

static int end(void **state)
{
    struct folder *p = *state;
    depot_close(p->depot);
    file_remove_tree(FILE_CWD, str_from(p->dir));
    arena_free(&p->arena);
    free(p);
    return 0;
}

static bool take(void *context, const void *bytes, size_t n)
{
    struct buf *b = context;
    buf_put(b, bytes, n);
    return !b->full;
}

static enum depot_answer put(struct folder *p, struct str key, struct str value, bool if_absent,
                             struct depot_reply *reply)
{
    struct depot_source source = DEPOT_PARTS(&value, 1);
    return depot_put(p->depot, key, &source, if_absent, reply);
}

static enum depot_answer get(struct folder *p, struct str key, uint64_t from, uint64_t n,
                             struct buf *out)
{
    struct depot_reply reply;
    struct depot_sink sink = {take, out};
    return depot_get(p->depot, key, (struct depot_range){from, n}, sink, &reply);
}

static uint32_t count_files(const struct folder *p, const char *folder)
{
    char name[128];
    snprintf(name, sizeof name, "%s/%s", p->dir, folder);
    DIR *d = opendir(name);
    assert_non_null(d);
    uint32_t n = 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static void put_comes_back_whole_and_in_part(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    struct str parts[] = {STR("hello "), STR("world")};
    struct depot_source source = DEPOT_PARTS(parts, 2);
    assert_int_equal(depot_put(p->depot, STR("p/x"), &source, false, &reply), DEPOT_DONE);
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(get(p, STR("p/x"), 0, DEPOT_REST, &b), DEPOT_DONE);
    assert_true(str_eq(buf_str(&b), STR("hello world")));
    buf_clear(&b);
    assert_int_equal(get(p, STR("p/x"), 6, 3, &b), DEPOT_DONE);
    assert_true(str_eq(buf_str(&b), STR("wor")));
    buf_clear(&b);
    assert_int_equal(get(p, STR("p/x"), 9, 100, &b), DEPOT_DONE);
    assert_true(str_eq(buf_str(&b), STR("ld")));
    buf_clear(&b);
    assert_int_equal(get(p, STR("p/x"), 900, DEPOT_REST, &b), DEPOT_DONE);
    assert_int_equal(b.n, 0);
    buf_free(&b);
    assert_int_equal(count_files(p, "tmp"), 0);
}

static void put_takes_an_open_file(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    assert_true(file_write(depot_dir_fd(p->depot), STR("b/src"), STR("0123456789"), 0600, false));
    int fd = openat(depot_dir_fd(p->depot), "b/src", O_RDONLY);
    struct depot_source source = {.fd = fd, .fd_bytes = 10};
    assert_int_equal(depot_put(p->depot, STR("b/dst"), &source, false, &reply), DEPOT_DONE);
    source.fd_bytes = 11; /* it is shorter than was said: nothing may appear */
    assert_int_not_equal(depot_put(p->depot, STR("b/bad"), &source, false, &reply), DEPOT_DONE);
    close(fd);
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(get(p, STR("b/dst"), 0, DEPOT_REST, &b), DEPOT_DONE);
    assert_true(str_eq(buf_str(&b), STR("0123456789")));
    assert_int_equal(get(p, STR("b/bad"), 0, DEPOT_REST, &b), DEPOT_ABSENT);
    buf_free(&b);
}

static void sink_that_has_enough_ends_the_get(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, STR("m/x"), STR("too long"), false, &reply), DEPOT_DONE);
    struct buf b;
    buf_init(&b, 4);
    assert_int_equal(get(p, STR("m/x"), 0, DEPOT_REST, &b), DEPOT_REFUSED);
    buf_free(&b);
}

static void if_absent_puts_once(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, STR("l/fp/1"), STR("one"), true, &reply), DEPOT_DONE);
    assert_true(reply.stored_ms > 0);
    assert_int_equal(put(p, STR("l/fp/1"), STR("two"), true, &reply), DEPOT_EXISTS);
    assert_int_equal(put(p, STR("l/fp/1"), STR("two"), false, &reply), DEPOT_DONE);
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(get(p, STR("l/fp/1"), 0, DEPOT_REST, &b), DEPOT_DONE);
    assert_true(str_eq(buf_str(&b), STR("two")));
    buf_free(&b);
    assert_int_equal(count_files(p, "tmp"), 0);
}

static void absent_and_dropped_say_absent(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(get(p, STR("m/x"), 0, DEPOT_REST, &b), DEPOT_ABSENT);
    assert_int_equal(depot_drop(p->depot, STR("m/x"), &reply), DEPOT_ABSENT);
    assert_int_equal(put(p, STR("m/x"), STR("v"), false, &reply), DEPOT_DONE);
    assert_int_equal(depot_drop(p->depot, STR("m/x"), &reply), DEPOT_DONE);
    assert_int_equal(get(p, STR("m/x"), 0, DEPOT_REST, &b), DEPOT_ABSENT);
    assert_int_equal(get(p, STR("m/../../x"), 0, DEPOT_REST, &b), DEPOT_REFUSED);
    buf_free(&b);
}

struct listing {
    struct buf text;
    uint32_t stop_after, n;
    int64_t newest_ms;
};

static bool note_entry(void *context, const struct depot_entry *e)
{
    struct listing *l = context;
    buf_printf(&l->text, "%.*s:%llu ", STR_ARG(e->key), (unsigned long long)e->size);
    l->newest_ms = e->stored_ms > l->newest_ms ? e->stored_ms : l->newest_ms;
    return ++l->n != l->stop_after;
}

static void expect_list(struct folder *p, struct str prefix, struct str after, struct str text)
{
    struct depot_reply reply;
    struct listing l = {0};
    buf_init(&l.text, 1000);
    struct depot_each each = {note_entry, &l};
    assert_int_equal(depot_list(p->depot, prefix, after, each, &reply), DEPOT_DONE);
    assert_string_equal(l.text.s ? l.text.s : "", text.s);
    buf_free(&l.text);
}

static void list_is_in_order_and_begins_after(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    static const char *const KEYS[] = {"m/2", "m/1", "m/10", "l/a/1", "l/a-b/1", "l/a/2"};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(put(p, str_from(KEYS[i]), STR("ab"), false, &reply), DEPOT_DONE);
    }
    expect_list(p, STR("m/"), STR(""), STR("m/1:2 m/10:2 m/2:2 "));
    expect_list(p, STR("m/"), STR("m/1"), STR("m/10:2 m/2:2 "));
    expect_list(p, STR("m/1"), STR(""), STR("m/1:2 m/10:2 "));
    expect_list(p, STR("l/"), STR(""), STR("l/a-b/1:2 l/a/1:2 l/a/2:2 "));
    expect_list(p, STR("l/a/"), STR("l/a/1"), STR("l/a/2:2 "));
    expect_list(p, STR("nothing/"), STR(""), STR(""));
}

static void list_stops_when_told(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, STR("m/1"), STR("a"), false, &reply), DEPOT_DONE);
    assert_int_equal(put(p, STR("m/2"), STR("a"), false, &reply), DEPOT_DONE);
    struct listing l = {.stop_after = 1};
    buf_init(&l.text, 1000);
    struct depot_each each = {note_entry, &l};
    assert_int_equal(depot_list(p->depot, STR("m/"), STR(""), each, &reply), DEPOT_DONE);
    assert_int_equal(l.n, 1);
    buf_free(&l.text);
}

static void stored_time_is_of_the_rename_and_not_of_the_bytes(void **state)
{
    struct folder *p = *state;
    int dir = depot_dir_fd(p->depot);
    assert_true(file_write(dir, STR("tmp/old"), STR("x"), 0600, false));
    struct timespec old[2] = {{1000, 0}, {1000, 0}};
    assert_int_equal(utimensat(dir, "tmp/old", old, 0), 0);
    assert_int_equal(renameat(dir, "tmp/old", dir, "m/x"), 0);
    struct listing l = {0};
    buf_init(&l.text, 1000);
    struct depot_each each = {note_entry, &l};
    struct depot_reply reply;
    assert_int_equal(depot_list(p->depot, STR("m/"), STR(""), each, &reply), DEPOT_DONE);
    assert_true(llabs(l.newest_ms - time_now_ns() / 1000000) < 60000);
    assert_true(llabs(reply.now_ms - l.newest_ms) < 60000);
    buf_free(&l.text);
}

static void stamp_changes_with_keys(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    int64_t before = depot_dir_stamp_ns(p->depot, STR("m"));
    usleep(20000);
    assert_int_equal(put(p, STR("m/1"), STR("a"), false, &reply), DEPOT_DONE);
    assert_true(depot_dir_stamp_ns(p->depot, STR("m")) != before);
    assert_int_equal(depot_dir_stamp_ns(p->depot, STR("none")), 0);
}

static void emptied_folder_is_made_again(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    assert_true(file_remove_tree(depot_dir_fd(p->depot), STR("tmp")));
    assert_true(file_remove_tree(depot_dir_fd(p->depot), STR("p")));
    assert_int_equal(put(p, STR("p/1"), STR("a"), false, &reply), DEPOT_DONE);
}

static void full_disk_leaves_nothing_behind(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    int full = open("/dev/full", O_RDONLY);
    struct depot_source source = {.fd = full,
                                  .fd_bytes = 10}; /* a source that cannot be read whole */
    close(full);
    assert_int_not_equal(depot_put(p->depot, STR("p/1"), &source, false, &reply), DEPOT_DONE);
    assert_int_not_equal(reply.error, 0);
    assert_int_equal(count_files(p, "tmp"), 0);
    assert_int_equal(count_files(p, "p"), 0);
}

static void read_only_depot_changes_nothing(void **state)
{
    struct folder *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, STR("m/1"), STR("a"), false, &reply), DEPOT_DONE);
    struct depot *d = depot_dir_open(str_from(p->dir), false, &p->notes);
    assert_non_null(d);
    struct str value = STR("b");
    struct depot_source source = DEPOT_PARTS(&value, 1);
    assert_int_equal(depot_put(d, STR("m/2"), &source, false, &reply), DEPOT_REFUSED);
    assert_int_equal(depot_drop(d, STR("m/1"), &reply), DEPOT_REFUSED);
    depot_close(d);
    assert_int_equal(count_files(p, "m"), 1);
}

static void folder_that_cannot_be_made_is_a_warning(void **state)
{
    struct folder *p = *state;
    assert_null(depot_dir_open(STR("/proc/none/such"), true, &p->notes));
    assert_int_equal(p->notes.warnings, 1);
    assert_int_equal(p->notes.errors, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(put_comes_back_whole_and_in_part),
        CASE(put_takes_an_open_file),
        CASE(sink_that_has_enough_ends_the_get),
        CASE(if_absent_puts_once),
        CASE(absent_and_dropped_say_absent),
        CASE(list_is_in_order_and_begins_after),
        CASE(list_stops_when_told),
        CASE(stored_time_is_of_the_rename_and_not_of_the_bytes),
        CASE(stamp_changes_with_keys),
        CASE(emptied_folder_is_made_again),
        CASE(full_disk_leaves_nothing_behind),
        CASE(read_only_depot_changes_nothing),
        CASE(folder_that_cannot_be_made_is_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
