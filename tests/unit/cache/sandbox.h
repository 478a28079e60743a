/* SPDX-License-Identifier: MIT */
/* What the cache's tests share: a folder of their own with a workspace and a depot (below $PAWL_TEST_TMP, to try
 * another file system), and bytes that everybody can make again: SHA-256 of "0", "1", "2" …, one behind the other. */
#pragma once

#include "cache/depot_dir.h"
#include "cache/fetch.h"
#include "cache/store.h"
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

struct sandbox {
    char dir[200];
    int root; /* the workspace */
    struct arena arena;
    struct diags notes;
    struct depot *depot;
    struct fetch from;
};

static inline int sandbox_begin(void **state)
{
    struct sandbox *s = calloc(1, sizeof *s);
    const char *tmp = getenv("PAWL_TEST_TMP");
    snprintf(s->dir, 150, "%s/pawl-cache-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(s->dir));
    char path[256];
    snprintf(path, sizeof path, "%s/work", s->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    s->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    diags_init(&s->notes, &s->arena);
    snprintf(path, sizeof path, "%s/cache", s->dir);
    s->depot = depot_dir_open(str_from(path), true, &s->notes);
    assert_non_null(s->depot);
    s->from = (struct fetch){s->depot, depot_dir_fd(s->depot), NULL, false, NULL};
    *state = s;
    return 0;
}

static inline int sandbox_end(void **state)
{
    struct sandbox *s = *state;
    depot_close(s->depot);
    close(s->root);
    file_remove_tree(FILE_CWD, str_from(s->dir));
    arena_free(&s->arena);
    free(s);
    return 0;
}

/* n bytes of the stream that seed begins. */
static inline uint8_t *sandbox_bytes(struct sandbox *s, const char *seed, size_t n)
{
    uint8_t *bytes = arena_alloc(&s->arena, n + 32, 1);
    for (size_t i = 0; i * 32 < n; i++) {
        char text[64];
        int length = snprintf(text, sizeof text, "%s%zu", seed, i);
        struct digest d = digest_of(text, (size_t)length);
        memcpy(bytes + i * 32, d.b, sizeof d.b);
    }
    return bytes;
}

static inline void sandbox_write(struct sandbox *s, const char *path, const void *bytes, size_t n,
                                 unsigned mode)
{
    struct str name = str_from(path);
    assert_true(file_make_parents(s->root, name, 0777));
    assert_true(file_write(s->root, name, (struct str){bytes, n}, 0600, false));
    assert_int_equal(fchmodat(s->root, path, mode, 0), 0);
}

static inline void sandbox_text(struct sandbox *s, const char *path, const char *text)
{
    sandbox_write(s, path, text, strlen(text), 0644);
}

static inline struct str sandbox_read(struct sandbox *s, const char *path)
{
    struct str out = STR_NONE;
    if (!file_read_quiet(&s->arena, s->root, str_from(path), SIZE_MAX / 2, &out)) {
        fail_msg("cannot read %s", path);
    }
    return out;
}

static inline void sandbox_expect(struct sandbox *s, const char *path, const void *bytes, size_t n)
{
    struct str found = sandbox_read(s, path);
    assert_int_equal(found.n, n);
    assert_memory_equal(found.s, bytes, n);
}

static inline bool sandbox_has(struct sandbox *s, const char *path)
{
    return faccessat(s->root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline const char *sandbox_hex(struct sandbox *s, const void *bytes, size_t n)
{
    char *out = arena_alloc(&s->arena, 2 * n + 1, 1);
    for (size_t i = 0; i < n; i++) {
        snprintf(out + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    }
    return out;
}

/* Files below a folder of the sandbox ("cache/p"). */
static inline uint32_t sandbox_count(struct sandbox *s, const char *folder)
{
    char path[256];
    struct file_entry *entries;
    uint32_t count = 0;
    snprintf(path, sizeof path, "%s/%s", s->dir, folder);
    (void)file_list(&s->arena, FILE_CWD, str_from(path), &entries, &count);
    return count;
}

/* Whether files can share their blocks here: then large ones are kept plain, whatever is in them. */
static inline bool sandbox_reflinks(struct sandbox *s)
{
    sandbox_text(s, "probe", "x");
    int from = openat(s->root, "probe", O_RDONLY | O_CLOEXEC);
    int to = openat(s->root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    bool ok = to >= 0 && ioctl(to, FICLONE, from) == 0;
    close(from);
    if (to >= 0) {
        close(to);
    }
    assert_int_equal(unlinkat(s->root, "probe", 0), 0);
    return ok;
}
