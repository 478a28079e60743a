/* SPDX-License-Identifier: MIT */
/* The inside of object.h, for the cache's own use: hashing that keeps what it makes, and limits. */
#pragma once

#include "cache/list.h"
#include "cache/object.h"
#include "cache/pack.h"
#include "cache/tree.h"

/* object_digest that also keeps the lists and trees it makes, at most some OBJECT_LIMIT each. */
bool object_scan(int dir, struct str path, struct object_set *keep, struct object_seen *out,
                 struct diags *d);
