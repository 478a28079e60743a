/* SPDX-License-Identifier: MIT */
/* Results to rows and back. A row that record_read accepts is safe to act on: its paths stay inside the
 * workspace and do not collide. Format: docs/formats.md, "Record". */
#include "cache/record.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, MODE_BITS = 0777, TAG_BYTES = 8, COUNT_LIMIT = 65536 };

bool ref_eq(const struct ref *x, const struct ref *y)
{
    return x->kind == y->kind && x->size == y->size && digest_eq(&x->digest, &y->digest);
}

struct str ref_key(uint8_t kind, const struct digest *digest, char out[REF_KEY])
{
    out[0] = (char)kind;
    memcpy(out + 1, digest->b, sizeof digest->b);
    return (struct str){out, REF_KEY};
}

struct str ref_key_sized(const struct ref *ref, char out[REF_KEY_SIZED])
{
    (void)ref_key(ref->kind, &ref->digest, out);
    memcpy(out + REF_KEY, &ref->size, sizeof ref->size);
    return (struct str){out, REF_KEY_SIZED};
}

/* ---- paths ---- */

static bool name_is_plain(struct str name)
{
    return name.n > 0 && !str_eq(name, STR(".")) && !str_eq(name, STR(".."));
}

/* Relative and normal: names between single slashes, none empty, "." or "..". */
static bool path_is_plain(struct str path)
{
    if (path.n == 0 || path.n > RECORD_PATH_LIMIT || memchr(path.s, 0, path.n)) {
        return false;
    }
    size_t from = 0;
    for (size_t i = 0; i <= path.n; i++) {
        if (i == path.n || path.s[i] == '/') {
            if (!name_is_plain(str_sub(path, from, i - from))) {
                return false;
            }
            from = i + 1;
        }
    }
    return true;
}

/* Order in which all that lies below a path follows right behind it: '/' before any other byte. */
static int compare_outputs(const void *x, const void *y)
{
    struct str a = (*(const struct record_output *const *)x)->path;
    struct str b = (*(const struct record_output *const *)y)->path;
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        if (a.s[i] != b.s[i]) {
            int p = a.s[i] == '/' ? 0 : (uint8_t)a.s[i];
            int q = b.s[i] == '/' ? 0 : (uint8_t)b.s[i];
            return p - q;
        }
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static bool is_at_or_below(struct str path, struct str dir)
{
    return str_starts(path, dir) && (path.n == dir.n || path.s[dir.n] == '/');
}

static bool outputs_are_apart(const struct record_output *outputs, uint32_t count)
{
    if (count < 2) {
        return true;
    }
    const struct record_output **sorted = mem_alloc(count * sizeof(void *));
    for (uint32_t i = 0; i < count; i++) {
        sorted[i] = &outputs[i];
    }
    qsort(sorted, count, sizeof(void *), compare_outputs);
    bool apart = true;
    const struct record_output *leaf = NULL; /* the last one that nothing may lie below */
    for (uint32_t i = 0; i < count && apart; i++) {
        apart = !(leaf && is_at_or_below(sorted[i]->path, leaf->path))
                && !(i > 0 && str_eq(sorted[i]->path, sorted[i - 1]->path));
        if (sorted[i]->ref.kind != REF_TREE) {
            leaf = sorted[i];
        }
    }
    mem_free(sorted);
    return apart;
}

static bool is_sound(const struct record *r)
{
    for (uint32_t i = 0; i < r->output_count; i++) {
        const struct record_output *o = &r->outputs[i];
        if (!path_is_plain(o->path) || o->ref.kind < REF_BLOB || o->ref.kind > REF_LINK) {
            return false;
        }
    }
    for (uint32_t i = 0; i < r->input_count; i++) {
        if (!path_is_plain(r->inputs[i].path) || r->inputs[i].kind > REF_LINK) {
            return false;
        }
    }
    return r->log.kind <= REF_LIST && outputs_are_apart(r->outputs, r->output_count);
}

/* ---- writing ---- */

static void put_digest(struct buf *b, const struct digest *x)
{
    buf_put(b, x->b, sizeof x->b);
}

static void put_outputs(struct buf *b, const struct record *r)
{
    buf_put_varint(b, r->output_count);
    for (uint32_t i = 0; i < r->output_count; i++) {
        const struct record_output *o = &r->outputs[i];
        buf_put_text(b, o->path);
        buf_put_u8(b, o->ref.kind);
        buf_put_varint(b, o->mode & MODE_BITS);
        buf_put_varint(b, o->ref.size);
        put_digest(b, &o->ref.digest);
        if (o->ref.kind == REF_TREE) {
            put_digest(b, &o->content);
        }
    }
}

static void put_log(struct buf *b, const struct ref *log)
{
    buf_put_u8(b, log->kind);
    if (log->kind != REF_NONE) {
        buf_put_varint(b, log->size);
        put_digest(b, &log->digest);
    }
}

/* false: a text is too long. */
static bool put_metrics(struct buf *b, const struct record *r)
{
    buf_put_varint(b, r->metric_count);
    for (uint32_t i = 0; i < r->metric_count; i++) {
        const struct record_metric *m = &r->metrics[i];
        if (m->name.n > RECORD_TEXT_LIMIT || m->text.n > RECORD_TEXT_LIMIT) {
            return false;
        }
        buf_put_text(b, m->name);
        buf_put_text(b, m->text);
    }
    return true;
}

static void put_inputs(struct buf *b, const struct record *r)
{
    buf_put_varint(b, r->input_count);
    for (uint32_t i = 0; i < r->input_count; i++) {
        const struct record_input *in = &r->inputs[i];
        buf_put_text(b, in->path);
        buf_put_u8(b, in->kind);
        if (in->kind != REF_NONE) {
            put_digest(b, &in->digest);
        }
    }
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* false: not a tag's 16 hex digits. */
static bool put_tag(struct buf *b, struct str hex)
{
    if (hex.n != (size_t)2 * TAG_BYTES) {
        return false;
    }
    for (size_t i = 0; i < hex.n; i += 2) {
        int high = hex_value(hex.s[i]);
        int low = hex_value(hex.s[i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        buf_put_u8(b, (uint8_t)(high << 4 | low));
    }
    return true;
}

static bool put_parts(struct buf *b, const struct record *r)
{
    buf_put_varint(b, r->part_count);
    for (uint32_t i = 0; i < r->part_count; i++) {
        const struct record_part *p = &r->parts[i];
        if (p->label.n > RECORD_TEXT_LIMIT || p->value.n > RECORD_TEXT_LIMIT) {
            return false;
        }
        buf_put_text(b, p->label);
        buf_put_u8(b, p->tag);
        if (!p->tag) {
            buf_put_text(b, p->value);
        } else if (!put_tag(b, p->value)) {
            return false;
        }
    }
    return true;
}

static bool counts_fit(const struct record *r)
{
    return r->output_count <= RECORD_OUTPUTS_LIMIT && r->metric_count <= COUNT_LIMIT
           && r->input_count <= COUNT_LIMIT && r->part_count <= COUNT_LIMIT
           && r->where.n <= RECORD_TEXT_LIMIT && r->success_ms >= 0;
}

bool record_put(struct buf *b, const struct record *r)
{
    if (b->full || !counts_fit(r) || !is_sound(r)) {
        return false;
    }
    size_t before = b->n;
    buf_put_varint(b, VERSION);
    put_digest(b, &r->fingerprint);
    buf_put_u64(b, (uint64_t)r->success_ms);
    buf_put_varint(b, r->duration_ms > 0 ? (uint64_t)r->duration_ms : 0);
    buf_put(b, r->hint, sizeof r->hint);
    put_outputs(b, r);
    put_log(b, &r->log);
    bool ok = put_metrics(b, r);
    put_inputs(b, r);
    buf_put_text(b, r->where);
    buf_put(b, r->salt, sizeof r->salt);
    ok = put_parts(b, r) && ok;
    if (ok && !b->full && b->n - before <= RECORD_BYTES_LIMIT) {
        return true;
    }
    b->n = before;
    b->full = false;
    return false;
}

/* ---- reading ---- */

static struct digest read_digest(struct rd *in)
{
    struct digest x = {{0}};
    const uint8_t *bytes = rd_bytes(in, sizeof x.b);
    if (bytes) {
        memcpy(x.b, bytes, sizeof x.b);
    }
    return x;
}

static void read_fixed(struct rd *in, uint8_t *out, size_t n)
{
    const uint8_t *bytes = rd_bytes(in, n);
    if (bytes) {
        memcpy(out, bytes, n);
    }
}

static struct str read_text(struct arena *a, struct rd *in, size_t limit)
{
    return str_copy(a, rd_text(in, limit));
}

static void read_outputs(struct arena *a, struct rd *in, struct record *r)
{
    r->output_count = (uint32_t)rd_count(in, 36, RECORD_OUTPUTS_LIMIT);
    r->outputs = ARENA_ARRAY(a, struct record_output, r->output_count);
    for (uint32_t i = 0; i < r->output_count && !in->bad; i++) {
        struct record_output *o = &r->outputs[i];
        o->path = read_text(a, in, RECORD_PATH_LIMIT);
        o->ref.kind = rd_u8(in);
        uint64_t mode = rd_varint(in);
        in->bad |= mode > MODE_BITS;
        o->mode = (uint32_t)(mode & MODE_BITS);
        o->ref.size = rd_varint(in);
        o->ref.digest = read_digest(in);
        o->content = o->ref.kind == REF_TREE ? read_digest(in) : o->ref.digest;
    }
}

static void read_log(struct rd *in, struct record *r)
{
    r->log.kind = rd_u8(in);
    if (r->log.kind != REF_NONE) {
        r->log.size = rd_varint(in);
        r->log.digest = read_digest(in);
    }
}

static void read_metrics(struct arena *a, struct rd *in, struct record *r)
{
    r->metric_count = (uint32_t)rd_count(in, 2, COUNT_LIMIT);
    r->metrics = ARENA_ARRAY(a, struct record_metric, r->metric_count);
    for (uint32_t i = 0; i < r->metric_count && !in->bad; i++) {
        r->metrics[i].name = read_text(a, in, RECORD_TEXT_LIMIT);
        r->metrics[i].text = read_text(a, in, RECORD_TEXT_LIMIT);
    }
}

static void read_inputs(struct arena *a, struct rd *in, struct record *r)
{
    r->input_count = (uint32_t)rd_count(in, 2, COUNT_LIMIT);
    r->inputs = ARENA_ARRAY(a, struct record_input, r->input_count);
    for (uint32_t i = 0; i < r->input_count && !in->bad; i++) {
        r->inputs[i].path = read_text(a, in, RECORD_PATH_LIMIT);
        r->inputs[i].kind = rd_u8(in);
        if (r->inputs[i].kind != REF_NONE) {
            r->inputs[i].digest = read_digest(in);
        }
    }
}

static struct str put_hex(struct arena *a, const uint8_t *bytes, size_t n)
{
    char *hex = arena_alloc(a, 2 * n + 1, 1);
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    return (struct str){hex, 2 * n};
}

static void read_parts(struct arena *a, struct rd *in, struct record *r)
{
    r->part_count = (uint32_t)rd_count(in, 3, COUNT_LIMIT);
    r->parts = ARENA_ARRAY(a, struct record_part, r->part_count);
    for (uint32_t i = 0; i < r->part_count && !in->bad; i++) {
        struct record_part *p = &r->parts[i];
        p->label = read_text(a, in, RECORD_TEXT_LIMIT);
        uint8_t tag = rd_u8(in);
        in->bad |= tag > 1;
        p->tag = tag == 1;
        if (p->tag) {
            uint8_t bytes[TAG_BYTES] = {0};
            read_fixed(in, bytes, sizeof bytes);
            p->value = put_hex(a, bytes, sizeof bytes);
        } else {
            p->value = read_text(a, in, RECORD_TEXT_LIMIT);
        }
    }
}

bool record_read(struct arena *a, struct str row, struct record *out)
{
    memset(out, 0, sizeof *out);
    if (row.n > RECORD_BYTES_LIMIT) {
        return false;
    }
    struct rd in = rd_from(row.s, row.n);
    in.bad |= rd_varint(&in) != VERSION;
    out->fingerprint = read_digest(&in);
    uint64_t success = rd_u64(&in);
    uint64_t duration = rd_varint(&in);
    in.bad |= success > INT64_MAX || duration > INT64_MAX;
    if (in.bad) {
        return false;
    }
    out->success_ms = (int64_t)success;
    out->duration_ms = (int64_t)duration;
    read_fixed(&in, out->hint, sizeof out->hint);
    read_outputs(a, &in, out);
    read_log(&in, out);
    read_metrics(a, &in, out);
    read_inputs(a, &in, out);
    out->where = read_text(a, &in, RECORD_TEXT_LIMIT);
    read_fixed(&in, out->salt, sizeof out->salt);
    read_parts(a, &in, out);
    return !in.bad && rd_left(&in) == 0 && is_sound(out);
}

struct str record_tag(struct arena *a, const uint8_t salt[16], struct str label, struct str value)
{
    struct digester digester;
    digester_begin(&digester);
    digester_add(&digester, salt, 16);
    digester_add(&digester, label.s, label.n);
    digester_add(&digester, value.s, value.n);
    struct digest digest = digester_end(&digester);
    return put_hex(a, digest.b, TAG_BYTES);
}
