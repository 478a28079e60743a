/* SPDX-License-Identifier: MIT */
/* Paths as text: nothing here looks at the file system. */
#pragma once

#include "core/base/arena.h"
#include "core/base/str.h"

/* Normal form of a workspace-relative path: no "//", "/./", trailing "/", or ".." that could be resolved;
 * empty becomes ".". false: it is absolute or leaves the workspace. */
bool path_normalise(struct arena *a, struct str path, struct str *out);
struct str path_dirname(struct str path); /* "." where there is no slash */
struct str path_basename(struct str path);
struct str path_join(struct arena *a, struct str dir, struct str name);
/* path written as seen from the folder `from`; both workspace-relative and normal: ("a/b", "a/c/d") gives "../c/d". */
struct str path_relative(struct arena *a, struct str from, struct str path);
bool path_is_below(struct str path, struct str dir); /* strictly below; both normal */
