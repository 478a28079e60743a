/* SPDX-License-Identifier: MIT */
/* A bucket of the gateway that the environment names, for tests. */
#include "tests/s3/bucket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *bucket_env(const char *name)
{
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "%s is not set: tests/s3/run.py starts this\n", name);
        exit(EXIT_FAILURE);
    }
    return value;
}

static bool give_keys(void *context, struct arena *a, int64_t now_s, bool renew,
                      struct aws_keys *out, struct diags *d)
{
    struct bucket *b = context;
    (void)a;
    (void)d;
    (void)renew;
    *out = b->keys;
    return now_s > 0;
}

static struct str or_else(const char *given, const char *otherwise)
{
    return str_from(given ? given : otherwise);
}

void bucket_open(struct bucket *b, struct bucket_wish wish)
{
    *b = (struct bucket){0};
    diags_init(&b->notes, &b->arena);
    b->keys.id = or_else(wish.key_id, bucket_env("S3_TEST_KEY"));
    b->keys.secret = or_else(wish.secret, bucket_env("S3_TEST_SECRET"));
    struct http_settings transport = http_settings_default();
    transport.ca_bundle = or_else(wish.ca, "");
    transport.pause_ms = 50;
    transport.breaker_failures = 0; /* a test's failures are wanted */
    if (wish.stall_ms) {
        transport.stall_ms = wish.stall_ms;
    }
    if (wish.attempts) {
        transport.attempts = wish.attempts;
    }
    b->http = http_open(&transport, &b->notes);
    const char *endpoint = wish.endpoint_variable ? wish.endpoint_variable : "S3_TEST_ENDPOINT";
    struct s3_settings settings = {.where = {.endpoint = str_from(bucket_env(endpoint)),
                                             .bucket = or_else(wish.name, BUCKET),
                                             .style = wish.style},
                                   .keys = {give_keys, b},
                                   .ahead_ms = wish.ahead_ms,
                                   .deadline_ms = wish.deadline_ms,
                                   .put_deadline_ms = wish.deadline_ms};
    b->s3 = b->http ? s3_open(b->http, &settings, &b->notes) : NULL;
    if (!b->s3) {
        fprintf(stderr, "the bucket cannot be opened\n");
        exit(EXIT_FAILURE);
    }
}

void bucket_close(struct bucket *b)
{
    s3_close(b->s3);
    http_close(b->http);
    arena_free(&b->arena);
}

void bucket_make(struct bucket *b)
{
    struct s3_reply reply;
    struct depot_source nothing = DEPOT_PARTS(NULL, 0);
    if (s3_put(b->s3, STR(""), &nothing, false, &reply) != S3_DONE
        && strcmp(reply.code, "BucketAlreadyOwnedByYou") != 0) {
        fprintf(stderr, "the bucket cannot be made: %s\n", reply.trouble);
        exit(EXIT_FAILURE);
    }
}
