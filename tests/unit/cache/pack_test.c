/* SPDX-License-Identifier: MIT */
/* Packs: what goes in comes out, what is damaged is found, and none grows beyond its limit. */
#include "cache/pack.h"
#include "sandbox.h"

static struct ref blob_ref(const void *bytes, size_t n)
{
    return (struct ref){REF_BLOB, n, digest_of(bytes, n)};
}

static struct pack_run add(struct sandbox *s, struct pack_writer *w, const void *bytes, size_t n)
{
    struct ref ref = blob_ref(bytes, n);
    struct pack_run at;
    assert_true(pack_add(w, &ref, (struct str){bytes, n}, &at, &s->notes));
    return at;
}

static void flip(struct sandbox *s, const struct pack_id *id, uint64_t at)
{
    char key[PACK_KEY];
    uint8_t byte;
    pack_key(id, false, key);
    int fd = openat(s->from.folder, key, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 0x41;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static void pack_keys_are_hex(void **state)
{
    (void)state;
    struct pack_id id = pack_id_random(), back, other = pack_id_random();
    char key[PACK_KEY];
    bool plain;
    struct str name = pack_key(&id, false, key);
    assert_int_equal(name.n, 34);
    assert_true(pack_key_parse(name, &back, &plain));
    assert_true(pack_id_eq(&id, &back) && !plain && !pack_id_eq(&id, &other));
    assert_true(pack_key_parse(pack_key(&id, true, key), &back, &plain) && plain);
    assert_false(pack_key_parse(STR("p/xyz"), &back, &plain));
    assert_false(pack_key_parse(STR("q/00112233445566778899aabbccddeeff"), &back, &plain));
    assert_false(pack_key_parse(STR("p/00112233445566778899AABBCCDDEEFF"), &back, &plain));
    assert_false(pack_key_parse(STR("p/00112233445566778899aabbccddeeff0"), &back, &plain));
}

static void pack_entries_are_found_again(void **state)
{
    struct sandbox *s = *state;
    struct pack_writer w;
    pack_writer_init(&w, s->depot);
    uint8_t *noise = sandbox_bytes(s, "", 5000);
    char zeros[3000] = {0};
    struct pack_run a = add(s, &w, noise, 5000), b = add(s, &w, zeros, sizeof zeros),
                    c = add(s, &w, "", 0);
    assert_int_equal(a.offset, 8);
    assert_int_equal(a.offset + a.length, b.offset);
    assert_int_equal(b.offset + b.length, c.offset);
    assert_true(b.length < 100);
    assert_int_equal(sandbox_count(s, "cache/p"), 0); /* not put yet */
    assert_true(pack_seal(&w, &s->notes));
    assert_true(pack_seal(&w, &s->notes)); /* nothing more to do */
    assert_int_equal(sandbox_count(s, "cache/p"), 1);
    assert_int_equal(w.put_count, 1);
    assert_true(pack_id_eq(&w.puts[0].id, &a.pack));
    struct pack_footer footer;
    assert_int_equal(pack_read_footer(s->depot, &a.pack, 0, &s->arena, &footer), PACK_DONE);
    assert_int_equal(footer.count, 3);
    assert_int_equal(footer.at[0].offset, a.offset);
    assert_int_equal(footer.at[1].raw, sizeof zeros);
    assert_int_equal(pack_entry_length(&footer.at[1]), b.length);
    struct digest d = digest_of(noise, 5000);
    assert_true(digest_eq(&footer.at[0].digest, &d));
    struct pack_checked checked;
    assert_int_equal(pack_check(s->depot, &a.pack, &checked), PACK_DONE);
    assert_int_equal(checked.objects, 3);
    assert_int_equal(checked.bad_objects, 0);
    pack_writer_free(&w);
}

static void pack_absent_is_told(void **state)
{
    struct sandbox *s = *state;
    struct pack_id id = pack_id_random();
    struct pack_footer footer;
    struct pack_checked checked;
    assert_int_equal(pack_read_footer(s->depot, &id, 0, &s->arena, &footer), PACK_ABSENT);
    assert_int_equal(pack_check(s->depot, &id, &checked), PACK_ABSENT);
}

/* Whatever byte is damaged, somebody notices: the object, or the pack as a whole. */
static void pack_each_damaged_byte_is_found(void **state)
{
    struct sandbox *s = *state;
    struct pack_writer w;
    pack_writer_init(&w, s->depot);
    struct pack_run a = add(s, &w, "hello, hello, hello, hello, hello", 33);
    add(s, &w, "short", 5);
    assert_true(pack_seal(&w, &s->notes));
    uint64_t size = w.puts[0].bytes;
    for (uint64_t i = 0; i < size; i++) {
        struct pack_checked checked;
        flip(s, &a.pack, i);
        enum pack_answer answer = pack_check(s->depot, &a.pack, &checked);
        assert_true(answer == PACK_BAD || (answer == PACK_DONE && checked.bad_objects));
        flip(s, &a.pack, i);
    }
    struct pack_checked checked;
    assert_int_equal(pack_check(s->depot, &a.pack, &checked), PACK_DONE);
    pack_writer_free(&w);
}

static void pack_cut_short_is_bad(void **state)
{
    struct sandbox *s = *state;
    struct pack_writer w;
    pack_writer_init(&w, s->depot);
    struct pack_run a = add(s, &w, "hello", 5);
    assert_true(pack_seal(&w, &s->notes));
    char key[PACK_KEY], path[256];
    snprintf(path, sizeof path, "%s/cache/%s", s->dir, pack_key(&a.pack, false, key).s);
    for (off_t n = (off_t)w.puts[0].bytes - 1; n >= 0; n -= 7) {
        struct pack_footer footer;
        struct pack_checked checked;
        assert_int_equal(truncate(path, n), 0);
        assert_int_not_equal(pack_check(s->depot, &a.pack, &checked), PACK_DONE);
        assert_int_not_equal(pack_read_footer(s->depot, &a.pack, 0, &s->arena, &footer), PACK_DONE);
    }
    pack_writer_free(&w);
}

static void pack_is_put_at_its_target(void **state)
{
    struct sandbox *s = *state;
    struct pack_writer w;
    pack_writer_init(&w, s->depot);
    uint8_t *noise = sandbox_bytes(s, "", 256 << 10);
    for (uint32_t i = 0; i < 200; i++) {
        memcpy(noise, &i, sizeof i);
        add(s, &w, noise, 256 << 10);
    }
    assert_int_equal(w.put_count, 1);
    assert_in_range(w.puts[0].bytes, PACK_TARGET, PACK_TARGET + (600 << 10));
    assert_true(w.body.n > 0);
    assert_true(pack_seal(&w, &s->notes));
    assert_int_equal(sandbox_count(s, "cache/p"), 2);
    pack_writer_free(&w);
}

/* Large objects, such as trees of very many names, never make a pack of more than its limit. */
static void pack_stays_below_its_limit(void **state)
{
    struct sandbox *s = *state;
    struct pack_writer w;
    pack_writer_init(&w, s->depot);
    uint8_t *noise = sandbox_bytes(s, "", 40 << 20);
    struct ref ref = {REF_TREE, 31 << 20, digest_of(noise, 31 << 20)};
    struct pack_run at;
    assert_true(pack_add(&w, &ref, (struct str){(char *)noise, 31 << 20}, &at, &s->notes));
    assert_int_equal(w.put_count, 0);
    ref = (struct ref){REF_TREE, 40 << 20, digest_of(noise, 40 << 20)};
    assert_true(pack_add(&w, &ref, (struct str){(char *)noise, 40 << 20}, &at, &s->notes));
    assert_int_equal(w.put_count, 2);
    for (uint32_t i = 0; i < w.put_count; i++) {
        struct pack_checked checked;
        assert_true(w.puts[i].bytes <= PACK_LIMIT);
        assert_int_equal(pack_check(s->depot, &w.puts[i].id, &checked), PACK_DONE);
        assert_int_equal(checked.bad_objects, 0);
    }
    char *huge = calloc(1, 64 << 20);
    memset(huge, 'x', 64 << 20);
    struct pack_item item = {FRAME_RAW, {huge, 64 << 20}, 64 << 20, 0};
    assert_false(pack_add_stored(&w, &ref, &item, &at, &s->notes));
    assert_int_equal(w.body.n, 0);
    free(huge);
    pack_writer_free(&w);
}

static void pack_put_that_fails_is_told(void **state)
{
    struct sandbox *s = *state;
    char path[256];
    snprintf(path, sizeof path, "%s/cache", s->dir);
    struct depot *closed = depot_dir_open(str_from(path), false, &s->notes);
    struct pack_writer w;
    pack_writer_init(&w, closed);
    add(s, &w, "hello", 5);
    assert_false(pack_seal(&w, &s->notes));
    assert_int_equal(s->notes.warnings, 1);
    assert_int_equal(w.body.n, 0);
    assert_int_equal(w.put_count, 0);
    pack_writer_free(&w);
    depot_close(closed);
}

static void pack_runs_are_joined_where_they_touch(void **state)
{
    struct sandbox *s = *state;
    struct pack_runs runs = {.arena = &s->arena};
    struct pack_id p = {{1}}, q = {{2}};
    pack_runs_add(&runs, &(struct pack_run){p, 8, 10, 1});
    pack_runs_add(&runs, &(struct pack_run){p, 18, 5, 2});
    pack_runs_add(&runs, &(struct pack_run){p, 30, 5, 1}); /* a gap */
    pack_runs_add(&runs, &(struct pack_run){q, 35, 5, 1}); /* another pack */
    pack_runs_add(&runs, &(struct pack_run){q, 8, 5, 1});  /* back */
    pack_runs_add(&runs, &(struct pack_run){q, 0, 13, 0}); /* plain ones stand alone */
    pack_runs_add(&runs, &(struct pack_run){q, 13, 5, 1});
    assert_int_equal(runs.n, 6);
    assert_int_equal(runs.at[0].length, 15);
    assert_int_equal(runs.at[0].count, 3);
}

static void pack_run_is_copied(void **state)
{
    struct sandbox *s = *state;
    struct pack_writer w;
    pack_writer_init(&w, s->depot);
    struct pack_runs old = {.arena = &s->arena}, new = {.arena = &s->arena};
    add(s, &w, "dead", 4);
    struct pack_run a = add(s, &w, "alive", 5);
    pack_runs_add(&old, &a);
    a = add(s, &w, "and well, and well, and well, and well, and well", 48);
    pack_runs_add(&old, &a);
    add(s, &w, "dead too", 8);
    assert_true(pack_seal(&w, &s->notes));
    assert_int_equal(old.n, 1);
    assert_true(pack_copy_run(&w, s->depot, &old.at[0], &new, &s->notes));
    assert_true(pack_seal(&w, &s->notes));
    assert_int_equal(new.n, 1);
    assert_int_equal(new.at[0].count, 2);
    assert_int_equal(new.at[0].length, old.at[0].length);
    assert_false(pack_id_eq(&new.at[0].pack, &old.at[0].pack));
    struct pack_footer footer;
    assert_int_equal(pack_read_footer(s->depot, &new.at[0].pack, 0, &s->arena, &footer), PACK_DONE);
    struct digest d = digest_of("alive", 5);
    assert_int_equal(footer.count, 2);
    assert_true(digest_eq(&footer.at[0].digest, &d));
    /* What is damaged is not copied. */
    flip(s, &old.at[0].pack, old.at[0].offset + 4);
    assert_false(pack_copy_run(&w, s->depot, &old.at[0], &new, &s->notes));
    struct pack_run wrong = old.at[0];
    wrong.offset++;
    assert_false(pack_copy_run(&w, s->depot, &wrong, &new, &s->notes));
    wrong = old.at[0];
    wrong.count = 4;
    assert_false(pack_copy_run(&w, s->depot, &wrong, &new, &s->notes));
    pack_writer_free(&w);
}

static void pack_items_are_read_with_suspicion(void **state)
{
    (void)state;
    struct pack_item item;
    assert_true(pack_item_read(STR("\0\3\3abc"), &item));
    assert_int_equal(item.length, 6);
    assert_true(str_eq(item.stored, STR("abc")));
    assert_false(pack_item_read(STR("\0\3\3ab"), &item));  /* cut short */
    assert_false(pack_item_read(STR("\0\3\4abc"), &item)); /* raw, and not as long */
    assert_false(pack_item_read(STR("\2\3\3abc"), &item)); /* no such encoding */
    assert_false(pack_item_read(STR(""), &item));
    assert_false(pack_item_read(STR("\1\3\xff\xff\xff\xff\x0f"
                                    "abc"),
                                &item)); /* beyond any object */
    assert_false(pack_item_read(STR("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1abc"), &item));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_begin, sandbox_end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pack_keys_are_hex),
        TEST(pack_entries_are_found_again),
        TEST(pack_absent_is_told),
        TEST(pack_each_damaged_byte_is_found),
        TEST(pack_cut_short_is_bad),
        TEST(pack_is_put_at_its_target),
        TEST(pack_stays_below_its_limit),
        TEST(pack_put_that_fails_is_told),
        TEST(pack_runs_are_joined_where_they_touch),
        TEST(pack_run_is_copied),
        cmocka_unit_test(pack_items_are_read_with_suspicion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
