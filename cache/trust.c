/* SPDX-License-Identifier: MIT */
/* A block is looked into when it first gives a hit, and never again: what was found stands beside it in the view. */
#include "cache/trust.h"

#include <string.h>

enum { FORGED_LIMIT = 256 }; /* signatures that do not hold, before one question is given up */

void trust_copy(struct arena *a, const struct trust *from, struct trust *to)
{
    struct sign_public *keys = ARENA_ARRAY(a, struct sign_public, from->count + 1);
    for (uint32_t i = 0; i < from->count; i++) {
        keys[i] = from->keys[i];
    }
    *to = (struct trust){keys, from->count, from->only};
}

void trust_self_wipe(struct trust_self *self)
{
    sign_wipe(self, sizeof *self);
}

static bool open_own(struct trust_self *self, bool make)
{
    if (!self->own_held && (make || !self->own_tried)) {
        self->own_tried = true;
        self->own_held = key_load_own(self->own_path, make, self->own);
    }
    return self->own_held;
}

static struct digest mark_of(const struct trust_self *self, const uint8_t message[BLOCK_MESSAGE])
{
    return sign_mark(self->own, (struct str){(const char *)message, BLOCK_MESSAGE});
}

void trust_put_block(struct trust_self *self, struct segment_draft *d, struct buf *block, bool own)
{
    uint8_t message[BLOCK_MESSAGE];
    if (self->signs) {
        (void)!segment_block_sign(block, &self->key); /* unsigned it is still of use to many */
    }
    segment_draft_add_block(d, buf_str(block));
    if (own && !block->full && open_own(self, true)
        && segment_block_message(buf_str(block), message)) {
        struct digest mark = mark_of(self, message);
        segment_draft_mark(d, mark.b);
    }
}

bool trust_is_own(struct trust_self *self, struct segment_block *b)
{
    uint8_t message[BLOCK_MESSAGE];
    if (b->word == BLOCK_OWN) {
        return true;
    }
    if (!self || !b->mark || !open_own(self, false) || !segment_block_message(b->bytes, message)) {
        return false;
    }
    struct digest mark = mark_of(self, message);
    b->word = sign_same(mark.b, b->mark, sizeof mark.b) ? BLOCK_OWN : b->word;
    return b->word == BLOCK_OWN;
}

static const struct sign_public *find_key(const struct trust *t, const uint8_t id[SIGN_ID])
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (memcmp(t->keys[i].id, id, SIGN_ID) == 0) {
            return &t->keys[i];
        }
    }
    return NULL;
}

static enum block_word ask(const struct trust *t, struct trust_self *self, struct segment_block *b)
{
    if (trust_is_own(self, b)) {
        return BLOCK_OWN;
    }
    const struct sign_public *key = segment_block_is_signed(b) ? find_key(t, b->key) : NULL;
    return key && segment_block_check(b->bytes, key) ? BLOCK_TRUSTED : BLOCK_NOBODY;
}

bool trust_takes(const struct trust *t, struct trust_self *self, struct segment_block *b)
{
    if (!t->only) {
        return true;
    }
    if (b->word == BLOCK_UNASKED) {
        b->word = (uint8_t)ask(t, self, b);
    }
    return b->word != BLOCK_NOBODY;
}

static bool says_again(const struct view_found *rows, uint32_t count, struct str row)
{
    return count > 0 && str_eq(rows[count - 1].row, row);
}

uint32_t trust_find(const struct trust *t, struct trust_self *self, const struct view *v,
                    const struct digest *fingerprint, struct arena *a, struct view_found **out)
{
    struct view_found *rows;
    uint32_t found = view_find_all(v, fingerprint, a, &rows);
    uint32_t count = 0;
    uint32_t forged = 0;
    for (uint32_t i = 0; i < found && forged < FORGED_LIMIT; i++) {
        if (says_again(rows, count, rows[i].row)) {
            continue;
        }
        bool asked = rows[i].block->word != BLOCK_UNASKED;
        if (trust_takes(t, self, rows[i].block)) {
            rows[count++] = rows[i];
        } else {
            forged += !asked && find_key(t, rows[i].block->key);
        }
    }
    *out = rows;
    return count;
}

struct trust_signer trust_signer_of(const struct segment_block *b)
{
    struct trust_signer s;
    memset(s.id, b->word == BLOCK_OWN ? 0 : 0xff, sizeof s.id);
    if (b->word == BLOCK_TRUSTED) {
        memcpy(s.id, b->key, sizeof s.id);
    }
    return s;
}

bool trust_has(const struct trust *t, const struct trust_signer *s)
{
    static const struct trust_signer own;
    return !t->only || memcmp(s, &own, sizeof own) == 0 || find_key(t, s->id);
}
