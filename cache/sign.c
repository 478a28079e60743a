/* SPDX-License-Identifier: MIT */
/* A key that OpenSSL does not take signs nothing and checks nothing: the answer is no. */
#include "cache/sign.h"

#include "core/base/arena.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <sys/random.h>

void sign_public_from(const uint8_t key[SIGN_KEY], struct sign_public *out)
{
    struct digest digest = digest_of(key, SIGN_KEY);
    memcpy(out->key, key, SIGN_KEY);
    memcpy(out->id, digest.b, SIGN_ID);
}

bool sign_private_from(const uint8_t seed[SIGN_KEY], struct sign_private *out)
{
    uint8_t key[SIGN_KEY];
    size_t n = sizeof key;
    EVP_PKEY *k = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, SIGN_KEY);
    bool ok = k && EVP_PKEY_get_raw_public_key(k, key, &n) == 1 && n == sizeof key;
    EVP_PKEY_free(k);
    if (ok) {
        memcpy(out->seed, seed, SIGN_KEY);
        sign_public_from(key, &out->public);
    }
    return ok;
}

bool sign_make(struct sign_private *out)
{
    uint8_t seed[SIGN_KEY];
    bool ok =
        getrandom(seed, sizeof seed, 0) == (ssize_t)sizeof seed && sign_private_from(seed, out);
    sign_wipe(seed, sizeof seed);
    return ok;
}

void sign_wipe(void *bytes, size_t n)
{
    OPENSSL_cleanse(bytes, n);
}

bool sign_put(const struct sign_private *k, struct str message, uint8_t out[SIGN_BYTES])
{
    size_t n = SIGN_BYTES;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, k->seed, SIGN_KEY);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok = key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1
              && EVP_DigestSign(context, out, &n, (const uint8_t *)message.s, message.n) == 1
              && n == SIGN_BYTES;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return ok;
}

bool sign_check(const struct sign_public *k, struct str message,
                const uint8_t signature[SIGN_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, k->key, SIGN_KEY);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool ok =
        key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1
        && EVP_DigestVerify(context, signature, SIGN_BYTES, (const uint8_t *)message.s, message.n)
               == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return ok;
}

struct digest sign_mark(const uint8_t secret[SIGN_KEY], struct str message)
{
    struct digest out;
    unsigned n = sizeof out.b;
    if (!HMAC(EVP_sha256(), secret, SIGN_KEY, (const uint8_t *)message.s, message.n, out.b, &n)) {
        mem_exhausted(0);
    }
    return out;
}

bool sign_same(const uint8_t *x, const uint8_t *y, size_t n)
{
    return CRYPTO_memcmp(x, y, n) == 0;
}
