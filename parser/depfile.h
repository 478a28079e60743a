/* SPDX-License-Identifier: MIT */
/* Make-style dependency files, as compilers write them (-MD, -MP). Understood: several rules,
 * rules without prerequisites, comments, continued lines, CRLF, "\ " "\#" "$$" in names. Not:
 * variables, recipes, patterns. */
#pragma once

#include "core/base/diag.h"

enum { DEPFILE_TEXT_LIMIT = 16 << 20, DEPFILE_NAME_LIMIT = 1 << 20 };

struct depfile {
    struct str *targets; /* in order, each once; without those of empty rules */
    uint32_t target_count;
    struct str
        *inputs; /* all prerequisites of all rules, in order, each once, as they were written */
    uint32_t input_count;
};

/* false and a diagnostic (code "bad-depfile", at its place in source number `source`, 0 for
 * none). Names are not normalised. An empty text is no error. */
bool depfile_parse(struct arena *a, struct str text, uint32_t source, struct depfile *out,
                   struct diags *d) __attribute__((warn_unused_result));
