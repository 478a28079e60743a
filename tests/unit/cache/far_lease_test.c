/* SPDX-License-Identifier: MIT */
/* Leases over a place in memory, between two clients: who runs, who waits, who takes over, and who is in doubt. */
#include "cache/far_lease.h"
#include "tests/unit/cache/depot_mem.c"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

enum { SECOND = 1000 };

struct pair {
    struct mem_place place;
    struct mem_handle a, b;
    struct far_leases *xa, *xb;
    struct far_lease la, lb;
};

static int begin(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    mem_place_init(&p->place, INT64_C(1700000000000));
    mem_handle_init(&p->a, &p->place);
    mem_handle_init(&p->b, &p->place);
    p->b.seed = 2;
    p->b.skew_ms = 7200 * SECOND; /* whose clock is right does not matter */
    p->xa = far_leases_over(&p->a.depot, STR("host-a"), mem_world(&p->a));
    p->xb = far_leases_over(&p->b.depot, STR("host-b"), mem_world(&p->b));
    p->la.fingerprint = p->lb.fingerprint = digest_of("step", 4);
    *state = p;
    return 0;
}

static int end(void **state)
{
    struct pair *p = *state;
    far_leases_close(p->xa);
    far_leases_close(p->xb);
    mem_place_free(&p->place);
    free(p);
    return 0;
}

static struct str lease_key(const struct pair *p, unsigned n, char out[static 100])
{
    struct buf b;
    buf_init(&b, 100);
    digest_put_hex(&b, &p->la.fingerprint);
    int length = snprintf(out, 100, "l/%.*s/%u", STR_ARG(buf_str(&b)), n);
    buf_free(&b);
    return (struct str){out, (size_t)length};
}

static void first_runs_and_second_waits(void **state)
{
    struct pair *p = *state;
    char key[100];
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_OURS);
    assert_non_null(mem_find(&p->place, lease_key(p, 1, key)));
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_THEIRS);
    assert_string_equal(p->lb.host, "host-a");
    assert_int_equal(mem_count(&p->place, STR("l/")), 1); /* what was asked with is gone */
}

static void other_step_is_free(void **state)
{
    struct pair *p = *state;
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_OURS);
    p->lb.fingerprint = digest_of("other", 5);
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_OURS);
}

static void waiting_costs_one_list(void **state)
{
    struct pair *p = *state;
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_OURS);
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_THEIRS);
    uint64_t before = p->place.ops;
    assert_int_equal(far_lease_take(p->xb, &p->lb, true), FAR_LEASE_THEIRS);
    assert_int_equal(p->place.ops - before, 1);
    assert_string_equal(p->lb.host, "host-a");
}

static void lease_that_has_gone_is_told_before_it_is_taken(void **state)
{
    struct pair *p = *state;
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_OURS);
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_THEIRS);
    far_lease_drop(p->xa, &p->la);
    assert_int_equal(mem_count(&p->place, STR("l/")), 0);
    assert_int_equal(far_lease_take(p->xb, &p->lb, true), FAR_LEASE_GONE);
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_OURS);
}

static void renewed_lease_stands_and_forgotten_one_is_taken_over(void **state)
{
    struct pair *p = *state;
    char key[100];
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_OURS);
    for (int i = 0; i < 10; i++) {
        mem_pass(&p->place, FAR_LEASE_RENEW_MS);
        far_lease_renew(p->xa, &p->la);
        assert_int_equal(far_lease_take(p->xb, &p->lb, i > 0), FAR_LEASE_THEIRS);
    }
    mem_pass(&p->place, FAR_LEASE_STALE_MS);
    assert_int_equal(far_lease_take(p->xb, &p->lb, true), FAR_LEASE_THEIRS); /* not over 90 s */
    mem_pass(&p->place, 1);
    assert_int_equal(far_lease_take(p->xb, &p->lb, true), FAR_LEASE_OURS);
    assert_int_equal(p->lb.number, 2);
    assert_non_null(mem_find(&p->place, lease_key(p, 2, key)));
    /* The sleeper wakes and renews what is no longer the highest: the thief's counts. */
    far_lease_renew(p->xa, &p->la);
    struct far_lease lc = {.fingerprint = p->la.fingerprint};
    assert_int_equal(far_lease_take(p->xa, &lc, false), FAR_LEASE_THEIRS);
    assert_string_equal(lc.host, "host-b");
}

/* Runs the other client's take between this one's list and its put. */
static void race(void *context, struct mem_handle *h, enum mem_op op, struct str key)
{
    struct pair *p = context;
    (void)key;
    if (op == MEM_PUT) {
        h->before = NULL;
        assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_OURS);
    }
}

static void race_for_a_free_or_a_stale_one_has_one_winner(void **state)
{
    struct pair *p = *state;
    struct far_lease warm = {.fingerprint =
                                 digest_of("warm", 4)}; /* both know what the place can do */
    assert_int_equal(far_lease_take(p->xa, &warm, false), FAR_LEASE_OURS);
    assert_int_equal(far_lease_take(p->xb, &warm, false), FAR_LEASE_THEIRS);
    p->a.before = race;
    p->a.context = p;
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_THEIRS);
    assert_string_equal(p->la.host, "host-b");
    mem_pass(&p->place, FAR_LEASE_STALE_MS + 1);
    p->lb.seen = p->lb.number = 0;
    p->a.before = race;
    assert_int_equal(far_lease_take(p->xa, &p->la, true), FAR_LEASE_THEIRS);
    assert_int_equal(p->la.seen, 2);
    assert_int_equal(p->lb.number, 2);
}

/* A server that takes no notice of If-None-Match. */
static const struct depot_functions *real;

static enum depot_answer careless_put(struct depot *d, struct str key,
                                      const struct depot_source *source, bool if_absent,
                                      struct depot_reply *reply)
{
    (void)if_absent;
    return real->put(d, key, source, false, reply);
}

static enum depot_answer unable_put(struct depot *d, struct str key,
                                    const struct depot_source *source, bool if_absent,
                                    struct depot_reply *reply)
{
    if (if_absent) {
        *reply = (struct depot_reply){.error = ENOTSUP};
        return DEPOT_REFUSED;
    }
    return real->put(d, key, source, false, reply);
}

static void expect_off(struct pair *p, const struct depot_functions *functions)
{
    real = p->a.depot.f;
    p->a.depot.f = functions;
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_NONE);
    uint64_t before = p->place.ops;
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_NONE);
    assert_int_equal(p->place.ops, before); /* asked once */
    assert_int_equal(mem_count(&p->place, STR("l/")), 0);
}

static void server_that_ignores_the_condition_has_no_leases(void **state)
{
    struct pair *p = *state;
    struct depot_functions careless = *p->a.depot.f;
    careless.put = careless_put;
    expect_off(p, &careless);
}

static void server_that_knows_no_condition_has_no_leases(void **state)
{
    struct pair *p = *state;
    struct depot_functions unable = *p->a.depot.f;
    unable.put = unable_put;
    expect_off(p, &unable);
}

static void trouble_is_no_lease(void **state)
{
    struct pair *p = *state;
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_OURS);
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_THEIRS);
    p->b.fail_list = 1;
    assert_int_equal(far_lease_take(p->xb, &p->lb, true), FAR_LEASE_NONE);
    p->lb.fingerprint = digest_of("other", 5);
    p->b.fail_put = 1;
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_NONE);
    p->b.lose_put = 1; /* perhaps it is ours: nobody knows, so it is nobody's */
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_NONE);
    assert_int_equal(p->lb.number, 0);
    p->b.dead = true;
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_NONE);
}

static void words_of_others_are_made_harmless(void **state)
{
    struct pair *p = *state;
    char key[100];
    mem_put(&p->place, lease_key(p, 7, key), STR("evil\x1b[2J\nhost\xff"));
    mem_put(&p->place, lease_key(p, 3, key), STR("other"));
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_THEIRS);
    assert_string_equal(p->la.host, "evil??2J?host?");
    char long_name[3 * FAR_LEASE_HOST];
    memset(long_name, 'x', sizeof long_name);
    mem_put(&p->place, lease_key(p, 8, key), (struct str){long_name, sizeof long_name});
    assert_int_equal(far_lease_take(p->xa, &p->la, true), FAR_LEASE_THEIRS);
    assert_int_equal(strlen(p->la.host), FAR_LEASE_HOST - 1);
}

static void numbers_that_cannot_be_are_not_counted(void **state)
{
    struct pair *p = *state;
    char key[100];
    struct str base = lease_key(p, 1, key);
    base.n--;
    char odd[200];
    static const char *const NUMBERS[] = {"x", "", "-1", "99999999999999999999999", "1/2"};
    for (size_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        int n = snprintf(odd, sizeof odd, "%.*s%s", STR_ARG(base), NUMBERS[i]);
        mem_put(&p->place, (struct str){odd, (size_t)n}, STR("x"));
    }
    assert_int_equal(far_lease_take(p->xa, &p->la, false), FAR_LEASE_OURS);
    assert_int_equal(p->la.number, 1);
    int n = snprintf(odd, sizeof odd, "%.*s999999999999999999", STR_ARG(base));
    mem_put(&p->place, (struct str){odd, (size_t)n}, STR("x"));
    assert_int_equal(far_lease_take(p->xb, &p->lb, false), FAR_LEASE_THEIRS);
    mem_pass(&p->place, FAR_LEASE_STALE_MS + 1);
    assert_int_equal(far_lease_take(p->xb, &p->lb, true), FAR_LEASE_NONE);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(first_runs_and_second_waits),
        CASE(other_step_is_free),
        CASE(waiting_costs_one_list),
        CASE(lease_that_has_gone_is_told_before_it_is_taken),
        CASE(renewed_lease_stands_and_forgotten_one_is_taken_over),
        CASE(race_for_a_free_or_a_stale_one_has_one_winner),
        CASE(server_that_ignores_the_condition_has_no_leases),
        CASE(server_that_knows_no_condition_has_no_leases),
        CASE(trouble_is_no_lease),
        CASE(words_of_others_are_made_harmless),
        CASE(numbers_that_cannot_be_are_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
