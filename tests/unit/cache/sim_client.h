/* SPDX-License-Identifier: MIT */
/* A client of a simulated far place: the real far.h over a socket, with the machine's clocks, chance and near folder
 * of its own. Runs in a child process. */
#pragma once

#include "core/base/str.h"
#include "tests/unit/cache/sim_wire.h"

enum { SIM_RESULTS = 2048, SIM_WANTS = 256, SIM_ACTIONS = 6 };

struct sim_result {
    int content, second; /* second: of another output; -1: none */
    int64_t success_ms;
    int64_t acked_ms; /* 0: not yet */
};

enum sim_action { SIM_STORE, SIM_PUSH, SIM_FETCH, SIM_COLLECT, SIM_MERGE, SIM_LOOK_ALL, SIM_CHECK };

struct sim_plan {
    enum sim_action actions[SIM_ACTIONS];
    uint32_t action_count;
    uint32_t store[SIM_WANTS], store_count; /* results that it makes */
    const uint32_t *fetch;                  /* results that it wants */
    uint32_t fetch_count;
    bool full_look; /* SIM_LOOK_ALL after a full list */
    bool merge_all;
};

struct sim_session {
    int socket;
    uint64_t seed;
    bool folder;         /* the far place is a shared folder, not a bucket */
    const char *dir;     /* the machine's: near/, work/ */
    int64_t boot_ms;     /* CLOCK_BOOTTIME less the place's time */
    int64_t skew_ms;     /* the machine's wall clock less the place's */
    uint64_t hard_limit; /* bytes of memory; 0: none */
    const struct sim_clock *clock;
    const struct sim_result *results;
    uint32_t result_count;
    struct sim_plan plan;
};

/* Does what is planned; ends the process. */
_Noreturn void sim_client_run(const struct sim_session *s);
