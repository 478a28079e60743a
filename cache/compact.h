/* SPDX-License-Identifier: MIT */
/* Merging segments: the heir is put and seen to be well timed before an input goes, so everybody sees one or the
 * other. Needs no lock and no key: blocks are passed on verbatim. */
#pragma once

#include "cache/needed.h"
#include "cache/stock.h"

enum {
    COMPACT_SMALL = 256 << 10,
    COMPACT_MANY = 256,  /* so many small ones are worth a compaction … */
    COMPACT_CHANCE = 16, /* … which one in so many does */
};

enum compact_how {
    COMPACT_SMALL_ONES,
    COMPACT_ALL, /* also large segments that hold much which nobody keeps */
    COMPACT_NOW, /* and what is younger than 10 min */
};

/* How many small segments are old enough to be merged. */
uint32_t compact_count(const struct manifest *m);
/* Whether an end of a build should merge them: there are many, and it is the one of 16 to do it. */
bool compact_is_due(const struct manifest *m);
/* What follows, with all that it needs to know: needed by the place's own policy. */
bool compact_held(struct manifest *m, enum compact_how how, struct diags *notes);
/* Merges what the view of a full sync that was just made holds. false with a warning: not done, nothing lost. */
bool compact_run(struct manifest *m, const struct needed *needed, const struct stock *stock,
                 enum compact_how how, struct diags *notes);
