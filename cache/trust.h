/* SPDX-License-Identifier: MIT */
/* Whose results a client takes. Without a list everybody's; with one only those of blocks that a listed key has signed
 * and, in the local cache, of blocks that this user made on this machine. That a block lies here says nothing: what was
 * fetched lies here too. */
#pragma once

#include "cache/key.h"
#include "cache/view.h"

/* Copied by who is given one. */
struct trust {
    const struct sign_public *keys;
    uint32_t count;
    bool only; /* there is a list: nothing else is used */
};
void trust_copy(struct arena *a, const struct trust *from, struct trust *to);

/* Who this user is: in all that one lane commits, and in what it finds. */
struct trust_self {
    struct sign_private key; /* signs; if there is one */
    bool signs;
    struct str own_path; /* of the secret; empty: none is kept */
    bool own_tried, own_held;
    uint8_t own[SIGN_KEY];
};
void trust_self_wipe(struct trust_self *self);

/* Signs the unsigned block and, if own is set, marks it as made here. */
void trust_put_block(struct trust_self *self, struct segment_draft *d, struct buf *block, bool own);
/* Whether this user made the block on this machine. */
bool trust_is_own(struct trust_self *self, struct segment_block *b);
/* Whether its results may be used. self NULL: in a far place, where nothing is known by its mark. */
bool trust_takes(const struct trust *t, struct trust_self *self, struct segment_block *b);

/* Rows of a fingerprint that may be used, newest success first, each once. */
uint32_t trust_find(const struct trust *t, struct trust_self *self, const struct view *v,
                    const struct digest *fingerprint, struct arena *a, struct view_found **out);

/* Who stands behind a result, to be remembered for as long as it is in place. All zeros: this user, here; all ones:
 * nobody was asked for; else the key that signed it, and was listed. */
struct trust_signer {
    uint8_t id[SIGN_ID];
};
struct trust_signer trust_signer_of(const struct segment_block *b);
/* Whether such a result would be taken today. */
bool trust_has(const struct trust *t, const struct trust_signer *s);
