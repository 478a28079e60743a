/* SPDX-License-Identifier: MIT */
/* Strings and quantities from their spelling. A string is decoded once, in place of its parts:
 * one walk over the bytes of the file, so that every complaint knows its offset. */
#include "parser/literal.h"

#include <string.h>

/* ---- indentation ---- */

struct layout {
    size_t indent; /* bytes dropped at the front of each line */
    bool begins;   /* the first part begins a line */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static size_t blanks(struct str x, size_t from)
{
    size_t i = from;
    while (i < x.n && is_blank(x.s[i])) {
        i++;
    }
    return i - from;
}

/* A line break at this offset: its length, 0 for none. */
static size_t break_at(struct str x, size_t at)
{
    if (at < x.n && x.s[at] == '\n') {
        return 1;
    }
    return at + 1 < x.n && x.s[at] == '\r' && x.s[at + 1] == '\n' ? 2 : 0;
}

/* The first line, if there is nothing on it. */
static bool drop_first_break(struct ast_part *part)
{
    size_t n = blanks(part->text, 0);
    size_t end = break_at(part->text, n);
    if (end == 0) {
        return false;
    }
    part->text = str_tail(part->text, n + end);
    return true;
}

/* The line of the closing quotes, if there is nothing else on it. */
static void drop_last_break(struct ast_part *part, bool at_line_start)
{
    struct str x = part->text;
    size_t n = x.n;
    while (n > 0 && is_blank(x.s[n - 1])) {
        n--;
    }
    if (n == 0) {
        part->text.n = at_line_start ? 0 : x.n;
    } else if (x.s[n - 1] == '\n') {
        n -= n > 1 && x.s[n - 2] == '\r' ? 2 : 1;
        part->text.n = n;
    }
}

/* Narrows the common indentation by one line's. */
static void narrow(struct str line, struct str *common, bool *any)
{
    size_t n = blanks(line, 0);
    if (!*any) {
        *common = str_sub(line, 0, n);
        *any = true;
        return;
    }
    size_t i = 0;
    while (i < n && i < common->n && line.s[i] == common->s[i]) {
        i++;
    }
    common->n = i;
}

/* Lines of one part; those without text do not count, unless an expression follows. */
static void narrow_part(struct str x, bool begins, bool expr_follows, struct str *common, bool *any)
{
    size_t i = 0;
    bool start = begins;
    while (i < x.n || (start && expr_follows)) {
        struct str line = str_tail(x, i);
        if (start) {
            size_t n = blanks(line, 0);
            bool empty = n == line.n ? !expr_follows : break_at(line, n) > 0;
            if (!empty) {
                narrow(line, common, any);
            }
        }
        ptrdiff_t next = str_find(line, STR("\n"));
        if (next < 0) {
            return;
        }
        i += (size_t)next + 1;
        start = true;
    }
}

static struct layout lay_out(struct ast_string *string)
{
    struct layout layout = {0, false};
    struct ast_part *first = &string->parts[0];
    struct ast_part *last = &string->parts[string->count - 1];
    layout.begins = !first->expr && drop_first_break(first);
    if (!last->expr) {
        drop_last_break(last, layout.begins && last == first);
    }
    struct str common = STR_NONE;
    bool any = false;
    for (uint32_t i = 0; i < string->count; i++) {
        if (!string->parts[i].expr) {
            bool follows = i + 1 < string->count;
            narrow_part(string->parts[i].text, i == 0 && layout.begins, follows, &common, &any);
        }
    }
    layout.indent = common.n;
    return layout;
}

/* ---- escapes ---- */

struct decoder {
    const struct ast_string *string;
    struct str in;
    size_t at;
    uint32_t offset; /* of in's first byte in the file */
    uint32_t source;
    char *out;
    size_t n;
    struct diags *diags;
};

/* length bytes from here on, named in quotes, are … */
static void bad_escape(struct decoder *d, size_t length, const char *what, const char *help)
{
    uint32_t begin = d->offset + (uint32_t)d->at;
    struct span span = {d->source, begin, begin + (uint32_t)length};
    struct str x = str_sub(d->in, d->at, length);
    struct diag *diag = diag_error(d->diags, "bad-escape", span, "'%.*s' %s", STR_ARG(x), what);
    diag_help(d->diags, diag, "%s", help);
    d->at += length;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | (c >> 6));
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | (c >> 12));
        out[1] = (char)(0x80 | ((c >> 6) & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (c >> 18));
    out[1] = (char)(0x80 | ((c >> 12) & 0x3f));
    out[2] = (char)(0x80 | ((c >> 6) & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* \u{…}: one to six hexadecimal digits that name a character. */
static void unicode_escape(struct decoder *d)
{
    size_t i = d->at + 2;
    uint32_t c = 0;
    size_t digits = 0;
    if (i < d->in.n && d->in.s[i] == '{') {
        for (i++; i < d->in.n && hex_digit(d->in.s[i]) >= 0 && digits < 7; i++, digits++) {
            c = c * 16 + (uint32_t)hex_digit(d->in.s[i]);
        }
    }
    bool closed = digits > 0 && i < d->in.n && d->in.s[i] == '}';
    if (!closed) {
        bad_escape(d, i - d->at, "is not a whole escape",
                   "write the character's number in hexadecimal: \\u{1F9EA}");
    } else if (c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) {
        bad_escape(
            d, i + 1 - d->at, "is not a character",
            "characters are numbered from \\u{1} to \\u{10FFFF}, without \\u{D800} to \\u{DFFF}");
    } else {
        d->n += put_utf8(d->out + d->n, c);
        d->at = i + 1;
    }
}

static void put(struct decoder *d, struct str x, size_t used)
{
    memcpy(d->out + d->n, x.s, x.n);
    d->n += x.n;
    d->at += used;
}

/* At a backslash, in the text of run or probe: nearly always the shell's. */
static void command_escape(struct decoder *d)
{
    struct str rest = str_tail(d->in, d->at);
    if (str_starts(rest, STR("\\{{"))) {
        put(d, STR("{{"), 3);
    } else if (!d->string->triple && str_starts(rest, STR("\\\""))) {
        put(d, STR("\""), 2);
    } else if (str_starts(rest, STR("\\\\"))) {
        put(d, STR("\\\\"), 2); /* a pair, so that the second begins nothing */
    } else {
        put(d, STR("\\"), 1);
    }
}

static void plain_escape(struct decoder *d)
{
    struct str rest = str_tail(d->in, d->at);
    char next = '\0';
    if (rest.n > 1) {
        next = rest.s[1];
    }
    if (str_starts(rest, STR("\\{{"))) {
        put(d, STR("{{"), 3);
        return;
    }
    switch (next) {
    case 'n': put(d, STR("\n"), 2); return;
    case 't': put(d, STR("\t"), 2); return;
    case '"': put(d, STR("\""), 2); return;
    case '\\': put(d, STR("\\"), 2); return;
    case 'u': unicode_escape(d); return;
    case '\r':
    case '\n':
        bad_escape(d, 1, "at the end of a line means nothing here",
                   "only in the text of run and probe; elsewhere leave it away, or write \\\\");
        return;
    default: break;
    }
    size_t n = rest.n > 1 ? 2 : 1;
    while (n < rest.n && ((unsigned char)rest.s[n] & 0xc0) == 0x80) {
        n++;
    }
    bad_escape(
        d, n, "is not an escape",
        "there are \\n \\t \\\" \\\\ \\u{…} and \\{{; write \\\\ for a backslash, or use '…', "
        "where nothing is an escape");
}

/* At the front of a line: what of its indentation is not the text's. */
static void skip_indent(struct decoder *d, size_t indent)
{
    size_t n = blanks(d->in, d->at);
    d->at += n < indent ? n : indent;
}

static struct str decode_part(struct decoder *d, struct layout layout, bool begins)
{
    if (begins) {
        skip_indent(d, layout.indent);
    }
    while (d->at < d->in.n) {
        char c = d->in.s[d->at];
        if (c == '\\' && !d->string->raw) {
            if (d->string->command) {
                command_escape(d);
            } else {
                plain_escape(d);
            }
        } else if (break_at(d->in, d->at) > 0) {
            put(d, STR("\n"), break_at(d->in, d->at));
            skip_indent(d, layout.indent);
        } else {
            d->out[d->n++] = c;
            d->at++;
        }
    }
    return (struct str){d->out, d->n};
}

void literal_decode(struct arena *a, struct ast_string *string, struct str text, struct diags *d)
{
    for (uint32_t i = 0; i < string->count; i++) {
        struct ast_part *part = &string->parts[i];
        if (!part->expr) {
            part->text = str_sub(text, part->span.begin, part->span.end - part->span.begin);
        }
    }
    struct layout layout = {0, false};
    if (string->triple && string->count > 0) {
        layout = lay_out(string);
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < string->count; i++) {
        struct ast_part part = string->parts[i];
        if (!part.expr) {
            struct decoder decoder = {.string = string, .in = part.text, .diags = d};
            decoder.offset = (uint32_t)(part.text.s - text.s);
            decoder.source = part.span.source;
            decoder.out = arena_alloc(a, part.text.n + 1, 1);
            part.text = decode_part(&decoder, layout, i == 0 && layout.begins);
        }
        if (part.expr || part.text.n > 0) {
            string->parts[kept++] = part;
        }
    }
    string->count = kept;
}

/* ---- quantities ---- */

static const char *const times = "ms s m h d";
static const char *const sizes = "B KB MB GB TB KiB MiB GiB TiB";

static bool lists(const char *units, struct str unit)
{
    struct str rest = str_from(units);
    struct str one;
    while (str_cut(&rest, ' ', &one)) {
        if (str_eq(one, unit)) {
            return true;
        }
    }
    return false;
}

static struct str unit_of(struct str text)
{
    size_t i = 0;
    while (i < text.n && ((text.s[i] >= '0' && text.s[i] <= '9') || text.s[i] == '.')) {
        i++;
    }
    return str_tail(text, i);
}

bool literal_quantity(struct str text, struct span at, enum ast_expr_kind *kind, int64_t *value,
                      struct diags *d)
{
    if (str_parse_duration(text, value)) {
        *kind = AST_DURATION;
        return true;
    }
    if (str_parse_size(text, value)) {
        *kind = AST_SIZE;
        return true;
    }
    struct str unit = unit_of(text);
    if (lists(times, unit) || lists(sizes, unit)) {
        struct diag *diag =
            diag_error(d, "bad-quantity", at, "'%.*s' is more than can be counted", STR_ARG(text));
        diag_help(d, diag, "times go up to 10000d, sizes to some millions of TB");
        return false;
    }
    struct diag *diag = diag_error(d, "unknown-unit", at, "'%.*s': there is no unit '%.*s'",
                                   STR_ARG(text), STR_ARG(unit));
    diag_help(d, diag, "times have %s, sizes %s; a name cannot begin with a digit", times, sizes);
    return false;
}
