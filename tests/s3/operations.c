/* SPDX-License-Identifier: MIT */
/* The operations of S3 at a real gateway: odd keys, heads, bulk deletes, several at once; who is refused, and how
 * that is told; certificates; a clock that is off. */
#include "cache/s3_keys.h"
#include "core/base/file.h"
#include "tests/s3/bucket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

static bool take(void *context, const void *bytes, size_t n)
{
    struct buf *b = context;
    buf_put(b, bytes, n);
    return !b->full;
}

static enum s3_end put(struct bucket *b, const char *key, const char *value, struct s3_reply *reply)
{
    struct str part = str_from(value);
    struct depot_source source = DEPOT_PARTS(&part, 1);
    return s3_put(b->s3, str_from(key), &source, false, reply);
}

static int begin(void **state)
{
    struct bucket *b = calloc(1, sizeof *b);
    bucket_open(b, (struct bucket_wish){0});
    bucket_make(b);
    *state = b;
    return 0;
}

static int end(void **state)
{
    bucket_close(*state);
    free(*state);
    return 0;
}

static const char *const ODD[] = {"odd/a b",         "odd/a+b",           "odd/a=b&c=d",
                                  "odd/100%",        "odd/%20",           "odd//double",
                                  "odd/ümlaut/日本", "odd/a;b,c:@$!'()*", "odd/q?uery#frag",
                                  "odd/~-._",        "odd/<&>\"'",        "odd/back\\slash"};
enum { ODD_COUNT = sizeof ODD / sizeof ODD[0] };

static void odd_keys_come_back(void **state)
{
    struct bucket *b = *state;
    struct s3_reply reply;
    struct arena a = {0};
    struct s3_listing listing;
    for (size_t i = 0; i < ODD_COUNT; i++) {
        assert_int_equal(put(b, ODD[i], ODD[i], &reply), S3_DONE);
    }
    for (size_t i = 0; i < ODD_COUNT; i++) {
        struct buf got;
        struct depot_sink sink = {take, &got};
        buf_init(&got, 100);
        assert_int_equal(s3_get(b->s3, str_from(ODD[i]), DEPOT_ALL, sink, &reply), S3_DONE);
        assert_string_equal(got.s, ODD[i]);
        buf_free(&got);
    }
    struct s3_query query = {.prefix = STR("odd/"), .limit = 5};
    uint32_t found = 0;
    do { /* in pages, by the server's tokens */
        assert_int_equal(s3_list(b->s3, &query, &a, &listing, &reply), S3_DONE);
        for (uint32_t i = 0; i < listing.count; i++) {
            for (size_t k = 0; k < ODD_COUNT; k++) {
                found += str_eq(listing.entries[i].key, str_from(ODD[k]));
            }
        }
        query.token = listing.next;
    } while (listing.truncated);
    assert_int_equal(found, ODD_COUNT);
    arena_free(&a);
}

/* No XML can hold them as they are. */
static void control_characters_come_back(void **state)
{
    struct bucket *b = *state;
    struct s3_reply reply;
    struct arena a = {0};
    struct s3_listing listing;
    static const char *const KEYS[] = {"control/\x01\x1f", "control/a\nb\t", "control/plain"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(put(b, KEYS[i], "x", &reply), S3_DONE);
    }
    struct s3_query query = {.prefix = STR("control/")};
    assert_int_equal(s3_list(b->s3, &query, &a, &listing, &reply), S3_DONE);
    assert_int_equal(listing.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_true(str_eq(listing.entries[i].key, str_from(KEYS[i])));
        assert_int_equal(s3_delete(b->s3, listing.entries[i].key, &reply), S3_DONE);
    }
    arena_free(&a);
}

static void odd_keys_are_deleted_in_bulk(void **state)
{
    struct bucket *b = *state;
    struct s3_reply reply;
    struct s3_deleted failed;
    struct s3_listing listing;
    struct arena a = {0};
    struct str keys[ODD_COUNT + 1];
    for (size_t i = 0; i < ODD_COUNT; i++) {
        assert_int_equal(put(b, ODD[i], "x", &reply), S3_DONE);
        keys[i] = str_from(ODD[i]);
    }
    keys[ODD_COUNT] = STR("odd/none");
    assert_int_equal(s3_delete_all(b->s3, keys, ODD_COUNT + 1, &a, &failed, &reply), S3_DONE);
    assert_int_equal(failed.failed_count, 0);
    struct s3_query query = {.prefix = STR("odd/")};
    assert_int_equal(s3_list(b->s3, &query, &a, &listing, &reply), S3_DONE);
    assert_int_equal(listing.count, 0);
    arena_free(&a);
}

static void delimiter_gives_prefixes(void **state)
{
    struct bucket *b = *state;
    struct s3_reply reply;
    struct s3_listing listing;
    struct arena a = {0};
    assert_int_equal(put(b, "deep/a/1", "x", &reply), S3_DONE);
    assert_int_equal(put(b, "deep/b", "x", &reply), S3_DONE);
    struct s3_query query = {.prefix = STR("deep/"), .delimiter = STR("/")};
    assert_int_equal(s3_list(b->s3, &query, &a, &listing, &reply), S3_DONE);
    assert_int_equal(listing.count, 1);
    assert_int_equal(listing.prefix_count, 1);
    assert_true(str_eq(listing.prefixes[0], STR("deep/a/")));
    assert_true(listing.entries[0].etag.n == 34);
    arena_free(&a);
}

static void head_tells_size_time_and_etag(void **state)
{
    struct bucket *b = *state;
    struct s3_reply reply;
    assert_int_equal(put(b, "head/x", "hello", &reply), S3_DONE);
    assert_int_equal(s3_head(b->s3, STR("head/x"), &reply), S3_DONE);
    assert_int_equal(reply.size, 5);
    assert_string_equal(reply.etag, "\"5d41402abc4b2a76b9719d911017c592\"");
    assert_true(llabs(reply.modified_ms - time_now_ns() / 1000000) < 10000);
    assert_int_equal(s3_head(b->s3, STR("head/none"), &reply), S3_ABSENT);
}

static void several_go_side_by_side(void **state)
{
    struct bucket *b = *state;
    struct s3_reply reply;
    enum { WANTS = 40 };
    struct s3_want wants[WANTS] = {0};
    struct buf got[WANTS];
    assert_int_equal(put(b, "beside/x", "0123456789", &reply), S3_DONE);
    for (size_t i = 0; i < WANTS; i++) {
        buf_init(&got[i], 100);
        wants[i] = (struct s3_want){.key = i == 7 ? STR("beside/none") : STR("beside/x"),
                                    .range = {i % 10, 1},
                                    .sink = {take, &got[i]}};
    }
    assert_false(s3_get_all(b->s3, wants, WANTS));
    for (size_t i = 0; i < WANTS; i++) {
        assert_int_equal(wants[i].reply.end, i == 7 ? S3_ABSENT : S3_DONE);
        assert_true(i == 7 || (got[i].n == 1 && got[i].s[0] == (char)('0' + i % 10)));
        buf_free(&got[i]);
    }
    wants[7].key = STR("beside/x");
    assert_true(s3_head_all(b->s3, wants, WANTS));
    assert_int_equal(wants[39].reply.size, 10);
}

/* ---- who is refused ---- */

static enum s3_end ask(struct bucket_wish wish, struct s3_reply *reply)
{
    struct bucket b;
    bucket_open(&b, wish);
    enum s3_end answer = put(&b, "refused/x", "x", reply);
    bucket_close(&b);
    return answer;
}

static void wrong_secret_is_told_at_once(void **state)
{
    struct s3_reply reply;
    (void)state;
    assert_int_equal(ask((struct bucket_wish){.secret = "wrong"}, &reply), S3_UNKNOWN);
    assert_string_equal(reply.code, "SignatureDoesNotMatch");
    assert_int_equal(reply.attempts, 1);
    assert_int_equal(ask((struct bucket_wish){.key_id = "NOBODY"}, &reply), S3_UNKNOWN);
    assert_string_equal(reply.code, "InvalidAccessKeyId");
    assert_null(strstr(reply.trouble, "NOBODY"));
}

static void missing_bucket_is_told(void **state)
{
    struct s3_reply reply;
    (void)state;
    assert_int_equal(ask((struct bucket_wish){.name = "no-such-bucket"}, &reply), S3_NO_BUCKET);
    struct bucket b;
    bucket_open(&b, (struct bucket_wish){.name = "no-such-bucket"});
    struct depot *d = depot_s3_open(b.s3, STR("x"), true);
    struct depot_reply answer;
    struct str value = STR("v");
    struct depot_source source = DEPOT_PARTS(&value, 1);
    assert_int_equal(depot_put(d, STR("m/1"), &source, false, &answer), DEPOT_REFUSED);
    assert_int_equal(depot_put(d, STR("m/1"), &source, false, &answer), DEPOT_REFUSED);
    depot_s3_tell(d, &b.notes);
    depot_s3_tell(d, &b.notes);
    assert_int_equal(b.notes.warnings, 1); /* once, however often it happened */
    depot_close(d);
    bucket_close(&b);
}

static void clock_that_is_off_is_learned(void **state)
{
    struct s3_reply reply;
    (void)state;
    assert_int_equal(ask((struct bucket_wish){.ahead_ms = -3600 * 1000}, &reply), S3_DONE);
    assert_int_equal(reply.attempts, 2);
    assert_int_equal(ask((struct bucket_wish){.ahead_ms = 86400 * 1000}, &reply), S3_DONE);
    struct bucket b;
    bucket_open(&b, (struct bucket_wish){.ahead_ms = -86400 * 1000});
    assert_int_equal(s3_head(b.s3, STR("refused/x"), &reply), S3_DONE); /* 403 without a word */
    assert_true(llabs(s3_now_ms(b.s3) - time_now_ns() / 1000000) < 5000);
    assert_int_equal(s3_head(b.s3, STR("refused/x"), &reply), S3_DONE);
    assert_int_equal(reply.attempts, 1);
    bucket_close(&b);
}

/* Somebody else's bucket: a key that may not be read counts as a miss, and is told once. */
static void forbidden_key_is_a_miss(void **state)
{
    (void)state;
    struct bucket b;
    bucket_open(&b, (struct bucket_wish){.key_id = bucket_env("S3_TEST_STRANGER"),
                                         .secret = bucket_env("S3_TEST_SECRET")});
    struct depot *d = depot_s3_open(b.s3, STR("x"), true);
    struct depot_reply reply;
    struct str value = STR("v");
    struct depot_source source = DEPOT_PARTS(&value, 1);
    struct buf got;
    struct depot_sink sink = {take, &got};
    struct depot_each each = {NULL, NULL};
    buf_init(&got, 10);
    assert_int_equal(depot_get(d, STR("m/1"), DEPOT_ALL, sink, &reply), DEPOT_ABSENT);
    assert_int_equal(depot_get(d, STR("m/2"), DEPOT_ALL, sink, &reply), DEPOT_ABSENT);
    depot_s3_tell(d, &b.notes);
    assert_int_equal(b.notes.warnings, 1);
    assert_string_equal(b.notes.all.at[0].code, "remote-denied");
    assert_int_equal(depot_put(d, STR("m/1"), &source, false, &reply), DEPOT_REFUSED);
    assert_int_equal(depot_drop(d, STR("m/1"), &reply), DEPOT_REFUSED);
    assert_int_equal(depot_list(d, STR("m/"), STR(""), each, &reply), DEPOT_REFUSED);
    depot_close(d);
    bucket_close(&b);
}

static void read_only_depot_asks_nothing(void **state)
{
    struct bucket *b = *state;
    struct depot *d = depot_s3_open(b->s3, STR("x"), false);
    struct depot_reply reply;
    struct str value = STR("v");
    struct depot_source source = DEPOT_PARTS(&value, 1);
    uint64_t before = http_count(b->http).requests;
    assert_int_equal(depot_put(d, STR("m/1"), &source, false, &reply), DEPOT_REFUSED);
    assert_int_equal(depot_drop(d, STR("m/1"), &reply), DEPOT_REFUSED);
    assert_int_equal(http_count(b->http).requests, before);
    depot_close(d);
}

/* ---- keys from where every AWS tool takes them ---- */

static enum s3_end ask_with(const char *const *environment, struct s3_reply *reply)
{
    struct arena a = {0};
    struct diags notes;
    struct http_settings transport = http_settings_default();
    diags_init(&notes, &a);
    struct s3_wallet *w =
        s3_wallet_open(&(struct credentials_settings){.environment = environment}, &notes);
    const struct credentials_place *place = s3_wallet_place(w);
    struct http *http = http_open(&transport, &notes);
    s3_wallet_use(w, http);
    struct s3_settings settings = {
        .where = {.endpoint = place->endpoint, .region = place->region, .bucket = STR(BUCKET)},
        .keys = s3_wallet_keys(w)};
    struct s3 *s3 = s3_open(http, &settings, &notes);
    assert_non_null(s3);
    struct str value = STR("v");
    struct depot_source source = DEPOT_PARTS(&value, 1);
    enum s3_end answer = s3_put(s3, STR("keys/x"), &source, false, reply);
    s3_close(s3);
    http_close(http);
    s3_wallet_close(w);
    arena_free(&a);
    return answer;
}

static const char *variable(struct arena *a, const char *name, const char *value)
{
    return str_c(a, str_printf(a, "%s=%s", name, value));
}

static void keys_come_from_the_environment(void **state)
{
    struct arena a = {0};
    struct s3_reply reply;
    (void)state;
    const char *environment[] = {
        variable(&a, "AWS_ACCESS_KEY_ID", bucket_env("S3_TEST_KEY")),
        variable(&a, "AWS_SECRET_ACCESS_KEY", bucket_env("S3_TEST_SECRET")),
        variable(&a, "AWS_ENDPOINT_URL_S3", bucket_env("S3_TEST_ENDPOINT")), "HOME=/nonexistent",
        NULL};
    assert_int_equal(ask_with(environment, &reply), S3_DONE);
    arena_free(&a);
}

static void keys_come_from_a_container(void **state)
{
    struct arena a = {0};
    struct s3_reply reply;
    (void)state;
    const char *environment[] = {
        variable(&a, "AWS_CONTAINER_CREDENTIALS_FULL_URI", bucket_env("S3_TEST_CONTAINER")),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN=let-me-in",
        variable(&a, "AWS_ENDPOINT_URL_S3", bucket_env("S3_TEST_ENDPOINT")), "HOME=/nonexistent",
        NULL};
    assert_int_equal(ask_with(environment, &reply), S3_DONE);
    environment[1] = "AWS_CONTAINER_AUTHORIZATION_TOKEN=wrong";
    assert_int_equal(ask_with(environment, &reply), S3_UNKNOWN);
    assert_int_equal(reply.attempts, 0);
    assert_true(reply.trouble[0]);
    arena_free(&a);
}

/* ---- certificates ---- */

static void certificate_of_nobody_known_is_refused(void **state)
{
    struct s3_reply reply;
    (void)state;
    struct bucket_wish wish = {.endpoint_variable = "S3_TEST_TLS_ENDPOINT"};
    assert_int_equal(ask(wish, &reply), S3_REFUSED);
    assert_int_equal(reply.status, 0);
    assert_int_equal(reply.attempts, 1);
    wish.ca = bucket_env("S3_TEST_CA");
    assert_int_equal(ask(wish, &reply), S3_DONE);
    wish.endpoint_variable =
        "S3_TEST_TLS_OTHER_NAME"; /* the same server, by a name that is not in it */
    assert_int_equal(ask(wish, &reply), S3_REFUSED);
}

static void certificates_that_cannot_be_read_are_told(void **state)
{
    (void)state;
    struct arena a = {0};
    struct diags notes;
    struct http_settings settings = http_settings_default();
    diags_init(&notes, &a);
    settings.ca_bundle = STR("/none/such.pem");
    assert_null(http_open(&settings, &notes));
    assert_int_equal(notes.warnings, 1);
    arena_free(&a);
}

static void connections_are_kept(void **state)
{
    struct bucket *b = *state;
    struct s3_reply reply;
    int64_t began = time_boot_ns();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(s3_head(b->s3, STR("kept/none"), &reply), S3_ABSENT);
    }
    print_message("100 requests in %lld ms\n", (long long)((time_boot_ns() - began) / 1000000));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(odd_keys_come_back),
        CASE(control_characters_come_back),
        CASE(odd_keys_are_deleted_in_bulk),
        CASE(delimiter_gives_prefixes),
        CASE(head_tells_size_time_and_etag),
        CASE(several_go_side_by_side),
        CASE(wrong_secret_is_told_at_once),
        CASE(missing_bucket_is_told),
        CASE(clock_that_is_off_is_learned),
        CASE(forbidden_key_is_a_miss),
        CASE(read_only_depot_asks_nothing),
        CASE(keys_come_from_the_environment),
        CASE(keys_come_from_a_container),
        CASE(certificate_of_nobody_known_is_refused),
        CASE(certificates_that_cannot_be_read_are_told),
        CASE(connections_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
