/* SPDX-License-Identifier: MIT */
/* Any bytes as a file of AWS settings, of either kind: bounded, no control byte in what comes out, and no text
 * of the file in a message. */
#include "cache/credentials_config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void read_one(struct str text, bool plain)
{
    struct arena a = {0};
    struct diags notes;
    struct credentials_config c = {0};
    diags_init(&notes, &a);
    credentials_config_read(&a, &c, STR("f"), text, plain, &notes);
    check(c.all.n <= CREDENTIALS_SETTING_LIMIT && notes.errors == 0);
    for (uint32_t i = 0; i < c.all.n; i++) {
        const struct credentials_setting *s = &c.all.at[i];
        check(s->name.n > 0 && s->value.n <= text.n && (!plain || s->kind == CREDENTIALS_PROFILE));
        check(!memchr(s->value.n ? s->value.s : "", '\n', s->value.n));
        check(credentials_config_has(&c, s->kind, s->section));
        (void)credentials_config_find(&c, s->kind, s->section, s->name);
    }
    for (uint32_t i = 0; i < notes.all.n; i++) {
        check(notes.all.at[i].message.n < 100);
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= 4096) { /* looking up each setting is quadratic */
        read_one((struct str){(const char *)data, size}, false);
        read_one((struct str){(const char *)data, size}, true);
    }
    return 0;
}
