/* SPDX-License-Identifier: MIT */
/* Versions of one output over several builds: each costs what changed, also from process to process. */
#include "cache/cache.h"
#include "cache/object.h"
#include "cache/older.h"
#include "sandbox.h"

/* Stores the output in a build of its own; fingerprints differ by number. */
static void build(struct sandbox *s, const char *path, uint32_t number, uint8_t hint)
{
    char dir[256];
    snprintf(dir, sizeof dir, "%s/cache", s->dir);
    struct cache_options options = {.dir = str_from(dir), .hint = {hint}};
    struct cache *c = cache_open(&options, &s->notes);
    struct object_seen seen;
    uint64_t sequence;
    assert_non_null(c);
    assert_true(object_digest(s->root, str_from(path), &seen, &s->notes));
    struct record_output o = {str_from(path), seen.mode, seen.ref, seen.content};
    struct record r = {.outputs = &o, .output_count = 1, .success_ms = time_now_ns() / 1000000};
    r.fingerprint = digest_of(&number, sizeof number);
    assert_true(cache_store(c, &r, s->root, STR(""), &sequence, &s->notes));
    cache_close(c, &s->notes);
    assert_int_equal(s->notes.warnings, 0);
}

static uint64_t packed_bytes(struct sandbox *s)
{
    struct file_entry *entries;
    uint32_t count;
    uint64_t sum = 0;
    assert_true(file_list(&s->arena, s->from.folder, STR("p"), &entries, &count));
    for (uint32_t i = 0; i < count; i++) {
        struct str key = str_join3(&s->arena, STR("p"), STR("/"), entries[i].name);
        sum += file_stat(s->from.folder, key, false).size;
    }
    return sum;
}

static void older_versions_share_their_chunks(void **state)
{
    struct sandbox *s = *state;
    size_t n = 6 << 20;
    uint8_t *bytes = sandbox_bytes(s, "versions", n);
    for (size_t i = 0; i + 64 <= n; i += 64) {
        memset(bytes + i, 0, 32);
    }
    if (sandbox_reflinks(s)) {
        skip();
    }
    sandbox_write(s, "model", bytes, n, 0600);
    build(s, "model", 1, 7);
    uint64_t first = packed_bytes(s);
    assert_true(first > 2 << 20);
    bytes[n / 2] ^= 1;
    sandbox_write(s, "model", bytes, n, 0600);
    build(s, "model", 2, 7);
    uint64_t second = packed_bytes(s);
    assert_in_range(second - first, 1, 400 << 10);
    bytes[n / 3] ^= 1; /* another pipeline's file of the same name says nothing */
    sandbox_write(s, "model", bytes, n, 0600);
    build(s, "model", 3, 8);
    assert_true(packed_bytes(s) - second > 2 << 20);
}

static void older_versions_of_a_folder_share_their_files(void **state)
{
    struct sandbox *s = *state;
    for (int i = 0; i < 40; i++) {
        char name[32];
        snprintf(name, sizeof name, "d/%02d", i);
        sandbox_write(s, name, sandbox_bytes(s, name, 50000), 50000, 0600);
    }
    build(s, "d", 1, 7);
    uint64_t first = packed_bytes(s);
    assert_true(first > 40 * 50000);
    sandbox_text(s, "d/07", "new");
    build(s, "d", 2, 7);
    assert_in_range(packed_bytes(s) - first, 1, 20000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_begin, sandbox_end)
    const struct CMUnitTest tests[] = {
        TEST(older_versions_share_their_chunks),
        TEST(older_versions_of_a_folder_share_their_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
