/* SPDX-License-Identifier: MIT */
/* SHA-256 over OpenSSL's EVP. The library only fails here for want of memory, or where SHA-256 has
 * been taken out of it; both end the process. */
#include "core/base/digest.h"

#include "core/base/arena.h"

#include <openssl/evp.h>
#include <string.h>

static void must(bool done)
{
    if (!done) {
        mem_exhausted(0);
    }
}

struct digest digest_of(const void *bytes, size_t n)
{
    struct digest out;
    must(EVP_Digest(n ? bytes : "", n, out.b, NULL, EVP_sha256(), NULL));
    return out;
}

bool digest_eq(const struct digest *x, const struct digest *y)
{
    return !memcmp(x->b, y->b, sizeof x->b);
}

int digest_cmp(const struct digest *x, const struct digest *y)
{
    return memcmp(x->b, y->b, sizeof x->b);
}

void digest_put_hex(struct buf *b, const struct digest *x)
{
    static const char hex[] = "0123456789abcdef";
    char text[DIGEST_HEX];
    for (size_t i = 0; i < sizeof x->b; i++) {
        text[2 * i] = hex[x->b[i] >> 4];
        text[2 * i + 1] = hex[x->b[i] & 15];
    }
    buf_put(b, text, sizeof text);
}

/* Lower case only: a digest has one name. */
static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool digest_parse_hex(struct str hex, struct digest *out)
{
    struct digest x;
    if (hex.n != DIGEST_HEX) {
        return false;
    }
    for (size_t i = 0; i < sizeof x.b; i++) {
        int high = hex_value(hex.s[2 * i]), low = hex_value(hex.s[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        x.b[i] = (uint8_t)(high << 4 | low);
    }
    *out = x;
    return true;
}

void digester_begin(struct digester *d)
{
    d->context = EVP_MD_CTX_new();
    must(d->context && EVP_DigestInit_ex(d->context, EVP_sha256(), NULL));
}

void digester_add(struct digester *d, const void *bytes, size_t n)
{
    if (n) {
        must(EVP_DigestUpdate(d->context, bytes, n));
    }
}

struct digest digester_end(struct digester *d)
{
    struct digest out;
    must(EVP_DigestFinal_ex(d->context, out.b, NULL));
    EVP_MD_CTX_free(d->context);
    d->context = NULL;
    return out;
}

struct str digest_md5_base64(struct arena *a, struct str x)
{
    unsigned char md5[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (EVP_Digest(x.s, x.n, md5, &n, EVP_md5(), NULL) != 1) {
        return STR_NONE;
    }
    unsigned char text[4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1];
    int length = EVP_EncodeBlock(text, md5, (int)n);
    return str_copy(a, (struct str){(const char *)text, (size_t)length});
}
