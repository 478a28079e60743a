/* SPDX-License-Identifier: MIT */
/* Any shell text with values at each @: it is expanded or refused with a diagnostic, and never hangs. That
 * what is expanded arrives is tested against real shells in the unit tests. */
#include "core/shell.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str texts[] = {{"a'b\n\\\tE", 8}, {"x\"", 2}, {"", 0}, {"E", 1}};

/* One of each kind, chosen by a number. */
static struct value value_of(struct arena *a, unsigned n)
{
    struct value v = value_string(texts[n % 4]);
    if (n % 8 == 4) {
        v = value_probe(a, n, STR("p"));
    } else if (n % 8 == 5) {
        struct value *items = ARENA_ARRAY(a, struct value, 2);
        items[0] = v;
        items[1] = value_int(-3);
        v = (struct value){.kind = VALUE_LIST, .count = 2, .items = items, .depth = 1};
    } else if (n % 8 == 6) {
        v = value_int(-3);
    }
    v.raw = n % 8 == 7;
    return v;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096) {
        return 0;
    }
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    VEC(struct value_part) parts = {0};
    struct str rest = {(const char *)data + 1, size - 1}, piece;
    for (unsigned n = data[0] % 64; str_cut(&rest, '@', &piece); n++) {
        VEC_PUSH(&a, &parts)->text = piece;
        struct value *v = ARENA_NEW(&a, struct value);
        *v = value_of(&a, n);
        VEC_PUSH(&a, &parts)->value = v;
    }
    const struct value_work work = {.arena = &a};
    const struct value_style style = {.cwd = STR("w")};
    struct value out;
    bool good = shell_expand(&work, (struct value_parts){parts.at, parts.n},
                             data[0] & 128 ? SHELL_BASH : SHELL_POSIX, &style, &out, &d);
    if (good != (d.errors == 0)) {
        abort();
    }
    arena_free(&a);
    return 0;
}
