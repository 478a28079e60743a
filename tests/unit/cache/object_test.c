/* SPDX-License-Identifier: MIT */
/* Digests of files and folders: what they depend on, and what they do not. */
#include "cache/object.h"
#include "sandbox.h"

#include <sys/socket.h>
#include <sys/un.h>

static struct object_seen look(struct sandbox *s, const char *path)
{
    struct object_seen seen;
    assert_true(object_digest(s->root, str_from(path), &seen, &s->notes));
    assert_false(seen.changed);
    return seen;
}

static void object_small_file_is_a_blob(void **state)
{
    struct sandbox *s = *state;
    sandbox_write(s, "a", "hello\n", 6, 0640);
    struct object_seen seen = look(s, "a");
    assert_int_equal(seen.ref.kind, REF_BLOB);
    assert_int_equal(seen.ref.size, 6);
    assert_int_equal(seen.mode, 0640);
    struct digest d = digest_of("hello\n", 6);
    assert_true(digest_eq(&seen.ref.digest, &d));
    assert_true(digest_eq(&seen.content, &d));
}

static void object_empty_file_is_a_blob(void **state)
{
    struct sandbox *s = *state;
    sandbox_text(s, "a", "");
    struct object_seen seen = look(s, "a");
    struct digest d = digest_of("", 0);
    assert_int_equal(seen.ref.kind, REF_BLOB);
    assert_int_equal(seen.ref.size, 0);
    assert_true(digest_eq(&seen.ref.digest, &d));
}

static void object_nothing_there_is_none(void **state)
{
    struct sandbox *s = *state;
    assert_int_equal(look(s, "nothing").ref.kind, REF_NONE);
    sandbox_text(s, "file", "x");
    assert_int_equal(look(s, "file/below").ref.kind, REF_NONE);
    assert_int_equal(symlinkat("nowhere", s->root, "dangling"), 0);
    assert_int_equal(look(s, "dangling").ref.kind, REF_NONE);
}

/* Values from an independent implementation of docs/formats.md. */
static void object_large_file_is_a_list(void **state)
{
    struct sandbox *s = *state;
    size_t n = 3 << 20;
    sandbox_write(s, "big", sandbox_bytes(s, "", n), n, 0600);
    struct object_seen seen = look(s, "big");
    assert_int_equal(seen.ref.kind, REF_LIST);
    assert_int_equal(seen.ref.size, n);
    assert_string_equal(sandbox_hex(s, seen.ref.digest.b, 32),
                        "11881bed11e9bd25abfcf833703ef716f7e1d8663207023201928eb84a00071d");
    uint8_t *zeros = arena_alloc(&s->arena, 1 << 20, 1);
    sandbox_write(s, "zeros", zeros, 1 << 20, 0600);
    seen = look(s, "zeros");
    assert_int_equal(seen.ref.kind, REF_LIST);
    assert_string_equal(sandbox_hex(s, seen.ref.digest.b, 32),
                        "6bd6741e4fb39c33b36c90fb9e62d09c8d50c222824c350532c235aadcb43434");
    sandbox_write(s, "almost", zeros, (1 << 20) - 1, 0600);
    assert_int_equal(look(s, "almost").ref.kind, REF_BLOB);
}

static void object_link_at_the_root_is_followed(void **state)
{
    struct sandbox *s = *state;
    sandbox_text(s, "a", "hello");
    assert_int_equal(symlinkat("a", s->root, "l"), 0);
    struct object_seen a = look(s, "a"), l = look(s, "l");
    assert_true(ref_eq(&a.ref, &l.ref));
}

static void make_folder(struct sandbox *s)
{
    sandbox_write(s, "d/run.sh", "", 0, 0755);
    sandbox_write(s, "d/a.txt", "hello\n", 6, 0644);
    assert_int_equal(symlinkat("a.txt", s->root, "d/link"), 0);
}

static void object_folder_is_a_tree(void **state)
{
    struct sandbox *s = *state;
    make_folder(s);
    struct object_seen seen = look(s, "d");
    assert_int_equal(seen.ref.kind, REF_TREE);
    assert_int_equal(seen.ref.size, 142);
    assert_string_equal(sandbox_hex(s, seen.ref.digest.b, 32),
                        "334194b57e29817c2ed6546d957efcc8534ed08b59879008d8fc37412092d370");
    assert_string_equal(sandbox_hex(s, seen.content.b, 32),
                        "37d80ffe289b18a866d2b87672a23628a501b327a21bdffc35bcbd2bc767416a");
}

static void object_content_knows_only_the_executable_bit(void **state)
{
    struct sandbox *s = *state;
    make_folder(s);
    sandbox_text(s, "d/sub/x", "x");
    struct object_seen before = look(s, "d");
    assert_int_equal(fchmodat(s->root, "d/a.txt", 0600, 0), 0);
    assert_int_equal(fchmodat(s->root, "d/sub", 0700, 0), 0);
    struct object_seen after = look(s, "d");
    assert_false(digest_eq(&before.ref.digest, &after.ref.digest));
    assert_true(digest_eq(&before.content, &after.content));
    assert_int_equal(fchmodat(s->root, "d/a.txt", 0700, 0), 0);
    after = look(s, "d");
    assert_false(digest_eq(&before.content, &after.content));
}

static void object_link_in_a_folder_is_a_link(void **state)
{
    struct sandbox *s = *state;
    make_folder(s);
    struct object_seen before = look(s, "d");
    assert_int_equal(unlinkat(s->root, "d/link", 0), 0);
    sandbox_write(s, "d/link", "hello\n", 6, 0644);
    struct object_seen after = look(s, "d");
    assert_false(digest_eq(&before.content, &after.content));
    /* Where it leads is not looked at. */
    assert_int_equal(unlinkat(s->root, "d/link", 0), 0);
    assert_int_equal(symlinkat("/nowhere/at/all", s->root, "d/link"), 0);
    look(s, "d");
}

static void object_names_and_depth_count(void **state)
{
    struct sandbox *s = *state;
    sandbox_text(s, "d/a/x", "1");
    sandbox_text(s, "e/ax", "1");
    sandbox_text(s, "f/a/x", "1");
    assert_int_equal(mkdirat(s->root, "f/empty", 0755), 0);
    struct object_seen d = look(s, "d"), e = look(s, "e"), f = look(s, "f");
    assert_false(digest_eq(&d.content, &e.content));
    assert_false(digest_eq(&d.content, &f.content)); /* an empty folder counts */
    sandbox_text(s, "g/a/x", "1");
    struct object_seen g = look(s, "g");
    assert_true(ref_eq(&d.ref, &g.ref));
}

static void object_large_file_in_a_folder(void **state)
{
    struct sandbox *s = *state;
    size_t n = 3 << 20;
    sandbox_text(s, "d/a-small-one-first", "x");
    sandbox_write(s, "d/big", sandbox_bytes(s, "", n), n, 0600);
    sandbox_text(s, "d/c-small-one-last", "y");
    struct object_seen big = look(s, "d/big");
    struct object_seen d = look(s, "d");
    assert_int_equal(d.ref.kind, REF_TREE);
    assert_int_equal(big.ref.kind, REF_LIST);
}

static void expect_unfit(struct sandbox *s, const char *path)
{
    struct object_seen seen;
    uint32_t before = s->notes.errors;
    assert_false(object_digest(s->root, str_from(path), &seen, &s->notes));
    assert_int_equal(s->notes.errors, before + 1);
    assert_string_equal(s->notes.all.at[s->notes.all.n - 1].code, "cannot-keep");
}

static void object_what_cannot_be_kept_is_told(void **state)
{
    struct sandbox *s = *state;
    assert_int_equal(mkfifoat(s->root, "fifo", 0600), 0);
    expect_unfit(s, "fifo");
    sandbox_text(s, "d/x", "x");
    assert_int_equal(mkfifoat(s->root, "d/fifo", 0600), 0);
    expect_unfit(s, "d");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/socket", s->root);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    expect_unfit(s, "socket");
    close(fd);
    struct str device = STR("/dev/null");
    struct object_seen seen;
    assert_false(object_digest(FILE_CWD, device, &seen, &s->notes));
}

static void object_too_deep_is_told(void **state)
{
    struct sandbox *s = *state;
    struct buf path;
    buf_init(&path, 1 << 16);
    for (int i = 0; i < 140; i++) {
        buf_put_str(&path, STR("d/"));
    }
    buf_put_str(&path, STR("x"));
    sandbox_text(s, path.s, "x");
    expect_unfit(s, "d");
    buf_free(&path);
}

static struct object_seen walk(struct sandbox *s, const char *path)
{
    struct object_seen seen;
    assert_true(object_walk(s->root, str_from(path), &seen, &s->notes));
    return seen;
}

static void object_walk_is_that_of_the_digest(void **state)
{
    struct sandbox *s = *state;
    make_folder(s);
    sandbox_text(s, "d/sub/x", "x");
    struct object_seen seen = look(s, "d"), walked = walk(s, "d");
    assert_true(digest_eq(&seen.walk, &walked.walk));
    assert_int_equal(seen.newest_ns, walked.newest_ns);
    assert_true(seen.newest_ns > 0);
    struct digest none = {{0}};
    struct object_seen file = look(s, "d/a.txt");
    assert_true(digest_eq(&file.walk, &none));
}

static void object_walk_sees_each_change(void **state)
{
    struct sandbox *s = *state;
    make_folder(s);
    sandbox_text(s, "d/sub/x", "x");
    struct digest last = walk(s, "d").walk;
    for (int i = 0; i < 6; i++) {
        switch (i) {
        case 0: sandbox_text(s, "d/sub/x", "y"); break; /* another file of the same size */
        case 1: sandbox_text(s, "d/new", ""); break;
        case 2: assert_int_equal(fchmodat(s->root, "d/sub", 0711, 0), 0); break;
        case 3: assert_int_equal(renameat(s->root, "d/new", s->root, "d/newer"), 0); break;
        case 4: assert_int_equal(mkdirat(s->root, "d/sub/empty", 0700), 0); break;
        default: assert_int_equal(unlinkat(s->root, "d/link", 0), 0); break;
        }
        struct digest now = walk(s, "d").walk;
        assert_false(digest_eq(&last, &now));
        last = now;
    }
    sandbox_text(s, "d/passing", "");
    assert_int_equal(unlinkat(s->root, "d/passing", 0), 0);
    struct digest now = walk(s, "d").walk;
    assert_true(digest_eq(&last, &now));
}

static void object_growing_file_is_told_as_changed(void **state)
{
    struct sandbox *s = *state;
    struct object_seen seen;
    /* The kernel says size 0 and gives bytes: to a reader that is a file that grew. */
    assert_true(object_digest(FILE_CWD, STR("/proc/self/status"), &seen, &s->notes));
    assert_true(seen.changed);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, sandbox_begin, sandbox_end)
    const struct CMUnitTest tests[] = {
        TEST(object_small_file_is_a_blob),
        TEST(object_empty_file_is_a_blob),
        TEST(object_nothing_there_is_none),
        TEST(object_large_file_is_a_list),
        TEST(object_link_at_the_root_is_followed),
        TEST(object_folder_is_a_tree),
        TEST(object_content_knows_only_the_executable_bit),
        TEST(object_link_in_a_folder_is_a_link),
        TEST(object_names_and_depth_count),
        TEST(object_large_file_in_a_folder),
        TEST(object_what_cannot_be_kept_is_told),
        TEST(object_too_deep_is_told),
        TEST(object_walk_is_that_of_the_digest),
        TEST(object_walk_sees_each_change),
        TEST(object_growing_file_is_told_as_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
