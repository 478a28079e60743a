/* SPDX-License-Identifier: MIT */
/* SHA-256 as a value (OpenSSL). */
#pragma once

#include "core/base/str.h"

struct digest {
    uint8_t b[32];
};

enum { DIGEST_HEX = 64 };

struct digest digest_of(const void *bytes, size_t n);
bool digest_eq(const struct digest *x, const struct digest *y);
int digest_cmp(const struct digest *x, const struct digest *y);
void digest_put_hex(struct buf *b, const struct digest *x);
bool digest_parse_hex(struct str hex, struct digest *out);

/* Incremental; context is OpenSSL's. begin, any number of adds, then one end (which frees). */
struct digester {
    void *context;
};
void digester_begin(struct digester *d);
void digester_add(struct digester *d, const void *bytes, size_t n);
struct digest digester_end(struct digester *d);

/* MD5 in base64, for what a protocol insists on and nothing else; STR_NONE where OpenSSL offers none. */
struct str digest_md5_base64(struct arena *a, struct str x);
