/* SPDX-License-Identifier: MIT */
/* Values: making them, how they print, equality, and the refs that say what they were made from. Operators
 * are in value_operate.c, late values in value_late.c. */
#include "core/value.h"

#include "core/base/path.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- making values ---- */

struct value value_none(void)
{
    return (struct value){.kind = VALUE_NONE};
}

struct value value_bool(bool x)
{
    return (struct value){.kind = VALUE_BOOL, .boolean = x};
}

struct value value_int(int64_t x)
{
    return (struct value){.kind = VALUE_INT, .integer = x};
}

struct value value_real(double x)
{
    return (struct value){.kind = VALUE_REAL, .real = x};
}

struct value value_duration(int64_t ns)
{
    return (struct value){.kind = VALUE_DURATION, .integer = ns};
}

struct value value_size(int64_t bytes)
{
    return (struct value){.kind = VALUE_SIZE, .integer = bytes};
}

struct value value_string(struct str text)
{
    return (struct value){.kind = VALUE_STRING, .text = text};
}

struct value value_path(struct str path, bool is_dir)
{
    return (struct value){.kind = VALUE_STRING, .text = path, .is_path = true, .is_dir = is_dir};
}

static struct value list_from_json(struct arena *a, const struct json *j)
{
    struct value *items = ARENA_ARRAY(a, struct value, j->count);
    struct value v = {.kind = VALUE_LIST, .count = j->count, .items = items, .depth = 1};
    for (uint32_t i = 0; i < j->count; i++) {
        items[i] = value_from_json(a, &j->items[i]);
        if (items[i].depth >= v.depth) {
            v.depth = (uint16_t)(items[i].depth + 1);
        }
    }
    return v;
}

struct value value_from_json(struct arena *a, const struct json *j)
{
    struct value v = value_none();
    switch (j->kind) {
    case JSON_NULL: break;
    case JSON_BOOL: v = value_bool(j->boolean); break;
    case JSON_INT:
        v = value_int(j->integer);
        v.text = j->text;
        break;
    case JSON_REAL:
        v = value_real(j->real);
        v.text = j->text;
        break;
    case JSON_STRING: v = value_string(j->text); break;
    case JSON_LIST: v = list_from_json(a, j); break;
    case JSON_OBJECT: v = (struct value){.kind = VALUE_TREE, .tree = j}; break;
    }
    return v;
}

static bool bool_from_text(struct str text, struct value *out)
{
    bool yes = str_eq(text, STR("true"));
    *out = value_bool(yes);
    return yes || str_eq(text, STR("false"));
}

bool value_from_text(struct arena *a, enum value_kind kind, struct str text, struct value *out)
{
    *out = (struct value){.kind = (uint8_t)kind};
    switch (kind) {
    case VALUE_BOOL: return bool_from_text(text, out);
    case VALUE_INT: out->text = str_copy(a, text); return str_parse_i64(text, &out->integer);
    case VALUE_REAL: out->text = str_copy(a, text); return str_parse_double(text, &out->real);
    case VALUE_STRING: out->text = str_copy(a, text); return !str_has(text, 0);
    case VALUE_DURATION:
        if (str_parse_iso_duration(text, &out->integer)) {
            return true;
        }
        out->text = str_copy(a, text);
        return str_parse_duration(text, &out->integer);
    case VALUE_SIZE: out->text = str_copy(a, text); return str_parse_size(text, &out->integer);
    case VALUE_NONE:
    case VALUE_LIST:
    case VALUE_TREE:
    case VALUE_LATE: break;
    }
    return false;
}

const char *value_kind_example(enum value_kind kind)
{
    switch (kind) {
    case VALUE_BOOL: return "true or false";
    case VALUE_INT: return "a whole number, as in 5";
    case VALUE_REAL: return "a number, as in 0.05";
    case VALUE_STRING: return "a text";
    case VALUE_LIST: return "a list, as in [3, 5]";
    case VALUE_DURATION: return "a duration, as in 30m or PT30M";
    case VALUE_SIZE: return "a size, as in 512KB or 8GiB";
    case VALUE_NONE:
    case VALUE_TREE:
    case VALUE_LATE: break;
    }
    return "a value";
}

const char *value_kind_name(enum value_kind kind)
{
    static const char *const names[] = {
        [VALUE_NONE] = "null",
        [VALUE_BOOL] = "bool",
        [VALUE_INT] = "int",
        [VALUE_REAL] = "float",
        [VALUE_STRING] = "string",
        [VALUE_LIST] = "list",
        [VALUE_DURATION] = "duration",
        [VALUE_SIZE] = "size",
        [VALUE_TREE] = "mapping",
        [VALUE_LATE] = "value that is known only once steps have run",
    };
    return names[kind];
}

/* ---- printing ---- */

struct unit {
    int64_t size;
    const char *name;
};

static const struct unit time_units[] = {
    {86400000000000, "d"}, {3600000000000, "h"}, {60000000000, "m"},
    {1000000000, "s"},     {1000000, "ms"},
};

static const struct unit size_units[] = {
    {1, "B"},
    {1000, "KB"},
    {1000000, "MB"},
    {1000000000, "GB"},
    {1000000000000, "TB"},
    {INT64_C(1) << 10, "KiB"},
    {INT64_C(1) << 20, "MiB"},
    {INT64_C(1) << 30, "GiB"},
    {INT64_C(1) << 40, "TiB"},
};

static void put_duration(struct buf *b, int64_t ns)
{
    if (ns == 0) {
        buf_put_str(b, STR("0s"));
        return;
    }
    for (size_t i = 0; i < sizeof time_units / sizeof time_units[0]; i++) {
        if (ns % time_units[i].size == 0) {
            buf_printf(b, "%" PRId64 "%s", ns / time_units[i].size, time_units[i].name);
            return;
        }
    }
    uint64_t n = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
    uint64_t part = n % 1000000;
    int digits = 6;
    for (; part % 10 == 0; part /= 10) {
        digits--;
    }
    buf_printf(b, "%s%" PRIu64 ".%0*" PRIu64 "ms", ns < 0 ? "-" : "", n / 1000000, digits, part);
}

/* The unit, decimal or binary, that leaves the smallest whole number. */
static void put_size(struct buf *b, int64_t bytes)
{
    const struct unit *best = &size_units[0];
    for (size_t i = 1; bytes != 0 && i < sizeof size_units / sizeof size_units[0]; i++) {
        if (bytes % size_units[i].size == 0 && size_units[i].size > best->size) {
            best = &size_units[i];
        }
    }
    buf_printf(b, "%" PRId64 "%s", bytes / best->size, best->name);
}

static struct str shown_text(const struct value *v)
{
    struct str text = v->text;
    while (v->is_dir && text.n > 1 && text.s[text.n - 1] == '/') {
        text.n--;
    }
    return text;
}

static void put_path(struct buf *b, const struct value *v, struct str cwd)
{
    struct str path = shown_text(v);
    bool elsewhere = path.n == 0 || path.s[0] == '/' || str_find(path, STR("://")) >= 0;
    if (elsewhere || cwd.n == 0 || str_eq(cwd, STR("."))) {
        buf_put_str(b, path);
        return;
    }
    struct arena scratch;
    arena_init(&scratch);
    buf_put_str(b, path_relative(&scratch, cwd, path));
    arena_free(&scratch);
}

static void put_list(struct buf *b, const struct value *v, struct str cwd)
{
    for (uint32_t i = 0; i < v->count && !b->full; i++) {
        if (i > 0) {
            buf_put_char(b, ' ');
        }
        value_put_in(b, &v->items[i], cwd);
    }
}

void value_put_in(struct buf *b, const struct value *v, struct str cwd)
{
    bool number = v->kind == VALUE_INT || v->kind == VALUE_REAL || v->kind == VALUE_DURATION
                  || v->kind == VALUE_SIZE;
    if (number && v->text.n > 0) {
        buf_put_str(b, v->text);
        return;
    }
    switch ((enum value_kind)v->kind) {
    case VALUE_NONE: buf_put_str(b, STR("null")); break;
    case VALUE_BOOL: buf_put_str(b, v->boolean ? STR("true") : STR("false")); break;
    case VALUE_INT: buf_printf(b, "%" PRId64, v->integer); break;
    case VALUE_REAL: str_put_double(b, v->real); break;
    case VALUE_STRING:
        if (v->is_path) {
            put_path(b, v, cwd);
        } else {
            buf_put_str(b, shown_text(v));
        }
        break;
    case VALUE_LIST: put_list(b, v, cwd); break;
    case VALUE_DURATION: put_duration(b, v->integer); break;
    case VALUE_SIZE: put_size(b, v->integer); break;
    case VALUE_TREE: json_put(b, v->tree); break;
    case VALUE_LATE: assert(false && "a late value cannot be printed"); break;
    }
}

void value_put(struct buf *b, const struct value *v)
{
    value_put_in(b, v, STR_NONE);
}

struct str value_print(struct arena *a, const struct value *v)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    value_put(&b, v);
    struct str text = str_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

/* A float stays one for whoever reads the JSON. */
static void put_json_real(struct buf *b, double x)
{
    size_t from = b->n;
    str_put_double(b, x);
    struct str text = str_tail(buf_str(b), from);
    if (!str_has(text, '.') && !str_has(text, 'e')) {
        buf_put_str(b, STR(".0"));
    }
}

static void put_json_list(struct buf *b, const struct value *v)
{
    buf_put_char(b, '[');
    for (uint32_t i = 0; i < v->count && !b->full; i++) {
        if (i > 0) {
            buf_put_char(b, ',');
        }
        value_put_json(b, &v->items[i]);
    }
    buf_put_char(b, ']');
}

void value_put_json(struct buf *b, const struct value *v)
{
    struct buf text;
    switch ((enum value_kind)v->kind) {
    case VALUE_INT: buf_printf(b, "%" PRId64, v->integer); break;
    case VALUE_REAL: put_json_real(b, v->real); break;
    case VALUE_LIST: put_json_list(b, v); break;
    case VALUE_STRING: str_put_json(b, shown_text(v)); break;
    case VALUE_DURATION:
    case VALUE_SIZE:
        buf_init(&text, BUF_TEXT_LIMIT);
        value_put(&text, v);
        str_put_json(b, buf_str(&text));
        buf_free(&text);
        break;
    case VALUE_NONE:
    case VALUE_BOOL:
    case VALUE_TREE:
    case VALUE_LATE: value_put(b, v); break;
    }
}

struct value value_tracked(struct arena *a, const struct value *v)
{
    if (!v->untracked || v->kind == VALUE_LATE) {
        return *v;
    }
    if (v->tracked) {
        return *v->tracked;
    }
    if (v->kind != VALUE_LIST) {
        return *v;
    }
    struct value list = *v;
    struct value *items = ARENA_ARRAY(a, struct value, v->count);
    for (uint32_t i = 0; i < v->count; i++) {
        items[i] = value_tracked(a, &v->items[i]);
    }
    list.items = items;
    list.untracked = false;
    return list;
}

/* ---- equality ---- */

static bool is_number(const struct value *v)
{
    return v->kind == VALUE_INT || v->kind == VALUE_REAL;
}

static bool list_eq(const struct value *x, const struct value *y)
{
    bool same = x->count == y->count;
    for (uint32_t i = 0; same && i < x->count; i++) {
        same = value_eq(&x->items[i], &y->items[i]);
    }
    return same;
}

static bool tree_eq(const struct json *x, const struct json *y)
{
    struct buf texts[2];
    buf_init(&texts[0], JSON_TEXT_LIMIT);
    buf_init(&texts[1], JSON_TEXT_LIMIT);
    json_put(&texts[0], x);
    json_put(&texts[1], y);
    bool same = str_eq(buf_str(&texts[0]), buf_str(&texts[1]));
    buf_free(&texts[0]);
    buf_free(&texts[1]);
    return same;
}

static bool number_eq(const struct value *x, const struct value *y)
{
    if (x->kind == VALUE_INT && y->kind == VALUE_INT) {
        return x->integer == y->integer;
    }
    long double left = x->kind == VALUE_INT ? (long double)x->integer : (long double)x->real;
    long double right = y->kind == VALUE_INT ? (long double)y->integer : (long double)y->real;
    return left <= right && left >= right;
}

bool value_eq(const struct value *x, const struct value *y)
{
    if (is_number(x) && is_number(y)) {
        return number_eq(x, y);
    }
    if (x->kind != y->kind) {
        return false;
    }
    switch ((enum value_kind)x->kind) {
    case VALUE_NONE: return true;
    case VALUE_BOOL: return x->boolean == y->boolean;
    case VALUE_STRING: return str_eq(shown_text(x), shown_text(y));
    case VALUE_LIST: return list_eq(x, y);
    case VALUE_DURATION:
    case VALUE_SIZE: return x->integer == y->integer;
    case VALUE_TREE: return tree_eq(x->tree, y->tree);
    case VALUE_INT:
    case VALUE_REAL:
    case VALUE_LATE: break;
    }
    return false;
}

/* ---- refs ---- */

void value_each_ref(const struct value *v, void (*each)(void *context, const struct value_ref *ref),
                    void *context)
{
    for (uint32_t i = 0; v->refs && i < v->refs->count; i++) {
        each(context, &v->refs->at[i]);
    }
    for (uint32_t i = 0; v->kind == VALUE_LIST && i < v->count; i++) {
        value_each_ref(&v->items[i], each, context);
    }
}

struct gathering {
    struct arena *arena;
    VEC(struct value_ref) refs;
};

static void gather(void *context, const struct value_ref *ref)
{
    struct gathering *g = context;
    *VEC_PUSH(g->arena, &g->refs) = *ref;
}

static int ref_order(const void *left, const void *right)
{
    const struct value_ref *x = left, *y = right;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    if (x->number != y->number) {
        return x->number < y->number ? -1 : 1;
    }
    return x->output == y->output ? 0 : x->output < y->output ? -1 : 1;
}

static const struct value_refs *gathered(struct gathering *g)
{
    if (g->refs.n == 0) {
        return NULL;
    }
    struct value_ref *at = g->refs.at;
    qsort(at, g->refs.n, sizeof *at, ref_order);
    uint32_t n = 1;
    for (uint32_t i = 1; i < g->refs.n; i++) {
        if (ref_order(&at[n - 1], &at[i]) == 0) {
            at[n - 1].value_only = at[n - 1].value_only && at[i].value_only;
        } else {
            at[n++] = at[i];
        }
    }
    struct value_refs *refs = ARENA_NEW(g->arena, struct value_refs);
    *refs = (struct value_refs){n, at};
    return refs;
}

const struct value_refs *value_refs_of(struct arena *a, struct value_parts parts)
{
    const struct value_refs *only = NULL;
    bool shared = true; /* one set serves all: nothing to merge */
    for (uint32_t i = 0; i < parts.count && shared; i++) {
        const struct value *v = parts.at[i].value;
        if (v && v->kind == VALUE_LIST && v->count > 0) {
            shared = false;
        } else if (v && v->refs && v->refs != only) {
            shared = only == NULL;
            only = v->refs;
        }
    }
    if (shared) {
        return only;
    }
    struct gathering g = {.arena = a};
    for (uint32_t i = 0; i < parts.count; i++) {
        if (parts.at[i].value) {
            value_each_ref(parts.at[i].value, gather, &g);
        }
    }
    return gathered(&g);
}

void value_add_ref(struct arena *a, struct value *v, struct value_ref ref)
{
    struct gathering g = {.arena = a};
    for (uint32_t i = 0; v->refs && i < v->refs->count; i++) {
        gather(&g, &v->refs->at[i]);
    }
    gather(&g, &ref);
    v->refs = gathered(&g);
}

void value_add_refs_of(struct arena *a, struct value *v, const struct value *from)
{
    struct value own = {.kind = VALUE_NONE, .refs = v->refs}; /* a list's items keep their own */
    const struct value_part parts[2] = {{.value = &own}, {.value = from}};
    v->refs = value_refs_of(a, (struct value_parts){parts, 2});
}
