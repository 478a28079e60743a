/* SPDX-License-Identifier: MIT */
/* Diagnostics gathered as values and rendered once. Invariant: all.n never passes DIAG_LIMIT; what
 * comes later is counted, and written into one spare item behind the last. */
#include "core/base/diag.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

void diags_init(struct diags *d, struct arena *a)
{
    *d = (struct diags){.arena = a};
}

uint32_t diags_add_source(struct diags *d, struct str path, struct str text)
{
    struct source *source = VEC_PUSH(d->arena, &d->sources);
    *source = (struct source){.path = str_copy(d->arena, path), .text = text};
    return d->sources.n;
}

const struct source *diags_source(const struct diags *d, uint32_t number)
{
    return number && number <= d->sources.n ? &d->sources.at[number - 1] : NULL;
}

static bool is_spare(const struct diags *d, const struct diag *x)
{
    return x == d->all.at + d->all.n;
}

static struct diag *diag_add(struct diags *d, enum diag_severity severity, const char *code,
                             struct span at)
{
    d->errors += severity == DIAG_ERROR;
    d->warnings += severity == DIAG_WARNING;
    struct diag *x = VEC_PUSH(d->arena, &d->all);
    *x = (struct diag){.severity = severity, .code = code, .span = at};
    if (d->all.n > DIAG_LIMIT) {
        d->all.n = DIAG_LIMIT;
        d->dropped++;
    }
    return x;
}

static struct diag *diag_addv(struct diags *d, struct diag head, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static struct diag *diag_addv(struct diags *d, struct diag head, const char *format, va_list args)
{
    struct diag *x = diag_add(d, head.severity, head.code, head.span);
    if (!is_spare(d, x)) {
        x->message = str_vprintf(d->arena, format, args);
    }
    return x;
}

struct diag *diag_error(struct diags *d, const char *code, struct span at, const char *format, ...)
{
    struct diag head = {.severity = DIAG_ERROR, .code = code, .span = at};
    va_list args;
    va_start(args, format);
    struct diag *x = diag_addv(d, head, format, args);
    va_end(args);
    return x;
}

struct diag *diag_warning(struct diags *d, const char *code, struct span at, const char *format,
                          ...)
{
    struct diag head = {.severity = DIAG_WARNING, .code = code, .span = at};
    va_list args;
    va_start(args, format);
    struct diag *x = diag_addv(d, head, format, args);
    va_end(args);
    return x;
}

const char *diag_reason(int error)
{
    const char *reason = strerrordesc_np(error); /* unlike strerror it may be asked on any thread */
    return reason ? reason : "unknown error";
}

struct diag *diag_errno(struct diags *d, const char *code, const char *format, ...)
{
    const char *reason = diag_reason(errno);
    struct diag *x = diag_add(d, DIAG_ERROR, code, SPAN_NONE);
    if (!is_spare(d, x)) {
        va_list args;
        va_start(args, format);
        struct str what = str_vprintf(d->arena, format, args);
        va_end(args);
        x->message = str_join3(d->arena, what, STR(": "), str_from(reason));
    }
    return x;
}

void diag_help(struct diags *d, struct diag *to, const char *format, ...)
{
    if (is_spare(d, to)) {
        return;
    }
    va_list args;
    va_start(args, format);
    to->help = str_vprintf(d->arena, format, args);
    va_end(args);
}

void diag_note(struct diags *d, struct diag *to, struct span at, const char *format, ...)
{
    if (is_spare(d, to)) {
        return;
    }
    va_list args;
    va_start(args, format);
    struct diag_extra *extra = VEC_PUSH(d->arena, &to->notes);
    *extra = (struct diag_extra){.span = at, .text = str_vprintf(d->arena, format, args)};
    va_end(args);
}

/* The span as it stands, where both know the same text under that number. */
static struct span carry_span(const struct diags *to, const struct diags *from, struct span at)
{
    const struct source *x = diags_source(to, at.source);
    const struct source *y = diags_source(from, at.source);
    bool same =
        x && y && str_eq(x->path, y->path) && x->text.s == y->text.s && x->text.n == y->text.n;
    return same ? at : SPAN_NONE;
}

void diags_merge(struct diags *to, const struct diags *from)
{
    uint32_t errors = to->errors + from->errors, warnings = to->warnings + from->warnings;
    for (uint32_t i = 0; i < from->all.n; i++) {
        const struct diag *x = &from->all.at[i];
        struct diag *copy = diag_add(to, x->severity, x->code, carry_span(to, from, x->span));
        if (is_spare(to, copy)) {
            continue;
        }
        copy->message = str_copy(to->arena, x->message);
        copy->help = str_copy(to->arena, x->help);
        for (uint32_t k = 0; k < x->notes.n; k++) {
            const struct diag_extra *note = &x->notes.at[k];
            diag_note(to, copy, carry_span(to, from, note->span), "%.*s", STR_ARG(note->text));
        }
    }
    to->dropped += from->dropped;
    to->errors = errors; /* with those that from had dropped */
    to->warnings = warnings;
}

/* Places. */

static bool is_utf8_tail(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

struct place diags_place(const struct diags *d, struct span at)
{
    const struct source *source = diags_source(d, at.source);
    struct place place = {.line = 1, .column = 1};
    if (!source || !source->text.n) {
        return place;
    }
    struct str text = source->text;
    size_t offset = at.begin < text.n ? at.begin : text.n;
    if (offset == text.n && text.s[offset - 1] == '\n') {
        offset--; /* the end of the text is shown behind its last line, not on an empty one */
    }
    size_t begin = 0;
    for (size_t i = 0; i < offset; i++) {
        if (text.s[i] == '\n') {
            place.line++;
            begin = i + 1;
        }
    }
    for (size_t i = begin; i < offset; i++) {
        place.column += !is_utf8_tail(text.s[i]);
    }
    struct str rest = str_tail(text, begin);
    str_cut(&rest, '\n', &place.text);
    if (str_ends(place.text, STR("\r"))) {
        place.text.n--;
    }
    return place;
}

/* Rendering. */

enum { SHOWN_BYTES = 160, SHOWN_BEFORE = 60 };

struct pen {
    const struct diags *d;
    struct buf *out;
    bool color;
};

static void put_colored(struct pen *p, const char *sgr, struct str text)
{
    if (p->color) {
        buf_printf(p->out, "\033[%sm", sgr);
    }
    str_put_visible(p->out, text);
    if (p->color) {
        buf_put_str(p->out, STR("\033[0m"));
    }
}

/* Steps back to where a character begins; not far, since the text need not be UTF-8. */
static size_t character_begin(struct str line, size_t at)
{
    size_t least = at > 3 ? at - 3 : 0;
    while (at > least && at < line.n && is_utf8_tail(line.s[at])) {
        at--;
    }
    return at;
}

/* How many columns a terminal gives to these bytes as str_put_visible writes them, roughly: wide
 * East Asian characters and emoji count twice. */
static size_t shown_width(struct str character)
{
    char room[64];
    struct buf b = {.s = room, .cap = sizeof room, .limit = sizeof room - 1};
    str_put_visible(&b, character);
    if (b.n != character.n || character.n == 1) {
        return b.n;
    }
    bool wide =
        (character.n == 3 && (uint8_t)character.s[0] >= 0xe3 && (uint8_t)character.s[0] <= 0xed)
        || (character.n == 4 && (uint8_t)character.s[0] == 0xf0 && (uint8_t)character.s[1] >= 0x9f);
    return wide ? 2 : 1;
}

static struct str next_character(struct str line, size_t at)
{
    size_t n = 1;
    while (at + n < line.n && is_utf8_tail(line.s[at + n])) {
        n++;
    }
    struct str character = str_sub(line, at, n);
    return str_is_utf8(character) ? character : str_sub(line, at, 1);
}

/* Blanks for what stands before the caret (tabs stay tabs), then marks below [begin, end). */
static void put_marks(struct pen *p, struct str line, size_t begin, size_t end)
{
    for (size_t i = 0; i < begin;) {
        struct str character = next_character(line, i);
        size_t width = shown_width(character);
        for (size_t k = 0; k < width; k++) {
            buf_put_char(p->out, *character.s == '\t' ? '\t' : ' ');
        }
        i += character.n;
    }
    if (p->color) {
        buf_put_str(p->out, STR("\033[1;32m"));
    }
    char mark = '^';
    for (size_t i = begin; i < end || mark == '^';) {
        struct str character = i < line.n ? next_character(line, i) : STR(" ");
        size_t width = shown_width(character);
        for (size_t k = 0; k < (width ? width : 1); k++) {
            buf_put_char(p->out, mark);
            mark = '~';
        }
        i += character.n;
    }
    if (p->color) {
        buf_put_str(p->out, STR("\033[0m"));
    }
}

/* The line, or of a long one a window around the caret, and the marks below it. */
static void put_snippet(struct pen *p, struct str line, size_t begin, size_t end)
{
    size_t from = 0, to = line.n;
    if (line.n > SHOWN_BYTES) {
        from = character_begin(line, begin > SHOWN_BEFORE ? begin - SHOWN_BEFORE : 0);
        to = from + SHOWN_BYTES < line.n ? character_begin(line, from + SHOWN_BYTES) : line.n;
    }
    struct str before = from ? STR("...") : STR_NONE;
    struct str shown = str_sub(line, from, to - from);
    end = end < to ? end : to;
    buf_put_str(p->out, STR("    "));
    buf_put_str(p->out, before);
    str_put_visible(p->out, shown);
    buf_put_str(p->out, to < line.n ? STR("...\n") : STR("\n"));
    buf_put_str(p->out, from ? STR("       ") : STR("    "));
    put_marks(p, shown, begin - from, end > from ? end - from : 0);
    buf_put_char(p->out, '\n');
}

static void put_path(struct pen *p, struct str path, const struct place *place)
{
    struct buf at;
    buf_init(&at, BUF_TEXT_LIMIT);
    buf_put_str(&at, path);
    if (place) {
        buf_printf(&at, ":%u:%u", place->line, place->column);
    }
    buf_put_char(&at, ':');
    put_colored(p, "1", buf_str(&at));
    buf_put_char(p->out, ' ');
    buf_free(&at);
}

/* One line "where: what: text", and the line it speaks of. */
static void put_located(struct pen *p, struct span at, const char *sgr, struct str what,
                        struct str text)
{
    const struct source *source = diags_source(p->d, at.source);
    bool known = source && source->text.n;
    struct place place = diags_place(p->d, at);
    if (known) {
        put_path(p, source->path, &place);
    } else {
        put_path(p, source && source->path.n ? source->path : STR("pawl"), NULL);
    }
    put_colored(p, sgr, what);
    buf_put_char(p->out, ' ');
    put_colored(p, "1", text);
    buf_put_char(p->out, '\n');
    if (known) {
        size_t line_begin = (size_t)(place.text.s - source->text.s);
        size_t begin = at.begin < line_begin ? 0 : at.begin - line_begin;
        size_t end = at.end < line_begin ? 0 : at.end - line_begin;
        begin = begin < place.text.n ? begin : place.text.n;
        end = end < place.text.n ? end : place.text.n;
        put_snippet(p, place.text, character_begin(place.text, begin), end);
    }
}

static void put_diag(struct pen *p, const struct diag *x)
{
    static const struct {
        const char *sgr;
        struct str word;
    } words[] = {
        [DIAG_ERROR] = {"1;31", {"error:", 6}},
        [DIAG_WARNING] = {"1;35", {"warning:", 8}},
        [DIAG_NOTE] = {"1;36", {"note:", 5}},
    };
    put_located(p, x->span, words[x->severity].sgr, words[x->severity].word, x->message);
    for (uint32_t i = 0; i < x->notes.n; i++) {
        const struct diag_extra *note = &x->notes.at[i];
        if (diags_source(p->d, note->span.source)) {
            put_located(p, note->span, words[DIAG_NOTE].sgr, words[DIAG_NOTE].word, note->text);
            continue;
        }
        buf_put_str(p->out, STR("  "));
        put_colored(p, words[DIAG_NOTE].sgr, words[DIAG_NOTE].word);
        buf_put_char(p->out, ' ');
        str_put_visible(p->out, note->text);
        buf_put_char(p->out, '\n');
    }
    if (x->help.n) {
        buf_put_str(p->out, STR("  "));
        put_colored(p, "1;32", STR("help:"));
        buf_put_char(p->out, ' ');
        str_put_visible(p->out, x->help);
        buf_put_char(p->out, '\n');
    }
}

static bool comes_before(const struct diag *x, const struct diag *y)
{
    if (x->span.source != y->span.source) {
        return x->span.source < y->span.source;
    }
    return x->span.source && x->span.begin < y->span.begin;
}

void diags_render(const struct diags *d, bool color, struct buf *out)
{
    struct pen pen = {d, out, color};
    const struct diag *order[DIAG_LIMIT];
    uint32_t n = 0;
    for (; n < d->all.n; n++) {
        const struct diag *x = &d->all.at[n];
        uint32_t at = n; /* by insertion: few of them, and equals keep their order */
        for (; at && comes_before(x, order[at - 1]); at--) {
            order[at] = order[at - 1];
        }
        order[at] = x;
    }
    uint32_t shown = n < DIAG_SHOWN ? n : DIAG_SHOWN;
    for (uint32_t i = 0; i < shown; i++) {
        put_diag(&pen, order[i]);
    }
    if (n - shown + d->dropped) {
        buf_printf(out, "pawl: and %u more\n", n - shown + d->dropped);
    }
}
