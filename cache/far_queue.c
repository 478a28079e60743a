/* SPDX-License-Identifier: MIT */
/* What outlives a build, beside the copies in remote/<id>/: items of one size, one behind the other, in a file for
 * each kind. Whoever changes it holds its lock; a torn end is passed over, and cut off before more follows. Losing `wanted` costs an upload, which
 * `pawl cache push` makes up for; losing the others costs less. */
#include "cache/far_inside.h"
#include "core/base/file.h"

#include <assert.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { QUEUE_LIMIT = 64 << 20, HINT_LIMIT = 1 << 20, DIGEST = 32, USE = 12 };

struct kind {
    const char *name, *lock;
    size_t item, limit; /* bytes; what is only a hint is left out beyond the limit */
};
static const struct kind wanted = {"wanted", "wanted.lock", DIGEST, QUEUE_LIMIT};
static const struct kind used = {"used", "used.lock", USE, HINT_LIMIT};
static const struct kind lost = {"lost", "lost.lock", PACK_KEY - 1, HINT_LIMIT};

struct queue {
    const struct kind *kind;
    int folder;
    struct file_lock lock;
};

static bool queue_open(struct queue *q, const struct far_place *p, const struct kind *kind)
{
    struct arena a = {0};
    int holder;
    struct str folder = path_join(&a, far_place_options(p)->near_dir, far_place_folder(p));
    *q = (struct queue){.kind = kind, .folder = -1, .lock = {-1}};
    if (file_make_dirs(FILE_CWD, folder, 0700)) {
        q->folder = open(str_c(&a, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    bool ok = q->folder >= 0
              && file_lock_open(&q->lock, q->folder, str_from(kind->lock), true, &holder)
                     == FILE_LOCK_HELD;
    arena_free(&a);
    return ok;
}

static void queue_close(struct queue *q)
{
    if (q->lock.fd >= 0) {
        file_lock_close(&q->lock);
    }
    if (q->folder >= 0) {
        close(q->folder);
    }
}

/* Whole items, in the arena. */
static struct str read_all(int folder, const struct kind *kind, struct arena *a)
{
    struct str text = STR("");
    (void)!file_read_quiet(a, folder, str_from(kind->name), QUEUE_LIMIT, &text);
    return str_sub(text, 0, text.n - text.n % kind->item);
}

static bool add(const struct far_place *p, const struct kind *kind, struct str items)
{
    struct queue q;
    bool ok = queue_open(&q, p, kind);
    int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
    int fd = ok ? openat(q.folder, kind->name, flags, 0600) : -1;
    if (fd >= 0) {
        off_t size = lseek(fd, 0, SEEK_END);
        off_t torn = size > 0 ? size % (off_t)kind->item : 0;
        ok = size >= 0 && (size_t)size + items.n <= kind->limit
             && (torn == 0 || ftruncate(fd, size - torn) == 0)
             && file_write_all(fd, items.s, items.n);
        close(fd);
    }
    queue_close(&q);
    return ok && fd >= 0;
}

static void table_of(struct table *t, struct arena *a, struct str items, size_t item)
{
    table_init(t, a);
    for (size_t i = 0; i < items.n; i += item) {
        table_add(t, str_sub(items, i, item), NULL);
    }
}

static bool drop(const struct far_place *p, const struct kind *kind, struct str items)
{
    struct queue q;
    struct arena a = {0};
    struct table gone;
    bool ok = queue_open(&q, p, kind);
    table_of(&gone, &a, items, kind->item);
    struct str all = ok ? read_all(q.folder, kind, &a) : STR("");
    struct buf left;
    buf_init(&left, QUEUE_LIMIT);
    for (size_t i = 0; i < all.n; i += kind->item) {
        struct str one = str_sub(all, i, kind->item);
        if (table_find(&gone, one) == TABLE_NONE) {
            buf_put_str(&left, one);
        }
    }
    ok = ok && file_write(q.folder, str_from(kind->name), buf_str(&left), 0600, false);
    buf_free(&left);
    queue_close(&q);
    arena_free(&a);
    return ok;
}

/* Each once; in the arena. */
static void read_table(const struct far_place *p, const struct kind *kind, struct arena *a,
                       struct table *out)
{
    struct queue q;
    struct arena scratch = {0};
    struct str all = queue_open(&q, p, kind) ? read_all(q.folder, kind, &scratch) : STR("");
    queue_close(&q);
    table_of(out, a, all, kind->item);
    arena_free(&scratch);
}

/* ---- results to be pushed ---- */

static struct str digests(const struct digest *at, uint32_t count)
{
    return (struct str){(const char *)at, (size_t)count * DIGEST};
}
static_assert(sizeof(struct digest) == DIGEST, "they lie one behind the other");

bool far_queue_add(const struct far_place *p, const struct digest *fingerprints, uint32_t count)
{
    return add(p, &wanted, digests(fingerprints, count));
}

bool far_queue_drop(const struct far_place *p, const struct digest *fingerprints, uint32_t count)
{
    return drop(p, &wanted, digests(fingerprints, count));
}

uint32_t far_queue_read(const struct far_place *p, struct arena *a, struct digest **out)
{
    struct table all;
    read_table(p, &wanted, a, &all);
    *out = ARENA_ARRAY(a, struct digest, all.count + 1);
    for (uint32_t i = 0; i < all.count; i++) {
        memcpy((*out)[i].b, all.keys[i].s, DIGEST);
    }
    return all.count;
}

/* ---- results that were of use ---- */

static void put_uses(struct buf *b, const struct segment_use *uses, uint32_t count)
{
    buf_init(b, HINT_LIMIT);
    for (uint32_t i = 0; i < count; i++) {
        buf_put(b, uses[i].prefix, sizeof uses[i].prefix);
        buf_put_u32(b, uses[i].day);
    }
}

bool far_used_add(const struct far_place *p, const struct digest *fingerprints, uint32_t count,
                  uint32_t day)
{
    struct segment_use *uses = mem_alloc((count + 1) * sizeof *uses);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(uses[i].prefix, fingerprints[i].b, sizeof uses[i].prefix);
        uses[i].day = day;
    }
    struct buf b;
    put_uses(&b, uses, count);
    bool ok = !b.full && add(p, &used, buf_str(&b));
    buf_free(&b);
    mem_free(uses);
    return ok;
}

bool far_used_drop(const struct far_place *p, const struct segment_use *uses, uint32_t count)
{
    struct buf b;
    put_uses(&b, uses, count);
    bool ok = drop(p, &used, buf_str(&b));
    buf_free(&b);
    return ok;
}

uint32_t far_used_read(const struct far_place *p, struct arena *a, struct segment_use **out)
{
    struct table all;
    read_table(p, &used, a, &all);
    *out = ARENA_ARRAY(a, struct segment_use, all.count + 1);
    for (uint32_t i = 0; i < all.count; i++) {
        struct rd in = rd_from(all.keys[i].s, all.keys[i].n);
        struct segment_use *u = &(*out)[i];
        memcpy(u->prefix, rd_bytes(&in, sizeof u->prefix), sizeof u->prefix);
        u->day = rd_u32(&in);
    }
    return all.count;
}

/* ---- packs that are gone ---- */

void far_lost_keep(const struct far_place *p, const struct str *keys, uint32_t count)
{
    struct buf b;
    buf_init(&b, HINT_LIMIT);
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(&b, keys[i]);
    }
    (void)(b.n > 0 && !b.full && add(p, &lost, buf_str(&b)));
    buf_free(&b);
}

/* Without its lock, which who only asks must not make: it grows, and nothing else. */
void far_lost_read(struct far_place *p)
{
    struct arena a = {0};
    struct str folder = path_join(&a, far_place_options(p)->near_dir, far_place_folder(p));
    int fd = open(str_c(&a, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct str all = fd >= 0 ? read_all(fd, &lost, &a) : STR("");
    for (size_t i = 0; i < all.n; i += lost.item) {
        far_place_lose(p, str_sub(all, i, lost.item));
    }
    if (fd >= 0) {
        close(fd);
    }
    arena_free(&a);
}
