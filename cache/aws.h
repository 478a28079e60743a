/* SPDX-License-Identifier: MIT */
/* AWS Signature Version 4 in the Authorization header, as S3 wants it: a path is signed as it is (each byte
 * escaped once, nothing normalised), a query sorted, every header given. What comes out is what must be sent,
 * byte for byte: a transport that escapes, sorts or adds a signed header again breaks the signature. */
#pragma once

#include "core/base/diag.h"
#include "core/base/digest.h"

/* Who signs. token is empty for keys that last. */
struct aws_keys {
    struct str id, secret, token;
};

struct aws_field {
    struct str name, value;
};

#define AWS_UNSIGNED STR("UNSIGNED-PAYLOAD") /* for a body whose digest is not known, over TLS */

enum { AWS_FIELD_LIMIT = 64 }; /* headers, and members of a query */

struct aws_request {
    struct str method;
    struct str
        host; /* as the Host header will say it: with its port unless it is the scheme's own */
    struct str path;               /* raw bytes, from the first '/': "/bucket/a b//c" */
    const struct aws_field *query; /* raw; one without a value is sent as "name=" */
    uint32_t query_count;
    const struct aws_field *headers; /* each is signed; without host and those that signing adds */
    uint32_t header_count;
    struct str payload; /* the body's SHA-256 in hex, or AWS_UNSIGNED; empty: of no body */
};

/* For whom and when. time_s is the corrected clock's, in seconds since 1970. */
struct aws_scope {
    struct str region, service; /* service "s3": x-amz-content-sha256 is sent, too */
    int64_t time_s;
};

struct aws_signed {
    struct str target; /* path, and "?query" where there is one: behind "https://host" as it is */
    const struct aws_field *headers; /* those given, then x-amz-… and authorization; without host */
    uint32_t header_count;
    struct str
        canonical; /* the canonical request, for a diagnosis; it holds a session token if there is one */
};

/* Texts are made in the arena. False with code "bad-request" where a header, the method or a key holds what no
 * header may (line breaks above all), or where there are too many; the message never shows a value. */
bool aws_sign(struct arena *a, const struct aws_request *r, const struct aws_scope *scope,
              const struct aws_keys *keys, struct aws_signed *out, struct diags *d)
    __attribute__((warn_unused_result));

/* Percent-escapes all but A-Z a-z 0-9 - . _ ~, and '/' where slashes are kept. */
void aws_put_escaped(struct buf *b, struct str x, bool keep_slashes);
/* SHA-1 in hex: how AWS tools name the files of their SSO cache. */
struct str aws_sha1_hex(struct arena *a, struct str x);
/* Overwrites bytes that must not stay in memory, in a way that the compiler keeps. */
void aws_wipe(void *bytes, size_t n);
