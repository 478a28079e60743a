/* SPDX-License-Identifier: MIT */
/* A few packs at once, each in a file without a name, on a thread of its own, with its own handle of the place.
 * remote/<id>/sent: 32 bytes for each pack that came through, appended by the thread that put it; a torn end is passed
 * over, and cut off before more follows. */
#include "cache/far_send.h"

#include "core/base/file.h"
#include "core/base/workers.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { SENT_BYTES = 32, SENT_LIMIT = 1 << 20, PARCELS = 3 };

/* A pack on its way, its job's while it is. */
struct parcel {
    struct work work; /* first */
    struct far_send *send;
    struct depot *there;
    int fd; /* holds its bytes */
    uint64_t bytes;
    struct pack_id id;
    bool under_way; /* the owner's, like send->answer */
    enum depot_answer answer;
    struct depot_reply reply;
};

struct far_send {
    struct depot depot;
    int folder;
    struct workers *workers; /* as many as parcels */
    struct parcel parcels[PARCELS];
    enum depot_answer answer; /* the first that is not DONE */
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

static void append_sent(int fd, struct str one)
{
    off_t size = lseek(fd, 0, SEEK_END);
    off_t torn = size > 0 ? size % SENT_BYTES : 0;
    if (size >= 0 && (torn == 0 || ftruncate(fd, size - torn) == 0)) {
        (void)!file_write_all(fd, one.s, one.n); /* losing it costs an upload */
    }
}

static void note_sent(const struct far_send *s, const struct far_sent *sent)
{
    struct buf b;
    struct file_lock lock;
    int holder;
    buf_init(&b, SENT_BYTES);
    buf_put(&b, sent->id.b, sizeof sent->id.b);
    buf_put_u64(&b, sent->bytes);
    buf_put_u64(&b, (uint64_t)sent->at_ms);
    if (file_lock_open(&lock, s->folder, STR("sent.lock"), true, &holder) == FILE_LOCK_HELD) {
        int fd = openat(s->folder, "sent", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd >= 0) {
            append_sent(fd, buf_str(&b));
            close(fd);
        }
        file_lock_close(&lock);
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

static void put_pack(struct parcel *p, const struct depot_source *source, uint64_t bytes)
{
    char key[PACK_KEY];
    int64_t began_ns = time_boot_ns();
    p->answer = depot_put(p->there, pack_key(&p->id, false, key), source, false, &p->reply);
    if (p->answer == DEPOT_DONE && p->reply.now_ms > 0) {
        int64_t took_ms = (time_boot_ns() - began_ns) / 1000000;
        note_sent(p->send, &(struct far_sent){p->id, bytes, p->reply.now_ms - took_ms});
    }
}

static void parcel_run(struct work *work)
{
    struct parcel *p = (struct parcel *)work;
    struct depot_source source = {.fd = p->fd, .fd_bytes = p->bytes};
    put_pack(p, &source, p->bytes);
}

static void parcel_ended(struct parcel *p)
{
    p->under_way = false;
    if (p->send->answer == DEPOT_DONE) {
        p->send->answer = p->answer;
        p->send->reply = p->reply;
    }
}

static void parcel_done(struct work *work)
{
    parcel_ended((struct parcel *)work);
}

static void wait_for_all(struct far_send *s)
{
    while (workers_pending(s->workers) > 0) {
        workers_wait(s->workers);
    }
}

static struct parcel *free_parcel(struct far_send *s)
{
    for (;;) {
        for (int i = 0; i < PARCELS; i++) {
            if (!s->parcels[i].under_way) {
                return &s->parcels[i];
            }
        }
        workers_wait(s->workers);
    }
}

/* What it held before is written over: its room on the disk stays the same. */
static bool fill_parcel(struct parcel *p, const struct depot_source *source)
{
    p->bytes = 0;
    bool ok = p->fd >= 0 && lseek(p->fd, 0, SEEK_SET) == 0;
    for (uint32_t i = 0; i < source->part_count; i++) {
        ok = ok && file_write_all(p->fd, source->parts[i].s, source->parts[i].n);
        p->bytes += source->parts[i].n;
    }
    return ok;
}

static enum depot_answer send_put(struct depot *d, struct str key,
                                  const struct depot_source *source, bool if_absent,
                                  struct depot_reply *reply)
{
    struct far_send *s = (struct far_send *)d;
    bool plain;
    struct parcel *p = free_parcel(s);
    *reply = s->reply;
    if (s->answer != DEPOT_DONE) {
        return s->answer; /* it would be in vain */
    }
    if (if_absent || source->fd >= 0 || !pack_key_parse(key, &p->id, &plain) || plain) {
        return DEPOT_REFUSED; /* no pack */
    }
    if (!fill_parcel(p, source)) { /* no room here: then without a file, and not beside others */
        put_pack(p, source, p->bytes);
        parcel_ended(p);
        *reply = s->reply;
        return s->answer;
    }
    p->under_way = true;
    p->work = (struct work){.run = parcel_run, .done = parcel_done};
    workers_submit(s->workers, &p->work);
    return DEPOT_DONE;
}

enum depot_answer far_send_wait(struct far_send *s, struct depot_reply *reply)
{
    wait_for_all(s);
    enum depot_answer answer = s->answer;
    *reply = s->reply;
    s->answer = DEPOT_DONE;
    s->reply = (struct depot_reply){0};
    return answer;
}

/* ---- open and close ---- */

static void send_close(struct depot *d)
{
    far_send_close((struct far_send *)d);
}

static bool open_parcels(struct far_send *s, struct far_place *p)
{
    struct arena a = {0};
    struct diags unheard; /* the place tells */
    bool ok = true;
    diags_init(&unheard, &a);
    for (int i = 0; i < PARCELS && ok; i++) {
        struct depot *there = far_depot_open(p, -1, &unheard);
        int fd = file_open_nameless(s->folder);
        s->parcels[i] = (struct parcel){.send = s, .there = there, .fd = fd};
        ok = there != NULL;
    }
    arena_free(&a);
    return ok;
}

struct far_send *far_send_open(struct far_place *p)
{
    static const struct depot_functions functions = {.put = send_put, .close = send_close};
    struct far_send *s = mem_alloc(sizeof *s);
    s->depot.f = &functions;
    s->answer = DEPOT_DONE;
    for (int i = 0; i < PARCELS; i++) {
        s->parcels[i].fd = -1;
    }
    s->folder = open_folder(p);
    s->workers = s->folder >= 0 ? workers_open(PARCELS) : NULL;
    if (!s->workers || !open_parcels(s, p)) {
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
        wait_for_all(s);
        workers_close(s->workers);
    }
    for (int i = 0; i < PARCELS; i++) {
        depot_close(s->parcels[i].there);
        if (s->parcels[i].fd >= 0) {
            close(s->parcels[i].fd);
        }
    }
    if (s->folder >= 0) {
        close(s->folder);
    }
    mem_free(s);
}

struct depot *far_send_depot(struct far_send *s)
{
    return &s->depot;
}
