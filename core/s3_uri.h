/* SPDX-License-Identifier: MIT */
/* "s3://bucket/key" as text, and where in the workspace the local copy of what it names lies: a place for each
 * URI, the same in every workspace, never outside `.pawl/s3/`, and never one below another. */
#pragma once

#include "core/base/arena.h"
#include "core/base/str.h"

enum { S3_URI_KEY_LIMIT = 1024 }; /* bytes of a key, as S3 has it */

struct s3_uri {
    struct str bucket, key; /* borrowed */
    bool all;               /* a prefix: all objects below it */
};
/* NULL; or in words why it is no input's URI. */
const char *s3_uri_split(struct str uri, struct s3_uri *out);

/* Workspace-relative and normal: ".pawl/s3/BUCKET/FOLDERS/NAME". */
struct str s3_uri_copy_path(struct arena *a, const struct s3_uri *uri);
/* Where it is made: a folder of each URI's own below S3_URI_STAGE. */
#define S3_URI_STAGE STR(".pawl/s3/+new")
struct str s3_uri_stage_path(struct arena *a, struct str uri);
/* Whether it can be one name in a folder. */
bool s3_uri_is_name(struct str name);
