/* SPDX-License-Identifier: MIT */
/* Paths as text. */
#include "core/base/path.h"

#include <string.h>

static struct str path_without_slashes(struct str path)
{
    while (path.n > 1 && path.s[path.n - 1] == '/') {
        path.n--;
    }
    return path;
}

static bool path_is_dot(struct str path)
{
    return path.n == 0 || (path.n == 1 && path.s[0] == '.');
}

static bool path_is_dotdot(struct str path)
{
    return path.n == 2 && path.s[0] == '.' && path.s[1] == '.';
}

/* Cuts the first component off; false when there is none. */
static bool path_next(struct str *rest, struct str *part)
{
    while (rest->n > 0 && rest->s[0] == '/') {
        *rest = str_tail(*rest, 1);
    }
    if (rest->n == 0) {
        return false;
    }
    const char *slash = memchr(rest->s, '/', rest->n);
    *part = (struct str){rest->s, slash ? (size_t)(slash - rest->s) : rest->n};
    *rest = str_tail(*rest, part->n);
    return true;
}

bool path_normalise(struct arena *a, struct str path, struct str *out)
{
    if ((path.n > 0 && path.s[0] == '/') || str_has(path, '\0')) {
        return false;
    }
    char *s = ARENA_ARRAY(a, char, path.n + 2);
    size_t n = 0;
    struct str part;
    while (path_next(&path, &part)) {
        if (path_is_dot(part)) {
            continue;
        }
        if (path_is_dotdot(part)) {
            if (n == 0) {
                return false;
            }
            while (n > 0 && s[--n] != '/') {
            }
            continue;
        }
        if (n > 0) {
            s[n++] = '/';
        }
        memcpy(s + n, part.s, part.n);
        n += part.n;
    }
    if (n == 0) {
        s[n++] = '.';
    }
    s[n] = '\0';
    *out = (struct str){s, n};
    return true;
}

struct str path_dirname(struct str path)
{
    path = path_without_slashes(path);
    ptrdiff_t slash = str_rfind_char(path, '/');
    if (slash < 0) {
        return STR(".");
    }
    return path_without_slashes(str_sub(path, 0, slash == 0 ? 1 : (size_t)slash));
}

struct str path_basename(struct str path)
{
    path = path_without_slashes(path);
    ptrdiff_t slash = str_rfind_char(path, '/');
    return slash < 0 || path.n == 1 ? path : str_tail(path, (size_t)slash + 1);
}

struct str path_join(struct arena *a, struct str dir, struct str name)
{
    if (path_is_dot(dir) || (name.n > 0 && name.s[0] == '/')) {
        return str_copy(a, name);
    }
    if (path_is_dot(name)) {
        return str_copy(a, dir);
    }
    return str_join3(a, dir, dir.s[dir.n - 1] == '/' ? STR("") : STR("/"), name);
}

struct str path_relative(struct arena *a, struct str from, struct str path)
{
    struct str part;
    struct str other;
    from = path_is_dot(from) ? STR("") : from;
    path = path_is_dot(path) ? STR("") : path;
    for (;;) {
        struct str from_rest = from;
        struct str path_rest = path;
        if (!path_next(&from_rest, &part) || !path_next(&path_rest, &other)
            || !str_eq(part, other)) {
            break;
        }
        from = from_rest;
        path = path_rest;
    }
    size_t ups = 0;
    while (path_next(&from, &part)) {
        ups++;
    }
    while (path.n > 0 && path.s[0] == '/') {
        path = str_tail(path, 1);
    }
    if (ups == 0 && path.n == 0) {
        return str_copy(a, STR("."));
    }
    char *s = ARENA_ARRAY(a, char, 3 * ups + path.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < ups; i++) {
        memcpy(s + n, "../", 3);
        n += 3;
    }
    if (path.n > 0) {
        memcpy(s + n, path.s, path.n);
    } else {
        n--;
    }
    s[n + path.n] = '\0';
    return (struct str){s, n + path.n};
}

bool path_is_below(struct str path, struct str dir)
{
    if (path_is_dot(dir)) {
        return !path_is_dot(path);
    }
    return path.n > dir.n && str_starts(path, dir) && path.s[dir.n] == '/';
}
