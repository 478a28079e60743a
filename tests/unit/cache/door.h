/* SPDX-License-Identifier: MIT */
/* A workspace and a cache in a folder of their own, for tests of the door. */
#pragma once

#include "cache/cache.h"
#include "core/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

struct scene {
    char dir[64];
    int root; /* the workspace */
    struct arena arena;
    struct diags notes;
    struct cache_options options;
    struct cache *cache;
};

static inline void reopen(struct scene *s)
{
    cache_close(s->cache, &s->notes);
    s->cache = cache_open(&s->options, &s->notes);
    assert_non_null(s->cache);
}

static inline int begin(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/pawl-cache-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    diags_init(&s->notes, &s->arena);
    struct str dir = str_from(s->dir);
    assert_true(file_make_dirs(FILE_CWD, path_join(&s->arena, dir, STR("work")), 0700));
    s->root = open(str_c(&s->arena, path_join(&s->arena, dir, STR("work"))), O_RDONLY);
    s->options.dir = path_join(&s->arena, dir, STR("cache"));
    reopen(s);
    *state = s;
    return 0;
}

static inline int end(void **state)
{
    struct scene *s = *state;
    cache_close(s->cache, &s->notes);
    close(s->root);
    file_remove_tree(FILE_CWD, str_from(s->dir));
    arena_free(&s->arena);
    free(s);
    return 0;
}

static inline void write_file(struct scene *s, struct str path, struct str text)
{
    assert_true(file_make_parents(s->root, path, 0700));
    assert_true(file_write(s->root, path, text, 0644, false));
}

static inline void expect_file(struct scene *s, struct str path, struct str text)
{
    struct str got;
    assert_true(file_read_quiet(&s->arena, s->root, path, 100 << 20, &got));
    assert_true(str_eq(got, text));
}

static inline bool exists(struct scene *s, struct str path)
{
    struct file_sig sig = file_stat(s->root, path, false);
    return file_sig_exists(&sig);
}

static inline struct record_output output_of(struct scene *s, struct str path)
{
    struct object_seen seen;
    assert_true(object_digest(s->root, path, &seen, &s->notes));
    return (struct record_output){path, seen.mode, seen.ref, seen.content};
}

static inline struct digest fingerprint(const char *name)
{
    return digest_of(name, strlen(name));
}

/* A result of one output. */
static inline struct record record_of(struct scene *s, const char *name, struct str path)
{
    struct record r = {.fingerprint = fingerprint(name),
                       .success_ms = time_now_ns() / 1000000,
                       .duration_ms = 1000,
                       .where = STR("test")};
    r.outputs = ARENA_NEW(&s->arena, struct record_output);
    r.outputs[0] = output_of(s, path);
    r.output_count = 1;
    return r;
}

static inline uint64_t store(struct scene *s, const char *name, struct str path, struct str text)
{
    write_file(s, path, text);
    struct record r = record_of(s, name, path);
    uint64_t sequence = 0;
    assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    return sequence;
}

static inline uint32_t lookup(struct scene *s, const char *name, struct cache_hit **hits)
{
    struct digest fp = fingerprint(name);
    return cache_lookup(s->cache, &s->arena, &fp, INT64_MIN, hits, &s->notes);
}

static inline bool restore(struct scene *s, const char *name)
{
    struct cache_hit *hits;
    return lookup(s, name, &hits) > 0
           && cache_restore(s->cache, &hits[0], s->root, NULL, &s->notes);
}

static inline uint32_t count_files(const struct scene *s, const char *folder)
{
    char name[128];
    snprintf(name, sizeof name, "%s/cache/%s", s->dir, folder);
    DIR *d = opendir(name);
    uint32_t n = 0;
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        n += e->d_name[0] != '.';
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static inline struct str noise(struct scene *s, size_t n, uint64_t seed)
{
    char *bytes = arena_alloc(&s->arena, n, 1);
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = (char)(seed >> 56);
    }
    return (struct str){bytes, n};
}

static inline struct str only_file(struct scene *s, struct str folder)
{
    struct file_entry *entries;
    uint32_t count;
    struct str dir = path_join(&s->arena, s->options.dir, folder);
    assert_true(file_list(&s->arena, FILE_CWD, dir, &entries, &count));
    assert_int_equal(count, 1);
    return path_join(&s->arena, dir, entries[0].name);
}

static inline void flip_byte(struct scene *s, struct str path, off_t at)
{
    int fd = open(str_c(&s->arena, path), O_RDWR);
    char c;
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c = (char)(c ^ 0x20);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}
