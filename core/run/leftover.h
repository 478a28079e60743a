/* SPDX-License-Identifier: MIT */
/* What a pawl that was killed left running: it would go on writing outputs beside the next build's steps. */
#pragma once

#include "core/base/str.h"

/* Kills every process that carries the mark (see local_mark), or descends from or shares a group with one that
 * does, and waits until they are gone; never the caller nor what it runs in. *ended: how many there were.
 * false: some live on after patience_ns. */
bool leftover_end(struct str mark, int64_t patience_ns, uint32_t *ended);
