/* SPDX-License-Identifier: MIT */
/* Source files, spans in them, and the one type for what is wrong: gathered as values, rendered once,
 * by the roof. Whoever first knows the reason says it here; callers pass on and never print. */
#pragma once

#include "core/base/arena.h"
#include "core/base/str.h"

/* Two byte offsets in a registered source. source 0 means "no place". */
struct span {
    uint32_t source; /* number of the source, from 1 */
    uint32_t begin, end;
};
#define SPAN_NONE ((struct span){0, 0, 0})

struct source {
    struct str path; /* as it is to be shown */
    struct str text; /* whole file; may be empty if only the path is known */
};

enum diag_severity { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE };

struct diag_extra { /* a further place, or one line of context */
    struct span span;
    struct str text;
};

struct diag {
    enum diag_severity severity;
    const char *code; /* short stable slug, static: "unknown-name", "two-producers" */
    struct span span;
    struct str message; /* lower case, no full stop, names in 'quotes' */
    struct str help;    /* what to do; may be empty */
    VEC(struct diag_extra) notes;
};

enum { DIAG_LIMIT = 100, DIAG_SHOWN = 20 };

struct diags {
    struct arena *arena; /* texts are copied here */
    VEC(struct source) sources;
    VEC(struct diag) all;
    uint32_t errors, warnings;
    uint32_t dropped; /* beyond DIAG_LIMIT */
};

void diags_init(struct diags *d, struct arena *a);
/* Registers a source and gives its number (from 1). The text is borrowed and must outlive d. */
uint32_t diags_add_source(struct diags *d, struct str path, struct str text);
const struct source *diags_source(const struct diags *d, uint32_t number);

/* Appends a diagnostic; help and notes may be set on the result until the next append (never NULL). */
struct diag *diag_error(struct diags *d, const char *code, struct span at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
struct diag *diag_warning(struct diags *d, const char *code, struct span at, const char *format,
                          ...) __attribute__((format(printf, 4, 5)));
/* Words for an errno, on any thread; never NULL. */
const char *diag_reason(int error);
/* As diag_error without a place, ": strerror(errno)" behind the message; reads errno first. */
struct diag *diag_errno(struct diags *d, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What to do, on a diagnostic just made. */
void diag_help(struct diags *d, struct diag *to, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void diag_note(struct diags *d, struct diag *to, struct span at, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Copies all diagnostics of from (with other sources than to's: places are dropped) into to. */
void diags_merge(struct diags *to, const struct diags *from);

struct place {
    uint32_t line,
        column;      /* counted from 1; column in bytes' characters (UTF-8 sequences count once) */
    struct str text; /* the whole line, without its break */
};
struct place diags_place(const struct diags *d, struct span at);

/* All diagnostics in order of source and offset (those without a place first, in order of making):
 *   FILE:LINE:COLUMN: error: message
 *       the line
 *       ^~~~
 *   help: what to do
 * color: with SGR sequences. At most DIAG_SHOWN, then how many more there are. */
void diags_render(const struct diags *d, bool color, struct buf *out);
