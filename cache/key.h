/* SPDX-License-Identifier: MIT */
/* Keys as people keep them: PEM files as OpenSSL writes them too (SubjectPublicKeyInfo; PKCS#8 without a passphrase).
 * Public ones come from outside: read with suspicion. A private one that others can read is not used. */
#pragma once

#include "cache/sign.h"
#include "core/base/diag.h"

enum { KEY_TEXT_LIMIT = 16 << 10 };

/* $XDG_CONFIG_HOME/pawl, else ~/.config/pawl; STR_NONE where neither is set and absolute. */
struct str key_default_dir(struct arena *a);
/* In there. */
#define KEY_PRIVATE_NAME STR("key.pem")
#define KEY_OWN_NAME STR("own")

/* false: not exactly one key of the kind. What stands around it is for people. */
bool key_read_public(struct str text, struct sign_public *out);
bool key_read_private(struct str text, struct sign_private *out);
void key_put_public(struct buf *b, const struct sign_public *k);
void key_put_private(struct buf *b, const struct sign_private *k);
/* 32 hex digits. */
void key_put_id(struct buf *b, const uint8_t id[SIGN_ID]);

/* false with an error ("bad-trust"). dir: where relative paths begin. */
bool key_load_public(int dir, struct str path, struct sign_public *out, struct diags *d);
enum key_answer {
    KEY_GOOD,
    KEY_ABSENT, /* no such file; nothing is told */
    KEY_OPEN,   /* others can read it: told as a warning ("open-signing-key") */
    KEY_BAD,    /* told as an error ("bad-signing-key") */
};
/* Errors to d, the warning to notes. */
enum key_answer key_load_private(struct str path, struct sign_private *out, struct diags *d,
                                 struct diags *notes);

/* The secret by which a user's own blocks are known in the local cache; it never leaves the machine. make: where
 * there is no good one, there is one afterwards. Nothing is told: without it own results only cost a run. */
bool key_load_own(struct str path, bool make, uint8_t out[SIGN_KEY]);
