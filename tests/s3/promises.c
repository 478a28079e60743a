/* SPDX-License-Identifier: MIT */
/* What each depot promises, asked of a folder, of the memory that other tests use, and of a bucket: the same
 * checks for all. promises dir|mem|s3|s3-host|s3-tls */
#include "cache/depot_dir.h"
#include "core/base/file.h"
#include "core/base/workers.h"
#include "tests/s3/bucket.h"
#include "tests/unit/cache/depot_mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

enum kind { KIND_DIR, KIND_MEM, KIND_S3, KIND_S3_HOST, KIND_S3_TLS };

struct asked {
    enum kind kind;
    uint32_t used; /* a new prefix for each test */
    struct bucket bucket;
    struct mem_place memory;
    struct mem_handle handle;
    struct arena arena;
    struct diags notes;
    char dir[64];
    struct depot *depot;
};

static bool is_s3(const struct asked *p)
{
    return p->kind >= KIND_S3;
}

static int begin(void **state)
{
    struct asked *p = *state;
    diags_init(&p->notes, &p->arena);
    if (p->kind == KIND_DIR) {
        snprintf(p->dir, sizeof p->dir, "/tmp/pawl-promises-XXXXXX");
        assert_non_null(mkdtemp(p->dir));
        p->depot = depot_dir_open(str_from(p->dir), true, &p->notes);
    } else if (p->kind == KIND_MEM) {
        mem_place_init(&p->memory, time_now_ns() / 1000000);
        mem_handle_init(&p->handle, &p->memory);
        p->depot = &p->handle.depot;
    } else {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "promises-%d/%u", (int)p->kind, ++p->used);
        p->depot = depot_s3_open(p->bucket.s3, str_from(prefix), true);
    }
    assert_non_null(p->depot);
    return 0;
}

static int end(void **state)
{
    struct asked *p = *state;
    if (is_s3(p)) {
        depot_s3_tell(p->depot, &p->notes);
        for (uint32_t i = 0; i < p->notes.all.n; i++) {
            print_message("told: %.*s\n", STR_ARG(p->notes.all.at[i].message));
        }
    }
    if (p->kind == KIND_MEM) {
        mem_place_free(&p->memory);
    } else {
        depot_close(p->depot);
    }
    if (p->kind == KIND_DIR) {
        file_remove_tree(FILE_CWD, str_from(p->dir));
    }
    p->depot = NULL;
    arena_free(&p->arena);
    return 0;
}

static bool take(void *context, const void *bytes, size_t n)
{
    struct buf *b = context;
    buf_put(b, bytes, n);
    return !b->full;
}

static enum depot_answer put(struct asked *p, const char *key, struct str value, bool if_absent,
                             struct depot_reply *reply)
{
    struct depot_source source = DEPOT_PARTS(&value, 1);
    return depot_put(p->depot, str_from(key), &source, if_absent, reply);
}

static enum depot_answer get(struct asked *p, const char *key, uint64_t from, uint64_t n,
                             struct buf *out)
{
    struct depot_reply reply;
    struct depot_sink sink = {take, out};
    buf_clear(out);
    return depot_get(p->depot, str_from(key), (struct depot_range){from, n}, sink, &reply);
}

static void expect_bytes(struct asked *p, const char *key, uint64_t from, uint64_t n,
                         const char *bytes)
{
    struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(get(p, key, from, n, &b), DEPOT_DONE);
    assert_string_equal(b.s ? b.s : "", bytes);
    buf_free(&b);
}

static void put_comes_back_whole_and_in_part(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    struct str parts[] = {STR("hello "), STR(""), STR("world")};
    struct depot_source source = DEPOT_PARTS(parts, 3);
    assert_int_equal(depot_put(p->depot, STR("p/x"), &source, false, &reply), DEPOT_DONE);
    expect_bytes(p, "p/x", 0, DEPOT_REST, "hello world");
    expect_bytes(p, "p/x", 0, 1, "h");
    expect_bytes(p, "p/x", 6, 3, "wor");
    expect_bytes(p, "p/x", 6, DEPOT_REST, "world");
    expect_bytes(p, "p/x", 9, 100, "ld");
    expect_bytes(p, "p/x", 10, 1, "d");
}

static void range_at_or_behind_the_end_is_empty(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, "p/x", STR("hello"), false, &reply), DEPOT_DONE);
    expect_bytes(p, "p/x", 5, DEPOT_REST, "");
    expect_bytes(p, "p/x", 900, 10, "");
    expect_bytes(p, "p/x", 2, 0, "");
}

static void empty_value_is_a_value(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, "p/empty", STR(""), false, &reply), DEPOT_DONE);
    expect_bytes(p, "p/empty", 0, DEPOT_REST, "");
    expect_bytes(p, "p/empty", 0, 10, "");
}

static void put_takes_an_open_file(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    FILE *f = tmpfile();
    assert_non_null(f);
    fputs("0123456789", f);
    fflush(f);
    struct depot_source source = {.fd = fileno(f), .fd_bytes = 10};
    assert_int_equal(depot_put(p->depot, STR("b/whole"), &source, false, &reply), DEPOT_DONE);
    expect_bytes(p, "b/whole", 0, DEPOT_REST, "0123456789");
    source.fd_bytes = 4;
    assert_int_equal(depot_put(p->depot, STR("b/part"), &source, false, &reply), DEPOT_DONE);
    expect_bytes(p, "b/part", 0, DEPOT_REST, "0123");
    source.fd_bytes = 11; /* it is shorter than was said: nothing may appear */
    assert_int_not_equal(depot_put(p->depot, STR("b/bad"), &source, false, &reply), DEPOT_DONE);
    fclose(f);
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(get(p, "b/bad", 0, DEPOT_REST, &b), DEPOT_ABSENT);
    buf_free(&b);
}

static void large_value_comes_back(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    size_t n = 5 << 20;
    char *bytes = malloc(n);
    assert_non_null(bytes);
    uint64_t seed = 1;
    for (size_t i = 0; i < n; i += sizeof seed) {
        uint64_t word = mem_random(&seed);
        memcpy(bytes + i, &word, sizeof word);
    }
    struct buf b;
    buf_init(&b, n);
    assert_int_equal(put(p, "p/large", (struct str){bytes, n}, false, &reply), DEPOT_DONE);
    assert_int_equal(get(p, "p/large", 0, DEPOT_REST, &b), DEPOT_DONE);
    assert_int_equal(b.n, n);
    assert_memory_equal(b.s, bytes, n);
    assert_int_equal(get(p, "p/large", 1234567, 1000003, &b), DEPOT_DONE);
    assert_int_equal(b.n, 1000003);
    assert_memory_equal(b.s, bytes + 1234567, 1000003);
    buf_free(&b);
    free(bytes);
}

static void sink_that_has_enough_ends_the_get(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, "m/x", STR("too long"), false, &reply), DEPOT_DONE);
    struct buf b;
    buf_init(&b, 4);
    assert_int_equal(get(p, "m/x", 0, DEPOT_REST, &b), DEPOT_REFUSED);
    buf_free(&b);
}

static void put_replaces(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, "l/1", STR("one"), false, &reply), DEPOT_DONE);
    assert_int_equal(put(p, "l/1", STR("other"), false, &reply), DEPOT_DONE);
    expect_bytes(p, "l/1", 0, DEPOT_REST, "other");
}

static void if_absent_puts_once(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, "l/fp/1", STR("one"), true, &reply), DEPOT_DONE);
    assert_true(reply.stored_ms > 0);
    assert_int_equal(put(p, "l/fp/1", STR("two"), true, &reply), DEPOT_EXISTS);
    expect_bytes(p, "l/fp/1", 0, DEPOT_REST, "one");
    assert_int_equal(put(p, "l/fp/1", STR("two"), false, &reply), DEPOT_DONE);
    expect_bytes(p, "l/fp/1", 0, DEPOT_REST, "two");
    assert_int_equal(depot_drop(p->depot, STR("l/fp/1"), &reply), DEPOT_DONE);
    assert_int_equal(put(p, "l/fp/1", STR("three"), true, &reply), DEPOT_DONE);
}

static void absent_and_dropped_say_absent(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    struct buf b;
    buf_init(&b, 100);
    assert_int_equal(get(p, "m/x", 0, DEPOT_REST, &b), DEPOT_ABSENT);
    assert_int_equal(get(p, "m/x", 0, 0, &b), DEPOT_ABSENT);
    enum depot_answer nothing = depot_drop(p->depot, STR("m/x"), &reply);
    assert_true(nothing == DEPOT_ABSENT || nothing == DEPOT_DONE);
    assert_int_equal(put(p, "m/x", STR("v"), false, &reply), DEPOT_DONE);
    assert_int_equal(depot_drop(p->depot, STR("m/x"), &reply), DEPOT_DONE);
    assert_int_equal(get(p, "m/x", 0, DEPOT_REST, &b), DEPOT_ABSENT);
    buf_free(&b);
}

static void keys_that_lead_out_are_refused(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    struct buf b;
    if (p->kind == KIND_MEM) {
        skip(); /* leads nowhere */
    }
    buf_init(&b, 100);
    assert_int_equal(get(p, "m/../../x", 0, DEPOT_REST, &b), DEPOT_REFUSED);
    assert_int_equal(get(p, "/etc/passwd", 0, DEPOT_REST, &b), DEPOT_REFUSED);
    assert_int_equal(get(p, "", 0, DEPOT_REST, &b), DEPOT_REFUSED);
    assert_int_equal(put(p, "../x", STR("v"), false, &reply), DEPOT_REFUSED);
    assert_int_equal(depot_drop(p->depot, STR("m/../x"), &reply), DEPOT_REFUSED);
    buf_free(&b);
}

struct listing {
    struct buf text;
    struct str last;
    struct arena arena;
    uint32_t stop_after, n;
    int64_t oldest_ms, newest_ms;
    bool ascending;
};

static bool note_entry(void *context, const struct depot_entry *e)
{
    struct listing *l = context;
    buf_printf(&l->text, "%.*s:%llu ", STR_ARG(e->key), (unsigned long long)e->size);
    l->newest_ms = e->stored_ms > l->newest_ms ? e->stored_ms : l->newest_ms;
    l->oldest_ms = l->n == 0 || e->stored_ms < l->oldest_ms ? e->stored_ms : l->oldest_ms;
    l->ascending &= str_cmp(e->key, l->last) > 0;
    l->last = str_copy(&l->arena, e->key);
    return ++l->n != l->stop_after;
}

static struct listing list(struct asked *p, const char *prefix, const char *after,
                           uint32_t stop_after, struct depot_reply *reply)
{
    struct listing l = {.stop_after = stop_after, .ascending = true};
    buf_init(&l.text, 1 << 20);
    struct depot_each each = {note_entry, &l};
    assert_int_equal(depot_list(p->depot, str_from(prefix), str_from(after), each, reply),
                     DEPOT_DONE);
    return l;
}

static void listing_free(struct listing *l)
{
    buf_free(&l->text);
    arena_free(&l->arena);
}

static void expect_list(struct asked *p, const char *prefix, const char *after, const char *text)
{
    struct depot_reply reply;
    struct listing l = list(p, prefix, after, 0, &reply);
    assert_string_equal(l.text.s ? l.text.s : "", text);
    listing_free(&l);
}

static void list_is_in_order_and_begins_after(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    static const char *const KEYS[] = {"m/2", "m/1", "m/10", "l/a/1", "l/a-b/1", "l/a/2"};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(put(p, KEYS[i], STR("ab"), false, &reply), DEPOT_DONE);
    }
    expect_list(p, "m/", "", "m/1:2 m/10:2 m/2:2 ");
    expect_list(p, "m/", "m/1", "m/10:2 m/2:2 ");
    expect_list(p, "m/", "m/11", "m/2:2 "); /* after a key that is not there */
    expect_list(p, "m/", "m/2", "");
    expect_list(p, "m/1", "", "m/1:2 m/10:2 ");
    expect_list(p, "l/", "", "l/a-b/1:2 l/a/1:2 l/a/2:2 ");
    expect_list(p, "l/a/", "l/a/1", "l/a/2:2 ");
    expect_list(p, "nothing/", "", "");
    expect_list(p, "m/", "z", "");
}

static void list_stops_when_told(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, "m/1", STR("a"), false, &reply), DEPOT_DONE);
    assert_int_equal(put(p, "m/2", STR("a"), false, &reply), DEPOT_DONE);
    struct listing l = list(p, "m/", "", 1, &reply);
    assert_int_equal(l.n, 1);
    listing_free(&l);
}

static void drop_takes_one_key_out_of_the_list(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    assert_int_equal(put(p, "m/1", STR("a"), false, &reply), DEPOT_DONE);
    assert_int_equal(put(p, "m/2", STR("a"), false, &reply), DEPOT_DONE);
    assert_int_equal(depot_drop(p->depot, STR("m/1"), &reply), DEPOT_DONE);
    expect_list(p, "m/", "", "m/2:1 ");
}

struct many {
    struct asked *p;
    enum depot_answer answers[1200];
};

/* On several threads at once for a bucket; put is the lane's, so only gets may be so in earnest. */
static void get_one(void *context, uint32_t i)
{
    struct many *m = context;
    char key[32];
    char value[32];
    struct buf b;
    buf_init(&b, 100);
    snprintf(key, sizeof key, "m/%04u", i);
    snprintf(value, sizeof value, "value %u", i);
    m->answers[i] = get(m->p, key, 0, DEPOT_REST, &b);
    if (m->answers[i] == DEPOT_DONE && strcmp(b.s, value) != 0) {
        m->answers[i] = DEPOT_REFUSED;
    }
    buf_free(&b);
}

static void put_many(struct asked *p, uint32_t count)
{
    struct depot_reply reply;
    for (uint32_t i = 0; i < count; i++) {
        char key[32];
        char value[32];
        snprintf(key, sizeof key, "m/%04u", i);
        snprintf(value, sizeof value, "value %u", i);
        assert_int_equal(put(p, key, str_from(value), false, &reply), DEPOT_DONE);
    }
}

static void thousand_keys_and_more_are_listed(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    put_many(p, 1005);
    struct listing l = list(p, "m/", "", 0, &reply);
    assert_int_equal(l.n, 1005);
    assert_true(l.ascending);
    listing_free(&l);
    l = list(p, "m/", "m/0003", 0, &reply);
    assert_int_equal(l.n, 1001);
    assert_true(l.ascending);
    listing_free(&l);
    l = list(p, "m/", "", 1001, &reply);
    assert_int_equal(l.n, 1001);
    listing_free(&l);
}

static void gets_go_on_several_threads(void **state)
{
    struct asked *p = *state;
    struct workers *w = workers_open(8);
    struct many m = {.p = p};
    put_many(p, 100);
    assert_non_null(w);
    workers_for_each(w, 100, get_one, &m);
    workers_close(w);
    for (uint32_t i = 0; i < 100; i++) {
        assert_int_equal(m.answers[i], DEPOT_DONE);
    }
}

static void times_are_the_depots(void **state)
{
    struct asked *p = *state;
    struct depot_reply reply;
    struct depot_reply listed;
    int64_t here_ms = time_now_ns() / 1000000;
    assert_int_equal(put(p, "m/x", STR("v"), false, &reply), DEPOT_DONE);
    assert_true(llabs(reply.now_ms - here_ms) < 10000);
    assert_true(llabs(reply.stored_ms - here_ms) < 10000);
    struct listing l = list(p, "m/", "", 0, &listed);
    assert_true(llabs(l.newest_ms - reply.stored_ms) < 3000);
    assert_true(llabs(listed.now_ms - here_ms) < 10000);
    listing_free(&l);
    struct buf b;
    buf_init(&b, 100);
    struct depot_sink sink = {take, &b};
    assert_int_equal(depot_get(p->depot, STR("m/none"), DEPOT_ALL, sink, &reply), DEPOT_ABSENT);
    assert_true(llabs(reply.now_ms - here_ms) < 10000);
    buf_free(&b);
}

static enum kind kind_of(const char *name)
{
    static const char *const NAMES[] = {"dir", "mem", "s3", "s3-host", "s3-tls"};
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            return (enum kind)i;
        }
    }
    fprintf(stderr, "no depot is called '%s'\n", name);
    exit(EXIT_FAILURE);
}

static void open_bucket(struct asked *p)
{
    struct bucket_wish wish = {.style = S3_STYLE_PATH};
    if (p->kind == KIND_S3_HOST) {
        wish.style = S3_STYLE_HOST;
        wish.endpoint_variable = "S3_TEST_HOST_ENDPOINT";
    } else if (p->kind == KIND_S3_TLS) {
        wish.endpoint_variable = "S3_TEST_TLS_ENDPOINT";
        wish.ca = bucket_env("S3_TEST_CA");
    }
    bucket_open(&p->bucket, wish);
    bucket_make(&p->bucket);
}

int main(int argc, char **argv)
{
    struct asked place = {.kind = kind_of(argc > 1 ? argv[1] : "dir")};
    if (is_s3(&place)) {
        open_bucket(&place);
    }
#define CASE(f)                                                                                    \
    {                                                                                              \
#f, f, begin, end, &place                                                                  \
    }
    const struct CMUnitTest tests[] = {
        CASE(put_comes_back_whole_and_in_part),
        CASE(range_at_or_behind_the_end_is_empty),
        CASE(empty_value_is_a_value),
        CASE(put_takes_an_open_file),
        CASE(large_value_comes_back),
        CASE(sink_that_has_enough_ends_the_get),
        CASE(put_replaces),
        CASE(if_absent_puts_once),
        CASE(absent_and_dropped_say_absent),
        CASE(keys_that_lead_out_are_refused),
        CASE(list_is_in_order_and_begins_after),
        CASE(list_stops_when_told),
        CASE(drop_takes_one_key_out_of_the_list),
        CASE(thousand_keys_and_more_are_listed),
        CASE(gets_go_on_several_threads),
        CASE(times_are_the_depots),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (is_s3(&place)) {
        bucket_close(&place.bucket);
    }
    return failed;
}
