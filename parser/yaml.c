/* SPDX-License-Identifier: MIT */
/* Events of libyaml become a tree. What an alias repeats is shared, but counted each time, so
 * that nobody who walks the tree walks far. Offsets are libyaml's counts of characters, turned
 * into bytes when needed. */
#include "parser/yaml.h"

#include "core/base/table.h"

#include <string.h>
#include <yaml.h>

struct anchor {
    struct str name;
    struct json value;
    uint32_t weight; /* values in it, itself included */
    uint32_t height; /* levels of lists and mappings in it */
};

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the newest; owned */
    struct arena *arena;
    struct arena scratch;
    struct str text;
    size_t begin; /* behind a byte order mark */
    uint32_t source;
    struct diags *diags;
    uint32_t depth, nodes;
    uint32_t deepest; /* depth reached within the value under way */
    VEC(struct anchor) anchors;
};

/* ---- places and complaints ---- */

static uint32_t byte_of(const struct reader *r, size_t characters)
{
    size_t at = r->begin;
    while (characters > 0 && at < r->text.n) {
        at++;
        while (at < r->text.n && ((unsigned char)r->text.s[at] & 0xc0) == 0x80) {
            at++;
        }
        characters--;
    }
    return (uint32_t)at;
}

static struct span span_at(const struct reader *r, yaml_mark_t from, yaml_mark_t to)
{
    if (!r->source) {
        return SPAN_NONE;
    }
    uint32_t begin = byte_of(r, from.index);
    uint32_t end = byte_of(r, to.index);
    return (struct span){r->source, begin, end > begin ? end : begin};
}

static struct span span_of(const struct reader *r)
{
    return span_at(r, r->event.start_mark, r->event.end_mark);
}

static bool complain(struct reader *r, const char *what, const char *help)
{
    struct diag *d = diag_error(r->diags, "bad-yaml", span_of(r), "%s", what);
    if (help) {
        diag_help(r->diags, d, "%s", help);
    }
    return false;
}

static void complain_parser(struct reader *r)
{
    yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "bad YAML";
    if (p->error == YAML_MEMORY_ERROR) {
        mem_exhausted(0);
    }
    struct span at = SPAN_NONE;
    if (r->source && p->error == YAML_READER_ERROR) {
        size_t at_byte = r->begin + p->problem_offset;
        uint32_t offset = at_byte < r->text.n ? (uint32_t)at_byte : 0;
        at = (struct span){r->source, offset, offset + 1};
    } else if (r->source) {
        at = span_at(r, p->problem_mark, p->problem_mark);
    }
    struct diag *d = diag_error(r->diags, "bad-yaml", at, "%s", problem);
    if (strstr(problem, "cannot start any token")) {
        diag_help(r->diags, d,
                  "indent with blanks, not tabs, and quote texts that begin with @ or `");
    } else if (strstr(problem, "mapping values are not allowed")) {
        diag_help(r->diags, d,
                  "quote a text that holds ': ', and indent what belongs together alike");
    }
}

/* The next event; the one before is dropped. */
static bool advance(struct reader *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        memset(&r->event, 0, sizeof r->event);
        complain_parser(r);
        return false;
    }
    return true;
}

static bool advance_by(struct reader *r, int events)
{
    while (events > 0 && advance(r)) {
        events--;
    }
    return events == 0;
}

static bool count(struct reader *r, uint32_t weight)
{
    if (weight > YAML_NODE_LIMIT - r->nodes) {
        return complain(r, "too many values, those that aliases repeat included",
                        "a parameter file has room for a million");
    }
    r->nodes += weight;
    return true;
}

/* ---- scalars ---- */

static struct str str_of(const yaml_char_t *s, size_t n)
{
    return (struct str){(const char *)s, n};
}

static bool one_of(struct str x, const char *const *words)
{
    for (; *words; words++) {
        if (str_eq(x, str_from(*words))) {
            return true;
        }
    }
    return false;
}

static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
static const char *const trues[] = {"true", "True", "TRUE", NULL};
static const char *const falses[] = {"false", "False", "FALSE", NULL};
static const char *const endless[] = {".inf",  ".Inf",  ".INF", "+.inf", "+.Inf", "+.INF", "-.inf",
                                      "-.Inf", "-.INF", ".nan", ".NaN",  ".NAN",  NULL};

static size_t digits(struct str x, size_t at)
{
    size_t i = at;
    while (i < x.n && x.s[i] >= '0' && x.s[i] <= '9') {
        i++;
    }
    return i - at;
}

enum number_form { NUMBER_NONE, NUMBER_INT, NUMBER_OCTAL, NUMBER_HEX, NUMBER_REAL };

static bool all_of(struct str x, const char *set)
{
    for (size_t i = 0; i < x.n; i++) {
        if (!strchr(set, x.s[i])) {
            return false;
        }
    }
    return x.n > 0;
}

/* By the core schema: [-+]? digits, 0o…, 0x…, or a decimal fraction with an exponent. */
static enum number_form form_of(struct str x)
{
    if (str_starts(x, STR("0o"))) {
        return all_of(str_tail(x, 2), "01234567") ? NUMBER_OCTAL : NUMBER_NONE;
    }
    if (str_starts(x, STR("0x"))) {
        return all_of(str_tail(x, 2), "0123456789abcdefABCDEF") ? NUMBER_HEX : NUMBER_NONE;
    }
    size_t at = x.n > 0 && (x.s[0] == '-' || x.s[0] == '+') ? 1 : 0;
    size_t whole = digits(x, at);
    at += whole;
    if (at == x.n) {
        return whole > 0 ? NUMBER_INT : NUMBER_NONE;
    }
    if (x.s[at] == '.') {
        size_t part = digits(x, at + 1);
        if (whole + part == 0) {
            return NUMBER_NONE;
        }
        at += 1 + part;
    } else if (whole == 0) {
        return NUMBER_NONE;
    }
    if (at < x.n && (x.s[at] == 'e' || x.s[at] == 'E')) {
        at++;
        at += at < x.n && (x.s[at] == '-' || x.s[at] == '+') ? 1 : 0;
        size_t exponent = digits(x, at);
        if (exponent == 0) {
            return NUMBER_NONE;
        }
        at += exponent;
    }
    return at == x.n ? NUMBER_REAL : NUMBER_NONE;
}

/* The decimal number as JSON would have it: no '+', no leading zeros, digits on both sides of
 * the point. */
static struct str plain_number(struct arena *a, struct str x)
{
    bool minus = x.s[0] == '-';
    struct str rest = str_tail(x, minus || x.s[0] == '+' ? 1 : 0);
    while (rest.n > 1 && rest.s[0] == '0' && rest.s[1] >= '0' && rest.s[1] <= '9') {
        rest = str_tail(rest, 1);
    }
    size_t whole = digits(rest, 0);
    struct str before = whole ? str_sub(rest, 0, whole) : STR("0");
    struct str after = str_tail(rest, whole);
    if (after.n > 0 && after.s[0] == '.' && digits(after, 1) == 0) {
        after = str_join3(a, STR(".0"), str_tail(after, 1), STR(""));
    }
    return str_join3(a, minus ? STR("-") : STR(""), before, after);
}

static bool based_number(struct str x, unsigned base, int64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 2; i < x.n; i++) {
        char c = x.s[i];
        unsigned digit = c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
        if (value > ((uint64_t)INT64_MAX - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    *out = (int64_t)value;
    return true;
}

/* A number, if x is one; *is_number says so. false: it is one, but too large. */
static bool read_number(struct reader *r, struct str x, struct json *out, bool *is_number)
{
    enum number_form form = form_of(x);
    *is_number = form != NUMBER_NONE;
    bool fits = true;
    switch (form) {
    case NUMBER_NONE: return true;
    case NUMBER_OCTAL:
    case NUMBER_HEX:
        out->kind = JSON_INT;
        fits = based_number(x, form == NUMBER_HEX ? 16 : 8, &out->integer);
        out->text = str_printf(r->arena, "%lld", (long long)out->integer);
        break;
    case NUMBER_INT:
        out->kind = JSON_INT;
        out->text = plain_number(r->arena, x);
        fits = str_parse_i64(out->text, &out->integer);
        break;
    case NUMBER_REAL:
        out->kind = JSON_REAL;
        out->text = plain_number(r->arena, x);
        fits = str_parse_double(out->text, &out->real);
        break;
    }
    if (out->kind == JSON_INT) {
        out->real = (double)out->integer;
    }
    return fits || complain(r, "this number is too large", "quote it, if it is a text");
}

static bool read_plain(struct reader *r, struct str x, struct json *out)
{
    if (one_of(x, nulls)) {
        out->kind = JSON_NULL;
        return true;
    }
    if (one_of(x, trues) || one_of(x, falses)) {
        out->kind = JSON_BOOL;
        out->boolean = one_of(x, trues);
        return true;
    }
    if (one_of(x, endless)) {
        return complain(r, "infinite and undefined numbers have no place here",
                        "quote it, if it is a text");
    }
    bool is_number;
    if (!read_number(r, x, out, &is_number)) {
        return false;
    }
    if (!is_number) {
        out->kind = JSON_STRING;
        out->text = str_copy(r->arena, x);
    }
    return true;
}

/* What a tag of the core schema asks for, against what was found. */
static bool tag_fits(const char *tag, const struct json *value)
{
    switch (value->kind) {
    case JSON_NULL: return strcmp(tag, YAML_NULL_TAG) == 0;
    case JSON_BOOL: return strcmp(tag, YAML_BOOL_TAG) == 0;
    case JSON_INT: return strcmp(tag, YAML_INT_TAG) == 0;
    case JSON_REAL: return strcmp(tag, YAML_FLOAT_TAG) == 0;
    case JSON_STRING: return strcmp(tag, YAML_STR_TAG) == 0;
    case JSON_LIST: return strcmp(tag, YAML_SEQ_TAG) == 0;
    case JSON_OBJECT: return strcmp(tag, YAML_MAP_TAG) == 0;
    }
    return false;
}

static bool refuse_tag(struct reader *r, const yaml_char_t *tag)
{
    struct diag *d = diag_error(r->diags, "bad-yaml", span_of(r), "the tag '%s' means nothing here",
                                (const char *)tag);
    diag_help(r->diags, d, "take it away; texts, numbers, booleans, lists and mappings need none");
    return false;
}

static bool read_scalar(struct reader *r, struct json *out)
{
    const yaml_char_t *tag = r->event.data.scalar.tag;
    struct str x = str_of(r->event.data.scalar.value, r->event.data.scalar.length);
    bool text = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (tag
        && (strcmp((const char *)tag, "!") == 0 || strcmp((const char *)tag, YAML_STR_TAG) == 0)) {
        text = true;
        tag = NULL;
    }
    if (text && !tag) {
        out->kind = JSON_STRING;
        out->text = str_copy(r->arena, x);
        return true;
    }
    if (!read_plain(r, x, out)) {
        return false;
    }
    if (tag && out->kind == JSON_INT && strcmp((const char *)tag, YAML_FLOAT_TAG) == 0) {
        out->kind = JSON_REAL;
    }
    return !tag || tag_fits((const char *)tag, out) || refuse_tag(r, tag);
}

/* ---- lists, mappings, aliases ---- */

static bool read_node(struct reader *r, struct json *out);

static bool reach(struct reader *r, uint32_t depth)
{
    if (depth > YAML_DEPTH_LIMIT) {
        return complain(r, "nested too deeply", NULL);
    }
    r->deepest = depth > r->deepest ? depth : r->deepest;
    return true;
}

static bool deeper(struct reader *r)
{
    r->depth++;
    return reach(r, r->depth);
}

static bool read_list(struct reader *r, struct json *out)
{
    VEC(struct json) items = {NULL, 0, 0};
    out->kind = JSON_LIST;
    if (!deeper(r)) {
        return false;
    }
    while (advance(r)) {
        if (r->event.type == YAML_SEQUENCE_END_EVENT) {
            out->items = items.at;
            out->count = items.n;
            r->depth--;
            return true;
        }
        struct json item = {.kind = JSON_NULL};
        if (!read_node(r, &item)) {
            return false;
        }
        *VEC_PUSH(r->arena, &items) = item;
    }
    return false;
}

static bool read_key(struct reader *r, struct table *seen, struct str *name)
{
    if (r->event.type != YAML_SCALAR_EVENT) {
        return complain(r, "a key must be a plain text", "write the key as one word or in quotes");
    }
    const yaml_char_t *tag = r->event.data.scalar.tag;
    if (tag && strcmp((const char *)tag, "!") != 0
        && strcmp((const char *)tag, YAML_STR_TAG) != 0) {
        return refuse_tag(r, tag);
    }
    *name = str_copy(r->arena, str_of(r->event.data.scalar.value, r->event.data.scalar.length));
    if (r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE && str_eq(*name, STR("<<"))) {
        return complain(r, "merge keys are not known to YAML 1.2",
                        "write out what '<<' would bring in");
    }
    if (r->event.data.scalar.anchor) {
        return complain(r, "an anchor on a key means nothing here", NULL);
    }
    bool is_new;
    (void)table_add(seen, *name, &is_new);
    if (!is_new) {
        struct diag *d = diag_error(r->diags, "bad-yaml", span_of(r),
                                    "the key '%.*s' stands here twice", STR_ARG(*name));
        diag_help(r->diags, d, "take one of them away");
        return false;
    }
    return count(r, 1);
}

static bool read_object(struct reader *r, struct json *out)
{
    VEC(struct json) items = {NULL, 0, 0};
    VEC(struct str) names = {NULL, 0, 0};
    struct table seen;
    table_init(&seen, &r->scratch);
    out->kind = JSON_OBJECT;
    if (!deeper(r)) {
        return false;
    }
    while (advance(r)) {
        if (r->event.type == YAML_MAPPING_END_EVENT) {
            out->items = items.at;
            out->names = names.at;
            out->count = items.n;
            r->depth--;
            return true;
        }
        struct str name;
        struct json item = {.kind = JSON_NULL};
        if (!read_key(r, &seen, &name) || !advance(r) || !read_node(r, &item)) {
            return false;
        }
        *VEC_PUSH(r->arena, &items) = item;
        *VEC_PUSH(r->arena, &names) = name;
    }
    return false;
}

static bool read_alias(struct reader *r, struct json *out)
{
    struct str name = str_from((const char *)r->event.data.alias.anchor);
    for (uint32_t i = r->anchors.n; i > 0; i--) { /* the newest of a name counts */
        const struct anchor *x = &r->anchors.at[i - 1];
        if (str_eq(x->name, name)) {
            *out = x->value;
            return count(r, x->weight) && reach(r, r->depth + x->height);
        }
    }
    struct diag *d = diag_error(r->diags, "bad-yaml", span_of(r), "there is no anchor '%.*s' above",
                                STR_ARG(name));
    diag_help(r->diags, d, "an alias repeats a finished value: '&%.*s' must stand before it",
              STR_ARG(name));
    return false;
}

static const yaml_char_t *anchor_of(const yaml_event_t *e)
{
    return e->type == YAML_SCALAR_EVENT           ? e->data.scalar.anchor
           : e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.anchor
                                                  : e->data.mapping_start.anchor;
}

static const yaml_char_t *collection_tag(const yaml_event_t *e)
{
    return e->type == YAML_SEQUENCE_START_EVENT ? e->data.sequence_start.tag
                                                : e->data.mapping_start.tag;
}

/* The value that the newest event begins, to its end. */
static bool read_node(struct reader *r, struct json *out)
{
    if (r->event.type == YAML_ALIAS_EVENT) {
        return read_alias(r, out);
    }
    struct str anchor = STR_NONE;
    if (anchor_of(&r->event)) {
        anchor = str_copy(&r->scratch, str_from((const char *)anchor_of(&r->event)));
    }
    uint32_t before = r->nodes;
    uint32_t deepest = r->deepest;
    r->deepest = r->depth;
    if (!count(r, 1)) {
        return false;
    }
    bool done;
    if (r->event.type == YAML_SCALAR_EVENT) {
        done = read_scalar(r, out);
    } else {
        bool list = r->event.type == YAML_SEQUENCE_START_EVENT;
        const yaml_char_t *tag = collection_tag(&r->event);
        out->kind = list ? JSON_LIST : JSON_OBJECT;
        if (tag && strcmp((const char *)tag, "!") != 0 && !tag_fits((const char *)tag, out)) {
            return refuse_tag(r, tag);
        }
        done = list ? read_list(r, out) : read_object(r, out);
    }
    if (done && anchor.n > 0) {
        *VEC_PUSH(&r->scratch, &r->anchors) =
            (struct anchor){anchor, *out, r->nodes - before, r->deepest - r->depth};
    }
    r->deepest = deepest > r->deepest ? deepest : r->deepest;
    return done;
}

/* ---- documents ---- */

static bool read_document(struct reader *r, struct json *out)
{
    if (!advance_by(r, 2)) { /* the stream's start, then the document's */
        return false;
    }
    if (r->event.type == YAML_STREAM_END_EVENT) {
        out->kind = JSON_OBJECT;
        return true;
    }
    if (!advance(r) || !read_node(r, out) || !advance_by(r, 2)) {
        return false;
    }
    if (r->event.type != YAML_STREAM_END_EVENT) {
        return complain(r, "a second document in one file", "keep one; '---' begins a new one");
    }
    if (out->kind == JSON_NULL) {
        out->kind = JSON_OBJECT; /* nothing but comments or '---' */
    }
    return true;
}

const struct json *yaml_parse(struct arena *a, struct str text, uint32_t source, struct diags *d)
{
    struct reader r = {.arena = a, .text = text, .source = source, .diags = d};
    if (text.n > JSON_TEXT_LIMIT) {
        (void)diag_error(d, "bad-yaml", (struct span){source, 0, 0}, "more than %d MiB",
                         JSON_TEXT_LIMIT >> 20);
        return NULL;
    }
    if (!yaml_parser_initialize(&r.parser)) {
        mem_exhausted(0);
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    r.begin = str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0;
    struct str input = str_tail(text, r.begin);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(input.s ? input.s : ""),
                                 input.n);
    struct json *root = ARENA_NEW(a, struct json);
    bool done = read_document(&r, root);
    yaml_event_delete(&r.event);
    yaml_parser_delete(&r.parser);
    arena_free(&r.scratch);
    return done ? root : NULL;
}
