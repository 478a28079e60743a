/* SPDX-License-Identifier: MIT */
/* The vectors of docs/formats.md for records, blocks and segments: what the page says is what is written, and what
 * it shows is read. */
#include "cache/segment.h"
#include "core/base/file.h"

#include <stdlib.h>
#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

struct page {
    struct arena arena;
    struct str text;
};

static int begin(void **state)
{
    struct page *p = calloc(1, sizeof *p);
    const struct str path = STR("../docs/formats.md"); /* tests run in tests/ */
    assert_true(file_read_quiet(&p->arena, FILE_CWD, path, 10 << 20, &p->text));
    *state = p;
    return 0;
}

static int end(void **state)
{
    struct page *p = *state;
    arena_free(&p->arena);
    free(p);
    return 0;
}

/* The bytes behind "NAME = " on a line of the page's block "segments". */
static struct str vector(struct page *p, struct str name)
{
    ptrdiff_t at = str_find(p->text, STR("```segments\n"));
    assert_true(at >= 0);
    struct str rest = str_tail(p->text, (size_t)at);
    struct str line;
    struct str start = str_join3(&p->arena, name, STR(" = "), STR(""));
    while (str_cut(&rest, '\n', &line) && !str_eq(line, STR("```"))) {
        if (str_starts(line, start)) {
            struct str hex = str_tail(line, start.n);
            char *bytes = arena_alloc(&p->arena, hex.n / 2 + 1, 1);
            for (size_t i = 0; i + 1 < hex.n; i += 2) {
                char pair[3] = {hex.s[i], hex.s[i + 1], 0};
                bytes[i / 2] = (char)strtoul(pair, NULL, 16);
            }
            return (struct str){bytes, hex.n / 2};
        }
    }
    fail_msg("no vector '%.*s'", STR_ARG(name));
    return STR_NONE;
}

static struct digest digest_n(uint8_t n)
{
    struct digest d;
    memset(d.b, n, sizeof d.b);
    return d;
}

static struct str make_row(struct page *p)
{
    struct record_output outputs[] = {
        {STR("a.txt"), 0644, {REF_BLOB, 6, digest_n(0xaa)}, digest_n(0xaa)},
        {STR("d"), 0755, {REF_TREE, 40, digest_n(0xdd)}, digest_n(0xcc)},
    };
    struct record_metric metric = {STR("mse"), STR("4.2")};
    struct record_input inputs[] = {{STR("x.h"), REF_BLOB, digest_n(0xee)},
                                    {STR("y.h"), REF_NONE, {{0}}}};
    struct record_part parts[] = {{STR("run"), STR("cc"), false},
                                  {STR("env A"), STR("0102030405060708"), true}};
    struct record r = {.fingerprint = digest_n(0xff),
                       .success_ms = 1700000000000,
                       .duration_ms = 1500,
                       .hint = "pipeline",
                       .outputs = outputs,
                       .output_count = 2,
                       .log = {REF_BLOB, 3, digest_n(0x11)},
                       .metrics = &metric,
                       .metric_count = 1,
                       .inputs = inputs,
                       .input_count = 2,
                       .where = STR("box"),
                       .salt = "0123456789abcde",
                       .parts = parts,
                       .part_count = 2};
    r.salt[15] = 'f';
    struct buf b;
    buf_init(&b, RECORD_BYTES_LIMIT);
    assert_true(record_put(&b, &r));
    struct str row = str_copy(&p->arena, buf_str(&b));
    buf_free(&b);
    return row;
}

static void fill_draft(struct page *p, struct segment_draft *d)
{
    struct buf block;
    struct str row = make_row(p);
    buf_init(&block, SEGMENT_RAW_LIMIT);
    segment_block_put(&block, STR("box"), 1700000001000, &row, 1);
    segment_draft_add_block(d, buf_str(&block));
    buf_free(&block);
    struct pack_run runs[] = {{{{0x01}}, 8, 300, 2}, {{{0x02}}, 0, 1048576, 0}};
    struct pack_place place = {{REF_TREE, 40, digest_n(0xdd)}, runs, 2};
    segment_draft_add_place(d, &place);
    struct segment_condemned condemned = {{{0x03}}, 1699900000000};
    segment_draft_add_condemned(d, &condemned);
    struct segment_use use = {{1, 2, 3, 4, 5, 6, 7, 8}, 19675};
    segment_draft_add_use(d, &use);
}

static void expect_bytes(struct str got, struct str wanted)
{
    if (!str_eq(got, wanted)) {
        for (size_t i = 0; i < got.n; i++) {
            print_message("%02x", (uint8_t)got.s[i]);
        }
        print_message("\n");
    }
    assert_true(str_eq(got, wanted));
}

static void row_is_as_the_page_says(void **state)
{
    struct page *p = *state;
    expect_bytes(make_row(p), vector(p, STR("row")));
}

static void leaf_is_as_the_page_says(void **state)
{
    struct page *p = *state;
    struct digest leaf = segment_leaf(make_row(p));
    expect_bytes((struct str){(const char *)leaf.b, 32}, vector(p, STR("leaf")));
}

static bool keep_none(void *context, struct str row)
{
    (void)context;
    (void)row;
    return false;
}

static void block_with_and_without_its_record_is_as_the_page_says(void **state)
{
    struct page *p = *state;
    struct str row = make_row(p);
    struct buf block;
    struct buf reduced;
    buf_init(&block, 10000);
    buf_init(&reduced, 10000);
    segment_block_put(&block, STR("box"), 1700000001000, &row, 1);
    expect_bytes(buf_str(&block), vector(p, STR("block")));
    assert_int_equal(segment_block_reduce(&reduced, buf_str(&block), keep_none, NULL), 0);
    expect_bytes(buf_str(&reduced), vector(p, STR("reduced")));
    buf_free(&block);
    buf_free(&reduced);
}

static void signed_block_and_its_mark_are_as_the_page_says(void **state)
{
    struct page *p = *state;
    struct str row = make_row(p);
    struct sign_private k;
    struct buf block;
    struct buf reduced;
    uint8_t message[BLOCK_MESSAGE];
    uint8_t secret[SIGN_KEY];
    assert_true(sign_private_from((const uint8_t *)vector(p, STR("seed")).s, &k));
    expect_bytes((struct str){(const char *)k.public.key, SIGN_KEY}, vector(p, STR("key")));
    buf_init(&block, 10000);
    buf_init(&reduced, 10000);
    segment_block_put(&block, STR("box"), 1700000001000, &row, 1);
    assert_true(segment_block_sign(&block, &k));
    expect_bytes(buf_str(&block), vector(p, STR("signed")));
    segment_block_reduce(&reduced, buf_str(&block), keep_none, NULL);
    assert_true(segment_block_check(buf_str(&reduced), &k.public));
    assert_true(segment_block_message(buf_str(&reduced), message));
    memset(secret, 7, sizeof secret);
    struct digest mark = sign_mark(secret, (struct str){(const char *)message, sizeof message});
    expect_bytes((struct str){(const char *)mark.b, sizeof mark.b}, vector(p, STR("mark")));
    buf_free(&block);
    buf_free(&reduced);
}

static void payload_is_as_the_page_says(void **state)
{
    struct page *p = *state;
    struct segment_draft d;
    struct buf bytes;
    segment_draft_init(&d);
    fill_draft(p, &d);
    buf_init(&bytes, SEGMENT_STORED_LIMIT);
    assert_true(segment_draft_write(&d, &bytes));
    uint64_t raw;
    struct str frame = str_tail(buf_str(&bytes), SEGMENT_HEADER);
    assert_true(frame_stated_size(frame, &raw));
    char *payload = arena_alloc(&p->arena, (size_t)raw, 1);
    struct frame_decoder decoder;
    frame_decoder_init(&decoder);
    assert_true(frame_decode(&decoder, FRAME_ZSTD, frame, payload, (size_t)raw));
    frame_decoder_free(&decoder);
    expect_bytes((struct str){payload, (size_t)raw}, vector(p, STR("payload")));
    buf_free(&bytes);
    segment_draft_free(&d);
}

static void segment_of_the_page_is_read(void **state)
{
    struct page *p = *state;
    struct segment s;
    struct str bytes = vector(p, STR("segment"));
    assert_int_equal(segment_read(bytes, &s), SEGMENT_GOOD);
    assert_int_equal(s.rows.n, 1);
    assert_true(str_eq(s.rows.at[0].row, make_row(p)));
    assert_true(str_eq(s.blocks.at[0].writer, STR("box")));
    assert_int_equal(s.blocks.at[0].made_ms, 1700000001000);
    struct pack_place place;
    assert_int_equal(s.places.n, 1);
    segment_place_read(&s, &s.places.at[0], &p->arena, &place);
    assert_int_equal(place.run_count, 2);
    assert_int_equal(place.runs[0].length, 300);
    assert_int_equal(place.runs[1].pack.b[0], 2);
    assert_int_equal(place.runs[1].count, 0);
    assert_int_equal(s.condemned.at[0].since_ms, 1699900000000);
    assert_int_equal(s.uses.at[0].day, 19675);
    segment_free(&s);
    for (size_t n = 0; n < bytes.n; n++) {
        assert_int_equal(segment_read(str_sub(bytes, 0, n), &s), SEGMENT_BAD);
    }
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(row_is_as_the_page_says),
        CASE(leaf_is_as_the_page_says),
        CASE(block_with_and_without_its_record_is_as_the_page_says),
        CASE(signed_block_and_its_mark_are_as_the_page_says),
        CASE(payload_is_as_the_page_says),
        CASE(segment_of_the_page_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
