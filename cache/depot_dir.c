/* SPDX-License-Identifier: MIT */
/* A folder as a depot. Its clock is the one that stamps ctimes, which on a network file system is not this
 * machine's. Invariant: below m/, p/, b/ and l/ there are only whole files. */
#include "cache/depot_dir.h"

#include "core/base/arena.h"
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 18, LIST_DEPTH = 3, TMP_NAME = 32, KEY_LIMIT = 512 };
static const int64_t clock_good_ns = 10 * INT64_C(1000000000);

/* The folder's clock: a stamp it gave, and the moment it gave it. */
struct stamp {
    int64_t ms, boot_ns;
};

struct depot_dir {
    struct depot depot;
    int fd;
    bool writable;
    bool hasty;          /* packs are not synced */
    struct stamp opened; /* never changes after open: get reads it on any thread */
    struct stamp latest; /* the lane's */
};

static int64_t ctime_ms(const struct stat *st)
{
    return (int64_t)st->st_ctim.tv_sec * 1000 + st->st_ctim.tv_nsec / 1000000;
}

static int64_t stamp_now(const struct stamp *s)
{
    return s->ms + (time_boot_ns() - s->boot_ns) / 1000000;
}

/* ---- files being written ---- */

struct tmp_file {
    int fd;
    char name[TMP_NAME];
};

static bool make_folders(int fd)
{
    static const char *const folders[] = {"m", "p", "b", "tmp"};
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (mkdirat(fd, folders[i], 0700) != 0 && errno != EEXIST) {
            return false;
        }
    }
    return true;
}

static bool tmp_open(const struct depot_dir *d, struct tmp_file *t)
{
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        return false;
    }
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    snprintf(t->name, sizeof t->name, "tmp/%016llx", (unsigned long long)random);
    t->fd = openat(d->fd, t->name, flags, 0600);
    if (t->fd < 0 && errno == ENOENT && make_folders(d->fd)) { /* somebody emptied the place */
        t->fd = openat(d->fd, t->name, flags, 0600);
    }
    return t->fd >= 0;
}

static void tmp_drop(const struct depot_dir *d, struct tmp_file *t)
{
    close(t->fd);
    unlinkat(d->fd, t->name, 0);
}

/* Asks the folder for its time by making a file; a read-only one is taken to run with this machine. */
static void clock_ask(struct depot_dir *d)
{
    d->latest = (struct stamp){time_now_ns() / 1000000, time_boot_ns()};
    struct tmp_file t;
    struct stat st;
    if (!d->writable || !tmp_open(d, &t)) {
        return;
    }
    if (fstat(t.fd, &st) == 0) {
        d->latest.ms = ctime_ms(&st);
    }
    tmp_drop(d, &t);
}

static int64_t clock_now(struct depot_dir *d)
{
    if (time_boot_ns() - d->latest.boot_ns > clock_good_ns) {
        clock_ask(d);
    }
    return stamp_now(&d->latest);
}

/* ---- keys ---- */

/* A key as the system wants it: relative, nothing in it that leaves the folder. */
static bool key_name(struct str key, char out[static KEY_LIMIT])
{
    if (key.n == 0 || key.n >= KEY_LIMIT || key.s[0] == '/' || memchr(key.s, 0, key.n)
        || str_find(key, STR("..")) >= 0) {
        return false;
    }
    memcpy(out, key.s, key.n);
    out[key.n] = 0;
    return true;
}

static enum depot_answer answer_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ESTALE: return DEPOT_ABSENT;
    case EEXIST: return DEPOT_EXISTS;
    case ETIMEDOUT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: return DEPOT_LATER;
    default: return DEPOT_REFUSED;
    }
}

static enum depot_answer fail(struct depot_reply *reply, int error)
{
    reply->error = error;
    return answer_of(error);
}

/* ---- get ---- */

static enum depot_answer read_range(int fd, struct depot_range range, struct depot_sink sink,
                                    struct depot_reply *reply)
{
    size_t room = range.length < PIECE_BYTES ? (size_t)range.length : PIECE_BYTES;
    char *piece = mem_alloc(room ? room : 1);
    uint64_t at = range.offset;
    uint64_t left = range.length;
    enum depot_answer answer = DEPOT_DONE;
    while (left > 0 && answer == DEPOT_DONE) {
        ssize_t n = pread(fd, piece, left < room ? (size_t)left : room, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            answer = n < 0 ? fail(reply, errno) : DEPOT_DONE;
            break;
        }
        if (!sink.take(sink.context, piece, (size_t)n)) {
            answer = DEPOT_REFUSED;
        }
        at += (uint64_t)n;
        left -= (uint64_t)n;
    }
    mem_free(piece);
    return answer;
}

static enum depot_answer dir_get(struct depot *base, struct str key, struct depot_range range,
                                 struct depot_sink sink, struct depot_reply *reply)
{
    const struct depot_dir *d = (const struct depot_dir *)base;
    *reply = (struct depot_reply){.now_ms = stamp_now(&d->opened)};
    char name[KEY_LIMIT];
    if (!key_name(key, name) || range.offset > INT64_MAX) {
        return fail(reply, EINVAL);
    }
    int fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        return fail(reply, errno);
    }
    struct stat st;
    enum depot_answer answer = DEPOT_REFUSED;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        uint64_t size = (uint64_t)st.st_size;
        uint64_t rest = range.offset < size ? size - range.offset : 0;
        range.length = range.length < rest ? range.length : rest;
        answer = read_range(fd, range, sink, reply);
    }
    close(fd);
    return answer;
}

/* ---- put ---- */

static bool write_file(int to, int from, uint64_t bytes)
{
    struct stat st;
    if (fstat(from, &st) == 0 && (uint64_t)st.st_size == bytes && ioctl(to, FICLONE, from) == 0) {
        return true;
    }
    char *piece = mem_alloc(PIECE_BYTES);
    uint64_t at = 0;
    bool ok = true;
    while (at < bytes && ok) {
        size_t want = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        ssize_t n = pread(from, piece, want, (off_t)at);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n == 0) {
            errno = EIO; /* it shrank under us */
        }
        ok = n > 0 && file_write_all(to, piece, (size_t)n);
        at += n > 0 ? (uint64_t)n : 0;
    }
    mem_free(piece);
    return ok;
}

static bool write_source(int to, const struct depot_source *source)
{
    if (source->filler) {
        return source->filler->fill(source->filler->context, to);
    }
    if (source->fd >= 0) {
        return write_file(to, source->fd, source->fd_bytes);
    }
    for (uint32_t i = 0; i < source->part_count; i++) {
        if (!file_write_all(to, source->parts[i].s, source->parts[i].n)) {
            return false;
        }
    }
    return true;
}

/* Gives the written file its name. Makes the name's folder where it is missing (leases). */
static bool give_name(const struct depot_dir *d, struct tmp_file *t, const char *name,
                      bool if_absent)
{
    file_kill_point();
    for (int attempt = 0;; attempt++) {
        int rc = if_absent ? linkat(d->fd, t->name, d->fd, name, 0)
                           : renameat(d->fd, t->name, d->fd, name);
        if (rc == 0) {
            return true;
        }
        if (errno != ENOENT || attempt > 0 || !file_make_parents(d->fd, str_from(name), 0700)) {
            return false;
        }
    }
}

static bool sync_folder_of(const struct depot_dir *d, struct str key)
{
    ptrdiff_t slash = str_rfind_char(key, '/');
    return file_sync_dir(d->fd, slash < 0 ? STR(".") : str_sub(key, 0, (size_t)slash));
}

static enum depot_answer dir_put(struct depot *base, struct str key,
                                 const struct depot_source *source, bool if_absent,
                                 struct depot_reply *reply)
{
    struct depot_dir *d = (struct depot_dir *)base;
    *reply = (struct depot_reply){.now_ms = stamp_now(&d->latest)};
    char name[KEY_LIMIT];
    struct tmp_file t;
    if (!key_name(key, name)) {
        return fail(reply, EINVAL);
    }
    if (!d->writable) {
        return fail(reply, EROFS);
    }
    if (!tmp_open(d, &t)) {
        return fail(reply, errno);
    }
    struct stat st;
    bool ok = write_source(t.fd, source);
    if (ok) {
        file_kill_point();
    }
    bool sync = !d->hasty || !str_starts(key, STR("p/"));
    ok = ok && (!sync || fdatasync(t.fd) == 0) && give_name(d, &t, name, if_absent);
    int error = ok ? 0 : errno;
    if (ok && fstat(t.fd, &st) == 0) {
        d->latest = (struct stamp){ctime_ms(&st), time_boot_ns()};
        reply->now_ms = reply->stored_ms = d->latest.ms;
    }
    if (ok && !if_absent) {
        close(t.fd);
    } else {
        tmp_drop(d, &t);
    }
    if (ok && sync && !sync_folder_of(d, key)) {
        reply->error = errno;
        return DEPOT_LATER; /* it is there, but may not outlive a power cut */
    }
    if (ok) {
        return DEPOT_DONE;
    }
    enum depot_answer answer = fail(reply, error);
    return answer == DEPOT_ABSENT ? DEPOT_REFUSED : answer; /* a put finds its folder missing */
}

enum depot_answer depot_dir_adopt(struct depot *base, struct str key, int fd, uint64_t bytes,
                                  struct depot_reply *reply)
{
    struct depot_dir *d = (struct depot_dir *)base;
    const struct depot_source source = {.fd = fd, .fd_bytes = bytes};
    char name[KEY_LIMIT], from[TMP_NAME];
    struct stat st;
    bool sync = !d->hasty || !str_starts(key, STR("p/"));
    *reply = (struct depot_reply){.now_ms = stamp_now(&d->latest)};
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    file_kill_point();
    if (sync && fdatasync(fd) != 0) {
        return fail(reply, errno);
    }
    file_kill_point();
    if (!d->writable || !key_name(key, name)
        || linkat(AT_FDCWD, from, d->fd, name, AT_SYMLINK_FOLLOW) != 0) {
        return dir_put(base, key, &source, false, reply); /* without /proc it is copied */
    }
    if (fstat(fd, &st) == 0) {
        d->latest = (struct stamp){ctime_ms(&st), time_boot_ns()};
        reply->now_ms = reply->stored_ms = d->latest.ms;
    }
    if (sync && !sync_folder_of(d, key)) {
        reply->error = errno;
        return DEPOT_LATER;
    }
    return DEPOT_DONE;
}

/* ---- list ---- */

struct keys {
    struct arena arena;
    VEC(struct str) found;
};

static int compare_keys(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

/* All files below folder, which is "" or ends in a slash, whose key begins with prefix and sorts after. */
static bool gather(struct depot_dir *d, struct keys *k, struct str folder, struct str prefix,
                   struct str after, uint32_t depth)
{
    struct file_entry *entries;
    uint32_t count;
    struct str path = folder.n ? str_sub(folder, 0, folder.n - 1) : STR(".");
    if (!file_list(&k->arena, d->fd, path, &entries, &count)) {
        return errno == ENOENT || errno == ENOTDIR;
    }
    for (uint32_t i = 0; i < count; i++) {
        bool is_dir = entries[i].type == DT_DIR;
        struct str key = str_join3(&k->arena, folder, entries[i].name, is_dir ? STR("/") : STR(""));
        if (is_dir) {
            bool near = str_starts(key, prefix) || str_starts(prefix, key);
            if (near && depth < LIST_DEPTH && !gather(d, k, key, prefix, after, depth + 1)) {
                return false;
            }
        } else if (entries[i].type == DT_REG && str_starts(key, prefix)
                   && str_cmp(key, after) > 0) {
            *VEC_PUSH(&k->arena, &k->found) = key;
        }
    }
    return true;
}

static void tell(struct depot_dir *d, struct keys *k, struct depot_each each)
{
    for (uint32_t i = 0; i < k->found.n; i++) {
        struct stat st;
        char name[KEY_LIMIT];
        struct str key = k->found.at[i];
        if (!key_name(key, name) || fstatat(d->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue; /* gone since */
        }
        struct depot_entry e = {key, (uint64_t)st.st_size, ctime_ms(&st)};
        if (!each.entry(each.context, &e)) {
            return;
        }
    }
}

static enum depot_answer dir_list(struct depot *base, struct str prefix, struct str after,
                                  struct depot_each each, struct depot_reply *reply)
{
    struct depot_dir *d = (struct depot_dir *)base;
    *reply = (struct depot_reply){.now_ms = clock_now(d)};
    struct keys k = {0};
    ptrdiff_t slash = str_rfind_char(prefix, '/');
    struct str folder = str_sub(prefix, 0, (size_t)(slash + 1));
    enum depot_answer answer = DEPOT_DONE;
    if (gather(d, &k, folder, prefix, after, 0)) {
        if (k.found.n > 1) {
            qsort(k.found.at, k.found.n, sizeof *k.found.at, compare_keys);
        }
        tell(d, &k, each);
    } else {
        answer = fail(reply, errno);
    }
    arena_free(&k.arena);
    return answer;
}

static enum depot_answer dir_drop(struct depot *base, struct str key, struct depot_reply *reply)
{
    struct depot_dir *d = (struct depot_dir *)base;
    *reply = (struct depot_reply){.now_ms = stamp_now(&d->latest)};
    char name[KEY_LIMIT];
    if (!key_name(key, name) || !d->writable) {
        return fail(reply, d->writable ? EINVAL : EROFS);
    }
    file_kill_point();
    return unlinkat(d->fd, name, 0) == 0 ? DEPOT_DONE : fail(reply, errno);
}

static void dir_close(struct depot *base)
{
    struct depot_dir *d = (struct depot_dir *)base;
    close(d->fd);
    mem_free(d);
}

static const struct depot_functions folder_functions = {dir_get, dir_put, dir_list, dir_drop,
                                                        dir_close};

/* ---- open ---- */

static int open_folder(struct str dir, bool make)
{
    struct arena a = {0};
    const char *name = str_c(&a, dir);
    int fd = -1;
    if (!make || file_make_dirs(FILE_CWD, dir, 0700)) {
        fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    int error = errno;
    arena_free(&a);
    errno = error;
    return fd;
}

struct depot *depot_dir_open(struct str dir, bool writable, struct diags *notes)
{
    int fd = open_folder(dir, writable);
    if (fd < 0) {
        const char *reason = diag_reason(errno);
        struct diag *note =
            diag_warning(notes, "cache-unusable", SPAN_NONE,
                         "cannot open the cache folder '%.*s': %s", STR_ARG(dir), reason);
        diag_help(notes, note, "name another one in PAWL_CACHE_DIR");
        return NULL;
    }
    struct depot_dir *d = mem_alloc(sizeof *d);
    d->depot.f = &folder_functions;
    d->fd = fd;
    d->writable = writable;
    if (writable && !make_folders(fd)) {
        d->writable = false; /* it can still be read */
    }
    clock_ask(d);
    d->opened = d->latest;
    return &d->depot;
}

void depot_dir_trust_memory(struct depot *d)
{
    ((struct depot_dir *)d)->hasty = true;
}

int depot_dir_fd(const struct depot *d)
{
    return ((const struct depot_dir *)d)->fd;
}

int64_t depot_dir_stamp_ns(const struct depot *d, struct str folder)
{
    struct file_sig sig = file_stat(depot_dir_fd(d), folder, true);
    return file_sig_is_dir(&sig) ? sig.mtime_ns : 0;
}
