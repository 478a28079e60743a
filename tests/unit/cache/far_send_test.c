/* SPDX-License-Identifier: MIT */
/* Packs on their way side by side: all come through as they were put, or nobody is told that they did. */
#include "cache/far_send.h"
#include "sandbox.h"

enum { PACKS = 8 };

struct sending {
    struct sandbox *s;
    struct str far_dir, near_dir, folder; /* folder: the place's, of near_dir */
    struct far_place *place;
};

static int begin_sending(void **state)
{
    struct sending *t = calloc(1, sizeof *t);
    assert_int_equal(sandbox_begin((void **)&t->s), 0);
    struct arena *a = &t->s->arena;
    t->far_dir = path_join(a, str_from(t->s->dir), STR("far"));
    t->near_dir = path_join(a, str_from(t->s->dir), STR("near"));
    struct far_options o = {.url = str_join3(a, STR("file://"), t->far_dir, STR("")),
                            .read = true,
                            .write = true,
                            .near_dir = t->near_dir};
    t->place = far_place_open(&o, &t->s->notes);
    assert_non_null(t->place);
    t->folder = path_join(a, t->near_dir, far_place_folder(t->place));
    assert_true(file_make_dirs(FILE_CWD, path_dirname(t->folder), 0700));
    *state = t;
    return 0;
}

static int end_sending(void **state)
{
    struct sending *t = *state;
    far_place_close(t->place);
    void *s = t->s;
    sandbox_end(&s);
    free(t);
    return 0;
}

static struct far_send *open_send(struct sending *t)
{
    struct far_send *s = far_send_open(t->place);
    assert_non_null(s);
    return s;
}

/* Of many sizes, so that none is as long as what its file held before. */
static struct str pack_bytes(struct sending *t, uint32_t number)
{
    char seed[32];
    size_t n = number % 2 ? 1000 + number : 400000 - number * 1000;
    snprintf(seed, sizeof seed, "%u-", number);
    return (struct str){(const char *)sandbox_bytes(t->s, seed, n), n};
}

static struct pack_id pack_number(uint32_t number)
{
    struct pack_id id = {{0}};
    id.b[0] = (uint8_t)(number + 1);
    return id;
}

static enum depot_answer put(struct far_send *s, uint32_t number, struct str bytes)
{
    char key[PACK_KEY];
    struct pack_id id = pack_number(number);
    struct str parts[] = {str_sub(bytes, 0, bytes.n / 3), str_tail(bytes, bytes.n / 3)};
    struct depot_source source = DEPOT_PARTS(parts, 2);
    struct depot_reply reply;
    return depot_put(far_send_depot(s), pack_key(&id, false, key), &source, false, &reply);
}

static void expect_there(struct sending *t, uint32_t number)
{
    char key[PACK_KEY];
    struct pack_id id = pack_number(number);
    struct str found, wanted = pack_bytes(t, number);
    struct str path = path_join(&t->s->arena, t->far_dir, pack_key(&id, false, key));
    assert_true(file_read_quiet(&t->s->arena, FILE_CWD, path, 1 << 20, &found));
    assert_true(str_eq(found, wanted));
}

static void put_all(struct sending *t)
{
    struct depot_reply reply;
    struct far_send *s = open_send(t);
    for (uint32_t i = 0; i < PACKS; i++) {
        assert_int_equal(put(s, i, pack_bytes(t, i)), DEPOT_DONE);
    }
    assert_int_equal(far_send_wait(s, &reply), DEPOT_DONE);
    for (uint32_t i = 0; i < PACKS; i++) {
        expect_there(t, i);
    }
    far_send_close(s);
}

static void all_come_through_as_they_were(void **state)
{
    struct sending *t = *state;
    struct far_sent *sent;
    uint32_t seen = 0;
    assert_true(file_make_dirs(FILE_CWD, t->folder, 0700));
    put_all(t);
    uint32_t count = far_sent_read(t->place, &t->s->arena, &sent);
    assert_int_equal(count, PACKS);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = sent[i].id.b[0] - 1u;
        assert_in_range(number, 0, PACKS - 1);
        assert_int_equal(sent[i].bytes, pack_bytes(t, number).n);
        seen |= 1u << number;
    }
    assert_int_equal(seen, (1u << PACKS) - 1);
    far_sent_forget(t->place);
    assert_int_equal(far_sent_read(t->place, &t->s->arena, &sent), 0);
}

/* A power cut or a full disk in the middle of an append. */
static void torn_note_costs_nothing_else(void **state)
{
    struct sending *t = *state;
    struct far_sent *sent;
    struct depot_reply reply;
    struct str path = path_join(&t->s->arena, t->folder, STR("sent"));
    assert_true(file_make_dirs(FILE_CWD, t->folder, 0700));
    struct far_send *s = open_send(t);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(put(s, i, pack_bytes(t, i)), DEPOT_DONE);
        assert_int_equal(far_send_wait(s, &reply), DEPOT_DONE);
        int fd = open(str_c(&t->s->arena, path), O_WRONLY | O_APPEND | O_CLOEXEC);
        assert_true(fd >= 0 && file_write_all(fd, "torn", 4) && close(fd) == 0);
    }
    assert_int_equal(far_sent_read(t->place, &t->s->arena, &sent), 2);
    assert_int_equal(sent[0].id.b[0], 1);
    assert_int_equal(sent[1].id.b[0], 2);
    far_send_close(s);
}

/* /proc has no room for any file. */
static void without_room_here_they_come_through_too(void **state)
{
    struct sending *t = *state;
    assert_int_equal(symlink("/proc/self/fd", str_c(&t->s->arena, t->folder)), 0);
    put_all(t);
}

static void one_that_fails_is_told(void **state)
{
    struct sending *t = *state;
    struct far_sent *sent;
    struct depot_reply reply;
    struct str packs = path_join(&t->s->arena, t->far_dir, STR("p"));
    assert_true(file_make_dirs(FILE_CWD, t->folder, 0700));
    struct far_send *s = open_send(t);
    assert_int_equal(put(s, 0, pack_bytes(t, 0)), DEPOT_DONE);
    assert_int_equal(far_send_wait(s, &reply), DEPOT_DONE);
    assert_true(file_remove_tree(FILE_CWD, packs));
    assert_true(file_write(FILE_CWD, packs, STR(""), 0600, false));
    for (uint32_t i = 1; i < PACKS; i++) {
        (void)put(s, i, pack_bytes(t, i)); /* at the latest when all are under way it says so */
    }
    assert_int_not_equal(put(s, PACKS, STR("more")), DEPOT_DONE);
    assert_int_not_equal(far_send_wait(s, &reply), DEPOT_DONE);
    assert_int_equal(far_sent_read(t->place, &t->s->arena, &sent), 1);
    far_send_close(s);
}

static void only_packs_are_taken(void **state)
{
    struct sending *t = *state;
    struct depot_reply reply;
    struct str bytes = STR("x");
    struct depot_source source = DEPOT_PARTS(&bytes, 1);
    assert_true(file_make_dirs(FILE_CWD, t->folder, 0700));
    struct far_send *s = open_send(t);
    struct depot *d = far_send_depot(s);
    assert_int_equal(depot_put(d, STR("format"), &source, false, &reply), DEPOT_REFUSED);
    assert_int_equal(far_send_wait(s, &reply), DEPOT_DONE);
    far_send_close(s);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin_sending, end_sending)
    const struct CMUnitTest tests[] = {
        TEST(all_come_through_as_they_were),
        TEST(torn_note_costs_nothing_else),
        TEST(without_room_here_they_come_through_too),
        TEST(one_that_fails_is_told),
        TEST(only_packs_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
