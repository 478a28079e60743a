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

/* Each chunk is said to be what it is, and comes when all before it have. */
struct taking {
    const uint8_t *bytes;
    size_t at;
};

static bool take_chunk(void *context, const struct ref *chunk, struct str bytes)
{
    struct taking *t = context;
    struct digest digest = digest_of(bytes.s, bytes.n);
    assert_int_equal(chunk->kind, REF_BLOB);
    assert_int_equal(chunk->size, bytes.n);
    assert_true(digest_eq(&digest, &chunk->digest));
    assert_memory_equal(bytes.s, t->bytes + t->at, bytes.n);
    t->at += bytes.n;
    return true;
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
            struct taking taking = {bytes, 0};
            struct cutter_taker taker = {take_chunk, &taking};
            struct cutter_source from = {fd, threads ? 1 << 30 : 0, &tee, &taker};
            assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
            assert_true(cutter_run(&from, NULL, &found));
            assert_true(ref_eq(&found, &wanted));
            assert_int_equal(copy.n, SIZES[i]);
            assert_int_equal(taking.at, SIZES[i]);
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
    struct cutter_source from = {.fd = fd, .size = 12 << 20, .tee = &tee};
    assert_false(cutter_run(&from, NULL, &found));
    assert_int_equal(errno, ENOSPC);
    buf_free(&copy);
    close(fd);
}

static bool take_some(void *context, const struct ref *chunk, struct str bytes)
{
    uint32_t *left = context;
    (void)chunk;
    (void)bytes;
    errno = EDOM;
    return (*left)-- > 0;
}

static void cutter_stops_with_its_taker(void **state)
{
    struct sandbox *s = *state;
    static const uint32_t COUNTS[] = {0, 50, 100};
    uint8_t *bytes = sandbox_bytes(s, "cut", 12 << 20);
    int fd = open_file(s, bytes, 12 << 20);
    for (size_t i = 0; i < sizeof COUNTS / sizeof COUNTS[0]; i++) {
        struct ref found;
        uint32_t left = COUNTS[i];
        struct cutter_taker taker = {take_some, &left};
        struct cutter_source from = {.fd = fd, .size = 12 << 20, .taker = &taker};
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        assert_false(cutter_run(&from, NULL, &found));
        assert_int_equal(errno, EDOM);
    }
    close(fd);
}

static void cutter_unreadable_and_empty_files(void **state)
{
    struct sandbox *s = *state;
    struct ref found;
    struct cutter_source from = {.fd = s->root, .size = 12 << 20}; /* a folder */
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
        TEST(cutter_stops_with_its_taker),
        TEST(cutter_unreadable_and_empty_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
