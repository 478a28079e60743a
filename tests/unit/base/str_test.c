/* SPDX-License-Identifier: MIT */
/* Slices, buffers, readers, quoting, numbers. Tables of input and wanted output where it can be. */
#include "core/base/arena.h"
#include "core/base/str.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void assert_str(struct str x, const char *want)
{
    assert_int_equal(x.n, strlen(want));
    assert_memory_equal(x.n ? x.s : "", want, x.n);
}

/* The slices. */

static void str_compares_by_bytes_shorter_first(void **state)
{
    (void)state;
    assert_true(str_eq(STR_NONE, STR("")));
    assert_false(str_eq(STR("a"), STR("b")));
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(STR("ab"), STR("ab")), 0);
    assert_int_equal(str_cmp(STR_NONE, STR("")), 0);
}

static void str_finds(void **state)
{
    (void)state;
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("")));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("abc"), STR("bc")));
    assert_false(str_ends(STR("c"), STR("bc")));
    assert_true(str_has(STR("a\0b"), '\0'));
    assert_false(str_has(STR_NONE, '\0'));
    assert_int_equal(str_find(STR("abcabc"), STR("ca")), 2);
    assert_int_equal(str_find(STR("abc"), STR("")), 0);
    assert_int_equal(str_find(STR_NONE, STR("x")), -1);
    assert_int_equal(str_rfind_char(STR("a/b/c"), '/'), 3);
    assert_int_equal(str_rfind_char(STR("abc"), '/'), -1);
}

static void str_parts_are_clamped(void **state)
{
    (void)state;
    assert_str(str_sub(STR("abcdef"), 2, 3), "cde");
    assert_str(str_sub(STR("abc"), 2, 100), "c");
    assert_str(str_sub(STR("abc"), 9, 1), "");
    assert_str(str_tail(STR("abc"), 1), "bc");
    assert_str(str_tail(STR("abc"), 4), "");
    assert_str(str_tail(STR_NONE, 4), "");
    assert_str(str_trim(STR(" \t\r\na b\n ")), "a b");
    assert_str(str_trim(STR(" \n")), "");
}

static void str_cut_goes_through_the_parts(void **state)
{
    (void)state;
    struct str rest = STR("a,,b,"), part;
    assert_true(str_cut(&rest, ',', &part));
    assert_str(part, "a");
    assert_true(str_cut(&rest, ',', &part));
    assert_str(part, "");
    assert_true(str_cut(&rest, ',', &part));
    assert_str(part, "b");
    assert_false(str_cut(&rest, ',', &part));
}

static void str_copies_end_in_nul(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str copy = str_copy(&a, (struct str){"abcdef", 3});
    assert_string_equal(copy.s, "abc");
    assert_string_equal(str_copy(&a, STR_NONE).s, "");
    assert_string_equal(str_c(&a, STR("x")), "x");
    assert_string_equal(str_printf(&a, "%d-%s", 7, "y").s, "7-y");
    assert_string_equal(str_join3(&a, STR("a"), STR_NONE, STR("c")).s, "ac");
    arena_free(&a);
}

static void str_hash_is_fixed(void **state)
{
    (void)state;
    assert_true(str_hash(STR("")) == UINT64_C(0xefd01f60ba992926));
    assert_true(str_hash(STR("a")) == UINT64_C(0x82a2a958a9bece5b));
    assert_true(str_hash(STR("ab")) != str_hash(STR("ba")));
}

static void str_distance_counts_edits_up_to_its_limit(void **state)
{
    (void)state;
    static const struct {
        const char *x, *y;
        size_t limit, want;
    } cases[] = {
        {"train", "train", 0, 0}, {"train", "tarin", 2, 1},    {"train", "trains", 2, 1},
        {"train", "rain", 2, 1},  {"train", "brain", 2, 1},    {"ca", "abc", 5, 3},
        {"", "abc", 5, 3},        {"abc", "", 5, 3},           {"abc", "xyz", 2, 3},
        {"abc", "xyz", 3, 3},     {"a", "abcdef", 2, 3},       {"", "", 3, 0},
        {"abcd", "badc", 2, 2},   {"kitten", "sitting", 9, 3}, {"train", "tarin", 0, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        size_t got = str_distance(str_from(cases[i].x), str_from(cases[i].y), cases[i].limit);
        assert_int_equal(got, cases[i].want);
    }
    char longer[1000];
    memset(longer, 'a', sizeof longer);
    struct str x = {longer, sizeof longer}, y = {longer, sizeof longer - 1};
    assert_int_equal(str_distance(x, y, 2), 3);
    assert_int_equal(str_distance(x, x, 2), 0);
}

static void str_is_utf8_knows_good_from_bad(void **state)
{
    (void)state;
    static const char *const good[] = {
        "", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\xa7\xaa", "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc3",
                                      "\xe2\x82",
                                      "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf8\x88\x80\x80\x80",
                                      "\xe0\x80\xaf",
                                      "a\xff"};
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(str_is_utf8(str_from(good[i])));
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(str_is_utf8(str_from(bad[i])));
    }
}

/* Buffers. */

static void buf_grows_and_ends_in_nul(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_str(buf_str(&b), "");
    for (int i = 0; i < 10000; i++) {
        buf_printf(&b, "%05d", i);
    }
    assert_int_equal(b.n, 50000);
    assert_int_equal(strlen(b.s), 50000);
    assert_memory_equal(b.s + 49995, "09999", 5);
    buf_clear(&b);
    assert_string_equal(b.s, "");
    buf_free(&b);
    buf_free(&b);
    assert_null(b.s);
}

static void buf_past_its_limit_is_full_and_whole(void **state)
{
    (void)state;
    struct buf b = {.limit = 5};
    buf_put_str(&b, STR("abc"));
    assert_false(b.full);
    buf_printf(&b, "%s", "def");
    assert_true(b.full);
    assert_string_equal(b.s, "abc");
    buf_put_char(&b, 'x'); /* no holes: once full, nothing more */
    assert_string_equal(b.s, "abc");
    assert_null(buf_reserve(&b, 1));
    buf_clear(&b);
    buf_put_str(&b, STR("12345"));
    assert_false(b.full);
    assert_string_equal(b.s, "12345");
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_free(&b);
}

static void buf_reserve_gives_room_behind_the_end(void **state)
{
    (void)state;
    struct buf b = {.limit = 1000};
    buf_put_str(&b, STR("ab"));
    char *room = buf_reserve(&b, 500);
    memset(room, 'c', 500);
    b.n += 500;
    buf_put_char(&b, 'd');
    assert_int_equal(strlen(b.s), 503);
    buf_free(&b);
}

/* Readers. */

static void rd_reads_what_buf_wrote(void **state)
{
    (void)state;
    static const uint64_t varints[] = {
        0, 1, 127, 128, 300, 1u << 21, UINT32_MAX, UINT64_C(1) << 63, UINT64_MAX};
    struct buf b = {.limit = 1000};
    buf_put_u8(&b, 0xfe);
    buf_put_u16(&b, 0x1234);
    buf_put_u32(&b, 0x89abcdef);
    buf_put_u64(&b, UINT64_C(0x0123456789abcdef));
    for (size_t i = 0; i < COUNT(varints); i++) {
        buf_put_varint(&b, varints[i]);
    }
    buf_put_text(&b, STR("hello"));
    buf_put_varint(&b, 2);
    buf_put(&b, "12345678", 8);
    assert_int_equal((uint8_t)b.s[1], 0x34); /* little-endian */

    struct rd r = rd_from(b.s, b.n);
    assert_int_equal(rd_u8(&r), 0xfe);
    assert_int_equal(rd_u16(&r), 0x1234);
    assert_int_equal(rd_u32(&r), 0x89abcdef);
    assert_true(rd_u64(&r) == UINT64_C(0x0123456789abcdef));
    for (size_t i = 0; i < COUNT(varints); i++) {
        assert_true(rd_varint(&r) == varints[i]);
    }
    assert_str(rd_text(&r, 5), "hello");
    assert_int_equal(rd_count(&r, 4, 100), 2);
    assert_memory_equal(rd_bytes(&r, 8), "12345678", 8);
    assert_int_equal(rd_left(&r), 0);
    assert_false(r.bad);
    buf_free(&b);
}

static void rd_past_the_end_is_bad_for_good(void **state)
{
    (void)state;
    struct rd r = rd_from("\1\2\3", 3);
    assert_int_equal(rd_u32(&r), 0);
    assert_true(r.bad);
    assert_int_equal(rd_u8(&r), 0);
    assert_int_equal(rd_left(&r), 0);
    assert_null(rd_bytes(&r, 0));
    struct rd none = rd_from(NULL, 0);
    assert_non_null(rd_bytes(&none, 0));
    assert_int_equal(rd_u8(&none), 0);
    assert_true(none.bad);
}

static bool varint_is_bad(struct str bytes)
{
    struct rd r = rd_from(bytes.s, bytes.n);
    rd_varint(&r);
    return r.bad;
}

static void rd_varint_refuses_what_no_writer_writes(void **state)
{
    (void)state;
    assert_true(varint_is_bad(STR("")));
    assert_true(varint_is_bad(STR("\x80")));
    assert_true(varint_is_bad(STR("\x80\x00"))); /* longer than need be */
    assert_true(varint_is_bad(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")));
    assert_true(varint_is_bad(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")));
    assert_false(varint_is_bad(STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")));
}

static void rd_caps_texts_and_counts(void **state)
{
    (void)state;
    struct rd r = rd_from("\5hello", 6);
    assert_null(rd_text(&r, 4).s);
    assert_true(r.bad);
    r = rd_from("\6hello", 6);
    assert_null(rd_text(&r, 100).s);
    assert_true(r.bad);
    r = rd_from("\3abcdef", 7);
    assert_int_equal(rd_count(&r, 2, 100), 3);
    r = rd_from("\3abcde", 6);
    assert_int_equal(rd_count(&r, 2, 100), 0);
    assert_true(r.bad);
    r = rd_from("\3abcdef", 7);
    assert_int_equal(rd_count(&r, 1, 2), 0);
    assert_true(r.bad);
    r = rd_from("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    assert_int_equal(rd_count(&r, 8, UINT64_MAX), 0);
    assert_true(r.bad);
}

/* Quoting and numbers: each case is a text and how it comes out. */

struct pair {
    struct str in;
    const char *out;
};

static void check_pairs(void (*put)(struct buf *, struct str), const struct pair *pairs, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct buf b = {.limit = 1000};
        put(&b, pairs[i].in);
        assert_string_equal(b.s, pairs[i].out);
        buf_free(&b);
    }
}

static void shell_words_are_quoted_where_need_be(void **state)
{
    (void)state;
    const struct pair pairs[] = {
        {STR("a/b-c_d.txt"), "a/b-c_d.txt"},
        {STR("--x=1"), "--x=1"},
        {STR("s3://b/k@2%+,:"), "s3://b/k@2%+,:"},
        {STR(""), "''"},
        {STR("a b"), "'a b'"},
        {STR("it's"), "'it'\\''s'"},
        {STR("$x"), "'$x'"},
        {STR("~"), "'~'"},
        {STR("a\nb"), "'a\nb'"},
        {STR("X=1"), "'X=1'"},
        {STR("\xc3\xa4"), "'\xc3\xa4'"},
        {STR("{a,b}"), "'{a,b}'"},
        {STR("#"), "'#'"},
        {STR("*"), "'*'"},
    };
    check_pairs(str_put_shell_word, pairs, COUNT(pairs));
}

static void shell_words_survive_the_shell(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        char text[] = {'a', (char)c, 'b', '\0'};
        struct buf b = {.limit = 1000};
        buf_put_str(&b, STR("printf %s "));
        str_put_shell_word(&b, str_from(text));
        FILE *shell = popen(b.s, "r");
        char got[10] = "";
        size_t n = fread(got, 1, sizeof got - 1, shell);
        pclose(shell);
        assert_int_equal(n, 3);
        assert_string_equal(got, text);
        buf_free(&b);
    }
}

static void json_strings_are_well_formed(void **state)
{
    (void)state;
    const struct pair pairs[] = {
        {STR("plain"), "\"plain\""},
        {STR("q\"b\\n\n\t\r\b\f"), "\"q\\\"b\\\\n\\n\\t\\r\\b\\f\""},
        {STR("\x01\x00\x1f\x7f"), "\"\\u0001\\u0000\\u001f\x7f\""},
        {STR("\xc3\xa4\xff"), "\"\xc3\xa4\xef\xbf\xbd\""},
        {STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
    };
    check_pairs(str_put_json, pairs, COUNT(pairs));
}

static void visible_text_holds_no_controls(void **state)
{
    (void)state;
    const struct pair pairs[] = {
        {STR("a\tb\nc\r\nd"), "a\tb\nc\r\nd"},
        {STR("\x1b[31m"), "\\x1b[31m"},
        {STR("a\rb\x7f"), "a\\x0db\\x7f"},
        {STR("\xc2\x9b\xff\xc3\xa4"), "\\xc2\\x9b\\xff\xc3\xa4"},
        {STR("\xe2\x80\xae"), "\\xe2\\x80\\xae"},
    };
    check_pairs(str_put_visible, pairs, COUNT(pairs));
}

static void integers_are_read_whole_or_not(void **state)
{
    (void)state;
    int64_t i = 7;
    uint64_t u = 7;
    assert_true(str_parse_i64(STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_true(str_parse_i64(STR("9223372036854775807"), &i));
    assert_true(i == INT64_MAX);
    assert_true(str_parse_i64(STR("-0"), &i));
    assert_true(i == 0);
    assert_true(str_parse_u64(STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1x",
                                      "0x1",
                                      "--1",
                                      "1.0",
                                      "9223372036854775808",
                                      "-9223372036854775809"};
    for (size_t k = 0; k < COUNT(bad); k++) {
        assert_false(str_parse_i64(str_from(bad[k]), &i));
    }
    assert_false(str_parse_u64(STR("18446744073709551616"), &u));
    assert_false(str_parse_u64(STR("99999999999999999999"), &u));
    assert_false(str_parse_u64(STR("-1"), &u));
}

static void doubles_are_read_in_decimal_only(void **state)
{
    (void)state;
    double x = 7;
    assert_true(str_parse_double(STR("-1.5e3"), &x));
    assert_true(x == -1500);
    assert_true(str_parse_double(STR("1e-3"), &x));
    assert_true(x == 0.001);
    assert_true(str_parse_double(STR("4.9e-324"), &x));
    assert_true(x > 0);
    static const char *const bad[] = {"",    ".5", "5.",  "1e",   "1e+",   "0x10", "inf",
                                      "nan", "+1", "1,5", " 1.0", "1e400", "-",    "1.2.3"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(str_parse_double(str_from(bad[i]), &x));
    }
}

static void assert_double_text(double x, const char *want)
{
    struct buf b = {.limit = 100};
    str_put_double(&b, x);
    assert_string_equal(b.s, want);
    buf_free(&b);
}

static void doubles_print_shortest(void **state)
{
    (void)state;
    assert_double_text(1e-3, "0.001");
    assert_double_text(5, "5");
    assert_double_text(-2.50, "-2.5");
    assert_double_text(0.1, "0.1");
    assert_double_text(0.1 + 0.2, "0.30000000000000004");
    assert_double_text(0, "0");
    assert_double_text(100, "100");
    assert_double_text(123456.789, "123456.789");
    assert_double_text(1e15, "1000000000000000");
    assert_double_text(9007199254740993.0, "9007199254740992");
    assert_double_text(1e16, "1e16");
    assert_double_text(1.5e300, "1.5e300");
    assert_double_text(0.00001, "0.00001");
    assert_double_text(1e-7, "1e-7");
    assert_double_text(5e-324, "5e-324");
    assert_double_text((double)NAN, "nan");
    assert_double_text(-(double)INFINITY, "-inf");
}

static void doubles_read_back_the_same(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int i = 0; i < 20000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        double x, y = 0;
        memcpy(&x, &seed, sizeof x);
        if (!isfinite(x)) {
            continue;
        }
        struct buf b = {.limit = 400};
        str_put_double(&b, x);
        assert_true(str_parse_double(buf_str(&b), &y));
        assert_true(x == y);
        buf_free(&b);
    }
}

static void doubles_do_not_ask_the_locale(void **state)
{
    (void)state;
    static const char *const comma[] = {"de_DE.UTF-8", "de_DE.utf8", "de_DE", "fr_FR.UTF-8"};
    bool set = false;
    for (size_t i = 0; i < COUNT(comma) && !set; i++) {
        set = setlocale(LC_ALL, comma[i]);
    }
    if (!set) {
        print_message("no locale with a decimal comma is installed\n");
        skip();
    }
    double x = 0;
    assert_double_text(1234.5, "1234.5");
    assert_true(str_parse_double(STR("1.5"), &x));
    assert_true(x == 1.5);
    setlocale(LC_ALL, "C");
}

static const int64_t MS = 1000000, S = 1000000000;

static void durations_are_read_in_both_forms(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t want;
    } good[] = {
        {"500ms", 500 * MS},
        {"30s", 30 * S},
        {"15m", 900 * S},
        {"2h", 7200 * S},
        {"7d", 7 * 86400 * S},
        {"1.5h", 5400 * S},
        {"0s", 0},
        {"PT30M", 1800 * S},
        {"P30D", 30 * 86400 * S},
        {"P1DT12H", 129600 * S},
        {"P2W", 14 * 86400 * S},
        {"PT0.5S", 500 * MS},
        {"PT1H30M5S", 5405 * S},
        {"10000d", 864000000 * S},
        {"0.0015s", 1500000},
    };
    int64_t ns = -1;
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_true(str_parse_duration(str_from(good[i].text), &ns));
        assert_true(ns == good[i].want);
    }
    static const char *const bad[] = {"",
                                      "30",
                                      "s",
                                      "30 s",
                                      "-1s",
                                      "1y",
                                      "P",
                                      "PT",
                                      "P1Y",
                                      "P1M",
                                      "P1DT",
                                      "PT5",
                                      "PT1D",
                                      "P1H",
                                      "T1H",
                                      "PT1S1M",
                                      "PT1M1M",
                                      "pt1m",
                                      "10001d",
                                      "P10000DT1S",
                                      "1e30s",
                                      "P1DT1HT1M",
                                      "99999999999999999999s"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(str_parse_duration(str_from(bad[i]), &ns));
    }
    assert_false(str_parse_iso_duration(STR("30s"), &ns));
}

static void sizes_are_read_in_both_bases(void **state)
{
    (void)state;
    int64_t n = -1;
    assert_true(str_parse_size(STR("512KB"), &n));
    assert_true(n == 512000);
    assert_true(str_parse_size(STR("4GB"), &n));
    assert_true(n == 4 * S);
    assert_true(str_parse_size(STR("8GiB"), &n));
    assert_true(n == INT64_C(8) << 30);
    assert_true(str_parse_size(STR("1.5KiB"), &n));
    assert_true(n == 1536);
    assert_true(str_parse_size(STR("100B"), &n));
    assert_true(n == 100);
    static const char *const bad[] = {"", "4", "GB", "4 GB", "4gb", "-1B", "9000000PiB", "1e400B"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(str_parse_size(str_from(bad[i]), &n));
    }
}

static void durations_are_told_briefly(void **state)
{
    (void)state;
    const struct {
        int64_t ns;
        const char *want;
    } cases[] = {
        {0, "0.0s"},           {300 * MS, "0.3s"},   {12400 * MS, "12.4s"}, {59949 * MS, "59.9s"},
        {59950 * MS, "1m00s"}, {185 * S, "3m05s"},   {3599 * S, "59m59s"},  {3599600 * MS, "1h00m"},
        {7620 * S, "2h07m"},   {86400 * S, "1d00h"}, {356400 * S, "4d03h"}, {-S, "-1.0s"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b = {.limit = 100};
        str_put_duration(&b, cases[i].ns);
        assert_string_equal(b.s, cases[i].want);
        buf_free(&b);
    }
}

static void sizes_are_told_briefly(void **state)
{
    (void)state;
    const struct {
        uint64_t bytes;
        const char *want;
    } cases[] = {
        {0, "0B"},
        {999, "999B"},
        {1023, "1023B"},
        {1024, "1.0KiB"},
        {1572864, "1.5MiB"},
        {1048575, "1.0MiB"},
        {UINT64_MAX, "16.0EiB"},
        {UINT64_C(5) << 40, "5.0TiB"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b = {.limit = 100};
        str_put_size(&b, cases[i].bytes);
        assert_string_equal(b.s, cases[i].want);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(str_compares_by_bytes_shorter_first),
        cmocka_unit_test(str_finds),
        cmocka_unit_test(str_parts_are_clamped),
        cmocka_unit_test(str_cut_goes_through_the_parts),
        cmocka_unit_test(str_copies_end_in_nul),
        cmocka_unit_test(str_hash_is_fixed),
        cmocka_unit_test(str_distance_counts_edits_up_to_its_limit),
        cmocka_unit_test(str_is_utf8_knows_good_from_bad),
        cmocka_unit_test(buf_grows_and_ends_in_nul),
        cmocka_unit_test(buf_past_its_limit_is_full_and_whole),
        cmocka_unit_test(buf_reserve_gives_room_behind_the_end),
        cmocka_unit_test(rd_reads_what_buf_wrote),
        cmocka_unit_test(rd_past_the_end_is_bad_for_good),
        cmocka_unit_test(rd_varint_refuses_what_no_writer_writes),
        cmocka_unit_test(rd_caps_texts_and_counts),
        cmocka_unit_test(shell_words_are_quoted_where_need_be),
        cmocka_unit_test(shell_words_survive_the_shell),
        cmocka_unit_test(json_strings_are_well_formed),
        cmocka_unit_test(visible_text_holds_no_controls),
        cmocka_unit_test(integers_are_read_whole_or_not),
        cmocka_unit_test(doubles_are_read_in_decimal_only),
        cmocka_unit_test(doubles_print_shortest),
        cmocka_unit_test(doubles_read_back_the_same),
        cmocka_unit_test(doubles_do_not_ask_the_locale),
        cmocka_unit_test(durations_are_read_in_both_forms),
        cmocka_unit_test(sizes_are_read_in_both_bases),
        cmocka_unit_test(durations_are_told_briefly),
        cmocka_unit_test(sizes_are_told_briefly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
