/* SPDX-License-Identifier: MIT */
/* There and back: files and folders go into packs and come back as they were, or not at all. */
#include "cache/fetch.h"
#include "cache/object.h"
#include "cache/tree.h"
#include "sandbox.h"

#include <signal.h>
#include <sys/resource.h>

struct trip {
    struct sandbox *s;
    struct store store;
    struct record record;
    struct record_output outputs[8];
    struct pack_place places[8];
    struct cache_places all;
};

static struct trip begin(struct sandbox *s)
{
    struct trip t = {.s = s};
    store_init(&t.store, s->depot, s->from.folder, (struct store_finder){0});
    return t;
}

/* Adds an output as it stands in the workspace. */
static void keep(struct trip *t, const char *path)
{
    struct sandbox *s = t->s;
    struct object_seen seen;
    uint32_t i = t->record.output_count;
    assert_true(object_digest(s->root, str_from(path), &seen, &s->notes));
    t->outputs[i] = (struct record_output){str_from(path), seen.mode, seen.ref, seen.content};
    struct store_source from = {s->root, str_from(path), &t->outputs[i].ref, NULL};
    assert_int_equal(store_path(&t->store, &from, &s->arena, &t->places[i], &s->notes), STORE_DONE);
    t->record.outputs = t->outputs;
    t->record.output_count = i + 1;
    t->all = (struct cache_places){t->places, i + 1};
}

static void seal(struct trip *t)
{
    assert_true(store_seal(&t->store, &t->s->notes));
}

static bool restore(struct trip *t)
{
    return fetch_outputs(&t->s->from, &t->record, &t->all, t->s->root, &t->s->notes);
}

static void end(struct trip *t)
{
    store_free(&t->store);
}

static void empty_workspace(struct sandbox *s)
{
    struct file_entry *entries;
    uint32_t count;
    assert_true(file_list(&s->arena, s->root, STR("."), &entries, &count));
    for (uint32_t i = 0; i < count; i++) {
        assert_true(file_remove_tree(s->root, entries[i].name));
    }
}

static uint32_t names_in_workspace(struct sandbox *s)
{
    return sandbox_count(s, "work");
}

static void fetch_small_files_come_back(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_write(s, "build/a.txt", "hello\n", 6, 0640);
    sandbox_write(s, "build/deep/empty", "", 0, 0755);
    keep(&t, "build/a.txt");
    keep(&t, "build/deep/empty");
    seal(&t);
    empty_workspace(s);
    assert_true(restore(&t));
    sandbox_expect(s, "build/a.txt", "hello\n", 6);
    sandbox_expect(s, "build/deep/empty", "", 0);
    struct file_sig sig = file_stat(s->root, STR("build/a.txt"), false);
    assert_int_equal(sig.mode & 0777, 0640);
    sig = file_stat(s->root, STR("build/deep/empty"), false);
    assert_int_equal(sig.mode & 0777, 0755);
    assert_int_equal(s->notes.warnings, 0);
    end(&t);
}

static void expect_mode(struct sandbox *s, const char *path, unsigned mode)
{
    struct file_sig sig = file_stat(s->root, str_from(path), false);
    assert_int_equal(sig.mode & 07777, mode);
}

static void fetch_umask_changes_no_permissions(void **state)
{
    static const mode_t masks[] = {077, 000, 027, 0777};
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_write(s, "open", "o", 1, 0666);
    sandbox_write(s, "closed", "c", 1, 0400);
    sandbox_write(s, "d/odd", "odd", 3, 0604);
    sandbox_write(s, "d/wide/run", "run", 3, 0777);
    sandbox_write(s, "d/narrow/read", "read", 4, 0444);
    assert_int_equal(fchmodat(s->root, "d", 0750, 0), 0);
    assert_int_equal(fchmodat(s->root, "d/wide", 0777, 0), 0);
    assert_int_equal(fchmodat(s->root, "d/narrow", 0511, 0), 0);
    keep(&t, "open");
    keep(&t, "closed");
    keep(&t, "d");
    seal(&t);
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        empty_workspace(s);
        mode_t before = umask(masks[i]);
        bool ok = restore(&t);
        umask(before);
        assert_true(ok);
        expect_mode(s, "open", 0666);
        expect_mode(s, "closed", 0400);
        expect_mode(s, "d", 0750);
        expect_mode(s, "d/odd", 0604);
        expect_mode(s, "d/wide", 0777);
        expect_mode(s, "d/wide/run", 0777);
        expect_mode(s, "d/narrow", 0511);
        expect_mode(s, "d/narrow/read", 0444);
    }
    end(&t);
}

static void fetch_large_file_comes_back(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    t.store.folder = -1;
    size_t n = 5 << 20;
    uint8_t *bytes = sandbox_bytes(s, "", n);
    memset(bytes + (1 << 20), 'z', 3 << 20); /* it gains, and chunks repeat */
    sandbox_write(s, "big", bytes, n, 0600);
    keep(&t, "big");
    seal(&t);
    assert_int_equal(sandbox_count(s, "cache/p"), 1);
    assert_int_equal(sandbox_count(s, "cache/b"), 0);
    assert_int_equal(t.places[0].run_count, 1); /* root, then all below it, once */
    empty_workspace(s);
    assert_true(restore(&t));
    sandbox_expect(s, "big", bytes, n);
    assert_int_equal(fetch_check(&s->from, &t.places[0]), FETCH_DONE);
    end(&t);
}

static void fetch_large_file_that_does_not_compress_is_kept_plain(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    size_t n = 3 << 20;
    uint8_t *bytes = sandbox_bytes(s, "", n);
    sandbox_write(s, "noise", bytes, n, 0600);
    keep(&t, "noise");
    assert_int_equal(sandbox_count(s, "cache/b"), 1);
    assert_int_equal(t.places[0].run_count, 1);
    assert_int_equal(t.places[0].runs[0].count, 0);
    assert_int_equal(t.places[0].runs[0].length, n);
    assert_int_equal(t.store.writer.put_count, 1);
    /* Not twice. */
    sandbox_write(s, "again", bytes, n, 0600);
    keep(&t, "again");
    assert_int_equal(sandbox_count(s, "cache/b"), 1);
    empty_workspace(s);
    assert_true(restore(&t));
    sandbox_expect(s, "noise", bytes, n);
    sandbox_expect(s, "again", bytes, n);
    struct buf out;
    buf_init(&out, 4 << 20);
    assert_true(fetch_read(&s->from, &t.all, &t.outputs[0].ref, &out, &s->notes));
    assert_memory_equal(out.s, bytes, n);
    buf_free(&out);
    assert_int_equal(fetch_check(&s->from, &t.places[0]), FETCH_DONE);
    /* A byte of it is wrong. */
    char key[PACK_KEY];
    pack_key(&t.places[0].runs[0].pack, true, key);
    int fd = openat(s->from.folder, key, O_RDWR);
    assert_int_equal(pwrite(fd, "x", 1, 2000000), 1);
    close(fd);
    empty_workspace(s);
    assert_false(restore(&t));
    assert_int_equal(names_in_workspace(s), 0);
    assert_int_equal(fetch_check(&s->from, &t.places[0]), FETCH_BAD);
    end(&t);
}

static void make_folder(struct sandbox *s)
{
    sandbox_write(s, "d/run.sh", "#!/bin/sh\n", 10, 0755);
    sandbox_text(s, "d/a.txt", "hello\n");
    sandbox_text(s, "d/same.txt", "hello\n");
    sandbox_text(s, "d/sub/deep/x", "x");
    sandbox_text(s, "d/twin/deep/x", "x");
    assert_int_equal(symlinkat("../outside", s->root, "d/link"), 0);
    assert_int_equal(mkdirat(s->root, "d/empty", 0700), 0);
    size_t n = 2 << 20;
    uint8_t *bytes = sandbox_bytes(s, "folder", n);
    memset(bytes, 'y', n / 2);
    sandbox_write(s, "d/big", bytes, n, 0600);
    sandbox_write(s, "d/sub/big-too", bytes, n, 0600);
    assert_int_equal(fchmodat(s->root, "d/sub", 0555, 0), 0);
}

static void fetch_folder_comes_back(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    make_folder(s);
    keep(&t, "d");
    seal(&t);
    struct digest content = t.outputs[0].content;
    empty_workspace(s);
    assert_true(restore(&t));
    struct object_seen seen;
    assert_true(object_digest(s->root, STR("d"), &seen, &s->notes));
    assert_true(ref_eq(&seen.ref, &t.outputs[0].ref)); /* modes and links too */
    assert_true(digest_eq(&seen.content, &content));
    char target[32];
    assert_int_equal(readlinkat(s->root, "d/link", target, sizeof target), 10);
    struct file_sig sig = file_stat(s->root, STR("d/sub"), false);
    assert_int_equal(sig.mode & 0777, 0555);
    assert_int_equal(fetch_check(&s->from, &t.places[0]), FETCH_DONE);
    assert_int_equal(names_in_workspace(s), 1);
    /* A record that says of these bytes what a fingerprint sees of others. */
    t.outputs[0].content.b[0] ^= 1;
    empty_workspace(s);
    assert_false(restore(&t));
    assert_int_equal(names_in_workspace(s), 0);
    end(&t);
}

/* Turns one byte that lies so many parts of 8 into the folder's last run. */
static void garble_at(struct trip *t, uint64_t eighths)
{
    char key[PACK_KEY];
    const struct pack_run *run = &t->places[0].runs[t->places[0].run_count - 1];
    off_t at = (off_t)(run->offset + run->length * eighths / 8);
    uint8_t byte;
    pack_key(&run->pack, false, key);
    int fd = openat(t->s->from.folder, key, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x11;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Folders in folders, equal files, links, large files among small ones: by several threads, and with a byte of it wrong. */
static void fetch_large_folder_by_several_threads(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    struct object_seen seen;
    char path[64];
    uint8_t *bytes = sandbox_bytes(s, "f", 3 << 20);
    t.store.folder = -1;
    for (int i = 0; i < 900; i++) {
        snprintf(path, sizeof path, "d/%d/%d/%d", i % 40, i % 3, i);
        sandbox_write(s, path, bytes + i / 2 * 100, 5000, i % 7 ? 0644 : 0755);
    }
    sandbox_write(s, "d/5/large", bytes, 3 << 20, 0600);
    sandbox_write(s, "d/6/large", bytes, 2 << 20, 0640);
    assert_int_equal(symlinkat("../5/large", s->root, "d/7/link"), 0);
    keep(&t, "d");
    seal(&t);
    s->from.workers = workers_open(4);
    s->from.frames = frame_pool_open();
    empty_workspace(s);
    assert_true(restore(&t));
    assert_true(object_digest(s->root, STR("d"), &seen, &s->notes));
    assert_true(ref_eq(&seen.ref, &t.outputs[0].ref));
    garble_at(&t, 4);
    assert_false(restore(&t));
    assert_true(object_digest(s->root, STR("d"), &seen, &s->notes));
    assert_true(ref_eq(&seen.ref, &t.outputs[0].ref)); /* as it stood there */
    assert_int_equal(names_in_workspace(s), 1);
    workers_close(s->from.workers);
    frame_pool_close(s->from.frames);
    end(&t);
}

/* With no file larger than this: a full disk in the middle of it. */
static const char *why_not_restored(struct trip *t, rlim_t file_limit)
{
    struct sandbox *s = t->s;
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    struct rlimit small = {file_limit, limit.rlim_max};
    diags_init(&s->notes, &s->arena);
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    bool ok = restore(t);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, before);
    assert_false(ok);
    assert_int_equal(names_in_workspace(s), 0);
    assert_int_equal(s->notes.warnings, 1);
    return s->notes.all.at[0].code;
}

/* A folder of many folders, where few descriptors are left. */
static void fetch_many_folders_with_few_descriptors(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    char path[64];
    uint8_t *bytes = sandbox_bytes(s, "w", 60 * 3000);
    for (int i = 0; i < 60; i++) {
        snprintf(path, sizeof path, "d/%d/file", i);
        sandbox_write(s, path, bytes + (size_t)i * 3000, 3000, 0644);
    }
    keep(&t, "d");
    seal(&t);
    empty_workspace(s);
    s->from.workers = workers_open(2);
    s->from.frames = frame_pool_open();
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    int next = dup(s->root);
    close(next);
    struct rlimit few = {(rlim_t)next + 12, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    bool ok = restore(&t);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(ok);
    workers_close(s->from.workers);
    frame_pool_close(s->from.frames);
    end(&t);
}

/* Several things are wrong in a folder: whichever thread is faster, what comes first there is told, and nothing stays. */
static void fetch_folder_tells_its_first_failure(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    char path[64];
    uint8_t *bytes = sandbox_bytes(s, "w", 200 * 4000);
    t.store.folder = -1;
    for (int i = 0; i < 200; i++) {
        snprintf(path, sizeof path, "d/%d/%03d", i / 100, i);
        sandbox_write(s, path, bytes + (size_t)i * 3900, i == 100 ? 12000 : 3900, 0644);
    }
    keep(&t, "d");
    seal(&t);
    empty_workspace(s);
    s->from.workers = workers_open(4);
    s->from.frames = frame_pool_open();
    assert_string_equal(why_not_restored(&t, 8000), "cannot-restore");
    garble_at(&t, 7);
    assert_string_equal(why_not_restored(&t, 8000), "cannot-restore");
    garble_at(&t, 1);
    assert_string_equal(why_not_restored(&t, 8000), "cache-damaged");
    garble_at(&t, 1);
    garble_at(&t, 7);
    assert_true(restore(&t));
    workers_close(s->from.workers);
    frame_pool_close(s->from.frames);
    end(&t);
}

static void fetch_large_file_meets_a_full_disk(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    t.store.folder = -1;
    sandbox_write(s, "large", sandbox_bytes(s, "l", 12 << 20), 12 << 20, 0644);
    keep(&t, "large");
    seal(&t);
    empty_workspace(s);
    s->from.workers = workers_open(4);
    assert_string_equal(why_not_restored(&t, 5 << 20), "cannot-restore");
    garble_at(&t, 1);
    assert_string_equal(why_not_restored(&t, 5 << 20), "cache-damaged");
    garble_at(&t, 1);
    assert_true(restore(&t));
    workers_close(s->from.workers);
    end(&t);
}

static void fetch_replaces_what_is_there(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_text(s, "file", "good");
    sandbox_text(s, "folder/x", "good");
    keep(&t, "file");
    keep(&t, "folder");
    seal(&t);
    empty_workspace(s);
    sandbox_text(s, "file/is/a/folder", "old"); /* each in place of the other kind */
    sandbox_text(s, "folder", "old");
    assert_true(restore(&t));
    sandbox_expect(s, "file", "good", 4);
    sandbox_expect(s, "folder/x", "good", 4);
    assert_int_equal(names_in_workspace(s), 2);
    sandbox_text(s, "folder/stale", "old");
    assert_true(restore(&t));
    assert_false(sandbox_has(s, "folder/stale"));
    /* A link that stands there is replaced, not followed. */
    sandbox_text(s, "other", "precious");
    assert_int_equal(unlinkat(s->root, "file", 0), 0);
    assert_int_equal(symlinkat("other", s->root, "file"), 0);
    assert_true(restore(&t));
    sandbox_expect(s, "other", "precious", 8);
    sandbox_expect(s, "file", "good", 4);
    end(&t);
}

/* Damages each byte of the pack in turn. */
static void fetch_garbled_bytes_are_a_miss(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_text(s, "a", "hello, hello, hello, hello, hello, hello, hello");
    sandbox_text(s, "d/x", "x");
    sandbox_text(s, "d/y", "yy");
    keep(&t, "a");
    keep(&t, "d");
    seal(&t);
    char key[PACK_KEY];
    pack_key(&t.places[0].runs[0].pack, false, key);
    struct pack_run *last = &t.places[1].runs[t.places[1].run_count - 1];
    uint64_t size = last->offset + last->length;
    int fd = openat(s->from.folder, key, O_RDWR);
    for (uint64_t i = 8; i < size; i++) {
        uint8_t byte;
        empty_workspace(s);
        sandbox_text(s, "a", "old");
        assert_int_equal(pread(fd, &byte, 1, (off_t)i), 1);
        byte ^= 0x11;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
        s->notes.all.n = 0; /* room for the next */
        if (restore(&t)) {
            fail_msg("byte %d of the pack may be changed", (int)i);
        }
        sandbox_expect(s, "a", "old", 3); /* none of it */
        assert_int_equal(names_in_workspace(s), 1);
        byte ^= 0x11;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
    }
    close(fd);
    assert_true(restore(&t));
    end(&t);
}

/* Only digests are not taken anew: what is no object of that size is none. */
static void fetch_of_what_was_verified_looks_at_form_and_size(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_text(s, "a", "not the same twice");
    keep(&t, "a");
    seal(&t);
    char key[PACK_KEY];
    pack_key(&t.places[0].runs[0].pack, false, key);
    int fd = openat(s->from.folder, key, O_RDWR);
    uint32_t came = 0;
    s->from.verified = true;
    for (uint64_t i = 8; i < 8 + t.places[0].runs[0].length; i++) {
        uint8_t byte;
        empty_workspace(s);
        assert_int_equal(pread(fd, &byte, 1, (off_t)i), 1);
        byte ^= 0x11;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
        s->notes.all.n = 0;
        if (restore(&t)) {
            assert_int_equal(sandbox_read(s, "a").n, strlen("not the same twice"));
            came++;
        }
        byte ^= 0x11;
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)i), 1);
    }
    close(fd);
    assert_int_equal(came, strlen("not the same twice")); /* the head's bytes may not be changed */
    end(&t);
}

static void fetch_next_place_is_tried(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_text(s, "a", "hello");
    keep(&t, "a");
    seal(&t);
    struct pack_run nowhere = {pack_id_random(), 8, 8, 1};
    struct pack_run beyond = t.places[0].runs[0];
    beyond.length = 1 << 20;
    struct pack_run wrapping = t.places[0].runs[0];
    wrapping.offset = UINT64_MAX - 3;
    struct pack_run plain = t.places[0].runs[0];
    plain.count = 0;
    struct pack_place several[] = {
        {t.outputs[0].ref, &nowhere, 1},  {t.outputs[0].ref, &beyond, 1},
        {t.outputs[0].ref, &wrapping, 1}, {t.outputs[0].ref, &plain, 1},
        {t.outputs[0].ref, NULL, 0},      t.places[0],
    };
    empty_workspace(s);
    t.all = (struct cache_places){several, 5};
    assert_false(restore(&t));
    assert_int_equal(s->notes.warnings, 1);
    t.all.count = 6;
    assert_true(restore(&t));
    sandbox_expect(s, "a", "hello", 5);
    end(&t);
}

static void fetch_without_a_place_is_a_miss(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_text(s, "a", "hello");
    keep(&t, "a");
    seal(&t);
    t.all.count = 0;
    empty_workspace(s);
    assert_false(restore(&t));
    assert_string_equal(s->notes.all.at[0].code, "cache-absent");
    end(&t);
}

/* The second output cannot be had: the first stays what it was. */
static void fetch_is_all_or_none(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_text(s, "a", "new a");
    sandbox_text(s, "b", "new b");
    keep(&t, "a");
    keep(&t, "b");
    seal(&t);
    sandbox_text(s, "a", "old a");
    t.all.count = 1;
    assert_false(restore(&t));
    sandbox_expect(s, "a", "old a", 5);
    assert_int_equal(names_in_workspace(s), 2);
    t.all.count = 2;
    assert_true(restore(&t));
    sandbox_expect(s, "a", "new a", 5);
    end(&t);
}

/* An output below another one is in its tree. */
static void fetch_output_within_an_output(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_text(s, "d/sub/x", "hello");
    sandbox_text(s, "d-and-more", "z");
    keep(&t, "d/sub/x");
    keep(&t, "d");
    keep(&t, "d-and-more");
    seal(&t);
    empty_workspace(s);
    assert_true(restore(&t));
    sandbox_expect(s, "d/sub/x", "hello", 5);
    /* If it is something else there, the record is false. */
    t.outputs[0].ref = t.outputs[2].ref;
    assert_false(restore(&t));
    sandbox_expect(s, "d/sub/x", "hello", 5);
    end(&t);
}

static void fetch_paths_stay_in_the_workspace(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    sandbox_text(s, "a", "hello");
    keep(&t, "a");
    seal(&t);
    static const char *const BAD[] = {"../a", "/tmp/pawl-should-not-be", "x/../../a", ".", "",
                                      "x//y"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        t.outputs[0].path = str_from(BAD[i]);
        assert_false(restore(&t));
    }
    end(&t);
}

/* A tree from outside, put into a pack by hand. */
static struct pack_place place_tree(struct trip *t, const struct tree_entry *entries, uint32_t n)
{
    struct sandbox *s = t->s;
    struct buf b;
    struct pack_runs runs = {.arena = &s->arena};
    struct pack_run at;
    buf_init(&b, 1 << 20);
    tree_put(&b, entries, n);
    struct ref ref = {REF_TREE, b.n, digest_of(b.s, b.n)};
    assert_true(pack_add(&t->store.writer, &ref, buf_str(&b), &at, &s->notes));
    pack_runs_add(&runs, &at);
    ref.digest = digest_of(b.s, b.n);
    buf_free(&b);
    struct ref x = {REF_BLOB, 1, digest_of("x", 1)};
    assert_true(pack_add(&t->store.writer, &x, STR("x"), &at, &s->notes));
    pack_runs_add(&runs, &at);
    return (struct pack_place){ref, runs.at, runs.n};
}

static void fetch_hostile_trees_write_nothing_outside(void **state)
{
    struct sandbox *s = *state;
    static const char *const BAD[] = {"../escaped", "/tmp/pawl-escaped", "..", "a/../../b"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct trip t = begin(s);
        struct tree_entry e = {.name = str_from(BAD[i]), .mode = 0644};
        e.ref = (struct ref){REF_BLOB, 1, digest_of("x", 1)};
        t.places[0] = place_tree(&t, &e, 1);
        seal(&t);
        t.outputs[0] = (struct record_output){STR("d"), 0755, t.places[0].root, {{0}}};
        t.record = (struct record){.outputs = t.outputs, .output_count = 1};
        t.all = (struct cache_places){t.places, 1};
        assert_false(restore(&t));
        assert_int_equal(names_in_workspace(s), 0);
        assert_int_equal(fetch_check(&s->from, &t.places[0]), FETCH_BAD);
        end(&t);
    }
    assert_false(sandbox_has(s, "../escaped"));
}

/* As a fingerprint sees a folder without folders. */
static struct digest content_of(const struct tree_entry *entries, uint32_t count)
{
    struct tree_entry seen[4];
    struct buf b;
    for (uint32_t i = 0; i < count; i++) {
        seen[i] = tree_content(&entries[i], NULL);
    }
    buf_init(&b, OBJECT_LIMIT);
    tree_put(&b, seen, count);
    struct digest digest = digest_of(b.s, b.n);
    buf_free(&b);
    return digest;
}

/* A link to a folder outside, and an output that would go through it. */
static void fetch_links_of_a_tree_are_not_walked(void **state)
{
    struct sandbox *s = *state;
    char outside[256];
    snprintf(outside, sizeof outside, "%s/outside", s->dir);
    assert_int_equal(mkdir(outside, 0700), 0);
    struct trip t = begin(s);
    sandbox_text(s, "x", "x");
    keep(&t, "x");
    struct tree_entry e[2] = {
        {.name = STR("l"), .target = str_from(outside)},
        {.name = STR("x"), .mode = 0644, .ref = {REF_BLOB, 1, digest_of("x", 1)}},
    };
    e[0].ref = (struct ref){REF_LINK, e[0].target.n, digest_of(outside, e[0].target.n)};
    t.places[1] = place_tree(&t, e, 2);
    seal(&t);
    t.outputs[0].path = STR("d/l/x");
    t.outputs[1] = (struct record_output){STR("d"), 0755, t.places[1].root, content_of(e, 2)};
    t.record.output_count = 2;
    t.all.count = 2;
    assert_false(restore(&t));
    assert_int_equal(sandbox_count(s, "outside"), 0);
    t.outputs[0] = t.outputs[1]; /* the link by itself is restored as it is */
    t.record.output_count = 1;
    assert_true(restore(&t));
    char target[256];
    assert_int_equal(readlinkat(s->root, "d/l", target, sizeof target), strlen(outside));
    end(&t);
}

/* A folder that holds itself a thousandfold by way of few objects ends at a limit. */
static void fetch_bomb_of_folders_is_cut_off(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    struct pack_runs runs = {.arena = &s->arena}, reversed = {.arena = &s->arena};
    struct ref below = {REF_BLOB, 1, digest_of("x", 1)};
    struct pack_run at;
    assert_true(pack_add(&t.store.writer, &below, STR("x"), &at, &s->notes));
    pack_runs_add(&runs, &at);
    for (int i = 0; i < 150; i++) { /* deeper than anything that is kept */
        struct tree_entry e = {.name = STR("d"), .mode = 0755, .ref = below};
        struct buf b;
        buf_init(&b, 1 << 20);
        tree_put(&b, &e, 1);
        below = (struct ref){REF_TREE, b.n, digest_of(b.s, b.n)};
        assert_true(pack_add(&t.store.writer, &below, buf_str(&b), &at, &s->notes));
        struct pack_run apart = at;
        *VEC_PUSH(&s->arena, &runs) = apart;
        buf_free(&b);
    }
    seal(&t);
    for (uint32_t i = runs.n; i > 0; i--) {
        *VEC_PUSH(&s->arena, &reversed) = runs.at[i - 1];
    }
    struct pack_place place = {below, reversed.at, reversed.n};
    assert_int_equal(fetch_check(&s->from, &place), FETCH_BAD);
    t.outputs[0] = (struct record_output){STR("d"), 0755, below, {{0}}};
    t.record = (struct record){.outputs = t.outputs, .output_count = 1};
    t.all = (struct cache_places){&place, 1};
    assert_false(restore(&t));
    assert_int_equal(names_in_workspace(s), 0);
    end(&t);
}

static void fetch_many_small_files_cost_few_reads(void **state)
{
    struct sandbox *s = *state;
    struct trip t = begin(s);
    for (int i = 0; i < 500; i++) {
        char name[32], text[32];
        snprintf(name, sizeof name, "d/%03d", i);
        snprintf(text, sizeof text, "file %d", i % 300);
        sandbox_text(s, name, text);
    }
    keep(&t, "d");
    seal(&t);
    assert_int_equal(t.places[0].run_count, 1);
    assert_int_equal(t.places[0].runs[0].count, 301); /* the tree, and 300 that differ */
    empty_workspace(s);
    assert_true(restore(&t));
    sandbox_expect(s, "d/499", "file 199", 8);
    end(&t);
}

static void fetch_ranges_join_neighbours(void **state)
{
    struct sandbox *s = *state;
    struct pack_id p = {{1}}, q = {{2}};
    const struct pack_run runs[] = {
        {q, 8, 100, 1},     {p, 1 << 20, 1000, 3},       {p, 8, 1000, 2},
        {p, 2000, 1000, 2}, {p, 3000 + FETCH_GAP, 5, 1}, /* just too far */
        {q, 0, 5 << 20, 0}, {q, 1 << 20, 20 << 20, 9},
    };
    struct fetch_range *out;
    uint32_t n = fetch_ranges(&s->arena, runs, 7, FETCH_RANGE_LIMIT, &out);
    assert_int_equal(n, 8);
    assert_int_equal(out[0].offset, 8);
    assert_int_equal(out[0].length, 2992);
    assert_int_equal(out[1].offset, 3000 + FETCH_GAP);
    assert_int_equal(out[2].offset, 1 << 20);
    bool plain = false;
    uint64_t sum = 0;
    for (uint32_t i = 3; i < n; i++) {
        assert_true(pack_id_eq(&out[i].pack, &q));
        plain = plain || (out[i].plain && out[i].length == 5 << 20);
        assert_true(out[i].plain || out[i].length <= FETCH_RANGE_LIMIT);
        sum += out[i].plain ? 0 : out[i].length;
    }
    assert_true(plain);
    assert_int_equal(sum, 100 + (20 << 20));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_begin, sandbox_end)
    const struct CMUnitTest tests[] = {
        TEST(fetch_small_files_come_back),
        TEST(fetch_umask_changes_no_permissions),
        TEST(fetch_large_file_comes_back),
        TEST(fetch_large_file_that_does_not_compress_is_kept_plain),
        TEST(fetch_folder_comes_back),
        TEST(fetch_large_folder_by_several_threads),
        TEST(fetch_many_folders_with_few_descriptors),
        TEST(fetch_folder_tells_its_first_failure),
        TEST(fetch_large_file_meets_a_full_disk),
        TEST(fetch_replaces_what_is_there),
        TEST(fetch_garbled_bytes_are_a_miss),
        TEST(fetch_of_what_was_verified_looks_at_form_and_size),
        TEST(fetch_next_place_is_tried),
        TEST(fetch_without_a_place_is_a_miss),
        TEST(fetch_is_all_or_none),
        TEST(fetch_output_within_an_output),
        TEST(fetch_paths_stay_in_the_workspace),
        TEST(fetch_hostile_trees_write_nothing_outside),
        TEST(fetch_links_of_a_tree_are_not_walked),
        TEST(fetch_bomb_of_folders_is_cut_off),
        TEST(fetch_many_small_files_cost_few_reads),
        TEST(fetch_ranges_join_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
