/* SPDX-License-Identifier: MIT */
/* Collection: what no kept record needs is condemned, and dropped a day later. Any client, any time, without a
 * lock: docs/formats.md, "Condemned", says why nothing that is needed can go. */
#pragma once

#include "cache/cache.h"
#include "cache/manifest.h"

/* One run: sweep what was condemned long enough ago, condemn what is dead, merge segments. false with a warning:
 * it stopped; what was not done is left for the next run, nothing is lost. */
bool gc_run(struct manifest *m, const struct cache_gc_options *o, struct cache_gc_report *out,
            struct diags *notes);
