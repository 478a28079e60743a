/* SPDX-License-Identifier: MIT */
/* What a simulated client and the place say to each other over a socket. A client is a process of its own, so that
 * killing one is killing it; while it waits for an answer it does nothing, so one schedule is one sequence. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum sim_op { SIM_GET, SIM_PUT, SIM_LIST, SIM_PAGE, SIM_DROP, SIM_SAY };

struct sim_ask { /* then key, after, bytes */
    uint32_t op, key_n, after_n, if_absent;
    uint64_t offset, length, n;
};

struct sim_answer { /* then bytes */
    uint32_t answer, more;
    int64_t now_ms, stored_ms;
    uint64_t n;
};

struct sim_listed { /* of a page; then the key */
    uint64_t size;
    int64_t stored_ms;
    uint64_t key_n;
};

enum sim_said_kind {
    SIM_ACKED,     /* result: is there, says the push */
    SIM_HIT,       /* result: came, byte for byte */
    SIM_MISS,      /* result */
    SIM_WRONG,     /* result: other bytes came */
    SIM_COLLECTED, /* done: whether whole */
    SIM_MERGED,
    SIM_ROWS, /* digest: of all rows seen */
    SIM_PUSHED,
};

struct sim_said {
    uint32_t kind, result, done;
    uint8_t digest[32];
};

/* Read by all, written by the place alone. */
struct sim_clock {
    int64_t now_ms;
};
