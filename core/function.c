/* SPDX-License-Identifier: MIT */
/* One row for each function: its name, its signature, what it takes, its code. What is the same for all
 * (arguments counted and checked, late ones kept, refs and untracked parts passed on) is done around them. */
#include "core/function.h"

#include "core/base/path.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

enum { FUNCTION_ARGS = 3 };

/* What an argument may be. */
enum wanted {
    WANT_ANY,
    WANT_TEXT, /* string */
    WANT_INT,
    WANT_LIST,
    WANT_HOLDER, /* list or string */
    WANT_SCALAR, /* anything but a list and a mapping */
};

struct at_work {
    const struct value_work *work;
    const struct function_call *call;
    const struct function *function;
    struct diags *diags;
    const struct value *args[FUNCTION_ARGS];
    uint32_t count;
};

struct function {
    const char *name;
    const char *signature;
    bool (*apply)(struct at_work *c, struct value *out);
    uint8_t least, most;
    uint8_t wants[FUNCTION_ARGS]; /* enum wanted */
    bool early;                   /* its first argument must be known before steps run */
    bool passes; /* gives (parts of) its argument as they are: refs and marks are set by it */
};

static struct span arg_span(const struct at_work *c, uint32_t i)
{
    struct span at = c->call->args.at[i].span;
    return at.source ? at : c->call->at;
}

static bool fails(struct at_work *c, const char *code, uint32_t arg, const char *message)
{
    diag_error(c->diags, code, arg_span(c, arg), "%s() %s", c->function->name, message);
    return false;
}

/* ---- texts ---- */

static bool give_text(struct at_work *c, struct buf *b, struct value *out)
{
    bool full = b->full;
    *out = value_string(str_copy(c->work->arena, buf_str(b)));
    buf_free(b);
    if (full) {
        diag_error(c->diags, "too-large", c->call->at, "%s() would give more than %d bytes",
                   c->function->name, VALUE_TEXT_LIMIT);
    }
    return !full;
}

static bool change_case(struct at_work *c, struct value *out, char from, char to)
{
    struct str x = value_print(c->work->arena, c->args[0]);
    struct buf b;
    buf_init(&b, VALUE_TEXT_LIMIT);
    for (size_t i = 0; i < x.n; i++) {
        bool letter = x.s[i] >= from && x.s[i] <= from + 25;
        buf_put_char(&b, letter ? (char)(x.s[i] - from + to) : x.s[i]);
    }
    return give_text(c, &b, out);
}

static bool apply_lower(struct at_work *c, struct value *out)
{
    return change_case(c, out, 'A', 'a');
}

static bool apply_upper(struct at_work *c, struct value *out)
{
    return change_case(c, out, 'a', 'A');
}

static bool apply_replace(struct at_work *c, struct value *out)
{
    struct str rest = value_print(c->work->arena, c->args[0]);
    struct str from = c->args[1]->text;
    struct str to = value_print(c->work->arena, c->args[2]);
    if (from.n == 0) {
        return fails(c, "wrong-arguments", 1, "cannot replace an empty text");
    }
    struct buf b;
    buf_init(&b, VALUE_TEXT_LIMIT);
    for (ptrdiff_t at; (at = str_find(rest, from)) >= 0 && !b.full;) {
        buf_put(&b, rest.s, (size_t)at);
        buf_put_str(&b, to);
        rest = str_tail(rest, (size_t)at + from.n);
    }
    buf_put_str(&b, rest);
    return give_text(c, &b, out);
}

static bool apply_join(struct at_work *c, struct value *out)
{
    struct buf b;
    buf_init(&b, VALUE_TEXT_LIMIT);
    for (uint32_t i = 0; i < c->args[0]->count && !b.full; i++) {
        const struct value *item = &c->args[0]->items[i];
        if (item->kind == VALUE_LIST) {
            buf_free(&b);
            return fails(c, "type-mismatch", 0, "cannot join lists in a list");
        }
        if (i > 0) {
            buf_put_str(&b, c->args[1]->text);
        }
        value_put(&b, item);
    }
    return give_text(c, &b, out);
}

/* ---- parts of paths ---- */

/* Offset of the last dot, if it is neither the first character nor behind dots only. */
static size_t ext_at(struct str name)
{
    ptrdiff_t dot = str_rfind_char(name, '.');
    for (ptrdiff_t i = 0; i < dot; i++) {
        if (name.s[i] != '.') {
            return (size_t)dot;
        }
    }
    return name.n;
}

static bool apply_basename(struct at_work *c, struct value *out)
{
    struct str path = value_print(c->work->arena, c->args[0]);
    *out = value_string(path_basename(path));
    return true;
}

static bool apply_dirname(struct at_work *c, struct value *out)
{
    struct str path = value_print(c->work->arena, c->args[0]);
    *out = value_string(path_dirname(path));
    out->is_path = c->args[0]->is_path;
    out->is_dir = out->is_path;
    return true;
}

static bool apply_stem(struct at_work *c, struct value *out)
{
    struct str name = path_basename(value_print(c->work->arena, c->args[0]));
    *out = value_string(str_sub(name, 0, ext_at(name)));
    return true;
}

static bool apply_ext(struct at_work *c, struct value *out)
{
    struct str name = path_basename(value_print(c->work->arena, c->args[0]));
    *out = value_string(str_tail(name, ext_at(name)));
    return true;
}

/* A list's items have theirs. */
static bool uri_of(struct at_work *c, const struct value *x, struct value *out)
{
    if (x->kind != VALUE_LIST) {
        bool plain = x->kind == VALUE_STRING && x->uri.n == 0 && str_starts(x->text, STR("s3://"));
        *out = value_string(plain ? x->text : x->uri);
        return out->text.n > 0 ? true
                               : fails(c, "type-mismatch", 0, "wants an input with an s3:// URI");
    }
    struct value *items = ARENA_ARRAY(c->work->arena, struct value, x->count);
    for (uint32_t i = 0; i < x->count; i++) {
        if (!uri_of(c, &x->items[i], &items[i])) {
            return false;
        }
    }
    *out = (struct value){.kind = VALUE_LIST, .count = x->count, .items = items, .depth = x->depth};
    return true;
}

static bool apply_uri(struct at_work *c, struct value *out)
{
    return uri_of(c, c->args[0], out);
}

/* ---- lists ---- */

static bool apply_len(struct at_work *c, struct value *out)
{
    const struct value *x = c->args[0];
    int64_t n = x->count;
    for (size_t i = 0; x->kind == VALUE_STRING && i < x->text.n; i++) {
        n += ((unsigned char)x->text.s[i] & 0xc0u) != 0x80; /* characters, not bytes of UTF-8 */
    }
    *out = value_int(n);
    return true;
}

static bool apply_contains(struct at_work *c, struct value *out)
{
    const struct value *holder = c->args[0], *x = c->args[1];
    bool found = false;
    if (holder->kind == VALUE_STRING) {
        if (x->kind != VALUE_STRING) {
            return fails(c, "type-mismatch", 1, "looks for a string in a string");
        }
        found = str_find(holder->text, x->text) >= 0;
    }
    for (uint32_t i = 0; holder->kind == VALUE_LIST && i < holder->count && !found; i++) {
        found = value_eq(&holder->items[i], x);
    }
    *out = value_bool(found);
    return true;
}

static bool apply_range(struct at_work *c, struct value *out)
{
    int64_t from = c->count > 1 ? c->args[0]->integer : 0;
    int64_t to = c->args[c->count > 1 ? 1 : 0]->integer;
    int64_t step = c->count > 2 ? c->args[2]->integer : 1;
    if (step == 0) {
        return fails(c, "wrong-arguments", 2, "cannot go by steps of 0");
    }
    uint64_t gap = 0, stride = step > 0 ? (uint64_t)step : -(uint64_t)step;
    if (step > 0 && to > from) {
        gap = (uint64_t)to - (uint64_t)from;
    } else if (step < 0 && to < from) {
        gap = (uint64_t)from - (uint64_t)to;
    }
    uint64_t count = gap / stride + (gap % stride != 0);
    if (count > VALUE_ITEM_LIMIT) {
        diag_error(c->diags, "too-large", c->call->at, "range() would give more than %d items",
                   VALUE_ITEM_LIMIT);
        return false;
    }
    struct value *items = ARENA_ARRAY(c->work->arena, struct value, count);
    for (uint64_t i = 0; i < count; i++) {
        items[i] = value_int((int64_t)((uint64_t)from + i * (uint64_t)step));
    }
    *out = (struct value){.kind = VALUE_LIST, .count = (uint32_t)count, .items = items, .depth = 1};
    return true;
}

static uint32_t clamp(int64_t at, uint32_t count)
{
    at = at < 0 ? (at < -(int64_t)count ? 0 : at + (int64_t)count) : at;
    return at > (int64_t)count ? count : (uint32_t)at;
}

static bool apply_slice(struct at_work *c, struct value *out)
{
    const struct value *list = c->args[0];
    uint32_t from = clamp(c->args[1]->integer, list->count);
    uint32_t to = c->count > 2 ? clamp(c->args[2]->integer, list->count) : list->count;
    *out = *list;
    out->items = list->items + (list->count > 0 ? from : 0);
    out->count = to > from ? to - from : 0;
    for (uint32_t i = 1; i < c->count; i++) {
        value_add_refs_of(c->work->arena, out, c->args[i]);
    }
    return true;
}

/* ---- what lies outside ---- */

static bool apply_glob(struct at_work *c, struct value *out)
{
    const struct function_host *host = c->work->host;
    struct str pattern = value_print(c->work->arena, c->args[0]);
    if (c->args[0]->uri.n || str_starts(pattern, STR("s3://"))) {
        return fails(c, "wrong-arguments", 0,
                     "matches files alone: in S3 \"s3://bucket/prefix/\" is all below a prefix");
    }
    if (!host) {
        return fails(c, "late-value", 0, "looks at files before any step runs");
    }
    return host->glob(host->context, pattern, arg_span(c, 0), out, c->diags);
}

bool function_is_secret_name(struct str name)
{
    static const char *const words[] = {"KEY", "TOKEN", "SECRET", "PASSWORD"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]);
        for (size_t at = 0; at + n <= name.n; at++) {
            size_t same = 0;
            while (same < n && toupper((unsigned char)name.s[at + same]) == words[i][same]) {
                same++;
            }
            if (same == n) {
                return true;
            }
        }
    }
    return false;
}

static bool env_is_fit(struct at_work *c, struct str name)
{
    struct span at = arg_span(c, 0);
    if (name.n == 0 || str_has(name, '=') || memchr(name.s, 0, name.n)) {
        diag_error(c->diags, "wrong-arguments", at, "'%.*s' cannot be the name of a variable",
                   STR_ARG(name));
        return false;
    }
    if (function_is_secret_name(name)) {
        struct diag *e =
            diag_error(c->diags, "secret-name", at,
                       "'%.*s' looks like a secret and would be recorded", STR_ARG(name));
        diag_help(c->diags, e, "say `secret %.*s` in the step: then it is in no record or report",
                  STR_ARG(name));
        return false;
    }
    return true;
}

static bool apply_env(struct at_work *c, struct value *out)
{
    const struct function_host *host = c->work->host;
    struct str name = value_print(c->work->arena, c->args[0]), text = STR_NONE;
    if (!env_is_fit(c, name)) {
        return false;
    }
    if (!host) {
        return fails(c, "late-value", 0, "looks at the environment before any step runs");
    }
    bool set = false;
    if (!host->env(host->context, name, &set, &text)) {
        return false;
    }
    if (set) {
        *out = value_string(str_copy(c->work->arena, text));
        out->refs = c->args[0]->refs;
        return true;
    }
    if (c->count > 1) {
        *out = *c->args[1];
        return true;
    }
    struct diag *e = diag_error(c->diags, "unset-variable", arg_span(c, 0),
                                "the environment variable '%.*s' is not set", STR_ARG(name));
    diag_help(c->diags, e, "set it, or give a default: env(\"%.*s\", \"…\")", STR_ARG(name));
    return false;
}

/* Of a file whose text was looked into only the value counts. */
static void look_into(struct arena *a, struct value *v)
{
    if (!v->refs) {
        return;
    }
    struct value_ref *at =
        arena_copy(a, v->refs->at, v->refs->count * sizeof *at, _Alignof(struct value_ref));
    struct value_refs *refs = ARENA_NEW(a, struct value_refs);
    *refs = (struct value_refs){v->refs->count, at};
    for (uint32_t i = 0; i < refs->count; i++) {
        at[i].value_only = at[i].kind == VALUE_REF_OUTPUT;
    }
    v->refs = refs;
}

/* The call again, with its file marked as one that is only looked into. */
static bool call_later(struct at_work *c, const struct value *file, struct value *out)
{
    struct value_part parts[FUNCTION_ARGS];
    for (uint32_t i = 0; i < c->count; i++) {
        parts[i] = c->call->args.at[i];
    }
    parts[0].value = file;
    struct value_late late = {.kind = VALUE_LATE_CALL,
                              .text = c->call->name,
                              .parts = {parts, c->count},
                              .span = c->call->at};
    return value_late_make(c->work->arena, &late, out, c->diags);
}

/* false: an error, or *late. */
static bool text_of_file(struct at_work *c, struct str *text, struct value *out)
{
    const struct value_work *w = c->work;
    struct value file = *c->args[0];
    struct span at = arg_span(c, 0);
    if (file.text.n == 0 || memchr(file.text.s, 0, file.text.n)) {
        return fails(c, "wrong-arguments", 0, "wants the path of a file");
    }
    if (file.uri.n || str_starts(file.text, STR("s3://"))) {
        return fails(c, "wrong-arguments", 0, "looks into no object in S3: a step can");
    }
    if (w->reader) {
        struct str path = value_print(w->arena, &file);
        uint32_t before = c->diags->all.n;
        bool good = w->reader->read(w->reader->context, path, text, c->diags);
        if (!good && c->diags->all.n > before && c->diags->all.at[before].span.source == 0) {
            c->diags->all.at[before].span = at;
        }
        return good;
    }
    assert(w->host);
    bool late = false;
    if (!w->host->read(w->host->context, &file, at, text, &late, c->diags)) {
        return false;
    }
    look_into(w->arena, &file);
    out->refs = file.refs;
    if (late) {
        call_later(c, &file, out);
        return false;
    }
    return true;
}

static bool apply_read(struct at_work *c, struct value *out)
{
    struct str text = STR_NONE;
    if (!text_of_file(c, &text, out)) {
        return out->kind == VALUE_LATE;
    }
    if (text.n > VALUE_TEXT_LIMIT) {
        diag_error(c->diags, "too-large", arg_span(c, 0), "'%.*s' has more than %d bytes",
                   STR_ARG(c->args[0]->text), VALUE_TEXT_LIMIT);
        return false;
    }
    const struct value_refs *refs = out->refs;
    *out = value_string(str_copy(c->work->arena, text));
    out->refs = refs;
    return true;
}

/* Parsed without a place first: only for a text that is wrong is it worth being kept as a source. */
static const struct json *parsed(struct at_work *c, struct str text)
{
    struct arena *a = c->work->arena;
    struct diags quiet;
    diags_init(&quiet, a);
    const struct json *root = json_parse(a, text, 0, &quiet);
    if (root) {
        return root;
    }
    struct str path = value_print(c->diags->arena, c->args[0]);
    uint32_t source = diags_add_source(c->diags, path, str_copy(c->diags->arena, text));
    return json_parse(a, text, source, c->diags);
}

static const struct json *no_such_path(struct at_work *c, struct str path)
{
    struct str file = value_print(c->work->arena, c->args[0]);
    struct diag *e = diag_error(c->diags, "no-such-value", arg_span(c, 1),
                                "'%.*s' has no value '%.*s'", STR_ARG(file), STR_ARG(path));
    diag_help(c->diags, e, "a path is written as in \"a.b[0].c\"");
    return NULL;
}

static bool apply_json(struct at_work *c, struct value *out)
{
    struct str text = STR_NONE;
    if (!text_of_file(c, &text, out)) {
        return out->kind == VALUE_LATE;
    }
    const struct json *at = parsed(c, text);
    if (at && c->count > 1) {
        struct str path = c->args[1]->text;
        at = json_find(at, path);
        at = at ? at : no_such_path(c, path);
    }
    if (!at) {
        return false;
    }
    const struct value_refs *refs = out->refs;
    *out = value_from_json(c->work->arena, at);
    out->refs = refs;
    if (c->count > 1) {
        value_add_refs_of(c->work->arena, out, c->args[1]);
    }
    return true;
}

/* ---- marks ---- */

/* The mark on a value, or on each item of a list. */
static struct value mark_raw(struct arena *a, const struct value *x)
{
    struct value v = *x;
    v.raw = true;
    if (x->kind == VALUE_LIST) {
        struct value *items = ARENA_ARRAY(a, struct value, x->count);
        for (uint32_t i = 0; i < x->count; i++) {
            items[i] = mark_raw(a, &x->items[i]);
        }
        v.items = items;
    }
    return v;
}

static bool apply_raw(struct at_work *c, struct value *out)
{
    const struct value *x = c->args[0]->unquoted ? c->args[0]->unquoted : c->args[0];
    *out = mark_raw(c->work->arena, x);
    if (c->args[0]->unquoted) { /* raw(quote(x)): quoted once, and then put in as it is */
        *out = *c->args[0];
        out->unquoted = NULL;
        out->raw = true;
    }
    return true;
}

static bool apply_untracked(struct at_work *c, struct value *out)
{
    struct value *seen = ARENA_NEW(c->work->arena, struct value);
    *seen = value_string(STR("<untracked>"));
    *out = *c->args[0];
    out->untracked = true;
    out->tracked = seen;
    return true;
}

static void put_quoted(struct buf *b, const struct value *v)
{
    if (v->kind == VALUE_LIST) {
        for (uint32_t i = 0; i < v->count && !b->full; i++) {
            if (i > 0) {
                buf_put_char(b, ' ');
            }
            put_quoted(b, &v->items[i]);
        }
        return;
    }
    struct buf text;
    buf_init(&text, VALUE_TEXT_LIMIT);
    value_put(&text, v);
    str_put_shell_word(b, buf_str(&text));
    buf_free(&text);
}

static bool apply_quote(struct at_work *c, struct value *out)
{
    struct buf b;
    buf_init(&b, VALUE_TEXT_LIMIT);
    put_quoted(&b, c->args[0]);
    if (!give_text(c, &b, out)) {
        return false;
    }
    out->unquoted =
        arena_copy(c->work->arena, c->args[0], sizeof *c->args[0], _Alignof(struct value));
    return true;
}

/* ---- the table ---- */

static const struct function functions[] = {
    {"basename", "basename(path)", apply_basename, 1, 1, {WANT_TEXT}, false, false},
    {"contains", "contains(list, x)", apply_contains, 2, 2, {WANT_HOLDER, WANT_ANY}, false, false},
    {"dirname", "dirname(path)", apply_dirname, 1, 1, {WANT_TEXT}, false, false},
    {"env", "env(\"NAME\" [, default])", apply_env, 1, 2, {WANT_TEXT, WANT_ANY}, true, true},
    {"ext", "ext(path)", apply_ext, 1, 1, {WANT_TEXT}, false, false},
    {"glob", "glob(\"data/*.csv\")", apply_glob, 1, 1, {WANT_TEXT}, true, false},
    {"join", "join(list, separator)", apply_join, 2, 2, {WANT_LIST, WANT_TEXT}, false, false},
    {"json", "json(file [, \"a.b[0].c\"])", apply_json, 1, 2, {WANT_TEXT, WANT_TEXT}, false, true},
    {"len", "len(list)", apply_len, 1, 1, {WANT_HOLDER}, false, false},
    {"lower", "lower(text)", apply_lower, 1, 1, {WANT_TEXT}, false, false},
    {"quote", "quote(x)", apply_quote, 1, 1, {WANT_ANY}, false, false},
    {"range",
     "range(from, to [, step]) or range(to)",
     apply_range,
     1,
     3,
     {WANT_INT, WANT_INT, WANT_INT},
     false,
     false},
    {"raw", "raw(x)", apply_raw, 1, 1, {WANT_ANY}, false, true},
    {"read", "read(file)", apply_read, 1, 1, {WANT_TEXT}, false, true},
    {"replace",
     "replace(text, from, to)",
     apply_replace,
     3,
     3,
     {WANT_SCALAR, WANT_TEXT, WANT_SCALAR},
     false,
     false},
    {"slice",
     "slice(list, from [, to])",
     apply_slice,
     2,
     3,
     {WANT_LIST, WANT_INT, WANT_INT},
     false,
     true},
    {"stem", "stem(path)", apply_stem, 1, 1, {WANT_TEXT}, false, false},
    {"untracked", "untracked(x)", apply_untracked, 1, 1, {WANT_ANY}, false, true},
    {"upper", "upper(text)", apply_upper, 1, 1, {WANT_TEXT}, false, false},
    {"uri", "uri(input)", apply_uri, 1, 1, {WANT_HOLDER}, false, false},
};

enum { FUNCTION_COUNT = sizeof functions / sizeof functions[0] };

/* ---- calls ---- */

static const struct function *find(const struct function_call *call, struct diags *d)
{
    struct str near = STR_NONE;
    size_t best = 3;
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        struct str name = str_from(functions[i].name);
        if (str_eq(name, call->name)) {
            return &functions[i];
        }
        size_t far = str_distance(name, call->name, best);
        if (far < best) {
            best = far;
            near = name;
        }
    }
    struct diag *e = diag_error(d, "unknown-function", call->name_span,
                                "there is no function '%.*s'", STR_ARG(call->name));
    if (near.n > 0) {
        diag_help(d, e, "did you mean '%.*s'?", STR_ARG(near));
    }
    return NULL;
}

static bool fits(enum wanted want, const struct value *v)
{
    bool list = v->kind == VALUE_LIST;
    switch (want) {
    case WANT_ANY: return true;
    case WANT_TEXT: return v->kind == VALUE_STRING;
    case WANT_INT: return v->kind == VALUE_INT;
    case WANT_LIST: return list;
    case WANT_HOLDER: return list || v->kind == VALUE_STRING;
    case WANT_SCALAR: return !list && v->kind != VALUE_TREE;
    }
    return false;
}

static const char *wanted_name(enum wanted want)
{
    static const char *const names[] = {
        [WANT_ANY] = "a value", [WANT_TEXT] = "a string", [WANT_INT] = "an int",
        [WANT_LIST] = "a list", [WANT_HOLDER] = "a list", [WANT_SCALAR] = "a single value",
    };
    return names[want];
}

static bool check_args(struct at_work *c)
{
    uint32_t n = c->call->args.count;
    if (n < c->function->least || n > c->function->most) {
        struct diag *e = diag_error(
            c->diags, "wrong-arguments", c->call->at, "%s() takes %s%d argument%s, not %u",
            c->function->name,
            n > c->function->most                    ? "at most "
            : c->function->most > c->function->least ? "at least "
                                                     : "",
            n > c->function->most ? c->function->most : c->function->least,
            (n > c->function->most ? c->function->most : c->function->least) == 1 ? "" : "s", n);
        diag_help(c->diags, e, "write %s", c->function->signature);
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        const struct value *v = c->call->args.at[i].value;
        c->args[i] = v;
        enum wanted want = (enum wanted)c->function->wants[i];
        if (v->kind != VALUE_LATE && !fits(want, v)) {
            struct diag *e = diag_error(
                c->diags, "type-mismatch", arg_span(c, i), "%s() wants %s here, not %s",
                c->function->name, wanted_name(want), value_kind_name((enum value_kind)v->kind));
            diag_help(c->diags, e, "write %s", c->function->signature);
            return false;
        }
    }
    c->count = n;
    return true;
}

static bool any_late(const struct at_work *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->args[i]->kind == VALUE_LATE) {
            return true;
        }
    }
    return false;
}

static bool apply_late(struct at_work *c, struct value *out)
{
    if (c->function->early && c->args[0]->kind == VALUE_LATE) {
        struct diag *e = diag_error(c->diags, "late-value", arg_span(c, 0),
                                    "%s() must be known before any step runs", c->function->name);
        diag_help(c->diags, e, "a value from a step's output or a probe cannot be used here");
        return false;
    }
    if (c->function->early) {
        return c->function->apply(c, out);
    }
    struct value_late late = {.kind = VALUE_LATE_CALL,
                              .text = c->call->name,
                              .parts = c->call->args,
                              .span = c->call->at};
    if (!value_late_make(c->work->arena, &late, out, c->diags)) {
        return false;
    }
    out->untracked = out->untracked || c->function->apply == apply_untracked;
    return true;
}

/* How a result came about stands for it in the fingerprint, where an argument is untracked. */
static const struct value *call_tracked(const struct at_work *c)
{
    struct buf b;
    buf_init(&b, VALUE_TEXT_LIMIT);
    buf_printf(&b, "%s(", c->function->name);
    for (uint32_t i = 0; i < c->count; i++) {
        struct value seen = value_tracked(c->work->arena, c->args[i]);
        buf_put_str(&b, i > 0 ? STR(", ") : STR(""));
        value_put(&b, &seen);
    }
    buf_put_char(&b, ')');
    struct value *v = ARENA_NEW(c->work->arena, struct value);
    *v = value_string(str_copy(c->work->arena, buf_str(&b)));
    buf_free(&b);
    return v;
}

static void pass_on(const struct at_work *c, struct value *out)
{
    struct value merged = value_none();
    merged.refs = value_refs_of(c->work->arena, c->call->args);
    value_add_refs_of(c->work->arena, out, &merged);
    for (uint32_t i = 0; i < c->count; i++) {
        out->untracked = out->untracked || c->args[i]->untracked;
    }
    if (out->untracked && !out->tracked) {
        out->tracked = call_tracked(c);
    }
}

/* Of an input in S3 uri() gives no copy, and what is only about its name needs none. */
static void forget_copies(const struct at_work *c, struct value *out)
{
    const struct function *f = c->function;
    bool uri = f->apply == apply_uri;
    bool name = f->apply == apply_basename || f->apply == apply_stem || f->apply == apply_ext
                || f->apply == apply_len;
    if (!out->refs || !(uri || name)) {
        return;
    }
    struct value_refs *refs = ARENA_NEW(c->work->arena, struct value_refs);
    struct value_ref *at = ARENA_ARRAY(c->work->arena, struct value_ref, out->refs->count);
    for (uint32_t i = 0; i < out->refs->count; i++) {
        struct value_ref ref = out->refs->at[i];
        if (ref.kind == VALUE_REF_COPY && name) {
            continue;
        }
        ref.output = ref.kind == VALUE_REF_COPY ? 1 : ref.output;
        at[refs->count++] = ref;
    }
    refs->at = at;
    out->refs = refs->count ? refs : NULL;
}

bool function_apply(const struct value_work *w, const struct function_call *call, struct value *out,
                    struct diags *d)
{
    *out = value_none();
    struct at_work c = {.work = w, .call = call, .diags = d};
    c.function = find(call, d);
    if (!c.function || !check_args(&c)) {
        return false;
    }
    if (any_late(&c)) {
        return apply_late(&c, out);
    }
    if (!c.function->apply(&c, out)) {
        return false;
    }
    if (!c.function->passes) {
        pass_on(&c, out);
        forget_copies(&c, out);
    }
    return true;
}
