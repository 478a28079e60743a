/* SPDX-License-Identifier: MIT */
/* What stood at an output's path in an earlier result of the same pipeline: a new version of a large file or
 * folder mostly consists of the same chunks. */
#pragma once

#include "cache/view.h"

enum {
    OLDER_ROWS = 2000,   /* the newest that are looked through … */
    OLDER_DECODED = 200, /* … and of those that seem to fit, for a duration */
};

/* A sound place of the newest list or tree that is recorded for the path. false: none. */
bool older_place(const struct view *v, const struct record_output *output, const uint8_t hint[8],
                 struct arena *a, struct pack_place *out);
/* What the newest result with an output at the path took; 0: not known. */
int64_t older_duration_ms(const struct view *v, struct str path, const uint8_t hint[8]);
