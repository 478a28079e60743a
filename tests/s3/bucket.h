/* SPDX-License-Identifier: MIT */
/* A bucket of the gateway that the environment names, for tests. */
#pragma once

#include "cache/depot_s3.h"

#define BUCKET "pawl-tests"

struct bucket {
    struct arena arena;
    struct diags notes;
    struct aws_keys keys;
    struct http *http;
    struct s3 *s3;
};

/* How a test wants it; zeros: path-style, plain HTTP, the right keys. */
struct bucket_wish {
    const char *endpoint_variable; /* S3_TEST_ENDPOINT */
    const char *name;              /* BUCKET */
    enum s3_style style;
    const char *key_id, *secret;
    const char *ca; /* file */
    int64_t ahead_ms, deadline_ms, stall_ms;
    uint32_t attempts;
};

const char *bucket_env(const char *name);
void bucket_open(struct bucket *b, struct bucket_wish wish);
void bucket_close(struct bucket *b);
void bucket_make(struct bucket *b); /* at the gateway */
