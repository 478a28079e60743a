/* SPDX-License-Identifier: MIT */
/* Signature Version 4 against what AWS publishes: the S3 examples of its reference, and the vectors of its
 * signing test suite that apply to a signer which normalises nothing. */
#include "cache/aws.h"

#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

#define FIELDS 5

/* Fields end at the first without a name. */
struct vector {
    const char *name, *method, *path;
    struct aws_field query[FIELDS], headers[FIELDS];
    const char *token, *payload, *signature;
    const char *target; /* NULL: the same as path */
};

#define T(literal)                                                                                 \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define F(name, value)                                                                             \
    {                                                                                              \
        T(name), T(value)                                                                          \
    }

static const struct vector suite[] = {
    {"get-vanilla", "GET", "/",
     .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"get-header-key-duplicate", "GET", "/",
     .headers = {F("My-Header1", "value2"), F("My-Header1", "value2"), F("My-Header1", "value1")},
     .signature = "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order", "GET", "/",
     .headers = {F("My-Header1", "value4"), F("My-Header1", "value1"), F("My-Header1", "value3"),
                 F("My-Header1", "value2")},
     .signature = "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-header-value-trim", "GET", "/",
     .headers = {F("My-Header1", " value1"), F("My-Header2", " \"a   b   c\"")},
     .signature = "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"get-relative-unnormalized", "GET", "/example/..",
     .signature = "eca7ead57bb5aa5c8e28007acd4ff04e1ff9a0ff3b237ec1554a184887ff9282"},
    {"get-relative-relative-unnormalized", "GET", "/example1/example2/../..",
     .signature = "dc33e0856fd4baca4d7aa2146c38958283844764f38c74252a333df5e613003b"},
    {"get-slash-dot-slash-unnormalized", "GET", "/./",
     .signature = "68714168e6557f8f2de0ef956fc24dc2593a4bd2961f8df51898d8a134695145"},
    {"get-slash-pointless-dot-unnormalized", "GET", "/./example",
     .signature = "beb03f223f7deae4146464f06e29eebbee9c8afbe15c290cf07aa8b119e14cff"},
    {"get-slash-unnormalized", "GET", "//",
     .signature = "c88bcd3d312d75078c0cd961d6deae3f4c754924b01669efcfcb439fd5e5b76e"},
    {"get-slashes-unnormalized", "GET", "//example//",
     .signature = "87cca117541a147f6df867677d98a7d80dff226d2bfca9e4ffa899665623c7e5"},
    {"get-space-unnormalized", "GET", "/example space/",
     .signature = "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
     .target = "/example%20space/"},
    {"get-unreserved", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
     .signature = "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
    {"get-utf8", "GET", "/\xe1\x88\xb4",
     .signature = "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
     .target = "/%E1%88%B4"},
    {"get-vanilla-empty-query-key", "GET", "/", .query = {F("Param1", "value1")},
     .signature = "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
     .target = "/?Param1=value1"},
    {"get-vanilla-query-order-encoded", "GET", "/",
     .query = {F("Param-3", "Value3"), F("Param", "Value2"), F("\xe1\x88\xb4", "Value1")},
     .signature = "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
     .target = "/?%E1%88%B4=Value1&Param=Value2&Param-3=Value3"},
    {"get-vanilla-query-order-key-case", "GET", "/",
     .query = {F("Param2", "value2"), F("Param1", "value1")},
     .signature = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
     .target = "/?Param1=value1&Param2=value2"},
    {"get-vanilla-query-unreserved", "GET", "/",
     .query = {F("-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                 "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")},
     .signature = "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197",
     .target = "/?-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz="
               "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"},
    {"get-vanilla-utf8-query", "GET", "/", .query = {F("\xe1\x88\xb4", "bar")},
     .signature = "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
     .target = "/?%E1%88%B4=bar"},
    {"get-vanilla-with-session-token", "GET", "/",
     .token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267",
     .signature = "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
    {"post-vanilla", "POST", "/",
     .signature = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"post-header-key-sort", "POST", "/", .headers = {F("My-Header1", "value1")},
     .signature = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
    {"post-header-value-case", "POST", "/", .headers = {F("My-Header1", "VALUE1")},
     .signature = "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d"},
    {"post-sts-header-before", "POST", "/",
     .token =
         "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmx"
         "fpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0K"
         "PkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZb"
         "qBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
     .signature = "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
    {"post-vanilla-query", "POST", "/", .query = {F("Param1", "value1")},
     .signature = "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
     .target = "/?Param1=value1"},
    /* these two also sign x-amz-content-sha256, which only S3 is sent of our own accord */
    {"post-x-www-form-urlencoded", "POST", "/",
     .headers = {F("Content-Type", "application/x-www-form-urlencoded"), F("Content-Length", "13"),
                 F("x-amz-content-sha256",
                   "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e")},
     .payload = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
     .signature = "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
    {"post-x-www-form-urlencoded-parameters", "POST", "/",
     .headers = {F("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),
                 F("Content-Length", "13"),
                 F("x-amz-content-sha256",
                   "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e")},
     .payload = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
     .signature = "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
};

/* From "Signature Calculations for the Authorization Header" of the S3 reference. */
static const struct vector s3_examples[] = {
    {"GET object", "GET", "/test.txt", .headers = {F("Range", "bytes=0-9")},
     .signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
    {"PUT object", "PUT", "/test$file.text",
     .headers = {F("Date", "Fri, 24 May 2013 00:00:00 GMT"),
                 F("x-amz-storage-class", "REDUCED_REDUNDANCY")},
     .payload = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
     .signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
     .target = "/test%24file.text"},
    {"GET lifecycle", "GET", "/", .query = {F("lifecycle", "")},
     .signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
     .target = "/?lifecycle="},
    {"list objects", "GET", "/", .query = {F("prefix", "J"), F("max-keys", "2")},
     .signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
     .target = "/?max-keys=2&prefix=J"},
};

static uint32_t count_fields(const struct aws_field fields[FIELDS])
{
    uint32_t n = 0;
    while (n < FIELDS && fields[n].name.n > 0) {
        n++;
    }
    return n;
}

static struct str text_of(const char *s)
{
    return s ? str_from(s) : STR_NONE;
}

static struct str sent(const struct aws_signed *x, struct str name)
{
    for (uint32_t i = 0; i < x->header_count; i++) {
        if (str_eq(x->headers[i].name, name)) {
            return x->headers[i].value;
        }
    }
    return STR_NONE;
}

static void check(const struct vector *v, const struct aws_scope *scope, struct str host,
                  struct aws_keys keys)
{
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    struct aws_request r = {.method = str_from(v->method),
                            .host = host,
                            .path = str_from(v->path),
                            .query = v->query,
                            .query_count = count_fields(v->query),
                            .headers = v->headers,
                            .header_count = count_fields(v->headers),
                            .payload = text_of(v->payload)};
    keys.token = text_of(v->token);
    struct aws_signed out;
    assert_true(aws_sign(&a, &r, scope, &keys, &out, &d));
    struct str tail = str_printf(&a, ", Signature=%s", v->signature);
    if (!str_ends(sent(&out, STR("authorization")), tail)) {
        fail_msg("%s:\n%.*s\n%.*s", v->name, STR_ARG(out.canonical),
                 STR_ARG(sent(&out, STR("authorization"))));
    }
    assert_string_equal(str_c(&a, out.target), v->target ? v->target : v->path);
    assert_true(str_eq(sent(&out, STR("x-amz-security-token")), keys.token));
    arena_free(&a);
}

static void aws_signs_as_the_published_suite(void **state)
{
    (void)state;
    struct aws_scope scope = {STR("us-east-1"), STR("service"), 1440938160};
    struct aws_keys keys = {STR("AKIDEXAMPLE"), STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                            STR_NONE};
    for (size_t i = 0; i < sizeof suite / sizeof *suite; i++) {
        check(&suite[i], &scope, STR("example.amazonaws.com"), keys);
    }
}

static const struct aws_scope s3_scope = {T("us-east-1"), T("s3"), 1369353600};
static const struct aws_keys s3_keys = {
    T("AKIAIOSFODNN7EXAMPLE"), T("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), {NULL, 0}};

static void aws_signs_as_the_s3_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof s3_examples / sizeof *s3_examples; i++) {
        check(&s3_examples[i], &s3_scope, STR("examplebucket.s3.amazonaws.com"), s3_keys);
    }
}

struct at_work {
    struct arena a;
    struct diags d;
    struct aws_signed out;
};

static bool sign(struct at_work *w, const struct aws_request *r, const struct aws_keys *keys)
{
    diags_init(&w->d, &w->a);
    return aws_sign(&w->a, r, &s3_scope, keys, &w->out, &w->d);
}

static void aws_escapes_each_byte_of_a_key_once(void **state)
{
    (void)state;
    struct at_work w = {0};
    struct aws_request r = {.method = STR("GET"),
                            .host = STR("h:9000"),
                            .path = STR("/b/a b+c=d%20e//../\xc3\xbc*'()!&?#\x01\n~/")};
    assert_true(sign(&w, &r, &s3_keys));
    assert_string_equal(str_c(&w.a, w.out.target),
                        "/b/a%20b%2Bc%3Dd%2520e//../%C3%BC%2A%27%28%29%21%26%3F%23%01%0A~/");
    arena_free(&w.a);
}

static void aws_sorts_a_query_by_its_escaped_bytes(void **state)
{
    (void)state;
    struct at_work w = {0};
    struct aws_field query[] = {{STR("prefix"), STR("f/a b+c")},
                                {STR("uploads"), STR_NONE},
                                {STR("a-b"), STR("1")},
                                {STR("a"), STR("2")},
                                {STR("a"), STR("1")},
                                {STR("list-type"), STR("2")},
                                {STR("_"), STR("x=y&z")}};
    struct aws_request r = {.method = STR("GET"),
                            .host = STR("h"),
                            .path = STR("/b"),
                            .query = query,
                            .query_count = 7};
    assert_true(sign(&w, &r, &s3_keys));
    assert_string_equal(str_c(&w.a, w.out.target), "/b?_=x%3Dy%26z&a=1&a=2&a-b=1&list-type=2&"
                                                   "prefix=f%2Fa%20b%2Bc&uploads=");
    arena_free(&w.a);
}

static void aws_signs_every_header_in_the_order_of_whole_names(void **state)
{
    (void)state;
    struct at_work w = {0};
    struct aws_field headers[] = {{STR("x-amz-meta-a-b"), STR("1")},
                                  {STR("X-Amz-Meta-A"), STR(" 2\t  3 ")}};
    struct aws_request r = {.method = STR("PUT"),
                            .host = STR("h"),
                            .path = STR("/b/k"),
                            .headers = headers,
                            .header_count = 2,
                            .payload = AWS_UNSIGNED};
    struct aws_keys keys = s3_keys;
    keys.token = STR("tok/en==");
    assert_true(sign(&w, &r, &keys));
    assert_string_equal(str_c(&w.a, w.out.canonical),
                        "PUT\n/b/k\n\nhost:h\nx-amz-content-sha256:UNSIGNED-PAYLOAD\n"
                        "x-amz-date:20130524T000000Z\nx-amz-meta-a:2 3\nx-amz-meta-a-b:1\n"
                        "x-amz-security-token:tok/en==\n\n"
                        "host;x-amz-content-sha256;x-amz-date;x-amz-meta-a;x-amz-meta-a-b;"
                        "x-amz-security-token\nUNSIGNED-PAYLOAD");
    assert_true(
        str_starts(sent(&w.out, STR("authorization")),
                   STR("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                       "aws4_request, SignedHeaders=host;")));
    assert_int_equal(w.out.header_count, 6); /* the two, four of signing; host is the transport's */
    arena_free(&w.a);
}

static void refused(struct aws_request r, struct aws_keys keys)
{
    struct at_work w = {0};
    assert_false(sign(&w, &r, &keys));
    assert_int_equal(w.d.errors, 1);
    assert_string_equal(w.d.all.at[0].code, "bad-request");
    assert_int_equal(str_find(w.d.all.at[0].message, STR("s3cret")), -1);
    arena_free(&w.a);
}

static void aws_refuses_what_would_break_out_of_a_header(void **state)
{
    (void)state;
    struct aws_request good = {.method = STR("GET"), .host = STR("h"), .path = STR("/b")}, r = good;
    struct aws_field header = {STR("x-amz-meta-a"), STR("s3cret\r\nx: y")};
    r.headers = &header;
    r.header_count = 1;
    refused(r, s3_keys);
    header = (struct aws_field){STR("a b"), STR("s3cret")};
    refused(r, s3_keys);
    struct aws_keys keys = s3_keys;
    keys.token = STR("s3cret\n");
    refused(good, keys);
    keys = s3_keys;
    keys.secret = STR_NONE;
    refused(good, keys);
    r = good;
    r.host = STR("h\nx:s3cret");
    refused(r, s3_keys);
    r = good;
    r.path = STR("b");
    refused(r, s3_keys);
    r = good;
    r.header_count = AWS_FIELD_LIMIT + 1;
    refused(r, s3_keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aws_signs_as_the_published_suite),
        cmocka_unit_test(aws_signs_as_the_s3_reference),
        cmocka_unit_test(aws_escapes_each_byte_of_a_key_once),
        cmocka_unit_test(aws_sorts_a_query_by_its_escaped_bytes),
        cmocka_unit_test(aws_signs_every_header_in_the_order_of_whole_names),
        cmocka_unit_test(aws_refuses_what_would_break_out_of_a_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
