/* SPDX-License-Identifier: MIT */
/* SHA-256 against the values of FIPS 180-4, at once and in pieces, and its hex form. */
#include "core/base/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char ABC[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char EMPTY[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

static void assert_hex(struct digest x, const char *want)
{
    struct buf b;
    buf_init(&b, 1000);
    digest_put_hex(&b, &x);
    assert_string_equal(b.s, want);
    buf_free(&b);
}

static void digest_of_known_texts(void **state)
{
    (void)state;
    assert_hex(digest_of("abc", 3), ABC);
    assert_hex(digest_of(NULL, 0), EMPTY);
}

static void digester_gives_the_same_in_pieces(void **state)
{
    (void)state;
    struct digester d;
    digester_begin(&d);
    digester_add(&d, "a", 1);
    digester_add(&d, NULL, 0);
    digester_add(&d, "bc", 2);
    assert_hex(digester_end(&d), ABC);
    digester_begin(&d);
    assert_hex(digester_end(&d), EMPTY);
}

static void digest_reads_its_own_hex(void **state)
{
    (void)state;
    struct digest x = digest_of("abc", 3), y;
    assert_true(digest_parse_hex(str_from(ABC), &y));
    assert_true(digest_eq(&x, &y));
    assert_int_equal(digest_cmp(&x, &y), 0);
    y.b[31] ^= 1;
    assert_false(digest_eq(&x, &y));
    assert_true(digest_cmp(&x, &y) != 0);
}

static void digest_refuses_other_hex(void **state)
{
    (void)state;
    char text[DIGEST_HEX + 1];
    struct digest x;
    memcpy(text, ABC, sizeof text);
    assert_false(digest_parse_hex((struct str){text, DIGEST_HEX - 1}, &x));
    assert_false(digest_parse_hex((struct str){text, DIGEST_HEX + 1}, &x));
    text[63] = 'D';
    assert_false(digest_parse_hex((struct str){text, DIGEST_HEX}, &x));
    text[63] = 'g';
    assert_false(digest_parse_hex((struct str){text, DIGEST_HEX}, &x));
    assert_false(digest_parse_hex(STR_NONE, &x));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digest_of_known_texts),
        cmocka_unit_test(digester_gives_the_same_in_pieces),
        cmocka_unit_test(digest_reads_its_own_hex),
        cmocka_unit_test(digest_refuses_other_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
