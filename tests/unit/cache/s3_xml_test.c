/* SPDX-License-Identifier: MIT */
/* The XML of S3: what the documents say, and what of them is refused. */
#include "cache/s3_address.h"
#include "cache/s3_xml.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define ROOT "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define ENTRY                                                                                      \
    "<Contents><Key>m/a&amp;b &#252;</Key><LastModified>2026-11-22T14:03:05.123Z</LastModified>"   \
    "<ETag>&quot;5d41402abc4b2a76b9719d911017c592&quot;</ETag><Size>42</Size>"                     \
    "<Owner><ID>x</ID></Owner><StorageClass>STANDARD</StorageClass></Contents>"

static bool listing_of(struct arena *a, const char *text, struct s3_listing *out)
{
    return s3_xml_read_listing(a, str_from(text), out);
}

static void listing_is_read(void **state)
{
    struct arena a = {0};
    struct s3_listing l;
    (void)state;
    assert_true(listing_of(&a,
                           HEAD ROOT "<Name>b</Name><KeyCount>1</KeyCount><IsTruncated>true"
                                     "</IsTruncated><NextContinuationToken>1&amp;2"
                                     "</NextContinuationToken>" ENTRY
                                     "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
                                     "</ListBucketResult>",
                           &l));
    assert_int_equal(l.count, 1);
    assert_true(str_eq(l.entries[0].key, STR("m/a&b \xc3\xbc")));
    assert_int_equal(l.entries[0].size, 42);
    assert_int_equal(l.entries[0].modified_ms, INT64_C(1795356185123));
    assert_true(str_eq(l.entries[0].etag, STR("\"5d41402abc4b2a76b9719d911017c592\"")));
    assert_true(l.truncated);
    assert_true(str_eq(l.next, STR("1&2")));
    assert_int_equal(l.prefix_count, 1);
    arena_free(&a);
}

#define PLAIN_ENTRY(key)                                                                           \
    "<Contents><Key>" key "</Key><LastModified>2026-11-22T14:03:05.123Z</LastModified>"            \
    "<Size>42</Size></Contents>"

static void escaped_keys_are_read(void **state)
{
    struct arena a = {0};
    struct s3_listing l;
    (void)state;
    assert_true(listing_of(&a,
                           HEAD ROOT "<IsTruncated>false</IsTruncated>" PLAIN_ENTRY(
                               "m%2Fa%01%0a%2B+%25%C3%BC") "<CommonPrefixes><Prefix>p%2f</Prefix>"
                                                           "</CommonPrefixes>"
                                                           "<EncodingType>url</EncodingType>"
                                                           "</ListBucketResult>",
                           &l));
    assert_true(str_eq(l.entries[0].key, STR("m/a\x01\n+ %\xc3\xbc")));
    assert_true(str_eq(l.prefixes[0], STR("p/")));
    /* Of a server that does not know how, a key is what it is. */
    assert_true(listing_of(
        &a,
        HEAD ROOT "<IsTruncated>false</IsTruncated>" PLAIN_ENTRY("a%2Fb+c%") "</ListBucketResult>",
        &l));
    assert_true(str_eq(l.entries[0].key, STR("a%2Fb+c%")));
    static const char *const BAD[] = {"a%", "a%2", "a%2x", "%00", "%zz"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        char text[600];
        snprintf(text, sizeof text,
                 HEAD ROOT "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
                           "<Contents><Key>%s</Key><Size>1</Size><LastModified>"
                           "2026-11-22T14:03:05Z</LastModified></Contents></ListBucketResult>",
                 BAD[i]);
        assert_false(listing_of(&a, text, &l));
    }
    arena_free(&a);
}

static void listing_that_makes_no_sense_is_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        "   ",
        "not xml",
        HEAD,
        ROOT,
        ROOT "</ListBucketResult>", /* truncated or not? */
        ROOT "<IsTruncated>perhaps</IsTruncated></ListBucketResult>",
        ROOT "<IsTruncated>true</IsTruncated></ListBucketResult>", /* and no token */
        ROOT "<IsTruncated>false</IsTruncated><Contents></Contents></ListBucketResult>",
        ROOT "<IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>1</Size></Contents>"
             "</ListBucketResult>",
        ROOT "<IsTruncated>false</IsTruncated><Contents><Key>a</Key><Size>-1</Size>"
             "<LastModified>2026-11-22T14:03:05Z</LastModified></Contents></ListBucketResult>",
        ROOT "<IsTruncated>false</IsTruncated><Contents><Key>a</Key>"
             "<Size>18446744073709551615</Size><LastModified>2026-11-22T14:03:05Z</LastModified>"
             "</Contents></ListBucketResult>",
        ROOT "<IsTruncated>false</IsTruncated>" ENTRY, /* cut */
        "<Error><Code>SlowDown</Code></Error>",
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\">]><ListBucketResult><IsTruncated>false"
        "</IsTruncated></ListBucketResult>",
        "<ListBucketResult><IsTruncated>false</IsTruncated><a><a><a><a><a><a><a><a><a><a></a></a>"
        "</a></a></a></a></a></a></a></a></ListBucketResult>",
    };
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct arena a = {0};
        struct s3_listing l;
        if (listing_of(&a, BAD[i], &l)) {
            fail_msg("%s was read", BAD[i]);
        }
        arena_free(&a);
    }
}

static bool listing_with(size_t count, size_t key_bytes)
{
    struct buf b;
    struct arena a = {0};
    struct s3_listing l;
    buf_init(&b, S3_XML_LIMIT + 1000);
    buf_put_str(&b, STR(ROOT "<IsTruncated>false</IsTruncated>"));
    for (size_t i = 0; i < count; i++) {
        buf_put_str(&b, STR("<Contents><Key>"));
        for (size_t k = 0; k < key_bytes; k++) {
            buf_put_char(&b, 'k');
        }
        buf_put_str(&b, STR("</Key><Size>1</Size><LastModified>2026-11-22T14:03:05Z"
                            "</LastModified></Contents>"));
    }
    buf_put_str(&b, STR("</ListBucketResult>"));
    bool good = s3_xml_read_listing(&a, buf_str(&b), &l);
    arena_free(&a);
    buf_free(&b);
    return good;
}

static void counts_and_keys_are_bounded(void **state)
{
    (void)state;
    assert_true(listing_with(S3_LIST_LIMIT, 3));
    assert_false(listing_with(S3_LIST_LIMIT + 1, 3));
    assert_true(listing_with(1, S3_KEY_LIMIT));
    assert_false(listing_with(1, S3_KEY_LIMIT + 1));
    assert_false(listing_with(1, 100000));
}

static void each_cut_and_each_changed_byte_is_survived(void **state)
{
    static const char TEXT[] =
        HEAD ROOT "<IsTruncated>false</IsTruncated>" ENTRY "</ListBucketResult>";
    (void)state;
    for (size_t i = 0; i + 1 < sizeof TEXT; i++) {
        struct arena a = {0};
        struct s3_listing l;
        char copy[sizeof TEXT];
        memcpy(copy, TEXT, sizeof TEXT);
        assert_false(s3_xml_read_listing(&a, (struct str){TEXT, i}, &l));
        for (int bit = 0; bit < 8; bit++) {
            copy[i] = (char)(TEXT[i] ^ (1 << bit));
            if (s3_xml_read_listing(&a, (struct str){copy, sizeof TEXT - 1}, &l)) {
                assert_true(l.count <= 1);
            }
        }
        arena_free(&a);
    }
}

static void errors_are_read(void **state)
{
    struct arena a = {0};
    struct s3_error e;
    (void)state;
    struct str text = STR(HEAD "<Error><Code>PermanentRedirect</Code><Message>m</Message>"
                               "<Region>eu-west-1</Region><Endpoint>e</Endpoint></Error>");
    assert_true(s3_xml_is_error(text));
    assert_true(s3_xml_read_error(&a, text, &e));
    assert_true(str_eq(e.code, STR("PermanentRedirect")));
    assert_true(str_eq(e.region, STR("eu-west-1")));
    assert_false(s3_xml_is_error(STR("<ListBucketResult/>")));
    assert_false(s3_xml_is_error(STR("")));
    assert_false(s3_xml_is_error(STR("<?xml")));
    assert_false(s3_xml_read_error(&a, STR("<html><body>no</body></html>"), &e));
    arena_free(&a);
}

static void bulk_delete_is_written_and_its_failures_read(void **state)
{
    struct arena a = {0};
    struct buf b;
    struct s3_deleted d;
    struct str keys[] = {STR("a<&>\"'"), STR("b")};
    (void)state;
    buf_init(&b, 1000);
    s3_xml_put_delete(&b, keys, 2);
    assert_true(str_find(buf_str(&b), STR("<Key>a&lt;&amp;&gt;&quot;'</Key>")) > 0);
    buf_free(&b);
    assert_true(s3_xml_read_deleted(&a,
                                    STR("<DeleteResult><Deleted><Key>b</Key></Deleted><Error><Key>a"
                                        "</Key><Code>AccessDenied</Code></Error></DeleteResult>"),
                                    &d));
    assert_int_equal(d.failed_count, 1);
    assert_true(str_eq(d.failed[0].code, STR("AccessDenied")));
    arena_free(&a);
}

static void times_are_read_strictly(void **state)
{
    int64_t ms;
    (void)state;
    assert_true(s3_xml_time_parse(STR("1970-01-01T00:00:01Z"), &ms));
    assert_int_equal(ms, 1000);
    assert_true(s3_xml_time_parse(STR("2024-02-29T23:59:59.5Z"), &ms));
    assert_int_equal(ms % 1000, 500);
    static const char *const BAD[] = {"",
                                      "1970-01-01",
                                      "1970-13-01T00:00:01Z",
                                      "1970-01-01T25:00:01Z",
                                      "1970-01-01T00:00:01+01:00",
                                      "1970-01-01 00:00:01.00Z",
                                      "-970-01-01T00:00:01.00Z",
                                      "1970-01-01T00:00:01.x0Z"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_false(s3_xml_time_parse(str_from(BAD[i]), &ms));
    }
}

/* ---- addresses ---- */

static struct s3_address address(struct arena *a, const char *endpoint, const char *region,
                                 enum s3_style style)
{
    struct s3_address at;
    struct diags notes;
    struct s3_where where = {str_from(endpoint), str_from(region), STR("my-bucket"), style};
    diags_init(&notes, a);
    assert_true(s3_address_make(a, &where, &at, &notes));
    return at;
}

static void addresses_are_made(void **state)
{
    struct arena a = {0};
    (void)state;
    struct s3_address at = address(&a, "", "eu-west-1", S3_STYLE_AUTO);
    assert_true(str_eq(s3_address_host(&a, &at), STR("my-bucket.s3.eu-west-1.amazonaws.com")));
    assert_true(str_eq(s3_address_path(&a, &at, STR("a b")), STR("/a b")));
    at = address(&a, "http://127.0.0.1:80/", "", S3_STYLE_AUTO);
    assert_true(str_eq(s3_address_host(&a, &at), STR("127.0.0.1")));
    assert_true(str_eq(s3_address_path(&a, &at, STR("k")), STR("/my-bucket/k")));
    at = address(&a, "https://gw.example:8443/s3", "", S3_STYLE_HOST);
    assert_true(str_eq(s3_address_host(&a, &at), STR("my-bucket.gw.example:8443")));
    assert_true(str_eq(s3_address_path(&a, &at, STR("k")), STR("/s3/k")));
    at = address(&a, "", "cn-north-1", S3_STYLE_PATH);
    assert_true(str_eq(s3_address_host(&a, &at), STR("s3.cn-north-1.amazonaws.com.cn")));
    arena_free(&a);
}

static void addresses_that_cannot_be_are_told(void **state)
{
    static const struct s3_where BAD[] = {
        {{"ftp://x", 7}, {"", 0}, {"bucket", 6}, S3_STYLE_AUTO},
        {{"https://", 8}, {"", 0}, {"bucket", 6}, S3_STYLE_AUTO},
        {{"https://a b", 11}, {"", 0}, {"bucket", 6}, S3_STYLE_AUTO},
        {{"https://u@h", 11}, {"", 0}, {"bucket", 6}, S3_STYLE_AUTO},
        {{"", 0}, {"us/east", 7}, {"bucket", 6}, S3_STYLE_AUTO},
        {{"", 0}, {"", 0}, {"b", 1}, S3_STYLE_AUTO},
        {{"", 0}, {"", 0}, {"a/../b", 6}, S3_STYLE_AUTO},
    };
    struct arena a = {0};
    struct diags notes;
    struct s3_address at;
    (void)state;
    diags_init(&notes, &a);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_false(s3_address_make(&a, &BAD[i], &at, &notes));
        assert_int_equal(notes.warnings, i + 1);
    }
    arena_free(&a);
}

static bool follows(const char *endpoint, const char *region, const char *location,
                    const char *host)
{
    struct arena a = {0};
    struct s3_address at = address(&a, endpoint, "us-east-1", S3_STYLE_AUTO);
    struct s3_address to;
    bool good = s3_address_follow(&a, &at, str_from(region), str_from(location), &to);
    good = good && str_eq(s3_address_host(&a, &to), str_from(host));
    arena_free(&a);
    return good;
}

static void redirects_are_followed_within_what_the_server_is(void **state)
{
    (void)state;
    assert_true(follows("", "eu-west-1", "", "my-bucket.s3.eu-west-1.amazonaws.com"));
    assert_true(follows("", "", "https://my-bucket.s3-eu-west-1.amazonaws.com/k?x=y",
                        "my-bucket.s3-eu-west-1.amazonaws.com"));
    assert_true(follows("http://127.0.0.1:1", "r2", "", "127.0.0.1:1"));
    assert_true(follows("http://gw.example", "", "http://two.gw.example/b/k", "two.gw.example"));
    assert_true(follows("http://gw.example", "", "https://gw.example/b/k", "gw.example"));
    assert_false(follows("", "us-east-1", "", ""));
    assert_false(follows("", "EVIL/..", "", ""));
    assert_false(follows("", "", "https://evil.example/k", "evil.example"));
    assert_false(follows("", "", "https://evilamazonaws.com/k", "evilamazonaws.com"));
    assert_false(follows("", "", "http://my-bucket.s3.eu-west-1.amazonaws.com/k",
                         "my-bucket.s3.eu-west-1.amazonaws.com")); /* without TLS */
    assert_false(follows("http://gw.example", "", "http://notgw.example/k", "notgw.example"));
    assert_false(follows("http://gw.example", "", "//gw.example/k", "gw.example"));
}

static bool drops(struct arena *a, const char *rules)
{
    bool is = false;
    struct str text =
        str_printf(a, "<LifecycleConfiguration xmlns=\"x\">%s</LifecycleConfiguration>", rules);
    assert_true(s3_xml_read_lifecycle(a, text, STR("team/cache/"), &is));
    return is;
}

#define RULE(prefix, status, what)                                                                 \
    "<Rule><ID>1</ID>" prefix "<Status>" status "</Status>" what "</Rule>"
#define DAYS "<Expiration><Days>30</Days></Expiration>"

static void rules_that_drop_our_keys_are_seen(void **state)
{
    (void)state;
    struct arena a = {0};
    bool is = true;
    assert_true(drops(&a, RULE("<Prefix/>", "Enabled", DAYS)));
    assert_true(drops(&a, RULE("", "Enabled", DAYS)));
    assert_true(drops(&a, RULE("<Prefix>team/</Prefix>", "Enabled", DAYS)));
    assert_true(
        drops(&a, RULE("<Filter><Prefix>team/cache/p/</Prefix></Filter>", "Enabled", DAYS)));
    assert_true(drops(&a, RULE("<Filter><And><Prefix>team</Prefix><Tag/></And></Filter>", "Enabled",
                               "<Expiration><Date>2026-01-01T00:00:00Z</Date></Expiration>")));
    assert_true(drops(&a, RULE("<Prefix>x</Prefix>", "Enabled", DAYS) RULE("", "Enabled", DAYS)));
    assert_false(drops(&a, ""));
    assert_false(drops(&a, RULE("<Prefix/>", "Disabled", DAYS)));
    assert_false(drops(&a, RULE("<Prefix>team/other</Prefix>", "Enabled", DAYS)));
    assert_false(drops(&a, RULE("<Prefix/>", "Enabled", "")));
    assert_false(drops(&a, RULE("<Prefix/>", "Enabled",
                                "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
                                "</NoncurrentVersionExpiration><AbortIncompleteMultipartUpload>"
                                "<DaysAfterInitiation>7</DaysAfterInitiation>"
                                "</AbortIncompleteMultipartUpload>")));
    assert_false(drops(&a, RULE("<Prefix>x</Prefix>", "Enabled", DAYS) RULE("", "Disabled", "")));
    assert_false(s3_xml_read_lifecycle(&a, STR("<Error/>"), STR(""), &is));
    assert_false(is);
    arena_free(&a);
}

static void versions_are_kept_where_that_is_enabled(void **state)
{
    (void)state;
    struct arena a = {0};
    bool is;
    assert_true(s3_xml_read_versioning(&a, STR("<VersioningConfiguration/>"), &is) && !is);
    assert_true(s3_xml_read_versioning(&a,
                                       STR("<VersioningConfiguration><Status>Enabled</Status>"
                                           "</VersioningConfiguration>"),
                                       &is)
                && is);
    assert_true(s3_xml_read_versioning(&a,
                                       STR("<VersioningConfiguration><Status>Suspended</Status>"
                                           "</VersioningConfiguration>"),
                                       &is)
                && !is);
    assert_false(s3_xml_read_versioning(&a, STR(""), &is));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listing_is_read),
        cmocka_unit_test(escaped_keys_are_read),
        cmocka_unit_test(listing_that_makes_no_sense_is_refused),
        cmocka_unit_test(counts_and_keys_are_bounded),
        cmocka_unit_test(each_cut_and_each_changed_byte_is_survived),
        cmocka_unit_test(errors_are_read),
        cmocka_unit_test(bulk_delete_is_written_and_its_failures_read),
        cmocka_unit_test(times_are_read_strictly),
        cmocka_unit_test(addresses_are_made),
        cmocka_unit_test(addresses_that_cannot_be_are_told),
        cmocka_unit_test(redirects_are_followed_within_what_the_server_is),
        cmocka_unit_test(rules_that_drop_our_keys_are_seen),
        cmocka_unit_test(versions_are_kept_where_that_is_enabled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
