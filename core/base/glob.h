/* SPDX-License-Identifier: MIT */
/* Patterns of paths, held against the file system or against a text. Each folder is listed at most once
 * for a pattern, whatever the pattern. */
#pragma once

#include "core/base/arena.h"
#include "core/base/str.h"

/* Files that match a pattern relative to the folder: * ? [a-z] within a name, ** for no or more folders, a
 * pattern that ends in / matches folders (given without the slash). Names that begin with a dot only where
 * the pattern's part does. ".pawl" is never entered. Sorted by bytes, normal form. Symbolic links to folders
 * are followed by a literal part and by *, not by **. false: the pattern is malformed (*reason, static). */
bool file_glob(struct arena *a, int dir, struct str pattern, struct str **out, uint32_t *count,
               const char **reason);
bool path_matches(struct str pattern, struct str path); /* the same rules, on text */
