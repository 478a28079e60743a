/* SPDX-License-Identifier: MIT */
/* Leases: who runs a long step just now, told to all who share a far place by keys l/<fingerprint>/<n>, of which the
 * highest counts. A help against doing things twice, and no lock: whoever is in doubt runs. One lane's. */
#pragma once

#include "cache/far_depot.h"
#include "cache/manifest.h"
#include "core/base/digest.h"

#define FAR_LEASE_STALE_MS                                                                         \
    INT64_C(90000) /* its holder has not renewed it for so long: it may be taken over */
#define FAR_LEASE_RENEW_MS INT64_C(30000)

enum { FAR_LEASE_HOST = 64 };

struct far_leases;

struct far_lease {
    struct digest fingerprint;
    uint64_t number;           /* ours; 0: none */
    uint64_t seen;             /* of whoever holds it */
    char host[FAR_LEASE_HOST]; /* where that runs: letters, digits, and ".-_" alone */
};

enum far_lease_answer {
    FAR_LEASE_NONE, /* trouble, or the place does not tell who was first: no more leases */
    FAR_LEASE_OURS,
    FAR_LEASE_THEIRS,
    FAR_LEASE_GONE, /* asked with `after`: whoever held it is done */
};

/* What leases of a place are. Asks nobody yet. here: of this machine, for others to read. Place and host are
 * borrowed. NULL: the place is of no use. */
struct far_leases *far_leases_open(struct far_place *p, struct str host);
/* The same over any depot, without a memory of what the place can do. */
struct far_leases *far_leases_over(struct depot *d, struct str host, struct manifest_world world);
/* Whether the place tells who was first. */
bool far_leases_can(struct far_leases *x);
void far_leases_close(struct far_leases *x); /* NULL is fine */

/* One look, and if nobody holds it, it is ours. after: it was somebody's, and may have a result by now: a lease that
 * has gone is told, not taken. */
enum far_lease_answer far_lease_take(struct far_leases *x, struct far_lease *l, bool after);
/* Says that we still run it. A renewal that is lost is no trouble: the next one comes. */
void far_lease_renew(struct far_leases *x, const struct far_lease *l);
void far_lease_drop(struct far_leases *x, struct far_lease *l);
