/* SPDX-License-Identifier: MIT */
/* Any bytes as a key file, public or private: at most one key comes out of it, the same once more when it is written
 * and read again, and the same whatever stands around it. */
#include "cache/key.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void try_public(struct str text)
{
    struct sign_public key, again;
    if (!key_read_public(text, &key)) {
        return;
    }
    struct buf b;
    buf_init(&b, KEY_TEXT_LIMIT);
    buf_put_str(&b, STR("for people\n"));
    key_put_public(&b, &key);
    check(key_read_public(buf_str(&b), &again) && memcmp(&key, &again, sizeof key) == 0);
    key_put_public(&b, &key); /* two are none */
    check(!key_read_public(buf_str(&b), &again)
          && !key_read_private(buf_str(&b), &(struct sign_private){0}));
    buf_free(&b);
}

static void try_private(struct str text)
{
    struct sign_private key, again;
    if (!key_read_private(text, &key)) {
        return;
    }
    struct buf b;
    buf_init(&b, KEY_TEXT_LIMIT);
    key_put_private(&b, &key);
    buf_put_str(&b, STR("for people\n"));
    check(key_read_private(buf_str(&b), &again) && memcmp(&key, &again, sizeof key) == 0);
    check(!key_read_public(buf_str(&b), &(struct sign_public){0}));
    buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size <= KEY_TEXT_LIMIT) {
        try_public((struct str){(const char *)data, size});
        try_private((struct str){(const char *)data, size});
    }
    return 0;
}
