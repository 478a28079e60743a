/* SPDX-License-Identifier: MIT */
/* Storing: nothing twice, nothing that is not what it is said to be, and no loss that is not told. */
#include "cache/object.h"
#include "cache/store.h"
#include "sandbox.h"

static struct store open_store(struct sandbox *s)
{
    struct store store;
    store_init(&store, s->depot, s->from.folder, (struct store_finder){0});
    return store;
}

static struct pack_place keep(struct sandbox *s, struct store *store, const char *path)
{
    struct pack_place place = {0};
    struct store_source from = {s->root, str_from(path), NULL, NULL};
    assert_int_equal(store_path(store, &from, &s->arena, &place, &s->notes), STORE_DONE);
    return place;
}

/* Half of it compresses, and no two chunks are alike. */
static uint8_t *half_noise(struct sandbox *s, size_t n)
{
    uint8_t *bytes = sandbox_bytes(s, "half", n);
    for (size_t i = 0; i + 64 <= n; i += 64) {
        memset(bytes + i, 0, 32);
    }
    return bytes;
}

static void store_tells_what_is_there(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    struct object_seen seen;
    sandbox_text(s, "a", "hello");
    sandbox_text(s, "d/x", "x");
    struct pack_place a = keep(s, &store, "a"), d = keep(s, &store, "d");
    assert_true(object_digest(s->root, STR("a"), &seen, &s->notes));
    assert_true(ref_eq(&a.root, &seen.ref));
    assert_true(object_digest(s->root, STR("d"), &seen, &s->notes));
    assert_true(ref_eq(&d.root, &seen.ref));
    int64_t since;
    assert_true(store_waiting(&store, &since) > 0 && since > 0);
    store_free(&store);
}

static void store_same_content_lies_once(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    sandbox_text(s, "a", "hello");
    sandbox_text(s, "b", "hello");
    sandbox_text(s, "d/c", "hello");
    struct pack_place a = keep(s, &store, "a");
    uint32_t count = store.writer.count;
    struct pack_place b = keep(s, &store, "b");
    assert_int_equal(store.writer.count, count);
    assert_int_equal(b.runs[0].offset, a.runs[0].offset);
    struct pack_place d = keep(s, &store, "d");
    assert_int_equal(store.writer.count, count + 1); /* its tree */
    assert_int_equal(d.run_count, 2);
    assert_true(store_seal(&store, &s->notes));
    assert_int_equal(fetch_check(&s->from, &d), FETCH_DONE);
    store_free(&store);
}

static void store_changed_content_is_told(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    static const char *const PATHS[] = {"a", "d", "big"};
    sandbox_text(s, "a", "hello");
    sandbox_text(s, "d/x", "hello");
    size_t n = 2 << 20;
    uint8_t *bytes = half_noise(s, n);
    sandbox_write(s, "big", bytes, n, 0600);
    for (int i = 0; i < 3; i++) {
        struct object_seen seen;
        struct pack_place place;
        struct str path = str_from(PATHS[i]);
        assert_true(object_digest(s->root, path, &seen, &s->notes));
        sandbox_text(s, i == 0 ? "a" : "d/x", "world");
        bytes[1 << 20] ^= 1;
        sandbox_write(s, "big", bytes, n, 0600);
        struct store_source from = {s->root, path, &seen.ref, NULL};
        assert_int_equal(store_path(&store, &from, &s->arena, &place, &s->notes), STORE_CHANGED);
        assert_int_equal(s->notes.warnings, i + 1);
        assert_string_equal(s->notes.all.at[i].code, "output-changed");
        sandbox_text(s, "d/x", "hello");
    }
    assert_int_equal(s->notes.errors, 0);
    store_free(&store);
}

static void store_absent_and_unfit_are_told(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    struct pack_place place;
    struct store_source from = {s->root, STR("nothing"), NULL, NULL};
    assert_int_equal(store_path(&store, &from, &s->arena, &place, &s->notes), STORE_CHANGED);
    assert_int_equal(mkfifoat(s->root, "fifo", 0600), 0);
    from.path = STR("fifo");
    assert_int_equal(store_path(&store, &from, &s->arena, &place, &s->notes), STORE_FAILED);
    assert_int_equal(s->notes.warnings, 2);
    assert_int_equal(s->notes.errors, 0);
    store_free(&store);
}

static bool find_it(void *context, const struct ref *root, struct arena *a, struct pack_place *out)
{
    const struct pack_place *known = context;
    (void)a;
    if (!ref_eq(root, &known->root)) {
        return false;
    }
    *out = *known;
    return true;
}

static void store_what_has_a_place_is_not_even_read(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    sandbox_text(s, "a", "hello");
    struct pack_place known = keep(s, &store, "a"), found = {0};
    assert_true(store_seal(&store, &s->notes));
    store_free(&store);
    store_init(&store, s->depot, s->from.folder, (struct store_finder){find_it, &known});
    struct store_source from = {s->root, STR("gone"), &known.root, NULL};
    assert_int_equal(store_path(&store, &from, &s->arena, &found, &s->notes), STORE_DONE);
    assert_ptr_equal(found.runs, known.runs);
    from = (struct store_source){s->root, STR("a"), NULL, NULL}; /* known once it was read */
    assert_int_equal(store_path(&store, &from, &s->arena, &found, &s->notes), STORE_DONE);
    assert_ptr_equal(found.runs, known.runs);
    assert_int_equal(store.writer.body.n, 0);
    store_free(&store);
}

static uint64_t all_packs(const struct store *store)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < store->writer.put_count; i++) {
        sum += store->writer.puts[i].bytes;
    }
    return sum;
}

/* Another process stored the first version: the second costs what changed. */
static void store_learns_from_packs(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    store.folder = -1;
    size_t n = 8 << 20;
    uint8_t *bytes = half_noise(s, n);
    sandbox_write(s, "big", bytes, n, 0600);
    struct pack_place first = keep(s, &store, "big");
    assert_true(store_seal(&store, &s->notes));
    store_free(&store);
    store = open_store(s);
    store.folder = -1;
    store_learn(&store, &first);
    store_learn(&store, &first);
    memset(bytes + (3 << 20), 'x', 1000);
    memmove(bytes + (6 << 20) + 10, bytes + (6 << 20), (2 << 20) - 10);
    sandbox_write(s, "big", bytes, n, 0600);
    struct pack_place second = keep(s, &store, "big");
    assert_true(store_seal(&store, &s->notes));
    assert_true(all_packs(&store) < 500 << 10);
    assert_true(second.run_count > 1);
    assert_int_equal(fetch_check(&s->from, &second), FETCH_DONE);
    assert_int_equal(fetch_check(&s->from, &first), FETCH_DONE);
    store_free(&store);
}

/* A plain file shares nothing with the next version: from the second on it is kept in chunks. */
static void store_noise_that_changes_is_not_plain(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    size_t n = 4 << 20;
    uint8_t *bytes = sandbox_bytes(s, "", n);
    if (sandbox_reflinks(s)) {
        skip();
    }
    sandbox_write(s, "noise", bytes, n, 0600);
    struct pack_place last = keep(s, &store, "noise");
    assert_int_equal(last.runs[0].count, 0);
    for (int version = 2; version <= 3; version++) {
        struct store_source from = {s->root, STR("noise"), NULL, &last};
        struct pack_place place = {0};
        store_free(&store);
        store = open_store(s); /* another process */
        bytes[2000000] ^= (uint8_t)version;
        sandbox_write(s, "noise", bytes, n, 0600);
        assert_int_equal(store_path(&store, &from, &s->arena, &place, &s->notes), STORE_DONE);
        assert_true(store_seal(&store, &s->notes));
        assert_int_equal(sandbox_count(s, "cache/b"), 1);
        assert_true(version == 2 || all_packs(&store) < 500 << 10);
        assert_int_equal(fetch_check(&s->from, &place), FETCH_DONE);
        last = place;
    }
    store_free(&store);
}

/* What is mostly known goes into packs, whether it compresses or not. */
static void store_noise_with_known_chunks_is_not_plain(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    store.folder = -1;
    size_t n = 4 << 20;
    uint8_t *bytes = sandbox_bytes(s, "", n);
    sandbox_write(s, "noise", bytes, n, 0600);
    keep(s, &store, "noise");
    assert_int_equal(sandbox_count(s, "cache/b"), 0);
    store.folder = s->from.folder;
    bytes[2000000] ^= 1;
    sandbox_write(s, "noise", bytes, n, 0600);
    struct pack_place place = keep(s, &store, "noise");
    assert_true(store_seal(&store, &s->notes));
    assert_int_equal(sandbox_count(s, "cache/b"), sandbox_reflinks(s));
    assert_int_equal(fetch_check(&s->from, &place), FETCH_DONE);
    store_free(&store);
}

/* What the path is said to be, as a build knows it from hashing it. */
static enum store_answer keep_expected(struct sandbox *s, struct store *store, struct ref expect,
                                       struct pack_place *out)
{
    struct store_source from = {s->root, STR("noise"), &expect, NULL};
    return store_path(store, &from, &s->arena, out, &s->notes);
}

/* One pass hashes and writes; nothing is kept of a file that turns out to be another. */
static void store_noise_that_is_expected_is_held_against_it(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    size_t n = (9 << 20) + 12345; /* enough for threads */
    uint8_t *bytes = sandbox_bytes(s, "", n);
    struct object_seen seen;
    struct pack_place place;
    sandbox_write(s, "noise", bytes, n, 0600);
    assert_true(object_digest(s->root, STR("noise"), &seen, &s->notes));
    bytes[8000000] ^= 1;
    sandbox_write(s, "noise", bytes, n, 0600);
    assert_int_equal(keep_expected(s, &store, seen.ref, &place), STORE_CHANGED);
    assert_string_equal(s->notes.all.at[0].code, "output-changed");
    sandbox_write(s, "noise", bytes, n - 1, 0600); /* of another size */
    assert_int_equal(keep_expected(s, &store, seen.ref, &place), STORE_CHANGED);
    assert_int_equal(sandbox_count(s, "cache/b"), 0);
    assert_int_equal(sandbox_count(s, "cache/tmp"), 0);
    bytes[8000000] ^= 1;
    sandbox_write(s, "noise", bytes, n, 0600);
    assert_int_equal(keep_expected(s, &store, seen.ref, &place), STORE_DONE);
    assert_int_equal(keep_expected(s, &store, seen.ref, &place), STORE_DONE);
    assert_int_equal(place.run_count, 1);
    assert_int_equal(sandbox_count(s, "cache/b"), 1);
    assert_int_equal(fetch_check(&s->from, &place), FETCH_DONE);
    store_free(&store);
}

/* … and once its chunks are known to lie in packs, the copy is given up. */
static void store_noise_that_is_expected_and_known_is_not_plain(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    if (sandbox_reflinks(s)) {
        skip();
    }
    store.folder = -1;
    size_t n = 4 << 20;
    uint8_t *bytes = sandbox_bytes(s, "", n);
    struct object_seen seen;
    struct pack_place place;
    sandbox_write(s, "noise", bytes, n, 0600);
    keep(s, &store, "noise");
    store.folder = s->from.folder;
    bytes[2000000] ^= 1;
    sandbox_write(s, "noise", bytes, n, 0600);
    assert_true(object_digest(s->root, STR("noise"), &seen, &s->notes));
    assert_int_equal(keep_expected(s, &store, seen.ref, &place), STORE_DONE);
    assert_true(store_seal(&store, &s->notes));
    assert_int_equal(sandbox_count(s, "cache/b"), 0);
    assert_int_equal(sandbox_count(s, "cache/tmp"), 0);
    assert_int_equal(fetch_check(&s->from, &place), FETCH_DONE);
    store_free(&store);
}

static void store_forgotten_packs_are_not_counted_on(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    sandbox_text(s, "a", "hello");
    struct pack_place first = keep(s, &store, "a");
    assert_true(store_seal(&store, &s->notes));
    assert_false(store_is_lost(&store, &first));
    store_forget(&store, &first.runs[0].pack);
    assert_true(store_is_lost(&store, &first));
    struct pack_place second = keep(s, &store, "a");
    assert_false(pack_id_eq(&first.runs[0].pack, &second.runs[0].pack));
    store_learn(&store, &first); /* gone is gone */
    assert_false(store_is_lost(&store, &second));
    store_free(&store);
}

static void store_seal_that_fails_voids_the_places(void **state)
{
    struct sandbox *s = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/cache", s->dir);
    struct depot *closed = depot_dir_open(str_from(path), false, &s->notes);
    struct store store;
    store_init(&store, closed, -1, (struct store_finder){0});
    sandbox_text(s, "a", "hello");
    struct pack_place a = keep(s, &store, "a");
    assert_false(store_seal(&store, &s->notes));
    assert_true(store_is_lost(&store, &a));
    struct pack_place again = keep(s, &store, "a"); /* and is not taken for known */
    assert_false(store_is_lost(&store, &again));
    store_free(&store);
    depot_close(closed);
}

/* Packs fill up while one result is stored: its place names them all. */
static void store_large_file_spans_packs(void **state)
{
    struct sandbox *s = *state;
    struct store store = open_store(s);
    store.folder = -1;
    size_t n = 40 << 20;
    uint8_t *bytes = sandbox_bytes(s, "span", n);
    sandbox_write(s, "big", bytes, n, 0600);
    struct pack_place place = keep(s, &store, "big");
    assert_true(store_seal(&store, &s->notes));
    assert_int_equal(store.writer.put_count, 2);
    assert_int_equal(place.run_count, 2);
    assert_int_equal(fetch_check(&s->from, &place), FETCH_DONE);
    store_free(&store);
}

static void known_grows_and_forgets(void **state)
{
    (void)state;
    struct known k;
    known_init(&k);
    struct pack_run at = {pack_id_random(), 8, 100, 1}, found;
    for (uint32_t i = 0; i < 5000; i++) {
        struct ref ref = {REF_BLOB, i, digest_of(&i, sizeof i)};
        at.offset = i;
        known_add(&k, &ref, &at);
    }
    for (uint32_t i = 0; i < 5001; i++) {
        struct ref ref = {REF_BLOB, i, digest_of(&i, sizeof i)};
        assert_int_equal(known_find(&k, &ref, &found), i < 5000);
        assert_true(i == 5000 || found.offset == i);
        ref.kind = REF_LIST; /* a digest without its kind is nothing */
        assert_false(known_find(&k, &ref, &found));
    }
    assert_true(known_learn(&k, &at.pack));
    assert_false(known_learn(&k, &at.pack));
    known_forget_pack(&k, &at.pack);
    uint32_t i = 7;
    struct ref ref = {REF_BLOB, i, digest_of(&i, sizeof i)};
    assert_false(known_find(&k, &ref, &found));
    struct pack_run other = {pack_id_random(), 1, 1, 1};
    known_add(&k, &ref, &other);
    assert_true(known_find(&k, &ref, &found));
    assert_true(pack_id_eq(&found.pack, &other.pack));
    known_free(&k);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_begin, sandbox_end)
    const struct CMUnitTest tests[] = {
        TEST(store_tells_what_is_there),
        TEST(store_same_content_lies_once),
        TEST(store_changed_content_is_told),
        TEST(store_absent_and_unfit_are_told),
        TEST(store_what_has_a_place_is_not_even_read),
        TEST(store_learns_from_packs),
        TEST(store_noise_that_changes_is_not_plain),
        TEST(store_noise_with_known_chunks_is_not_plain),
        TEST(store_noise_that_is_expected_is_held_against_it),
        TEST(store_noise_that_is_expected_and_known_is_not_plain),
        TEST(store_forgotten_packs_are_not_counted_on),
        TEST(store_seal_that_fails_voids_the_places),
        TEST(store_large_file_spans_packs),
        cmocka_unit_test(known_grows_and_forgets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
