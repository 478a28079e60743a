/* SPDX-License-Identifier: MIT */
/* A bucket for a far place: transport, keys and address put together, once for all handles. */
#pragma once

#include "cache/far_depot.h"

struct far_s3;

/* NULL with a warning. Asks nobody yet. */
struct far_s3 *far_s3_open(const struct far_options *o, struct diags *notes);
void far_s3_close(struct far_s3 *s);             /* NULL is fine */
int64_t far_s3_quiet_ms(const struct far_s3 *s); /* as http_quiet_ms */
enum far_said { FAR_SAID_NOTHING, FAR_SAID_YES, FAR_SAID_NO };
/* What the bucket and its server do, beyond what a depot can ask. name: a key to be put for it, and dropped. */
struct far_s3_said {
    enum far_said refuses_old; /* a request that was signed long ago */
    enum far_said sends_parts;
    enum far_said keeps_versions;
    enum far_said expires; /* keys of this prefix, by a rule */
};
void far_s3_ask(struct far_s3 *s, struct str name, struct far_s3_said *out);
/* A lane's handle on it. NULL with a warning. */
struct depot *far_s3_depot(struct far_s3 *s, struct diags *notes);
