/* SPDX-License-Identifier: MIT */
/* Segments to bytes and back. The checksum finds accidents, the bounds find malice: every count is held against
 * the bytes that are left before anything is reserved. Grammar: docs/formats.md, "Segment". */
#include "cache/segment.h"

#include "core/base/table.h"

#include <stdio.h>
#include <string.h>

enum {
    VERSION = 1,
    BLOCK_VERSION = 1,
    RECORD_VERSION = 1,
    PACK_BYTES = 16,
    LEAF_BYTES = 32,
    TAG_BLOCKS = 1,
    TAG_PLACES = 2,
    TAG_CONDEMNED = 3,
    TAG_USES = 64,
    TAG_MARKS = 65,
    TAG_SKIPPABLE = 64,
    ROW_PEEK = 1 + 32 + 8,
    ITEMS_LIMIT = 1 << 24,
    ROOM_AT_ONCE = 1 << 16,
};
static const char magic_bytes[8] = "pawlseg1";
static const char block_magic[11] = "pawl block"; /* with its NUL */
static const char leaf_magic[12] = "pawl record"; /* with its NUL */
static const char sign_magic[10] = "pawl sign";   /* with its NUL */
enum { BLOCK_KEY_AT = sizeof block_magic + 1 };

/* ---- names ---- */

struct str segment_key(int64_t ms, uint64_t random, char out[SEGMENT_NAME])
{
    uint64_t t = ms > 0 ? (uint64_t)ms & 0xffffffffffff : 0;
    int n = snprintf(out, SEGMENT_NAME, "m/%012llx-%016llx", (unsigned long long)t,
                     (unsigned long long)random);
    return (struct str){out, (size_t)n};
}

static bool read_hex(struct str x, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < x.n; i++) {
        char c = x.s[i];
        bool digit = c >= '0' && c <= '9';
        if (!digit && !(c >= 'a' && c <= 'f')) {
            return false;
        }
        *out = *out << 4 | (uint64_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

bool segment_key_parse(struct str key, int64_t *ms)
{
    uint64_t t;
    uint64_t random;
    if (key.n != SEGMENT_NAME - 1 || !str_starts(key, STR("m/")) || key.s[14] != '-'
        || !read_hex(str_sub(key, 2, 12), &t) || !read_hex(str_tail(key, 15), &random)) {
        return false;
    }
    *ms = (int64_t)t;
    return true;
}

/* ---- reading ---- */

bool segment_row_peek(struct str row, const uint8_t **fingerprint, int64_t *success_ms)
{
    if (row.n < ROW_PEEK || row.s[0] != RECORD_VERSION) {
        return false;
    }
    *fingerprint = (const uint8_t *)row.s + 1;
    struct rd in = rd_from(row.s + 33, 8);
    *success_ms = (int64_t)rd_u64(&in);
    return true;
}

struct digest segment_leaf(struct str row)
{
    struct digester d;
    digester_begin(&d);
    digester_add(&d, leaf_magic, sizeof leaf_magic);
    digester_add(&d, row.s, row.n);
    return digester_end(&d);
}

/* A block's fields before its items; *in is left at the first item. */
static bool read_block_head(struct rd *in, struct segment_block *b)
{
    const uint8_t *magic = rd_bytes(in, sizeof block_magic);
    if (!magic || memcmp(magic, block_magic, sizeof block_magic) != 0
        || rd_u8(in) != BLOCK_VERSION) {
        return false;
    }
    b->key = rd_bytes(in, BLOCK_KEY);
    b->writer = rd_text(in, BLOCK_WRITER_LIMIT);
    b->made_ms = (int64_t)rd_u64(in);
    b->items = (uint32_t)rd_count(in, LEAF_BYTES, ITEMS_LIMIT);
    return !in->bad;
}

/* One item: *is_row, and the row or the leaf. */
static struct str read_item(struct rd *in, bool *is_row)
{
    uint8_t kind = rd_u8(in);
    in->bad |= kind > 1;
    *is_row = kind == 1;
    if (*is_row) {
        return rd_text(in, RECORD_BYTES_LIMIT);
    }
    return (struct str){(const char *)rd_bytes(in, LEAF_BYTES), LEAF_BYTES};
}

/* So many items room is made for before they are read: the segment only says that they are there. */
static uint32_t at_once(uint64_t count)
{
    return count < ROOM_AT_ONCE ? (uint32_t)count : ROOM_AT_ONCE;
}

static enum segment_answer read_block(struct segment *s, struct str bytes)
{
    struct segment_block b = {.bytes = bytes};
    struct rd in = rd_from(bytes.s, bytes.n);
    if (!read_block_head(&in, &b)) {
        return SEGMENT_BAD;
    }
    if (s->rows.cap == 0 && b.items > 0) { /* mostly the only block; more of them make it grow */
        s->rows.cap = at_once(b.items);
        s->rows.at = ARENA_ARRAY(&s->arena, struct segment_row, s->rows.cap);
    }
    for (uint32_t i = 0; i < b.items && !in.bad; i++) {
        bool is_row;
        struct str item = read_item(&in, &is_row);
        const uint8_t *fingerprint;
        int64_t success;
        if (in.bad || !is_row) {
            continue;
        }
        if (!segment_row_peek(item, &fingerprint, &success)) {
            return item.n > 0 && item.s[0] != RECORD_VERSION ? SEGMENT_UNKNOWN : SEGMENT_BAD;
        }
        *VEC_PUSH(&s->arena, &s->rows) = (struct segment_row){item, s->blocks.n};
        b.records++;
    }
    rd_bytes(&in, BLOCK_SIGNATURE);
    if (in.bad || rd_left(&in) != 0) {
        return SEGMENT_BAD;
    }
    *VEC_PUSH(&s->arena, &s->blocks) = b;
    return SEGMENT_GOOD;
}

static enum segment_answer read_blocks(struct segment *s, struct rd *in)
{
    uint64_t count = rd_count(in, BLOCK_SIGNATURE, ITEMS_LIMIT);
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        struct str bytes = rd_text(in, SEGMENT_RAW_LIMIT);
        enum segment_answer answer = in->bad ? SEGMENT_BAD : read_block(s, bytes);
        if (answer != SEGMENT_GOOD) {
            return answer;
        }
    }
    return SEGMENT_GOOD;
}

static void read_ref(struct rd *in, struct ref *out)
{
    out->kind = rd_u8(in);
    in->bad |= out->kind < REF_BLOB || out->kind > REF_LINK;
    out->size = rd_varint(in);
    const uint8_t *digest = rd_bytes(in, sizeof out->digest.b);
    if (digest) {
        memcpy(out->digest.b, digest, sizeof out->digest.b);
    }
}

struct pack_id segment_pack(const struct segment *s, uint32_t i)
{
    struct pack_id id;
    memcpy(id.b, s->packs + (size_t)i * PACK_BYTES, PACK_BYTES);
    return id;
}

static struct pack_run read_run(const struct segment *s, struct rd *in)
{
    struct pack_run run = {0};
    uint64_t pack = rd_varint(in);
    run.offset = rd_varint(in);
    run.length = rd_varint(in);
    uint64_t count = rd_varint(in);
    in->bad |= pack >= s->pack_count || run.offset > INT64_MAX || run.length > INT64_MAX
               || count > PACK_ENTRIES_LIMIT;
    /* of a pack, not of a plain file: nothing lies beyond what a pack may hold */
    in->bad |= count > 0 && (run.length > PACK_LIMIT || run.offset > PACK_LIMIT - run.length);
    if (!in->bad) {
        run.pack = segment_pack(s, (uint32_t)pack);
        run.count = (uint32_t)count;
    }
    return run;
}

static enum segment_answer read_places(struct segment *s, struct rd *in)
{
    s->pack_count = (uint32_t)rd_count(in, PACK_BYTES, ITEMS_LIMIT);
    s->packs = rd_bytes(in, (size_t)s->pack_count * PACK_BYTES);
    uint64_t count = rd_count(in, LEAF_BYTES + 3, ITEMS_LIMIT);
    if (s->places.cap == 0 && count > 0 && !in->bad) {
        s->places.cap = at_once(count);
        s->places.at = ARENA_ARRAY(&s->arena, struct segment_place, s->places.cap);
    }
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        struct segment_place p = {0};
        read_ref(in, &p.root);
        p.run_count = (uint32_t)rd_count(in, 4, ITEMS_LIMIT);
        p.runs.s = (const char *)in->at;
        for (uint32_t r = 0; r < p.run_count && !in->bad; r++) {
            read_run(s, in);
        }
        p.runs.n = (size_t)((const char *)in->at - p.runs.s);
        *VEC_PUSH(&s->arena, &s->places) = p;
    }
    return SEGMENT_GOOD;
}

void segment_place_read(const struct segment *s, const struct segment_place *p, struct arena *a,
                        struct pack_place *out)
{
    struct rd in = rd_from(p->runs.s, p->runs.n);
    out->root = p->root;
    out->run_count = p->run_count;
    out->runs = ARENA_ARRAY(a, struct pack_run, p->run_count);
    for (uint32_t i = 0; i < p->run_count; i++) {
        out->runs[i] = read_run(s, &in);
    }
}

static enum segment_answer read_condemned(struct segment *s, struct rd *in)
{
    uint64_t count = rd_count(in, PACK_BYTES + 1, ITEMS_LIMIT);
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        struct segment_condemned c = {0};
        const uint8_t *id = rd_bytes(in, PACK_BYTES);
        uint64_t since = rd_varint(in);
        in->bad |= since > INT64_MAX;
        if (!in->bad) {
            memcpy(c.pack.b, id, PACK_BYTES);
            c.since_ms = (int64_t)since;
            *VEC_PUSH(&s->arena, &s->condemned) = c;
        }
    }
    return SEGMENT_GOOD;
}

static enum segment_answer read_uses(struct segment *s, struct rd *in)
{
    uint64_t count = rd_count(in, 9, ITEMS_LIMIT);
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        struct segment_use u = {{0}, 0};
        const uint8_t *prefix = rd_bytes(in, sizeof u.prefix);
        uint64_t day = rd_varint(in);
        in->bad |= day > UINT32_MAX;
        if (!in->bad) {
            memcpy(u.prefix, prefix, sizeof u.prefix);
            u.day = (uint32_t)day;
            *VEC_PUSH(&s->arena, &s->uses) = u;
        }
    }
    return SEGMENT_GOOD;
}

static enum segment_answer read_marks(struct segment *s, struct rd *in)
{
    uint64_t count = rd_count(in, 1 + BLOCK_MARK, ITEMS_LIMIT);
    for (uint64_t i = 0; i < count && !in->bad; i++) {
        uint64_t number = rd_varint(in);
        const uint8_t *mark = rd_bytes(in, BLOCK_MARK);
        in->bad |= number >= s->blocks.n;
        if (!in->bad) {
            s->blocks.at[number].mark = mark;
        }
    }
    return SEGMENT_GOOD;
}

static enum segment_answer read_section(struct segment *s, uint64_t tag, struct rd *in)
{
    enum segment_answer answer;
    switch (tag) {
    case TAG_BLOCKS: answer = read_blocks(s, in); break;
    case TAG_PLACES: answer = read_places(s, in); break;
    case TAG_CONDEMNED: answer = read_condemned(s, in); break;
    case TAG_USES: answer = read_uses(s, in); break;
    case TAG_MARKS: answer = read_marks(s, in); break;
    default: return tag < TAG_SKIPPABLE ? SEGMENT_UNKNOWN : SEGMENT_GOOD;
    }
    if (answer == SEGMENT_GOOD && (in->bad || rd_left(in) != 0)) {
        answer = SEGMENT_BAD;
    }
    return answer;
}

/* Sections stand in ascending order of their tags, each at most once. */
static enum segment_answer read_sections(struct segment *s, struct rd *in)
{
    enum segment_answer answer = SEGMENT_GOOD;
    uint64_t last = 0;
    while (rd_left(in) > 0 && answer == SEGMENT_GOOD) {
        uint64_t tag = rd_varint(in);
        uint64_t length = rd_varint(in);
        const uint8_t *bytes = length <= rd_left(in) ? rd_bytes(in, (size_t)length) : NULL;
        if (in->bad || !bytes || tag <= last) {
            return SEGMENT_BAD;
        }
        struct rd section = rd_from(bytes, (size_t)length);
        answer = read_section(s, tag, &section);
        last = tag;
    }
    return answer;
}

enum segment_answer segment_read_payload(char *payload, size_t n, struct segment *out)
{
    memset(out, 0, sizeof *out);
    out->payload = payload;
    out->payload_bytes = n;
    struct rd in = rd_from(payload, n);
    enum segment_answer answer = read_sections(out, &in);
    if (answer != SEGMENT_GOOD) {
        segment_free(out);
    }
    return answer;
}

static enum segment_answer read_header(struct str bytes, uint64_t *raw)
{
    struct rd in = rd_from(bytes.s, bytes.n);
    const uint8_t *magic = rd_bytes(&in, sizeof magic_bytes);
    if (!magic || memcmp(magic, magic_bytes, sizeof magic_bytes) != 0) {
        return SEGMENT_BAD;
    }
    uint16_t version = rd_u16(&in);
    uint16_t flags = rd_u16(&in);
    uint32_t zero = rd_u32(&in);
    *raw = rd_u64(&in);
    uint64_t stored = rd_u64(&in);
    const uint8_t *checksum = rd_bytes(&in, sizeof(struct digest));
    if (in.bad || stored != rd_left(&in) || *raw > SEGMENT_RAW_LIMIT) {
        return SEGMENT_BAD;
    }
    struct digest digest = digest_of(in.at, rd_left(&in));
    if (memcmp(digest.b, checksum, sizeof digest.b) != 0) {
        return SEGMENT_BAD;
    }
    return version == VERSION && flags == 0 && zero == 0 ? SEGMENT_GOOD : SEGMENT_UNKNOWN;
}

bool segment_is_whole(struct str bytes)
{
    uint64_t raw;
    return bytes.n <= SEGMENT_STORED_LIMIT + SEGMENT_HEADER
           && read_header(bytes, &raw) != SEGMENT_BAD;
}

enum segment_answer segment_read(struct str bytes, struct segment *out)
{
    memset(out, 0, sizeof *out);
    uint64_t raw = 0;
    if (bytes.n > SEGMENT_STORED_LIMIT + SEGMENT_HEADER) {
        return SEGMENT_BAD;
    }
    enum segment_answer answer = read_header(bytes, &raw);
    if (answer != SEGMENT_GOOD) {
        return answer;
    }
    struct str stored = str_tail(bytes, SEGMENT_HEADER);
    uint64_t stated;
    if (!frame_stated_size(stored, &stated) || stated != raw) {
        return SEGMENT_BAD;
    }
    char *payload = mem_alloc(raw ? (size_t)raw : 1);
    struct frame_decoder decoder;
    frame_decoder_init(&decoder);
    bool ok = frame_decode(&decoder, FRAME_ZSTD, stored, payload, (size_t)raw);
    frame_decoder_free(&decoder);
    if (!ok) {
        mem_free(payload);
        return SEGMENT_BAD;
    }
    return segment_read_payload(payload, (size_t)raw, out);
}

void segment_free(struct segment *s)
{
    arena_free(&s->arena);
    mem_free(s->payload);
    memset(s, 0, sizeof *s);
}

/* ---- writing ---- */

struct seen {
    struct table packs, places;
};

void segment_draft_init(struct segment_draft *d)
{
    memset(d, 0, sizeof *d);
    buf_init(&d->blocks, SEGMENT_RAW_LIMIT);
    buf_init(&d->places, SEGMENT_RAW_LIMIT);
    buf_init(&d->condemned, SEGMENT_RAW_LIMIT);
    buf_init(&d->uses, SEGMENT_RAW_LIMIT);
    buf_init(&d->marks, SEGMENT_RAW_LIMIT);
    struct seen *seen = mem_alloc(sizeof *seen);
    table_init(&seen->packs, &d->arena);
    table_init(&seen->places, &d->arena);
    d->seen = seen;
}

void segment_draft_free(struct segment_draft *d)
{
    buf_free(&d->blocks);
    buf_free(&d->places);
    buf_free(&d->condemned);
    buf_free(&d->uses);
    buf_free(&d->marks);
    mem_free(d->seen);
    mem_free(d->packs);
    arena_free(&d->arena);
    memset(d, 0, sizeof *d);
}

bool segment_draft_is_empty(const struct segment_draft *d)
{
    return !d->block_count && !d->place_count && !d->condemned_count && !d->use_count;
}

size_t segment_draft_size(const struct segment_draft *d)
{
    return d->blocks.n + d->places.n + d->condemned.n + d->uses.n + d->marks.n
           + (size_t)d->pack_count * PACK_BYTES;
}

void segment_draft_add_block(struct segment_draft *d, struct str block)
{
    buf_put_text(&d->blocks, block);
    d->block_count++;
}

void segment_draft_mark(struct segment_draft *d, const uint8_t mark[BLOCK_MARK])
{
    buf_put_varint(&d->marks, d->block_count - 1);
    buf_put(&d->marks, mark, BLOCK_MARK);
    d->mark_count++;
}

static uint32_t pack_number(struct segment_draft *d, const struct pack_id *id)
{
    struct seen *seen = d->seen;
    bool is_new;
    struct str key = {(const char *)id->b, sizeof id->b};
    uint32_t number = table_add(&seen->packs, key, &is_new);
    if (is_new) {
        if (d->pack_count == d->pack_cap) {
            d->pack_cap = d->pack_cap ? 2 * d->pack_cap : 16;
            d->packs = mem_resize(d->packs, d->pack_cap * sizeof *d->packs);
        }
        d->packs[d->pack_count++] = *id;
    }
    return number;
}

static void put_ref(struct buf *b, const struct ref *ref)
{
    buf_put_u8(b, ref->kind);
    buf_put_varint(b, ref->size);
    buf_put(b, ref->digest.b, sizeof ref->digest.b);
}

void segment_draft_add_place(struct segment_draft *d, const struct pack_place *p)
{
    struct seen *seen = d->seen;
    size_t before = d->places.n;
    put_ref(&d->places, &p->root);
    buf_put_varint(&d->places, p->run_count);
    for (uint32_t i = 0; i < p->run_count; i++) {
        buf_put_varint(&d->places, pack_number(d, &p->runs[i].pack));
        buf_put_varint(&d->places, p->runs[i].offset);
        buf_put_varint(&d->places, p->runs[i].length);
        buf_put_varint(&d->places, p->runs[i].count);
    }
    if (d->places.full) {
        return;
    }
    bool is_new;
    table_add(&seen->places, str_tail(buf_str(&d->places), before), &is_new);
    if (is_new) {
        d->place_count++;
    } else {
        d->places.n = before;
    }
}

void segment_draft_add_condemned(struct segment_draft *d, const struct segment_condemned *c)
{
    buf_put(&d->condemned, c->pack.b, sizeof c->pack.b);
    buf_put_varint(&d->condemned, c->since_ms > 0 ? (uint64_t)c->since_ms : 0);
    d->condemned_count++;
}

void segment_draft_add_use(struct segment_draft *d, const struct segment_use *u)
{
    buf_put(&d->uses, u->prefix, sizeof u->prefix);
    buf_put_varint(&d->uses, u->day);
    d->use_count++;
}

/* One section: its count (and what else stands before the items), then the items. */
static void put_section(struct buf *out, uint64_t tag, struct str head, struct str items)
{
    buf_put_varint(out, tag);
    buf_put_varint(out, head.n + items.n);
    buf_put_str(out, head);
    buf_put_str(out, items);
}

static void put_counted(struct buf *out, uint64_t tag, uint32_t count, const struct buf *items)
{
    if (count == 0) {
        return;
    }
    struct buf head;
    buf_init(&head, 16);
    buf_put_varint(&head, count);
    put_section(out, tag, buf_str(&head), buf_str(items));
    buf_free(&head);
}

static void put_places(const struct segment_draft *d, struct buf *out)
{
    if (d->place_count == 0) {
        return;
    }
    struct buf head;
    buf_init(&head, SEGMENT_RAW_LIMIT);
    buf_put_varint(&head, d->pack_count);
    for (uint32_t i = 0; i < d->pack_count; i++) {
        buf_put(&head, d->packs[i].b, PACK_BYTES);
    }
    buf_put_varint(&head, d->place_count);
    put_section(out, TAG_PLACES, buf_str(&head), buf_str(&d->places));
    out->full |= head.full;
    buf_free(&head);
}

static void put_payload(const struct segment_draft *d, struct buf *out)
{
    put_counted(out, TAG_BLOCKS, d->block_count, &d->blocks);
    put_places(d, out);
    put_counted(out, TAG_CONDEMNED, d->condemned_count, &d->condemned);
    put_counted(out, TAG_USES, d->use_count, &d->uses);
    put_counted(out, TAG_MARKS, d->mark_count, &d->marks);
    out->full |=
        d->blocks.full || d->places.full || d->condemned.full || d->uses.full || d->marks.full;
}

enum segment_answer segment_draft_read_places(const struct segment_draft *d, struct segment *out)
{
    struct buf raw;
    buf_init(&raw, SEGMENT_RAW_LIMIT);
    put_places(d, &raw);
    enum segment_answer answer = SEGMENT_BAD;
    memset(out, 0, sizeof *out);
    if (!raw.full && !d->places.full) {
        char *payload = mem_alloc(raw.n ? raw.n : 1);
        memcpy(payload, raw.s ? raw.s : "", raw.n);
        answer = segment_read_payload(payload, raw.n, out);
    }
    buf_free(&raw);
    return answer;
}

static void put_header(struct buf *out, uint64_t raw, struct str stored)
{
    struct digest checksum = digest_of(stored.s, stored.n);
    buf_put(out, magic_bytes, sizeof magic_bytes);
    buf_put_u16(out, VERSION);
    buf_put_u16(out, 0);
    buf_put_u32(out, 0);
    buf_put_u64(out, raw);
    buf_put_u64(out, stored.n);
    buf_put(out, checksum.b, sizeof checksum.b);
}

bool segment_draft_write(const struct segment_draft *d, struct buf *out)
{
    struct buf raw;
    struct buf stored;
    buf_init(&raw, SEGMENT_RAW_LIMIT);
    buf_init(&stored, SEGMENT_STORED_LIMIT);
    put_payload(d, &raw);
    struct frame_encoder encoder;
    frame_encoder_init(&encoder);
    bool ok = !raw.full && frame_compress(&encoder, buf_str(&raw), &stored);
    frame_encoder_free(&encoder);
    if (ok) {
        put_header(out, raw.n, buf_str(&stored));
        buf_put_str(out, buf_str(&stored));
    }
    buf_free(&raw);
    buf_free(&stored);
    return ok && !out->full;
}

/* ---- blocks ---- */

static void put_block_head(struct buf *out, struct str writer, int64_t made_ms, uint32_t count)
{
    static const char no_key[BLOCK_KEY] = {0};
    buf_put(out, block_magic, sizeof block_magic);
    buf_put_u8(out, BLOCK_VERSION);
    buf_put(out, no_key, sizeof no_key);
    buf_put_text(out, str_sub(writer, 0, BLOCK_WRITER_LIMIT));
    buf_put_u64(out, (uint64_t)made_ms);
    buf_put_varint(out, count);
}

void segment_block_put(struct buf *out, struct str writer, int64_t made_ms, const struct str *rows,
                       uint32_t count)
{
    static const char no_signature[BLOCK_SIGNATURE] = {0};
    put_block_head(out, writer, made_ms, count);
    for (uint32_t i = 0; i < count; i++) {
        buf_put_u8(out, 1);
        buf_put_text(out, rows[i]);
    }
    buf_put(out, no_signature, sizeof no_signature);
}

uint32_t segment_block_reduce(struct buf *out, struct str block,
                              bool (*keep)(void *context, struct str row), void *context)
{
    struct segment_block head = {0};
    struct rd in = rd_from(block.s, block.n);
    if (!read_block_head(&in, &head)) {
        return 0;
    }
    buf_put(out, block.s, (size_t)((const char *)in.at - block.s));
    uint32_t kept = 0;
    for (uint32_t i = 0; i < head.items; i++) {
        bool is_row;
        struct str item = read_item(&in, &is_row);
        if (is_row && keep(context, item)) {
            buf_put_u8(out, 1);
            buf_put_text(out, item);
            kept++;
        } else {
            struct digest leaf;
            memcpy(leaf.b, is_row ? "" : item.s, is_row ? 0 : sizeof leaf.b);
            leaf = is_row ? segment_leaf(item) : leaf;
            buf_put_u8(out, 0);
            buf_put(out, leaf.b, sizeof leaf.b);
        }
    }
    const uint8_t *signature = rd_bytes(&in, BLOCK_SIGNATURE);
    if (!signature) {
        return 0;
    }
    buf_put(out, signature, BLOCK_SIGNATURE);
    return kept;
}

static void add_leaf(struct digester *d, struct str item, bool is_row)
{
    struct digest leaf;
    memcpy(leaf.b, is_row ? "" : item.s, is_row ? 0 : sizeof leaf.b);
    leaf = is_row ? segment_leaf(item) : leaf;
    digester_add(d, leaf.b, sizeof leaf.b);
}

bool segment_block_message(struct str block, uint8_t out[BLOCK_MESSAGE])
{
    struct segment_block head = {0};
    struct rd in = rd_from(block.s, block.n);
    if (!read_block_head(&in, &head)) {
        return false;
    }
    struct digester d;
    digester_begin(&d);
    digester_add(&d, block.s, (size_t)((const char *)in.at - block.s));
    for (uint32_t i = 0; i < head.items && !in.bad; i++) {
        bool is_row;
        struct str item = read_item(&in, &is_row);
        if (!in.bad) {
            add_leaf(&d, item, is_row);
        }
    }
    struct digest digest = digester_end(&d);
    memcpy(out, sign_magic, sizeof sign_magic);
    memcpy(out + sizeof sign_magic, digest.b, sizeof digest.b);
    return !in.bad && rd_left(&in) == BLOCK_SIGNATURE;
}

bool segment_block_is_signed(const struct segment_block *b)
{
    static const uint8_t nobody[BLOCK_KEY];
    return memcmp(b->key, nobody, sizeof nobody) != 0;
}

bool segment_block_sign(struct buf *block, const struct sign_private *key)
{
    static const uint8_t nobody[BLOCK_KEY];
    uint8_t message[BLOCK_MESSAGE];
    uint8_t signature[BLOCK_SIGNATURE];
    if (block->full || block->n < BLOCK_KEY_AT + BLOCK_KEY + BLOCK_SIGNATURE) {
        return false;
    }
    memcpy(block->s + BLOCK_KEY_AT, key->public.id, BLOCK_KEY);
    bool ok = segment_block_message(buf_str(block), message)
              && sign_put(key, (struct str){(const char *)message, sizeof message}, signature);
    if (!ok) {
        memcpy(block->s + BLOCK_KEY_AT, nobody, BLOCK_KEY);
        return false;
    }
    memcpy(block->s + block->n - BLOCK_SIGNATURE, signature, BLOCK_SIGNATURE);
    return true;
}

bool segment_block_check(struct str block, const struct sign_public *key)
{
    uint8_t message[BLOCK_MESSAGE];
    return block.n >= BLOCK_KEY_AT + BLOCK_KEY + BLOCK_SIGNATURE
           && memcmp(block.s + BLOCK_KEY_AT, key->id, BLOCK_KEY) == 0
           && segment_block_message(block, message)
           && sign_check(key, (struct str){(const char *)message, sizeof message},
                         (const uint8_t *)block.s + block.n - BLOCK_SIGNATURE);
}
