/* SPDX-License-Identifier: MIT */
/* Segments: what goes in comes out, what is garbled in any way is refused, what is unknown is told from that. */
#include "cache/segment.h"

#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

static struct digest digest_n(uint8_t n)
{
    struct digest d;
    memset(d.b, n, sizeof d.b);
    return d;
}

static void put_row(struct buf *b, uint8_t n)
{
    struct record r = {.fingerprint = digest_n(n), .success_ms = n};
    buf_clear(b);
    assert_true(record_put(b, &r));
}

static void add_block(struct segment_draft *d, uint8_t first, uint32_t count)
{
    struct buf rows[8];
    struct str texts[8];
    struct buf block;
    for (uint32_t i = 0; i < count; i++) {
        buf_init(&rows[i], RECORD_BYTES_LIMIT);
        put_row(&rows[i], (uint8_t)(first + i));
        texts[i] = buf_str(&rows[i]);
    }
    buf_init(&block, SEGMENT_RAW_LIMIT);
    segment_block_put(&block, STR("me"), 5, texts, count);
    segment_draft_add_block(d, buf_str(&block));
    buf_free(&block);
    for (uint32_t i = 0; i < count; i++) {
        buf_free(&rows[i]);
    }
}

static void add_place(struct segment_draft *d, uint8_t root, uint8_t pack)
{
    struct pack_run runs[] = {{{{pack}}, 8, 100, 1}, {{{9}}, 5000, 70, 3}};
    struct pack_place p = {{REF_BLOB, 90, digest_n(root)}, runs, 2};
    segment_draft_add_place(d, &p);
}

static void write_draft(struct segment_draft *d, struct buf *out)
{
    buf_init(out, SEGMENT_STORED_LIMIT);
    assert_true(segment_draft_write(d, out));
}

static void segment_comes_back(void **state)
{
    (void)state;
    struct arena a = {0};
    struct segment_draft d;
    struct segment s;
    struct buf bytes;
    segment_draft_init(&d);
    assert_true(segment_draft_is_empty(&d));
    add_block(&d, 1, 3);
    add_block(&d, 4, 2);
    add_place(&d, 1, 7);
    add_place(&d, 2, 8);
    add_place(&d, 1, 7); /* once is enough */
    struct segment_condemned c = {{{3}}, 77};
    segment_draft_add_condemned(&d, &c);
    assert_int_equal(d.pack_count, 3);
    write_draft(&d, &bytes);
    assert_int_equal(segment_read(buf_str(&bytes), &s), SEGMENT_GOOD);
    assert_int_equal(s.blocks.n, 2);
    assert_int_equal(s.rows.n, 5);
    assert_int_equal(s.rows.at[4].block, 1);
    const uint8_t *fingerprint;
    int64_t ms;
    assert_true(segment_row_peek(s.rows.at[4].row, &fingerprint, &ms));
    assert_int_equal(ms, 5);
    assert_int_equal(fingerprint[31], 5);
    assert_int_equal(s.places.n, 2);
    struct pack_place p;
    segment_place_read(&s, &s.places.at[1], &a, &p);
    assert_int_equal(p.run_count, 2);
    assert_int_equal(p.runs[0].pack.b[0], 8);
    assert_int_equal(p.runs[1].pack.b[0], 9);
    assert_int_equal(p.runs[1].count, 3);
    assert_int_equal(s.condemned.n, 1);
    assert_int_equal(s.uses.n, 0);
    segment_free(&s);
    segment_free(&s); /* twice is fine */
    buf_free(&bytes);
    segment_draft_free(&d);
    arena_free(&a);
}

static void any_flipped_bit_is_noticed(void **state)
{
    (void)state;
    struct segment_draft d;
    struct segment s;
    struct buf bytes;
    segment_draft_init(&d);
    add_block(&d, 1, 2);
    add_place(&d, 1, 7);
    write_draft(&d, &bytes);
    for (size_t i = 0; i < bytes.n; i++) {
        bytes.s[i] = (char)(bytes.s[i] ^ 4);
        enum segment_answer answer = segment_read(buf_str(&bytes), &s);
        assert_int_not_equal(answer, SEGMENT_GOOD);
        bool in_version = i >= 8 && i < 16; /* version, flags, zero: of another form, perhaps */
        assert_int_equal(answer, in_version ? SEGMENT_UNKNOWN : SEGMENT_BAD);
        bytes.s[i] = (char)(bytes.s[i] ^ 4);
    }
    buf_put_u8(&bytes, 0);
    assert_int_equal(segment_read(buf_str(&bytes), &s), SEGMENT_BAD);
    buf_free(&bytes);
    segment_draft_free(&d);
}

static enum segment_answer read_payload(const uint8_t *bytes, size_t n)
{
    char *payload = mem_alloc(n);
    struct segment s;
    memcpy(payload, bytes, n);
    enum segment_answer answer = segment_read_payload(payload, n, &s);
    if (answer == SEGMENT_GOOD) {
        segment_free(&s);
    }
    return answer;
}

static void unknown_tags_are_skipped_or_refused(void **state)
{
    (void)state;
    const uint8_t high[] = {70, 2, 1, 2};
    const uint8_t low[] = {5, 2, 1, 2};
    const uint8_t twice[] = {70, 0, 70, 0};
    const uint8_t falling[] = {71, 0, 70, 0};
    const uint8_t beyond[] = {70, 9, 1, 2};
    assert_int_equal(read_payload(high, sizeof high), SEGMENT_GOOD);
    assert_int_equal(read_payload(low, sizeof low), SEGMENT_UNKNOWN);
    assert_int_equal(read_payload(twice, sizeof twice), SEGMENT_BAD);
    assert_int_equal(read_payload(falling, sizeof falling), SEGMENT_BAD);
    assert_int_equal(read_payload(beyond, sizeof beyond), SEGMENT_BAD);
}

static enum segment_answer read_run_of(uint64_t offset, uint64_t length, uint32_t count)
{
    struct pack_run run = {{{7}}, offset, length, count};
    struct pack_place place = {{REF_LIST, 90, digest_n(1)}, &run, 1};
    struct segment_draft d;
    struct segment s;
    struct buf bytes;
    segment_draft_init(&d);
    segment_draft_add_place(&d, &place);
    write_draft(&d, &bytes);
    enum segment_answer answer = segment_read(buf_str(&bytes), &s);
    if (answer == SEGMENT_GOOD) {
        segment_free(&s);
    }
    buf_free(&bytes);
    segment_draft_free(&d);
    return answer;
}

static void runs_beyond_the_largest_pack_are_refused(void **state)
{
    (void)state;
    assert_int_equal(read_run_of(8, PACK_LIMIT - 8, 1), SEGMENT_GOOD);
    assert_int_equal(read_run_of(9, PACK_LIMIT - 8, 1), SEGMENT_BAD);
    assert_int_equal(read_run_of(UINT64_C(1) << 61, 100, 1), SEGMENT_BAD);
    assert_int_equal(read_run_of(8, UINT64_C(1) << 61, 1), SEGMENT_BAD);
    assert_int_equal(read_run_of(0, UINT64_C(1) << 40, 0), SEGMENT_GOOD); /* a plain file */
}

static void counts_beyond_the_bytes_are_refused(void **state)
{
    (void)state;
    const uint8_t packs[] = {2, 5, 0xff, 0xff, 0xff, 0xff, 0x0f};
    const uint8_t blocks[] = {1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f};
    const uint8_t condemned[] = {3, 2, 9, 0};
    assert_int_equal(read_payload(packs, sizeof packs), SEGMENT_BAD);
    assert_int_equal(read_payload(blocks, sizeof blocks), SEGMENT_BAD);
    assert_int_equal(read_payload(condemned, sizeof condemned), SEGMENT_BAD);
}

static void run_that_names_no_pack_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[64] = {2, 58, 1};
    bytes[3 + 16] = 1;      /* one place */
    bytes[3 + 17] = 1;      /* a blob */
    bytes[3 + 18] = 5;      /* of 5 bytes; its digest follows */
    bytes[3 + 19 + 32] = 1; /* one run … */
    bytes[3 + 20 + 32] = 0; /* … in pack 0 */
    bytes[3 + 23 + 32] = 1;
    bytes[1] = 3 + 23 + 32 + 1 - 2;
    assert_int_equal(read_payload(bytes, (size_t)bytes[1] + 2), SEGMENT_GOOD);
    bytes[3 + 20 + 32] = 1; /* there is no pack 1 */
    assert_int_equal(read_payload(bytes, (size_t)bytes[1] + 2), SEGMENT_BAD);
}

static bool keep_even(void *context, struct str row)
{
    const uint8_t *fingerprint;
    int64_t ms = 0;
    (void)context;
    return segment_row_peek(row, &fingerprint, &ms) && ms % 2 == 0;
}

static void reduced_block_keeps_leaves_in_their_order(void **state)
{
    (void)state;
    struct segment_draft d;
    struct segment s;
    struct buf bytes;
    struct buf reduced;
    segment_draft_init(&d);
    add_block(&d, 1, 3);
    write_draft(&d, &bytes);
    assert_int_equal(segment_read(buf_str(&bytes), &s), SEGMENT_GOOD);
    buf_init(&reduced, SEGMENT_RAW_LIMIT);
    assert_int_equal(segment_block_reduce(&reduced, s.blocks.at[0].bytes, keep_even, NULL), 1);
    struct digest first = segment_leaf(s.rows.at[0].row);
    struct digest last = segment_leaf(s.rows.at[2].row);
    struct str text = buf_str(&reduced);
    ptrdiff_t p = str_find(text, (struct str){(const char *)first.b, 32});
    ptrdiff_t q = str_find(text, s.rows.at[1].row);
    ptrdiff_t r = str_find(text, (struct str){(const char *)last.b, 32});
    assert_true(p > 0 && q > p && r > q);
    struct buf again; /* a second time changes nothing */
    buf_init(&again, SEGMENT_RAW_LIMIT);
    assert_int_equal(segment_block_reduce(&again, text, keep_even, NULL), 1);
    assert_true(str_eq(buf_str(&again), text));
    buf_free(&again);
    buf_free(&reduced);
    segment_free(&s);
    buf_free(&bytes);
    segment_draft_free(&d);
}

static void names_sort_by_time_and_are_checked(void **state)
{
    (void)state;
    char x[SEGMENT_NAME];
    char y[SEGMENT_NAME];
    int64_t ms;
    struct str first = segment_key(1000, UINT64_MAX, x);
    struct str second = segment_key(1001, 0, y);
    assert_true(str_cmp(first, second) < 0);
    assert_true(segment_key_parse(second, &ms));
    assert_int_equal(ms, 1001);
    assert_false(segment_key_parse(STR("m/0000000003e9-000000000000000"), &ms));
    assert_false(segment_key_parse(STR("m/0000000003e9-00000000000000000"), &ms));
    assert_false(segment_key_parse(STR("m/0000000003E9-0000000000000000"), &ms));
    assert_false(segment_key_parse(STR("p/0000000003e9-0000000000000000"), &ms));
    assert_false(segment_key_parse(STR("m/0000000003e9_0000000000000000"), &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segment_comes_back),
        cmocka_unit_test(any_flipped_bit_is_noticed),
        cmocka_unit_test(unknown_tags_are_skipped_or_refused),
        cmocka_unit_test(runs_beyond_the_largest_pack_are_refused),
        cmocka_unit_test(counts_beyond_the_bytes_are_refused),
        cmocka_unit_test(run_that_names_no_pack_is_refused),
        cmocka_unit_test(reduced_block_keeps_leaves_in_their_order),
        cmocka_unit_test(names_sort_by_time_and_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
