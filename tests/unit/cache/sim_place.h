/* SPDX-License-Identifier: MIT */
/* The place's side of a simulation: several client processes on one place, a queue of what happens next, and what
 * each drop is held against. One schedule is one seed. */
#pragma once

#include "tests/unit/cache/depot_mem.h"
#include "tests/unit/cache/sim_client.h"

#define SIM_MINUTE INT64_C(60000)
#define SIM_HOUR (60 * SIM_MINUTE)
#define SIM_DAY (24 * SIM_HOUR)

enum { SIM_MACHINES = 4, SIM_CLIENTS = 4, SIM_CONDEMNED = 8192, SIM_WHY = 400 };

struct sim_machine {
    char dir[96];
    int64_t boot_ms, skew_ms;
};

struct sim_late { /* arrives after its sender has given up */
    int64_t at_ms;
    char *key, *bytes;
    size_t n;
    bool drop;
};

struct sim_condemned {
    struct pack_id pack;
    int64_t since_ms;
};

struct sim_client {
    int pid; /* 0: none */
    int socket, machine;
    bool quiet, strict; /* no misfortune; and no miss either */
    int kill_in;        /* operations; 0: never */
    uint32_t ops, puts, gets, lists;
    int64_t wake_ms, began_ms;
    bool applied;
    struct sim_ask ask;
    char *key, *after, *bytes;
    struct sim_answer answer;
    struct buf reply;
    uint32_t fetch[SIM_RESULTS];
};

struct sim {
    uint64_t name, seed;
    const char *dir;
    bool folder, hostile, tell;
    int64_t keep_ms, grace_ms;
    uint32_t lie_in;             /* one answer of so many is a lie, where it is hostile */
    uint32_t stall_in, sleep_in; /* one request of so many takes minutes, or up to a night */
    bool uneven;                 /* machines differ in how often they come */
    bool busy, rare;             /* clients come in quick succession; after that none for days */
    bool stored;                 /* the last client that was started has something to push */
    struct mem_place place;
    struct sim_clock *clock; /* shared with the children */
    struct sim_machine machines[SIM_MACHINES + 8];
    struct sim_client clients[SIM_CLIENTS];
    struct sim_result results[SIM_RESULTS];
    uint32_t result_count;
    struct sim_late *late;
    uint32_t late_count, late_cap;
    struct sim_condemned condemned[SIM_CONDEMNED];
    uint32_t condemned_count;
    bool check_soon;
    bool failed;
    char why[SIM_WHY];
    uint8_t rows[32];           /* of the last SIM_ROWS */
    uint32_t puts, gets, lists; /* of the client that ended last */
    struct {
        uint64_t sessions, kills, acked, hits, misses, collections, merges, drops, ops, late,
            crafted;
    } count;
};

uint64_t sim_roll(struct sim *s, uint64_t n);
/* The first reason stays. */
void sim_fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

void sim_begin(struct sim *s, uint64_t seed, const char *dir, struct sim_clock *clock);
void sim_end(struct sim *s);
bool sim_is_busy(const struct sim *s, int machine);
/* A machine of this number with an empty near folder. */
void sim_machine_new(struct sim *s, int machine);
/* false: no room for another client. */
bool sim_start(struct sim *s, int machine, struct sim_plan plan, bool quiet, bool strict);
/* A segment whose name is from days ahead, which condemns what is needed. */
void sim_plant_future(struct sim *s);
/* What a place that lies makes of its answers, and a segment of nonsense. */
void sim_lie_get(struct sim *s, struct sim_client *c);
void sim_lie_page(struct sim *s, struct sim_client *c);
void sim_lie_answer(struct sim *s, struct sim_client *c);
void sim_plant_nonsense(struct sim *s);
/* The next thing that a client waits for happens. false: nobody waits. before_ms: nothing at or after that. */
bool sim_step(struct sim *s, int64_t before_ms);
void sim_pass_to(struct sim *s, int64_t ms);
/* All clients to their end. */
void sim_drain(struct sim *s);
/* A client without history finds all that was acknowledged and is kept. */
void sim_check(struct sim *s);
bool sim_is_kept(const struct sim *s, const struct sim_result *r);
/* Of packs that are not condemned; none that is may be overdue by so much. */
uint64_t sim_standing_bytes(struct sim *s, int64_t overdue_ms);
