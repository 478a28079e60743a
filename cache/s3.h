/* SPDX-License-Identifier: MIT */
/* The operations of S3 on the keys of one bucket: signed anew for each attempt, answers told apart, regions and
 * the server's clock learned on the way. Waits: for threads that may wait. */
#pragma once

#include "cache/aws.h"
#include "cache/http.h"
#include "cache/s3_address.h"
#include "cache/s3_xml.h"

/* Gives the keys to sign with, texts in a. Called before each attempt, on the thread that asks. false with the
 * reason in d. renew: the server refused the last ones as expired. No keys (id empty): unsigned. */
struct s3_keys {
    bool (*get)(void *context, struct arena *a, int64_t now_s, bool renew, struct aws_keys *out,
                struct diags *d);
    void *context;
};

struct s3_settings {
    struct s3_where where;
    struct s3_keys keys;
    int64_t
        ahead_ms; /* how far the server's clock is thought to be before this machine's; usually 0 */
    bool stiff;   /* that is not corrected by what the server says */
    int64_t
        deadline_ms; /* of one operation with all its attempts; 0: 60 s. A range has 8 s a MiB besides */
    int64_t
        put_deadline_ms; /* of a put; 0: 5 min, which is the most that the cache's bounds allow */
};

struct s3; /* [any]: all but open and close may be called on any thread */

/* NULL with a warning: an endpoint or a bucket's name that cannot be. http is borrowed. */
struct s3 *s3_open(struct http *http, const struct s3_settings *settings, struct diags *notes);
void s3_close(struct s3 *s); /* NULL is fine */

enum s3_end {
    S3_DONE,
    S3_ABSENT, /* no such key */
    S3_NO_BUCKET,
    S3_EXISTS,      /* a put with if_absent */
    S3_DENIED,      /* 403 AccessDenied: not allowed, or not there for one who may not list */
    S3_UNKNOWN,     /* who asks is not known: wrong or expired keys, a clock that is off */
    S3_UNSUPPORTED, /* 501 */
    S3_REFUSED,     /* anything else that asking again would not change */
    S3_STOPPED,     /* the sink had enough */
    S3_LATER,       /* no answer, or a doubtful one */
};

struct s3_reply {
    enum s3_end end;
    uint32_t status;     /* of the last answer; 0: none */
    uint32_t attempts;   /* requests sent */
    int64_t now_ms;      /* Date; 0: not told */
    int64_t modified_ms; /* Last-Modified; 0: not told */
    uint64_t size;       /* get, head: of the whole value where it was told */
    char etag[80];       /* with its quotes; empty: not told, or too long */
    char version[80];    /* x-amz-version-id */
    char code[64];       /* "SlowDown"; empty: none */
    char trouble[200];   /* in words, unless DONE */
};

struct s3_want {
    struct str key;
    struct depot_range range; /* get */
    struct depot_sink sink;   /* get: bytes in order, each once, whatever was retried */
    struct s3_reply reply;
};
/* Several side by side; true: each DONE. */
bool s3_get_all(struct s3 *s, struct s3_want *wants, uint32_t count);
bool s3_head_all(struct s3 *s, struct s3_want *wants, uint32_t count);

/* A range behind the end gives nothing, and DONE. */
enum s3_end s3_get(struct s3 *s, struct str key, struct depot_range range, struct depot_sink sink,
                   struct s3_reply *reply);
enum s3_end s3_head(struct s3 *s, struct str key, struct s3_reply *reply);
/* Sent with its digest, so that the server stores it whole or not at all. if_absent: EXISTS after an attempt of
 * our own whose answer was lost is told as LATER. */
enum s3_end s3_put(struct s3 *s, struct str key, const struct depot_source *source, bool if_absent,
                   struct s3_reply *reply);
enum s3_end s3_delete(struct s3 *s, struct str key,
                      struct s3_reply *reply); /* DONE if it was absent, too */
/* At most S3_LIST_LIMIT keys. DONE: failed has those that are still there, and why. */
enum s3_end s3_delete_all(struct s3 *s, const struct str *keys, uint32_t count, struct arena *a,
                          struct s3_deleted *failed, struct s3_reply *reply);

struct s3_query {
    struct str prefix, after, delimiter; /* after: keys that sort behind it */
    struct str token;                    /* next of the listing before; empty: the first */
    uint32_t limit;                      /* keys in one answer; 0: S3_LIST_LIMIT */
};
/* One answer's worth, in a. */
enum s3_end s3_list(struct s3 *s, const struct s3_query *query, struct arena *a,
                    struct s3_listing *out, struct s3_reply *reply);

/* What the bucket says of itself: what is "versioning", or "lifecycle" (ABSENT: there are no rules). In a. */
enum s3_end s3_ask(struct s3 *s, const char *what, struct arena *a, struct str *out,
                   struct s3_reply *reply);

/* The machine's clock as far as the server corrected it, ms since 1970. */
int64_t s3_now_ms(struct s3 *s);
