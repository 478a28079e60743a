/* SPDX-License-Identifier: MIT */
/* Any bytes as JSON; what is JSON is written canonically, and reads back as the same bytes. */
#include "core/base/json.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(struct arena *a, struct str text, struct diags *d, struct buf *out, bool must)
{
    const struct json *value = json_parse(a, text, 0, d);
    if (value) {
        json_put(out, value);
    } else if (must || d->errors == 0) {
        fprintf(stderr, "not JSON: %.*s\n", STR_ARG(text));
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct diags d;
    struct buf first;
    struct buf second;
    diags_init(&d, &a);
    buf_init(&first, 64 << 20);
    buf_init(&second, 64 << 20);
    put(&a, (struct str){(const char *)data, size}, &d, &first, false);
    if (first.n > 0) {
        put(&a, buf_str(&first), &d, &second, true);
        if (!str_eq(buf_str(&first), buf_str(&second))) {
            fprintf(stderr, "--- first\n%.*s\n--- second\n%.*s\n", STR_ARG(buf_str(&first)),
                    STR_ARG(buf_str(&second)));
            abort();
        }
    }
    buf_free(&first);
    buf_free(&second);
    arena_free(&a);
    return 0;
}
