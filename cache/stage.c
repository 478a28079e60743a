/* SPDX-License-Identifier: MIT */
/* Putting in place is exchanging names, which can be taken back. Where the file system cannot exchange, what
 * stands there is moved aside first, under a second temporary name. */
#include "cache/stage.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void stage_init(struct stage *s, int root, struct arena *a)
{
    *s = (struct stage){.arena = a, .root = root};
}

/* The same name each time: what a killed build left there is found and removed by the next one. */
static struct str sibling(struct stage *s, struct str path, const char *suffix)
{
    struct str name =
        str_printf(s->arena, ".pawl-%016llx%s", (unsigned long long)str_hash(path), suffix);
    return path_join(s->arena, path_dirname(path), name);
}

/* Paths come from records: what is not normal names nothing. */
static bool path_is_normal(struct stage *s, struct str path)
{
    struct str normal;
    return path.n && !str_has(path, '\0') && path_normalise(s->arena, path, &normal)
           && str_eq(normal, path) && !str_eq(normal, STR("."));
}

bool stage_add(struct stage *s, struct str path, bool folder, struct str *temp)
{
    if (!path_is_normal(s, path)) {
        errno = EINVAL;
        return false;
    }
    *temp = sibling(s, path, "");
    if (folder) {
        *VEC_PUSH(s->arena, &s->folders) = s->items.n;
    }
    *VEC_PUSH(s->arena, &s->items) =
        (struct stage_item){.path = path, .temp = *temp, .folder = folder};
    return true;
}

static int make_file(int root, const char *name, unsigned mode)
{
    return openat(root, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
}

static int make_folder(int root, const char *name, unsigned mode)
{
    return mkdirat(root, name, mode) == 0
               ? openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
               : -1;
}

/* Most often nothing is in the way and nothing is missing: that is found out by trying. */
static int make(struct stage *s, struct str temp, unsigned mode,
                int (*f)(int root, const char *name, unsigned mode))
{
    const char *name = str_c(s->arena, temp);
    int fd = f(s->root, name, mode);
    if (fd < 0 && errno == ENOENT) {
        return file_make_parents(s->root, temp, 0777) ? f(s->root, name, mode) : -1;
    }
    if (fd < 0 && errno == EEXIST) {
        return file_remove_tree(s->root, temp) ? f(s->root, name, mode) : -1;
    }
    return fd;
}

int stage_make_file(struct stage *s, struct str temp, unsigned mode)
{
    return make(s, temp, mode, make_file);
}

int stage_make_folder(struct stage *s, struct str temp, unsigned mode)
{
    return make(s, temp, mode, make_folder);
}

struct str stage_inside(const struct stage *s, struct str path)
{
    for (uint32_t i = 0; i < s->folders.n; i++) {
        const struct stage_item *item = &s->items.at[s->folders.at[i]];
        if (path_is_below(path, item->path)) {
            return path_join(s->arena, item->temp, str_tail(path, item->path.n + 1));
        }
    }
    return STR_NONE;
}

/* How much of the path names its temporary: the links before that are the workspace's own. */
static size_t temp_length(const struct stage *s, struct str path)
{
    for (uint32_t i = 0; i < s->folders.n; i++) {
        const struct stage_item *item = &s->items.at[s->folders.at[i]];
        if (path_is_below(path, item->temp)) {
            return item->temp.n;
        }
    }
    return 0;
}

bool stage_is_straight(const struct stage *s, struct str path)
{
    for (size_t i = temp_length(s, path) + 1; i <= path.n; i++) {
        if (i == path.n || path.s[i] == '/') {
            struct file_sig sig = file_stat(s->root, str_sub(path, 0, i), false);
            if (!file_sig_exists(&sig) || (sig.mode & S_IFMT) == S_IFLNK) {
                return false;
            }
        }
    }
    return true;
}

void stage_drop_temp(struct stage *s, struct str temp)
{
    (void)file_remove_tree(s->root, temp); /* what cannot be removed shows up at the next attempt */
}

static bool rename_in(struct stage *s, struct str from, struct str to, unsigned flags)
{
    struct arena_mark mark = arena_mark(s->arena);
    const char *old = str_c(s->arena, from), *new = str_c(s->arena, to);
    int rc = renameat2(s->root, old, s->root, new, flags);
    int error = errno;
    arena_reset(s->arena, mark);
    errno = error;
    return rc == 0;
}

/* Without an exchange: aside, then in; back, if that fails. */
static bool place_by_steps(struct stage *s, struct stage_item *item)
{
    struct str aside = sibling(s, item->path, "-old");
    if (!file_remove_tree(s->root, aside) || !rename_in(s, item->path, aside, 0)) {
        return false;
    }
    if (!rename_in(s, item->temp, item->path, 0)) {
        int error = errno;
        (void)rename_in(s, aside, item->path, 0);
        errno = error;
        return false;
    }
    item->temp = aside;
    item->swapped = true;
    return true;
}

static bool place_item(struct stage *s, struct stage_item *item)
{
    file_kill_point();
    item->placed = rename_in(s, item->temp, item->path, RENAME_NOREPLACE);
    if (item->placed) {
        return true;
    }
    /* Something stands there, or the file system knows no such flags. */
    item->swapped = rename_in(s, item->temp, item->path, RENAME_EXCHANGE);
    if (item->swapped) {
        return true;
    }
    if (errno == EINVAL || errno == ENOSYS) {
        struct file_sig sig = file_stat(s->root, item->path, false);
        if (file_sig_exists(&sig)) {
            return place_by_steps(s, item);
        }
        errno = ENOENT;
    }
    item->placed = errno == ENOENT && rename_in(s, item->temp, item->path, 0);
    return item->placed;
}

static void take_back(struct stage *s, struct stage_item *item)
{
    if (item->placed) {
        item->placed = !rename_in(s, item->path, item->temp, 0);
    } else if (item->swapped && !rename_in(s, item->temp, item->path, RENAME_EXCHANGE)) {
        struct str aside = sibling(s, item->path, "-old");
        if (rename_in(s, item->path, aside, 0) && rename_in(s, item->temp, item->path, 0)) {
            item->temp = aside;
        }
    }
}

bool stage_commit(struct stage *s)
{
    for (uint32_t i = 0; i < s->items.n; i++) {
        if (!place_item(s, &s->items.at[i])) {
            int error = errno;
            s->failed = s->items.at[i].path;
            while (i > 0) {
                take_back(s, &s->items.at[--i]);
            }
            errno = error;
            return false;
        }
    }
    return true;
}

void stage_end(struct stage *s)
{
    for (uint32_t i = 0; i < s->items.n; i++) {
        if (!s->items.at[i].placed) {
            stage_drop_temp(s, s->items.at[i].temp);
        }
    }
    s->items.n = 0;
    s->folders.n = 0;
}
