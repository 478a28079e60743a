/* SPDX-License-Identifier: MIT */
/* What asking and fetching share: the bucket, reached twice, since a question is given up sooner than a transfer. */
#pragma once

#include "cache/data.h"
#include "cache/http.h"
#include "cache/s3.h"

struct s3_wallet;

struct data_bucket {
    struct arena arena;
    struct str bucket;
    struct s3_wallet *wallet;
    struct s3_keys keys; /* the wallet's */
    struct guard *guard; /* of what follows */
    bool stopped;
    struct http *keys_http, *ask_http, *fetch_http;
    struct s3 *ask, *fetch;
};

/* As it came, without quotes, in a. */
struct str data_etag(struct arena *a, struct str etag);
/* What to do about it. */
const char *data_help(enum s3_end end);
