/* SPDX-License-Identifier: MIT */
/* A far place in a folder, between two local caches: the first pushes, the second fetches. */
#pragma once

#include "cache/far_inside.h"
#include "tests/unit/cache/door.h"

struct two {
    struct scene *a, *b;
    struct str far_dir;
    struct far *far_a, *far_b;
};

static inline struct far *open_far(struct two *t, struct scene *s)
{
    struct far_options o = {.url = str_join3(&t->a->arena, STR("file://"), t->far_dir, STR("")),
                            .read = true,
                            .write = true,
                            .near_dir = s->options.dir};
    struct far *f = far_open(&o, &s->notes);
    assert_non_null(f);
    return f;
}

static inline int begin_two(void **state)
{
    struct two *t = calloc(1, sizeof *t);
    assert_int_equal(begin((void **)&t->a), 0);
    assert_int_equal(begin((void **)&t->b), 0);
    t->far_dir = path_join(&t->a->arena, str_from(t->a->dir), STR("far"));
    t->far_a = open_far(t, t->a);
    t->far_b = open_far(t, t->b);
    *state = t;
    return 0;
}

static inline int end_two(void **state)
{
    struct two *t = *state;
    far_close(t->far_a);
    far_close(t->far_b);
    void *a = t->a, *b = t->b;
    end(&a);
    end(&b);
    free(t);
    return 0;
}

static inline int64_t soon(void)
{
    return time_boot_ns() + INT64_C(60000000000);
}

static inline void push(struct two *t, const char *name, uint32_t results)
{
    struct far_pushed pushed;
    struct digest fp = fingerprint(name);
    assert_true(cache_flush(t->a->cache, true, &t->a->notes));
    far_push(t->far_a, &fp, 1, soon(), &pushed, &t->a->notes);
    assert_true(pushed.whole);
    assert_int_equal(pushed.results, results);
}

static inline uint32_t look(struct two *t, const char *name, struct far_hit **hits)
{
    struct digest fp = fingerprint(name);
    return far_lookup(t->far_b, &t->b->arena, &fp, INT64_MIN, hits, &t->b->notes);
}

static inline bool fetch(struct two *t, const char *name)
{
    struct far_hit *hits;
    if (look(t, name, &hits) == 0) {
        return false;
    }
    struct far_want want = {.hit = &hits[0]};
    far_fetch(t->far_b, &want, 1, soon(), &t->b->arena, &t->b->notes);
    return want.here
           && cache_restore(far_near(t->far_b), &want.got, t->b->root, NULL, &t->b->notes);
}

static inline struct str far_file(struct two *t, struct str folder)
{
    struct file_entry *entries;
    uint32_t count;
    struct str dir = path_join(&t->a->arena, t->far_dir, folder);
    assert_true(file_list(&t->a->arena, FILE_CWD, dir, &entries, &count));
    assert_int_equal(count, 1);
    return path_join(&t->a->arena, dir, entries[0].name);
}
