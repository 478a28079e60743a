/* SPDX-License-Identifier: MIT */
/* remote/<id>/wanted: fingerprints, 32 bytes each, one behind the other. Whoever changes it holds its lock; a torn end
 * is passed over. Losing it costs an upload, which `pawl cache push` makes up for. */
#include "cache/far.h"
#include "core/base/file.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { QUEUE_LIMIT = 64 << 20, DIGEST = 32 };

struct queue {
    int folder;
    struct file_lock lock;
};

static bool queue_open(struct queue *q, const struct far_place *p)
{
    struct arena a = {0};
    int holder;
    struct str folder = path_join(&a, far_place_options(p)->near_dir, far_place_folder(p));
    *q = (struct queue){.folder = -1, .lock = {-1}};
    if (file_make_dirs(FILE_CWD, folder, 0700)) {
        q->folder = open(str_c(&a, folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    bool ok =
        q->folder >= 0
        && file_lock_open(&q->lock, q->folder, STR("wanted.lock"), true, &holder) == FILE_LOCK_HELD;
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

static uint32_t read_all(const struct queue *q, struct arena *a, struct digest **out)
{
    struct str text = STR("");
    (void)!file_read_quiet(a, q->folder, STR("wanted"), QUEUE_LIMIT, &text);
    uint32_t count = (uint32_t)(text.n / DIGEST);
    *out = ARENA_ARRAY(a, struct digest, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        memcpy((*out)[i].b, text.s + (size_t)i * DIGEST, DIGEST);
    }
    return count;
}

bool far_queue_add(const struct far_place *p, const struct digest *fingerprints, uint32_t count)
{
    struct queue q;
    bool ok = queue_open(&q, p);
    int fd = ok ? openat(q.folder, "wanted", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    ok = fd >= 0;
    for (uint32_t i = 0; i < count && ok; i++) {
        ok = file_write_all(fd, fingerprints[i].b, DIGEST);
    }
    if (fd >= 0) {
        close(fd);
    }
    queue_close(&q);
    return ok;
}

static bool is_in(struct table *t, const struct digest *d)
{
    return table_find(t, (struct str){(const char *)d->b, DIGEST}) != TABLE_NONE;
}

bool far_queue_drop(const struct far_place *p, const struct digest *fingerprints, uint32_t count)
{
    struct queue q;
    struct arena a = {0};
    struct digest *all;
    struct table gone;
    bool ok = queue_open(&q, p);
    table_init(&gone, &a);
    for (uint32_t i = 0; i < count; i++) {
        table_add(&gone, (struct str){(const char *)fingerprints[i].b, DIGEST}, NULL);
    }
    uint32_t n = ok ? read_all(&q, &a, &all) : 0;
    struct buf left;
    buf_init(&left, QUEUE_LIMIT);
    for (uint32_t i = 0; i < n; i++) {
        if (!is_in(&gone, &all[i])) {
            buf_put(&left, all[i].b, DIGEST);
        }
    }
    ok = ok && file_write(q.folder, STR("wanted"), buf_str(&left), 0600, false);
    buf_free(&left);
    queue_close(&q);
    arena_free(&a);
    return ok;
}

uint32_t far_queue_read(const struct far_place *p, struct arena *a, struct digest **out)
{
    struct queue q;
    struct digest *all;
    struct arena scratch = {0};
    struct table seen;
    *out = NULL;
    uint32_t n = queue_open(&q, p) ? read_all(&q, &scratch, &all) : 0;
    queue_close(&q);
    table_init(&seen, &scratch);
    uint32_t count = 0;
    *out = ARENA_ARRAY(a, struct digest, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        bool is_new;
        table_add(&seen, (struct str){(const char *)all[i].b, DIGEST}, &is_new);
        if (is_new) {
            (*out)[count++] = all[i];
        }
    }
    arena_free(&scratch);
    return count;
}
