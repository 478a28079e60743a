/* SPDX-License-Identifier: MIT */
/* One job at a time, on a thread of its own, with its own handle of the place. remote/<id>/sent: 32 bytes for each pack
 * that came through, appended by the thread that put it; a torn end is passed over. */
#include "cache/far_send.h"

#include "core/base/file.h"
#include "core/base/workers.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { SENT_BYTES = 32, SENT_LIMIT = 1 << 20 };

struct far_send {
    struct depot depot;
    int folder;
    struct workers *workers; /* one thread */
    struct depot *there;     /* the job's while it is under way, as are the next ones */
    struct work work;
    struct buf body;
    struct pack_id id;
    enum depot_answer answer;
    struct depot_reply reply;
};

/* ---- what came through ---- */

static int open_folder(const struct far_place *p)
{
    struct arena a = {0};
    struct str path = path_join(&a, far_place_options(p)->near_dir, far_place_folder(p));
    int fd = open(str_c(&a, path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    arena_free(&a);
    return fd;
}

static void note_sent(const struct far_send *s, const struct far_sent *sent)
{
    struct buf b;
    buf_init(&b, SENT_BYTES);
    buf_put(&b, sent->id.b, sizeof sent->id.b);
    buf_put_u64(&b, sent->bytes);
    buf_put_u64(&b, (uint64_t)sent->at_ms);
    int fd = openat(s->folder, "sent", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd >= 0) {
        (void)!file_write_all(fd, b.s, b.n); /* losing it costs an upload */
        close(fd);
    }
    buf_free(&b);
}

uint32_t far_sent_read(const struct far_place *p, struct arena *a, struct far_sent **out)
{
    struct str text = STR("");
    int folder = open_folder(p);
    if (folder >= 0) {
        (void)!file_read_quiet(a, folder, STR("sent"), SENT_LIMIT, &text);
        close(folder);
    }
    uint32_t count = (uint32_t)(text.n / SENT_BYTES);
    struct rd rd = rd_from(text.s, text.n);
    *out = ARENA_ARRAY(a, struct far_sent, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        memcpy((*out)[i].id.b, rd_bytes(&rd, sizeof(*out)[i].id.b), sizeof(*out)[i].id.b);
        (*out)[i].bytes = rd_u64(&rd);
        (*out)[i].at_ms = (int64_t)rd_u64(&rd);
    }
    return count;
}

void far_sent_forget(const struct far_place *p)
{
    int folder = open_folder(p);
    if (folder >= 0) {
        (void)unlinkat(folder, "sent", 0);
        close(folder);
    }
}

/* ---- sending ---- */

static void send_run(struct work *work)
{
    struct far_send *s = (struct far_send *)((char *)work - offsetof(struct far_send, work));
    char key[PACK_KEY];
    struct str bytes = buf_str(&s->body);
    struct depot_source source = DEPOT_PARTS(&bytes, 1);
    int64_t began_ns = time_boot_ns();
    s->answer = depot_put(s->there, pack_key(&s->id, false, key), &source, false, &s->reply);
    if (s->answer == DEPOT_DONE && s->reply.now_ms > 0) {
        int64_t took_ms = (time_boot_ns() - began_ns) / 1000000;
        note_sent(s, &(struct far_sent){s->id, bytes.n, s->reply.now_ms - took_ms});
    }
}

static void send_done(struct work *work)
{
    (void)work;
}

static void wait_for_it(struct far_send *s)
{
    while (workers_pending(s->workers) > 0) {
        workers_wait(s->workers);
    }
}

static enum depot_answer send_put(struct depot *d, struct str key,
                                  const struct depot_source *source, bool if_absent,
                                  struct depot_reply *reply)
{
    struct far_send *s = (struct far_send *)d;
    bool plain;
    wait_for_it(s);
    *reply = s->reply;
    if (s->answer != DEPOT_DONE) {
        return s->answer; /* it would be in vain */
    }
    if (if_absent || source->fd >= 0 || !pack_key_parse(key, &s->id, &plain) || plain) {
        return DEPOT_REFUSED; /* no pack */
    }
    buf_clear(&s->body);
    for (uint32_t i = 0; i < source->part_count; i++) {
        buf_put_str(&s->body, source->parts[i]);
    }
    s->work = (struct work){.run = send_run, .done = send_done};
    workers_submit(s->workers, &s->work);
    return DEPOT_DONE;
}

enum depot_answer far_send_wait(struct far_send *s, struct depot_reply *reply)
{
    wait_for_it(s);
    enum depot_answer answer = s->answer;
    *reply = s->reply;
    s->answer = DEPOT_DONE;
    s->reply = (struct depot_reply){0};
    buf_free(&s->body);
    buf_init(&s->body, PACK_LIMIT);
    return answer;
}

/* ---- open and close ---- */

static void send_close(struct depot *d)
{
    far_send_close((struct far_send *)d);
}

struct far_send *far_send_open(struct far_place *p)
{
    static const struct depot_functions functions = {.put = send_put, .close = send_close};
    struct arena a = {0};
    struct diags unheard; /* the place tells */
    diags_init(&unheard, &a);
    struct far_send *s = mem_alloc(sizeof *s);
    s->depot.f = &functions;
    s->answer = DEPOT_DONE;
    buf_init(&s->body, PACK_LIMIT);
    s->folder = open_folder(p);
    s->workers = s->folder >= 0 ? workers_open(1) : NULL;
    s->there = s->workers ? far_depot_open(p, -1, &unheard) : NULL;
    arena_free(&a);
    if (!s->there) {
        far_send_close(s);
        return NULL;
    }
    return s;
}

void far_send_close(struct far_send *s)
{
    if (!s) {
        return;
    }
    if (s->workers) {
        wait_for_it(s);
        workers_close(s->workers);
    }
    depot_close(s->there);
    buf_free(&s->body);
    if (s->folder >= 0) {
        close(s->folder);
    }
    mem_free(s);
}

struct depot *far_send_depot(struct far_send *s)
{
    return &s->depot;
}
