/* SPDX-License-Identifier: MIT */
/* Items are found one behind the other, with their digests; what is none ends the walk, whatever lengths it tells of. */
#include "cache/far_walk.h"
#include "tests/unit/cache/sandbox.h"

struct walk {
    struct buf bytes;
    struct frame_encoder encoder;
    struct far_walker walker;
    struct far_items items;
    int fd;
};

static void put_item(struct walk *w, uint8_t encoding, struct str stored, uint64_t raw)
{
    buf_put_u8(&w->bytes, encoding);
    buf_put_varint(&w->bytes, stored.n);
    buf_put_varint(&w->bytes, raw);
    buf_put_str(&w->bytes, stored);
}

static struct walk begin_walk(struct sandbox *s)
{
    struct walk w = {.fd = openat(s->root, ".", O_TMPFILE | O_RDWR, 0600)};
    buf_init(&w.bytes, 64 << 20);
    frame_encoder_init(&w.encoder);
    far_walker_init(&w.walker);
    return w;
}

/* Where it stops. */
static uint64_t walk(struct walk *w, uint64_t to, uint32_t limit)
{
    assert_int_equal(pwrite(w->fd, w->bytes.s, w->bytes.n, 0), (ssize_t)w->bytes.n);
    far_items_free(&w->items);
    far_items_init(&w->items, limit, w->bytes.n);
    return far_walk(&w->walker, w->fd, 0, to, &w->items);
}

static void end_walk(struct walk *w)
{
    far_items_free(&w->items);
    far_walker_free(&w->walker);
    frame_encoder_free(&w->encoder);
    buf_free(&w->bytes);
    close(w->fd);
}

static void each_item_has_its_digest(void **state)
{
    struct walk w = begin_walk(*state);
    struct str large = {(const char *)sandbox_bytes(*state, "", 900000), 900000};
    struct str zeros = {arena_alloc(&((struct sandbox *)*state)->arena, 200000, 1), 200000};
    put_item(&w, FRAME_RAW, STR("hello\n"), 6);
    struct frame f = frame_encode(&w.encoder, zeros);
    put_item(&w, f.encoding, f.stored, zeros.n);
    put_item(&w, FRAME_RAW, large, large.n);
    put_item(&w, FRAME_RAW, STR(""), 0);
    assert_int_equal(walk(&w, w.bytes.n, 10), w.bytes.n);
    assert_int_equal(w.items.n, 4);
    const struct str raw[] = {STR("hello\n"), zeros, large, STR("")};
    for (uint32_t i = 0; i < 4; i++) {
        struct digest d = digest_of(raw[i].s, raw[i].n);
        assert_true(w.items.at[i].read);
        assert_true(digest_eq(&w.items.at[i].digest, &d));
        assert_int_equal(w.items.at[i].raw, raw[i].n);
        assert_ptr_equal(far_items_find(&w.items, w.items.at[i].offset), &w.items.at[i]);
    }
    assert_null(far_items_find(&w.items, 1));
    /* and of what is cut short, those that are whole */
    for (uint64_t to = 0; to < w.bytes.n; to += to < 300 ? 1 : 9999) {
        uint64_t at = walk(&w, to, 10);
        assert_true(at <= to);
        assert_true(w.items.n < 4);
    }
    end_walk(&w);
}

static void what_is_no_item_ends_the_walk(void **state)
{
    struct walk w = begin_walk(*state);
    put_item(&w, FRAME_RAW, STR("one"), 3);
    uint64_t good = w.bytes.n;
    put_item(&w, 7, STR("two"), 3);
    assert_int_equal(walk(&w, w.bytes.n, 10), good);
    w.bytes.n = good;
    put_item(&w, FRAME_RAW, STR("two"), 4);
    assert_int_equal(walk(&w, w.bytes.n, 10), good);
    w.bytes.n = good;
    buf_put_u8(&w.bytes, FRAME_ZSTD);
    buf_put_varint(&w.bytes, UINT64_MAX);
    buf_put_varint(&w.bytes, UINT64_MAX);
    assert_int_equal(walk(&w, w.bytes.n, 10), good);
    end_walk(&w);
}

static void what_cannot_be_decoded_is_no_object(void **state)
{
    struct walk w = begin_walk(*state);
    put_item(&w, FRAME_ZSTD, STR("no frame"), 100);
    put_item(&w, FRAME_ZSTD, STR("too large for a blob"), BLOB_LIMIT + 1);
    put_item(&w, FRAME_RAW, STR("three"), 5);
    assert_int_equal(walk(&w, w.bytes.n, 10), w.bytes.n);
    assert_int_equal(w.items.n, 3);
    assert_false(w.items.at[0].read);
    assert_false(w.items.at[1].read);
    assert_true(w.items.at[2].read);
    end_walk(&w);
}

static void no_more_than_was_spoken_of_is_kept(void **state)
{
    struct walk w = begin_walk(*state);
    for (int i = 0; i < 100; i++) {
        put_item(&w, FRAME_RAW, STR(""), 0);
    }
    assert_int_equal(walk(&w, w.bytes.n, 7), 7 * 3);
    assert_int_equal(w.items.n, 7);
    end_walk(&w);
}

static void little_that_is_full_of_zeros_is_not_decoded_for_ever(void **state)
{
    struct walk w = begin_walk(*state);
    struct str zeros = {arena_alloc(&((struct sandbox *)*state)->arena, BLOB_LIMIT, 1), BLOB_LIMIT};
    struct frame f = frame_encode(&w.encoder, zeros);
    for (int i = 0; i < 400; i++) {
        put_item(&w, f.encoding, f.stored, zeros.n);
    }
    assert_int_equal(walk(&w, w.bytes.n, 1000), w.bytes.n);
    assert_true(w.items.at[0].read);
    assert_false(w.items.at[399].read);
    end_walk(&w);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sandbox_begin, sandbox_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_item_has_its_digest),
        TEST(what_is_no_item_ends_the_walk),
        TEST(what_cannot_be_decoded_is_no_object),
        TEST(no_more_than_was_spoken_of_is_kept),
        TEST(little_that_is_full_of_zeros_is_not_decoded_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
