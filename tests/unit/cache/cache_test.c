/* SPDX-License-Identifier: MIT */
/* The door, over a real folder: what is stored comes back, in this process and in the next. */
#include "tests/unit/cache/door.h"
#include "tests/unit/cache/whole.h"

static void result_comes_back_in_the_next_process(void **state)
{
    struct scene *s = *state;
    uint64_t sequence = store(s, "a", STR("out/a.txt"), STR("hello\n"));
    assert_int_equal(sequence, 1);
    assert_true(cache_flush(s->cache, true, &s->notes));
    assert_int_equal(cache_committed(s->cache), 1);
    reopen(s);
    assert_true(file_remove_tree(s->root, STR("out")));
    assert_true(restore(s, "a"));
    expect_file(s, STR("out/a.txt"), STR("hello\n"));
    assert_int_equal(s->notes.all.n, 0);
}

static void result_is_found_before_the_process_ends(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("hello\n"));
    assert_true(cache_flush(s->cache, true, &s->notes));
    assert_true(file_remove(s->root, STR("a.txt")));
    assert_true(restore(s, "a"));
    expect_file(s, STR("a.txt"), STR("hello\n"));
}

static void large_file_and_folder_come_back(void **state)
{
    struct scene *s = *state;
    struct str large = noise(s, 3 << 20, 1);
    write_file(s, STR("d/one"), STR("1"));
    write_file(s, STR("d/sub/two"), STR("2"));
    write_file(s, STR("d/large"), noise(s, 2 << 20, 2));
    write_file(s, STR("large"), large);
    struct record r = record_of(s, "a", STR("large"));
    struct record_output outputs[] = {r.outputs[0], output_of(s, STR("d"))};
    r.outputs = outputs;
    r.output_count = 2;
    uint64_t sequence;
    assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    reopen(s);
    assert_true(file_remove_tree(s->root, STR("d")));
    assert_true(file_remove(s->root, STR("large")));
    assert_true(restore(s, "a"));
    expect_file(s, STR("large"), large);
    expect_file(s, STR("d/sub/two"), STR("2"));
    expect_file(s, STR("d/large"), noise(s, 2 << 20, 2));
}

static void log_comes_back(void **state)
{
    struct scene *s = *state;
    write_file(s, STR("a.txt"), STR("a"));
    write_file(s, STR("log"), STR("it ran\n"));
    struct record r = record_of(s, "a", STR("a.txt"));
    uint64_t sequence;
    assert_true(cache_store(s->cache, &r, s->root, STR("log"), &sequence, &s->notes));
    assert_int_equal(r.log.kind, REF_BLOB);
    reopen(s);
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "a", &hits), 1);
    struct buf b = {0};
    const struct ref *log = &hits[0].record.log;
    assert_true(cache_read(s->cache, &hits[0], log, 100, &b, &s->notes));
    assert_true(str_eq(buf_str(&b), STR("it ran\n")));
    buf_free(&b);
    assert_false(cache_read(s->cache, &hits[0], log, 3, &b, &s->notes));
    buf_free(&b);
}

/* Bytes and log lie there since the first result; the second says again where. */
static void each_segment_holds_places_for_all_its_roots(void **state)
{
    struct scene *s = *state;
    static const char *const NAMES[] = {"a", "b", "c"};
    write_file(s, STR("a.txt"), STR("a"));
    write_file(s, STR("d/large"), noise(s, 2 << 20, 1));
    write_file(s, STR("log"), STR("it ran\n"));
    for (int i = 0; i < 3; i++) {
        struct record r = record_of(s, NAMES[i], STR("a.txt"));
        struct record_output outputs[] = {r.outputs[0], output_of(s, STR("d"))};
        uint64_t sequence;
        r.outputs = outputs;
        r.output_count = 2;
        assert_true(cache_store(s->cache, &r, s->root, STR("log"), &sequence, &s->notes));
        assert_true(cache_flush(s->cache, true, &s->notes));
        if (i == 1) {
            reopen(s);
        }
    }
    assert_int_equal(count_files(s, "m"), 3);
    assert_int_equal(expect_whole_segments(s->options.dir), 3);
}

static void two_caches_see_each_others_results(void **state)
{
    struct scene *s = *state;
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "a", &hits), 0);
    struct cache *mine = s->cache;
    s->cache = cache_open(&s->options, &s->notes);
    store(s, "a", STR("a.txt"), STR("from the other"));
    cache_close(s->cache, &s->notes);
    s->cache = mine;
    assert_int_equal(lookup(s, "a", &hits), 1);
    assert_true(restore(s, "a"));
}

static void newest_wins_and_each_set_of_inputs_counts(void **state)
{
    struct scene *s = *state;
    write_file(s, STR("a.txt"), STR("a"));
    struct record r = record_of(s, "a", STR("a.txt"));
    struct record_input in = {STR("x.h"), REF_BLOB, fingerprint("x1")};
    uint64_t sequence;
    r.inputs = &in;
    r.input_count = 1;
    r.success_ms = 1000;
    assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    r.success_ms = 2000;
    assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    in.digest = fingerprint("x2");
    r.success_ms = 1500;
    assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    assert_true(cache_flush(s->cache, true, &s->notes));
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "a", &hits), 2);
    assert_int_equal(hits[0].record.success_ms, 2000);
    assert_int_equal(hits[1].record.success_ms, 1500);
    struct digest fp = fingerprint("a");
    assert_int_equal(cache_lookup(s->cache, &s->arena, &fp, 1800, &hits, &s->notes), 1);
    assert_int_equal(cache_lookup(s->cache, &s->arena, &fp, 2001, &hits, &s->notes), 0);
}

static void success_in_the_future_counts_only_without_a_bound(void **state)
{
    struct scene *s = *state;
    write_file(s, STR("a.txt"), STR("a"));
    struct record r = record_of(s, "a", STR("a.txt"));
    r.success_ms += 3600000;
    uint64_t sequence;
    assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    assert_true(cache_flush(s->cache, true, &s->notes));
    struct cache_hit *hits;
    struct digest fp = fingerprint("a");
    assert_int_equal(cache_lookup(s->cache, &s->arena, &fp, 0, &hits, &s->notes), 0);
    assert_int_equal(lookup(s, "a", &hits), 1);
}

static void output_that_changed_is_not_stored(void **state)
{
    struct scene *s = *state;
    write_file(s, STR("a.txt"), STR("a"));
    struct record r = record_of(s, "a", STR("a.txt"));
    write_file(s, STR("a.txt"), STR("something else"));
    uint64_t sequence;
    assert_false(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    assert_true(cache_flush(s->cache, true, &s->notes));
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "a", &hits), 0);
    store(s, "b", STR("b.txt"), STR("b")); /* others are not hurt */
    assert_true(cache_flush(s->cache, true, &s->notes));
    assert_int_equal(lookup(s, "b", &hits), 1);
}

static void many_results_are_few_files(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < 300; i++) {
        char name[32];
        char text[32];
        snprintf(name, sizeof name, "f%d", i);
        snprintf(text, sizeof text, "text %d\n", i);
        store(s, name, str_from(name), str_from(text));
    }
    reopen(s);
    assert_true(count_files(s, "p") <= 8); /* one a second, and the end */
    assert_true(count_files(s, "m") <= 8);
    assert_int_equal(count_files(s, "tmp"), 0);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "f%d", i);
        assert_true(file_remove(s->root, str_from(name)));
        assert_true(restore(s, name));
    }
}

static void equal_bytes_are_stored_once(void **state)
{
    struct scene *s = *state;
    struct str text = noise(s, 500000, 7);
    store(s, "a", STR("a.bin"), text);
    reopen(s);
    uint32_t packs = count_files(s, "p");
    store(s, "b", STR("b.bin"), text);
    reopen(s);
    assert_int_equal(count_files(s, "p"), packs);
    assert_true(file_remove(s->root, STR("b.bin")));
    assert_true(restore(s, "b"));
    expect_file(s, STR("b.bin"), text);
}

static uint64_t pack_bytes(struct scene *s)
{
    struct file_entry *entries;
    uint32_t count;
    uint64_t bytes = 0;
    struct str dir = path_join(&s->arena, s->options.dir, STR("p"));
    assert_true(file_list(&s->arena, FILE_CWD, dir, &entries, &count));
    for (uint32_t i = 0; i < count; i++) {
        struct file_sig sig =
            file_stat(FILE_CWD, path_join(&s->arena, dir, entries[i].name), false);
        bytes += sig.size;
    }
    return bytes;
}

/* Text that compresses, so that it goes in chunks and not as a plain file. */
static char *book(struct scene *s, size_t n)
{
    struct str bytes = noise(s, n, 11);
    char *text = arena_alloc(&s->arena, n, 1);
    for (size_t i = 0; i < n; i++) {
        text[i] = (char)('a' + (bytes.s[i] & 15));
    }
    return text;
}

static void new_version_of_a_large_file_costs_what_changed(void **state)
{
    struct scene *s = *state;
    const size_t n = 4 << 20;
    char *text = book(s, n);
    store(s, "v1", STR("large"), (struct str){text, n});
    reopen(s); /* a new process knows nothing but what it reads */
    uint64_t before = pack_bytes(s);
    memcpy(text + n / 2, "CHANGED", 7);
    store(s, "v2", STR("large"), (struct str){text, n});
    reopen(s);
    assert_true(before > n / 4);
    assert_true(pack_bytes(s) - before < before / 5);
    assert_true(file_remove(s->root, STR("large")));
    assert_true(restore(s, "v2"));
    expect_file(s, STR("large"), (struct str){text, n});
}

static void lost_pack_is_a_miss(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("a"));
    reopen(s);
    struct str packs = path_join(&s->arena, s->options.dir, STR("p"));
    assert_true(file_remove_tree(FILE_CWD, packs));
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "a", &hits), 0);
    store(s, "a", STR("a.txt"), STR("a")); /* and can be stored anew */
    reopen(s);
    assert_true(restore(s, "a"));
}

static void garbled_pack_puts_nothing_in_place(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("some text that is here"));
    reopen(s);
    flip_byte(s, only_file(s, STR("p")), 20);
    assert_true(file_remove(s->root, STR("a.txt")));
    assert_false(restore(s, "a"));
    assert_false(exists(s, STR("a.txt")));
    assert_int_equal(s->notes.errors, 0);
}

static void garbled_segment_is_told_once_and_absent(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("a"));
    reopen(s);
    flip_byte(s, only_file(s, STR("m")), 70);
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "a", &hits), 0);
    assert_int_equal(lookup(s, "a", &hits), 0);
    assert_int_equal(s->notes.warnings, 1);
    assert_string_equal(s->notes.all.at[0].code, "cache-damaged");
    store(s, "a", STR("a.txt"), STR("a"));
    reopen(s);
    assert_int_equal(lookup(s, "a", &hits), 1);
}

static void read_only_cache_restores_and_never_stores(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("a"));
    s->options.read_only = true;
    reopen(s);
    assert_true(restore(s, "a"));
    struct record r = record_of(s, "b", STR("a.txt"));
    uint64_t sequence;
    assert_false(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    assert_int_equal(s->notes.all.n, 0);
}

static void read_only_cache_without_a_folder_is_silent(void **state)
{
    struct scene *s = *state;
    struct cache_options options = {.dir = path_join(&s->arena, s->options.dir, STR("none")),
                                    .read_only = true};
    struct cache *c = cache_open(&options, &s->notes);
    assert_non_null(c);
    struct digest fp = fingerprint("a");
    struct cache_hit *hits;
    assert_int_equal(cache_lookup(c, &s->arena, &fp, INT64_MIN, &hits, &s->notes), 0);
    cache_close(c, &s->notes);
    assert_int_equal(s->notes.all.n, 0);
    struct file_sig sig = file_stat(FILE_CWD, options.dir, false);
    assert_false(file_sig_exists(&sig));
}

static void place_of_another_kind_is_not_used(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("a"));
    cache_close(s->cache, &s->notes);
    struct str format = path_join(&s->arena, s->options.dir, STR("format"));
    struct str text = STR("{\"pawl\":1,\"needs\":[\"shards\"]}");
    assert_true(file_write(FILE_CWD, format, text, 0600, false));
    s->cache = cache_open(&s->options, &s->notes);
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "a", &hits), 0);
    assert_int_equal(lookup(s, "a", &hits), 0);
    assert_int_equal(s->notes.warnings, 1);
    struct record r = record_of(s, "b", STR("a.txt"));
    uint64_t sequence;
    assert_false(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
}

static void group_waits_until_it_is_old_or_forced(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("a"));
    assert_int_equal(cache_committed(s->cache), 0);
    assert_true(cache_flush(s->cache, false, &s->notes));
    assert_int_equal(cache_committed(s->cache), 0);
    usleep(1010000);
    assert_true(cache_flush(s->cache, false, &s->notes));
    assert_int_equal(cache_committed(s->cache), 1);
}

static void result_without_outputs_is_a_result(void **state)
{
    struct scene *s = *state;
    struct record r = {.fingerprint = fingerprint("gate"), .success_ms = 5};
    uint64_t sequence;
    assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    reopen(s);
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "gate", &hits), 1);
    assert_true(restore(s, "gate"));
}

/* As a full or broken disk: packs cannot be put. */
static void folder_that_takes_nothing_is_told_once(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("a"));
    reopen(s);
    struct str packs = path_join(&s->arena, s->options.dir, STR("p"));
    struct str aside = path_join(&s->arena, s->options.dir, STR("aside"));
    assert_int_equal(rename(packs.s, aside.s), 0);
    assert_true(file_write(FILE_CWD, packs, STR(""), 0600, false));
    store(s, "b", STR("b.txt"), STR("b"));
    assert_false(cache_flush(s->cache, true, &s->notes));
    assert_int_equal(s->notes.warnings, 1);
    struct record r = record_of(s, "c", STR("b.txt"));
    uint64_t sequence;
    for (int i = 0; i < 3; i++) {
        assert_false(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    }
    assert_int_equal(cache_committed(s->cache), 0);
    assert_int_equal(s->notes.warnings, 1);
    reopen(s);
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "b", &hits), 0);
    assert_int_equal(s->notes.warnings, 1);
}

static void unreadable_segment_hides_no_other(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), STR("a"));
    reopen(s);
    struct str odd = path_join(&s->arena, s->options.dir, STR("m/000000000001-0000000000000001"));
    assert_int_equal(mkfifo(odd.s, 0600), 0); /* no file: not even listed */
    assert_true(restore(s, "a"));
    assert_int_equal(s->notes.all.n, 0);
}

static void default_folder_is_where_the_environment_says(void **state)
{
    struct scene *s = *state;
    setenv("PAWL_CACHE_DIR", "/x/cache", 1);
    setenv("XDG_CACHE_HOME", "/y", 1);
    setenv("HOME", "/z", 1);
    assert_true(str_eq(cache_default_dir(&s->arena), STR("/x/cache")));
    setenv("PAWL_CACHE_DIR", "relative", 1);
    assert_true(str_eq(cache_default_dir(&s->arena), STR("/y/pawl")));
    unsetenv("XDG_CACHE_HOME");
    assert_true(str_eq(cache_default_dir(&s->arena), STR("/z/.cache/pawl")));
    unsetenv("HOME");
    assert_int_equal(cache_default_dir(&s->arena).n, 0);
}

static void folder_that_cannot_be_used_is_a_warning(void **state)
{
    struct scene *s = *state;
    struct cache_options options = {.dir = STR("/proc/none")};
    assert_null(cache_open(&options, &s->notes));
    assert_int_equal(s->notes.warnings, 1);
    assert_int_equal(s->notes.errors, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(result_comes_back_in_the_next_process),
        CASE(result_is_found_before_the_process_ends),
        CASE(large_file_and_folder_come_back),
        CASE(log_comes_back),
        CASE(each_segment_holds_places_for_all_its_roots),
        CASE(two_caches_see_each_others_results),
        CASE(newest_wins_and_each_set_of_inputs_counts),
        CASE(success_in_the_future_counts_only_without_a_bound),
        CASE(output_that_changed_is_not_stored),
        CASE(many_results_are_few_files),
        CASE(equal_bytes_are_stored_once),
        CASE(new_version_of_a_large_file_costs_what_changed),
        CASE(lost_pack_is_a_miss),
        CASE(garbled_pack_puts_nothing_in_place),
        CASE(garbled_segment_is_told_once_and_absent),
        CASE(read_only_cache_restores_and_never_stores),
        CASE(read_only_cache_without_a_folder_is_silent),
        CASE(place_of_another_kind_is_not_used),
        CASE(group_waits_until_it_is_old_or_forced),
        CASE(result_without_outputs_is_a_result),
        CASE(folder_that_takes_nothing_is_told_once),
        CASE(unreadable_segment_hides_no_other),
        CASE(default_folder_is_where_the_environment_says),
        CASE(folder_that_cannot_be_used_is_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
