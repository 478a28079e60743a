/* SPDX-License-Identifier: MIT */
/* The functions of the expression language: one table with names, signatures and code. What lies outside
 * (files, environment) is asked of a host, so that whoever evaluates can record what was looked at. */
#pragma once

#include "core/value.h"

/* What functions ask for while a Pipelinefile is evaluated. */
struct function_host {
    void *context;
    /* The workspace's files that match, sorted, as a LIST of paths; without declared outputs and .pawl/. */
    bool (*glob)(void *context, struct str pattern, struct span at, struct value *out,
                 struct diags *d);
    /* A variable of the caller's environment; *set false if there is none. */
    bool (*env)(void *context, struct str name, bool *set, struct str *text);
    /* The text of a file that read() or json() names. A source file is read now. For one that a step makes
     * *late is set instead, and refs to that output are in file->refs (add them where it was named by its
     * path alone); file->text may be made normal. */
    bool (*read)(void *context, struct value *file, struct span at, struct str *text, bool *late,
                 struct diags *d);
};

struct function_call {
    struct str name;
    struct span name_span;
    struct span at;          /* the whole call */
    struct value_parts args; /* values only */
};
/* Calls a function; a LATE result if an argument is late. false with a diagnostic ("unknown-function",
 * "wrong-arguments", "type-mismatch", …). */
bool function_apply(const struct value_work *w, const struct function_call *call, struct value *out,
                    struct diags *d);
/* True for names that hold KEY, TOKEN, SECRET or PASSWORD (in any case): only `secret` may name them. */
bool function_is_secret_name(struct str name);
