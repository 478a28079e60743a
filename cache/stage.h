/* SPDX-License-Identifier: MIT */
/* Several paths that appear together: each is made as a temporary sibling, then all take their names, or none
 * does. What stood there before is gone only after all have. For who holds the workspace's lock: the temporary
 * of a path always has the same name. */
#pragma once

#include "core/base/arena.h"
#include "core/base/str.h"

struct stage_item {
    struct str path, temp;
    bool folder;
    bool swapped; /* temp holds what stood at path */
    bool placed;  /* nothing stood there */
};

struct stage {
    struct arena *arena;
    VEC(struct stage_item) items;
    VEC(uint32_t) folders; /* of items */
    struct str failed;     /* the path that could not be put in place */
    int root;
};
void stage_init(struct stage *s, int root, struct arena *a);
/* Gives the name beside path under which it is to be made. false with errno: the path is none. */
bool stage_add(struct stage *s, struct str path, bool folder, struct str *temp);
/* Makes a temporary and opens it, to write or to make things in. Folders above it that are not there are made, what a
 * killed build left under its name is removed. mode: as the umask allows it. -1 with errno. */
int stage_make_file(struct stage *s, struct str temp, unsigned mode);
int stage_make_folder(struct stage *s, struct str temp, unsigned mode);
/* Where path lies if it is below a folder that was added: in its temporary. Else STR_NONE. */
struct str stage_inside(const struct stage *s, struct str path);
/* Whether a path below a temporary leads through no link there (its last name may not be one either). */
bool stage_is_straight(const struct stage *s, struct str path);
/* Empties a temporary that came to nothing. */
void stage_drop_temp(struct stage *s, struct str temp);
/* false with errno: nothing has changed. */
bool stage_commit(struct stage *s);
/* Removes what is left of temporaries. */
void stage_end(struct stage *s);
