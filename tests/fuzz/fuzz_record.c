/* SPDX-License-Identifier: MIT */
/* Any bytes as a record's row: what is accepted names only paths inside the workspace, and can be written as a row
 * that reads the same. */
#include "cache/record.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_path(struct str path)
{
    must(path.n > 0 && path.s[0] != '/' && path.s[path.n - 1] != '/');
    must(str_find(path, STR("//")) < 0 && !str_eq(path, STR("..")) && !str_eq(path, STR(".")));
    must(!str_starts(path, STR("../")) && !str_ends(path, STR("/.."))
         && str_find(path, STR("/../")) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct record r;
    struct record again;
    if (record_read(&a, (struct str){(const char *)data, size}, &r)) {
        for (uint32_t i = 0; i < r.output_count; i++) {
            check_path(r.outputs[i].path);
        }
        for (uint32_t i = 0; i < r.input_count; i++) {
            check_path(r.inputs[i].path);
        }
        struct buf b;
        struct buf c;
        buf_init(&b, RECORD_BYTES_LIMIT);
        buf_init(&c, RECORD_BYTES_LIMIT);
        must(record_put(&b, &r));
        must(record_read(&a, buf_str(&b), &again) && record_put(&c, &again));
        must(str_eq(buf_str(&b), buf_str(&c)));
        buf_free(&b);
        buf_free(&c);
    }
    arena_free(&a);
    return 0;
}
