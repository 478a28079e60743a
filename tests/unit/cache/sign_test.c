/* SPDX-License-Identifier: MIT */
/* Ed25519 as RFC 8032 has it, key files as OpenSSL has them, and blocks that anybody may pass on and nobody change. */
#include "cache/key.h"
#include "cache/segment.h"
#include "core/base/file.h"

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

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static const struct {
    const char *seed, *key, *message, *signature;
} vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
     "d25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
     "387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
     "4a7c15e9716ed28dc027beceea1ec40a"},
};

static struct sign_private key_number(size_t i)
{
    uint8_t seed[SIGN_KEY];
    struct sign_private k;
    from_hex(vectors[i].seed, seed);
    assert_true(sign_private_from(seed, &k));
    return k;
}

static void signatures_are_those_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint8_t key[SIGN_KEY], message[8], wanted[SIGN_BYTES], got[SIGN_BYTES];
        struct sign_private k = key_number(i);
        from_hex(vectors[i].key, key);
        struct str text = {(const char *)message, from_hex(vectors[i].message, message)};
        from_hex(vectors[i].signature, wanted);
        assert_memory_equal(k.public.key, key, sizeof key);
        assert_true(sign_put(&k, text, got));
        assert_memory_equal(got, wanted, sizeof got);
        assert_true(sign_check(&k.public, text, got));
        struct sign_private other = key_number((i + 1) % 3);
        assert_false(sign_check(&other.public, text, got));
        for (size_t bit = 0; bit < 8 * sizeof got; bit += 7) {
            got[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(sign_check(&k.public, text, got));
            got[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

/* ---- key files ---- */

/* As `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout` write the first vector's. */
static const char private_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
    "-----END PRIVATE KEY-----\n";
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                                 "-----END PUBLIC KEY-----\n";

static void key_files_are_those_of_openssl(void **state)
{
    (void)state;
    struct sign_private k = key_number(0);
    struct sign_private read;
    struct sign_public public;
    struct buf b;
    buf_init(&b, KEY_TEXT_LIMIT);
    key_put_private(&b, &k);
    assert_true(str_eq(buf_str(&b), str_from(private_pem)));
    assert_true(key_read_private(buf_str(&b), &read));
    assert_memory_equal(&read, &k, sizeof k);
    buf_clear(&b);
    key_put_public(&b, &k.public);
    assert_true(str_eq(buf_str(&b), str_from(public_pem)));
    assert_true(key_read_public(buf_str(&b), &public));
    assert_memory_equal(&public, &k.public, sizeof public);
    buf_clear(&b);
    buf_printf(&b, "the key of the builder\n%s\n# until May\n", public_pem);
    assert_true(key_read_public(buf_str(&b), &public));
    buf_free(&b);
}

static bool reads(const char *text)
{
    struct sign_public k;
    return key_read_public(str_from(text), &k);
}

static void what_is_no_public_key_is_refused(void **state)
{
    (void)state;
    assert_false(reads(""));
    assert_false(reads(private_pem));
    assert_false(reads("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n"));
    assert_false(reads("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS"));
    /* of another kind (X25519), one byte short, one byte more, a digit that is none, two keys */
    assert_false(reads("-----BEGIN PUBLIC KEY-----\n"
                       "MCowBQYDK2VuAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                       "-----END PUBLIC KEY-----\n"));
    assert_false(reads("-----BEGIN PUBLIC KEY-----\n"
                       "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHUQ==\n"
                       "-----END PUBLIC KEY-----\n"));
    assert_false(reads("-----BEGIN PUBLIC KEY-----\n"
                       "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURoA\n"
                       "-----END PUBLIC KEY-----\n"));
    assert_false(reads("-----BEGIN PUBLIC KEY-----\n"
                       "MCowBQYDK2VwAyEA11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                       "-----END PUBLIC KEY-----\n"));
    char twice[sizeof public_pem * 2];
    snprintf(twice, sizeof twice, "%s%s", public_pem, public_pem);
    assert_false(reads(twice));
    for (size_t n = 0; n + 1 < sizeof public_pem - 1; n++) {
        char cut[sizeof public_pem] = {0};
        memcpy(cut, public_pem, n);
        assert_false(reads(cut));
    }
}

struct folder {
    char dir[64];
    struct arena arena;
    struct diags d;
};

static int begin(void **state)
{
    struct folder *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/pawl-sign-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    diags_init(&f->d, &f->arena);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct folder *f = *state;
    file_remove_tree(FILE_CWD, str_from(f->dir));
    arena_free(&f->arena);
    free(f);
    return 0;
}

static struct str file_of(struct folder *f, const char *name, const char *text, unsigned mode)
{
    struct str path = path_join(&f->arena, str_from(f->dir), str_from(name));
    assert_true(file_write(FILE_CWD, path, str_from(text), 0600, false));
    assert_int_equal(chmod(str_c(&f->arena, path), mode), 0);
    return path;
}

static void private_key_is_used_only_where_it_is_private(void **state)
{
    struct folder *f = *state;
    struct sign_private k;
    struct str path = path_join(&f->arena, str_from(f->dir), STR("none"));
    assert_int_equal(key_load_private(path, &k, &f->d, &f->d), KEY_ABSENT);
    assert_int_equal(f->d.all.n, 0);
    path = file_of(f, "good", private_pem, 0600);
    assert_int_equal(key_load_private(path, &k, &f->d, &f->d), KEY_GOOD);
    assert_int_equal(f->d.all.n, 0);
    path = file_of(f, "open", private_pem, 0640);
    assert_int_equal(key_load_private(path, &k, &f->d, &f->d), KEY_OPEN);
    assert_string_equal(f->d.all.at[0].code, "open-signing-key");
    assert_int_equal(f->d.errors, 0);
    path = file_of(f, "garbled", "-----BEGIN PRIVATE KEY-----\n", 0600);
    assert_int_equal(key_load_private(path, &k, &f->d, &f->d), KEY_BAD);
    assert_string_equal(f->d.all.at[1].code, "bad-signing-key");
    assert_int_equal(key_load_private(str_from(f->dir), &k, &f->d, &f->d), KEY_BAD);
}

static void own_secret_is_made_once(void **state)
{
    struct folder *f = *state;
    uint8_t one[SIGN_KEY], two[SIGN_KEY];
    struct str path = path_join(&f->arena, str_from(f->dir), STR("config/pawl/own"));
    assert_false(key_load_own(path, false, one));
    assert_true(key_load_own(path, true, one));
    assert_true(key_load_own(path, true, two));
    assert_memory_equal(one, two, sizeof one);
    assert_true(key_load_own(path, false, two));
    assert_memory_equal(one, two, sizeof one);
    assert_int_equal(file_stat(FILE_CWD, path, false).mode & 0777, 0600);
    assert_int_equal(chmod(str_c(&f->arena, path), 0644), 0); /* who knows who has read it */
    assert_false(key_load_own(path, false, two));
    assert_true(key_load_own(path, true, two));
    assert_memory_not_equal(one, two, sizeof one);
    assert_false(key_load_own(STR(""), true, two));
}

/* ---- blocks ---- */

static void put_block(struct buf *block, const char *writer)
{
    struct buf rows[3];
    struct str texts[3];
    for (uint8_t i = 0; i < 3; i++) {
        struct record r = {.fingerprint = digest_of(&i, 1), .success_ms = i};
        buf_init(&rows[i], RECORD_BYTES_LIMIT);
        assert_true(record_put(&rows[i], &r));
        texts[i] = buf_str(&rows[i]);
    }
    buf_init(block, SEGMENT_RAW_LIMIT);
    segment_block_put(block, str_from(writer), 5, texts, 3);
    for (uint8_t i = 0; i < 3; i++) {
        buf_free(&rows[i]);
    }
}

static bool keep_some(void *context, struct str row)
{
    const uint8_t *fingerprint;
    int64_t success;
    assert_true(segment_row_peek(row, &fingerprint, &success));
    return *(const unsigned *)context >> success & 1;
}

static void signature_holds_whatever_was_left_out(void **state)
{
    (void)state;
    struct sign_private k = key_number(0);
    struct sign_private other = key_number(1);
    struct buf block;
    put_block(&block, "me");
    assert_false(segment_block_check(buf_str(&block), &k.public));
    assert_true(segment_block_sign(&block, &k));
    assert_true(segment_block_check(buf_str(&block), &k.public));
    assert_false(segment_block_check(buf_str(&block), &other.public));
    for (unsigned kept = 0; kept < 8; kept++) {
        struct buf once, twice;
        unsigned less = kept & 5;
        buf_init(&once, SEGMENT_RAW_LIMIT);
        buf_init(&twice, SEGMENT_RAW_LIMIT);
        segment_block_reduce(&once, buf_str(&block), keep_some, &kept);
        assert_true(segment_block_check(buf_str(&once), &k.public));
        segment_block_reduce(&twice, buf_str(&once), keep_some, &less);
        assert_true(segment_block_check(buf_str(&twice), &k.public));
        buf_free(&once);
        buf_free(&twice);
    }
    buf_free(&block);
}

static void changed_block_is_not_signed(void **state)
{
    (void)state;
    struct sign_private k = key_number(0);
    struct buf block, other;
    put_block(&block, "me");
    put_block(&other, "we");
    assert_true(segment_block_sign(&block, &k));
    for (size_t i = 0; i < block.n; i++) {
        block.s[i] = (char)(block.s[i] ^ 0x10);
        assert_false(segment_block_check(buf_str(&block), &k.public));
        block.s[i] = (char)(block.s[i] ^ 0x10);
        assert_false(segment_block_check(str_sub(buf_str(&block), 0, i), &k.public));
    }
    /* another's records under this signature, and the key's name alone */
    memcpy(other.s + 12, block.s + 12, BLOCK_KEY);
    assert_false(segment_block_check(buf_str(&other), &k.public));
    memcpy(other.s + other.n - BLOCK_SIGNATURE, block.s + block.n - BLOCK_SIGNATURE,
           BLOCK_SIGNATURE);
    assert_false(segment_block_check(buf_str(&other), &k.public));
    assert_true(segment_block_check(buf_str(&block), &k.public));
    buf_free(&block);
    buf_free(&other);
}

static void marks_come_back_with_their_blocks(void **state)
{
    (void)state;
    uint8_t mark[BLOCK_MARK] = {1, 2, 3};
    struct segment_draft d;
    struct segment s;
    struct buf block, bytes;
    put_block(&block, "me");
    segment_draft_init(&d);
    segment_draft_add_block(&d, buf_str(&block));
    segment_draft_add_block(&d, buf_str(&block));
    segment_draft_mark(&d, mark);
    buf_init(&bytes, SEGMENT_STORED_LIMIT);
    assert_true(segment_draft_write(&d, &bytes));
    assert_int_equal(segment_read(buf_str(&bytes), &s), SEGMENT_GOOD);
    assert_null(s.blocks.at[0].mark);
    assert_memory_equal(s.blocks.at[1].mark, mark, sizeof mark);
    segment_free(&s);
    d.marks.s[0] = 2; /* there is no third block */
    buf_clear(&bytes);
    assert_true(segment_draft_write(&d, &bytes));
    assert_int_equal(segment_read(buf_str(&bytes), &s), SEGMENT_BAD);
    segment_draft_free(&d);
    buf_free(&block);
    buf_free(&bytes);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_are_those_of_the_rfc),
        cmocka_unit_test(key_files_are_those_of_openssl),
        cmocka_unit_test(what_is_no_public_key_is_refused),
        CASE(private_key_is_used_only_where_it_is_private),
        CASE(own_secret_is_made_once),
        cmocka_unit_test(signature_holds_whatever_was_left_out),
        cmocka_unit_test(changed_block_is_not_signed),
        cmocka_unit_test(marks_come_back_with_their_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
