/* SPDX-License-Identifier: MIT */
/* Two passes over what is large or a folder: the first makes its lists and trees, since a parent comes before
 * what is below it; the second reads again what is not known yet and holds each chunk against the first. A file that
 * is kept plain is cut, hashed and written in one.
 * Invariant: no object enters a pack under a digest that was not computed from these very bytes. */
#include "cache/store.h"

#include "cache/chunk.h"
#include "cache/cutter.h"
#include "cache/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLES = 4, SAMPLE_BYTES = 64 << 10, WRITE_BEHIND = 8 << 20 };

/* One path on its way into packs. */
struct storing {
    struct store *s;
    struct str path; /* for messages */
    struct object_set set;
    struct pack_runs runs;
    struct arena arena;      /* the set's, then what is being decoded */
    struct arena seen_arena; /* grows while the other is reset */
    struct table seen;       /* kind and digest of what the runs hold */
    uint8_t *bytes;          /* LIST_FILE_MIN: a small file or a chunk; of the store */
    struct diags *notes;
    enum store_answer answer;
    bool
        changes; /* it is a new version of something: plain files would share nothing with each other */
};

void store_init(struct store *s, struct depot *depot, int folder, struct store_finder finder)
{
    *s = (struct store){.depot = depot, .folder = folder, .finder = finder};
    known_init(&s->known);
    pack_writer_init(&s->writer, depot);
}

void store_free(struct store *s)
{
    known_free(&s->known);
    pack_writer_free(&s->writer);
    mem_free(s->bytes);
    *s = (struct store){.folder = -1};
}

/* ---- trouble ---- */

static bool say_changed(struct storing *x)
{
    diag_warning(x->notes, "output-changed", SPAN_NONE,
                 "'%.*s' changed while it was stored, and is not kept", STR_ARG(x->path));
    x->answer = STORE_CHANGED;
    return false;
}

static bool say_failed(struct storing *x, const char *what)
{
    const char *why = diag_reason(errno);
    diag_warning(x->notes, "cache-write", SPAN_NONE, "cannot %s '%.*s': %s", what, STR_ARG(x->path),
                 why);
    x->answer = STORE_FAILED;
    return false;
}

/* A file that went or was replaced has changed; else it cannot be read. */
static bool say_unopened(struct storing *x)
{
    bool gone = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
    return gone ? say_changed(x) : say_failed(x, "read");
}

/* Trouble in the cache is never an error of the build. */
static void pass_as_warnings(const struct diags *from, struct diags *to)
{
    for (uint32_t i = 0; i < from->all.n; i++) {
        const struct diag *d = &from->all.at[i];
        diag_warning(to, d->code, SPAN_NONE, "%.*s", STR_ARG(d->message));
    }
}

/* ---- single objects ---- */

static bool is_first_mention(struct storing *x, const struct ref *ref)
{
    char key[REF_KEY];
    bool is_new;
    table_add(&x->seen, ref_key(ref->kind, &ref->digest, key), &is_new);
    return is_new;
}

/* Adds the run of an object that lies somewhere already. */
static bool add_known(struct storing *x, const struct ref *ref, struct pack_run *at)
{
    if (!known_find(&x->s->known, ref, at)) {
        return false;
    }
    pack_runs_add(&x->runs, at);
    return true;
}

/* A pack that was under construction when something failed: lost, unless it was put before that. */
static void forget_unless_put(struct store *s, const struct pack_id *id)
{
    const struct pack_writer *w = &s->writer;
    for (uint32_t i = w->put_count; i > 0; i--) {
        if (pack_id_eq(&w->puts[i - 1].id, id)) {
            return;
        }
    }
    known_forget_pack(&s->known, id);
}

static bool add_object(struct storing *x, const struct ref *ref, struct str raw)
{
    struct pack_run at;
    struct store *s = x->s;
    struct pack_id before = s->writer.id;
    if (!pack_add(&s->writer, ref, raw, &at, x->notes)) {
        forget_unless_put(s, &before);
        forget_unless_put(s, &s->writer.id);
        x->answer = STORE_FAILED;
        return false;
    }
    known_add(&s->known, ref, &at);
    pack_runs_add(&x->runs, &at);
    return true;
}

/* An object of the first pass. */
static bool add_kept(struct storing *x, const struct ref *ref, struct str *bytes)
{
    struct pack_run at;
    if (!object_set_find(&x->set, ref->kind, &ref->digest, bytes)) {
        return say_changed(x);
    }
    return add_known(x, ref, &at) || add_object(x, ref, *bytes);
}

static bool read_at(int fd, uint8_t *bytes, size_t n, uint64_t offset, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t part = pread(fd, bytes + *got, n - *got, (off_t)(offset + *got));
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part <= 0) {
            return part == 0;
        }
        *got += (size_t)part;
    }
    return true;
}

/* size bytes of the file, which were ref when they were last read. */
static bool add_part(struct storing *x, int fd, uint64_t offset, const struct ref *ref)
{
    struct pack_run at;
    size_t got;
    if (!is_first_mention(x, ref) || add_known(x, ref, &at)) {
        return true;
    }
    if (!read_at(fd, x->bytes, (size_t)ref->size, offset, &got)) {
        return say_failed(x, "read");
    }
    struct digest digest = digest_of(x->bytes, got);
    if (got != ref->size || !digest_eq(&digest, &ref->digest)) {
        return say_changed(x);
    }
    return add_object(x, ref, (struct str){(const char *)x->bytes, got});
}

/* ---- large files ---- */

static bool add_list(struct storing *x, int fd, uint64_t offset, const struct ref *ref)
{
    struct str bytes;
    struct list list;
    if (!is_first_mention(x, ref)) {
        return true;
    }
    if (!add_kept(x, ref, &bytes)) {
        return false;
    }
    struct arena_mark mark = arena_mark(&x->arena);
    bool ok = list_read(&x->arena, bytes, &list) || say_changed(x);
    for (uint32_t i = 0; ok && i < list.count; i++) {
        ok = list.level ? add_list(x, fd, offset, &list.entries[i])
                        : add_part(x, fd, offset, &list.entries[i]);
        offset += list.entries[i].size;
    }
    arena_reset(&x->arena, mark);
    return ok;
}

/* A copy that shares its blocks with the file, and no name. -1: not here. */
static int clone_of(const struct store *s, int fd)
{
    if (s->folder < 0) {
        return -1;
    }
    int clone = openat(s->folder, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (clone >= 0 && ioctl(clone, FICLONE, fd) != 0) {
        close(clone);
        clone = -1;
    }
    return clone;
}

static bool sample_gains(struct storing *x, int fd, uint64_t size)
{
    struct frame_encoder *e = &x->s->writer.encoder;
    size_t raw = 0, stored = 0;
    for (uint64_t i = 0; i < SAMPLES; i++) {
        size_t got;
        if (!read_at(fd, x->bytes, SAMPLE_BYTES, (size - SAMPLE_BYTES) / (SAMPLES - 1) * i, &got)) {
            return true;
        }
        e->raw_run = 0;
        struct frame frame = frame_encode(e, (struct str){(const char *)x->bytes, got});
        raw += got;
        stored += frame.stored.n;
    }
    e->raw_run = 0;
    return stored + raw / 16 <= raw;
}

/* Bytes of the file whose chunks lie in packs already. */
static uint64_t known_bytes(struct storing *x, const struct ref *ref)
{
    struct str bytes;
    struct list list;
    uint64_t sum = 0;
    struct arena_mark mark = arena_mark(&x->arena);
    bool ok = object_set_find(&x->set, REF_LIST, &ref->digest, &bytes)
              && list_read(&x->arena, bytes, &list);
    for (uint32_t i = 0; ok && i < list.count; i++) {
        struct pack_run at;
        if (list.level) {
            sum += known_bytes(x, &list.entries[i]);
        } else if (known_find(&x->s->known, &list.entries[i], &at)) {
            sum += list.entries[i].size;
        }
    }
    arena_reset(&x->arena, mark);
    return sum;
}

static bool put_plain(struct storing *x, const struct depot_source *source, const struct ref *ref)
{
    struct pack_run at = {pack_id_random(), 0, ref->size, 0};
    char name[PACK_KEY];
    struct str key = pack_key(&at.pack, true, name);
    struct depot_reply reply = {0};
    struct store *s = x->s;
    if (depot_put(s->depot, key, source, false, &reply) != DEPOT_DONE) {
        errno = reply.error ? reply.error : EIO;
        return false;
    }
    pack_note_put(&s->writer, &at.pack, ref->size);
    known_add(&s->known, ref, &at);
    pack_runs_add(&x->runs, &at);
    (void)is_first_mention(x, ref);
    return true;
}

/* A plain file that is written while it is cut and hashed: what lies there is what was hashed. */
struct copying {
    struct storing *x;
    int from, to;
    const struct ref *ref;
    uint64_t written, begun; /* to the disk that much is on its way */
    enum { COPY_WHOLE, COPY_UNREAD, COPY_UNWRITTEN, COPY_CHANGED, COPY_SHARES } end;
};

/* The disk works meanwhile, so that there is less to wait for at the end. */
static bool write_part(void *context, const void *bytes, size_t n)
{
    struct copying *c = context;
    if (!file_write_all(c->to, bytes, n)) {
        c->end = COPY_UNWRITTEN;
        return false;
    }
    c->written += n;
    if (c->written - c->begun >= WRITE_BEHIND) {
        (void)!sync_file_range(c->to, (off_t)c->begun, (off_t)(c->written - c->begun),
                               SYNC_FILE_RANGE_WRITE);
        c->begun = c->written;
    }
    return true;
}

static bool copy_hashed(void *context, int to)
{
    struct copying *c = context;
    const struct depot_sink tee = {write_part, c};
    struct ref found = {0};
    c->to = to;
    c->end = COPY_UNREAD;
    const struct cutter_source from = {.fd = c->from, .size = c->ref->size, .tee = &tee};
    if (lseek(c->from, 0, SEEK_SET) != 0 || !cutter_run(&from, &c->x->set, &found)) {
        return false;
    }
    c->end = !ref_eq(&found, c->ref)                         ? COPY_CHANGED
             : known_bytes(c->x, c->ref) >= c->ref->size / 2 ? COPY_SHARES
                                                             : COPY_WHOLE;
    errno = ECANCELED;
    return c->end == COPY_WHOLE;
}

/* The open file as it is, or as chunks where it turns out that most of them lie here already. */
static bool add_copy(struct storing *x, int fd, const struct ref *ref)
{
    struct copying c = {.x = x, .from = fd, .ref = ref, .end = COPY_UNWRITTEN};
    const struct depot_filler filler = {copy_hashed, &c};
    const struct depot_source source = {.fd = -1, .filler = &filler};
    if (put_plain(x, &source, ref)) {
        return true;
    }
    switch (c.end) {
    case COPY_CHANGED: return say_changed(x);
    case COPY_SHARES: return add_list(x, fd, 0, ref);
    case COPY_UNREAD: return say_failed(x, "read");
    case COPY_WHOLE:
    case COPY_UNWRITTEN: break;
    }
    return say_failed(x, "write to the cache");
}

/* Puts what nobody else can write to. */
static bool add_clone(struct storing *x, int clone, const struct ref *ref)
{
    const struct depot_source source = {.fd = clone, .fd_bytes = ref->size};
    return put_plain(x, &source, ref) || say_failed(x, "write to the cache");
}

/* Whether a large file that is not known is kept as it is, without a clone of it. */
static bool is_plain(struct storing *x, int fd, const struct ref *ref)
{
    bool plain = x->s->folder >= 0 && !x->changes && !sample_gains(x, fd, ref->size)
                 && known_bytes(x, ref) < ref->size / 2;
    x->s->writer.encoder.raw_run = 0;
    return plain;
}

/* clone: of the file, or -1; it is the file's reference that was computed from it then. */
static bool add_large(struct storing *x, int fd, int clone, const struct ref *ref)
{
    struct pack_run at;
    bool known = known_find(&x->s->known, ref, &at);
    if (known && !at.count) {
        if (is_first_mention(x, ref)) {
            pack_runs_add(&x->runs, &at);
        }
        return true;
    }
    bool cloned = clone >= 0 && !known;
    x->s->writer.encoder.raw_run = 0;
    if (!cloned && (known || !is_plain(x, fd, ref))) {
        return add_list(x, fd, 0, ref);
    }
    return cloned ? add_clone(x, clone, ref) : add_copy(x, fd, ref);
}

/* A large file of a folder: a clone of it is a second look, and is held against the first. */
static bool add_large_below(struct storing *x, int fd, const struct ref *ref)
{
    struct pack_run at;
    struct ref found = {0};
    bool known = known_find(&x->s->known, ref, &at);
    int clone = known ? -1 : clone_of(x->s, fd);
    if (clone < 0) {
        return add_large(x, fd, clone, ref);
    }
    bool ok = object_hash_fd(clone, NULL, &found) && ref_eq(&found, ref);
    ok = ok ? add_large(x, fd, clone, ref) : say_changed(x);
    close(clone);
    return ok;
}

/* ---- folders ---- */

static bool add_tree(struct storing *x, int fd, const struct ref *ref);

static bool add_below(struct storing *x, int dir, const struct tree_entry *e)
{
    char name[TREE_NAME_LIMIT + 1];
    struct pack_run at;
    if (e->ref.kind == REF_LINK) {
        return true;
    }
    if (e->ref.kind == REF_BLOB && known_find(&x->s->known, &e->ref, &at)) {
        return add_part(x, -1, 0, &e->ref); /* need not be opened */
    }
    memcpy(name, e->name.s, e->name.n);
    name[e->name.n] = 0;
    int flags = e->ref.kind == REF_TREE ? O_DIRECTORY : O_NONBLOCK;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | flags);
    if (fd < 0) {
        return say_unopened(x);
    }
    bool ok = e->ref.kind == REF_TREE   ? add_tree(x, fd, &e->ref)
              : e->ref.kind == REF_LIST ? add_large_below(x, fd, &e->ref)
                                        : add_part(x, fd, 0, &e->ref);
    close(fd);
    return ok;
}

static bool add_tree(struct storing *x, int fd, const struct ref *ref)
{
    struct str bytes;
    struct tree tree;
    if (!is_first_mention(x, ref)) {
        return true;
    }
    if (!add_kept(x, ref, &bytes)) {
        return false;
    }
    struct arena_mark mark = arena_mark(&x->arena);
    bool ok = tree_read(&x->arena, bytes, &tree) || say_changed(x);
    for (uint32_t i = 0; ok && i < tree.count; i++) {
        ok = add_below(x, fd, &tree.entries[i]);
    }
    arena_reset(&x->arena, mark);
    return ok;
}

/* ---- the root ---- */

/* First pass: what it is. A small file needs no second one: bytes holds it. */
static bool look(struct storing *x, int fd, bool small, struct ref *ref)
{
    if (small) {
        size_t got;
        if (!read_at(fd, x->bytes, LIST_FILE_MIN, 0, &got)) {
            return say_failed(x, "read");
        }
        *ref = (struct ref){REF_BLOB, got, digest_of(x->bytes, got)};
        return got < LIST_FILE_MIN || say_changed(x);
    }
    struct diags trouble;
    struct object_seen seen;
    diags_init(&trouble, &x->arena);
    bool ok = object_scan_fd(fd, x->path, &x->set, &seen, &trouble);
    pass_as_warnings(&trouble, x->notes);
    if (!ok) {
        x->answer = STORE_FAILED;
        return false;
    }
    *ref = seen.ref;
    return !seen.changed || say_changed(x);
}

static bool add_root(struct storing *x, int fd, int clone, const struct ref *ref)
{
    struct pack_run at;
    x->s->writer.encoder.raw_run = 0;
    switch (ref->kind) {
    case REF_TREE: return add_tree(x, fd, ref);
    case REF_LIST: return add_large(x, fd, clone, ref);
    default:
        return add_known(x, ref, &at)
               || add_object(x, ref, (struct str){(const char *)x->bytes, (size_t)ref->size});
    }
}

static bool find_place(struct storing *x, const struct ref *ref, struct pack_place *out)
{
    const struct store_finder *f = &x->s->finder;
    return f->find && f->find(f->context, ref, x->runs.arena, out);
}

/* Whether one pass over the file does: it is kept plain if it is what is expected. */
static bool is_copied(struct storing *x, int fd, const struct ref *expect)
{
    struct pack_run at;
    return expect->kind == REF_LIST && !known_find(&x->s->known, expect, &at)
           && is_plain(x, fd, expect);
}

static bool store_open(struct storing *x, int fd, const struct ref *expect, struct pack_place *out)
{
    struct stat st;
    struct ref ref;
    if (fstat(fd, &st) != 0) {
        return say_failed(x, "read");
    }
    bool small = S_ISREG(st.st_mode) && st.st_size < LIST_FILE_MIN;
    int clone = S_ISREG(st.st_mode) && !small ? clone_of(x->s, fd) : -1;
    if (clone < 0 && expect && expect->size == (uint64_t)st.st_size && is_copied(x, fd, expect)) {
        bool copied = add_copy(x, fd, expect);
        *out = (struct pack_place){*expect, x->runs.at, x->runs.n};
        return copied;
    }
    bool ok = look(x, clone >= 0 ? clone : fd, small, &ref);
    ok = ok && (!expect || ref_eq(&ref, expect) || say_changed(x));
    if (ok && (expect || !find_place(x, &ref, out))) {
        ok = add_root(x, fd, clone, &ref);
        *out = (struct pack_place){ref, x->runs.at, x->runs.n};
    }
    if (clone >= 0) {
        close(clone);
    }
    return ok;
}

static void storing_init(struct storing *x, struct store *s, struct arena *a)
{
    s->bytes = s->bytes ? s->bytes : mem_alloc(LIST_FILE_MIN);
    *x = (struct storing){.s = s, .runs = {.arena = a}, .bytes = s->bytes};
    table_init(&x->seen, &x->seen_arena);
    object_set_init(&x->set, &x->arena);
}

enum store_answer store_path(struct store *s, const struct store_source *from, struct arena *a,
                             struct pack_place *out, struct diags *notes)
{
    struct storing x;
    storing_init(&x, s, a);
    x.path = from->path;
    x.notes = notes;
    x.changes = from->older != NULL;
    if (!from->expect || !find_place(&x, from->expect, out)) {
        if (from->older) {
            store_learn(s, from->older);
        }
        const char *path = str_c(&x.arena, from->path);
        int fd = openat(from->dir, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0) {
            store_open(&x, fd, from->expect, out);
            close(fd);
        } else {
            say_unopened(&x);
        }
    }
    arena_free(&x.seen_arena);
    arena_free(&x.arena);
    return x.answer;
}

bool store_seal(struct store *s, struct diags *notes)
{
    struct pack_id id = s->writer.id;
    bool ok = pack_seal(&s->writer, notes);
    if (!ok) {
        known_forget_pack(&s->known, &id);
    }
    return ok;
}

uint64_t store_waiting(const struct store *s, int64_t *since_boot_ns)
{
    *since_boot_ns = s->writer.oldest_boot_ns;
    return s->writer.body.n;
}

bool store_is_lost(const struct store *s, const struct pack_place *place)
{
    for (uint32_t i = 0; i < place->run_count; i++) {
        if (known_is_gone(&s->known, &place->runs[i].pack)) {
            return true;
        }
    }
    return false;
}

/* ---- what is known ---- */

static uint64_t pack_size(const struct store *s, const struct pack_id *id)
{
    char key[PACK_KEY];
    struct stat st;
    pack_key(id, false, key);
    return s->folder >= 0 && fstatat(s->folder, key, &st, AT_SYMLINK_NOFOLLOW) == 0
               ? (uint64_t)st.st_size
               : 0;
}

static void learn_footer(struct store *s, const struct pack_id *id,
                         const struct pack_footer *footer)
{
    for (uint32_t i = 0; i < footer->count; i++) {
        const struct pack_entry *e = &footer->at[i];
        struct ref ref = {e->kind, e->raw, e->digest};
        struct pack_run at = {*id, e->offset, pack_entry_length(e), 1};
        known_add(&s->known, &ref, &at);
    }
}

void store_learn_pack(struct store *s, const struct pack_id *id, uint64_t size)
{
    struct arena a = {0};
    struct pack_footer footer;
    if (known_learn(&s->known, id)
        && pack_read_footer(s->depot, id, size, &a, &footer) == PACK_DONE) {
        learn_footer(s, id, &footer);
    }
    arena_free(&a);
}

/* How far the place's runs go in the pack. */
static uint64_t runs_end(const struct pack_place *place, const struct pack_id *id)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < place->run_count; i++) {
        const struct pack_run *run = &place->runs[i];
        if (run->count && pack_id_eq(&run->pack, id) && run->offset + run->length > end) {
            end = run->offset + run->length;
        }
    }
    return end;
}

static void learn_of_place(struct store *s, const struct pack_place *place,
                           const struct pack_id *id)
{
    struct arena a = {0};
    struct pack_footer footer;
    uint64_t size = pack_size(s, id);
    enum pack_answer answer =
        size ? pack_read_footer(s->depot, id, size, &a, &footer)
             : pack_read_footer_behind(s->depot, id, runs_end(place, id), &a, &footer);
    if (answer == PACK_DONE) {
        learn_footer(s, id, &footer);
    }
    arena_free(&a);
}

void store_learn(struct store *s, const struct pack_place *place)
{
    for (uint32_t i = 0; i < place->run_count; i++) {
        const struct pack_run *run = &place->runs[i];
        if (run->count) {
            if (known_learn(&s->known, &run->pack)) {
                learn_of_place(s, place, &run->pack);
            }
        } else if (place->root.kind == REF_LIST && place->run_count == 1) {
            known_add(&s->known, &place->root, run);
        }
    }
}

void store_forget(struct store *s, const struct pack_id *pack)
{
    known_forget_pack(&s->known, pack);
}
