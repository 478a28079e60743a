/* SPDX-License-Identifier: MIT */
/* Folders as bytes. A reader trusts no name: what passes here can only name an entry of its own folder.
 *   tree  = "pawl tree" %x00 version count *entry                         version = %x01
 *   entry = name kind mode size digest [target]    name a text, kind one byte, mode and size varints,
 *           digest 32 bytes; a link's target, size bytes, stands behind its digest */
#include "cache/tree.h"

#include "cache/list.h"
#include "cache/pack.h"

#include <string.h>

static const char tree_magic[] = "pawl tree"; /* its NUL is part of it */
enum { TREE_VERSION = 1, TREE_ENTRY_MIN = 37, TREE_MODE_LIMIT = 0777, TREE_EXECUTABLE = 0100 };

struct tree_entry tree_content(const struct tree_entry *e, const struct ref *below)
{
    struct tree_entry content = *e;
    bool folder = e->ref.kind == REF_TREE;
    content.ref = folder ? *below : e->ref;
    content.mode = folder ? 0 : e->mode & TREE_EXECUTABLE;
    return content;
}

void tree_put(struct buf *b, const struct tree_entry *entries, uint32_t count)
{
    buf_put(b, tree_magic, sizeof tree_magic);
    buf_put_u8(b, TREE_VERSION);
    buf_put_varint(b, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct tree_entry *e = &entries[i];
        buf_put_text(b, e->name);
        buf_put_u8(b, e->ref.kind);
        buf_put_varint(b, e->mode);
        buf_put_varint(b, e->ref.size);
        buf_put(b, e->ref.digest.b, sizeof e->ref.digest.b);
        if (e->ref.kind == REF_LINK) {
            buf_put_str(b, e->target);
        }
    }
}

static bool name_is_good(struct str name)
{
    return name.n && !str_eq(name, STR(".")) && !str_eq(name, STR("..")) && !str_has(name, '/')
           && !str_has(name, '\0');
}

static bool read_link_target(struct rd *rd, struct tree_entry *e)
{
    if (!e->ref.size || e->ref.size > TREE_TARGET_LIMIT || e->mode) {
        return false;
    }
    const uint8_t *target = rd_bytes(rd, (size_t)e->ref.size);
    if (!target) {
        return false;
    }
    e->target = (struct str){(const char *)target, (size_t)e->ref.size};
    struct digest digest = digest_of(target, e->target.n);
    return !str_has(e->target, '\0') && digest_eq(&digest, &e->ref.digest);
}

static bool read_entry(struct rd *rd, struct tree_entry *e)
{
    e->name = rd_text(rd, TREE_NAME_LIMIT);
    e->ref.kind = rd_u8(rd);
    uint64_t mode = rd_varint(rd);
    e->ref.size = rd_varint(rd);
    const uint8_t *digest = rd_bytes(rd, sizeof e->ref.digest.b);
    if (!digest || !name_is_good(e->name) || mode > TREE_MODE_LIMIT) {
        return false;
    }
    e->mode = (uint32_t)mode;
    memcpy(e->ref.digest.b, digest, sizeof e->ref.digest.b);
    switch (e->ref.kind) {
    case REF_BLOB: return e->ref.size < LIST_FILE_MIN;
    case REF_LIST: return e->ref.size >= LIST_FILE_MIN;
    case REF_TREE: return e->ref.size <= OBJECT_LIMIT;
    case REF_LINK: return read_link_target(rd, e);
    default: return false;
    }
}

bool tree_read(struct arena *a, struct str bytes, struct tree *out)
{
    struct rd rd = rd_from(bytes.s, bytes.n);
    const uint8_t *magic = rd_bytes(&rd, sizeof tree_magic);
    if (!magic || memcmp(magic, tree_magic, sizeof tree_magic) != 0 || rd_u8(&rd) != TREE_VERSION) {
        return false;
    }
    struct tree tree = {.count = (uint32_t)rd_count(&rd, TREE_ENTRY_MIN, TREE_ENTRIES_LIMIT)};
    if (rd.bad) {
        return false;
    }
    tree.entries = ARENA_ARRAY(a, struct tree_entry, tree.count);
    for (uint32_t i = 0; i < tree.count; i++) {
        if (!read_entry(&rd, &tree.entries[i])
            || (i && str_cmp(tree.entries[i - 1].name, tree.entries[i].name) >= 0)) {
            return false;
        }
    }
    *out = tree;
    return !rd.bad && !rd_left(&rd);
}
