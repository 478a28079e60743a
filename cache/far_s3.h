/* SPDX-License-Identifier: MIT */
/* A bucket for a far place: transport, keys and address put together, once for all handles. */
#pragma once

#include "cache/far_depot.h"

struct far_s3;

/* NULL with a warning. Asks nobody yet. */
struct far_s3 *far_s3_open(const struct far_options *o, struct diags *notes);
void far_s3_close(struct far_s3 *s);             /* NULL is fine */
int64_t far_s3_quiet_ms(const struct far_s3 *s); /* as http_quiet_ms */
/* A lane's handle on it. NULL with a warning. */
struct depot *far_s3_depot(struct far_s3 *s, struct diags *notes);
