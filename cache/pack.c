/* SPDX-License-Identifier: MIT */
/* Packs, written and read. A reader takes from a pack only what lies whole before its footer.
 *   pack   = "pawlpak1" *item footer tail
 *   item   = encoding stored raw bytes         encoding one byte (0 raw, 1 zstd), stored and raw varints
 *   footer = one zstd frame of: count *(offset stored raw kind digest)
 *   tail   = footer's offset u64, its size u64, first 8 bytes of its SHA-256 */
#include "cache/pack.h"

#include "core/base/file.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

static const char pack_magic[] = "pawlpak1";
enum {
    PACK_TAIL_DIGEST = 8,
    FOOTER_ENTRY_MIN = 36,
    FOOTER_ENTRY_MAX = 63,
    FOOTER_LIMIT = PACK_ENTRIES_LIMIT * 48,
    FOOTER_GET_LIMIT = 4 << 20,
};

/* ---- names ---- */

bool pack_id_eq(const struct pack_id *x, const struct pack_id *y)
{
    return !memcmp(x->b, y->b, sizeof x->b);
}

struct pack_id pack_id_random(void)
{
    struct pack_id id;
    while (getrandom(id.b, sizeof id.b, 0) != (ssize_t)sizeof id.b) {
        assert(errno == EINTR);
    }
    return id;
}

struct str pack_key(const struct pack_id *id, bool plain, char out[PACK_KEY])
{
    static const char hex_digits[] = "0123456789abcdef";
    out[0] = plain ? 'b' : 'p';
    out[1] = '/';
    for (size_t i = 0; i < sizeof id->b; i++) {
        out[2 + 2 * i] = hex_digits[id->b[i] >> 4];
        out[3 + 2 * i] = hex_digits[id->b[i] & 15];
    }
    out[PACK_KEY - 1] = 0;
    return (struct str){out, PACK_KEY - 1};
}

bool pack_key_parse(struct str key, struct pack_id *id, bool *plain)
{
    static const char hex_digits[] = "0123456789abcdef";
    if (key.n != PACK_KEY - 1 || (key.s[0] != 'p' && key.s[0] != 'b') || key.s[1] != '/') {
        return false;
    }
    for (size_t i = 0; i < 2 * sizeof id->b; i++) {
        const char *digit = memchr(hex_digits, key.s[2 + i], sizeof hex_digits - 1);
        if (!digit) {
            return false;
        }
        uint8_t value = (uint8_t)(digit - hex_digits);
        id->b[i / 2] = (uint8_t)(i % 2 ? id->b[i / 2] | value : value << 4);
    }
    *plain = key.s[0] == 'b';
    return true;
}

static uint32_t varint_bytes(uint64_t x)
{
    uint32_t n = 1;
    for (; x >= 0x80; x >>= 7) {
        n++;
    }
    return n;
}

uint64_t pack_entry_length(const struct pack_entry *e)
{
    return 1 + varint_bytes(e->stored) + varint_bytes(e->raw) + e->stored;
}

void pack_runs_add(struct pack_runs *runs, const struct pack_run *at)
{
    if (runs->n && at->count) {
        struct pack_run *last = &runs->at[runs->n - 1];
        if (last->count && pack_id_eq(&last->pack, &at->pack)
            && last->offset + last->length == at->offset && last->count <= UINT32_MAX - at->count) {
            last->length += at->length;
            last->count += at->count;
            return;
        }
    }
    if (runs->n == runs->cap) {
        runs->at = arena_grow(runs->arena, runs->at, &runs->cap, sizeof *runs->at);
    }
    runs->at[runs->n++] = *at;
}

/* ---- writing ---- */

void pack_writer_init(struct pack_writer *w, struct depot *depot)
{
    *w = (struct pack_writer){.depot = depot, .target = PACK_TARGET};
    buf_init(&w->body, PACK_LIMIT);
    buf_init(&w->footer, FOOTER_LIMIT);
    frame_encoder_init(&w->encoder);
}

void pack_writer_free(struct pack_writer *w)
{
    buf_free(&w->body);
    buf_free(&w->footer);
    frame_encoder_free(&w->encoder);
    mem_free(w->puts);
    *w = (struct pack_writer){0};
}

void pack_abandon(struct pack_writer *w)
{
    buf_free(&w->body); /* the room of a pack is not kept while there is nothing to do */
    buf_free(&w->footer);
    buf_init(&w->body, PACK_LIMIT);
    buf_init(&w->footer, FOOTER_LIMIT);
    w->count = 0;
}

void pack_forget_puts(struct pack_writer *w)
{
    w->put_count = 0;
}

static void begin_pack(struct pack_writer *w)
{
    w->id = pack_id_random();
    w->oldest_boot_ns = time_boot_ns();
    buf_put(&w->body, pack_magic, PACK_HEAD);
}

/* Upper bound for the footer and the tail when one more entry has come. */
static size_t end_bound(const struct pack_writer *w)
{
    size_t raw = w->footer.n + FOOTER_ENTRY_MAX + 10;
    return raw + raw / 128 + 1024 + PACK_TAIL;
}

static bool fits(const struct pack_writer *w, size_t stored)
{
    return w->body.n + PACK_HEAD + PACK_ITEM_HEAD_MAX + stored + end_bound(w) <= PACK_LIMIT
           && w->count < PACK_ENTRIES_LIMIT;
}

static bool say_unwritten(struct diags *notes, enum depot_answer answer, int error)
{
    const char *why = error                     ? diag_reason(error)
                      : answer == DEPOT_REFUSED ? "it is refused"
                                                : "no answer";
    diag_warning(notes, "cache-write", SPAN_NONE, "cannot write to the cache: %s", why);
    return false;
}

void pack_note_put(struct pack_writer *w, const struct pack_id *id, uint64_t bytes)
{
    if (w->put_count == w->put_cap) {
        w->put_cap = w->put_cap ? w->put_cap * 2 : 16;
        w->puts = mem_resize(w->puts, w->put_cap * sizeof *w->puts);
    }
    w->puts[w->put_count++] = (struct pack_put){*id, bytes, time_boot_ns()};
}

struct str pack_head(void)
{
    return (struct str){pack_magic, PACK_HEAD};
}

void pack_entry_put(struct buf *entries, const struct pack_entry *e)
{
    buf_put_varint(entries, e->offset);
    buf_put_varint(entries, e->stored);
    buf_put_varint(entries, e->raw);
    buf_put_u8(entries, e->kind);
    buf_put(entries, e->digest.b, sizeof e->digest.b);
}

bool pack_end_put(struct frame_encoder *encoder, const struct pack_end *end, struct buf *out)
{
    struct buf raw;
    buf_init(&raw, FOOTER_LIMIT + 16);
    buf_put_varint(&raw, end->count);
    buf_put_str(&raw, end->entries);
    size_t before = out->n;
    bool done = !raw.full && frame_compress(encoder, buf_str(&raw), out);
    buf_free(&raw);
    if (!done) {
        return false;
    }
    uint64_t size = out->n - before;
    struct digest digest = digest_of(out->s + before, (size_t)size);
    buf_put_u64(out, end->offset);
    buf_put_u64(out, size);
    buf_put(out, digest.b, PACK_TAIL_DIGEST);
    return !out->full;
}

static void put_end(struct pack_writer *w)
{
    const struct pack_end end = {buf_str(&w->footer), w->count, w->body.n};
    bool done = pack_end_put(&w->encoder, &end, &w->body);
    assert(done);
}

/* Puts it. The room that it took stays for the next one. */
static bool put_pack(struct pack_writer *w, struct diags *notes)
{
    put_end(w);
    char key[PACK_KEY];
    struct str part = buf_str(&w->body);
    struct depot_source source = DEPOT_PARTS(&part, 1);
    struct depot_reply reply = {0};
    enum depot_answer answer =
        depot_put(w->depot, pack_key(&w->id, false, key), &source, false, &reply);
    if (answer == DEPOT_DONE) {
        pack_note_put(w, &w->id, w->body.n);
    }
    buf_clear(&w->body);
    buf_clear(&w->footer);
    w->count = 0;
    return answer == DEPOT_DONE || say_unwritten(notes, answer, reply.error);
}

bool pack_seal(struct pack_writer *w, struct diags *notes)
{
    bool ok = !w->body.n || put_pack(w, notes);
    pack_abandon(w);
    return ok;
}

bool pack_add_stored(struct pack_writer *w, const struct ref *ref, const struct pack_item *item,
                     struct pack_run *at, struct diags *notes)
{
    if (w->body.n && !fits(w, item->stored.n) && !put_pack(w, notes)) {
        return false;
    }
    if (!w->body.n) {
        begin_pack(w);
    }
    if (!fits(w, item->stored.n)) {
        pack_abandon(w);
        diag_warning(notes, "cache-write", SPAN_NONE,
                     "a list of files of %zu bytes is too large for the cache", item->stored.n);
        return false;
    }
    size_t offset = w->body.n;
    buf_put_u8(&w->body, item->encoding);
    buf_put_varint(&w->body, item->stored.n);
    buf_put_varint(&w->body, item->raw);
    buf_put_str(&w->body, item->stored);
    const struct pack_entry entry = {offset, item->stored.n, item->raw, ref->digest, ref->kind};
    pack_entry_put(&w->footer, &entry);
    assert(!w->body.full && !w->footer.full);
    w->count++;
    *at = (struct pack_run){w->id, offset, w->body.n - offset, 1};
    return w->body.n < w->target || put_pack(w, notes);
}

bool pack_add(struct pack_writer *w, const struct ref *ref, struct str raw, struct pack_run *at,
              struct diags *notes)
{
    struct frame frame = frame_encode(&w->encoder, raw);
    struct pack_item item = {frame.encoding, frame.stored, raw.n, 0};
    return pack_add_stored(w, ref, &item, at, notes);
}

/* ---- reading ---- */

static bool take_bytes(void *context, const void *bytes, size_t n)
{
    struct buf *out = context;
    buf_put(out, bytes, n);
    return !out->full;
}

enum pack_answer pack_get(struct depot *d, const struct pack_run *range, struct buf *out)
{
    char key[PACK_KEY];
    struct depot_reply reply = {0};
    size_t before = out->n;
    struct depot_sink sink = {take_bytes, out};
    struct depot_range part = {range->offset, range->length};
    struct str name = pack_key(&range->pack, !range->count, key);
    if (depot_get(d, name, part, sink, &reply) != DEPOT_DONE) {
        return out->full ? PACK_BAD : PACK_ABSENT;
    }
    bool whole = range->length == DEPOT_REST || out->n - before == range->length;
    return whole ? PACK_DONE : PACK_BAD;
}

/* Up to the bytes; length: of it all. */
static bool item_head_read(struct rd *rd, struct pack_item *out)
{
    size_t before = rd_left(rd);
    out->encoding = rd_u8(rd);
    uint64_t stored = rd_varint(rd);
    out->raw = rd_varint(rd);
    if (rd->bad || out->encoding > FRAME_ZSTD || stored > PACK_LIMIT || out->raw > OBJECT_LIMIT
        || (out->encoding == FRAME_RAW && out->raw != stored)) {
        return false;
    }
    out->stored = (struct str){NULL, (size_t)stored};
    out->length = before - rd_left(rd) + stored;
    return true;
}

bool pack_item_head_read(struct str head, struct pack_item *out)
{
    struct rd rd = rd_from(head.s, head.n);
    return item_head_read(&rd, out);
}

bool pack_item_length(struct str head, uint64_t *length)
{
    struct pack_item item;
    if (!pack_item_head_read(head, &item)) {
        return false;
    }
    *length = item.length;
    return true;
}

bool pack_item_read(struct str bytes, struct pack_item *out)
{
    struct rd rd = rd_from(bytes.s, bytes.n);
    if (!item_head_read(&rd, out)) {
        return false;
    }
    const uint8_t *at = rd_bytes(&rd, out->stored.n);
    out->stored.s = (const char *)at;
    return at != NULL;
}

/* The tail's three members, held against the size of the pack. */
struct tail {
    uint64_t offset, size;
    uint8_t digest[PACK_TAIL_DIGEST];
};

static bool tail_read(const void *bytes, uint64_t pack_size, struct tail *out)
{
    struct rd rd = rd_from(bytes, PACK_TAIL);
    out->offset = rd_u64(&rd);
    out->size = rd_u64(&rd);
    memcpy(out->digest, rd_bytes(&rd, PACK_TAIL_DIGEST), PACK_TAIL_DIGEST);
    return pack_size <= PACK_LIMIT && out->offset >= PACK_HEAD && out->offset <= pack_size
           && out->size <= pack_size && out->offset + out->size + PACK_TAIL == pack_size;
}

static bool entry_read(struct rd *rd, uint64_t offset, uint64_t end, struct pack_entry *e)
{
    e->offset = rd_varint(rd);
    e->stored = rd_varint(rd);
    e->raw = rd_varint(rd);
    e->kind = rd_u8(rd);
    const uint8_t *digest = rd_bytes(rd, sizeof e->digest.b);
    if (!digest || e->offset != offset || e->stored > end - offset
        || pack_entry_length(e) > end - offset) {
        return false;
    }
    memcpy(e->digest.b, digest, sizeof e->digest.b);
    uint64_t limit = e->kind == REF_BLOB ? BLOB_LIMIT : OBJECT_LIMIT;
    return e->raw <= limit && (e->kind >= REF_BLOB && e->kind <= REF_TREE);
}

bool pack_footer_read(struct arena *a, struct str frame, uint64_t end, struct pack_footer *out)
{
    uint64_t size;
    if (!frame_stated_size(frame, &size) || size > FOOTER_LIMIT) {
        return false;
    }
    struct frame_decoder decoder;
    frame_decoder_init(&decoder);
    char *raw = mem_alloc((size_t)size + 1);
    bool ok = frame_decode(&decoder, FRAME_ZSTD, frame, raw, (size_t)size);
    frame_decoder_free(&decoder);
    struct rd rd = rd_from(raw, ok ? (size_t)size : 0);
    *out = (struct pack_footer){.count =
                                    (uint32_t)rd_count(&rd, FOOTER_ENTRY_MIN, PACK_ENTRIES_LIMIT)};
    out->at = ARENA_ARRAY(a, struct pack_entry, out->count);
    uint64_t offset = PACK_HEAD;
    for (uint32_t i = 0; i < out->count && ok; i++) {
        ok = entry_read(&rd, offset, end, &out->at[i]);
        offset += ok ? pack_entry_length(&out->at[i]) : 0;
    }
    ok = ok && !rd.bad && !rd_left(&rd) && offset == end;
    mem_free(raw);
    return ok;
}

static bool frame_matches(const struct tail *t, const char *frame)
{
    struct digest digest = digest_of(frame, (size_t)t->size);
    return !memcmp(digest.b, t->digest, sizeof t->digest);
}

/* From a listing: 0 if it is not there. */
static bool take_size(void *context, const struct depot_entry *e)
{
    *(uint64_t *)context = e->size;
    return false;
}

static uint64_t ask_size(struct depot *d, const struct pack_id *id)
{
    char key[PACK_KEY];
    uint64_t size = 0;
    struct depot_reply reply = {0};
    struct depot_each each = {take_size, &size};
    if (depot_list(d, pack_key(id, false, key), STR(""), each, &reply) != DEPOT_DONE) {
        return 0;
    }
    return size;
}

/* The footer's frame and the tail in out. */
static enum pack_answer get_footer(struct depot *d, const struct pack_id *id, uint64_t size,
                                   struct tail *tail, struct buf *out)
{
    struct pack_run part = {*id, size - PACK_TAIL, PACK_TAIL, 1};
    enum pack_answer answer = pack_get(d, &part, out);
    if (answer != PACK_DONE) {
        return answer;
    }
    if (!tail_read(out->s, size, tail)) {
        return PACK_BAD;
    }
    part.offset = tail->offset;
    part.length = tail->size;
    buf_clear(out);
    answer = pack_get(d, &part, out);
    return answer == PACK_DONE && !frame_matches(tail, out->s) ? PACK_BAD : answer;
}

enum pack_answer pack_read_footer(struct depot *d, const struct pack_id *id, uint64_t size,
                                  struct arena *a, struct pack_footer *out)
{
    *out = (struct pack_footer){0};
    size = size ? size : ask_size(d, id);
    if (size < PACK_HEAD + PACK_TAIL || size > PACK_LIMIT) {
        return size ? PACK_BAD : PACK_ABSENT;
    }
    struct buf bytes;
    struct tail tail;
    buf_init(&bytes, PACK_LIMIT);
    enum pack_answer answer = get_footer(d, id, size, &tail, &bytes);
    if (answer == PACK_DONE && !pack_footer_read(a, buf_str(&bytes), tail.offset, out)) {
        answer = PACK_BAD;
    }
    buf_free(&bytes);
    return answer;
}

enum pack_answer pack_read_footer_behind(struct depot *d, const struct pack_id *id, uint64_t offset,
                                         struct arena *a, struct pack_footer *out)
{
    struct buf bytes;
    struct tail tail;
    buf_init(&bytes, FOOTER_GET_LIMIT);
    *out = (struct pack_footer){0};
    struct pack_run rest = {*id, offset, DEPOT_REST, 1};
    bool ok = pack_get(d, &rest, &bytes) == PACK_DONE && bytes.n >= PACK_TAIL
              && tail_read(bytes.s + bytes.n - PACK_TAIL, offset + bytes.n, &tail)
              && tail.offset >= offset && frame_matches(&tail, bytes.s + (tail.offset - offset))
              && pack_footer_read(
                  a, str_sub(buf_str(&bytes), (size_t)(tail.offset - offset), (size_t)tail.size),
                  tail.offset, out);
    buf_free(&bytes);
    return ok ? PACK_DONE : pack_read_footer(d, id, 0, a, out);
}

/* ---- verifying and copying ---- */

/* Room for what is decoded. */
struct verifier {
    struct frame_decoder decoder;
    struct buf raw;
};

static void verifier_init(struct verifier *v)
{
    frame_decoder_init(&v->decoder);
    buf_init(&v->raw, OBJECT_LIMIT);
}

static void verifier_free(struct verifier *v)
{
    frame_decoder_free(&v->decoder);
    buf_free(&v->raw);
}

/* bytes begins with the entry's item. */
static bool verify(struct verifier *v, struct str bytes, const struct pack_entry *e,
                   struct pack_item *item)
{
    if (!pack_item_read(bytes, item) || item->raw != e->raw || item->stored.n != e->stored) {
        return false;
    }
    buf_clear(&v->raw);
    char *room = buf_reserve(&v->raw, (size_t)item->raw);
    if (!room
        || !frame_decode(&v->decoder, item->encoding, item->stored, room, (size_t)item->raw)) {
        return false;
    }
    struct digest digest = digest_of(room, (size_t)item->raw);
    return digest_eq(&digest, &e->digest);
}

static enum pack_answer check_bytes(struct str bytes, struct arena *a, struct pack_checked *out)
{
    struct tail tail;
    struct pack_footer footer;
    if (bytes.n < PACK_HEAD + PACK_TAIL || memcmp(bytes.s, pack_magic, PACK_HEAD) != 0
        || !tail_read(bytes.s + bytes.n - PACK_TAIL, bytes.n, &tail)
        || !frame_matches(&tail, bytes.s + tail.offset)
        || !pack_footer_read(a, str_sub(bytes, (size_t)tail.offset, (size_t)tail.size), tail.offset,
                             &footer)) {
        return PACK_BAD;
    }
    struct verifier v;
    struct pack_item item;
    verifier_init(&v);
    for (uint32_t i = 0; i < footer.count; i++) {
        const struct pack_entry *e = &footer.at[i];
        struct str entry = str_sub(bytes, (size_t)e->offset, (size_t)pack_entry_length(e));
        out->objects++;
        out->bad_objects += !verify(&v, entry, e, &item);
    }
    verifier_free(&v);
    return PACK_DONE;
}

enum pack_answer pack_check(struct depot *d, const struct pack_id *id, struct pack_checked *out)
{
    *out = (struct pack_checked){0};
    struct buf bytes;
    buf_init(&bytes, PACK_LIMIT);
    struct pack_run whole = {*id, 0, DEPOT_REST, 1};
    enum pack_answer answer = pack_get(d, &whole, &bytes);
    if (answer == PACK_DONE) {
        struct arena a = {0};
        out->bytes = bytes.n;
        answer = check_bytes(buf_str(&bytes), &a, out);
        arena_free(&a);
    }
    buf_free(&bytes);
    return answer;
}

static bool say_garbled(struct diags *notes, const struct pack_id *id)
{
    char key[PACK_KEY];
    struct str name = pack_key(id, false, key);
    diag_warning(notes, "cache-damaged", SPAN_NONE, "'%.*s' in the cache is absent or damaged",
                 STR_ARG(name));
    return false;
}

/* Index of the entry at exactly this offset, or the count. */
static uint32_t entry_at(const struct pack_footer *f, uint64_t offset)
{
    uint32_t low = 0, high = f->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (f->at[middle].offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < f->count && f->at[low].offset == offset ? low : f->count;
}

static bool copy_entries(struct pack_writer *w, struct str bytes, const struct pack_entry *entries,
                         const struct pack_run *run, struct pack_runs *out, struct diags *notes)
{
    struct verifier v;
    verifier_init(&v);
    bool ok = true;
    for (uint32_t i = 0; i < run->count && ok; i++) {
        const struct pack_entry *e = &entries[i];
        struct ref ref = {e->kind, e->raw, e->digest};
        struct pack_item item;
        struct pack_run at;
        if (!verify(&v, bytes, e, &item)) {
            ok = say_garbled(notes, &run->pack);
        } else if ((ok = pack_add_stored(w, &ref, &item, &at, notes))) {
            pack_runs_add(out, &at);
            bytes = str_tail(bytes, (size_t)item.length);
        }
    }
    verifier_free(&v);
    return ok && (!bytes.n || say_garbled(notes, &run->pack));
}

bool pack_copy_run(struct pack_writer *w, struct depot *from, const struct pack_run *run,
                   struct pack_runs *out, struct diags *notes)
{
    assert(run->count);
    struct arena a = {0};
    struct pack_footer footer;
    struct buf bytes;
    buf_init(&bytes, PACK_LIMIT);
    bool ok = pack_read_footer(from, &run->pack, 0, &a, &footer) == PACK_DONE;
    uint32_t first = ok ? entry_at(&footer, run->offset) : 0;
    ok = ok && first < footer.count && run->count <= footer.count - first
         && pack_get(from, run, &bytes) == PACK_DONE;
    ok = ok ? copy_entries(w, buf_str(&bytes), footer.at + first, run, out, notes)
            : say_garbled(notes, &run->pack);
    buf_free(&bytes);
    arena_free(&a);
    return ok;
}
