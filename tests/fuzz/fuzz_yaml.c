/* SPDX-License-Identifier: MIT */
/* Any bytes as a parameter file; what is one is written as JSON, which must parse to the same
 * JSON. */
#include "parser/yaml.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct diags d;
    if (size > 1 << 20) {
        return 0;
    }
    diags_init(&d, &a);
    struct str text = {(const char *)data, size};
    uint32_t source = diags_add_source(&d, STR("params.yaml"), text);
    const struct json *value = yaml_parse(&a, text, source, &d);
    struct buf first;
    buf_init(&first, 256 << 20);
    if (value) {
        json_put(&first, value);
        const struct json *again = json_parse(&a, buf_str(&first), 0, &d);
        struct buf second;
        buf_init(&second, 256 << 20);
        if (again) {
            json_put(&second, again);
        }
        if (!again || !str_eq(buf_str(&first), buf_str(&second))) {
            fprintf(stderr, "--- first\n%.*s\n--- second\n%.*s\n", STR_ARG(buf_str(&first)),
                    STR_ARG(buf_str(&second)));
            abort();
        }
        buf_free(&second);
    } else if (d.errors == 0) {
        abort();
    } else {
        diags_render(&d, false, &first);
    }
    buf_free(&first);
    arena_free(&a);
    return 0;
}
