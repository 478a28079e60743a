/* SPDX-License-Identifier: MIT */
/* The inside of object.h, for the cache's own use: hashing that keeps or passes on what it reads. */
#pragma once

#include "cache/list.h"
#include "cache/object.h"
#include "cache/pack.h"
#include "cache/tree.h"

/* object_digest that also keeps the lists and trees it makes, at most some OBJECT_LIMIT each. */
bool object_scan(int dir, struct str path, struct object_set *keep, struct object_seen *out,
                 struct diags *d);
/* The same of an open file or folder, from its present place on; path is for messages. */
bool object_scan_fd(int fd, struct str path, struct object_set *keep, struct object_seen *out,
                    struct diags *d);
/* Cuts and hashes an open file of LIST_FILE_MIN or more from its present place on, handing each chunk to tee
 * (may be NULL). false with errno: it cannot be read, is empty, or tee wanted no more. */
bool object_hash_fd(int fd, const struct depot_sink *tee, struct ref *out);
