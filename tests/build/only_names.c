/* SPDX-License-Identifier: MIT */
/* To be loaded before a program: no file without a name can be made, as on NFS. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>

typedef int opener(int, const char *, int, ...);

static int open_named(const char *function, int dir, const char *path, int flags, unsigned mode)
{
    union {
        void *found;
        opener *open;
    } next = {dlsym(RTLD_NEXT, function)};
    if ((flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return next.open(dir, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    unsigned mode = flags & O_CREAT ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    return open_named("openat", dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    unsigned mode = flags & O_CREAT ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    return open_named("openat64", dir, path, flags, mode);
}
