/* SPDX-License-Identifier: MIT */
/* Any bytes as an encoded late value: evaluated, or refused with a diagnostic; what comes out is known,
 * prints, and is the same when it is encoded and read once more. */
#include "core/value.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool read_file(void *context, struct str path, struct str *text, struct diags *d)
{
    (void)context;
    if (path.n > 20) {
        diag_error(d, "cannot-read", SPAN_NONE, "no such file");
        return false;
    }
    *text = STR("{\"mse\": 4.50, \"a\": [1, \"x y\", {\"b\": null}], \"t\": true}");
    return true;
}

static bool probe(void *context, uint32_t number, struct str *text, struct diags *d)
{
    (void)context;
    (void)number;
    (void)d;
    *text = STR("1.7 'x'");
    return true;
}

static const struct value_reader reader = {.read = read_file, .probe = probe};

static void print(struct buf *b, const struct value *v)
{
    if (v->kind == VALUE_LATE) {
        abort();
    }
    value_put(b, v);
    value_put_json(b, v);
}

static void check_again(struct arena *a, const struct value *v, struct diags *d)
{
    struct buf bytes, first, second;
    struct value again;
    buf_init(&bytes, VALUE_LATE_LIMIT);
    buf_init(&first, BUF_TEXT_LIMIT);
    buf_init(&second, BUF_TEXT_LIMIT);
    print(&first, v);
    if (value_late_encode(&bytes, v, (struct value_sources){NULL, 0}, d)
        && value_late_evaluate(a, buf_str(&bytes), &reader, &again, d)) {
        print(&second, &again);
        if (!str_eq(buf_str(&first), buf_str(&second))) {
            fprintf(stderr, "--- first\n%.*s\n--- second\n%.*s\n", STR_ARG(buf_str(&first)),
                    STR_ARG(buf_str(&second)));
            abort();
        }
    }
    buf_free(&bytes);
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    if (size > 4096 || str_find(bytes, STR("range")) >= 0) { /* a million items are no finding */
        return 0;
    }
    struct arena a = {0};
    struct diags d;
    struct value v;
    diags_init(&d, &a);
    if (value_late_evaluate(&a, bytes, &reader, &v, &d)) {
        check_again(&a, &v, &d);
    } else if (d.errors == 0) {
        abort();
    }
    arena_free(&a);
    return 0;
}
