/* SPDX-License-Identifier: MIT */
/* The vectors in docs/formats.md, "Objects" to "Packs": the page and the program say the same. */
#include "cache/chunk.h"
#include "cache/object.h"
#include "cache/tree.h"
#include "sandbox.h"

/* What stands behind "KEY = " in the block ```NAME of the page. */
static struct str vector(struct sandbox *s, const char *block, const char *key)
{
    struct str page, line, fence = str_printf(&s->arena, "```%s", block);
    struct str begin = str_printf(&s->arena, "%s = ", key);
    bool inside = false;
    assert_true(file_read_quiet(&s->arena, FILE_CWD, STR("../docs/formats.md"), 1 << 20, &page));
    while (str_cut(&page, '\n', &line)) {
        inside = inside ? !str_eq(line, STR("```")) : str_eq(line, fence);
        if (inside && str_starts(line, begin)) {
            return str_tail(line, begin.n);
        }
    }
    fail_msg("docs/formats.md has no '%s' in '%s'", key, block);
    return STR_NONE;
}

static void expect_hex(struct sandbox *s, const char *block, const char *key, struct str bytes)
{
    struct str wanted = vector(s, block, key);
    assert_string_equal(sandbox_hex(s, bytes.s, bytes.n), str_c(&s->arena, wanted));
}

static struct str unhex(struct sandbox *s, struct str hex)
{
    char *out = arena_alloc(&s->arena, hex.n / 2 + 1, 1);
    for (size_t i = 0; i + 1 < hex.n; i += 2) {
        char pair[3] = {hex.s[i], hex.s[i + 1], 0};
        out[i / 2] = (char)strtoul(pair, NULL, 16);
    }
    return (struct str){out, hex.n / 2};
}

static struct object_seen look(struct sandbox *s, const char *path)
{
    struct object_seen seen;
    assert_true(object_digest(s->root, str_from(path), &seen, &s->notes));
    return seen;
}

static void expect_digest(struct sandbox *s, const char *key, const struct digest *digest)
{
    expect_hex(s, "objects", key, (struct str){(const char *)digest->b, 32});
}

static void formats_files_are_digested_as_written(void **state)
{
    struct sandbox *s = *state;
    sandbox_text(s, "hello", "hello\n");
    sandbox_write(s, "stream", sandbox_bytes(s, "", 3145728), 3145728, 0600);
    sandbox_write(s, "zeros", arena_alloc(&s->arena, 1048576, 1), 1048576, 0600);
    struct object_seen hello = look(s, "hello"), stream = look(s, "stream"),
                       zeros = look(s, "zeros");
    assert_int_equal(stream.ref.kind, REF_LIST);
    expect_digest(s, "blob hello", &hello.ref.digest);
    expect_digest(s, "list stream 3145728", &stream.ref.digest);
    expect_digest(s, "list zeros 1048576", &zeros.ref.digest);
}

static void formats_folders_are_digested_as_written(void **state)
{
    struct sandbox *s = *state;
    sandbox_write(s, "d/run.sh", "", 0, 0755);
    sandbox_write(s, "d/a.txt", "hello\n", 6, 0644);
    assert_int_equal(symlinkat("a.txt", s->root, "d/link"), 0);
    struct object_seen d = look(s, "d");
    expect_digest(s, "tree digest", &d.ref.digest);
    expect_digest(s, "tree content", &d.content);
    struct str bytes = unhex(s, vector(s, "objects", "tree bytes"));
    struct digest digest = digest_of(bytes.s, bytes.n);
    assert_true(digest_eq(&digest, &d.ref.digest));
    assert_int_equal(d.ref.size, bytes.n);
    struct tree tree;
    struct buf again;
    buf_init(&again, 1 << 16);
    assert_true(tree_read(&s->arena, bytes, &tree));
    tree_put(&again, tree.entries, tree.count);
    assert_true(str_eq(buf_str(&again), bytes));
    buf_free(&again);
}

static void expect_cuts(struct sandbox *s, const char *key, const uint8_t *bytes, size_t n)
{
    struct str text = vector(s, "chunks", key), word;
    for (uint64_t wanted; str_cut(&text, ' ', &word);) {
        assert_true(str_parse_u64(word, &wanted));
        size_t cut = chunk_cut(bytes, n);
        assert_int_equal(cut, wanted);
        bytes += cut;
        n -= cut;
    }
}

static void formats_chunks_are_cut_as_written(void **state)
{
    struct sandbox *s = *state;
    for (int i = 0; i < 4; i++) {
        uint8_t bytes[8];
        char key[24];
        for (int k = 0; k < 8; k++) {
            bytes[k] = (uint8_t)(chunk_gear[i] >> (8 * k));
        }
        snprintf(key, sizeof key, "gear %d", i);
        expect_hex(s, "chunks", key, (struct str){(char *)bytes, 8});
    }
    expect_cuts(s, "cuts stream 3145728", sandbox_bytes(s, "", 3145728), 3145728);
    expect_cuts(s, "cuts zeros 1048576", arena_alloc(&s->arena, 1048576, 1), 1048576);
}

static void formats_frames_are_read_as_written(void **state)
{
    struct sandbox *s = *state;
    struct frame_decoder d;
    char zeros[1000] = {0}, out[1000] = "x";
    frame_decoder_init(&d);
    struct str frame = unhex(s, vector(s, "frames", "zstd 1000 zeros"));
    assert_true(frame_decode(&d, FRAME_ZSTD, frame, out, sizeof out));
    assert_memory_equal(out, zeros, sizeof out);
    frame_decoder_free(&d);
}

static void formats_packs_are_read_as_written(void **state)
{
    struct sandbox *s = *state;
    struct pack_id id = pack_id_random();
    char name[PACK_KEY];
    struct str key = pack_key(&id, false, name), pack = unhex(s, vector(s, "packs", "pack"));
    struct depot_source source = DEPOT_PARTS(&pack, 1);
    struct depot_reply reply;
    assert_int_equal(depot_put(s->depot, key, &source, false, &reply), DEPOT_DONE);
    struct pack_checked checked;
    assert_int_equal(pack_check(s->depot, &id, &checked), PACK_DONE);
    assert_int_equal(checked.objects, 2);
    assert_int_equal(checked.bad_objects, 0);
    struct pack_footer footer;
    assert_int_equal(pack_read_footer(s->depot, &id, 0, &s->arena, &footer), PACK_DONE);
    for (uint32_t i = 0; i < footer.count; i++) {
        const struct pack_entry *e = &footer.at[i];
        struct str shown = str_printf(&s->arena, "%d %d %d %d %s", (int)e->offset, (int)e->stored,
                                      (int)e->raw, e->kind, sandbox_hex(s, e->digest.b, 32));
        struct str entry = str_printf(&s->arena, "entry %u", i);
        assert_true(str_eq(shown, vector(s, "packs", entry.s)));
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_begin, sandbox_end)
    const struct CMUnitTest tests[] = {
        TEST(formats_files_are_digested_as_written), TEST(formats_folders_are_digested_as_written),
        TEST(formats_chunks_are_cut_as_written),     TEST(formats_frames_are_read_as_written),
        TEST(formats_packs_are_read_as_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
