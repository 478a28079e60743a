/* SPDX-License-Identifier: MIT */
/* What the cache counts on in a far place, asked of it with keys that are gone afterwards. A promise that is broken
 * costs misses, requests or leases; what it costs is said with it. */
#pragma once

#include "cache/far.h"

enum far_promise {
    FAR_DATES,      /* it tells its time, and when a key was put, by one clock */
    FAR_LISTING,    /* what is put is listed at once, and what is dropped is not */
    FAR_CONDITIONS, /* a key is put only where none is */
    FAR_PARTS,      /* parts of a value are sent alone */
    FAR_SIGNATURES, /* old requests are refused */
    FAR_VERSIONS,   /* what is dropped is gone */
    FAR_RULES,      /* nothing is dropped but by us */
    FAR_PROMISES,
};

enum far_kept { FAR_NOT_ASKED, FAR_KEPT, FAR_BROKEN };

struct far_promised {
    enum far_kept kept[FAR_PROMISES];
};

/* On the asking lane. A folder is asked what a folder can be asked. */
void far_ask_promises(struct far *f, struct far_promised *out);
const char *far_promise_name(enum far_promise p);
/* One line for people. */
const char *far_promise_text(enum far_promise p, enum far_kept kept);
