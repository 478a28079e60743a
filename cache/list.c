/* SPDX-License-Identifier: MIT */
/* Lists of chunks. Where a list ends depends on the digests in it, so an insertion early in a file leaves
 * the later lists as they were.
 *   list = "pawl list" %x00 version level total count *(size digest)     version = %x01, level one byte,
 *   total, count and size varints, digest 32 bytes */
#include "cache/list.h"

#include "cache/chunk.h"

#include <assert.h>
#include <string.h>

static const char list_magic[] = "pawl list"; /* its NUL is part of it */
enum { LIST_VERSION = 1, LIST_ENTRY_MIN = 33 };

/* ---- objects kept ---- */

void object_set_init(struct object_set *set, struct arena *a)
{
    *set = (struct object_set){.arena = a};
    table_init(&set->names, a);
}

void object_set_add(struct object_set *set, uint8_t kind, const struct digest *digest,
                    struct str bytes)
{
    char key[REF_KEY];
    bool is_new;
    table_add(&set->names, ref_key(kind, digest, key), &is_new);
    if (is_new) {
        *VEC_PUSH(set->arena, &set->bytes) = str_copy(set->arena, bytes);
    }
}

bool object_set_find(const struct object_set *set, uint8_t kind, const struct digest *digest,
                     struct str *bytes)
{
    char key[REF_KEY];
    uint32_t i = table_find(&set->names, ref_key(kind, digest, key));
    if (i == TABLE_NONE) {
        return false;
    }
    *bytes = set->bytes.at[i];
    return true;
}

/* ---- making ---- */

void list_builder_init(struct list_builder *b, struct object_set *keep)
{
    *b = (struct list_builder){.keep = keep};
    for (int i = 0; i < LIST_LEVELS; i++) {
        buf_init(&b->levels[i].entries, BUF_TEXT_LIMIT);
    }
}

void list_builder_free(struct list_builder *b)
{
    for (int i = 0; i < LIST_LEVELS; i++) {
        buf_free(&b->levels[i].entries);
    }
    *b = (struct list_builder){0};
}

/* The list after which the next begins: 12 zero bits at the digest's end. */
static bool ends_list(const struct digest *digest)
{
    return !digest->b[31] && !(digest->b[30] & 0x0f);
}

static struct ref close_level(struct list_builder *b, int number)
{
    struct list_level *level = &b->levels[number];
    struct buf object;
    buf_init(&object, BUF_TEXT_LIMIT);
    buf_put(&object, list_magic, sizeof list_magic);
    buf_put_u8(&object, LIST_VERSION);
    buf_put_u8(&object, (uint8_t)number);
    buf_put_varint(&object, level->total);
    buf_put_varint(&object, level->count);
    buf_put_str(&object, buf_str(&level->entries));
    assert(!object.full);
    struct ref ref = {REF_LIST, level->total, digest_of(object.s, object.n)};
    if (b->keep) {
        object_set_add(b->keep, REF_LIST, &ref.digest, buf_str(&object));
    }
    buf_free(&object);
    buf_clear(&level->entries);
    level->total = 0;
    level->count = 0;
    level->several = level->one;
    level->one = true;
    level->last = ref;
    return ref;
}

static void add_at(struct list_builder *b, int number, uint64_t size, const struct digest *digest)
{
    struct ref entry = {REF_NONE, size, *digest};
    for (; number < LIST_LEVELS; number++) {
        struct list_level *level = &b->levels[number];
        buf_put_varint(&level->entries, entry.size);
        buf_put(&level->entries, entry.digest.b, sizeof entry.digest.b);
        level->total += entry.size;
        level->count++;
        if (!ends_list(&entry.digest) && level->count < LIST_ENTRIES_LIMIT) {
            return;
        }
        entry = close_level(b, number);
    }
    b->bad = true;
}

void list_add(struct list_builder *b, uint64_t size, const struct digest *digest)
{
    add_at(b, 0, size, digest);
}

/* The lowest level that has one list only is the top. */
bool list_end(struct list_builder *b, struct ref *out)
{
    for (int i = 0; i < LIST_LEVELS && !b->bad; i++) {
        struct list_level *level = &b->levels[i];
        if (level->count) {
            struct ref closed = close_level(b, i);
            if (level->several) {
                add_at(b, i + 1, closed.size, &closed.digest);
            }
        }
        if (!level->several) {
            *out = level->last;
            return level->one;
        }
    }
    return false;
}

/* ---- reading ---- */

bool list_read(struct arena *a, struct str bytes, struct list *out)
{
    struct rd rd = rd_from(bytes.s, bytes.n);
    const uint8_t *magic = rd_bytes(&rd, sizeof list_magic);
    if (!magic || memcmp(magic, list_magic, sizeof list_magic) != 0 || rd_u8(&rd) != LIST_VERSION) {
        return false;
    }
    struct list list = {.level = rd_u8(&rd)};
    list.total = rd_varint(&rd);
    list.count = (uint32_t)rd_count(&rd, LIST_ENTRY_MIN, LIST_ENTRIES_LIMIT);
    if (rd.bad || !list.count || list.level >= LIST_LEVELS) {
        return false;
    }
    list.entries = ARENA_ARRAY(a, struct ref, list.count);
    uint64_t left = list.total;
    for (uint32_t i = 0; i < list.count; i++) {
        struct ref *e = &list.entries[i];
        e->kind = list.level ? REF_LIST : REF_BLOB;
        e->size = rd_varint(&rd);
        const uint8_t *digest = rd_bytes(&rd, sizeof e->digest.b);
        if (!digest || !e->size || e->size > left || (!list.level && e->size > CHUNK_MAX)) {
            return false;
        }
        memcpy(e->digest.b, digest, sizeof e->digest.b);
        left -= e->size;
    }
    *out = list;
    return !rd.bad && !rd_left(&rd) && !left;
}
