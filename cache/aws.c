/* SPDX-License-Identifier: MIT */
/* Signature Version 4. The canonical request is:
 *   method \n path \n query \n (name:value \n)* \n names \n payload
 * with names in lower case, sorted; blanks in values folded; values of equal names joined by commas. */
#include "cache/aws.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { REQUEST_LIMIT = 1 << 20, STAMP_BYTES = 16, DAY_BYTES = 8 };

#define EMPTY_PAYLOAD STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

struct stamp {
    char text[STAMP_BYTES + 1]; /* 20130524T000000Z */
};

void aws_wipe(void *bytes, size_t n)
{
    OPENSSL_cleanse(bytes, n);
}

struct str aws_sha1_hex(struct arena *a, struct str x)
{
    uint8_t sum[20];
    unsigned n = 0;
    if (!EVP_Digest(x.n ? x.s : "", x.n, sum, &n, EVP_sha1(), NULL) || n != sizeof sum) {
        mem_exhausted(0);
    }
    struct buf b;
    buf_init(&b, 2 * sizeof sum);
    for (size_t i = 0; i < sizeof sum; i++) {
        buf_printf(&b, "%02x", sum[i]);
    }
    struct str out = str_copy(a, buf_str(&b));
    buf_free(&b);
    return out;
}

static bool is_unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
           || (c != '\0' && strchr("-._~", c) != NULL);
}

void aws_put_escaped(struct buf *b, struct str x, bool keep_slashes)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < x.n; i++) {
        uint8_t c = (uint8_t)x.s[i];
        if (is_unreserved(x.s[i]) || (keep_slashes && c == '/')) {
            buf_put_char(b, x.s[i]);
        } else {
            char text[3] = {'%', hex[c >> 4], hex[c & 15]};
            buf_put(b, text, sizeof text);
        }
    }
}

static struct str escaped(struct arena *a, struct str x, bool keep_slashes)
{
    struct buf b;
    buf_init(&b, x.n * 3);
    aws_put_escaped(&b, x, keep_slashes);
    struct str out = str_copy(a, buf_str(&b));
    buf_free(&b);
    return out;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static struct str lower_copy(struct arena *a, struct str x)
{
    char *s = arena_alloc(a, x.n + 1, 1);
    for (size_t i = 0; i < x.n; i++) {
        s[i] = lower(x.s[i]);
    }
    return (struct str){s, x.n};
}

/* A token of RFC 9110, as names of headers and methods are. */
static bool is_token(struct str x)
{
    for (size_t i = 0; i < x.n; i++) {
        if (!is_unreserved(x.s[i]) && (x.s[i] == '\0' || !strchr("!#$%&'*+^`|", x.s[i]))) {
            return false;
        }
    }
    return x.n > 0;
}

static bool is_header_value(struct str x)
{
    for (size_t i = 0; i < x.n; i++) {
        uint8_t c = (uint8_t)x.s[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool refuse(struct diags *d, const char *what)
{
    diag_error(d, "bad-request", SPAN_NONE, "a request cannot be signed: %s", what);
    return false;
}

static bool keys_are_sound(const struct aws_scope *scope, const struct aws_keys *keys,
                           struct diags *d)
{
    if (keys->id.n == 0 || keys->secret.n == 0) {
        return refuse(d, "the access key is empty");
    }
    if (!is_header_value(keys->id) || !is_header_value(keys->token)) {
        return refuse(d, "the credentials hold a control byte");
    }
    if (!is_token(scope->region) || !is_token(scope->service)) {
        return refuse(d, "the name of its region or service is not one");
    }
    return true;
}

static bool is_sound(const struct aws_request *r, struct diags *d)
{
    if (r->header_count > AWS_FIELD_LIMIT || r->query_count > AWS_FIELD_LIMIT) {
        return refuse(d, "it has too many headers or parameters");
    }
    if (!is_token(r->method) || r->method.n > 16 || r->host.n == 0 || !is_header_value(r->host)
        || str_has(r->host, ' ')) {
        return refuse(d, "its method or host is not one");
    }
    if (r->path.n == 0 || r->path.s[0] != '/' || !is_header_value(r->payload)) {
        return refuse(d, "its path or digest is not one");
    }
    for (uint32_t i = 0; i < r->header_count; i++) {
        if (!is_token(r->headers[i].name) || !is_header_value(r->headers[i].value)) {
            return refuse(d, "a header holds bytes that none may hold");
        }
    }
    return true;
}

/* By name, then value, as bytes. */
static int compare_fields(const void *x, const void *y)
{
    const struct aws_field *a = x, *b = y;
    int by_name = str_cmp(a->name, b->name);
    return by_name ? by_name : str_cmp(a->value, b->value);
}

static struct str query_text(struct arena *a, const struct aws_request *r)
{
    struct aws_field *sorted = ARENA_ARRAY(a, struct aws_field, r->query_count + 1);
    for (uint32_t i = 0; i < r->query_count; i++) {
        sorted[i].name = escaped(a, r->query[i].name, false);
        sorted[i].value = escaped(a, r->query[i].value, false);
    }
    qsort(sorted, r->query_count, sizeof *sorted, compare_fields);
    struct buf b;
    buf_init(&b, REQUEST_LIMIT);
    for (uint32_t i = 0; i < r->query_count; i++) {
        buf_put_str(&b, i > 0 ? STR("&") : STR(""));
        buf_put_str(&b, sorted[i].name);
        buf_put_char(&b, '=');
        buf_put_str(&b, sorted[i].value);
    }
    struct str out = b.full ? STR_NONE : str_copy(a, buf_str(&b));
    buf_free(&b);
    return out;
}

/* Blanks at the ends dropped, runs of them one blank. */
static void put_folded(struct buf *b, struct str value)
{
    value = str_trim(value);
    bool blank = false;
    for (size_t i = 0; i < value.n; i++) {
        bool is_blank = value.s[i] == ' ' || value.s[i] == '\t';
        if (!is_blank || !blank) {
            buf_put_char(b, is_blank ? ' ' : value.s[i]);
        }
        blank = is_blank;
    }
}

struct heads {
    struct aws_field at[AWS_FIELD_LIMIT + 8]; /* all that is signed: names in lower case, sorted */
    uint32_t n;
    struct aws_field sent[AWS_FIELD_LIMIT + 8];
    uint32_t sent_count;
};

/* In the order of their names, equal ones in the order given. */
static void add_signed(struct heads *h, struct str lower_name, struct str value)
{
    uint32_t i = h->n++;
    for (; i > 0 && str_cmp(h->at[i - 1].name, lower_name) > 0; i--) {
        h->at[i] = h->at[i - 1];
    }
    h->at[i] = (struct aws_field){lower_name, value};
}

static void add_head(struct arena *a, struct heads *h, struct str name, struct str value)
{
    h->sent[h->sent_count++] = (struct aws_field){name, value};
    add_signed(h, lower_copy(a, name), value);
}

static void gather_heads(struct arena *a, struct heads *h, const struct aws_request *r,
                         const struct aws_field added[3])
{
    add_signed(h, STR("host"), r->host);
    for (uint32_t i = 0; i < r->header_count; i++) {
        add_head(a, h, r->headers[i].name, r->headers[i].value);
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (added[i].value.n > 0) {
            add_head(a, h, added[i].name, added[i].value);
        }
    }
}

static bool same_as_before(const struct heads *h, uint32_t i)
{
    return i > 0 && str_eq(h->at[i - 1].name, h->at[i].name);
}

static struct str names_text(struct arena *a, const struct heads *h)
{
    struct buf b;
    buf_init(&b, REQUEST_LIMIT);
    for (uint32_t i = 0; i < h->n; i++) {
        if (!same_as_before(h, i)) {
            buf_put_str(&b, i > 0 ? STR(";") : STR(""));
            buf_put_str(&b, h->at[i].name);
        }
    }
    struct str out = str_copy(a, buf_str(&b));
    buf_free(&b);
    return out;
}

static void put_heads(struct buf *b, const struct heads *h)
{
    for (uint32_t i = 0; i < h->n; i++) {
        if (same_as_before(h, i)) {
            b->s[b->n - 1] = ','; /* in place of the line break */
        } else {
            buf_put_str(b, h->at[i].name);
            buf_put_char(b, ':');
        }
        put_folded(b, h->at[i].value);
        buf_put_char(b, '\n');
    }
}

static struct digest hmac(const void *key, size_t key_bytes, struct str text)
{
    struct digest out;
    unsigned n = sizeof out.b;
    if (!HMAC(EVP_sha256(), key, (int)key_bytes, (const uint8_t *)text.s, text.n, out.b, &n)) {
        mem_exhausted(0);
    }
    return out;
}

static struct digest signing_key(struct str secret, struct str day, const struct aws_scope *scope)
{
    struct buf b;
    buf_init(&b, secret.n + 8);
    buf_put_str(&b, STR("AWS4"));
    buf_reserve(&b, secret.n); /* so that no growth leaves a copy behind */
    buf_put_str(&b, secret);
    struct digest key = hmac(b.s, b.n, day);
    aws_wipe(b.s, b.n);
    buf_free(&b);
    key = hmac(key.b, sizeof key.b, scope->region);
    key = hmac(key.b, sizeof key.b, scope->service);
    return hmac(key.b, sizeof key.b, STR("aws4_request"));
}

static struct str hex(struct arena *a, const struct digest *x)
{
    struct buf b;
    buf_init(&b, DIGEST_HEX);
    digest_put_hex(&b, x);
    struct str out = str_copy(a, buf_str(&b));
    buf_free(&b);
    return out;
}

static bool stamp_make(struct stamp *out, int64_t time_s, struct diags *d)
{
    time_t t = (time_t)time_s;
    struct tm tm;
    if (!gmtime_r(&t, &tm)
        || strftime(out->text, sizeof out->text, "%Y%m%dT%H%M%SZ", &tm) != STAMP_BYTES) {
        return refuse(d, "the clock is out of its range");
    }
    return true;
}

static struct str authorization(struct arena *a, struct str stamp, const struct aws_scope *scope,
                                const struct aws_keys *keys, const struct str parts[2])
{
    struct str day = str_sub(stamp, 0, DAY_BYTES);
    struct str place = str_printf(a, "%.*s/%.*s/%.*s/aws4_request", STR_ARG(day),
                                  STR_ARG(scope->region), STR_ARG(scope->service));
    struct digest of_request = digest_of(parts[0].s, parts[0].n);
    struct str text = str_printf(a, "AWS4-HMAC-SHA256\n%.*s\n%.*s\n%.*s", STR_ARG(stamp),
                                 STR_ARG(place), STR_ARG(hex(a, &of_request)));
    struct digest key = signing_key(keys->secret, day, scope);
    struct digest signature = hmac(key.b, sizeof key.b, text);
    aws_wipe(&key, sizeof key);
    return str_printf(
        a, "AWS4-HMAC-SHA256 Credential=%.*s/%.*s, SignedHeaders=%.*s, Signature=%.*s",
        STR_ARG(keys->id), STR_ARG(place), STR_ARG(parts[1]), STR_ARG(hex(a, &signature)));
}

static bool canonical(struct arena *a, const struct aws_request *r, const struct heads *h,
                      const struct str parts[4], struct str *out)
{
    struct buf b;
    buf_init(&b, REQUEST_LIMIT);
    buf_put_str(&b, r->method);
    buf_put_char(&b, '\n');
    buf_put_str(&b, parts[0]);
    buf_put_char(&b, '\n');
    buf_put_str(&b, parts[1]);
    buf_put_char(&b, '\n');
    put_heads(&b, h);
    buf_put_char(&b, '\n');
    buf_put_str(&b, parts[2]);
    buf_put_char(&b, '\n');
    buf_put_str(&b, parts[3]);
    bool fits = !b.full;
    *out = fits ? str_copy(a, buf_str(&b)) : STR_NONE;
    buf_free(&b);
    return fits;
}

bool aws_sign(struct arena *a, const struct aws_request *r, const struct aws_scope *scope,
              const struct aws_keys *keys, struct aws_signed *out, struct diags *d)
{
    struct stamp stamp;
    if (!keys_are_sound(scope, keys, d) || !is_sound(r, d)
        || !stamp_make(&stamp, scope->time_s, d)) {
        return false;
    }
    struct str when = str_copy(a, (struct str){stamp.text, STAMP_BYTES});
    struct str payload = r->payload.n ? r->payload : EMPTY_PAYLOAD;
    bool is_s3 = str_eq(scope->service, STR("s3"));
    struct heads *h = ARENA_NEW(a, struct heads);
    gather_heads(a, h, r,
                 (struct aws_field[3]){{STR("x-amz-content-sha256"), is_s3 ? payload : STR_NONE},
                                       {STR("x-amz-date"), when},
                                       {STR("x-amz-security-token"), keys->token}});
    struct str path = escaped(a, r->path, true), query = query_text(a, r), names = names_text(a, h);
    if ((r->query_count > 0 && !query.s)
        || !canonical(a, r, h, (struct str[4]){path, query, names, payload}, &out->canonical)) {
        return refuse(d, "it is longer than any request");
    }
    struct str line = authorization(a, when, scope, keys, (struct str[2]){out->canonical, names});
    h->sent[h->sent_count++] = (struct aws_field){STR("authorization"), line};
    out->target = query.n ? str_join3(a, path, STR("?"), query) : path;
    out->headers = h->sent;
    out->header_count = h->sent_count;
    return true;
}
