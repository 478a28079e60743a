/* SPDX-License-Identifier: MIT */
/* The same list, whether one thread makes it or several, and wherever the batches of bytes happen to end. */
#include "cache/chunk.h"
#include "cache/cutter.h"
#include "sandbox.h"

static struct ref by_hand(const uint8_t *bytes, size_t n)
{
    struct list_builder b;
    struct ref out;
    list_builder_init(&b, NULL);
    for (size_t at = 0, cut; at < n; at += cut) {
        cut = chunk_cut(bytes + at, n - at);
        struct digest d = digest_of(bytes + at, cut);
        list_add(&b, cut, &d);
    }
    assert_true(list_end(&b, &out));
    list_builder_free(&b);
    return out;
}

static bool take(void *context, const void *bytes, size_t n)
{
    struct buf *b = context;
    buf_put(b, bytes, n);
    if (b->full) {
        errno = ENOSPC;
    }
    return !b->full;
}

static int open_file(struct sandbox *s, const uint8_t *bytes, size_t n)
{
    sandbox_write(s, "big", bytes, n, 0600);
    return openat(s->root, "big", O_RDONLY | O_CLOEXEC);
}

static void cutter_agrees_with_itself(void **state)
{
    struct sandbox *s = *state;
    static const size_t SIZES[] = {1 << 20, (1 << 20) + 1, 4 << 20, (8 << 20) + 12345, 21 << 20};
    uint8_t *bytes = sandbox_bytes(s, "cut", 21 << 20);
    memset(bytes + (5 << 20), 0, 3 << 20); /* chunks of the largest size across the batches' ends */
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        struct ref wanted = by_hand(bytes, SIZES[i]), found;
        int fd = open_file(s, bytes, SIZES[i]);
        for (int threads = 0; threads < 2; threads++) {
            struct buf copy;
            buf_init(&copy, 32 << 20);
            struct depot_sink tee = {take, &copy};
            struct cutter_source from = {fd, threads ? 1 << 30 : 0, &tee};
            assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
            assert_true(cutter_run(&from, NULL, &found));
            assert_true(ref_eq(&found, &wanted));
            assert_int_equal(copy.n, SIZES[i]);
            assert_memory_equal(copy.s, bytes, copy.n);
            buf_free(&copy);
        }
        close(fd);
    }
}

static void cutter_stops_with_its_tee(void **state)
{
    struct sandbox *s = *state;
    uint8_t *bytes = sandbox_bytes(s, "cut", 12 << 20);
    int fd = open_file(s, bytes, 12 << 20);
    struct buf copy;
    struct ref found;
    buf_init(&copy, 5 << 20);
    struct depot_sink tee = {take, &copy};
    struct cutter_source from = {fd, 12 << 20, &tee};
    assert_false(cutter_run(&from, NULL, &found));
    assert_int_equal(errno, ENOSPC);
    buf_free(&copy);
    close(fd);
}

static void cutter_unreadable_and_empty_files(void **state)
{
    struct sandbox *s = *state;
    struct ref found;
    struct cutter_source from = {s->root, 12 << 20, NULL}; /* a folder */
    assert_false(cutter_run(&from, NULL, &found));
    assert_int_equal(errno, EISDIR);
    from.fd = open_file(s, (const uint8_t *)"", 0);
    assert_true(cutter_run(&from, NULL, &found));
    assert_int_equal(found.size, 0);
    close(from.fd);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_begin, sandbox_end)
    const struct CMUnitTest tests[] = {
        TEST(cutter_agrees_with_itself),
        TEST(cutter_stops_with_its_tee),
        TEST(cutter_unreadable_and_empty_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
