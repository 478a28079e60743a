/* SPDX-License-Identifier: MIT */
/* Any bytes as each of the documents of S3: what is read keeps its bounds, and its keys can be written again. */
#include "cache/s3_xml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void use_listing(struct arena *a, struct str text)
{
    struct s3_listing l;
    if (!s3_xml_read_listing(a, text, &l)) {
        return;
    }
    must(l.count <= S3_LIST_LIMIT && l.prefix_count <= S3_LIST_LIMIT);
    must(!l.truncated || l.next.n > 0);
    struct buf b;
    buf_init(&b, S3_XML_LIMIT);
    struct str *keys = ARENA_ARRAY(a, struct str, l.count + 1);
    for (uint32_t i = 0; i < l.count; i++) {
        must(l.entries[i].key.n <= S3_KEY_LIMIT && l.entries[i].size <= INT64_MAX);
        keys[i] = l.entries[i].key;
    }
    s3_xml_put_delete(&b, keys, l.count);
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct str text = {(const char *)data, size};
    struct s3_error error;
    struct s3_deleted deleted;
    int64_t ms;
    use_listing(&a, text);
    if (s3_xml_read_error(&a, text, &error)) {
        must(error.code.n <= size);
    }
    if (s3_xml_read_deleted(&a, text, &deleted)) {
        must(deleted.failed_count <= S3_LIST_LIMIT);
    }
    bool is;
    (void)s3_xml_read_versioning(&a, text, &is);
    if (!s3_xml_read_lifecycle(&a, text, STR("team/"), &is)) {
        must(!is);
    }
    (void)s3_xml_is_error(text);
    if (s3_xml_time_parse(text, &ms)) {
        must(ms >= 0);
    }
    arena_free(&a);
    return 0;
}
