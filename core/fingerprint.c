/* SPDX-License-Identifier: MIT */
/* Collects a step's parts and digests them. A constant step's declared half is made once, at evaluation, so
 * that asking again costs one SHA-256 over a few hundred bytes. What differs: fingerprint_reason.c. */
#include "core/fingerprint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum { VERSION = 1, STACK_BYTES = 4096, STACK_NAMES = 64, PLATFORM_BYTES = 144 };
#define DECLARED_LIMIT ((size_t)1 << 32)

static bool digest_is_zero(const struct digest *x)
{
    static const struct digest zero;
    return digest_eq(x, &zero);
}

/* ---- the order of things that are declared in any order ---- */

enum names_kind { NAMES_INPUT, NAMES_OUTPUT, NAMES_PROBE, NAMES_TOOL };

struct names {
    const struct graph *g;
    enum names_kind kind;
    struct grange range;
    uint32_t *order; /* numbers within the range, by name, each name once */
    uint32_t n;
    uint32_t few[STACK_NAMES];
};

static struct str name_at(const struct names *names, uint32_t i)
{
    const struct graph *g = names->g;
    uint32_t at = names->range.first + i;
    switch (names->kind) {
    case NAMES_INPUT: return graph_path(g, g->inputs[at].file);
    case NAMES_OUTPUT: return graph_path(g, g->outputs[at].file);
    case NAMES_PROBE: return graph_text(g, g->probes[g->numbers[at]].name);
    case NAMES_TOOL: return graph_text(g, g->texts[at]);
    }
    return STR_NONE;
}

static int compare_names(const void *x, const void *y, void *context)
{
    uint32_t a = *(const uint32_t *)x;
    uint32_t b = *(const uint32_t *)y;
    int c = str_cmp(name_at(context, a), name_at(context, b));
    return c ? c : (a > b) - (a < b);
}

static void drop_doubles(struct names *names)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < names->n; i++) {
        uint32_t at = names->order[i];
        if (n == 0 || !str_eq(name_at(names, at), name_at(names, names->order[n - 1]))) {
            names->order[n++] = at;
        }
    }
    names->n = n;
}

static void names_init(struct names *names, const struct graph *g, enum names_kind kind,
                       struct grange range)
{
    names->g = g;
    names->kind = kind;
    names->range = range;
    names->n = range.n;
    names->order = range.n <= STACK_NAMES ? names->few : mem_alloc(range.n * sizeof(uint32_t));
    bool sorted = true;
    for (uint32_t i = 0; i < range.n; i++) {
        names->order[i] = i;
        sorted = sorted && (i == 0 || str_cmp(name_at(names, i - 1), name_at(names, i)) < 0);
    }
    if (!sorted) {
        qsort_r(names->order, names->n, sizeof *names->order, compare_names, names);
        drop_doubles(names);
    }
}

static void names_free(struct names *names)
{
    if (names->order != names->few) {
        mem_free(names->order);
    }
    names->order = names->few;
}

/* ---- the list ---- */

struct collector {
    const struct graph *g;
    const struct graph_step *step;
    const struct fingerprint_values *v;
    struct arena *arena;
    struct part_list *out;
};

static struct part *add(struct collector *c, const char *word, struct str name, struct str value)
{
    struct part_list *out = c->out;
    if (out->n == out->cap) {
        out->at = arena_grow(c->arena, out->at, &out->cap, sizeof *out->at);
    }
    struct part *part = &out->at[out->n++];
    struct str label = str_from(word);
    if (name.s) {
        label = str_join3(c->arena, label, STR(" "), name);
    }
    *part = (struct part){.label = label, .value = value};
    return part;
}

static struct str decimal(struct arena *a, uint32_t n)
{
    return str_printf(a, "%u", (unsigned)n);
}

static struct str command_kind_name(uint32_t kind)
{
    switch ((enum graph_command)kind) {
    case GRAPH_COMMAND_SHELL: return STR("shell");
    case GRAPH_COMMAND_SCRIPT: return STR("script");
    case GRAPH_COMMAND_ARGV: return STR("program");
    case GRAPH_COMMAND_FAIL: return STR("fail");
    case GRAPH_COMMAND_MAKE: return STR("make");
    case GRAPH_COMMAND_PENDING: break;
    }
    return STR("pending");
}

/* A text that could be read as JSON of another type is written as JSON, so that "5" and 5 differ. */
static bool reads_as_json(struct str x)
{
    double number;
    if (x.n == 0) {
        return false;
    }
    return strchr("\"[{", x.s[0]) || str_parse_double(x, &number) || str_eq(x, STR("true"))
           || str_eq(x, STR("false")) || str_eq(x, STR("null"));
}

static struct str param_value(struct collector *c, const struct graph_named *param)
{
    struct str text = graph_text(c->g, param->value.bytes);
    if (!(param->flags & GRAPH_NAMED_TEXT) || !reads_as_json(text)) {
        return text;
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    str_put_json(&b, text);
    struct str json = str_copy(c->arena, buf_str(&b));
    buf_free(&b);
    return json;
}

static void add_params(struct collector *c)
{
    for (uint32_t i = 0; i < c->step->params.n; i++) {
        const struct graph_named *param = &c->g->named[c->step->params.first + i];
        struct part *part = add(c, "param", graph_text(c->g, param->name), param_value(c, param));
        part->info = param->flags & GRAPH_NAMED_INFO;
    }
}

/* An unset variable is no part: the command sees the same as if it had not been declared. */
static void add_env(struct collector *c)
{
    for (uint32_t i = 0; i < c->step->env.n; i++) {
        const struct graph_named *env = &c->g->named[c->step->env.first + i];
        if (!(env->flags & GRAPH_NAMED_UNSET)) {
            struct str value = c->v ? c->v->env[i] : graph_text(c->g, env->value.bytes);
            add(c, "env", graph_text(c->g, env->name), value)->secret = true;
        }
    }
}

static void add_resources(struct collector *c)
{
    const struct graph_step *st = c->step;
    if (st->instance.n) {
        add(c, "instance", STR_NONE, graph_text(c->g, st->instance));
    }
    if (st->instance_count) {
        add(c, "count", STR_NONE, decimal(c->arena, st->instance_count));
    }
    if (st->executor != GRAPH_NONE && c->g->executors[st->executor].image.n) {
        add(c, "image", STR_NONE, graph_text(c->g, c->g->executors[st->executor].image));
    }
}

static void add_outputs(struct collector *c)
{
    struct names names;
    names_init(&names, c->g, NAMES_OUTPUT, c->step->outputs);
    for (uint32_t i = 0; i < names.n; i++) {
        file_id file = c->g->outputs[c->step->outputs.first + names.order[i]].file;
        bool dir = graph_file(c->g, file)->flags & GRAPH_FILE_DIR;
        add(c, "output", graph_path(c->g, file), dir ? STR("dir") : STR("file"));
    }
    names_free(&names);
}

static struct str file_value(struct collector *c, const struct part_file *file)
{
    static const char *const words[] = {"absent", "blob", "list", "tree", "link"};
    if (file->kind == PART_S3) {
        return str_copy(c->arena, file->version);
    }
    if (file->kind == REF_NONE || file->kind > REF_LINK) {
        return str_from(words[0]);
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    buf_printf(&b, "%s ", words[file->kind]);
    digest_put_hex(&b, &file->digest);
    struct str value = str_copy(c->arena, buf_str(&b));
    buf_free(&b);
    return value;
}

/* The rest have a label in the declared half and a value in the other. */
static void add_content(struct collector *c)
{
    struct names names;
    names_init(&names, c->g, NAMES_PROBE, c->step->probes);
    for (uint32_t i = 0; i < names.n; i++) {
        struct str value = c->v ? c->v->probes[names.order[i]] : STR_NONE;
        add(c, "probe", name_at(&names, names.order[i]), value)->secret = true;
    }
    names_free(&names);
    names_init(&names, c->g, NAMES_TOOL, c->step->tools);
    for (uint32_t i = 0; i < names.n; i++) {
        struct str value = c->v ? file_value(c, &c->v->tools[names.order[i]]) : STR_NONE;
        add(c, "tool", name_at(&names, names.order[i]), value);
    }
    names_free(&names);
    names_init(&names, c->g, NAMES_INPUT, c->step->inputs);
    for (uint32_t i = 0; i < names.n; i++) {
        const struct graph_input *in = &c->g->inputs[c->step->inputs.first + names.order[i]];
        struct str value = c->v ? file_value(c, &c->v->inputs[names.order[i]]) : STR_NONE;
        add(c, in->kind == GRAPH_CODE ? "code" : "input", graph_path(c->g, in->file), value);
    }
    names_free(&names);
}

/* The declared parts; the number of them. */
static uint32_t add_declared(struct collector *c)
{
    const struct graph_step *st = c->step;
    struct str command = c->v ? c->v->command : graph_text(c->g, st->command_tracked.bytes);
    add(c, "command", STR_NONE, command);
    add(c, "run as", STR_NONE, command_kind_name(st->command_kind));
    add(c, "cwd", STR_NONE, graph_text(c->g, st->cwd));
    add_params(c);
    add_env(c);
    add_resources(c);
    add_outputs(c);
    return c->out->n;
}

/* The kernel's name in lower case and the machine's. */
static struct str ask_platform(char out[PLATFORM_BYTES])
{
    struct utsname name;
    if (uname(&name) != 0) {
        return STR("unknown");
    }
    struct str system = str_from(name.sysname);
    struct str machine = str_from(name.machine);
    size_t n = 0;
    for (size_t i = 0; i < system.n && n < PLATFORM_BYTES / 2; i++) {
        char c = system.s[i];
        out[n++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    out[n++] = '-';
    for (size_t i = 0; i < machine.n && n < PLATFORM_BYTES; i++) {
        out[n++] = machine.s[i];
    }
    return (struct str){out, n};
}

struct str fingerprint_platform(struct arena *a)
{
    char text[PLATFORM_BYTES];
    return str_copy(a, ask_platform(text));
}

/* Empty where the step says that it does not matter. */
static struct str platform_of(const struct graph_step *st, const struct fingerprint_values *v,
                              char out[PLATFORM_BYTES])
{
    if (st->flags & GRAPH_STEP_ANY_PLATFORM) {
        return STR_NONE;
    }
    return v->platform.n ? str_sub(v->platform, 0, PLATFORM_BYTES) : ask_platform(out);
}

void fingerprint_parts(const struct graph *g, step_id s, const struct fingerprint_values *v,
                       struct arena *a, struct part_list *out)
{
    *out = (struct part_list){0};
    struct collector c = {g, graph_step(g, s), v, a, out};
    add_declared(&c);
    char text[PLATFORM_BYTES];
    struct str platform = platform_of(c.step, v, text);
    if (platform.n) {
        add(&c, "platform", STR_NONE, str_copy(a, platform));
    }
    add_content(&c);
}

/* ---- the digests ---- */

/* v NULL: from the graph alone, where nothing is late. A code file counts as the input that it is. */
static struct digest declared_digest(const struct graph *g, const struct graph_step *st,
                                     const struct fingerprint_values *v)
{
    struct arena arena;
    arena_init(&arena);
    struct part_list list = {0};
    struct collector c = {g, st, v, &arena, &list};
    uint32_t declared = add_declared(&c);
    c.v = NULL; /* of the rest the labels alone */
    add_content(&c);
    struct buf b;
    buf_init(&b, DECLARED_LIMIT);
    buf_put(&b, "pawl declared", sizeof "pawl declared");
    buf_put_u8(&b, VERSION);
    for (uint32_t i = 0; i < list.n; i++) {
        const struct part *part = &list.at[i];
        if (part->info) {
            continue;
        }
        struct str label = part->label;
        if (i >= declared && str_starts(label, STR("code "))) {
            label = str_join3(&arena, STR("input "), str_tail(label, 5), STR_NONE);
        }
        buf_put_text(&b, label);
        if (i < declared) {
            buf_put_text(&b, part->value);
        }
    }
    assert(!b.full);
    struct digest digest = digest_of(b.s, b.n);
    buf_free(&b);
    arena_free(&arena);
    return digest;
}

static bool is_constant(const struct graph *g, const struct graph_step *st)
{
    if (st->command_kind == GRAPH_COMMAND_PENDING || st->command_tracked.late) {
        return false;
    }
    for (uint32_t i = 0; i < st->env.n; i++) {
        if (g->named[st->env.first + i].value.late) {
            return false;
        }
    }
    for (uint32_t i = 0; i < st->params.n; i++) {
        if (g->named[st->params.first + i].value.late) {
            return false;
        }
    }
    return true;
}

void fingerprint_fill_declared(struct graph *g)
{
    struct graph_step *steps = (struct graph_step *)(uintptr_t)g->steps; /* fresh: still ours */
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (is_constant(g, &steps[i])) {
            steps[i].declared = declared_digest(g, &steps[i], NULL);
        }
    }
}

/* Bytes to be digested: on the stack for all but the largest steps. */
struct writer {
    uint8_t *at;
    uint8_t *begin;
    uint8_t stack[STACK_BYTES];
};

static void write_bytes(struct writer *w, const void *bytes, size_t n)
{
    if (n) {
        memcpy(w->at, bytes, n);
        w->at += n;
    }
}

static void write_text(struct writer *w, struct str x)
{
    size_t n = x.n;
    while (n >= 0x80) {
        *w->at++ = (uint8_t)(n | 0x80);
        n >>= 7;
    }
    *w->at++ = (uint8_t)n;
    write_bytes(w, x.s, x.n);
}

static void write_file(struct writer *w, const struct part_file *file)
{
    static const struct digest zero;
    *w->at++ = file->kind;
    write_bytes(w, file->kind == REF_NONE ? zero.b : file->digest.b, sizeof zero.b);
}

static void write_content(struct writer *w, const struct graph *g, const struct graph_step *st,
                          const struct fingerprint_values *v)
{
    struct names names;
    names_init(&names, g, NAMES_PROBE, st->probes);
    for (uint32_t i = 0; i < names.n; i++) {
        write_text(w, v->probes[names.order[i]]);
    }
    names_free(&names);
    names_init(&names, g, NAMES_TOOL, st->tools);
    for (uint32_t i = 0; i < names.n; i++) {
        write_file(w, &v->tools[names.order[i]]);
    }
    names_free(&names);
    names_init(&names, g, NAMES_INPUT, st->inputs);
    for (uint32_t i = 0; i < names.n; i++) {
        write_file(w, &v->inputs[names.order[i]]);
    }
    names_free(&names);
}

static size_t room_needed(const struct graph_step *st, const struct fingerprint_values *v)
{
    enum { FILE_BYTES = 33, TEXT_BYTES = 10, FIXED_BYTES = 64 + PLATFORM_BYTES };
    size_t need = FIXED_BYTES + (size_t)FILE_BYTES * ((size_t)st->tools.n + st->inputs.n);
    for (uint32_t i = 0; i < st->probes.n; i++) {
        need += TEXT_BYTES + v->probes[i].n;
    }
    return need;
}

struct digest fingerprint_digest(const struct graph *g, step_id s,
                                 const struct fingerprint_values *v)
{
    const struct graph_step *st = graph_step(g, s);
    assert(st->command_kind != GRAPH_COMMAND_PENDING);
    struct digest declared = st->declared;
    if (digest_is_zero(&declared)) {
        declared = declared_digest(g, st, v);
    }
    struct writer w;
    size_t need = room_needed(st, v);
    w.begin = need <= sizeof w.stack ? w.stack : mem_alloc(need);
    w.at = w.begin;
    write_bytes(&w, "pawl fingerprint", sizeof "pawl fingerprint");
    *w.at++ = VERSION;
    write_bytes(&w, declared.b, sizeof declared.b);
    char platform[PLATFORM_BYTES];
    write_text(&w, platform_of(st, v, platform));
    write_content(&w, g, st, v);
    struct digest digest = digest_of(w.begin, (size_t)(w.at - w.begin));
    if (w.begin != w.stack) {
        mem_free(w.begin);
    }
    return digest;
}
