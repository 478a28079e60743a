/* SPDX-License-Identifier: MIT */
/* Ed25519 and a keyed digest (OpenSSL): keys as values, nothing of where they lie. */
#pragma once

#include "core/base/digest.h"

enum { SIGN_KEY = 32, SIGN_ID = 16, SIGN_BYTES = 64 };

/* id: first half of SHA-256 of the key. */
struct sign_public {
    uint8_t key[SIGN_KEY], id[SIGN_ID];
};
/* The seed is the secret: whoever holds one wipes it. */
struct sign_private {
    uint8_t seed[SIGN_KEY];
    struct sign_public public;
};

void sign_public_from(const uint8_t key[SIGN_KEY], struct sign_public *out);
/* false: OpenSSL does not do Ed25519 here (FIPS). */
bool sign_private_from(const uint8_t seed[SIGN_KEY], struct sign_private *out);
bool sign_make(struct sign_private *out); /* of chance */
void sign_wipe(void *bytes, size_t n);

bool sign_put(const struct sign_private *k, struct str message, uint8_t out[SIGN_BYTES]);
bool sign_check(const struct sign_public *k, struct str message,
                const uint8_t signature[SIGN_BYTES]);

/* HMAC-SHA256, and comparing it in constant time. */
struct digest sign_mark(const uint8_t secret[SIGN_KEY], struct str message);
bool sign_same(const uint8_t *x, const uint8_t *y, size_t n);
