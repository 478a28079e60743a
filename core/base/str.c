/* SPDX-License-Identifier: MIT */
/* Slices, bounded buffers, readers of bytes from outside, quoting, numbers as text. Nothing here
 * depends on the process's locale, and nothing reads past a slice's length. */
#include "core/base/str.h"

#include "core/base/arena.h"

#include <assert.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Slices. */

struct str str_from(const char *nul_terminated)
{
    return (struct str){nul_terminated, strlen(nul_terminated)};
}

struct str str_copy(struct arena *a, struct str x)
{
    char *p = arena_alloc(a, x.n + 1, 1);
    if (x.n) {
        memcpy(p, x.s, x.n);
    }
    return (struct str){p, x.n};
}

const char *str_c(struct arena *a, struct str x)
{
    assert(!str_has(x, '\0'));
    return str_copy(a, x).s;
}

struct str str_printf(struct arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct str text = str_vprintf(a, format, args);
    va_end(args);
    return text;
}

struct str str_vprintf(struct arena *a, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    assert(n >= 0);
    char *p = arena_alloc(a, (size_t)n + 1, 1);
    vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return (struct str){p, (size_t)n};
}

static char *copy_bytes(char *to, struct str x)
{
    return x.n ? (char *)memcpy(to, x.s, x.n) + x.n : to;
}

struct str str_join3(struct arena *a, struct str x, struct str y, struct str z)
{
    size_t n = x.n + y.n + z.n;
    char *p = arena_alloc(a, n + 1, 1);
    copy_bytes(copy_bytes(copy_bytes(p, x), y), z);
    return (struct str){p, n};
}

bool str_eq(struct str x, struct str y)
{
    return x.n == y.n && (!x.n || !memcmp(x.s, y.s, x.n));
}

int str_cmp(struct str x, struct str y)
{
    size_t n = x.n < y.n ? x.n : y.n;
    int c = n ? memcmp(x.s, y.s, n) : 0;
    return c ? c : (x.n > y.n) - (x.n < y.n);
}

bool str_starts(struct str x, struct str prefix)
{
    return x.n >= prefix.n && str_eq(str_sub(x, 0, prefix.n), prefix);
}

bool str_ends(struct str x, struct str suffix)
{
    return x.n >= suffix.n && str_eq(str_tail(x, x.n - suffix.n), suffix);
}

bool str_has(struct str x, char c)
{
    return x.n && memchr(x.s, c, x.n);
}

ptrdiff_t str_find(struct str x, struct str part)
{
    if (!part.n) {
        return 0;
    }
    const char *at = x.n ? memmem(x.s, x.n, part.s, part.n) : NULL;
    return at ? at - x.s : -1;
}

ptrdiff_t str_rfind_char(struct str x, char c)
{
    const char *at = x.n ? memrchr(x.s, c, x.n) : NULL;
    return at ? at - x.s : -1;
}

struct str str_sub(struct str x, size_t from, size_t n)
{
    struct str tail = str_tail(x, from);
    return (struct str){tail.s, n < tail.n ? n : tail.n};
}

struct str str_tail(struct str x, size_t from)
{
    if (from >= x.n) {
        from = x.n;
    }
    return from ? (struct str){x.s + from, x.n - from} : x;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

struct str str_trim(struct str x)
{
    while (x.n && is_blank(x.s[x.n - 1])) {
        x.n--;
    }
    while (x.n && is_blank(*x.s)) {
        x = str_tail(x, 1);
    }
    return x;
}

bool str_cut(struct str *rest, char sep, struct str *part)
{
    if (!rest->n) {
        return false;
    }
    const char *at = memchr(rest->s, sep, rest->n);
    size_t n = at ? (size_t)(at - rest->s) : rest->n;
    *part = str_sub(*rest, 0, n);
    *rest = str_tail(*rest, at ? n + 1 : n);
    return true;
}

uint64_t str_hash(struct str x)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < x.n; i++) {
        h = (h ^ (uint8_t)x.s[i]) * UINT64_C(0x100000001b3);
    }
    /* FNV's low bits mix badly for short keys: finish as MurmurHash3 does. */
    h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 33);
}

static size_t least3(size_t x, size_t y, size_t z)
{
    size_t least = x < y ? x : y;
    return least < z ? least : z;
}

enum { DISTANCE_LENGTH_LIMIT = 128 }; /* nobody mistypes longer names by a few letters */

/* One row of the optimal string alignment: rows[0] is the one before last, rows[2] the new one. */
static size_t distance_row(struct str x, struct str y, size_t i,
                           size_t rows[3][DISTANCE_LENGTH_LIMIT + 1])
{
    rows[2][0] = i;
    size_t least = i;
    for (size_t j = 1; j <= y.n; j++) {
        size_t cost = x.s[i - 1] != y.s[j - 1];
        size_t d = least3(rows[1][j] + 1, rows[2][j - 1] + 1, rows[1][j - 1] + cost);
        if (i > 1 && j > 1 && x.s[i - 1] == y.s[j - 2] && x.s[i - 2] == y.s[j - 1]
            && rows[0][j - 2] + 1 < d) {
            d = rows[0][j - 2] + 1;
        }
        rows[2][j] = d;
        least = d < least ? d : least;
    }
    return least;
}

size_t str_distance(struct str x, struct str y, size_t limit)
{
    size_t difference = x.n < y.n ? y.n - x.n : x.n - y.n;
    if (str_eq(x, y)) {
        return 0;
    }
    if (difference > limit || x.n > DISTANCE_LENGTH_LIMIT || y.n > DISTANCE_LENGTH_LIMIT) {
        return limit + 1;
    }
    size_t rows[3][DISTANCE_LENGTH_LIMIT + 1] = {{0}};
    for (size_t j = 0; j <= y.n; j++) {
        rows[1][j] = j;
    }
    for (size_t i = 1; i <= x.n; i++) {
        if (distance_row(x, y, i, rows) > limit) {
            return limit + 1; /* no later row holds less */
        }
        memcpy(rows[0], rows[1], sizeof rows[0]);
        memcpy(rows[1], rows[2], sizeof rows[1]);
    }
    return rows[1][y.n] <= limit ? rows[1][y.n] : limit + 1;
}

/* Length of the well-formed sequence at the front, 0 if there is none; *point is what it means. */
static size_t utf8_step(struct str x, uint32_t *point)
{
    if (!x.n) {
        return 0;
    }
    uint8_t c = (uint8_t)*x.s;
    if (c < 0x80) {
        *point = c;
        return 1;
    }
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || x.n < n) {
        return 0;
    }
    uint32_t p = c & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        uint8_t next = (uint8_t)x.s[i];
        if ((next & 0xc0) != 0x80) {
            return 0;
        }
        p = p << 6 | (next & 0x3f);
    }
    bool overlong = (n == 3 && p < 0x800) || (n == 4 && p < 0x10000);
    bool beyond = p > 0x10ffff || (p >= 0xd800 && p <= 0xdfff);
    *point = p;
    return overlong || beyond ? 0 : n;
}

bool str_is_utf8(struct str x)
{
    while (x.n) {
        uint32_t point;
        size_t n = utf8_step(x, &point);
        if (!n) {
            return false;
        }
        x = str_tail(x, n);
    }
    return true;
}

/* Buffers. */

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_free(struct buf *b)
{
    mem_free(b->s);
    *b = (struct buf){.limit = b->limit};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->full = false;
    if (b->s) {
        b->s[0] = '\0';
    }
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->full || n > b->limit - b->n) {
        b->full = true;
        return NULL;
    }
    size_t need = b->n + n + 1;
    if (need > b->cap) {
        size_t cap = b->cap < SIZE_MAX / 2 ? b->cap * 2 : need;
        cap = cap < 64 ? 64 : cap;
        b->cap = cap < need ? need : cap;
        b->s = mem_resize(b->s, b->cap);
        b->s[b->n] = '\0';
    }
    return b->s + b->n;
}

void buf_put(struct buf *b, const void *bytes, size_t n)
{
    char *to = buf_reserve(b, n);
    if (!to) {
        return;
    }
    if (n) {
        memcpy(to, bytes, n);
    }
    b->n += n;
    b->s[b->n] = '\0';
}

void buf_put_str(struct buf *b, struct str x)
{
    buf_put(b, x.s, x.n);
}

void buf_put_char(struct buf *b, char c)
{
    buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    buf_vprintf(b, format, args);
    va_end(args);
}

void buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    assert(n >= 0);
    char *to = buf_reserve(b, (size_t)n);
    if (to) {
        vsnprintf(to, (size_t)n + 1, format, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

struct str buf_str(const struct buf *b)
{
    return (struct str){b->s ? b->s : "", b->n};
}

static void put_little_endian(struct buf *b, uint64_t x, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++) {
        bytes[i] = (uint8_t)(x >> (8 * i));
    }
    buf_put(b, bytes, width);
}

void buf_put_u8(struct buf *b, uint8_t x)
{
    put_little_endian(b, x, 1);
}

void buf_put_u16(struct buf *b, uint16_t x)
{
    put_little_endian(b, x, 2);
}

void buf_put_u32(struct buf *b, uint32_t x)
{
    put_little_endian(b, x, 4);
}

void buf_put_u64(struct buf *b, uint64_t x)
{
    put_little_endian(b, x, 8);
}

void buf_put_varint(struct buf *b, uint64_t x)
{
    uint8_t bytes[10];
    size_t n = 0;
    while (x >= 0x80) {
        bytes[n++] = (uint8_t)(x | 0x80);
        x >>= 7;
    }
    bytes[n++] = (uint8_t)x;
    buf_put(b, bytes, n);
}

void buf_put_text(struct buf *b, struct str x)
{
    buf_put_varint(b, x.n);
    buf_put_str(b, x);
}

/* Readers. */

struct rd rd_from(const void *bytes, size_t n)
{
    static const uint8_t nothing[1] = {0};
    const uint8_t *at = bytes ? bytes : nothing;
    return (struct rd){.at = at, .end = at + (bytes ? n : 0)};
}

size_t rd_left(const struct rd *r)
{
    return r->bad ? 0 : (size_t)(r->end - r->at);
}

const uint8_t *rd_bytes(struct rd *r, size_t n)
{
    if (r->bad || n > rd_left(r)) {
        r->bad = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    r->at += n;
    return p;
}

static uint64_t rd_little_endian(struct rd *r, size_t width)
{
    const uint8_t *p = rd_bytes(r, width);
    uint64_t x = 0;
    for (size_t i = 0; p && i < width; i++) {
        x |= (uint64_t)p[i] << (8 * i);
    }
    return x;
}

uint8_t rd_u8(struct rd *r)
{
    return (uint8_t)rd_little_endian(r, 1);
}

uint16_t rd_u16(struct rd *r)
{
    return (uint16_t)rd_little_endian(r, 2);
}

uint32_t rd_u32(struct rd *r)
{
    return (uint32_t)rd_little_endian(r, 4);
}

uint64_t rd_u64(struct rd *r)
{
    return rd_little_endian(r, 8);
}

uint64_t rd_varint(struct rd *r)
{
    uint64_t x = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t byte = rd_u8(r);
        /* The tenth byte holds one bit; a last byte of zero would be a second way to write x. */
        if (r->bad || (shift == 63 && byte > 1) || (shift && !byte)) {
            break;
        }
        x |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return x;
        }
    }
    r->bad = true;
    return 0;
}

struct str rd_text(struct rd *r, size_t limit)
{
    uint64_t n = rd_varint(r);
    if (n > limit || n > rd_left(r)) {
        r->bad = true;
        return STR_NONE;
    }
    const uint8_t *p = rd_bytes(r, (size_t)n);
    return p ? (struct str){(const char *)p, (size_t)n} : STR_NONE;
}

uint64_t rd_count(struct rd *r, size_t item_bytes, uint64_t limit)
{
    uint64_t n = rd_varint(r);
    if (n > limit || (item_bytes && n > rd_left(r) / item_bytes)) {
        r->bad = true;
    }
    return r->bad ? 0 : n;
}

/* Quoting. */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* NAME=… at the front of a command would be an assignment, not a word. */
static bool looks_like_assignment(struct str x)
{
    size_t i = 0;
    while (i < x.n && (is_letter(x.s[i]) || (i && is_digit(x.s[i])))) {
        i++;
    }
    return i && i < x.n && x.s[i] == '=';
}

static bool is_safe_shell_word(struct str x)
{
    for (size_t i = 0; i < x.n; i++) {
        char c = x.s[i];
        if (!is_letter(c) && !is_digit(c) && !str_has(STR("%+,-./:=@"), c)) {
            return false;
        }
    }
    return x.n && !looks_like_assignment(x);
}

void str_put_shell_word(struct buf *b, struct str x)
{
    if (is_safe_shell_word(x)) {
        buf_put_str(b, x);
        return;
    }
    buf_put_char(b, '\'');
    for (size_t i = 0; i < x.n; i++) {
        if (x.s[i] == '\'') {
            buf_put_str(b, STR("'\\''"));
        } else {
            buf_put_char(b, x.s[i]);
        }
    }
    buf_put_char(b, '\'');
}

static void put_json_ascii(struct buf *b, char c)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof named; i += 2) {
        if (named[i] == c) {
            buf_put_char(b, '\\');
            buf_put_char(b, named[i + 1]);
            return;
        }
    }
    if ((uint8_t)c < 0x20) {
        buf_printf(b, "\\u%04x", (unsigned)(uint8_t)c);
    } else {
        buf_put_char(b, c);
    }
}

void str_put_json(struct buf *b, struct str x)
{
    buf_put_char(b, '"');
    while (x.n) {
        uint32_t point;
        size_t n = utf8_step(x, &point);
        if (n == 1) {
            put_json_ascii(b, *x.s);
        } else if (n) {
            buf_put(b, x.s, n);
        } else {
            buf_put_str(b, STR("\xef\xbf\xbd"));
        }
        x = str_tail(x, n ? n : 1);
    }
    buf_put_char(b, '"');
}

/* Controls of both ranges, and the marks that turn the direction of writing. */
static bool is_invisible(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x202a && point <= 0x202e)
           || (point >= 0x2066 && point <= 0x2069);
}

void str_put_visible(struct buf *b, struct str x)
{
    while (x.n) {
        uint32_t point = 0;
        size_t n = utf8_step(x, &point);
        bool line_break = *x.s == '\n' || (*x.s == '\r' && x.n > 1 && x.s[1] == '\n');
        bool plain = n && (line_break || *x.s == '\t' || !is_invisible(point));
        n = n ? n : 1;
        if (plain) {
            buf_put(b, x.s, n);
        }
        for (size_t i = 0; !plain && i < n; i++) {
            buf_printf(b, "\\x%02x", (unsigned)(uint8_t)x.s[i]);
        }
        x = str_tail(x, n);
    }
}

/* Numbers. */

bool str_parse_u64(struct str x, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < x.n; i++) {
        unsigned digit = (unsigned)(uint8_t)x.s[i] - '0';
        if (digit > 9 || value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *out = value;
    return x.n;
}

bool str_parse_i64(struct str x, int64_t *out)
{
    bool minus = x.n && *x.s == '-';
    uint64_t value;
    if (!str_parse_u64(str_tail(x, minus), &value) || value > (uint64_t)INT64_MAX + minus) {
        return false;
    }
    *out = minus ? (int64_t)-value : (int64_t)value;
    return true;
}

static size_t digits_at(struct str x, size_t from)
{
    size_t n = 0;
    while (from + n < x.n && is_digit(x.s[from + n])) {
        n++;
    }
    return n;
}

/* Length of the decimal number at the front, without a sign; 0 if there is none. */
static size_t decimal_length(struct str x)
{
    size_t n = digits_at(x, 0);
    if (!n) {
        return 0;
    }
    if (n < x.n && x.s[n] == '.' && digits_at(x, n + 1)) {
        n += 1 + digits_at(x, n + 1);
    }
    if (n < x.n && (x.s[n] == 'e' || x.s[n] == 'E')) {
        size_t sign = n + 1 < x.n && (x.s[n + 1] == '-' || x.s[n + 1] == '+');
        size_t digits = digits_at(x, n + 1 + sign);
        n += digits ? 1 + sign + digits : 0;
    }
    return n;
}

static double parse_c_double(const char *text)
{
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* a constant of the C library's */
    double x = strtod_l(text, NULL, c);
    freelocale(c);
    return x;
}

bool str_parse_double(struct str x, double *out)
{
    char text[1024];
    size_t minus = x.n && *x.s == '-';
    if (x.n >= sizeof text || x.n == minus || decimal_length(str_tail(x, minus)) != x.n - minus) {
        return false;
    }
    memcpy(text, x.s, x.n);
    text[x.n] = '\0';
    double value = parse_c_double(text);
    if (!isfinite(value)) {
        return false;
    }
    *out = value;
    return true;
}

/* The fewest digits that read back as x (positive, finite), and the power of ten of the first. */
static size_t shortest_digits(double x, char digits[17], int *exponent)
{
    char text[40];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, x);
        if (precision) {
            text[1] = '.'; /* whatever the locale's is */
        }
        if (parse_c_double(text) == x) {
            break;
        }
    }
    size_t n = 0;
    const char *p = text;
    for (; *p != 'e'; p++) {
        if (is_digit(*p)) {
            digits[n++] = *p;
        }
    }
    *exponent = (int)strtol(p + 1, NULL, 10);
    return n;
}

static void put_zeros(struct buf *b, int n)
{
    for (int i = 0; i < n; i++) {
        buf_put_char(b, '0');
    }
}

void str_put_double(struct buf *b, double x)
{
    if (signbit(x)) {
        buf_put_char(b, '-');
        x = -x;
    }
    if (!isfinite(x) || x == 0) {
        buf_put_str(b, isnan(x) ? STR("nan") : x > 0 ? STR("inf") : STR("0"));
        return;
    }
    char digits[17] = "";
    int exponent;
    size_t n = shortest_digits(x, digits, &exponent);
    if (exponent < -5 || exponent > 15) {
        buf_put_char(b, digits[0]);
        if (n > 1) {
            buf_put_char(b, '.');
            buf_put(b, digits + 1, n - 1);
        }
        buf_printf(b, "e%d", exponent);
    } else if (exponent < 0) {
        buf_put_str(b, STR("0."));
        put_zeros(b, -exponent - 1);
        buf_put(b, digits, n);
    } else {
        size_t whole = (size_t)exponent + 1 < n ? (size_t)exponent + 1 : n;
        buf_put(b, digits, whole);
        put_zeros(b, exponent + 1 - (int)whole);
        if (whole < n) {
            buf_put_char(b, '.');
            buf_put(b, digits + whole, n - whole);
        }
    }
}

/* Durations and sizes. */

struct unit {
    struct str name;
    int64_t factor;
};

#define NS_SECOND INT64_C(1000000000)
static const int64_t duration_limit = INT64_C(10000) * 86400 * NS_SECOND;

static const struct unit time_units[] = {
    {{"ms", 2}, NS_SECOND / 1000}, {{"s", 1}, NS_SECOND},         {{"m", 1}, 60 * NS_SECOND},
    {{"h", 1}, 3600 * NS_SECOND},  {{"d", 1}, 86400 * NS_SECOND}, {{NULL, 0}, 0},
};

static const struct unit size_units[] = {
    {{"B", 1}, 1},
    {{"KB", 2}, INT64_C(1000)},
    {{"MB", 2}, INT64_C(1000000)},
    {{"GB", 2}, INT64_C(1000000000)},
    {{"TB", 2}, INT64_C(1000000000000)},
    {{"PB", 2}, INT64_C(1000000000000000)},
    {{"KiB", 3}, INT64_C(1) << 10},
    {{"MiB", 3}, INT64_C(1) << 20},
    {{"GiB", 3}, INT64_C(1) << 30},
    {{"TiB", 3}, INT64_C(1) << 40},
    {{"PiB", 3}, INT64_C(1) << 50},
    {{NULL, 0}, 0},
};

static int64_t unit_factor(const struct unit *units, struct str name)
{
    for (; units->name.n; units++) {
        if (str_eq(units->name, name)) {
            return units->factor;
        }
    }
    return 0;
}

/* number * factor, exact where the number is whole; false beyond the limit. */
static bool scale(struct str number, int64_t factor, int64_t limit, int64_t *out)
{
    uint64_t whole;
    double real;
    if (str_parse_u64(number, &whole)) {
        if (whole > (uint64_t)(limit / factor)) {
            return false;
        }
        *out = (int64_t)whole * factor;
        return true;
    }
    if (!str_parse_double(number, &real) || real * (double)factor >= (double)limit) {
        return false;
    }
    *out = llround(real * (double)factor);
    return true;
}

static bool parse_quantity(struct str x, const struct unit *units, int64_t limit, int64_t *out)
{
    size_t n = decimal_length(x);
    int64_t factor = unit_factor(units, str_tail(x, n));
    return n && factor && scale(str_sub(x, 0, n), factor, limit, out);
}

/* The units of the part before T, or behind it, must come in this order and once each. */
static int64_t iso_factor(char letter, bool time, int *rank)
{
    static const struct {
        char letter;
        bool time;
        int64_t factor;
    } units[] = {
        {'W', false, INT64_C(7) * 86400 * NS_SECOND},
        {'D', false, 86400 * NS_SECOND},
        {'H', true, 3600 * NS_SECOND},
        {'M', true, 60 * NS_SECOND},
        {'S', true, NS_SECOND},
    };
    for (int i = *rank; i < 5; i++) {
        if (units[i].letter == letter && units[i].time == time) {
            *rank = i + 1;
            return units[i].factor;
        }
    }
    return 0;
}

bool str_parse_iso_duration(struct str x, int64_t *out_ns)
{
    if (!str_starts(x, STR("P"))) {
        return false;
    }
    bool time = false, any = false;
    int64_t sum = 0;
    int rank = 0;
    x = str_tail(x, 1);
    while (x.n) {
        if (*x.s == 'T' && !time) {
            time = true;
            any = false; /* T alone says nothing */
            x = str_tail(x, 1);
            continue;
        }
        size_t n = decimal_length(x);
        int64_t part, factor = n && n < x.n ? iso_factor(x.s[n], time, &rank) : 0;
        if (!factor || !scale(str_sub(x, 0, n), factor, duration_limit - sum, &part)) {
            return false;
        }
        sum += part;
        any = true;
        x = str_tail(x, n + 1);
    }
    *out_ns = sum;
    return any;
}

bool str_parse_duration(struct str x, int64_t *out_ns)
{
    return parse_quantity(x, time_units, duration_limit, out_ns)
           || str_parse_iso_duration(x, out_ns);
}

bool str_parse_size(struct str x, int64_t *out_bytes)
{
    return parse_quantity(x, size_units, INT64_MAX, out_bytes);
}

void str_put_duration(struct buf *b, int64_t ns)
{
    if (ns < 0) {
        buf_put_char(b, '-');
        ns = ns == INT64_MIN ? INT64_MAX : -ns;
    }
    int64_t tenths = ns / (NS_SECOND / 10) + (ns % (NS_SECOND / 10) >= NS_SECOND / 20);
    int64_t s = (tenths + 5) / 10;
    if (tenths < 600) {
        buf_printf(b, "%d.%ds", (int)(tenths / 10), (int)(tenths % 10));
    } else if (s < 3600) {
        buf_printf(b, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    } else if (s < 86400) {
        buf_printf(b, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
    } else {
        buf_printf(b, "%dd%02dh", (int)(s / 86400), (int)(s / 3600 % 24));
    }
}

void str_put_size(struct buf *b, uint64_t bytes)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        buf_printf(b, "%dB", (int)bytes);
        return;
    }
    size_t unit = 0;
    double x = (double)bytes / 1024;
    while (x >= 1023.95) {
        x /= 1024;
        unit++;
    }
    long tenths = lround(x * 10); /* not "%.1f": its point is the locale's */
    buf_printf(b, "%ld.%ld%s", tenths / 10, tenths % 10, names[unit]);
}
