/* SPDX-License-Identifier: MIT */
/* Late values: made of whatever waits for a step, encoded for the graph, decoded with suspicion, and
 * evaluated by handing their parts, once known, to the very functions that would have taken them early. */
#include "core/function.h"
#include "core/graph.h"
#include "core/shell.h"
#include "core/value.h"

#include <assert.h>
#include <string.h>

static uint32_t depth_of(const struct value *v)
{
    if (v == NULL) {
        return 0;
    }
    return v->kind == VALUE_LATE ? v->late->depth : v->depth;
}

static bool too_deep(struct span at, struct diags *d)
{
    struct diag *e = diag_error(d, "too-large", at, "this value is nested too deeply");
    diag_help(d, e, "what waits for steps can have at most %d levels, 'let's included",
              VALUE_LATE_DEPTH);
    return false;
}

bool value_late_make(struct arena *a, const struct value_late *late, struct value *out,
                     struct diags *d)
{
    struct value_late *copy = arena_copy(a, late, sizeof *late, _Alignof(struct value_late));
    struct value_part *parts = ARENA_ARRAY(a, struct value_part, late->parts.count);
    struct value *values = ARENA_ARRAY(a, struct value, late->parts.count);
    *out = (struct value){.kind = VALUE_LATE, .late = copy};
    copy->depth = 1;
    for (uint32_t i = 0; i < late->parts.count; i++) {
        parts[i] = late->parts.at[i];
        if (parts[i].value) {
            values[i] = *parts[i].value;
            parts[i].value = &values[i];
            out->untracked = out->untracked || values[i].untracked;
        }
        uint32_t depth = depth_of(parts[i].value) + 1;
        copy->depth = depth > copy->depth ? depth : copy->depth;
    }
    copy->text = str_copy(a, late->text);
    copy->parts.at = parts;
    out->refs = value_refs_of(a, copy->parts);
    return copy->depth <= VALUE_LATE_DEPTH ? true : too_deep(late->span, d);
}

struct value value_probe(struct arena *a, uint32_t probe, struct str name)
{
    struct value_late *late = ARENA_NEW(a, struct value_late);
    *late = (struct value_late){
        .kind = VALUE_LATE_PROBE, .number = probe, .depth = 1, .text = str_copy(a, name)};
    struct value v = {.kind = VALUE_LATE, .late = late};
    value_add_ref(a, &v, (struct value_ref){.kind = VALUE_REF_PROBE, .number = probe});
    return v;
}

/* ---- encoding ----
 *
 *   late  := 1 value
 *   value := kind flags payload [text] [uri] [tracked value] [unquoted value]
 *   kind  := u8, flags := varint (FLAG_…)
 *   payload of BOOL: in the flags; INT, DURATION, SIZE: u64; REAL: u64, the bits; LIST: count value…;
 *           TREE: JSON text; LATE: node; STRING and NONE: nothing
 *   node  := kind op u8 tracked u8 number varint text span count part…
 *   part  := 0 text span | 1 value span
 *   span  := source + 1 varint (0: none) [begin varint end varint]
 */

enum {
    ENCODING_VERSION = 1,
    FLAG_TRUE = 1,
    FLAG_PATH = 2,
    FLAG_DIR = 4,
    FLAG_UNTRACKED = 8,
    FLAG_RAW = 16,
    FLAG_TEXT = 32,
    FLAG_URI = 64,
    FLAG_TRACKED = 128,
    FLAG_UNQUOTED = 256,
};

struct encoder {
    struct buf *out;
    struct value_sources sources;
};

static void put_value(struct encoder *e, const struct value *v);

static void put_span(struct encoder *e, struct span at)
{
    uint32_t source = at.source < e->sources.count ? e->sources.at[at.source] : GRAPH_NONE;
    if (at.source == 0 || source == GRAPH_NONE) {
        buf_put_varint(e->out, 0);
        return;
    }
    buf_put_varint(e->out, (uint64_t)source + 1);
    buf_put_varint(e->out, at.begin);
    buf_put_varint(e->out, at.end);
}

static void put_node(struct encoder *e, const struct value_late *late)
{
    buf_put_u8(e->out, late->kind);
    buf_put_u8(e->out, late->op);
    buf_put_u8(e->out, late->tracked);
    buf_put_varint(e->out, late->number);
    buf_put_text(e->out, late->text);
    put_span(e, late->span);
    buf_put_varint(e->out, late->parts.count);
    for (uint32_t i = 0; i < late->parts.count && !e->out->full; i++) {
        const struct value_part *part = &late->parts.at[i];
        buf_put_u8(e->out, part->value != NULL);
        if (part->value) {
            put_value(e, part->value);
        } else {
            buf_put_text(e->out, part->text);
        }
        put_span(e, part->span);
    }
}

static void put_tree(struct encoder *e, const struct json *tree)
{
    struct buf text;
    buf_init(&text, VALUE_LATE_LIMIT);
    json_put(&text, tree);
    e->out->full = e->out->full || text.full;
    buf_put_text(e->out, buf_str(&text));
    buf_free(&text);
}

static void put_payload(struct encoder *e, const struct value *v)
{
    uint64_t bits;
    switch ((enum value_kind)v->kind) {
    case VALUE_NONE:
    case VALUE_BOOL:
    case VALUE_STRING: break;
    case VALUE_INT:
    case VALUE_DURATION:
    case VALUE_SIZE: buf_put_u64(e->out, (uint64_t)v->integer); break;
    case VALUE_REAL:
        memcpy(&bits, &v->real, sizeof bits);
        buf_put_u64(e->out, bits);
        break;
    case VALUE_LIST:
        buf_put_varint(e->out, v->count);
        for (uint32_t i = 0; i < v->count && !e->out->full; i++) {
            put_value(e, &v->items[i]);
        }
        break;
    case VALUE_TREE: put_tree(e, v->tree); break;
    case VALUE_LATE: put_node(e, v->late); break;
    }
}

static uint64_t flags_of(const struct value *v)
{
    uint64_t flags = 0;
    flags |= v->boolean ? FLAG_TRUE : 0;
    flags |= v->is_path ? FLAG_PATH : 0;
    flags |= v->is_dir ? FLAG_DIR : 0;
    flags |= v->untracked ? FLAG_UNTRACKED : 0;
    flags |= v->raw ? FLAG_RAW : 0;
    flags |= v->text.n > 0 ? FLAG_TEXT : 0;
    flags |= v->uri.n > 0 ? FLAG_URI : 0;
    flags |= v->tracked ? FLAG_TRACKED : 0;
    flags |= v->unquoted ? FLAG_UNQUOTED : 0;
    return flags;
}

static void put_value(struct encoder *e, const struct value *v)
{
    if (e->out->full) { /* a value that shares its parts can be exponentially long: stop early */
        return;
    }
    buf_put_u8(e->out, v->kind);
    buf_put_varint(e->out, flags_of(v));
    put_payload(e, v);
    if (v->text.n > 0) {
        buf_put_text(e->out, v->text);
    }
    if (v->uri.n > 0) {
        buf_put_text(e->out, v->uri);
    }
    if (v->tracked) {
        put_value(e, v->tracked);
    }
    if (v->unquoted) {
        put_value(e, v->unquoted);
    }
}

bool value_late_encode(struct buf *b, const struct value *v, struct value_sources sources,
                       struct diags *d)
{
    struct buf own;
    buf_init(&own, VALUE_LATE_LIMIT);
    struct encoder e = {&own, sources};
    buf_put_u8(&own, ENCODING_VERSION);
    put_value(&e, v);
    if (own.full) {
        struct span at = v->kind == VALUE_LATE ? v->late->span : SPAN_NONE;
        struct diag *error = diag_error(d, "too-large", at, "this value is too long to be kept");
        diag_help(d, error, "what waits for steps can have at most %d bytes", VALUE_LATE_LIMIT);
    }
    bool good = !own.full;
    if (good) {
        buf_put(b, own.s, own.n);
    }
    buf_free(&own);
    return good;
}

/* ---- decoding ---- */

/* Added to the graph's numbers, so that they cannot be the diags'. */
enum { GRAPH_SOURCE = 0x40000000 };

struct decoder {
    struct arena *arena;
    struct rd in;
    uint32_t depth;
    size_t unclaimed; /* items that all counts together may still promise */
};

static bool get_value(struct decoder *r, struct value *v);

static struct span get_span(struct decoder *r)
{
    uint64_t source = rd_varint(&r->in);
    if (source == 0 || source >= GRAPH_SOURCE) {
        r->in.bad = r->in.bad || source != 0;
        return SPAN_NONE;
    }
    struct span at = {(uint32_t)source - 1 + GRAPH_SOURCE, 0, 0};
    at.begin = (uint32_t)rd_varint(&r->in);
    at.end = (uint32_t)rd_varint(&r->in);
    return at;
}

/* Each item takes a byte at least, so all counts together cannot pass the bytes that there are. */
static uint32_t get_count(struct decoder *r, size_t item_bytes, uint64_t limit)
{
    uint64_t n = rd_count(&r->in, item_bytes, limit);
    if (n > r->unclaimed) {
        r->in.bad = true;
        return 0;
    }
    r->unclaimed -= n;
    return (uint32_t)n;
}

static struct str get_text(struct decoder *r)
{
    return str_copy(r->arena, rd_text(&r->in, VALUE_LATE_LIMIT));
}

static bool get_parts(struct decoder *r, struct value_late *late)
{
    uint32_t count = get_count(r, 3, VALUE_LATE_LIMIT);
    struct value_part *parts = ARENA_ARRAY(r->arena, struct value_part, count);
    for (uint32_t i = 0; i < count && !r->in.bad; i++) {
        if (rd_u8(&r->in) == 0) {
            parts[i].text = get_text(r);
        } else {
            struct value *v = ARENA_NEW(r->arena, struct value);
            parts[i].value = v;
            if (!get_value(r, v)) {
                return false;
            }
            uint32_t depth = depth_of(v) + 1;
            late->depth = depth > late->depth ? depth : late->depth;
        }
        parts[i].span = get_span(r);
    }
    late->parts = (struct value_parts){parts, count};
    return !r->in.bad;
}

/* How many parts each kind has (0: any), and whether these may be text. */
static bool shape_is_right(const struct value_late *late)
{
    static const struct {
        uint8_t least, most;
        bool text;
    } shapes[] = {
        [VALUE_LATE_OPERATOR] = {1, 2, false}, [VALUE_LATE_CALL] = {0, 255, false},
        [VALUE_LATE_TEXT] = {0, 0, true},      [VALUE_LATE_SHELL] = {0, 0, true},
        [VALUE_LATE_ARGV] = {0, 0, true},      [VALUE_LATE_LIST] = {0, 0, false},
        [VALUE_LATE_CHOICE] = {3, 3, false},   [VALUE_LATE_MEMBER] = {1, 1, false},
        [VALUE_LATE_INDEX] = {2, 2, false},    [VALUE_LATE_PROBE] = {0, 255, false},
        [VALUE_LATE_NEED] = {1, 1, false},
    };
    if (late->kind >= sizeof shapes / sizeof shapes[0] || late->op > VALUE_MOD) {
        return false;
    }
    uint32_t n = late->parts.count;
    bool any = shapes[late->kind].most == 0;
    if (!any && (n < shapes[late->kind].least || n > shapes[late->kind].most)) {
        return false;
    }
    for (uint32_t i = 0; i < n && !shapes[late->kind].text; i++) {
        if (late->parts.at[i].value == NULL) {
            return false;
        }
    }
    bool one_side = late->op == VALUE_NOT || late->op == VALUE_NEG;
    bool needs_kind = late->kind != VALUE_LATE_NEED || late->number < VALUE_LATE;
    return needs_kind && (late->kind != VALUE_LATE_OPERATOR || n == (one_side ? 1u : 2u));
}

static bool get_node(struct decoder *r, struct value *v)
{
    struct value_late *late = ARENA_NEW(r->arena, struct value_late);
    late->kind = rd_u8(&r->in);
    late->op = rd_u8(&r->in);
    late->tracked = rd_u8(&r->in) != 0;
    late->number = (uint32_t)rd_varint(&r->in);
    late->depth = 1;
    late->text = get_text(r);
    late->span = get_span(r);
    v->late = late;
    return get_parts(r, late) && shape_is_right(late);
}

static bool get_list(struct decoder *r, struct value *v)
{
    v->count = get_count(r, 2, VALUE_ITEM_LIMIT);
    struct value *items = ARENA_ARRAY(r->arena, struct value, v->count);
    v->items = items;
    v->depth = 1;
    for (uint32_t i = 0; i < v->count; i++) {
        if (!get_value(r, &items[i]) || items[i].kind == VALUE_LATE) {
            return false;
        }
        if (items[i].depth >= v->depth) {
            v->depth = (uint16_t)(items[i].depth + 1);
        }
    }
    return true;
}

static bool get_tree(struct decoder *r, struct value *v)
{
    struct diags ignored;
    diags_init(&ignored, r->arena);
    struct str text = rd_text(&r->in, VALUE_LATE_LIMIT);
    v->tree = r->in.bad ? NULL : json_parse(r->arena, text, 0, &ignored);
    return v->tree && v->tree->kind == JSON_OBJECT;
}

static bool get_payload(struct decoder *r, struct value *v)
{
    uint64_t bits;
    switch (v->kind) {
    case VALUE_NONE:
    case VALUE_BOOL:
    case VALUE_STRING: return true;
    case VALUE_INT:
    case VALUE_DURATION:
    case VALUE_SIZE: v->integer = (int64_t)rd_u64(&r->in); return true;
    case VALUE_REAL:
        bits = rd_u64(&r->in);
        memcpy(&v->real, &bits, sizeof bits);
        return true;
    case VALUE_LIST: return get_list(r, v);
    case VALUE_TREE: return get_tree(r, v);
    case VALUE_LATE: return get_node(r, v);
    default: return false;
    }
}

static bool get_beside(struct decoder *r, const struct value **out)
{
    struct value *v = ARENA_NEW(r->arena, struct value);
    *out = v;
    return get_value(r, v) && v->kind != VALUE_LATE;
}

static bool get_fields(struct decoder *r, struct value *v)
{
    v->kind = rd_u8(&r->in);
    uint64_t flags = rd_varint(&r->in);
    v->boolean = (flags & FLAG_TRUE) != 0;
    v->is_path = (flags & FLAG_PATH) != 0;
    v->is_dir = (flags & FLAG_DIR) != 0;
    v->untracked = (flags & FLAG_UNTRACKED) != 0;
    v->raw = (flags & FLAG_RAW) != 0;
    if (r->in.bad || !get_payload(r, v)) {
        return false;
    }
    v->text = flags & FLAG_TEXT ? get_text(r) : STR("");
    v->uri = flags & FLAG_URI ? get_text(r) : STR_NONE;
    if ((flags & FLAG_TRACKED) != 0 && !get_beside(r, &v->tracked)) {
        return false;
    }
    return (flags & FLAG_UNQUOTED) == 0 || get_beside(r, &v->unquoted);
}

static bool get_value(struct decoder *r, struct value *v)
{
    if (r->depth > 2 * VALUE_LATE_DEPTH || r->in.bad) {
        return false;
    }
    r->depth++;
    bool good = get_fields(r, v);
    r->depth--;
    return good && !r->in.bad;
}

/* ---- evaluating ---- */

static bool force_parts(const struct value_work *w, const struct value_late *late,
                        struct value_part *parts, struct diags *d)
{
    struct value *values = ARENA_ARRAY(w->arena, struct value, late->parts.count);
    for (uint32_t i = 0; i < late->parts.count; i++) {
        parts[i] = late->parts.at[i];
        if (parts[i].value) {
            if (!value_late_force(w, parts[i].value, &values[i], d)) {
                return false;
            }
            parts[i].value = &values[i];
        }
    }
    return true;
}

/* Only the sides and branches that count are evaluated: the file of another need not be there. */
static bool force_operator(const struct value_work *w, const struct value_late *late,
                           struct value *out, struct diags *d)
{
    struct value left, right;
    struct value_operation o = {.op = (enum value_op)late->op, .at = late->span};
    o.left = late->parts.at[0];
    if (!value_late_force(w, o.left.value, &left, d)) {
        return false;
    }
    o.left.value = &left;
    bool decided = (o.op == VALUE_AND || o.op == VALUE_OR) && value_decides(o.op, &left);
    if (late->parts.count > 1 && !decided) {
        o.right = late->parts.at[1];
        if (!value_late_force(w, o.right.value, &right, d)) {
            return false;
        }
        o.right.value = &right;
    }
    return value_operate(w, &o, out, d);
}

static bool force_choice(const struct value_work *w, const struct value_late *late,
                         struct value *out, struct diags *d)
{
    struct value condition;
    struct value_part part = late->parts.at[0];
    if (!value_late_force(w, part.value, &condition, d)) {
        return false;
    }
    part.value = &condition;
    if (!value_need(w, &part, (struct value_want){VALUE_BOOL, STR("'if'")}, &condition, d)) {
        return false;
    }
    return value_late_force(w, late->parts.at[condition.boolean ? 1 : 2].value, out, d);
}

static bool force_probe(const struct value_work *w, const struct value_late *late,
                        struct value *out, struct diags *d)
{
    struct str text;
    if (!w->reader->probe(w->reader->context, late->number, &text, d)) {
        return false;
    }
    *out = value_string(str_copy(w->arena, text));
    return true;
}

static bool force_texts(const struct value_work *w, const struct value_late *late,
                        struct value_parts parts, struct value *out, struct diags *d)
{
    const struct value_style style = {.cwd = late->text, .tracked = late->tracked};
    if (late->kind == VALUE_LATE_TEXT) {
        return value_text(w, parts, &style, out, d);
    }
    if (late->kind == VALUE_LATE_ARGV) {
        return value_argv(w, parts, &style, out, d);
    }
    return shell_expand(w, parts, late->number == SHELL_BASH ? SHELL_BASH : SHELL_POSIX, &style,
                        out, d);
}

static bool force_known(const struct value_work *w, const struct value_late *late,
                        struct value_parts parts, struct value *out, struct diags *d)
{
    struct function_call call = {late->text, late->span, late->span, parts};
    struct value_want want = {(enum value_kind)late->number, late->text};
    switch ((enum value_late_kind)late->kind) {
    case VALUE_LATE_CALL: return function_apply(w, &call, out, d);
    case VALUE_LATE_LIST: return value_list(w, parts, late->span, out, d);
    case VALUE_LATE_MEMBER: return value_member(w, &parts.at[0], late->text, out, d);
    case VALUE_LATE_INDEX: return value_index(w, &parts.at[0], &parts.at[1], out, d);
    case VALUE_LATE_NEED: return value_need(w, &parts.at[0], want, out, d);
    case VALUE_LATE_TEXT:
    case VALUE_LATE_SHELL:
    case VALUE_LATE_ARGV: return force_texts(w, late, parts, out, d);
    case VALUE_LATE_OPERATOR:
    case VALUE_LATE_CHOICE:
    case VALUE_LATE_PROBE: break;
    }
    assert(false && "evaluated elsewhere");
    return false;
}

bool value_late_force(const struct value_work *w, const struct value *v, struct value *out,
                      struct diags *d)
{
    assert(w->reader);
    if (v->kind != VALUE_LATE) {
        *out = *v;
        return true;
    }
    const struct value_late *late = v->late;
    if (late->kind == VALUE_LATE_OPERATOR) {
        return force_operator(w, late, out, d);
    }
    if (late->kind == VALUE_LATE_CHOICE) {
        return force_choice(w, late, out, d);
    }
    if (late->kind == VALUE_LATE_PROBE) {
        return force_probe(w, late, out, d);
    }
    struct value_part *parts = ARENA_ARRAY(w->arena, struct value_part, late->parts.count);
    return force_parts(w, late, parts, d)
           && force_known(w, late, (struct value_parts){parts, late->parts.count}, out, d);
}

/* ---- diagnostics of an evaluation, in the caller's terms ---- */

struct telling {
    const struct value_reader *reader;
    const struct diags *from;
    struct diags *to;
};

static struct span told_span(const struct telling *t, struct span at)
{
    if (at.source >= GRAPH_SOURCE) {
        at.source -= GRAPH_SOURCE;
        return t->reader->place ? t->reader->place(t->reader->context, at, t->to) : SPAN_NONE;
    }
    const struct source *source = at.source ? diags_source(t->from, at.source) : NULL;
    if (!source) {
        return SPAN_NONE;
    }
    at.source = diags_add_source(t->to, str_copy(t->to->arena, source->path),
                                 str_copy(t->to->arena, source->text));
    return at;
}

static void tell(const struct telling *t, const struct diag *said)
{
    struct span at = told_span(t, said->span);
    struct diag *e = said->severity == DIAG_ERROR
                         ? diag_error(t->to, said->code, at, "%.*s", STR_ARG(said->message))
                         : diag_warning(t->to, said->code, at, "%.*s", STR_ARG(said->message));
    if (said->help.n > 0) {
        diag_help(t->to, e, "%.*s", STR_ARG(said->help));
    }
    for (uint32_t i = 0; i < said->notes.n; i++) {
        struct span note = told_span(t, said->notes.at[i].span);
        diag_note(t->to, e, note, "%.*s", STR_ARG(said->notes.at[i].text));
    }
}

bool value_late_evaluate(struct arena *a, struct str bytes, const struct value_reader *reader,
                         struct value *out, struct diags *d)
{
    *out = value_none();
    struct decoder r = {.arena = a, .in = rd_from(bytes.s, bytes.n), .unclaimed = bytes.n};
    struct value v = value_none();
    if (rd_u8(&r.in) != ENCODING_VERSION || !get_value(&r, &v) || rd_left(&r.in) > 0) {
        diag_error(d, "damaged", SPAN_NONE, "an expression in the compiled graph is damaged");
        return false;
    }
    struct diags said;
    diags_init(&said, a);
    const struct value_work w = {.arena = a, .reader = reader};
    bool good = value_late_force(&w, &v, out, &said);
    struct telling t = {reader, &said, d};
    for (uint32_t i = 0; i < said.all.n; i++) {
        tell(&t, &said.all.at[i]);
    }
    return good;
}
