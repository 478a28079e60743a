/* SPDX-License-Identifier: MIT */
/* Dependency files, read as make reads them, as far as compilers write them:
 *   file = { rule | comment | blank line };  rule = names ":" [":"] [names] line-end
 * A backslash before a line break joins lines; backslashes before a blank, # or : are halved. */
#include "parser/depfile.h"

#include <string.h>

#include "core/base/table.h"

enum mark { MARK_TEXT, MARK_BLANK, MARK_COLON, MARK_LINE, MARK_END, MARK_VARIABLE };

struct reader {
    struct str text; /* a NUL stands behind it */
    size_t at;       /* of the next mark */
    size_t from;     /* of the newest */
    char *name;      /* under way; never longer than the text */
    size_t length;
    size_t line_at; /* where the rule under way begins */
};

/* So many backslashes before a blank, # or :. Pairs stand for one; true if one is left, for the
 * character. */
static bool backslashes(struct reader *r, size_t n)
{
    memset(r->name + r->length, '\\', n / 2);
    r->length += n / 2;
    return n % 2 == 1;
}

static void add(struct reader *r, const char *bytes, size_t n)
{
    memcpy(r->name + r->length, bytes, n);
    r->length += n;
}

static enum mark next_mark(struct reader *r)
{
    const char *base = r->text.s;
    const char *YYCURSOR = base + r->at;
    const char *YYMARKER = YYCURSOR;
    const char *start;
    size_t n;
    (void)YYMARKER;
#define MARK(m) (r->at = (size_t)(YYCURSOR - base), (m))
next:
    start = YYCURSOR;
    r->from = (size_t)(start - base);
    /*!re2c
        re2c:define:YYCTYPE = "unsigned char";
        re2c:yyfill:enable = 0;

        nl = "\r"? "\n";

        "\\"+ [ \t]      {
            n = (size_t)(YYCURSOR - start) - 1;
            if (n % 2 == 0) {
                add(r, start, n); /* a name that ends in backslashes */
                YYCURSOR--;
                return MARK(MARK_TEXT);
            }
            (void)backslashes(r, n);
            add(r, YYCURSOR - 1, 1);
            return MARK(MARK_TEXT);
        }
        "\\"+ [#:]       {
            n = (size_t)(YYCURSOR - start) - 1;
            if (backslashes(r, n)) {
                add(r, YYCURSOR - 1, 1);
            } else {
                YYCURSOR--;
            }
            return MARK(MARK_TEXT);
        }
        "\\" nl          { return MARK(MARK_BLANK); }
        "\\"             { add(r, start, 1); return MARK(MARK_TEXT); }
        "$$"             { add(r, start, 1); return MARK(MARK_TEXT); }
        "$"              { return MARK(MARK_VARIABLE); }
        "#" [^\r\n\x00]* { goto next; }
        ":"              { return MARK(MARK_COLON); }
        [ \t\r]+         { return MARK(MARK_BLANK); }
        nl               { return MARK(MARK_LINE); }
        [^ \t\r\n\\#$:\x00]+ { add(r, start, (size_t)(YYCURSOR - start)); return MARK(MARK_TEXT); }
        "\x00"           { return MARK_END; }
        *                { add(r, start, 1); return MARK(MARK_TEXT); }
    */
#undef MARK
}

struct rules {
    struct table targets, inputs;
    struct table line; /* targets of the rule under way */
    bool colon;        /* its ':' was seen */
    uint32_t inputs_of_rule;
    struct reader reader;
    uint32_t source;
    struct diags *diags;
};

static bool fail(struct rules *r, size_t at, const char *what, const char *help)
{
    struct span span = SPAN_NONE;
    if (r->source) {
        span = (struct span){r->source, (uint32_t)at, (uint32_t)at + 1};
    }
    struct diag *d = diag_error(r->diags, "bad-depfile", span, "%s", what);
    diag_help(r->diags, d, "%s", help);
    return false;
}

/* The name under way is at its end. */
static bool end_name(struct rules *r)
{
    struct str name = {r->reader.name, r->reader.length};
    r->reader.length = 0;
    if (name.n == 0 || (r->colon && str_eq(name, STR("|")))) {
        return true; /* what follows | is an input of ours, too */
    }
    if (!r->colon) {
        (void)table_add(&r->line, name, NULL);
    } else {
        (void)table_add(&r->inputs, name, NULL);
        r->inputs_of_rule++;
    }
    if (r->inputs.count + r->line.count > DEPFILE_NAME_LIMIT) {
        return fail(r, r->reader.from, "too many names in a dependency file",
                    "declare folders as inputs instead");
    }
    return true;
}

static bool end_rule(struct rules *r, struct arena *a)
{
    if (!end_name(r)) {
        return false;
    }
    if (r->line.count > 0 && !r->colon) {
        return fail(r, r->reader.line_at, "a line without ':' in a dependency file",
                    "it should read 'target: input input …', as make has it");
    }
    if (r->inputs_of_rule > 0) {
        for (uint32_t i = 0; i < r->line.count; i++) {
            (void)table_add(&r->targets, r->line.keys[i], NULL);
        }
    }
    if (r->line.count > 0 || r->colon) {
        table_init(&r->line, a);
    }
    r->colon = false;
    r->inputs_of_rule = 0;
    return true;
}

/* A ':' ends the targets; within an input's name it is a letter like others. */
static bool at_colon(struct rules *r)
{
    struct reader *in = &r->reader;
    char after = in->text.s[in->at];
    if (!r->colon) {
        if (!end_name(r)) {
            return false;
        }
        if (r->line.count == 0) {
            return fail(r, in->from, "no target before ':'",
                        "it should read 'target: input input …'");
        }
        r->colon = true;
        in->at += after == ':' ? 1 : 0;
        return true;
    }
    bool ends = after == ' ' || after == '\t' || after == '\r' || after == '\n' || after == '\0';
    if (ends) {
        return fail(r, in->from, "a second ':' in one rule", "write \\: for a colon in a name");
    }
    add(in, ":", 1);
    return true;
}

static bool read_rules(struct rules *r, struct arena *a)
{
    for (;;) {
        bool fresh = r->reader.length == 0 && r->line.count == 0;
        enum mark mark = next_mark(&r->reader);
        if (fresh && mark == MARK_TEXT) {
            r->reader.line_at = r->reader.from;
        }
        switch (mark) {
        case MARK_TEXT: break;
        case MARK_BLANK:
            if (!end_name(r)) {
                return false;
            }
            break;
        case MARK_COLON:
            if (!at_colon(r)) {
                return false;
            }
            break;
        case MARK_LINE:
            if (!end_rule(r, a)) {
                return false;
            }
            break;
        case MARK_END: return end_rule(r, a);
        case MARK_VARIABLE:
            return fail(r, r->reader.from, "a variable in a dependency file",
                        "write $$ for a dollar sign in a name");
        }
    }
}

bool depfile_parse(struct arena *a, struct str text, uint32_t source, struct depfile *out,
                   struct diags *d)
{
    struct rules r = {.source = source, .diags = d};
    *out = (struct depfile){NULL, 0, NULL, 0};
    if (text.n > DEPFILE_TEXT_LIMIT) {
        return fail(&r, 0, "a dependency file of more than 16 MiB",
                    "declare folders as inputs instead");
    }
    const char *nul = text.n ? memchr(text.s, '\0', text.n) : NULL;
    if (nul) {
        return fail(&r, (size_t)(nul - text.s), "a NUL byte in a dependency file",
                    "is this a dependency file at all?");
    }
    r.reader.text = str_copy(a, text);
    r.reader.name = arena_alloc(a, text.n + 1, 1);
    table_init(&r.targets, a);
    table_init(&r.inputs, a);
    table_init(&r.line, a);
    if (!read_rules(&r, a)) {
        return false;
    }
    out->targets = r.targets.keys;
    out->target_count = r.targets.count;
    out->inputs = r.inputs.keys;
    out->input_count = r.inputs.count;
    return true;
}
