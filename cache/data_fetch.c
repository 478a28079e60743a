/* SPDX-License-Identifier: MIT */
/* Objects into files. Each answer names the ETag of what its bytes are from: an answer of another version than the
 * one that is wanted ends it all. A large file is filled window by window, each on disk before the next begins. */
#include "cache/data_inside.h"
#include "core/base/file.h"
#include "core/base/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { AT_ONCE = 24, PART_COUNT = DATA_WINDOW / DATA_PART };

/* One range under way. */
struct piece {
    struct data_file *file;
    uint32_t part; /* of the file's window */
    uint64_t at;   /* where the next byte goes */
    int fd;
    uint32_t came;
    int error;
    bool *stopped;
    const struct workers *until;
};

struct transfer {
    struct data_bucket *bucket;
    int folder;
    struct data_file *files;
    uint32_t count, first; /* first: all before it are whole */
    const struct workers *until;
    struct arena *arena;
    struct str *trouble;
    bool stopped;
};

static uint64_t least(uint64_t x, uint64_t y)
{
    return x < y ? x : y;
}

/* Bytes of the file's present window, and of one part of it. */
static uint64_t window_bytes(const struct data_file *f)
{
    return least(f->object->size - f->have, DATA_WINDOW);
}

static uint64_t part_bytes(const struct data_file *f, uint32_t part)
{
    uint64_t window = window_bytes(f), from = (uint64_t)part * DATA_PART;
    return from < window ? least(window - from, DATA_PART) : 0;
}

static bool is_whole(const struct data_file *f)
{
    return f->have == f->object->size;
}

static bool take(void *context, const void *bytes, size_t n)
{
    struct piece *p = context;
    *p->stopped = *p->stopped || workers_is_cancelled(p->until);
    while (n > 0 && !*p->stopped) {
        ssize_t done = pwrite(p->fd, bytes, n, (off_t)p->at);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            p->error = done < 0 ? errno : EIO;
            return false;
        }
        bytes = (const char *)bytes + done;
        n -= (size_t)done;
        p->at += (uint64_t)done;
        p->came += (uint32_t)done;
    }
    return !*p->stopped;
}

/* ---- one round: as many ranges as go side by side ---- */

struct round {
    struct piece pieces[AT_ONCE];
    struct s3_want wants[AT_ONCE];
    uint32_t count;
};

static int open_file(const struct transfer *t, const struct data_file *f)
{
    struct arena scratch = {0};
    int fd = openat(t->folder, str_c(&scratch, f->path),
                    O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    int error = errno;
    arena_free(&scratch);
    errno = error;
    return fd;
}

/* false with errno. */
static bool add_pieces(struct transfer *t, struct data_file *f, struct round *r)
{
    for (uint32_t i = 0; i < PART_COUNT && r->count < AT_ONCE; i++) {
        uint64_t bytes = part_bytes(f, i);
        if (f->parts[i] >= bytes) {
            continue;
        }
        int fd = open_file(t, f);
        if (fd < 0) {
            return false;
        }
        struct piece *p = &r->pieces[r->count];
        uint64_t at = f->have + (uint64_t)i * DATA_PART + f->parts[i];
        *p = (struct piece){
            .file = f, .part = i, .at = at, .fd = fd, .stopped = &t->stopped, .until = t->until};
        r->wants[r->count++] = (struct s3_want){
            .key = f->object->key, .range = {at, bytes - f->parts[i]}, .sink = {take, p}};
    }
    return true;
}

/* An object without bytes is a file and nothing else. */
static bool make_empty(struct transfer *t, struct data_file *f)
{
    int fd = open_file(t, f);
    return fd >= 0 && close(fd) == 0;
}

static bool fill_round(struct transfer *t, struct round *r)
{
    r->count = 0;
    bool ok = true;
    while (ok && t->first < t->count && is_whole(&t->files[t->first])) {
        ok = t->files[t->first].object->size > 0 || make_empty(t, &t->files[t->first]);
        t->first++;
    }
    for (uint32_t i = t->first; i < t->count && ok && r->count < AT_ONCE; i++) {
        if (!is_whole(&t->files[i])) {
            ok = add_pieces(t, &t->files[i], r);
        }
    }
    return ok;
}

static bool is_other_version(const struct transfer *t, const struct data_file *f,
                             const struct s3_reply *reply)
{
    bool shorter = reply->status == 416; /* no range of what was listed is beyond its end */
    if (reply->end == S3_ABSENT || reply->end == S3_NO_BUCKET || shorter) {
        return true;
    }
    struct str etag = data_etag(t->arena, str_from(reply->etag));
    return etag.n > 0
           && (!str_eq(etag, f->object->etag)
               || (reply->end == S3_DONE && reply->size && reply->size != f->object->size));
}

static enum data_end say(struct transfer *t, enum data_end end, const char *words)
{
    *t->trouble = str_copy(t->arena, str_from(words));
    return end;
}

/* What came of one range; *came grows by its bytes. */
static enum data_end settle_piece(struct transfer *t, struct piece *p, const struct s3_reply *reply,
                                  uint64_t *came)
{
    if (p->error) {
        return say(t, DATA_DISK, diag_reason(p->error));
    }
    if (is_other_version(t, p->file, reply)) {
        return say(t, DATA_CHANGED, "another version lies there now");
    }
    if (t->stopped) {
        return DATA_STOPPED;
    }
    if (p->came > 0 && reply->etag[0] == 0) { /* too long: they may be of any version */
        return say(t, DATA_FAILED, "the server tells an ETag that is too long");
    }
    p->file->parts[p->part] += p->came;
    *came += p->came;
    if (reply->end != S3_DONE && reply->end != S3_LATER) {
        return say(t, DATA_FAILED, reply->trouble);
    }
    if (reply->end == S3_LATER) {
        (void)say(t, DATA_FAILED, reply->trouble);
    }
    return DATA_WHOLE;
}

/* Windows that are full are put on disk where another follows, for that one to begin. false with errno. */
static bool close_window(struct data_file *f, int fd)
{
    uint64_t bytes = window_bytes(f), got = 0;
    for (uint32_t i = 0; i < PART_COUNT; i++) {
        got += f->parts[i];
    }
    if (bytes == 0 || got < bytes) {
        return true;
    }
    if (f->have + bytes < f->object->size && fdatasync(fd) != 0) {
        return false;
    }
    f->have += bytes;
    memset(f->parts, 0, sizeof f->parts);
    return true;
}

static enum data_end run_round(struct transfer *t, struct round *r)
{
    uint64_t came = 0;
    enum data_end end = DATA_WHOLE;
    (void)s3_get_all(t->bucket->fetch, r->wants, r->count);
    for (uint32_t i = 0; i < r->count; i++) {
        enum data_end one = settle_piece(t, &r->pieces[i], &r->wants[i].reply, &came);
        end = end == DATA_WHOLE ? one : end;
    }
    for (uint32_t i = 0; i < r->count && end == DATA_WHOLE; i++) {
        if (!close_window(r->pieces[i].file, r->pieces[i].fd)) {
            end = say(t, DATA_DISK, diag_reason(errno));
        }
    }
    if (end == DATA_WHOLE && came == 0) {
        end = t->trouble->n ? DATA_FAILED : say(t, DATA_FAILED, "the server gives no bytes");
    }
    return end;
}

static void close_round(struct round *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        close(r->pieces[i].fd);
    }
    r->count = 0;
}

enum data_end data_fetch(struct data_bucket *b, int folder, struct data_file *files, uint32_t count,
                         const struct workers *until, struct arena *a, struct str *trouble)
{
    struct transfer t = {.bucket = b,
                         .folder = folder,
                         .files = files,
                         .count = count,
                         .until = until,
                         .arena = a,
                         .trouble = trouble};
    struct round *r = mem_alloc(sizeof *r);
    enum data_end end = DATA_WHOLE;
    *trouble = STR("");
    while (end == DATA_WHOLE) {
        if (!fill_round(&t, r)) {
            end = say(&t, DATA_DISK, diag_reason(errno));
        } else if (r->count == 0) {
            break;
        } else {
            end = run_round(&t, r);
        }
        close_round(r);
        if (end == DATA_WHOLE && workers_is_cancelled(until)) {
            end = DATA_STOPPED;
        }
    }
    mem_free(r);
    return end;
}
