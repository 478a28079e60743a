/* SPDX-License-Identifier: MIT */
/* All work with the file system. Every descriptor opened here is close-on-exec, and closed here unless a
 * lock holds it. */
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_S = 1000000000, COPY_BUFFER = 128 << 10, TEMPORARY_NAME = 32 };

_Static_assert((int)FILE_CWD == AT_FDCWD, "FILE_CWD is AT_FDCWD");

/* The path with a NUL behind it, without an allocation; false with errno set. */
static bool path_copy(struct str path, char out[PATH_MAX])
{
    if (path.n >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (str_has(path, '\0')) {
        errno = EINVAL;
        return false;
    }
    if (path.n == 0) {
        path = STR(".");
    }
    memcpy(out, path.s, path.n);
    out[path.n] = '\0';
    return true;
}

static int open_path(int dir, struct str path, int flags, unsigned mode)
{
    char name[PATH_MAX];
    if (!path_copy(path, name)) {
        return -1;
    }
    int fd;
    do {
        fd = openat(dir, name, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

static void close_quietly(int fd)
{
    int error = errno;
    close(fd);
    errno = error;
}

static void unlink_quietly(int dir, const char *name)
{
    int error = errno;
    unlinkat(dir, name, 0);
    errno = error;
}

static int64_t timespec_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

struct file_sig file_stat(int dir, struct str path, bool follow)
{
    struct file_sig sig = {0};
    char name[PATH_MAX];
    struct stat st;
    if (!path_copy(path, name) || fstatat(dir, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW) != 0) {
        sig.error = errno == ENOENT || errno == ENOTDIR ? 0 : (uint32_t)errno;
        return sig;
    }
    sig.dev = st.st_dev;
    sig.ino = st.st_ino;
    sig.size = (uint64_t)st.st_size;
    sig.mtime_ns = timespec_ns(st.st_mtim);
    sig.ctime_ns = timespec_ns(st.st_ctim);
    sig.mode = st.st_mode;
    return sig;
}

bool file_sig_eq(const struct file_sig *x, const struct file_sig *y)
{
    return x->dev == y->dev && x->ino == y->ino && x->size == y->size && x->mtime_ns == y->mtime_ns
           && x->ctime_ns == y->ctime_ns && x->mode == y->mode && x->error == y->error;
}

bool file_sig_exists(const struct file_sig *x)
{
    return x->mode != 0;
}

bool file_sig_is_dir(const struct file_sig *x)
{
    return S_ISDIR(x->mode);
}

/* How long a file's times may stand still while it changes, guessed from how round its ctime is. */
static int64_t clock_granularity_ns(int64_t ctime_ns)
{
    if (ctime_ns % NS_PER_S == 0) {
        return (int64_t)2 * NS_PER_S; /* whole seconds, FAT two of them */
    }
    struct timespec tick; /* the kernel stamps files with this clock */
    int64_t ns = clock_getres(CLOCK_REALTIME_COARSE, &tick) == 0 ? timespec_ns(tick) : 0;
    int64_t least = ctime_ns % 1000000 == 0 ? 20000000 : 1000000; /* exFAT counts 10 ms */
    return ns > least ? ns : least;
}

/* The ctime alone decides: nobody can set it, and every change sets it. */
bool file_sig_is_racy(const struct file_sig *x, int64_t hashed_at_ns)
{
    return x->ctime_ns + clock_granularity_ns(x->ctime_ns) > hashed_at_ns;
}

/* Up to limit bytes; reads to the end whatever size said, since /proc says 0 and files grow. */
static bool read_to_end(struct arena *a, int fd, size_t size, size_t limit, struct str *out)
{
    size_t cap = size < limit ? size + 2 : limit + 2;
    char *s = ARENA_ARRAY(a, char, cap);
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, s + n, cap - 1 - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return false;
        }
        n += (size_t)got;
        if (n > limit) {
            errno = EFBIG;
            return false;
        }
        if (got == 0) {
            break;
        }
        if (n + 1 == cap) {
            size_t more = cap < 4096 ? 8192 : 2 * cap;
            char *grown = ARENA_ARRAY(a, char, more);
            memcpy(grown, s, n);
            s = grown;
            cap = more;
        }
    }
    s[n] = '\0';
    *out = (struct str){s, n};
    return true;
}

bool file_read_quiet(struct arena *a, int dir, struct str path, size_t limit, struct str *out)
{
    int fd = open_path(dir, path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    struct arena_mark mark = arena_mark(a);
    struct stat st;
    bool ok = fstat(fd, &st) == 0;
    if (ok && !S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        ok = false;
    } else if (ok && (uint64_t)st.st_size > limit) {
        errno = EFBIG;
        ok = false;
    }
    ok = ok && read_to_end(a, fd, (size_t)st.st_size, limit, out);
    if (!ok) {
        arena_reset(a, mark);
    }
    close_quietly(fd);
    return ok;
}

bool file_read(struct arena *a, int dir, struct str path, size_t limit, struct str *out,
               struct diags *d)
{
    if (file_read_quiet(a, dir, path, limit, out)) {
        return true;
    }
    diag_errno(d, "cannot-read", "cannot read '%.*s'", STR_ARG(path));
    return false;
}

/* Measured with Linux 6.18 and ext4: what is written 1 MiB at a time takes several times as long. */
enum { WRITE_PIECE = 256 << 10 };

bool file_write_all(int fd, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t wrote = write(fd, at, n < WRITE_PIECE ? n : WRITE_PIECE);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            return false;
        }
        at += wrote;
        n -= (size_t)wrote;
    }
    return true;
}

bool file_write_at(int fd, const void *bytes, size_t n, uint64_t offset)
{
    const char *at = bytes;
    while (n > 0) {
        ssize_t wrote = pwrite(fd, at, n < WRITE_PIECE ? n : WRITE_PIECE, (off_t)offset);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            return false;
        }
        at += wrote;
        offset += (uint64_t)wrote;
        n -= (size_t)wrote;
    }
    return true;
}

void file_kill_point(void)
{
    static uint64_t passed; /* the one variable of its kind: counts in tests only */
    const char *at = getenv("PAWL_TEST_KILL_AT"); /* NOLINT(concurrency-mt-unsafe) */
    uint64_t n;
    if (at && str_parse_u64(str_from(at), &n) && ++passed == n) {
        raise(SIGKILL);
    }
}

/* Beside path, so that the rename stays in one file system; begins with a dot, so that no pattern sees it. */
static bool temporary_name(struct str path, char out[PATH_MAX])
{
    ptrdiff_t slash = str_rfind_char(path, '/');
    size_t n = (size_t)(slash + 1);
    uint64_t random;
    if (n + TEMPORARY_NAME > PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        return false;
    }
    memcpy(out, path.s, n);
    snprintf(out + n, TEMPORARY_NAME, ".pawl-%016llx", (unsigned long long)random);
    return true;
}

static bool write_new(int dir, const char *name, struct str bytes, unsigned mode, bool durable)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return false;
    }
    if (durable) {
        file_kill_point();
    }
    bool ok = file_write_all(fd, bytes.s, bytes.n) && (!durable || fdatasync(fd) == 0);
    if (!ok) {
        close_quietly(fd);
        return false;
    }
    return close(fd) == 0;
}

bool file_write(int dir, struct str path, struct str bytes, unsigned mode, bool durable)
{
    char temporary[PATH_MAX];
    char name[PATH_MAX];
    if (!path_copy(path, name) || !temporary_name(path, temporary)) {
        return false;
    }
    if (!write_new(dir, temporary, bytes, mode, durable)) {
        unlink_quietly(dir, temporary);
        return false;
    }
    file_kill_point();
    if (renameat(dir, temporary, dir, name) != 0) {
        unlink_quietly(dir, temporary);
        return false;
    }
    return !durable || file_sync_dir(dir, path_dirname(path));
}

/* Network file systems know no files without a name. */
int file_open_nameless(int dir)
{
    char name[PATH_MAX];
    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    bool unknown = fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL);
    if (!unknown || !temporary_name(STR(""), name)) {
        return fd;
    }
    fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0) {
        unlink_quietly(dir, name);
    }
    return fd;
}

bool file_sync_dir(int dir, struct str path)
{
    int fd = open_path(dir, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        return false;
    }
    /* Some file systems cannot sync a folder and say so. */
    bool ok = fsync(fd) == 0 || errno == EINVAL;
    close_quietly(fd);
    return ok;
}

/* One folder; there already is fine, if it is one. */
static bool make_dir(int dir, const char *name, unsigned mode)
{
    if (mkdirat(dir, name, mode) == 0) {
        return true;
    }
    int error = errno;
    struct stat st;
    if (error == ENOENT || fstatat(dir, name, &st, 0) != 0) {
        errno = error;
        return false;
    }
    errno = ENOTDIR;
    return S_ISDIR(st.st_mode);
}

bool file_make_dirs(int dir, struct str path, unsigned mode)
{
    char name[PATH_MAX];
    if (!path_copy(path, name)) {
        return false;
    }
    if (make_dir(dir, name, mode)) {
        return true;
    }
    if (errno != ENOENT) {
        return false;
    }
    for (char *slash = strchr(name + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool ok = make_dir(dir, name, mode);
        *slash = '/';
        if (!ok) {
            return false;
        }
    }
    return make_dir(dir, name, mode);
}

bool file_make_parents(int dir, struct str path, unsigned mode)
{
    return file_make_dirs(dir, path_dirname(path), mode);
}

static bool remove_entry(int dir, const char *name);

static bool remove_entries(int fd)
{
    DIR *entries = fdopendir(fd); /* takes fd */
    if (!entries) {
        close_quietly(fd);
        return false;
    }
    bool ok = true;
    struct dirent *e;
    while (ok && (errno = 0, e = readdir(entries)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            ok = remove_entry(dirfd(entries), e->d_name);
        }
    }
    ok = ok && errno == 0;
    int error = errno;
    closedir(entries);
    errno = error;
    return ok;
}

/* A folder that its maker left without permissions is still to be emptied. */
static int open_to_empty(int dir, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode)
        && (st.st_mode & S_IRWXU) != S_IRWXU) {
        (void)!fchmodat(dir, name, (st.st_mode & 07777) | S_IRWXU, 0); /* opening tells */
    }
    return openat(dir, name, flags);
}

static bool remove_entry(int dir, const char *name)
{
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) {
        return true;
    }
    if (errno != EISDIR && errno != EPERM) {
        return false;
    }
    int error = errno;
    int fd = open_to_empty(dir, name);
    if (fd < 0) {
        errno = errno == ENOTDIR || errno == ELOOP ? error : errno;
        return false;
    }
    return remove_entries(fd) && (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT);
}

bool file_remove_tree(int dir, struct str path)
{
    char name[PATH_MAX];
    return path_copy(path, name) && (remove_entry(dir, name) || errno == ENOTDIR);
}

bool file_remove(int dir, struct str path)
{
    char name[PATH_MAX];
    if (!path_copy(path, name)) {
        return false;
    }
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT || errno == ENOTDIR) {
        return true;
    }
    if (errno != EISDIR && errno != EPERM) {
        return false;
    }
    int error = errno;
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0) {
        return true;
    }
    errno = errno == ENOTDIR ? error : errno;
    return false;
}

static bool copy_through_buffer(int from, int to)
{
    char *buffer = mem_alloc(COPY_BUFFER);
    ssize_t got;
    bool ok = true;
    do {
        got = read(from, buffer, COPY_BUFFER);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        ok = got >= 0 && file_write_all(to, buffer, (size_t)got);
    } while (ok && got != 0);
    int error = errno;
    mem_free(buffer);
    errno = error;
    return ok;
}

/* What the kernel cannot do here it says at the first call; the descriptors' places tell the rest. */
static bool copy_bytes(int from, int to)
{
    if (ioctl(to, FICLONE, from) == 0) {
        return true;
    }
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, (size_t)1 << 30, 0);
        if (n > 0 || (n < 0 && errno == EINTR)) {
            continue;
        }
        /* 0 is the end, or a file such as those of /proc whose size is not known. */
        if (n == 0 || errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP
            || errno == EPERM || errno == EBADF) {
            return copy_through_buffer(from, to);
        }
        return false;
    }
}

static bool copy_to_new(int from, int to_dir, const char *name, unsigned mode)
{
    struct stat st;
    if (fstat(from, &st) != 0) {
        return false;
    }
    if (!S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        return false;
    }
    int to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0) {
        return false;
    }
    bool ok = copy_bytes(from, to) && fchmod(to, (mode ? mode : st.st_mode) & 07777) == 0;
    if (!ok) {
        close_quietly(to);
        unlink_quietly(to_dir, name);
        return false;
    }
    return close(to) == 0;
}

bool file_copy(int from_dir, struct str from, int to_dir, struct str to, unsigned mode)
{
    char name[PATH_MAX];
    if (!path_copy(to, name)) {
        return false;
    }
    int fd = open_path(from_dir, from, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool ok = copy_to_new(fd, to_dir, name, mode);
    close_quietly(fd);
    return ok;
}

static int read_holder(int fd)
{
    char text[24];
    ssize_t n = pread(fd, text, sizeof text, 0);
    int64_t pid;
    if (n <= 0 || !str_parse_i64(str_trim((struct str){text, (size_t)n}), &pid) || pid > INT_MAX) {
        return 0;
    }
    return (int)pid;
}

static void write_holder(int fd)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    /* For people to read: a full disk must not cost the lock. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
        return;
    }
}

/* Somebody may have removed or replaced the file between our open and our lock. */
static bool is_still_there(int fd, int dir, struct str path)
{
    struct stat st;
    struct file_sig sig = file_stat(dir, path, true);
    return fstat(fd, &st) == 0 && file_sig_exists(&sig) && sig.ino == st.st_ino
           && sig.dev == st.st_dev;
}

enum file_lock_result file_lock_open(struct file_lock *l, int dir, struct str path, bool wait,
                                     int *holder_pid)
{
    l->fd = -1;
    *holder_pid = 0;
    for (;;) {
        int fd = open_path(dir, path, O_RDWR | O_CREAT, 0666);
        if (fd < 0) {
            return FILE_LOCK_ERROR;
        }
        if (flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) != 0) {
            bool busy = errno == EWOULDBLOCK;
            *holder_pid = busy ? read_holder(fd) : 0;
            close_quietly(fd);
            return busy ? FILE_LOCK_BUSY : FILE_LOCK_ERROR;
        }
        if (is_still_there(fd, dir, path)) {
            write_holder(fd);
            l->fd = fd;
            return FILE_LOCK_HELD;
        }
        close(fd);
    }
}

void file_lock_close(struct file_lock *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    l->fd = -1;
}

static int entry_cmp(const void *x, const void *y)
{
    return str_cmp(((const struct file_entry *)x)->name, ((const struct file_entry *)y)->name);
}

static uint8_t entry_type(int dir, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN || fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return e->d_type;
    }
    return (uint8_t)IFTODT(st.st_mode);
}

bool file_list(struct arena *a, int dir, struct str path, struct file_entry **out, uint32_t *count)
{
    int fd = open_path(dir, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        return false;
    }
    DIR *entries = fdopendir(fd);
    if (!entries) {
        close_quietly(fd);
        return false;
    }
    VEC(struct file_entry) list = {0};
    struct dirent *e;
    while ((errno = 0, e = readdir(entries)) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        struct file_entry *entry = VEC_PUSH(a, &list);
        entry->name = str_copy(a, str_from(e->d_name));
        entry->type = entry_type(fd, e);
    }
    int error = errno;
    closedir(entries);
    if (list.n > 1) {
        qsort(list.at, list.n, sizeof *list.at, entry_cmp);
    }
    *out = list.at;
    *count = list.n;
    errno = error;
    return error == 0;
}

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return timespec_ns(t);
}

int64_t time_now_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t time_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t time_boot_ns(void)
{
    return clock_ns(CLOCK_BOOTTIME);
}
