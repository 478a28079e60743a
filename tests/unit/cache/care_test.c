/* SPDX-License-Identifier: MIT */
/* Looking after a real folder: collecting, checking, listing; and whatever the moment at which a writer is killed,
 * what it had committed is there. */
#include "tests/unit/cache/door.h"

#include <signal.h>
#include <sys/wait.h>

static struct str in_cache(struct scene *s, struct str name)
{
    return path_join(&s->arena, s->options.dir, name);
}

static struct cache_gc_report collect(struct scene *s, struct cache_gc_options o)
{
    struct cache_gc_report report;
    assert_true(cache_gc(s->cache, &o, &report, &s->notes));
    return report;
}

struct seen {
    uint32_t count, complete;
    uint64_t bytes;
    int64_t newest_ms;
    bool in_order;
};

static void see(void *context, const struct cache_entry *e)
{
    struct seen *seen = context;
    seen->in_order =
        seen->count == 0 || (seen->in_order && e->record->success_ms <= seen->newest_ms);
    seen->newest_ms = e->record->success_ms;
    seen->count++;
    seen->complete += e->complete;
    seen->bytes += e->bytes;
}

static struct seen list(struct scene *s)
{
    struct seen seen = {0};
    assert_true(cache_list(s->cache, see, &seen, &s->notes));
    return seen;
}

static void list_shows_the_newest_first(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        write_file(s, str_from(name), STR("12345"));
        struct record r = record_of(s, name, str_from(name));
        r.success_ms += (i * 7) % 5;
        uint64_t sequence;
        assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    }
    reopen(s);
    struct seen seen = list(s);
    assert_int_equal(seen.count, 5);
    assert_int_equal(seen.complete, 5);
    assert_int_equal(seen.bytes, 25);
    assert_true(seen.in_order);
    assert_true(file_remove_tree(FILE_CWD, in_cache(s, STR("p"))));
    reopen(s);
    assert_int_equal(list(s).complete, 0);
}

static void check_finds_what_is_damaged(void **state)
{
    struct scene *s = *state;
    struct cache_check_report r;
    store(s, "a", STR("a.txt"), STR("some text"));
    store(s, "large", STR("large"), noise(s, 3 << 20, 3));
    reopen(s);
    assert_true(cache_check(s->cache, &r, &s->notes));
    assert_int_equal(r.records, 2);
    assert_int_equal(r.records_without_bytes, 0);
    assert_true(r.segments == 1 && r.packs >= 1 && r.objects >= 2);
    assert_int_equal(s->notes.all.n, 0);
    struct str pack = only_file(s, STR("p"));
    flip_byte(s, pack, 12);
    assert_false(cache_check(s->cache, &r, &s->notes));
    assert_int_equal(r.bad_packs, 1);
    assert_int_equal(r.bad_objects, 1);
    assert_int_equal(r.records_without_bytes, 1);
    flip_byte(s, pack, 12);
    if (count_files(s, "b") == 1) {
        flip_byte(s, only_file(s, STR("b")), 1 << 20);
        assert_false(cache_check(s->cache, &r, &s->notes));
        assert_int_equal(r.bad_packs, 1);
        assert_int_equal(r.records_without_bytes, 1);
        flip_byte(s, only_file(s, STR("b")), 1 << 20);
    }
    flip_byte(s, only_file(s, STR("m")), 80);
    reopen(s);
    assert_false(cache_check(s->cache, &r, &s->notes));
    assert_int_equal(r.bad_segments, 1);
}

static void gc_keeps_what_is_young(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), noise(s, 5000, 1));
    reopen(s);
    struct cache_gc_report r = collect(s, (struct cache_gc_options){.now = true});
    assert_int_equal(r.records_after, 1);
    assert_int_equal(r.dropped, 0);
    assert_true(restore(s, "a"));
}

static void gc_now_frees_what_is_old(void **state)
{
    struct scene *s = *state;
    store(s, "a", STR("a.txt"), noise(s, 5000, 1));
    store(s, "large", STR("large"), noise(s, 3 << 20, 3));
    reopen(s);
    usleep(20000);
    struct cache_gc_report r = collect(s, (struct cache_gc_options){.keep_ms = 1});
    assert_int_equal(r.records_after, 0);
    assert_int_equal(r.condemned, 0); /* too young for that */
    r = collect(s, (struct cache_gc_options){.keep_ms = 1, .now = true});
    assert_true(r.bytes_freed > 3 << 20);
    assert_int_equal(count_files(s, "p") + count_files(s, "b"), 0);
    assert_int_equal(list(s).count, 0);
    store(s, "a", STR("a.txt"), noise(s, 5000, 1)); /* in the same session */
    reopen(s);
    assert_true(restore(s, "a"));
}

static void what_was_found_today_is_kept(void **state)
{
    struct scene *s = *state;
    const int64_t day_ms = 24 * 3600 * INT64_C(1000);
    static const char *const NAMES[] = {"used", "not"};
    for (int i = 0; i < 2; i++) {
        write_file(s, str_from(NAMES[i]), noise(s, 3000, (uint64_t)i));
        struct record r = record_of(s, NAMES[i], str_from(NAMES[i]));
        r.success_ms -= 40 * day_ms;
        uint64_t sequence;
        assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    }
    reopen(s);
    assert_true(restore(s, "used"));
    assert_true(restore(s, "used")); /* noted once */
    reopen(s);
    assert_int_equal(count_files(s, "m"), 2);
    struct cache_gc_report r = collect(s, (struct cache_gc_options){.now = true});
    assert_int_equal(r.records_before, 2);
    assert_int_equal(r.records_after, 1);
    reopen(s);
    assert_true(restore(s, "used"));
    assert_int_equal(list(s).count, 1);
}

static void gc_by_size_keeps_what_is_dear(void **state)
{
    struct scene *s = *state;
    store(s, "cheap", STR("cheap"), noise(s, 2 << 20, 5));
    store(s, "dear", STR("dear"), noise(s, 3000, 6));
    reopen(s);
    struct cache_gc_options o = {.now = true, .max_bytes = 100000};
    struct cache_gc_report r = collect(s, o);
    assert_int_equal(r.records_after, 1);
    assert_true(r.bytes_after <= 100000);
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "cheap", &hits), 0);
    assert_true(restore(s, "dear"));
}

static void large_file_moves_when_its_pack_is_condemned(void **state)
{
    struct scene *s = *state;
    struct str large = noise(s, 3 << 20, 3);
    store(s, "large", STR("large"), large);
    reopen(s);
    usleep(20000);
    struct cache *mine = s->cache; /* has seen nothing yet; then sees it uncondemned */
    struct cache_hit *hits;
    assert_int_equal(lookup(s, "large", &hits), 1);
    s->cache = cache_open(&s->options, &s->notes);
    collect(s, (struct cache_gc_options){.keep_ms = 1, .now = true});
    cache_close(s->cache, &s->notes);
    s->cache = mine;
    store(s, "again", STR("again"), large); /* must not count on what was dropped */
    reopen(s);
    assert_true(restore(s, "again"));
    expect_file(s, STR("again"), large);
}

static void close_collects_when_the_bound_is_passed(void **state)
{
    struct scene *s = *state;
    s->options.max_bytes = 1 << 20;
    reopen(s);
    store(s, "cheap", STR("cheap"), noise(s, 2 << 20, 5));
    reopen(s); /* announced at most: it is younger than a day */
    assert_true(restore(s, "cheap"));
    assert_int_equal(s->notes.all.n, 0);
}

static void folders_are_listed_with_what_they_take(void **state)
{
    struct scene *s = *state;
    write_file(s, STR("d/one"), noise(s, 5000, 1));
    struct record r = record_of(s, "d", STR("d"));
    uint64_t sequence;
    assert_true(cache_store(s->cache, &r, s->root, STR(""), &sequence, &s->notes));
    reopen(s);
    assert_true(list(s).bytes > 5000);
}

static void absent_folder_holds_nothing(void **state)
{
    struct scene *s = *state;
    cache_close(s->cache, &s->notes);
    assert_true(file_remove_tree(FILE_CWD, s->options.dir));
    s->options.read_only = true;
    s->cache = cache_open(&s->options, &s->notes);
    struct cache_check_report r;
    assert_true(cache_check(s->cache, &r, &s->notes));
    assert_int_equal(list(s).count, 0);
    assert_int_equal(collect(s, (struct cache_gc_options){0}).packs, 0);
    assert_int_equal(s->notes.all.n, 0);
}

static void many_segments_become_few(void **state)
{
    struct scene *s = *state;
    for (int i = 0; i < 12; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        store(s, name, str_from(name), noise(s, 100, (uint64_t)i));
        reopen(s);
    }
    assert_int_equal(count_files(s, "m"), 12);
    assert_true(cache_compact(s->cache, true, &s->notes)); /* all too young */
    assert_int_equal(count_files(s, "m"), 12);
    usleep(20000);
    collect(s, (struct cache_gc_options){.now = true});
    assert_int_equal(count_files(s, "m"), 1);
    assert_int_equal(count_files(s, "p"), 1);
    assert_int_equal(list(s).complete, 12);
    reopen(s);
    assert_true(restore(s, "f0") && restore(s, "f11"));
}

/* ---- killed ---- */

static void work_until_killed(struct scene *s, int pipe_fd)
{
    s->cache = cache_open(&s->options, &s->notes);
    for (int i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        store(s, name, str_from(name), noise(s, 2000, (uint64_t)i));
        if (!cache_flush(s->cache, true, &s->notes)) {
            _exit(1);
        }
        char committed = (char)cache_committed(s->cache);
        if (write(pipe_fd, &committed, 1) != 1) {
            _exit(1);
        }
    }
    struct cache_gc_options o = {.now = true};
    struct cache_gc_report r;
    if (!cache_gc(s->cache, &o, &r, &s->notes)) {
        _exit(1);
    }
    cache_close(s->cache, &s->notes);
    _exit(0);
}

/* Runs the work in a child that is killed at the n-th durable write; how much it had said was committed. */
static int run_child(struct scene *s, int n, bool *killed)
{
    int ends[2];
    char at[16];
    snprintf(at, sizeof at, "%d", n);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("PAWL_TEST_KILL_AT", at, 1);
        close(ends[0]);
        work_until_killed(s, ends[1]);
    }
    close(ends[1]);
    char committed = 0;
    char c;
    while (read(ends[0], &c, 1) == 1) {
        committed = c;
    }
    close(ends[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    *killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    assert_true(*killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    return committed;
}

static void killed_at_any_write_nothing_committed_is_lost(void **state)
{
    struct scene *s = *state;
    bool killed = true;
    int n = 0;
    while (killed) {
        cache_close(s->cache, &s->notes);
        s->cache = NULL;
        assert_true(file_remove_tree(FILE_CWD, s->options.dir));
        int committed = run_child(s, ++n, &killed);
        s->cache = cache_open(&s->options, &s->notes);
        struct cache_check_report r;
        assert_true(cache_check(s->cache, &r, &s->notes));
        assert_int_equal(r.records_without_bytes, 0);
        for (int i = 0; i < committed; i++) {
            char name[16];
            snprintf(name, sizeof name, "f%d", i);
            file_remove(s->root, str_from(name));
            assert_true(restore(s, name));
            expect_file(s, str_from(name), noise(s, 2000, (uint64_t)i));
        }
    }
    assert_true(n > 12); /* the kills did happen */
    assert_int_equal(s->notes.all.n, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(list_shows_the_newest_first),
        CASE(check_finds_what_is_damaged),
        CASE(gc_keeps_what_is_young),
        CASE(gc_now_frees_what_is_old),
        CASE(what_was_found_today_is_kept),
        CASE(gc_by_size_keeps_what_is_dear),
        CASE(large_file_moves_when_its_pack_is_condemned),
        CASE(close_collects_when_the_bound_is_passed),
        CASE(folders_are_listed_with_what_they_take),
        CASE(absent_folder_holds_nothing),
        CASE(many_segments_become_few),
        CASE(killed_at_any_write_nothing_committed_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
