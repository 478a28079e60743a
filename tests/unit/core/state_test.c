/* SPDX-License-Identifier: MIT */
/* `.pawl/state`: what was put is found again, whatever was cut, flipped or killed costs what it held and
 * nothing else. */

#include "core/state.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

struct workspace {
    char path[64];
    int root;
    struct arena arena;
    struct diags d;
};

static void workspace_make(struct workspace *p)
{
    memset(p, 0, sizeof *p);
    snprintf(p->path, sizeof p->path, "/tmp/pawl-state-XXXXXX");
    assert_non_null(mkdtemp(p->path));
    p->root = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(p->root >= 0);
    diags_init(&p->d, &p->arena);
}

static void workspace_drop(struct workspace *p)
{
    close(p->root);
    assert_true(file_remove_tree(FILE_CWD, str_from(p->path)));
    arena_free(&p->arena);
}

static struct state *must_open(struct workspace *p, bool read_only)
{
    struct state *s = state_open(p->root, read_only, &p->d);
    assert_non_null(s);
    return s;
}

static struct digest digest_number(uint64_t n)
{
    return digest_of(&n, sizeof n);
}

static struct state_file file_number(uint64_t n)
{
    struct state_file f = {
        .sig = {.dev = 7, .ino = n, .size = n * 3, .mtime_ns = -5, .mode = 0100644}};
    f.walk = digest_number(n + 1);
    f.ref = (struct ref){REF_LIST, n, digest_number(n + 2)};
    f.content = digest_number(n + 3);
    f.hashed_ns = (int64_t)n * 1000;
    return f;
}

static struct state_step step_number(struct arena *a, uint64_t n)
{
    return (struct state_step){
        .fingerprint = digest_number(n),
        .success_ms = (int64_t)n,
        .duration_ns = (int64_t)n * 5,
        .outputs_hash = n * 77,
        .pending_sequence = n % 3,
        .outcome = STATE_SUCCEEDED,
        .has_inputs = n % 2,
        .signer = {(uint8_t)n, [15] = 9},
        .record = str_printf(a, "record of %llu", (unsigned long long)n),
        .log_path = str_printf(a, ".pawl/log/%llu", (unsigned long long)n),
    };
}

static struct str path_number(struct arena *a, uint64_t n)
{
    return str_printf(a, "data/part-%llu.csv", (unsigned long long)n);
}

static struct str name_number(struct arena *a, uint64_t n)
{
    return str_printf(a, "train[n=%llu]", (unsigned long long)n);
}

static bool file_is_number(const struct state_file *f, uint64_t n)
{
    struct state_file x = file_number(n);
    return file_sig_eq(&f->sig, &x.sig) && digest_eq(&f->walk, &x.walk) && ref_eq(&f->ref, &x.ref)
           && digest_eq(&f->content, &x.content) && f->hashed_ns == x.hashed_ns;
}

static bool step_is_number(struct arena *a, const struct state_step *s, uint64_t n)
{
    struct state_step x = step_number(a, n);
    return digest_eq(&s->fingerprint, &x.fingerprint) && s->success_ms == x.success_ms
           && s->duration_ns == x.duration_ns && s->outputs_hash == x.outputs_hash
           && s->pending_sequence == x.pending_sequence && s->outcome == x.outcome
           && s->has_inputs == x.has_inputs && str_eq(s->record, x.record)
           && memcmp(s->signer, x.signer, sizeof s->signer) == 0 && str_eq(s->log_path, x.log_path);
}

static void put_numbers(struct workspace *p, struct state *s, uint64_t from, uint64_t to)
{
    for (uint64_t n = from; n < to; n++) {
        struct state_file f = file_number(n);
        struct state_step x = step_number(&p->arena, n);
        state_put_file(s, path_number(&p->arena, n), &f);
        state_put_step(s, name_number(&p->arena, n), &x);
    }
}

/* How many of [from, to) are known; those that are must be right. */
static uint32_t count_numbers(struct workspace *p, const struct state *s, uint64_t from,
                              uint64_t to)
{
    uint32_t found = 0;
    for (uint64_t n = from; n < to; n++) {
        const struct state_file *f = state_find_file(s, path_number(&p->arena, n));
        const struct state_step *x = state_find_step(s, name_number(&p->arena, n));
        assert_true(!f || file_is_number(f, n));
        assert_true(!x || step_is_number(&p->arena, x, n));
        struct digest fingerprint = digest_number(n);
        const struct state_step *by_result = state_find_result(s, &fingerprint);
        assert_true(!by_result || step_is_number(&p->arena, by_result, n));
        found += (f ? 1u : 0u) + (x ? 1u : 0u);
    }
    return found;
}

static void write_state(struct workspace *p, const void *bytes, size_t n)
{
    assert_true(file_write(p->root, STR(".pawl/state"), (struct str){bytes, n}, 0600, false));
}

static struct str read_state(struct workspace *p)
{
    struct str bytes;
    assert_true(file_read_quiet(&p->arena, p->root, STR(".pawl/state"), SIZE_MAX / 2, &bytes));
    return bytes;
}

static size_t state_size(struct workspace *p)
{
    return (size_t)file_stat(p->root, STR(".pawl/state"), true).size;
}

static void state_finds_again_what_was_put(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, false);
    assert_null(state_find_file(s, STR("data/part-0.csv")));
    assert_null(state_find_step(s, STR("train")));
    put_numbers(&p, s, 0, 20);
    assert_int_equal(count_numbers(&p, s, 0, 20), 40);
    assert_true(state_flush(s, &p.d)); /* the first snapshot */
    put_numbers(&p, s, 20, 30);
    assert_true(state_flush(s, &p.d)); /* its journal */
    struct state_file changed = file_number(100);
    state_put_file(s, path_number(&p.arena, 3), &changed);
    state_close(s, &p.d);
    s = must_open(&p, false);
    assert_true(file_is_number(state_find_file(s, path_number(&p.arena, 3)), 100));
    changed = file_number(3);
    state_put_file(s, path_number(&p.arena, 3), &changed);
    state_close(s, &p.d);
    for (int i = 0; i < 2; i++) {
        s = must_open(&p, i == 0);
        assert_int_equal(count_numbers(&p, s, 0, 30), 60);
        assert_int_equal(count_numbers(&p, s, 30, 40), 0);
        state_close(s, &p.d);
    }
    assert_int_equal(p.d.all.n, 0);
    workspace_drop(&p);
}

static void state_writes_nothing_where_nothing_changed(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, false);
    put_numbers(&p, s, 0, 10);
    state_close(s, &p.d);
    struct file_sig before = file_stat(p.root, STR(".pawl/state"), true);
    for (int i = 0; i < 2; i++) {
        s = must_open(&p, false);
        put_numbers(&p, s, 0, 10);
        assert_true(state_flush(s, &p.d));
        state_close(s, &p.d);
        struct file_sig after = file_stat(p.root, STR(".pawl/state"), true);
        assert_true(file_sig_eq(&before, &after));
    }
    s = must_open(&p, false);
    put_numbers(&p, s, 10, 11);
    assert_int_equal(state_size(&p), before.size); /* not before the flush */
    assert_true(state_flush(s, &p.d));
    size_t flushed = state_size(&p);
    assert_true(flushed > before.size);
    put_numbers(&p, s, 10, 11);
    assert_true(state_flush(s, &p.d));
    assert_int_equal(state_size(&p), flushed);
    state_close(s, &p.d);
    workspace_drop(&p);
}

static void state_is_for_its_owner_alone(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    mode_t mask = umask(0);
    struct state *s = must_open(&p, false);
    put_numbers(&p, s, 0, 1);
    struct state_run run = {0};
    assert_true(state_add_run(s, &run, &p.d));
    state_close(s, &p.d);
    umask(mask);
    assert_int_equal(file_stat(p.root, STR(".pawl"), false).mode & 07777, 0700);
    assert_int_equal(file_stat(p.root, STR(".pawl/state"), false).mode & 07777, 0600);
    assert_int_equal(file_stat(p.root, STR(".pawl/runs"), false).mode & 07777, 0600);
    struct str ignore;
    assert_true(file_read_quiet(&p.arena, p.root, STR(".pawl/.gitignore"), 100, &ignore));
    assert_true(str_eq(ignore, STR("*\n")));
    assert_true(file_remove(p.root, STR(".pawl/.gitignore")));
    state_close(must_open(&p, false), &p.d); /* who removed it wants it gone */
    struct file_sig sig = file_stat(p.root, STR(".pawl/.gitignore"), false);
    assert_false(file_sig_exists(&sig));
    assert_true(file_remove(p.root, STR(".pawl/state")));
    state_close(must_open(&p, false), &p.d); /* the folder may be there before the state */
    sig = file_stat(p.root, STR(".pawl/.gitignore"), false);
    assert_true(file_sig_exists(&sig));
    workspace_drop(&p);
}

static void state_read_only_makes_nothing(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, true);
    put_numbers(&p, s, 0, 5);
    assert_int_equal(count_numbers(&p, s, 0, 5), 10);
    assert_true(state_flush(s, &p.d));
    struct state_run run = {0};
    assert_true(state_add_run(s, &run, &p.d));
    struct state_run *runs;
    uint32_t count;
    assert_true(state_read_runs(s, &p.arena, 0, &runs, &count, &p.d));
    assert_int_equal(count, 0);
    state_close(s, &p.d);
    struct file_sig sig = file_stat(p.root, STR(".pawl"), false);
    assert_false(file_sig_exists(&sig));

    s = must_open(&p, false);
    put_numbers(&p, s, 0, 5);
    state_close(s, &p.d);
    struct file_sig before = file_stat(p.root, STR(".pawl/state"), false);
    s = must_open(&p, true);
    put_numbers(&p, s, 5, 9);
    state_close(s, &p.d);
    struct file_sig after = file_stat(p.root, STR(".pawl/state"), false);
    assert_true(file_sig_eq(&before, &after));
    sig = file_stat(p.root, STR(".pawl/runs"), false);
    assert_false(file_sig_exists(&sig));
    workspace_drop(&p);
}

static void state_folder_that_is_none_is_refused(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    assert_true(file_write(p.root, STR(".pawl"), STR("x"), 0600, false));
    for (int i = 0; i < 2; i++) {
        assert_null(state_open(p.root, i, &p.d));
        assert_int_equal(p.d.errors, i + 1);
        assert_string_equal(p.d.all.at[i].code, "workspace-unusable");
    }
    assert_true(file_remove(p.root, STR(".pawl")));
    assert_int_equal(mkdirat(p.root, ".pawl", 0500), 0);
    if (geteuid() != 0) {
        assert_null(state_open(p.root, false, &p.d));
        assert_string_equal(p.d.all.at[2].code, "workspace-unusable");
    }
    struct state *s = must_open(&p, true);
    state_close(s, &p.d);
    workspace_drop(&p);
}

static void state_other_things_in_the_place_of_the_file_are_damage(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct workspace p;
        workspace_make(&p);
        state_close(must_open(&p, false), &p.d);
        int dir = openat(p.root, ".pawl", O_RDONLY | O_DIRECTORY);
        if (kind == 0) {
            assert_int_equal(mkfifoat(dir, "state", 0600), 0);
        } else if (kind == 1) {
            assert_int_equal(mkdirat(dir, "state", 0700), 0);
        } else {
            assert_true(file_write(dir, STR("state"), STR("{\"json\": 1}"), 0600, false));
        }
        close(dir);
        struct state *s = must_open(&p, false);
        assert_int_equal(count_numbers(&p, s, 0, 5), 0);
        put_numbers(&p, s, 0, 5);
        state_close(s, &p.d);
        assert_int_equal(p.d.errors, 0);
        assert_string_equal(p.d.all.at[0].code, "state-damaged");
        s = must_open(&p, true);
        assert_int_equal(count_numbers(&p, s, 0, 5), kind == 1 ? 0 : 10);
        state_close(s, &p.d);
        workspace_drop(&p);
    }
}

/* A snapshot of three and a journal of three more. */
static struct str small_state(struct workspace *p, size_t *snapshot)
{
    struct state *s = must_open(p, false);
    put_numbers(p, s, 0, 3);
    assert_true(state_flush(s, &p->d));
    *snapshot = state_size(p);
    put_numbers(p, s, 3, 6);
    state_close(s, &p->d);
    return read_state(p);
}

static void state_journal_cut_anywhere_keeps_what_stands_before(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    size_t snapshot;
    struct str whole = small_state(&p, &snapshot);
    uint32_t last = 6;
    for (size_t n = snapshot; n <= whole.n; n++) {
        write_state(&p, whole.s, n);
        struct state *s = must_open(&p, true);
        assert_int_equal(count_numbers(&p, s, 0, 3), 6);
        uint32_t found = 6 + count_numbers(&p, s, 3, 6);
        assert_true(found >= last && found <= last + 1);
        last = found;
        state_close(s, &p.d);
        if (n % 7 == 0) { /* and writing goes on behind it */
            s = must_open(&p, false);
            put_numbers(&p, s, 50, 51);
            state_close(s, &p.d);
            s = must_open(&p, true);
            assert_int_equal(count_numbers(&p, s, 0, 6), found);
            assert_int_equal(count_numbers(&p, s, 50, 51), 2);
            state_close(s, &p.d);
        }
    }
    assert_int_equal(last, 12);
    assert_int_equal(p.d.all.n, 0); /* a kill is no damage */
    workspace_drop(&p);
}

static void state_cut_snapshot_is_unknown(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    size_t snapshot;
    struct str whole = small_state(&p, &snapshot);
    for (size_t n = 0; n < snapshot; n += 13) {
        diags_init(&p.d, &p.arena);
        write_state(&p, whole.s, n);
        struct state *s = must_open(&p, true);
        assert_int_equal(count_numbers(&p, s, 0, 6), 0);
        state_close(s, &p.d);
        assert_int_equal(p.d.warnings, 1);
    }
    workspace_drop(&p);
}

static void count_step(void *context, struct str name, const struct state_step *x)
{
    assert_true(name.n > 0 && x->outcome == STATE_SUCCEEDED);
    ++*(uint32_t *)context;
}

static void state_flipped_byte_costs_at_most_what_it_held(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    size_t snapshot;
    struct str whole = small_state(&p, &snapshot);
    char *bytes = arena_copy(&p.arena, whole.s, whole.n, 1);
    uint32_t worst = 12;
    for (size_t i = 0; i < whole.n; i++) {
        struct arena_mark mark = arena_mark(&p.arena);
        diags_init(&p.d, &p.arena);
        bytes[i] = (char)(bytes[i] ^ (1 << i % 8));
        write_state(&p, bytes, whole.n);
        bytes[i] = whole.s[i];
        struct state *s = must_open(&p, true);
        uint32_t found = count_numbers(&p, s, 0, 6);
        uint32_t steps = 0;
        state_each_step(s, count_step, &steps);
        assert_true(steps <= 6);
        worst = found < worst ? found : worst;
        state_close(s, &p.d);
        assert_int_equal(p.d.errors, 0);
        assert_true(p.d.warnings <= 1);
        diags_init(&p.d, &p.arena);
        arena_reset(&p.arena, mark);
    }
    assert_int_equal(worst, 0); /* the header */
    workspace_drop(&p);
}

static void state_damage_is_told_once_and_mended(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    size_t snapshot;
    struct str whole = small_state(&p, &snapshot);
    char *bytes = arena_copy(&p.arena, whole.s, whole.n, 1);
    bytes[72 + 3 * 16 * 8 + 100] ^= 4; /* in the first file's entry */
    write_state(&p, bytes, whole.n);
    struct state *s = must_open(&p, false);
    assert_int_equal(count_numbers(&p, s, 0, 6), 11);
    put_numbers(&p, s, 9, 10);
    assert_true(state_flush(s, &p.d));
    assert_true(state_flush(s, &p.d));
    state_close(s, &p.d);
    assert_int_equal(p.d.warnings, 1);
    s = must_open(&p, false);
    assert_int_equal(count_numbers(&p, s, 0, 6), 11);
    state_close(s, &p.d);
    assert_int_equal(p.d.warnings, 1);
    workspace_drop(&p);
}

static void state_garbage_never_hurts(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    size_t snapshot;
    struct str whole = small_state(&p, &snapshot);
    uint64_t seed = 42;
    for (int round = 0; round < 500; round++) {
        struct arena_mark mark = arena_mark(&p.arena);
        diags_init(&p.d, &p.arena);
        char *bytes = arena_copy(&p.arena, whole.s, whole.n, 1);
        size_t from = round % 2 ? 72 : 0; /* half of them under a good header */
        for (size_t i = from; i < whole.n; i++) {
            seed = seed * 6364136223846793005u + 1;
            bytes[i] = (char)(seed >> 56);
        }
        write_state(&p, bytes, whole.n);
        struct state *s = must_open(&p, true);
        assert_int_equal(count_numbers(&p, s, 0, 6), 0);
        uint32_t steps = 0;
        state_each_step(s, count_step, &steps);
        assert_int_equal(steps, 0);
        state_close(s, &p.d);
        assert_int_equal(p.d.warnings, 1);
        diags_init(&p.d, &p.arena);
        arena_reset(&p.arena, mark);
    }
    workspace_drop(&p);
}

static void state_finds_a_renamed_step_by_its_result(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, false);
    put_numbers(&p, s, 0, 2);
    for (int i = 0; i < 2; i++) {
        struct digest fingerprint = digest_number(1);
        const struct state_step *x = state_find_result(s, &fingerprint);
        assert_true(x && step_is_number(&p.arena, x, 1));
        fingerprint = digest_number(5);
        assert_null(state_find_result(s, &fingerprint));
        fingerprint = (struct digest){{0}};
        assert_null(state_find_result(s, &fingerprint));
        state_close(s, &p.d);
        s = must_open(&p, false);
    }
    struct state_step later = step_number(&p.arena, 9); /* the step made something else since */
    state_put_step(s, name_number(&p.arena, 1), &later);
    struct digest fingerprint = digest_number(1);
    assert_null(state_find_result(s, &fingerprint));
    fingerprint = digest_number(9);
    assert_non_null(state_find_result(s, &fingerprint));
    state_close(s, &p.d);
    workspace_drop(&p);
}

static void state_each_step_gives_the_latest_of_each(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, false);
    put_numbers(&p, s, 0, 5);
    state_close(s, &p.d);
    s = must_open(&p, false);
    struct state_step failed = step_number(&p.arena, 1);
    failed.duration_ns = 1;
    state_put_step(s, name_number(&p.arena, 1), &failed);
    put_numbers(&p, s, 5, 7);
    uint32_t count = 0;
    state_each_step(s, count_step, &count);
    assert_int_equal(count, 7);
    state_close(s, &p.d);
    workspace_drop(&p);
}

static void state_opens_a_large_workspace_at_once(void **state)
{
    (void)state;
    enum { FILES = 30000, STEPS = 10000 };
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, false);
    for (uint64_t n = 0; n < FILES; n++) {
        struct state_file f = file_number(n);
        state_put_file(s, path_number(&p.arena, n), &f);
        if (n < STEPS) {
            struct state_step x = step_number(&p.arena, n);
            state_put_step(s, name_number(&p.arena, n), &x);
        }
    }
    state_close(s, &p.d);
    struct str *paths = ARENA_ARRAY(&p.arena, struct str, FILES);
    struct str *names = ARENA_ARRAY(&p.arena, struct str, STEPS);
    for (uint64_t n = 0; n < FILES; n++) {
        paths[n] = path_number(&p.arena, n);
        if (n < STEPS) {
            names[n] = name_number(&p.arena, n);
        }
    }
    int64_t begin = time_monotonic_ns();
    s = must_open(&p, false);
    int64_t opened = time_monotonic_ns();
    uint32_t found = 0;
    for (uint32_t n = 0; n < FILES; n++) {
        found += state_find_file(s, paths[n]) != NULL;
    }
    for (uint32_t n = 0; n < STEPS; n++) {
        found += state_find_step(s, names[n]) != NULL;
    }
    int64_t done = time_monotonic_ns();
    assert_int_equal(found, FILES + STEPS);
    print_message("open %lld us, %u look-ups %lld us\n", (long long)(opened - begin) / 1000, found,
                  (long long)(done - opened) / 1000);
    state_close(s, &p.d);
    assert_true(opened - begin < 500000000 && done - opened < 2000000000); /* generous */
    workspace_drop(&p);
}

static void state_journal_grows_into_a_snapshot(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, false);
    put_numbers(&p, s, 0, 100);
    state_close(s, &p.d);
    size_t small = state_size(&p);
    for (uint64_t round = 1; round <= 40; round++) {
        s = must_open(&p, false);
        for (uint64_t n = 0; n < 100; n++) {
            struct state_file f = file_number(n + round * 1000);
            state_put_file(s, path_number(&p.arena, n), &f);
        }
        assert_true(state_flush(s, &p.d));
        state_close(s, &p.d);
        assert_true(state_size(&p) < small + (128 << 10));
    }
    s = must_open(&p, true);
    assert_true(file_is_number(state_find_file(s, path_number(&p.arena, 42)), 40042));
    state_close(s, &p.d);
    workspace_drop(&p);
}

/* What no build has asked for in many rewrites goes: sweeps come and go. */
static void state_forgets_what_nobody_asks_for(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, false);
    put_numbers(&p, s, 0, 2);
    state_close(s, &p.d);
    for (uint64_t round = 1; round <= 70; round++) {
        s = must_open(&p, false);
        assert_non_null(state_find_file(s, path_number(&p.arena, 1)));
        for (uint64_t n = 100; n < 500; n++) {
            struct state_file f = file_number(n + round * 1000);
            state_put_file(s, path_number(&p.arena, n), &f);
        }
        state_close(s, &p.d);
    }
    s = must_open(&p, true);
    assert_non_null(state_find_file(s, path_number(&p.arena, 1)));
    assert_null(state_find_file(s, path_number(&p.arena, 0)));
    assert_null(state_find_step(s, name_number(&p.arena, 0)));
    state_close(s, &p.d);
    workspace_drop(&p);
}

static void state_readers_keep_what_they_opened(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *writer = must_open(&p, false);
    put_numbers(&p, writer, 0, 50);
    state_close(writer, &p.d);
    struct state *x = must_open(&p, true);
    struct state *y = must_open(&p, true);
    writer = must_open(&p, false);
    const struct state_file *held = state_find_file(writer, path_number(&p.arena, 7));
    put_numbers(&p, writer, 50, 600);
    state_close(writer, &p.d); /* rewrites */
    (void)held;
    assert_int_equal(count_numbers(&p, x, 0, 50), 100);
    assert_int_equal(count_numbers(&p, y, 0, 600), 100);
    state_close(x, &p.d);
    state_close(y, &p.d);
    x = must_open(&p, true);
    assert_int_equal(count_numbers(&p, x, 0, 600), 1200);
    state_close(x, &p.d);
    workspace_drop(&p);
}

/* ---- other processes ---- */

static int wait_for(pid_t child)
{
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void child_builds(struct workspace *p)
{
    struct state *s = state_open(p->root, false, &p->d);
    if (!s) {
        _exit(3);
    }
    for (uint64_t n = 10; n < 14; n++) {
        put_numbers(p, s, n, n + 1);
        (void)state_flush(s, &p->d);
    }
    put_numbers(p, s, 100, 800); /* so much that closing rewrites */
    state_close(s, &p->d);
    _exit(0);
}

static void state_killed_anywhere_keeps_what_was_flushed(void **state)
{
    (void)state;
    bool finished = false;
    for (int at = 1; !finished && at < 40; at++) {
        struct workspace p;
        workspace_make(&p);
        struct state *s = must_open(&p, false);
        put_numbers(&p, s, 0, 5);
        state_close(s, &p.d);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            char text[16];
            snprintf(text, sizeof text, "%d", at);
            setenv("PAWL_TEST_KILL_AT", text, 1);
            child_builds(&p);
        }
        finished = WIFEXITED(wait_for(child));
        s = must_open(&p, true);
        assert_int_equal(count_numbers(&p, s, 0, 5), 10);
        uint32_t flushed = count_numbers(&p, s, 10, 14);
        assert_true(flushed >= 2 * (uint32_t)(at - 1 < 4 ? at - 1 : 4));
        assert_true(!finished || count_numbers(&p, s, 100, 800) == 1400);
        state_close(s, &p.d);
        assert_int_equal(p.d.all.n, 0);
        workspace_drop(&p);
    }
    assert_true(finished);
}

static void state_clears_what_killed_builds_left(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    state_close(must_open(&p, false), &p.d);
    assert_true(file_write(p.root, STR(".pawl/.pawl-0123"), STR("old"), 0600, false));
    assert_true(file_write(p.root, STR(".pawl/.pawl-4567"), STR("young"), 0600, false));
    const struct timespec long_ago[2] = {{1000000000, 0}, {1000000000, 0}};
    assert_int_equal(utimensat(p.root, ".pawl/.pawl-0123", long_ago, 0), 0);
    struct state *s = must_open(&p, false);
    state_close(s, &p.d);
    struct file_sig old = file_stat(p.root, STR(".pawl/.pawl-0123"), false);
    struct file_sig young = file_stat(p.root, STR(".pawl/.pawl-4567"), false);
    assert_false(file_sig_exists(&old));
    assert_true(file_sig_exists(&young));
    workspace_drop(&p);
}

/* A full disk, played by a limit on the size of files. */
static void child_meets_a_full_disk(struct workspace *p)
{
    signal(SIGXFSZ, SIG_IGN);
    struct state *s = state_open(p->root, false, &p->d);
    struct rlimit limit = {4096, RLIM_INFINITY};
    setrlimit(RLIMIT_FSIZE, &limit);
    put_numbers(p, s, 10, 100);
    bool first = state_flush(s, &p->d);
    put_numbers(p, s, 100, 110);
    bool second = state_flush(s, &p->d);
    bool told_once = p->d.warnings == 1 && p->d.errors == 0;
    bool remembered = count_numbers(p, s, 0, 110) == 220 - 10;
    limit.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &limit);
    state_close(s, &p->d);
    _exit(!first && !second && told_once && remembered ? 0 : 4);
}

static void state_full_disk_is_told_once_and_costs_nothing_old(void **state)
{
    (void)state;
    struct workspace p;
    workspace_make(&p);
    struct state *s = must_open(&p, false);
    put_numbers(&p, s, 0, 5);
    state_close(s, &p.d);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        child_meets_a_full_disk(&p);
    }
    assert_int_equal(wait_for(child), 0);
    s = must_open(&p, true);
    assert_int_equal(count_numbers(&p, s, 0, 110), 210); /* closing had room again */
    state_close(s, &p.d);
    workspace_drop(&p);
}

static void state_outputs_hash_sees_paths_modes_and_contents(void **state)
{
    (void)state;
    struct record_output two[2] = {
        {.path = STR("a"), .mode = 0644, .ref = {.kind = REF_BLOB}, .content = digest_number(1)},
        {.path = STR("bc"), .mode = 0755, .ref = {.kind = REF_TREE}, .content = digest_number(2)},
    };
    uint64_t before = state_outputs_hash(two, 2);
    two[0].ref.size = 17; /* not looked at */
    assert_true(state_outputs_hash(two, 2) == before);
    assert_true(state_outputs_hash(two, 1) != before);
    two[0].mode = 0600;
    assert_true(state_outputs_hash(two, 2) != before);
    two[0].mode = 0644;
    two[0].path = STR("ab");
    two[1].path = STR("c");
    assert_true(state_outputs_hash(two, 2) != before);
    two[0].path = STR("a");
    two[1].path = STR("bc");
    two[1].content.b[31] ^= 1;
    assert_true(state_outputs_hash(two, 2) != before);
}

/* Or its fuzzer would never get past the header. */
static void state_seeds_of_the_fuzzer_are_of_this_version(void **state)
{
    (void)state;
    struct workspace p;
    struct str bytes;
    workspace_make(&p);
    assert_true(
        file_read_quiet(&p.arena, FILE_CWD, STR("fuzz/corpus/state/whole"), 1 << 20, &bytes));
    assert_int_equal(mkdirat(p.root, ".pawl", 0700), 0);
    assert_true(file_write(p.root, STR(".pawl/state"), str_tail(bytes, 1), 0600, false));
    struct state *s = must_open(&p, true);
    assert_non_null(state_find_step(s, STR("train[n=1]"))); /* of the snapshot */
    assert_non_null(state_find_step(s, STR("train[n=5]"))); /* of the journal */
    assert_non_null(state_find_file(s, STR("data/part-5.csv")));
    assert_int_equal(p.d.all.n, 0);
    state_close(s, &p.d);
    workspace_drop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_finds_again_what_was_put),
        cmocka_unit_test(state_writes_nothing_where_nothing_changed),
        cmocka_unit_test(state_is_for_its_owner_alone),
        cmocka_unit_test(state_read_only_makes_nothing),
        cmocka_unit_test(state_folder_that_is_none_is_refused),
        cmocka_unit_test(state_other_things_in_the_place_of_the_file_are_damage),
        cmocka_unit_test(state_journal_cut_anywhere_keeps_what_stands_before),
        cmocka_unit_test(state_cut_snapshot_is_unknown),
        cmocka_unit_test(state_flipped_byte_costs_at_most_what_it_held),
        cmocka_unit_test(state_damage_is_told_once_and_mended),
        cmocka_unit_test(state_garbage_never_hurts),
        cmocka_unit_test(state_finds_a_renamed_step_by_its_result),
        cmocka_unit_test(state_each_step_gives_the_latest_of_each),
        cmocka_unit_test(state_opens_a_large_workspace_at_once),
        cmocka_unit_test(state_journal_grows_into_a_snapshot),
        cmocka_unit_test(state_forgets_what_nobody_asks_for),
        cmocka_unit_test(state_readers_keep_what_they_opened),
        cmocka_unit_test(state_killed_anywhere_keeps_what_was_flushed),
        cmocka_unit_test(state_clears_what_killed_builds_left),
        cmocka_unit_test(state_full_disk_is_told_once_and_costs_nothing_old),
        cmocka_unit_test(state_seeds_of_the_fuzzer_are_of_this_version),
        cmocka_unit_test(state_outputs_hash_sees_paths_modes_and_contents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
