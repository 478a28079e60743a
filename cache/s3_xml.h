/* SPDX-License-Identifier: MIT */
/* The few XML documents of S3, read with suspicion: no entities of their own, bounded depth, counts and texts;
 * whatever is not well formed or has no sense is an error, never half an answer. */
#pragma once

#include "core/base/arena.h"
#include "core/base/str.h"

enum {
    S3_XML_LIMIT = 16 << 20, /* bytes of a document */
    S3_KEY_LIMIT = 1024,     /* bytes of a key, as S3 has it */
    S3_LIST_LIMIT = 1000,    /* keys in one answer, and in one bulk delete */
};

struct s3_entry {
    struct str key;
    uint64_t size;
    int64_t modified_ms; /* Last-Modified */
    struct str etag;     /* with its quotes, as it came */
};

struct s3_listing {
    struct s3_entry *entries; /* in the order of the answer, which the caller checks */
    uint32_t count;
    struct str *prefixes; /* CommonPrefixes, where a delimiter was given */
    uint32_t prefix_count;
    bool truncated;
    struct str next; /* token for the next part; set when truncated */
};

struct s3_error {
    struct str code; /* "NoSuchKey"; empty: the document says none */
    struct str message;
    struct str region, bucket, endpoint; /* of a redirect */
};

struct s3_deleted {
    struct s3_error_of_key {
        struct str key, code;
    } * failed;
    uint32_t failed_count;
};

/* All texts are copied to a. false: not that document, cut, or beyond a bound. */
bool s3_xml_read_listing(struct arena *a, struct str text, struct s3_listing *out);
bool s3_xml_read_error(struct arena *a, struct str text, struct s3_error *out);
bool s3_xml_read_deleted(struct arena *a, struct str text, struct s3_deleted *out);
/* Whether the bucket keeps what is put over and dropped. */
bool s3_xml_read_versioning(struct arena *a, struct str text, bool *enabled);
/* Whether an active rule drops keys, as they are, that begin with prefix, or some of them. */
bool s3_xml_read_lifecycle(struct arena *a, struct str text, struct str prefix, bool *drops);
/* Whether it begins like an error document: such may come with status 200. */
bool s3_xml_is_error(struct str text);
/* The body of a bulk delete: quiet, keys escaped. */
void s3_xml_put_delete(struct buf *b, const struct str *keys, uint32_t count);
/* "2026-11-22T14:03:05.123Z" as ms since 1970. */
bool s3_xml_time_parse(struct str text, int64_t *ms);
