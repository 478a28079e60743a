/* SPDX-License-Identifier: MIT */
/* Moving what is needed out of packs, in a real folder: shared objects stay shared, plain files stay plain. */
#include "cache/depot_dir.h"
#include "cache/fetch.h"
#include "cache/move.h"
#include "cache/store.h"
#include "tests/unit/cache/door.h"

struct works {
    struct scene *scene;
    struct depot *depot;
    struct manifest manifest;
    struct pack_writer writer;
};

static void works_begin(struct works *w, struct scene *s)
{
    cache_close(s->cache, &s->notes);
    s->cache = NULL;
    w->scene = s;
    w->depot = depot_dir_open(s->options.dir, true, &s->notes);
    manifest_init(&w->manifest, w->depot, true, manifest_world_real());
    w->manifest.dir = depot_dir_fd(w->depot);
    pack_writer_init(&w->writer, w->depot);
}

static void works_end(struct works *w)
{
    pack_writer_free(&w->writer);
    manifest_free(&w->manifest);
    depot_close(w->depot);
}

static struct pack_place add_blob(struct works *w, uint64_t seed)
{
    struct scene *s = w->scene;
    struct str bytes = noise(s, 3000, seed);
    struct pack_place p = {{REF_BLOB, 3000, digest_of(bytes.s, bytes.n)}, NULL, 1};
    p.runs = ARENA_NEW(&s->arena, struct pack_run);
    assert_true(pack_add(&w->writer, &p.root, bytes, p.runs, &s->notes));
    return p;
}

static void expect_place(struct works *w, const struct pack_place *p)
{
    const struct fetch fetch = {w->depot, depot_dir_fd(w->depot), NULL, false, NULL};
    assert_int_equal(fetch_check(&fetch, p), FETCH_DONE);
}

static void needed_objects_move_once(void **state)
{
    struct works w;
    works_begin(&w, *state);
    struct pack_place a = add_blob(&w, 1);
    struct pack_place b = add_blob(&w, 2);
    struct pack_place c = add_blob(&w, 3);
    assert_true(pack_seal(&w.writer, &w.scene->notes));
    struct mover v;
    struct pack_place x;
    struct pack_place y;
    struct pack_place z;
    mover_init(&v, &w.manifest);
    mover_leave(&v, &a.runs[0].pack, false, 0);
    mover_need(&v, &a.runs[0]);
    mover_need(&v, &a.runs[0]); /* by two */
    mover_need(&v, &c.runs[0]);
    assert_true(mover_run(&v, &w.scene->notes));
    assert_true(mover_place(&v, &a, &w.scene->arena, &x));
    assert_true(mover_place(&v, &c, &w.scene->arena, &y));
    assert_false(mover_place(&v, &b, &w.scene->arena, &z)); /* nobody needed it */
    assert_false(pack_id_eq(&x.runs[0].pack, &a.runs[0].pack));
    assert_int_equal(v.writer.puts[0].bytes < 7000, 1);
    assert_true(manifest_may_name(&w.manifest, &x.runs[0].pack));
    mover_free(&v);
    struct depot_reply reply;
    char key[PACK_KEY];
    assert_int_equal(depot_drop(w.depot, pack_key(&a.runs[0].pack, false, key), &reply),
                     DEPOT_DONE);
    expect_place(&w, &x);
    expect_place(&w, &y);
    works_end(&w);
}

static void damaged_object_is_left_behind_alone(void **state)
{
    struct works w;
    works_begin(&w, *state);
    struct pack_place a = add_blob(&w, 1);
    struct pack_place b = add_blob(&w, 2);
    struct pack_place c = add_blob(&w, 3);
    assert_true(pack_seal(&w.writer, &w.scene->notes));
    flip_byte(w.scene, only_file(w.scene, STR("p")), (off_t)b.runs[0].offset + 100);
    struct mover v;
    struct pack_place x;
    struct pack_place y;
    struct pack_place z;
    mover_init(&v, &w.manifest);
    mover_leave(&v, &a.runs[0].pack, false, 0);
    mover_need(&v, &a.runs[0]);
    mover_need(&v, &b.runs[0]);
    mover_need(&v, &c.runs[0]);
    assert_true(mover_run(&v, &w.scene->notes));
    assert_true(mover_place(&v, &a, &w.scene->arena, &x));
    assert_false(mover_place(&v, &b, &w.scene->arena, &y));
    assert_true(mover_place(&v, &c, &w.scene->arena, &z));
    expect_place(&w, &x);
    expect_place(&w, &z);
    mover_free(&v);
    works_end(&w);
}

static void plain_file_moves_as_one(void **state)
{
    struct works w;
    struct scene *s = *state;
    works_begin(&w, s);
    struct store keeper;
    struct store_finder none = {NULL, NULL};
    struct pack_place place;
    struct pack_place moved;
    struct mover v;
    write_file(s, STR("large"), noise(s, 3 << 20, 9));
    store_init(&keeper, w.depot, depot_dir_fd(w.depot), none);
    struct store_source from = {.dir = s->root, .path = STR("large")};
    assert_int_equal(store_path(&keeper, &from, &s->arena, &place, &s->notes), STORE_DONE);
    assert_true(store_seal(&keeper, &s->notes));
    store_free(&keeper);
    if (place.runs[0].count != 0) {
        works_end(&w);
        skip(); /* it was kept in chunks here */
    }
    mover_init(&v, &w.manifest);
    mover_leave(&v, &place.runs[0].pack, true, place.runs[0].length);
    mover_need(&v, &place.runs[0]);
    assert_true(mover_run(&v, &s->notes));
    assert_true(mover_place(&v, &place, &s->arena, &moved));
    assert_int_equal(moved.runs[0].count, 0);
    struct depot_reply reply;
    char key[PACK_KEY];
    assert_int_equal(depot_drop(w.depot, pack_key(&place.runs[0].pack, true, key), &reply),
                     DEPOT_DONE);
    expect_place(&w, &moved);
    mover_free(&v);
    works_end(&w);
}

static void place_that_takes_nothing_is_told(void **state)
{
    struct works w;
    works_begin(&w, *state);
    struct pack_place a = add_blob(&w, 1);
    assert_true(pack_seal(&w.writer, &w.scene->notes));
    struct depot *closed = depot_dir_open(w.scene->options.dir, false, &w.scene->notes);
    struct manifest m;
    manifest_init(&m, closed, true, manifest_world_real());
    struct mover v;
    mover_init(&v, &m);
    mover_leave(&v, &a.runs[0].pack, false, 0);
    mover_need(&v, &a.runs[0]);
    assert_false(mover_run(&v, &w.scene->notes));
    assert_int_equal(w.scene->notes.warnings, 1);
    mover_free(&v);
    manifest_free(&m);
    depot_close(closed);
    works_end(&w);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(needed_objects_move_once),
        CASE(damaged_object_is_left_behind_alone),
        CASE(plain_file_moves_as_one),
        CASE(place_that_takes_nothing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
