/* SPDX-License-Identifier: MIT */
/* JSON over jansson: its tree is copied into an arena and dropped. Invariant: no text nested deeper
 * than JSON_DEPTH_LIMIT reaches jansson or any tree, so every recursion over one is bounded. */
#include "core/base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* jansson's names for kinds are ours too: it gets others while it is read. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_STRING JANSSON_STRING
#define JSON_REAL JANSSON_REAL
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_STRING
#undef JSON_REAL
#undef JSON_NULL

struct reader {
    struct arena *arena;
    struct str rest; /* the text behind the last number that was met */
};

static struct span byte_span(uint32_t source, size_t begin, size_t n)
{
    return (struct span){source, (uint32_t)begin, (uint32_t)(begin + n)};
}

/* Length of the string literal at the front, with its quotes as far as they are there. */
static size_t literal_length(struct str x)
{
    size_t i = 1;
    while (i < x.n && x.s[i] != '"') {
        i += x.s[i] == '\\' ? 2 : 1;
    }
    return i < x.n ? i + 1 : x.n;
}

/* Offset of the bracket that opens one level too many, or -1. */
static ptrdiff_t too_deep(struct str text)
{
    int depth = 0;
    for (size_t i = 0; i < text.n; i++) {
        switch (text.s[i]) {
        case '"': i += literal_length(str_tail(text, i)) - 1; break;
        case '[':
        case '{':
            if (++depth > JSON_DEPTH_LIMIT) {
                return (ptrdiff_t)i;
            }
            break;
        case ']':
        case '}': depth--; break;
        default: break;
        }
    }
    return -1;
}

/* jansson forgets how a number was written; its order is the text's, so the next one is looked up. */
static struct str next_number(struct reader *r)
{
    while (r->rest.n && !str_has(STR("-0123456789"), *r->rest.s)) {
        r->rest = str_tail(r->rest, *r->rest.s == '"' ? literal_length(r->rest) : 1);
    }
    size_t n = 0;
    while (n < r->rest.n && str_has(STR("+-.0123456789eE"), r->rest.s[n])) {
        n++;
    }
    struct str number = str_sub(r->rest, 0, n);
    r->rest = str_tail(r->rest, n);
    return str_copy(r->arena, number);
}

static void fill(struct reader *r, json_t *from, struct json *to);

static void fill_items(struct reader *r, json_t *from, struct json *to)
{
    bool object = to->kind == JSON_OBJECT;
    size_t count = object ? json_object_size(from) : json_array_size(from);
    to->count = (uint32_t)count; /* a text within its limit cannot hold more */
    to->items = ARENA_ARRAY(r->arena, struct json, count);
    to->names = object ? ARENA_ARRAY(r->arena, struct str, count) : NULL;
    void *at = object ? json_object_iter(from) : NULL;
    for (uint32_t i = 0; i < to->count; i++) {
        if (object) {
            to->names[i] = str_copy(r->arena, str_from(json_object_iter_key(at)));
        }
        fill(r, object ? json_object_iter_value(at) : json_array_get(from, i), &to->items[i]);
        at = object ? json_object_iter_next(from, at) : NULL;
    }
}

static void fill(struct reader *r, json_t *from, struct json *to)
{
    switch (json_typeof(from)) {
    case JANSSON_NULL: to->kind = JSON_NULL; break;
    case JSON_TRUE:
    case JSON_FALSE:
        to->kind = JSON_BOOL;
        to->boolean = json_typeof(from) == JSON_TRUE;
        break;
    case JSON_INTEGER:
        to->kind = JSON_INT;
        to->integer = json_integer_value(from);
        to->text = next_number(r);
        break;
    case JANSSON_REAL:
        to->kind = JSON_REAL;
        to->real = json_real_value(from);
        to->text = next_number(r);
        break;
    case JANSSON_STRING:
        to->kind = JSON_STRING;
        to->text =
            str_copy(r->arena, (struct str){json_string_value(from), json_string_length(from)});
        break;
    case JSON_ARRAY:
    case JANSSON_OBJECT:
        to->kind = json_typeof(from) == JSON_ARRAY ? JSON_LIST : JSON_OBJECT;
        fill_items(r, from, to);
        break;
    }
}

/* jansson stops behind the token that it complains of, and quotes it. */
static size_t error_begin(const json_error_t *error)
{
    struct str text = str_from(error->text);
    ptrdiff_t near = str_find(text, STR(" near '"));
    size_t at = error->position > 0 ? (size_t)error->position : 0;
    if (near < 0) {
        return at;
    }
    size_t token = text.n - (size_t)near - sizeof " near ''" + 1;
    return token <= at ? at - token : 0;
}

static void report(struct diags *d, uint32_t source, size_t base, const json_error_t *error)
{
    if (json_error_code(error) == json_error_out_of_memory) {
        mem_exhausted(0);
    }
    size_t begin = error_begin(error);
    size_t end = error->position > 0 ? (size_t)error->position : 0;
    diag_error(d, "bad-json", byte_span(source, base + begin, end > begin ? end - begin : 0),
               "not valid JSON: %s", error->text);
}

const struct json *json_parse(struct arena *a, struct str text, uint32_t source, struct diags *d)
{
    size_t base = str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0; /* a byte order mark */
    struct str body = str_tail(text, base);
    if (body.n > JSON_TEXT_LIMIT) {
        diag_error(d, "bad-json", byte_span(source, 0, 0), "JSON of more than %d MiB",
                   JSON_TEXT_LIMIT >> 20);
        return NULL;
    }
    ptrdiff_t deep = too_deep(body);
    if (deep >= 0) {
        diag_error(d, "bad-json", byte_span(source, base + (size_t)deep, 1),
                   "JSON nested deeper than %d levels", JSON_DEPTH_LIMIT);
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb(body.n ? body.s : "", body.n,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!root) {
        report(d, source, base, &error);
        return NULL;
    }
    struct reader r = {.arena = a, .rest = body};
    struct json *out = ARENA_NEW(a, struct json);
    fill(&r, root, out);
    json_decref(root);
    return out;
}

/* Looking up. */

const struct json *json_member(const struct json *object, struct str name)
{
    if (!object || object->kind != JSON_OBJECT) {
        return NULL;
    }
    for (uint32_t i = 0; i < object->count; i++) {
        if (str_eq(object->names[i], name)) {
            return &object->items[i];
        }
    }
    return NULL;
}

/* The item that "0]" or "\"name\"]" at the front of *path means; *path is moved behind it. */
static const struct json *bracket_item(const struct json *at, struct str *path)
{
    if (str_starts(*path, STR("\""))) {
        size_t n = 1;
        while (n < path->n && path->s[n] != '"') {
            n++;
        }
        struct str name = str_sub(*path, 1, n - 1);
        bool closed = str_starts(str_tail(*path, n), STR("\"]"));
        *path = str_tail(*path, n + 2);
        return closed ? json_member(at, name) : NULL;
    }
    struct str digits;
    uint64_t index;
    if (!str_has(*path, ']') || !str_cut(path, ']', &digits) || !str_parse_u64(digits, &index)) {
        return NULL;
    }
    return at->kind == JSON_LIST && index < at->count ? &at->items[index] : NULL;
}

const struct json *json_find(const struct json *root, struct str path)
{
    const struct json *at = root;
    bool first = true;
    while (at && path.n) {
        if (*path.s == '[') {
            path = str_tail(path, 1);
            at = bracket_item(at, &path);
        } else {
            if (!first && *path.s != '.') {
                return NULL;
            }
            path = str_tail(path, !first);
            size_t n = 0;
            while (n < path.n && path.s[n] != '.' && path.s[n] != '[') {
                n++;
            }
            at = n ? json_member(at, str_sub(path, 0, n)) : NULL;
            path = str_tail(path, n);
        }
        first = false;
    }
    return at;
}

/* Writing. */

static int compare_names(const void *x, const void *y, void *names)
{
    const struct str *s = names;
    return str_cmp(s[*(const uint32_t *)x], s[*(const uint32_t *)y]);
}

static void put_object(struct buf *b, const struct json *value)
{
    uint32_t *order = mem_alloc(value->count * sizeof *order);
    for (uint32_t i = 0; i < value->count; i++) {
        order[i] = i;
    }
    if (value->count) {
        qsort_r(order, value->count, sizeof *order, compare_names, value->names);
    }
    buf_put_char(b, '{');
    for (uint32_t i = 0; i < value->count; i++) {
        if (i) {
            buf_put_char(b, ',');
        }
        str_put_json(b, value->names[order[i]]);
        buf_put_char(b, ':');
        json_put(b, &value->items[order[i]]);
    }
    buf_put_char(b, '}');
    mem_free(order);
}

/* YAML knows numbers that JSON does not; the names are those that Python reads. */
static void put_real(struct buf *b, double x)
{
    if (isnan(x)) {
        buf_put_str(b, STR("NaN"));
    } else if (isinf(x)) {
        buf_put_str(b, x > 0 ? STR("Infinity") : STR("-Infinity"));
    } else {
        str_put_double(b, x == 0 ? 0 : x); /* -0.0 and 0 are one value */
    }
}

void json_put(struct buf *b, const struct json *value)
{
    switch (value->kind) {
    case JSON_NULL: buf_put_str(b, STR("null")); break;
    case JSON_BOOL: buf_put_str(b, value->boolean ? STR("true") : STR("false")); break;
    case JSON_INT: buf_printf(b, "%lld", (long long)value->integer); break;
    case JSON_REAL: put_real(b, value->real); break;
    case JSON_STRING: str_put_json(b, value->text); break;
    case JSON_LIST:
        buf_put_char(b, '[');
        for (uint32_t i = 0; i < value->count; i++) {
            if (i) {
                buf_put_char(b, ',');
            }
            json_put(b, &value->items[i]);
        }
        buf_put_char(b, ']');
        break;
    case JSON_OBJECT: put_object(b, value); break;
    }
}
