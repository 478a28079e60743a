/* SPDX-License-Identifier: MIT */
/* Opening costs a mapping and one look at the header, however many entries there are: each is verified when
 * it is asked for. All numbers from the file are held against its size before they are used. */
#include "core/state_log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ORDER_MARK = 0x01020304, /* of this machine's byte order: the entries are used in place */
    COUNT_LIMIT = 1 << 26,
    SLOTS_MIN = 16,
    ENTRY_HEAD = 16,
    ENTRY_LIMIT = 4 << 20,
    TEXT_LIMIT = 2 << 20,
    FLAG_HAS_INPUTS = 1,
};
enum journal_kind { JOURNAL_FILE = 1, JOURNAL_STEP = 2 };

static const char magic_bytes[8] = {'p', 'a', 'w', 'l', 's', 't', 'a', '1'};

struct header {
    char magic[8];
    uint32_t version, order_mark;
    uint32_t file_bytes, step_bytes; /* of an entry */
    uint64_t file_slots, step_slots;
    uint64_t file_count, step_count;
    uint64_t pool_bytes;
    uint64_t check;
};

struct text_at {
    uint32_t at, n; /* in the pool */
};

struct state_log_file {
    uint64_t hash; /* of the path */
    struct text_at path;
    uint32_t idle, zero;
    struct state_file seen;
    uint64_t check;
};

struct state_log_step {
    uint64_t hash; /* of the name */
    struct text_at name, record, log_path;
    struct digest fingerprint;
    int64_t success_ms, duration_ns;
    uint64_t outputs_hash, pending_sequence;
    uint32_t outcome, flags, idle, zero;
    uint8_t signer[16];
    uint64_t check; /* also over the three texts */
};

static_assert(sizeof(struct header) == 72, "header has no holes");
static_assert(sizeof(struct state_file) == 168, "as docs/formats.md says");
static_assert(sizeof(struct state_log_file) == 200, "file entry has no holes");
static_assert(sizeof(struct state_log_step) == 136, "step entry has no holes");

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Four lanes, so that one word need not wait for the one before. */
uint64_t state_log_hash(uint64_t seed, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    uint64_t h = mix(seed, n);
    if (n >= 32) {
        uint64_t lanes[4] = {h, h + 1, h + 2, h + 3};
        for (; n >= 32; n -= 32, at += 32) {
            for (size_t k = 0; k < 4; k++) {
                lanes[k] = mix(lanes[k], word_at(at + 8 * k));
            }
        }
        h = mix(mix(mix(lanes[0], lanes[1]), lanes[2]), lanes[3]);
    }
    for (; n >= 8; n -= 8, at += 8) {
        h = mix(h, word_at(at));
    }
    uint64_t last = 0;
    for (size_t i = 0; i < n; i++) {
        last |= (uint64_t)at[i] << 8 * i;
    }
    h = (h ^ last) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 32) * 0x94d049bb133111ebu;
    return h ^ h >> 29;
}

static uint64_t name_hash(struct str name)
{
    return state_log_hash(0, name.s, name.n);
}

static uint64_t result_hash(const struct digest *fingerprint)
{
    return state_log_hash(1, fingerprint->b, sizeof fingerprint->b);
}

static bool digest_is_zero(const struct digest *x)
{
    static const struct digest zero;
    return digest_eq(x, &zero);
}

/* ---- opening ---- */

static uint64_t header_check(const struct header *h)
{
    return state_log_hash(STATE_LOG_VERSION, h, offsetof(struct header, check));
}

static bool slots_fit(uint64_t slots, uint64_t count)
{
    bool power = slots > 0 && (slots & (slots - 1)) == 0;
    return power && count <= COUNT_LIMIT && slots <= (uint64_t)4 * COUNT_LIMIT && count < slots;
}

static bool header_is_sound(const struct header *h)
{
    return !memcmp(h->magic, magic_bytes, sizeof magic_bytes) && h->version == STATE_LOG_VERSION
           && h->order_mark == ORDER_MARK && h->file_bytes == sizeof(struct state_log_file)
           && h->step_bytes == sizeof(struct state_log_step) && h->check == header_check(h)
           && slots_fit(h->file_slots, h->file_count) && slots_fit(h->step_slots, h->step_count)
           && h->pool_bytes <= UINT32_MAX && h->pool_bytes % 8 == 0;
}

/* No sum overflows: each number is bounded by header_is_sound. */
static uint64_t snapshot_bytes(const struct header *h)
{
    return sizeof *h + 8 * (h->file_slots + 2 * h->step_slots) + h->file_count * h->file_bytes
           + h->step_count * h->step_bytes + h->pool_bytes;
}

static bool take_map(struct state_log *log, const void *map, size_t bytes)
{
    const struct header *h = map;
    if (bytes < sizeof *h || !header_is_sound(h) || snapshot_bytes(h) > bytes) {
        return false;
    }
    log->file_slots = h->file_slots;
    log->step_slots = h->step_slots;
    log->file_count = (uint32_t)h->file_count;
    log->step_count = (uint32_t)h->step_count;
    log->pool_bytes = h->pool_bytes;
    log->file_index = (const uint64_t *)(h + 1);
    log->step_index = log->file_index + h->file_slots;
    log->result_index = log->step_index + h->step_slots;
    log->files = (const struct state_log_file *)(log->result_index + h->step_slots);
    log->steps = (const struct state_log_step *)(log->files + h->file_count);
    log->pool = (const char *)(log->steps + h->step_count);
    log->snapshot_bytes = (size_t)snapshot_bytes(h);
    return true;
}

void state_log_open(struct state_log *log, int dir)
{
    *log = (struct state_log){0};
    int fd = openat(dir, "state", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        log->damaged = errno != ENOENT;
        return;
    }
    struct stat st;
    bool usable = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    void *map = MAP_FAILED;
    if (usable) {
        map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    close(fd);
    if (map == MAP_FAILED || !take_map(log, map, (size_t)st.st_size)) {
        if (map != MAP_FAILED) {
            munmap(map, (size_t)st.st_size);
        }
        *log = (struct state_log){.damaged = true};
        return;
    }
    log->map = map;
    log->map_bytes = (size_t)st.st_size;
}

void state_log_close(struct state_log *log)
{
    if (log->map) {
        munmap(log->map, log->map_bytes);
    }
    *log = (struct state_log){0};
}

/* ---- looking up ---- */

static bool text_get(const struct state_log *log, struct text_at t, struct str *out)
{
    if (t.at > log->pool_bytes || t.n > log->pool_bytes - t.at || t.n > TEXT_LIMIT) {
        return false;
    }
    *out = (struct str){log->pool + t.at, t.n};
    return true;
}

static uint64_t file_check(const struct state_log_file *f)
{
    return state_log_hash(JOURNAL_FILE, f, offsetof(struct state_log_file, check));
}

static uint64_t step_check(const struct state_log_step *x, struct str name, struct str record,
                           struct str log_path)
{
    uint64_t h = state_log_hash(JOURNAL_STEP, x, offsetof(struct state_log_step, check));
    h = state_log_hash(h, name.s, name.n);
    h = state_log_hash(h, record.s, record.n);
    return state_log_hash(h, log_path.s, log_path.n);
}

/* Without a look at whether the path is the one that was hashed. */
static bool file_get(struct state_log *log, uint32_t i, struct str *path)
{
    const struct state_log_file *f = &log->files[i];
    bool sound = text_get(log, f->path, path) && f->check == file_check(f);
    log->damaged |= !sound;
    return sound;
}

bool state_log_get_file(struct state_log *log, uint32_t i, struct str *path,
                        const struct state_file **out, uint32_t *idle)
{
    const struct state_log_file *f = &log->files[i];
    if (!file_get(log, i, path) || f->hash != name_hash(*path)) {
        log->damaged = true;
        return false;
    }
    *out = &f->seen;
    *idle = f->idle;
    return true;
}

bool state_log_get_step(struct state_log *log, uint32_t i, struct str *name, struct state_step *out,
                        uint32_t *idle)
{
    const struct state_log_step *x = &log->steps[i];
    struct str record;
    struct str log_path;
    if (!text_get(log, x->name, name) || !text_get(log, x->record, &record)
        || !text_get(log, x->log_path, &log_path)
        || x->check != step_check(x, *name, record, log_path) || x->outcome > STATE_INTERRUPTED) {
        log->damaged = true;
        return false;
    }
    *out = (struct state_step){
        .fingerprint = x->fingerprint,
        .success_ms = x->success_ms,
        .duration_ns = x->duration_ns,
        .outputs_hash = x->outputs_hash,
        .pending_sequence = x->pending_sequence,
        .outcome = x->outcome,
        .has_inputs = x->flags & FLAG_HAS_INPUTS,
        .record = record,
        .log_path = log_path,
    };
    memcpy(out->signer, x->signer, sizeof out->signer);
    *idle = x->idle;
    return true;
}

/* Walks the slots that a hash can lie in. An index of garbage ends too, after each slot was met once. */
struct probe {
    const uint64_t *index;
    uint64_t slots, at, left, hash;
    uint32_t count;
};

static struct probe probe_begin(const uint64_t *index, uint64_t slots, uint32_t count,
                                uint64_t hash)
{
    return (struct probe){index, slots, hash & (slots - 1), slots, hash, count};
}

/* The next entry with this hash's upper half; STATE_LOG_NONE at the end. */
static int64_t probe_next(struct probe *p, bool *damaged)
{
    const uint64_t low = 0xffffffffu;
    for (; p->left > 0; p->left--) {
        uint64_t slot = p->index[p->at];
        if (slot == 0) {
            return STATE_LOG_NONE;
        }
        p->at = (p->at + 1) & (p->slots - 1);
        if ((slot & ~low) == (p->hash & ~low)) {
            p->left--;
            uint64_t number = slot & low;
            if (number == 0 || number > p->count) {
                *damaged = true;
                return STATE_LOG_NONE;
            }
            return (int64_t)(number - 1);
        }
    }
    return STATE_LOG_NONE;
}

int64_t state_log_find_file(struct state_log *log, struct str path, const struct state_file **out)
{
    if (!log->map) {
        return STATE_LOG_NONE;
    }
    struct probe p =
        probe_begin(log->file_index, log->file_slots, log->file_count, name_hash(path));
    int64_t i;
    while ((i = probe_next(&p, &log->damaged)) != STATE_LOG_NONE) {
        struct str found;
        if (file_get(log, (uint32_t)i, &found) && str_eq(found, path)) {
            *out = &log->files[i].seen;
            return i;
        }
    }
    return STATE_LOG_NONE;
}

int64_t state_log_find_step(struct state_log *log, struct str name, struct state_step *out)
{
    if (!log->map) {
        return STATE_LOG_NONE;
    }
    struct probe p =
        probe_begin(log->step_index, log->step_slots, log->step_count, name_hash(name));
    int64_t i;
    while ((i = probe_next(&p, &log->damaged)) != STATE_LOG_NONE) {
        struct str found;
        uint32_t idle;
        if (state_log_get_step(log, (uint32_t)i, &found, out, &idle) && str_eq(found, name)) {
            return i;
        }
    }
    return STATE_LOG_NONE;
}

int64_t state_log_find_result(struct state_log *log, const struct digest *fingerprint,
                              struct str *name, struct state_step *out)
{
    if (!log->map || digest_is_zero(fingerprint)) {
        return STATE_LOG_NONE;
    }
    struct probe p =
        probe_begin(log->result_index, log->step_slots, log->step_count, result_hash(fingerprint));
    int64_t i;
    while ((i = probe_next(&p, &log->damaged)) != STATE_LOG_NONE) {
        uint32_t idle;
        if (state_log_get_step(log, (uint32_t)i, name, out, &idle)
            && digest_eq(&out->fingerprint, fingerprint)) {
            return i;
        }
    }
    return STATE_LOG_NONE;
}

/* ---- the journal ----
 * entry   := n:u32 kind:u32 check:u64 payload:n zeros to a multiple of 8
 * file    := path:text dev:u64 ino:u64 size:u64 mtime:u64 ctime:u64 mode:u32 error:u32 walk:32
 *            ref_kind:u8 ref_size:u64 ref_digest:32 content:32 hashed:u64
 * step    := name:text fingerprint:32 success:u64 duration:u64 outputs_hash:u64 pending:u64
 *            outcome:u32 flags:u32 record:text log_path:text
 */

static void begin_entry(struct buf *b, enum journal_kind kind)
{
    buf_put_u32(b, 0);
    buf_put_u32(b, kind);
    buf_put_u64(b, 0);
}

static uint64_t entry_check(uint32_t kind, const void *payload, size_t n)
{
    return state_log_hash((uint64_t)kind << 32 | n, payload, n);
}

static void put_le(char *at, uint64_t x, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (char)(uint8_t)(x >> 8 * i);
    }
}

/* Fills in the head of the entry begun at begin. */
static void end_entry(struct buf *b, size_t begin, enum journal_kind kind)
{
    size_t n = b->n - begin - ENTRY_HEAD;
    if (b->full || n > ENTRY_LIMIT) {
        b->n = begin;
        return;
    }
    put_le(b->s + begin, n, 4);
    put_le(b->s + begin + 8, entry_check(kind, b->s + begin + ENTRY_HEAD, n), 8);
    while (b->n % 8 != begin % 8) {
        buf_put_u8(b, 0);
    }
}

static void put_digest(struct buf *b, const struct digest *x)
{
    buf_put(b, x->b, sizeof x->b);
}

void state_log_put_file(struct buf *b, struct str path, const struct state_file *f)
{
    size_t begin = b->n;
    begin_entry(b, JOURNAL_FILE);
    buf_put_text(b, path);
    buf_put_u64(b, f->sig.dev);
    buf_put_u64(b, f->sig.ino);
    buf_put_u64(b, f->sig.size);
    buf_put_u64(b, (uint64_t)f->sig.mtime_ns);
    buf_put_u64(b, (uint64_t)f->sig.ctime_ns);
    buf_put_u32(b, f->sig.mode);
    buf_put_u32(b, f->sig.error);
    put_digest(b, &f->walk);
    buf_put_u8(b, f->ref.kind);
    buf_put_u64(b, f->ref.size);
    put_digest(b, &f->ref.digest);
    put_digest(b, &f->content);
    buf_put_u64(b, (uint64_t)f->hashed_ns);
    end_entry(b, begin, JOURNAL_FILE);
}

void state_log_put_step(struct buf *b, struct str name, const struct state_step *x)
{
    size_t begin = b->n;
    begin_entry(b, JOURNAL_STEP);
    buf_put_text(b, name);
    put_digest(b, &x->fingerprint);
    buf_put_u64(b, (uint64_t)x->success_ms);
    buf_put_u64(b, (uint64_t)x->duration_ns);
    buf_put_u64(b, x->outputs_hash);
    buf_put_u64(b, x->pending_sequence);
    buf_put_u32(b, x->outcome);
    buf_put_u32(b, x->has_inputs ? FLAG_HAS_INPUTS : 0);
    buf_put(b, x->signer, sizeof x->signer);
    buf_put_text(b, x->record);
    buf_put_text(b, x->log_path);
    end_entry(b, begin, JOURNAL_STEP);
}

static void read_digest(struct rd *in, struct digest *out)
{
    const uint8_t *bytes = rd_bytes(in, sizeof out->b);
    if (bytes) {
        memcpy(out->b, bytes, sizeof out->b);
    }
}

static void read_file(struct rd *in, struct state_log_entry *out)
{
    struct state_file *f = &out->file;
    out->name = rd_text(in, TEXT_LIMIT);
    f->sig.dev = rd_u64(in);
    f->sig.ino = rd_u64(in);
    f->sig.size = rd_u64(in);
    f->sig.mtime_ns = (int64_t)rd_u64(in);
    f->sig.ctime_ns = (int64_t)rd_u64(in);
    f->sig.mode = rd_u32(in);
    f->sig.error = rd_u32(in);
    read_digest(in, &f->walk);
    f->ref.kind = rd_u8(in);
    f->ref.size = rd_u64(in);
    read_digest(in, &f->ref.digest);
    read_digest(in, &f->content);
    f->hashed_ns = (int64_t)rd_u64(in);
}

static void read_step(struct rd *in, struct state_log_entry *out)
{
    struct state_step *x = &out->step;
    out->is_step = true;
    out->name = rd_text(in, TEXT_LIMIT);
    read_digest(in, &x->fingerprint);
    x->success_ms = (int64_t)rd_u64(in);
    x->duration_ns = (int64_t)rd_u64(in);
    x->outputs_hash = rd_u64(in);
    x->pending_sequence = rd_u64(in);
    x->outcome = rd_u32(in);
    in->bad |= x->outcome > STATE_INTERRUPTED;
    x->has_inputs = rd_u32(in) & FLAG_HAS_INPUTS;
    const uint8_t *signer = rd_bytes(in, sizeof x->signer);
    if (signer) {
        memcpy(x->signer, signer, sizeof x->signer);
    }
    x->record = rd_text(in, TEXT_LIMIT);
    x->log_path = rd_text(in, TEXT_LIMIT);
}

struct state_log_reader state_log_read_journal(const struct state_log *log)
{
    struct state_log_reader r = {0};
    if (log->map) {
        const char *bytes = log->map;
        r.in = rd_from(bytes + log->snapshot_bytes, log->map_bytes - log->snapshot_bytes);
    }
    return r;
}

bool state_log_next(struct state_log_reader *r, struct state_log_entry *out)
{
    *out = (struct state_log_entry){0};
    size_t left = rd_left(&r->in);
    if (left == 0 || r->cut || r->damaged) {
        return false;
    }
    uint32_t n = rd_u32(&r->in);
    uint32_t kind = rd_u32(&r->in);
    uint64_t check = rd_u64(&r->in);
    size_t padded = ((size_t)n + 7) / 8 * 8;
    const uint8_t *payload = rd_bytes(&r->in, padded);
    if (!payload) {
        r->cut = n <= ENTRY_LIMIT;
        r->damaged = !r->cut;
        return false;
    }
    struct rd in = rd_from(payload, n);
    in.bad = kind == 0 || check != entry_check(kind, payload, n);
    if (!in.bad && kind == JOURNAL_FILE) {
        read_file(&in, out);
    } else if (!in.bad && kind == JOURNAL_STEP) {
        read_step(&in, out);
    } else {
        in.bad = true;
    }
    r->damaged = in.bad || rd_left(&in) > 0;
    return !r->damaged;
}

/* ---- writing a snapshot ---- */

static uint64_t slots_for(uint64_t count)
{
    uint64_t slots = SLOTS_MIN;
    while (slots < 2 * count) {
        slots *= 2;
    }
    return slots;
}

static void index_put(uint64_t *index, uint64_t slots, uint64_t hash, uint32_t i)
{
    uint64_t at = hash & (slots - 1);
    while (index[at]) {
        at = (at + 1) & (slots - 1);
    }
    index[at] = (hash & ~(uint64_t)0xffffffffu) | ((uint64_t)i + 1);
}

static uint64_t pool_bytes_of(const struct state_log_content *content)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < content->file_count; i++) {
        bytes += content->files[i].name.n;
    }
    for (uint32_t i = 0; i < content->step_count; i++) {
        const struct state_log_item *item = &content->steps[i];
        bytes += item->name.n + item->step->record.n + item->step->log_path.n;
    }
    return (bytes + 7) / 8 * 8; /* the journal behind it begins aligned */
}

struct pool_writer {
    char *pool;
    uint32_t at;
};

static struct text_at pool_put(struct pool_writer *w, struct str text)
{
    struct text_at t = {w->at, (uint32_t)text.n};
    if (text.n) {
        memcpy(w->pool + w->at, text.s, text.n);
    }
    w->at += (uint32_t)text.n;
    return t;
}

/* Field by field: what lies between them stays zero, so that equal content gives equal bytes. */
static void copy_seen(struct state_file *to, const struct state_file *from)
{
    to->sig = from->sig;
    to->walk = from->walk;
    to->ref.kind = from->ref.kind;
    to->ref.size = from->ref.size;
    to->ref.digest = from->ref.digest;
    to->content = from->content;
    to->hashed_ns = from->hashed_ns;
}

static void fill_files(const struct state_log_content *content, const struct state_log *log,
                       uint64_t *index, struct pool_writer *w)
{
    struct state_log_file *entries = (struct state_log_file *)(uintptr_t)log->files;
    for (uint32_t i = 0; i < content->file_count; i++) {
        const struct state_log_item *item = &content->files[i];
        struct state_log_file *f = &entries[i];
        f->hash = name_hash(item->name);
        f->path = pool_put(w, item->name);
        f->idle = item->idle;
        copy_seen(&f->seen, item->file);
        f->check = file_check(f);
        index_put(index, log->file_slots, f->hash, i);
    }
}

static void fill_steps(const struct state_log_content *content, const struct state_log *log,
                       uint64_t *index, struct pool_writer *w)
{
    struct state_log_step *entries = (struct state_log_step *)(uintptr_t)log->steps;
    for (uint32_t i = 0; i < content->step_count; i++) {
        const struct state_step *from = content->steps[i].step;
        struct str name = content->steps[i].name;
        struct state_log_step *x = &entries[i];
        x->hash = name_hash(name);
        x->name = pool_put(w, name);
        x->record = pool_put(w, from->record);
        x->log_path = pool_put(w, from->log_path);
        x->fingerprint = from->fingerprint;
        x->success_ms = from->success_ms;
        x->duration_ns = from->duration_ns;
        x->outputs_hash = from->outputs_hash;
        x->pending_sequence = from->pending_sequence;
        x->outcome = from->outcome;
        x->flags = from->has_inputs ? FLAG_HAS_INPUTS : 0;
        memcpy(x->signer, from->signer, sizeof x->signer);
        x->idle = content->steps[i].idle;
        x->check = step_check(x, name, from->record, from->log_path);
        index_put(index, log->step_slots, x->hash, i);
        if (!digest_is_zero(&x->fingerprint)) {
            index_put(index + log->step_slots, log->step_slots, result_hash(&x->fingerprint), i);
        }
    }
}

bool state_log_write(int dir, struct state_log_content *content, bool durable)
{
    struct header h = {
        .version = STATE_LOG_VERSION,
        .order_mark = ORDER_MARK,
        .file_bytes = sizeof(struct state_log_file),
        .step_bytes = sizeof(struct state_log_step),
        .file_slots = slots_for(content->file_count),
        .step_slots = slots_for(content->step_count),
        .file_count = content->file_count,
        .step_count = content->step_count,
        .pool_bytes = pool_bytes_of(content),
    };
    memcpy(h.magic, magic_bytes, sizeof magic_bytes);
    h.check = header_check(&h);
    if (!header_is_sound(&h)) {
        errno = EFBIG;
        return false;
    }
    size_t bytes = (size_t)snapshot_bytes(&h);
    char *image = mem_alloc(bytes);
    memcpy(image, &h, sizeof h);
    struct state_log log = {0};
    bool fits = take_map(&log, image, bytes);
    assert(fits);
    (void)fits;
    uint64_t *index = (uint64_t *)(void *)(image + sizeof h);
    struct pool_writer w = {image + (log.pool - image), 0};
    fill_files(content, &log, index, &w);
    fill_steps(content, &log, index + log.file_slots, &w);
    bool ok = file_write(dir, STR("state"), (struct str){image, bytes}, 0600, durable);
    int error = errno;
    mem_free(image);
    errno = error;
    content->bytes = bytes;
    return ok;
}
