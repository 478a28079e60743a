/* SPDX-License-Identifier: MIT */
/* What stood at an output's path in an earlier result of the same pipeline: a new version of a large file or
 * folder mostly consists of the same chunks. */
#pragma once

#include "cache/view.h"

enum { OLDER_ROWS = 2000 }; /* the newest that are looked through */

/* A sound place of the newest list or tree that is recorded for the path. false: none. */
bool older_place(const struct view *v, const struct record_output *output, const uint8_t hint[8],
                 struct arena *a, struct pack_place *out);
