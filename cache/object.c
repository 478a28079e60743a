/* SPDX-License-Identifier: MIT */
/* Walks and hashes. One pass over a folder gives its tree, the same with modes reduced to the executable bit,
 * and the digest of its signatures. Invariant: nothing is followed but a link that the caller named. */
#include "cache/object.h"

#include "cache/cutter.h"
#include "cache/scan.h"
#include "core/base/workers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PERMISSIONS = 0777 };

/* What goes on below one root. */
struct scan {
    struct arena arena;
    const struct workers *until; /* NULL: it goes on to the end */
    struct object_set *keep;     /* NULL: objects are not wanted */
    struct diags *d;
    struct digester walk;
    struct buf path; /* of what is looked at, for messages */
    uint8_t *bytes;  /* of a small file */
    size_t room;
    uint64_t entries; /* so far */
    int64_t newest_ns;
    uint32_t depth;
    bool reads; /* else it only looks */
    bool changed;
};

/* A folder as it is stored, and as a fingerprint sees it. */
struct scanned {
    struct ref ref, content;
};

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool same_stat(const struct stat *x, const struct stat *y)
{
    return x->st_dev == y->st_dev && x->st_ino == y->st_ino && x->st_size == y->st_size
           && x->st_mode == y->st_mode && ns_of(x->st_mtim) == ns_of(y->st_mtim)
           && ns_of(x->st_ctim) == ns_of(y->st_ctim);
}

static bool say_unreadable(struct scan *s)
{
    diag_errno(s->d, "cannot-read", "cannot read '%.*s'", STR_ARG(buf_str(&s->path)));
    return false;
}

static bool say_unfit(struct scan *s, const char *why)
{
    diag_error(s->d, "cannot-keep", SPAN_NONE, "'%.*s' %s", STR_ARG(buf_str(&s->path)), why);
    return false;
}

/* ---- files ---- */

/* Fills bytes from the file's present place; the rest of the file may be shorter. */
static bool read_some(int fd, uint8_t *bytes, size_t n, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t part = read(fd, bytes + *got, n - *got);
        if (part < 0 && errno == EINTR) {
            continue;
        }
        if (part < 0) {
            return false;
        }
        if (part == 0) {
            break;
        }
        *got += (size_t)part;
    }
    return true;
}

bool object_hash_fd(int fd, const struct depot_sink *tee, struct ref *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return false;
    }
    struct cutter_source from = {.fd = fd, .size = (uint64_t)st.st_size, .tee = tee};
    return cutter_run(&from, NULL, out) && out->size;
}

static void make_room(struct scan *s, size_t need)
{
    if (s->room < need) {
        s->room = s->room * 2 > need ? s->room * 2 : need;
        mem_free(s->bytes);
        s->bytes = mem_alloc(s->room);
    }
}

/* The cutter's tee: it keeps nothing, and may want no more. */
static bool go_on(void *context, const void *bytes, size_t n)
{
    const struct scan *s = context;
    (void)bytes;
    (void)n;
    errno = ECANCELED;
    return !s->until || !workers_is_cancelled(s->until);
}

/* The open file's reference; st is from before, and is brought up to date. */
static bool hash_open_file(struct scan *s, int fd, struct stat *st, struct ref *out)
{
    struct stat after;
    uint64_t size = (uint64_t)st->st_size;
    if (size >= LIST_FILE_MIN) {
        struct depot_sink tee = {.take = go_on, .context = s};
        struct cutter_source from = {.fd = fd, .size = size, .tee = &tee};
        if (!cutter_run(&from, s->keep, out)) {
            return say_unreadable(s);
        }
    } else {
        size_t got;
        make_room(s, (size_t)size + 1);
        if (!read_some(fd, s->bytes, (size_t)size + 1, &got)) {
            return say_unreadable(s);
        }
        *out = (struct ref){REF_BLOB, got, digest_of(s->bytes, got)};
    }
    if (fstat(fd, &after) != 0) {
        return say_unreadable(s);
    }
    s->changed = s->changed || !same_stat(st, &after) || out->size != size;
    *st = after;
    return true;
}

/* ---- folders ---- */

static bool scan_folder(struct scan *s, int fd, struct scanned *out);

static void walk_number(struct scan *s, uint64_t x)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(x >> (8 * i));
    }
    digester_add(&s->walk, bytes, sizeof bytes);
}

/* Folders count by name and mode alone: their times change with every temporary file in them. */
static void walk_entry(struct scan *s, struct str name, const struct stat *st)
{
    walk_number(s, name.n);
    digester_add(&s->walk, name.s, name.n);
    walk_number(s, st->st_mode);
    if (S_ISDIR(st->st_mode)) {
        return;
    }
    int64_t mtime = ns_of(st->st_mtim), ctime = ns_of(st->st_ctim);
    walk_number(s, st->st_dev);
    walk_number(s, st->st_ino);
    walk_number(s, (uint64_t)st->st_size);
    walk_number(s, (uint64_t)mtime);
    walk_number(s, (uint64_t)ctime);
    s->newest_ns = ctime > s->newest_ns ? ctime : s->newest_ns;
}

static bool scan_file(struct scan *s, int dir, const char *name, struct stat *st, struct ref *out)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return say_unreadable(s);
    }
    bool ok = hash_open_file(s, fd, st, out);
    close(fd);
    return ok;
}

static bool scan_link(struct scan *s, int dir, struct tree_entry *e)
{
    char target[TREE_TARGET_LIMIT + 1];
    ssize_t n = readlinkat(dir, e->name.s, target, sizeof target);
    if (n < 0) {
        return say_unreadable(s);
    }
    if (n == 0 || n > TREE_TARGET_LIMIT) {
        return say_unfit(s, "is a link with a target too long to be kept");
    }
    e->target = str_copy(&s->arena, (struct str){target, (size_t)n});
    e->ref = (struct ref){REF_LINK, (uint64_t)n, digest_of(target, (size_t)n)};
    e->mode = 0;
    return true;
}

static bool scan_subfolder(struct scan *s, int dir, const struct tree_entry *e, struct scanned *out)
{
    if (s->depth >= TREE_DEPTH_LIMIT) {
        return say_unfit(s, "lies in more folders within folders than can be kept");
    }
    int fd = openat(dir, e->name.s, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return say_unreadable(s);
    }
    s->depth++;
    bool ok = scan_folder(s, fd, out);
    s->depth--;
    close(fd);
    return ok;
}

/* One name of a folder. content: the same entry with what a fingerprint sees. */
static bool scan_entry(struct scan *s, int dir, struct tree_entry *e, struct tree_entry *content)
{
    struct stat st;
    if (++s->entries > TREE_ENTRIES_LIMIT) {
        return say_unfit(s, "lies in a folder with more files than can be kept");
    }
    if (!go_on(s, NULL, 0) || fstatat(dir, e->name.s, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return say_unreadable(s);
    }
    walk_entry(s, e->name, &st);
    e->mode = st.st_mode & PERMISSIONS;
    bool ok = true;
    struct scanned below = {0};
    if (S_ISDIR(st.st_mode)) {
        ok = scan_subfolder(s, dir, e, &below);
        e->ref = below.ref;
    } else if (!s->reads) {
        return true;
    } else if (S_ISREG(st.st_mode)) {
        ok = scan_file(s, dir, e->name.s, &st, &e->ref);
    } else if (S_ISLNK(st.st_mode)) {
        ok = scan_link(s, dir, e);
    } else {
        return say_unfit(s, "is neither a file, a folder nor a link, and cannot be kept");
    }
    *content = tree_content(e, &below.content);
    return ok;
}

static struct ref tree_ref(struct object_set *keep, const struct tree_entry *entries,
                           uint32_t count, bool *fits)
{
    struct buf object;
    buf_init(&object, OBJECT_LIMIT);
    tree_put(&object, entries, count);
    *fits = !object.full;
    struct ref ref = {REF_TREE, object.n, digest_of(object.s, object.n)};
    if (keep && *fits) {
        object_set_add(keep, REF_TREE, &ref.digest, buf_str(&object));
    }
    buf_free(&object);
    return ref;
}

static bool scan_entries(struct scan *s, int fd, struct scanned *out)
{
    struct file_entry *names;
    uint32_t count;
    if (!file_list(&s->arena, fd, STR("."), &names, &count)) {
        return say_unreadable(s);
    }
    walk_number(s, count);
    struct tree_entry *entries = ARENA_ARRAY(&s->arena, struct tree_entry, count);
    struct tree_entry *content = ARENA_ARRAY(&s->arena, struct tree_entry, count);
    size_t path = s->path.n;
    for (uint32_t i = 0; i < count; i++) {
        buf_put_char(&s->path, '/');
        buf_put_str(&s->path, names[i].name);
        entries[i].name = content[i].name = names[i].name;
        if (!scan_entry(s, fd, &entries[i], &content[i])) {
            return false;
        }
        s->path.n = path;
    }
    bool fits = true, content_fits = true;
    if (s->reads) {
        out->ref = tree_ref(s->keep, entries, count, &fits);
        out->content = tree_ref(NULL, content, count, &content_fits);
    }
    return (fits && content_fits) || say_unfit(s, "has more names in it than can be kept");
}

static bool scan_folder(struct scan *s, int fd, struct scanned *out)
{
    struct stat before, after;
    if (fstat(fd, &before) != 0) {
        return say_unreadable(s);
    }
    struct arena_mark mark = arena_mark(&s->arena);
    bool ok = scan_entries(s, fd, out);
    arena_reset(&s->arena, mark);
    if (ok && fstat(fd, &after) != 0) {
        return say_unreadable(s);
    }
    s->changed = s->changed || (ok && !same_stat(&before, &after));
    return ok;
}

/* ---- the root ---- */

static bool scan_root_folder(struct scan *s, int fd, struct object_seen *out)
{
    struct scanned scanned = {0};
    digester_begin(&s->walk);
    walk_number(s, out->mode);
    bool ok = scan_folder(s, fd, &scanned);
    out->walk = digester_end(&s->walk);
    out->newest_ns = s->newest_ns;
    if (s->reads) {
        out->ref = scanned.ref;
        out->content = scanned.content.digest;
    }
    return ok;
}

static bool scan_root(struct scan *s, int fd, struct object_seen *out)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return say_unreadable(s);
    }
    out->mode = st.st_mode & PERMISSIONS;
    bool ok = true;
    if (S_ISDIR(st.st_mode)) {
        ok = scan_root_folder(s, fd, out);
    } else if (!S_ISREG(st.st_mode)) {
        ok = say_unfit(s, "is neither a file nor a folder, and cannot be kept");
    } else if (s->reads) {
        ok = hash_open_file(s, fd, &st, &out->ref);
        out->content = out->ref.digest;
    }
    out->changed = s->changed;
    return ok;
}

static int open_root(int dir, struct str path)
{
    char name[4096];
    if (path.n >= sizeof name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(name, path.s, path.n);
    name[path.n] = 0;
    return openat(dir, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

static void scan_free(struct scan *s)
{
    buf_free(&s->path);
    mem_free(s->bytes);
    arena_free(&s->arena);
}

static void scan_init(struct scan *s, struct str path)
{
    buf_init(&s->path, BUF_TEXT_LIMIT);
    buf_put_str(&s->path, path);
}

static bool scan_path(struct scan *s, int dir, struct str path, struct object_seen *out)
{
    *out = (struct object_seen){0};
    scan_init(s, path);
    int fd = open_root(dir, path);
    bool ok = false;
    if (fd >= 0) {
        ok = scan_root(s, fd, out);
        close(fd);
    } else if (errno == ENOENT || errno == ENOTDIR) {
        ok = true;
    } else if (errno == ENXIO) { /* a socket */
        ok = say_unfit(s, "is neither a file nor a folder, and cannot be kept");
    } else {
        ok = say_unreadable(s);
    }
    scan_free(s);
    return ok;
}

bool object_scan(int dir, struct str path, struct object_set *keep, struct object_seen *out,
                 struct diags *d)
{
    struct scan s = {.reads = true, .keep = keep, .d = d};
    return scan_path(&s, dir, path, out);
}

bool object_scan_fd(int fd, struct str path, struct object_set *keep, struct object_seen *out,
                    struct diags *d)
{
    struct scan s = {.reads = true, .keep = keep, .d = d};
    *out = (struct object_seen){0};
    scan_init(&s, path);
    bool ok = scan_root(&s, fd, out);
    scan_free(&s);
    return ok;
}

bool object_digest(int dir, struct str path, struct object_seen *out, struct diags *d)
{
    return object_scan(dir, path, NULL, out, d);
}

bool object_digest_until(int dir, struct str path, const struct workers *until,
                         struct object_seen *out, struct diags *d)
{
    struct scan s = {.reads = true, .until = until, .d = d};
    return scan_path(&s, dir, path, out);
}

bool object_walk(int dir, struct str path, struct object_seen *out, struct diags *d)
{
    struct scan s = {.d = d};
    return scan_path(&s, dir, path, out);
}
