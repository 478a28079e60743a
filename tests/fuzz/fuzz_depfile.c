/* SPDX-License-Identifier: MIT */
/* Any bytes as a dependency file: names come out, none empty, or a complaint. */
#include "parser/depfile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    struct str text = {(const char *)data, size};
    uint32_t source = diags_add_source(&d, STR("out.d"), text);
    struct depfile out;
    if (depfile_parse(&a, text, source, &out, &d)) {
        for (uint32_t i = 0; i < out.input_count; i++) {
            if (out.inputs[i].n == 0) {
                abort();
            }
        }
        if (out.input_count > 0 && out.target_count == 0) {
            abort();
        }
    } else if (d.errors != 1) {
        abort();
    }
    struct buf rendered;
    buf_init(&rendered, 1 << 20);
    diags_render(&d, false, &rendered);
    buf_free(&rendered);
    arena_free(&a);
    return 0;
}
