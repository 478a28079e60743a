/* SPDX-License-Identifier: MIT */
/* The cutter: the same cuts for ever, within its bounds, and where content says so. */
#include "cache/chunk.h"
#include "sandbox.h"

static void chunk_gear_is_made_of_digests(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        char text[11] = "pawl gear";
        text[9] = (char)i;
        struct digest d = digest_of(text, 10);
        uint64_t x = 0;
        for (int k = 7; k >= 0; k--) {
            x = x << 8 | d.b[k];
        }
        assert_int_equal(chunk_gear[i], x);
    }
}

static void chunk_short_input_is_one_chunk(void **state)
{
    struct sandbox *s = *state;
    uint8_t *bytes = sandbox_bytes(s, "", CHUNK_MIN);
    assert_int_equal(chunk_cut(bytes, 0), 0);
    assert_int_equal(chunk_cut(bytes, 1), 1);
    assert_int_equal(chunk_cut(bytes, CHUNK_MIN), CHUNK_MIN);
}

/* All bytes alike never end a chunk but at its limit (or at once: not for zeros). */
static void chunk_zeros_end_at_the_limit(void **state)
{
    struct sandbox *s = *state;
    uint8_t *bytes = arena_alloc(&s->arena, 2 * CHUNK_MAX, 1);
    assert_int_equal(chunk_cut(bytes, 2 * CHUNK_MAX), CHUNK_MAX);
    assert_int_equal(chunk_cut(bytes, CHUNK_MAX - 1), CHUNK_MAX - 1);
}

static void chunk_cuts_stay_what_they_are(void **state)
{
    struct sandbox *s = *state;
    static const size_t CUTS[] = {79023, 70906, 67975, 39924, 67133, 95273, 92530, 81746, 80840};
    uint8_t *bytes = sandbox_bytes(s, "", 3 << 20);
    size_t at = 0, n = 3 << 20, count = 0;
    while (at < n) {
        size_t cut = chunk_cut(bytes + at, n - at);
        assert_true(cut > CHUNK_MIN && cut <= CHUNK_MAX);
        if (count < sizeof CUTS / sizeof CUTS[0]) {
            assert_int_equal(cut, CUTS[count]);
        }
        at += cut;
        count++;
    }
    assert_int_equal(count, 41);
}

static void chunk_needs_no_more_than_the_limit_ahead(void **state)
{
    struct sandbox *s = *state;
    uint8_t *bytes = sandbox_bytes(s, "ahead", 1 << 20);
    assert_int_equal(chunk_cut(bytes, 1 << 20), chunk_cut(bytes, CHUNK_MAX));
}

/* An insertion moves the cuts behind it only until they meet the old ones again. */
static void chunk_insertion_is_forgotten(void **state)
{
    struct sandbox *s = *state;
    size_t n = 4 << 20;
    uint8_t *bytes = sandbox_bytes(s, "insert", n);
    uint8_t *changed = arena_alloc(&s->arena, n + 1, 1);
    changed[0] = 'x';
    memcpy(changed + 1, bytes, n);
    size_t at = chunk_cut(bytes, n), moved = chunk_cut(changed, n + 1);
    int steps = 0;
    while (moved != at + 1 && steps++ < 20) {
        if (moved < at + 1) {
            moved += chunk_cut(changed + moved, n + 1 - moved);
        } else {
            at += chunk_cut(bytes + at, n - at);
        }
    }
    assert_true(moved == at + 1 && steps < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunk_gear_is_made_of_digests),
        cmocka_unit_test_setup_teardown(chunk_short_input_is_one_chunk, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(chunk_zeros_end_at_the_limit, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(chunk_cuts_stay_what_they_are, sandbox_begin, sandbox_end),
        cmocka_unit_test_setup_teardown(chunk_needs_no_more_than_the_limit_ahead, sandbox_begin,
                                        sandbox_end),
        cmocka_unit_test_setup_teardown(chunk_insertion_is_forgotten, sandbox_begin, sandbox_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
