/* SPDX-License-Identifier: MIT */
/* The far cache's own code in several processes on one place whose clock, stalls, losses and kills follow a seed:
 * whatever the schedule, what a push has confirmed is found while the policy keeps it, nothing wrong comes, nothing is
 * dropped but what was condemned long enough, and what nobody needs goes. Arguments: schedules (24, or what 6 s allow),
 * first seed (1; else $PAWL_SEED), stride (4 from a multiple of 4: only places that lie). $PAWL_SIM_TELL: each step. */
#include "cache/fetch.h"
#include "tests/unit/cache/depot_mem.c"
#include "tests/unit/cache/sim_client.c"
#include "tests/unit/cache/sim_lies.c"
#include "tests/unit/cache/sim_place.c"

#include <sys/mman.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

#define BUILD_NS INT64_C(6000000000)

enum { SESSIONS = 40, FEWEST = 4, COMMON = 25, CONTENTS = 170, OLD_HAND = 0, FRESH = SIM_MACHINES };
static int schedules = 24; /* as far as they fit into a build's time */
static bool all;
static uint64_t first_seed = 1, stride = 1;

/* ---- plans ---- */

static void plan_act(struct sim_plan *p, enum sim_action action)
{
    p->actions[p->action_count++] = action;
}

/* Often one that there was before: its bytes may be on their way out just now. */
static int any_content(struct sim *s)
{
    if (s->result_count && sim_roll(s, 3) == 0) {
        return s->results[sim_roll(s, s->result_count)].content;
    }
    return (int)sim_roll(s, sim_roll(s, 2) ? COMMON : CONTENTS);
}

static void plan_store(struct sim *s, struct sim_plan *p, int machine)
{
    uint32_t count = 1 + (uint32_t)sim_roll(s, sim_roll(s, 4) ? 3 : 9);
    for (uint32_t i = 0; i < count && s->result_count < SIM_RESULTS; i++) {
        struct sim_result *r = &s->results[s->result_count];
        *r = (struct sim_result){
            .content = any_content(s),
            .second = sim_roll(s, 3) ? -1 : any_content(s),
            .success_ms = s->place.now_ms + s->machines[machine].skew_ms / 4,
        };
        p->store[p->store_count++] = s->result_count++;
    }
    plan_act(p, SIM_STORE);
}

static void plan_fetch(struct sim *s, struct sim_plan *p, uint32_t *wants)
{
    uint32_t count = 1 + (uint32_t)sim_roll(s, 6);
    for (uint32_t i = 0; i < count && s->result_count; i++) {
        uint32_t back = (uint32_t)sim_roll(s, sim_roll(s, 2) ? s->result_count : 12);
        wants[p->fetch_count++] =
            back < s->result_count ? s->result_count - 1 - back : (uint32_t)s->result_count - 1;
    }
    p->fetch = wants;
    plan_act(p, SIM_FETCH);
}

/* In some schedules the last one comes seldom, and knows what was long ago. */
static int any_machine(struct sim *s)
{
    uint64_t machine = sim_roll(s, SIM_MACHINES), other = sim_roll(s, SIM_MACHINES);
    return (int)(s->uneven && other < machine ? other : machine);
}

static void start_any(struct sim *s)
{
    uint32_t wants[SIM_WANTS];
    struct sim_plan p = {.fetch = wants};
    int machine = any_machine(s);
    bool quiet = sim_roll(s, 3) == 0;
    bool duel = s->busy && s->stored && sim_roll(s, 2); /* a collector beside who has just pushed */
    s->stored = false;
    switch (duel ? 8 : sim_roll(s, 12)) {
    case 0:
    case 1:
    case 2:
    case 3:
        if (sim_roll(s, 2)) {
            plan_fetch(s, &p, wants);
        }
        plan_store(s, &p, machine);
        plan_act(&p, SIM_PUSH);
        s->stored = true;
        break;
    case 4:
    case 5:
    case 6: plan_fetch(s, &p, wants); break;
    case 7: plan_act(&p, SIM_PUSH); break;
    case 8:
    case 9: plan_act(&p, SIM_COLLECT); break;
    case 10: plan_act(&p, sim_roll(s, 3) ? SIM_COLLECT : SIM_CHECK); break;
    default:
        p.merge_all = sim_roll(s, 2);
        plan_act(&p, SIM_MERGE);
        break;
    }
    if (sim_roll(s, 5) == 0) {
        plan_act(&p, SIM_PUSH);
    }
    (void)sim_start(s, machine, p, quiet && !s->hostile, quiet && !s->hostile);
}

/* ---- one schedule ---- */

static int64_t pause_before_next(struct sim *s)
{
    switch (sim_roll(s, s->busy ? 11 : 6)) {
    case 0:
    case 1: return (int64_t)sim_roll(s, SIM_MINUTE);
    case 2: return (int64_t)sim_roll(s, 20 * SIM_MINUTE);
    case 3:
    case 4: return (int64_t)sim_roll(s, 5 * SIM_HOUR);
    case 5:
    case 6:
    case 7: return (int64_t)sim_roll(s, 2000);
    case 8:
    case 9: return (int64_t)sim_roll(s, 5 * SIM_MINUTE);
    default: return (int64_t)sim_roll(s, s->rare ? 5 * SIM_DAY : 30 * SIM_HOUR);
    }
}

static void run_sessions(struct sim *s)
{
    int64_t next_ms = s->place.now_ms;
    for (int i = 0; i < SESSIONS && !s->failed; i++) {
        while (!s->failed && sim_step(s, next_ms)) {
            if (s->check_soon && sim_roll(s, 4) == 0) {
                sim_check(s);
            }
        }
        sim_pass_to(s, next_ms);
        sim_check(s);
        int machine = (int)sim_roll(s, SIM_MACHINES);
        if (sim_roll(s, 7) == 0 && !sim_is_busy(s, machine)) {
            sim_machine_new(s, machine); /* a disk is lost */
        }
        if (sim_roll(s, 30) == 0) {
            sim_plant_future(s);
        }
        if (s->hostile && sim_roll(s, 3) == 0) {
            sim_plant_nonsense(s);
        }
        start_any(s);
        next_ms = s->place.now_ms + pause_before_next(s);
    }
    while (!s->failed && sim_step(s, INT64_MAX)) {
    }
}

static void run_alone(struct sim *s, int machine, struct sim_plan p)
{
    if (!s->failed && !sim_start(s, machine, p, true, true)) {
        sim_fail(s, "a client cannot be started");
    }
    sim_drain(s);
    sim_check(s);
}

static void collect_after(struct sim *s, int64_t ms)
{
    struct sim_plan p = {0};
    plan_act(&p, SIM_COLLECT);
    sim_pass_to(s, s->place.now_ms + ms);
    run_alone(s, OLD_HAND, p);
}

/* Whoever comes fresh, and whoever has seen it all, has each byte. */
static void expect_all_is_there(struct sim *s)
{
    static uint32_t wants[SIM_RESULTS];
    struct sim_plan p = {.fetch = wants};
    for (uint32_t i = 0; i < s->result_count; i++) {
        if (s->results[i].acked_ms && sim_is_kept(s, &s->results[i])) {
            wants[p.fetch_count++] = i;
        }
    }
    plan_act(&p, SIM_FETCH);
    sim_pass_to(s, s->place.now_ms + 2 * SIM_MINUTE);
    sim_machine_new(s, FRESH);
    run_alone(s, FRESH, p);
    run_alone(s, OLD_HAND, p);
}

static void expect_same_view(struct sim *s)
{
    struct sim_plan p = {.full_look = true};
    uint8_t before[32];
    plan_act(&p, SIM_LOOK_ALL);
    sim_pass_to(s, s->place.now_ms + 25 * SIM_HOUR);
    sim_machine_new(s, FRESH);
    run_alone(s, FRESH, p);
    memcpy(before, s->rows, sizeof before);
    p.full_look = false; /* a day after the last one it comes by itself */
    run_alone(s, OLD_HAND, p);
    if (!s->failed && memcmp(before, s->rows, sizeof before) != 0) {
        sim_fail(s, "two clients with the same segments see different results");
    }
}

/* Each distinct root that a kept record of the place needs, once. */
static uint64_t live_bytes(struct sim *s)
{
    struct mem_handle h;
    struct manifest m;
    struct needed needed;
    struct arena arena = {0};
    struct diags notes;
    uint64_t n = 0;
    diags_init(&notes, &arena);
    mem_handle_init(&h, &s->place);
    manifest_init(&m, &h.depot, s->folder, mem_world(&h));
    (void)manifest_sync(&m, true, &notes);
    needed_init(&needed, &m.view, s->place.now_ms, s->keep_ms);
    for (uint32_t i = 0; i < needed.roots.n; i++) {
        struct pack_place *places;
        bool needs =
            needed.roots.at[i].records > 0
            && view_find_places(&m.view, &needed.roots.at[i].root, VIEW_PLACES_FEW, &arena, &places)
                   > 0;
        for (uint32_t k = 0; needs && k < places[0].run_count; k++) {
            n += places[0].runs[k].length;
        }
    }
    needed_free(&needed);
    manifest_free(&m);
    arena_free(&arena);
    return n;
}

static void expect_garbage_goes(struct sim *s)
{
    for (int i = 0; i < 4; i++) {
        collect_after(s, 25 * SIM_HOUR);
    }
    uint64_t live = live_bytes(s), bytes = sim_standing_bytes(s, 26 * SIM_HOUR);
    if (!s->failed && bytes > 2 * live + (64 << 10)) {
        sim_fail(s, "%llu bytes of packs stay for %llu that are needed", (unsigned long long)bytes,
                 (unsigned long long)live);
    }
    int64_t rest = s->keep_ms + 3 * SIM_DAY;
    collect_after(s, rest);
    for (int i = 0; i < 6; i++) {
        collect_after(s, 3 * SIM_DAY);
    }
    uint32_t packs = mem_count(&s->place, STR("p/")), segments = mem_count(&s->place, STR("m/"));
    if (!s->failed && (packs > 0 || segments > 1)) {
        sim_fail(s, "%u packs and %u segments stay of what nobody needs", packs, segments);
    }
}

/* When the lies have ended, who has heard them all is of use again. */
static void expect_recovery(struct sim *s)
{
    uint32_t number = s->result_count;
    for (uint32_t i = s->place.count; i-- > 0;) {
        if (s->place.entries[i].key[0] == 'm' || s->place.entries[i].key[0] == 'f') {
            mem_remove(&s->place, str_from(s->place.entries[i].key));
        }
    }
    struct sim_plan push = {0};
    plan_store(s, &push, OLD_HAND);
    plan_act(&push, SIM_PUSH);
    sim_pass_to(s, s->place.now_ms + 25 * SIM_HOUR);
    for (uint32_t i = number; i < s->result_count; i++) {
        s->results[i].success_ms = s->place.now_ms;
    }
    run_alone(s, OLD_HAND, push);
    if (!s->failed && number < s->result_count && !s->results[number].acked_ms) {
        sim_fail(s, "a client that heard lies pushes no more");
    }
    s->hostile = false;
    for (uint32_t i = 0; i < number; i++) {
        s->results[i].acked_ms = 0;
    }
    expect_all_is_there(s);
}

static void run_lies(struct sim *s)
{
    s->hostile = true;
    run_sessions(s);
    expect_recovery(s);
    sim_end(s);
}

static void run_schedule(struct sim *s, uint64_t seed, const char *dir, struct sim_clock *clock)
{
    sim_begin(s, seed, dir, clock);
    if (seed % 4 == 0) {
        run_lies(s);
        return;
    }
    run_sessions(s);
    expect_all_is_there(s);
    expect_same_view(s);
    expect_garbage_goes(s);
    sim_end(s);
}

/* ---- the tests ---- */

static struct sim_clock *make_clock(void)
{
    struct sim_clock *clock =
        mmap(NULL, sizeof *clock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(clock != MAP_FAILED);
    return clock;
}

static char *make_dir(char out[64])
{
    snprintf(out, 64, "/dev/shm/pawl-far-XXXXXX");
    if (!mkdtemp(out)) {
        snprintf(out, 64, "/tmp/pawl-far-XXXXXX");
        assert_non_null(mkdtemp(out));
    }
    return out;
}

static void nothing_that_lives_is_lost(void **state)
{
    static struct sim s;
    char dir[64];
    (void)state;
    struct sim_clock *clock =
        mmap(NULL, sizeof *clock, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(clock != MAP_FAILED);
    make_dir(dir);
    uint64_t sum[11] = {0};
    bool failed = false;
    int64_t until_ns = time_boot_ns() + (all ? INT64_MAX / 2 : BUILD_NS);
    for (int i = 0; i < schedules && !failed && (i < FEWEST || time_boot_ns() < until_ns); i++) {
        run_schedule(&s, first_seed + (uint64_t)i * stride, dir, clock);
        const uint64_t *counts = &s.count.sessions;
        for (size_t k = 0; k < sizeof sum / sizeof sum[0]; k++) {
            sum[k] += counts[k];
        }
        failed = s.failed;
    }
    (void)file_remove_tree(FILE_CWD, str_from(dir));
    munmap(clock, sizeof *clock);
    print_message(
        "sessions %llu kills %llu acked %llu hits %llu misses %llu collections %llu "
        "merges %llu drops %llu ops %llu late %llu crafted %llu\n",
        (unsigned long long)sum[0], (unsigned long long)sum[1], (unsigned long long)sum[2],
        (unsigned long long)sum[3], (unsigned long long)sum[4], (unsigned long long)sum[5],
        (unsigned long long)sum[6], (unsigned long long)sum[7], (unsigned long long)sum[8],
        (unsigned long long)sum[9], (unsigned long long)sum[10]);
    if (failed) {
        fail_msg("PAWL_SEED=%llu: %s", (unsigned long long)s.name, s.why);
    }
}

/* One client stores so many small results and pushes them, another fetches all: the requests of both. */
static void count_requests(struct sim *s, uint32_t results, uint32_t *up, uint32_t *down)
{
    static uint32_t wants[SIM_RESULTS];
    struct sim_plan push = {0}, fetch = {.fetch = wants};
    for (uint32_t i = 0; i < results; i++) {
        uint32_t number = s->result_count++;
        s->results[number] = (struct sim_result){2000 + 493 * (int)number, -1, s->place.now_ms, 0};
        push.store[push.store_count++] = number;
        wants[fetch.fetch_count++] = number;
    }
    plan_act(&push, SIM_STORE);
    plan_act(&push, SIM_PUSH);
    run_alone(s, OLD_HAND, push);
    *up = s->puts + s->gets + s->lists;
    plan_act(&fetch, SIM_FETCH);
    sim_pass_to(s, s->place.now_ms + 2 * SIM_MINUTE);
    sim_machine_new(s, FRESH);
    run_alone(s, FRESH, fetch);
    *down = s->puts + s->gets + s->lists;
}

static void requests_do_not_grow_with_files(void **state)
{
    static struct sim s;
    char dir[64];
    uint32_t up[2], down[2];
    (void)state;
    struct sim_clock *clock = make_clock();
    make_dir(dir);
    sim_begin(&s, 3, dir, clock);
    count_requests(&s, 2, &up[0], &down[0]);
    sim_end(&s);
    sim_begin(&s, 3, dir, clock);
    count_requests(&s, SIM_WANTS, &up[1], &down[1]);
    sim_end(&s);
    (void)file_remove_tree(FILE_CWD, str_from(dir));
    munmap(clock, sizeof *clock);
    if (s.failed) {
        fail_msg("%s", s.why);
    }
    print_message("%u and %u requests for 2 results, %u and %u for %d\n", up[0], down[0], up[1],
                  down[1], SIM_WANTS);
    assert_int_equal(s.count.hits, SIM_WANTS);
    assert_int_equal(up[0], up[1]);
    assert_int_equal(down[0], down[1]);
}

int main(int argc, char **argv)
{
    const char *seed = getenv("PAWL_SEED");
    if (seed) {
        first_seed = strtoull(seed, NULL, 10);
        schedules = 1;
    }
    if (argc > 1) {
        schedules = (int)strtol(argv[1], NULL, 10);
        all = true;
    }
    if (argc > 2) {
        first_seed = strtoull(argv[2], NULL, 10);
    }
    if (argc > 3) {
        stride = strtoull(argv[3], NULL, 10);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_that_lives_is_lost),
        cmocka_unit_test(requests_do_not_grow_with_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
