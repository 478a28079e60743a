/* SPDX-License-Identifier: MIT */
/* Frames: the rule of what is compressed, and a decoder that believes no size but the one it was given. */
#include "cache/frame.h"
#include "sandbox.h"

#include <zstd.h>

static void frame_compresses_what_gains(void **state)
{
    struct sandbox *s = *state;
    struct frame_encoder e;
    frame_encoder_init(&e);
    char *text = arena_alloc(&s->arena, 10000, 1);
    memset(text, 'a', 10000);
    struct frame f = frame_encode(&e, (struct str){text, 10000});
    assert_int_equal(f.encoding, FRAME_ZSTD);
    assert_true(f.stored.n < 100);
    uint64_t size = 0;
    assert_true(frame_stated_size(f.stored, &size));
    assert_int_equal(size, 10000);
    struct frame_decoder d;
    frame_decoder_init(&d);
    char *back = arena_alloc(&s->arena, 10000, 1);
    assert_true(frame_decode(&d, f.encoding, f.stored, back, 10000));
    assert_memory_equal(back, text, 10000);
    frame_decoder_free(&d);
    frame_encoder_free(&e);
}

static void frame_keeps_raw_what_does_not_gain(void **state)
{
    struct sandbox *s = *state;
    struct frame_encoder e;
    frame_encoder_init(&e);
    uint8_t *noise = sandbox_bytes(s, "", 4096);
    struct frame f = frame_encode(&e, (struct str){(char *)noise, 4096});
    assert_int_equal(f.encoding, FRAME_RAW);
    assert_ptr_equal(f.stored.s, noise);
    f = frame_encode(&e, STR(""));
    assert_int_equal(f.encoding, FRAME_RAW);
    assert_int_equal(f.stored.n, 0);
    frame_encoder_free(&e);
}

/* 8 raw ones in a row, then each 8th is tried, until one gains. */
static void frame_tries_less_after_many_raw_ones(void **state)
{
    struct sandbox *s = *state;
    struct frame_encoder e;
    frame_encoder_init(&e);
    struct str noise = {(char *)sandbox_bytes(s, "", 4096), 4096};
    struct str zeros = {arena_alloc(&s->arena, 4096, 1), 4096};
    for (int i = 0; i < FRAME_RAW_RUN; i++) {
        assert_int_equal(frame_encode(&e, noise).encoding, FRAME_RAW);
    }
    for (int i = 1; i < FRAME_RETRY; i++) {
        assert_int_equal(frame_encode(&e, zeros).encoding, FRAME_RAW); /* not even tried */
    }
    assert_int_equal(frame_encode(&e, zeros).encoding, FRAME_ZSTD);
    assert_int_equal(frame_encode(&e, zeros).encoding, FRAME_ZSTD);
    frame_encoder_free(&e);
}

/* At the edge of 1/16: one byte decides. */
static void frame_rule_is_one_sixteenth(void **state)
{
    struct sandbox *s = *state;
    uint8_t *bytes = sandbox_bytes(s, "", 4096);
    bool raw = false, packed = false;
    for (size_t zeros = 128; zeros < 512; zeros++) {
        struct frame_encoder e;
        frame_encoder_init(&e);
        memset(bytes, 0, zeros);
        struct buf always;
        buf_init(&always, 1 << 20);
        assert_true(frame_compress(&e, (struct str){(char *)bytes, 4096}, &always));
        bool gains = always.n <= 4096 - 4096 / 16;
        struct frame f = frame_encode(&e, (struct str){(char *)bytes, 4096});
        assert_int_equal(f.encoding, gains ? FRAME_ZSTD : FRAME_RAW);
        raw = raw || !gains;
        packed = packed || gains;
        buf_free(&always);
        frame_encoder_free(&e);
    }
    assert_true(raw && packed);
}

static void expect_refused(struct str stored, size_t raw_size)
{
    struct frame_decoder d;
    frame_decoder_init(&d);
    char *out = malloc(raw_size + 1);
    out[raw_size] = 'x';
    assert_false(frame_decode(&d, FRAME_ZSTD, stored, out, raw_size));
    assert_int_equal(out[raw_size], 'x');
    free(out);
    frame_decoder_free(&d);
}

static void frame_bad_ones_are_refused(void **state)
{
    struct sandbox *s = *state;
    struct frame_encoder e;
    struct buf frame;
    frame_encoder_init(&e);
    buf_init(&frame, 1 << 20);
    struct str text = {arena_alloc(&s->arena, 5000, 1), 5000};
    assert_true(frame_compress(&e, text, &frame));
    expect_refused(buf_str(&frame), 4999);
    expect_refused(buf_str(&frame), 5001);
    expect_refused(str_sub(buf_str(&frame), 0, frame.n - 1), 5000);
    expect_refused(STR(""), 0);
    expect_refused(STR("(\xb5/\xfd"), 0);
    size_t one = frame.n;
    assert_true(frame_compress(&e, text, &frame)); /* two frames are not one */
    expect_refused(buf_str(&frame), 10000);
    expect_refused(buf_str(&frame), 5000);
    frame.n = one;
    /* One that does not state its size. */
    char streamed[200];
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    size_t n = ZSTD_compress2(c, streamed, sizeof streamed, text.s, text.n);
    assert_false(ZSTD_isError(n));
    expect_refused((struct str){streamed, n}, 5000);
    ZSTD_freeCCtx(c);
    /* One that is to be skipped. */
    expect_refused(STR("\x50\x2a\x4d\x18\x00\x00\x00\x00"), 0);
    struct frame_decoder d;
    frame_decoder_init(&d);
    char out[4];
    assert_false(frame_decode(&d, 2, STR("abc"), out, 3));
    assert_false(frame_decode(&d, FRAME_RAW, STR("abc"), out, 2));
    assert_true(frame_decode(&d, FRAME_RAW, STR("abc"), out, 3));
    frame_decoder_free(&d);
    frame_encoder_free(&e);
    buf_free(&frame);
}

static void frame_compress_respects_the_limit(void **state)
{
    struct sandbox *s = *state;
    struct frame_encoder e;
    struct buf out;
    frame_encoder_init(&e);
    buf_init(&out, 1000);
    struct str zeros = {arena_alloc(&s->arena, 5000, 1), 5000};
    assert_true(frame_compress(&e, zeros, &out)); /* its bound would not fit, it does */
    struct str noise = {(char *)sandbox_bytes(s, "", 5000), 5000};
    assert_false(frame_compress(&e, noise, &out));
    buf_free(&out);
    frame_encoder_free(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(frame_compresses_what_gains, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(frame_keeps_raw_what_does_not_gain, sandbox_begin,
                                        sandbox_end),
        cmocka_unit_test_setup_teardown(frame_tries_less_after_many_raw_ones, sandbox_begin,
                                        sandbox_end),
        cmocka_unit_test_setup_teardown(frame_rule_is_one_sixteenth, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(frame_bad_ones_are_refused, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(frame_compress_respects_the_limit, sandbox_begin,
                                        sandbox_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
