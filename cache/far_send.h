/* SPDX-License-Identifier: MIT */
/* Packs on their way to a far place while the next one is gathered: a put takes the bytes and returns. Invariant: nobody
 * may count on a pack before far_send_wait has said yes. */
#pragma once

#include "cache/far_depot.h"
#include "cache/pack.h"

enum { FAR_SEND_TARGET = 18 << 20 }; /* of a pack, of which one is in memory */

struct far_send; /* begins with a struct depot that has only put; one thread's at a time */
/* NULL: this cannot be done here; put them one by one, then. */
struct far_send *far_send_open(struct far_place *p);
void far_send_close(struct far_send *s); /* waits; NULL is fine */
struct depot *far_send_depot(struct far_send *s);
/* Until nothing is on its way. DONE: all that was put since the last call is there. */
enum depot_answer far_send_wait(struct far_send *s, struct depot_reply *reply);

/* Packs that came through, in this run or an earlier one, since far_sent_forget: if no segment names them, whoever was
 * to put it was stopped, and they need not go up again. A hint. */
struct far_sent {
    struct pack_id id;
    uint64_t bytes;
    int64_t at_ms; /* by the far clock, no later than it was put */
};
uint32_t far_sent_read(const struct far_place *p, struct arena *a, struct far_sent **out);
void far_sent_forget(const struct far_place *p);
