/* SPDX-License-Identifier: MIT */
/* Whose results are taken: of listed keys wherever they lie, and of this user on this machine; never because they lie
 * here. */
#include "cache/far.h"
#include "tests/unit/cache/door.h"

struct team {
    struct scene *a, *b; /* two machines; a has a key */
    struct str far_dir;
    struct sign_private key, other;
    struct trust_self self_a, self_b;
    struct trust list;
    struct far *far_a, *far_b;
};

static struct sign_private key_of(uint8_t n)
{
    uint8_t seed[SIGN_KEY] = {n};
    struct sign_private k;
    assert_true(sign_private_from(seed, &k));
    return k;
}

static struct far *open_far(struct team *t, struct scene *s)
{
    struct far_options o = {.url = str_join3(&t->a->arena, STR("file://"), t->far_dir, STR("")),
                            .read = true,
                            .write = true,
                            .near_dir = s->options.dir,
                            .trust = s->options.trust,
                            .self = s->options.self};
    struct far *f = far_open(&o, &s->notes);
    assert_non_null(f);
    return f;
}

static void open_all(struct team *t)
{
    if (t->far_a) {
        far_close(t->far_a);
        far_close(t->far_b);
    }
    reopen(t->a);
    reopen(t->b);
    t->far_a = open_far(t, t->a);
    t->far_b = open_far(t, t->b);
}

static int begin_team(void **state)
{
    struct team *t = calloc(1, sizeof *t);
    assert_int_equal(begin((void **)&t->a), 0);
    assert_int_equal(begin((void **)&t->b), 0);
    t->far_dir = path_join(&t->a->arena, str_from(t->a->dir), STR("far"));
    t->key = key_of(1);
    t->other = key_of(2);
    t->self_a.own_path = path_join(&t->a->arena, str_from(t->a->dir), STR("config/own"));
    t->self_b.own_path = path_join(&t->b->arena, str_from(t->b->dir), STR("config/own"));
    t->list = (struct trust){&t->key.public, 1, true};
    t->a->options.self = &t->self_a;
    t->b->options.self = &t->self_b;
    open_all(t);
    *state = t;
    return 0;
}

static int end_team(void **state)
{
    struct team *t = *state;
    far_close(t->far_a);
    far_close(t->far_b);
    void *a = t->a, *b = t->b;
    end(&a);
    end(&b);
    free(t);
    return 0;
}

static int64_t soon(void)
{
    return time_boot_ns() + INT64_C(60000000000);
}

static uint32_t push(struct team *t, struct scene *s, struct far *f, const char *name)
{
    struct far_pushed pushed;
    struct digest fp = fingerprint(name);
    (void)t;
    assert_true(cache_flush(s->cache, true, &s->notes));
    far_push(f, &fp, 1, soon(), &pushed, &s->notes);
    assert_true(pushed.whole);
    return pushed.results;
}

static uint32_t look(struct team *t, const char *name, struct far_hit **hits)
{
    struct digest fp = fingerprint(name);
    return far_lookup(t->far_b, &t->b->arena, &fp, INT64_MIN, hits, &t->b->notes);
}

static bool fetch(struct team *t, const char *name)
{
    struct far_hit *hits;
    if (look(t, name, &hits) == 0) {
        return false;
    }
    struct far_want want = {.hit = &hits[0]};
    far_fetch(t->far_b, &want, 1, soon(), &t->b->arena, &t->b->notes);
    return want.here;
}

static bool finds(struct scene *s, const struct trust *list, const char *name)
{
    struct cache_hit *hits;
    s->options.trust = list;
    reopen(s);
    return lookup(s, name, &hits) > 0;
}

/* a signs from here on. */
static void give_key(struct team *t, const struct sign_private *k)
{
    t->self_a.key = *k;
    t->self_a.signs = true;
    open_all(t);
}

static void own_results_count_whatever_is_listed(void **state)
{
    struct team *t = *state;
    struct trust none = {NULL, 0, true};
    store(t->a, "x", STR("x"), STR("1"));
    assert_true(finds(t->a, NULL, "x"));
    assert_true(finds(t->a, &none, "x"));
    assert_true(finds(t->a, &t->list, "x"));
    struct cache_hit *hits;
    static const struct trust_signer own;
    assert_int_equal(lookup(t->a, "x", &hits), 1);
    assert_memory_equal(&hits[0].signer, &own, sizeof own);
    assert_true(restore(t->a, "x"));
}

static void another_users_results_in_one_folder_do_not_count(void **state)
{
    struct team *t = *state;
    store(t->a, "x", STR("x"), STR("1"));
    assert_true(cache_flush(t->a->cache, true, &t->a->notes));
    t->a->options.self = &t->self_b;
    assert_true(finds(t->a, NULL, "x"));
    assert_false(finds(t->a, &t->list, "x"));
    t->a->options.self = NULL; /* who has no home has made nothing */
    assert_false(finds(t->a, &t->list, "x"));
    t->a->options.self = &t->self_a;
    assert_true(finds(t->a, &t->list, "x"));
}

static void own_results_count_after_compaction(void **state)
{
    struct team *t = *state;
    store(t->a, "x", STR("x"), STR("1"));
    assert_true(cache_flush(t->a->cache, true, &t->a->notes));
    store(t->a, "y", STR("y"), STR("2"));
    assert_true(cache_flush(t->a->cache, true, &t->a->notes));
    assert_int_equal(count_files(t->a, "m"), 2);
    struct cache_gc_options o = {.now = true};
    struct cache_gc_report report;
    assert_true(cache_gc(t->a->cache, &o, &report, &t->a->notes));
    assert_int_equal(count_files(t->a, "m"), 1);
    assert_true(finds(t->a, &t->list, "x"));
    assert_true(finds(t->a, &t->list, "y"));
}

static void listed_keys_count_and_no_others(void **state)
{
    struct team *t = *state;
    struct far_hit *hits;
    store(t->a, "unsigned", STR("x"), STR("1"));
    assert_int_equal(push(t, t->a, t->far_a, "unsigned"), 1);
    give_key(t, &t->other);
    store(t->a, "other", STR("x"), STR("2"));
    assert_int_equal(push(t, t->a, t->far_a, "other"), 1);
    give_key(t, &t->key);
    store(t->a, "good", STR("x"), STR("3"));
    assert_int_equal(push(t, t->a, t->far_a, "good"), 1);
    t->b->options.trust = &t->list;
    open_all(t);
    assert_int_equal(look(t, "unsigned", &hits), 0);
    assert_int_equal(look(t, "other", &hits), 0);
    assert_int_equal(look(t, "good", &hits), 1);
    assert_memory_equal(hits[0].signer.id, t->key.public.id, SIGN_ID);
    assert_true(fetch(t, "good"));
    assert_true(finds(t->b, &t->list, "good"));
    assert_true(restore(t->b, "good"));
    expect_file(t->b, STR("x"), STR("3"));
}

static void what_was_fetched_is_not_own(void **state)
{
    struct team *t = *state;
    t->self_a.own_path = t->self_b.own_path; /* even where it was made under the same name */
    store(t->a, "unsigned", STR("x"), STR("1"));
    assert_int_equal(push(t, t->a, t->far_a, "unsigned"), 1);
    give_key(t, &t->other);
    store(t->a, "other", STR("x"), STR("2"));
    assert_int_equal(push(t, t->a, t->far_a, "other"), 1);
    assert_true(fetch(t, "unsigned")); /* b has no list */
    assert_true(fetch(t, "other"));
    assert_true(finds(t->b, NULL, "unsigned"));
    assert_true(finds(t->b, NULL, "other"));
    assert_false(finds(t->b, &t->list, "unsigned"));
    assert_false(finds(t->b, &t->list, "other"));
    struct trust both = {(struct sign_public[]){t->key.public, t->other.public}, 2, true};
    assert_true(finds(t->b, &both, "other"));
}

static void revoked_key_counts_no_more(void **state)
{
    struct team *t = *state;
    give_key(t, &t->key);
    store(t->a, "x", STR("x"), STR("1"));
    assert_int_equal(push(t, t->a, t->far_a, "x"), 1);
    t->b->options.trust = &t->list;
    open_all(t);
    assert_true(fetch(t, "x"));
    struct trust next = {&t->other.public, 1, true};
    assert_true(finds(t->b, &t->list, "x"));
    assert_false(finds(t->b, &next, "x"));
    open_all(t);
    struct far_hit *hits;
    assert_int_equal(look(t, "x", &hits), 0);
}

static void own_results_are_signed_when_there_is_a_key(void **state)
{
    struct team *t = *state;
    struct far_hit *hits;
    store(t->a, "x", STR("x"), STR("1"));
    assert_int_equal(push(t, t->a, t->far_a, "x"), 1);
    t->b->options.trust = &t->list;
    give_key(t, &t->key);
    assert_int_equal(look(t, "x", &hits), 0);
    struct far_count before = far_place_count(far_place_of(t->far_a));
    assert_int_equal(push(t, t->a, t->far_a, "x"), 1); /* the same row, under a name now */
    assert_int_equal(push(t, t->a, t->far_a, "x"), 0);
    assert_int_equal(far_place_count(far_place_of(t->far_a)).puts - before.puts, 1);
    open_all(t);
    assert_int_equal(look(t, "x", &hits), 1);
}

static void signed_blocks_are_passed_on_as_they_are(void **state)
{
    struct team *t = *state;
    struct far_hit *hits;
    give_key(t, &t->key);
    store(t->a, "x", STR("x"), STR("1"));
    store(t->a, "y", STR("y"), STR("2"));
    assert_int_equal(push(t, t->a, t->far_a, "x"), 1);
    assert_int_equal(push(t, t->a, t->far_a, "y"), 1);
    assert_true(fetch(t, "x"));
    t->far_dir = path_join(&t->a->arena, str_from(t->a->dir), STR("further"));
    t->self_b.key = t->other; /* b has a name too, and does not put it under what it did not make */
    t->self_b.signs = true;
    open_all(t);
    assert_int_equal(push(t, t->b, t->far_b, "x"), 1);
    t->b->options.trust = &t->list;
    open_all(t);
    assert_int_equal(look(t, "x", &hits), 1);
    assert_memory_equal(hits[0].signer.id, t->key.public.id, SIGN_ID);
    assert_int_equal(look(t, "y", &hits), 0);
}

/* A block that names a listed key and is not signed by it, with the same row as the one that is. */
static void forged_name_hides_nothing(void **state)
{
    struct team *t = *state;
    struct arena *a = &t->a->arena;
    struct far_hit *hits;
    give_key(t, &t->other);
    store(t->a, "x", STR("x"), STR("1"));
    assert_int_equal(push(t, t->a, t->far_a, "x"), 1);
    struct str dir = path_join(a, t->far_dir, STR("m"));
    struct file_entry *entries;
    struct str bytes;
    uint32_t count;
    assert_true(file_list(a, FILE_CWD, dir, &entries, &count));
    assert_int_equal(count, 1);
    assert_true(file_read_quiet(a, FILE_CWD, path_join(a, dir, entries[0].name), 1 << 20, &bytes));
    struct segment s;
    struct segment_draft d;
    struct buf block, out;
    assert_int_equal(segment_read(bytes, &s), SEGMENT_GOOD);
    for (int forged = 1; forged >= 0; forged--) {
        segment_draft_init(&d);
        buf_init(&block, SEGMENT_RAW_LIMIT);
        buf_init(&out, SEGMENT_STORED_LIMIT);
        segment_block_put(&block, STR("me"), 1, &s.rows.at[0].row, 1);
        assert_true(segment_block_sign(&block, &t->key));
        block.s[block.n - 1] = (char)(block.s[block.n - 1] ^ forged);
        segment_draft_add_block(&d, buf_str(&block));
        for (uint32_t i = 0; i < s.places.n; i++) {
            struct pack_place p;
            segment_place_read(&s, &s.places.at[i], a, &p);
            segment_draft_add_place(&d, &p);
        }
        assert_true(segment_draft_write(&d, &out));
        char key[SEGMENT_NAME];
        struct str name = segment_key(time_now_ns() / 1000000, 5 - (uint64_t)forged, key);
        assert_true(
            file_write(FILE_CWD, path_join(a, t->far_dir, name), buf_str(&out), 0600, false));
        segment_draft_free(&d);
        buf_free(&block);
        buf_free(&out);
        t->b->options.trust = &t->list;
        open_all(t);
        assert_int_equal(look(t, "x", &hits), forged ? 0 : 1);
    }
    segment_free(&s);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin_team, end_team)
    const struct CMUnitTest tests[] = {
        CASE(own_results_count_whatever_is_listed),
        CASE(another_users_results_in_one_folder_do_not_count),
        CASE(own_results_count_after_compaction),
        CASE(listed_keys_count_and_no_others),
        CASE(what_was_fetched_is_not_own),
        CASE(revoked_key_counts_no_more),
        CASE(own_results_are_signed_when_there_is_a_key),
        CASE(signed_blocks_are_passed_on_as_they_are),
        CASE(forged_name_hides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
