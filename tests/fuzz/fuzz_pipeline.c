/* SPDX-License-Identifier: MIT */
/* Any bytes are parsed; what is a Pipelinefile is laid out and parsed again. The trees must be
 * equal, and the layout its own layout. What is not must have been told, and rendering must bear
 * it. */
#include "parser/format.h"
#include "parser/parse.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_LIMIT = 1 << 20 };

struct parsed {
    struct str text;
    const struct ast_file *file;
    struct buf tree, layout;
};

static void read_text(struct arena *a, struct str text, struct parsed *out)
{
    struct diags d;
    diags_init(&d, a);
    uint32_t source = diags_add_source(&d, STR("Pipelinefile"), text);
    buf_init(&out->tree, 64 << 20);
    buf_init(&out->layout, 64 << 20);
    out->text = text;
    out->file = parse_file(a, source, &d);
    if (out->file) {
        ast_dump(out->file, &out->tree);
        format_file(out->file, text, &out->layout);
        return;
    }
    if (d.errors == 0) {
        fprintf(stderr, "refused without a word\n");
        abort();
    }
    diags_render(&d, false, &out->layout);
    buf_clear(&out->layout);
}

static void must_be_equal(const char *what, const struct buf *x, const struct buf *y)
{
    if (!str_eq(buf_str(x), buf_str(y))) {
        fprintf(stderr, "%s differs\n--- first\n%.*s\n--- second\n%.*s\n", what,
                STR_ARG(buf_str(x)), STR_ARG(buf_str(y)));
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct parsed first;
    struct parsed second;
    if (size > INPUT_LIMIT) {
        return 0;
    }
    read_text(&a, (struct str){(const char *)data, size}, &first);
    if (first.file) {
        read_text(&a, buf_str(&first.layout), &second);
        if (!second.file) {
            fprintf(stderr, "the layout does not parse:\n%.*s\n", STR_ARG(buf_str(&first.layout)));
            abort();
        }
        must_be_equal("tree", &first.tree, &second.tree);
        must_be_equal("layout", &first.layout, &second.layout);
        buf_free(&second.tree);
        buf_free(&second.layout);
    }
    buf_free(&first.tree);
    buf_free(&first.layout);
    arena_free(&a);
    return 0;
}
