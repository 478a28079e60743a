/* SPDX-License-Identifier: MIT */
/* Which path is made by whom, and patterns that must not see what is made. Invariant: once outs_known is
 * set, each path has one maker, and no output lies below another. */
#include "core/base/file.h"
#include "core/eval_parts.h"

/* ---- files ---- */

uint32_t file_number(struct eval *e, struct str path, uint32_t flags)
{
    bool is_new;
    uint32_t i = table_add(&e->paths, path, &is_new);
    if (is_new) {
        struct graph_file *f = VEC_PUSH(e->arena, &e->g.files);
        *f = (struct graph_file){.producer = GRAPH_NONE, .inside = GRAPH_NONE, .flags = flags};
        f->path = graph_draft_text(&e->g, path);
    }
    e->g.files.at[i].flags |= flags;
    return i;
}

/* The next folder above; false at the top. */
static bool go_up(struct str *path)
{
    ptrdiff_t slash = str_rfind_char(*path, '/');
    if (slash <= 0) {
        return false;
    }
    *path = str_sub(*path, 0, (size_t)slash);
    return true;
}

uint32_t path_producer(struct eval *e, struct str path, uint32_t *inside)
{
    *inside = GRAPH_NONE;
    uint32_t i = table_find(&e->paths, path);
    if (i != TABLE_NONE && e->g.files.at[i].producer != GRAPH_NONE
        && e->g.files.at[i].inside == GRAPH_NONE) {
        return e->g.files.at[i].producer;
    }
    while (e->dir_outputs && go_up(&path)) {
        i = table_find(&e->paths, path);
        if (i != TABLE_NONE && e->g.files.at[i].flags & GRAPH_FILE_DIR) {
            *inside = i;
            return e->g.files.at[i].producer;
        }
    }
    return GRAPH_NONE;
}

/* ---- outputs ---- */

static struct str step_name(const struct eval *e, uint32_t instance)
{
    return e->instances.at[instance]->step->def->name;
}

/* The Pipelinefile, or another file that was read, would be made. */
static bool is_source(struct eval *e, struct str path, bool is_dir, struct str *source)
{
    const struct table *tables[] = {&e->unit_paths, &e->library->trees};
    for (int t = 0; t < 2; t++) {
        uint32_t i = table_find(tables[t], path);
        if (i != TABLE_NONE) {
            *source = tables[t]->keys[i];
            return true;
        }
        for (i = 0; is_dir && i < tables[t]->count; i++) {
            if (path_is_below(tables[t]->keys[i], path)) {
                *source = tables[t]->keys[i];
                return true;
            }
        }
    }
    return false;
}

bool output_is_allowed(struct eval *e, const char *what, const struct value *v, struct span at)
{
    struct str p = v->text;
    struct diag *x;
    if (v->uri.n) {
        x = diag_error(e->d, "s3-output", at, "'%.*s' cannot be %s %s", STR_ARG(v->uri),
                       *what == 'o' ? "an" : "a", what);
        diag_help(e->d, x,
                  "the remote cache keeps outputs; publishing is a step that uploads and leaves a "
                  "receipt as its output");
        return false;
    }
    if (str_starts(p, STR("/")) || str_eq(p, STR("..")) || str_starts(p, STR("../"))) {
        x = diag_error(e->d, "outside-workspace", at, "%s '%.*s' is not within the workspace", what,
                       STR_ARG(p));
        diag_help(e->d, x, "%ss are relative to the workspace's root", what);
        return false;
    }
    if (str_eq(p, STR(".")) || str_eq(p, STR(".pawl")) || str_starts(p, STR(".pawl/"))) {
        diag_error(e->d, "reserved-path", at, "'%.*s' cannot be %s %s: it is %s", STR_ARG(p),
                   *what == 'o' ? "an" : "a", what,
                   p.n == 1 ? "the workspace itself" : "pawl's own folder");
        return false;
    }
    struct str source;
    if (is_source(e, p, v->is_dir, &source)) {
        x = diag_error(e->d, "overwrites-source", at,
                       "%s '%.*s' would overwrite '%.*s', which the pipeline is read from", what,
                       STR_ARG(p), STR_ARG(source));
        diag_help(e->d, x, "give it another path");
        return false;
    }
    return true;
}

static void say_two(struct eval *e, struct str path, uint32_t first, uint32_t second,
                    struct span at)
{
    const struct instance *x = e->instances.at[first], *y = e->instances.at[second];
    struct diag *d;
    if (x->step == y->step) {
        struct str name = instance_name(e, x);
        d = diag_error(e->d, "two-producers", at,
                       "'%.*s' is the output of two instances of step '%.*s'", STR_ARG(path),
                       STR_ARG(x->step->def->name));
        if (first == second) {
            d->message = str_printf(e->d->arena, "'%.*s' is an output of step '%.*s' twice",
                                    STR_ARG(path), STR_ARG(x->step->def->name));
            return;
        }
        diag_note(e->d, d, SPAN_NONE, "one of them is '%.*s'", STR_ARG(name));
        diag_help(e->d, d, "put the 'for' variables in the path, as in \"…-{{%.*s}}\"",
                  STR_ARG(x->step->variables.at[0].text));
        return;
    }
    d = diag_error(e->d, "two-producers", at, "'%.*s' is made by two steps, '%.*s' and '%.*s'",
                   STR_ARG(path), STR_ARG(x->step->def->name), STR_ARG(y->step->def->name));
    diag_note(e->d, d, x->step->def->span, "'%.*s' makes it too", STR_ARG(x->step->def->name));
    diag_help(e->d, d, "give one of them another path");
}

static bool add_output(struct eval *e, struct instance *i, const struct own *own,
                       const struct value *v)
{
    struct span at = own->binding->value->span;
    if (v->kind == VALUE_LIST) {
        for (uint32_t k = 0; k < v->count; k++) {
            if (!add_output(e, i, own, &v->items[k])) {
                return false;
            }
        }
        return true;
    }
    if (!output_is_allowed(e, "output", v, at)) {
        return false;
    }
    uint32_t number = file_number(e, v->text, v->is_dir ? GRAPH_FILE_DIR : 0);
    struct graph_file *f = &e->g.files.at[number];
    if (f->producer != GRAPH_NONE) {
        say_two(e, v->text, f->producer, i->number, at);
        if (e->instances.at[f->producer]->step == i->step) {
            return false;
        }
    } else {
        f->producer = i->number;
    }
    e->dir_outputs += v->is_dir;
    struct graph_output *o = VEC_PUSH(e->arena, &e->g.outputs);
    *o = (struct graph_output){.file = {number}, .span = scope_gspan(e, at)};
    o->name = graph_draft_text(&e->g, own->name);
    i->output_count++;
    return true;
}

static bool outs_of_instance(struct eval *e, struct instance *i)
{
    struct step_def *step = i->step;
    i->first_output = e->g.outputs.n;
    for (uint32_t k = 0; k < step->owns.n; k++) {
        const struct own *own = &step->owns.at[k];
        if (own->kind != OWN_OUT || own->same != GRAPH_NONE) {
            continue;
        }
        struct value v;
        if (!out_value(e, i, own->out, &v)) {
            if (!e->pending) {
                return false;
            }
            e->pending = false;
            e->pending_on.n = 0;
            continue;
        }
        struct out_value *x = &i->outs[own->out];
        x->first = e->g.outputs.n;
        if (!add_output(e, i, own, &v)) {
            return false;
        }
        x->n = e->g.outputs.n - x->first;
    }
    return true;
}

/* An output below another one, of the same step or another. */
static void check_nested(struct eval *e)
{
    bool good = true;
    for (uint32_t i = 0; i < e->g.outputs.n && good; i++) {
        uint32_t number = e->g.outputs.at[i].file.i;
        struct str path = e->paths.keys[number], above = path;
        while (good && go_up(&above)) {
            uint32_t k = table_find(&e->paths, above);
            if (k == TABLE_NONE || e->g.files.at[k].producer == GRAPH_NONE) {
                continue;
            }
            uint32_t inner = e->g.files.at[number].producer, outer = e->g.files.at[k].producer;
            struct gspan at = e->g.outputs.at[i].span;
            uint32_t source = 0;
            while (source < e->source_map_count && e->source_map[source] != at.source) {
                source++;
            }
            struct diag *x =
                diag_error(e->d, "nested-output", (struct span){source, at.begin, at.end},
                           "output '%.*s' lies below output '%.*s' of step '%.*s'", STR_ARG(path),
                           STR_ARG(above), STR_ARG(step_name(e, outer)));
            diag_help(e->d, x,
                      inner == outer
                          ? "declare the folder alone, or the files in it one by one"
                          : "an output folder is kept as one tree: give this one another place");
            good = false;
        }
    }
}

bool outs_evaluate(struct eval *e)
{
    uint32_t errors = e->d->errors;
    bool all = true;
    for (uint32_t k = 0; k < e->steps.n; k++) {
        struct step_def *step = e->steps.at[k];
        if (step->state != LAZY_DONE || !item_flatten(e, step)) {
            all = false;
            continue;
        }
        for (uint32_t i = 0; i < step->count && !step->failed; i++) {
            step->failed = !outs_of_instance(e, e->instances.at[step->numbers[i]]);
        }
        all &= !step->failed;
    }
    if (errors == e->d->errors) {
        check_nested(e);
    }
    for (uint32_t i = 0; i < e->g.outputs.n; i++) {
        origins_add_parents(&e->parents, e->paths.keys[e->g.outputs.at[i].file.i]);
    }
    e->outs_known = true;
    return all;
}

/* ---- patterns ---- */

static bool was_output(const struct eval *e, struct str path)
{
    do {
        if (table_find(&e->excluded, path) != TABLE_NONE) {
            return true;
        }
    } while (go_up(&path));
    return false;
}

static bool is_output(void *context, struct str path)
{
    uint32_t inside;
    return path_producer(context, path, &inside) != GRAPH_NONE;
}

static bool was_output_in(void *context, struct str path)
{
    return was_output(context, path);
}

static bool is_hidden_by(struct eval *e, struct str path, bool now)
{
    struct made_by by = {now ? is_output : was_output_in, e};
    const struct table *parents = now ? &e->parents : &e->excluded_parents;
    return by.is_made(e, path)
           || (table_find(parents, path) != TABLE_NONE
               && origins_holds_only_made(e->o->root, path, &by));
}

static bool is_hidden(struct eval *e, struct str path)
{
    return is_hidden_by(e, path, e->outs_known);
}

static bool has_wildcard(struct str part)
{
    return str_has(part, '*') || str_has(part, '?') || str_has(part, '[');
}

/* The folder that all matches lie below or in. */
static struct str literal_prefix(struct str pattern)
{
    struct str rest = pattern, part;
    size_t n = 0;
    for (;;) {
        size_t before = rest.n;
        bool more = str_cut(&rest, '/', &part);
        if (!more || !rest.n || has_wildcard(part)) {
            return str_sub(pattern, 0, n ? n - 1 : 0);
        }
        n += before - rest.n;
    }
}

static bool check_pattern(struct eval *e, const struct glob_result *r)
{
    struct str folder = literal_prefix(r->pattern);
    if (!folder.n) {
        return true;
    }
    do {
        uint32_t i = table_find(&e->paths, folder);
        if (i == TABLE_NONE || !(e->g.files.at[i].flags & GRAPH_FILE_DIR)
            || e->g.files.at[i].producer == GRAPH_NONE) {
            continue;
        }
        struct str step = step_name(e, e->g.files.at[i].producer), name = STR("NAME");
        for (uint32_t k = 0; k < e->g.outputs.n; k++) {
            if (e->g.outputs.at[k].file.i == i && e->g.outputs.at[k].name.n) {
                struct gtext t = e->g.outputs.at[k].name;
                name = str_copy(e->arena, (struct str){e->g.pool.s + t.at, t.n});
            }
        }
        struct diag *x = diag_error(e->d, "glob-output", r->span,
                                    "pattern '%.*s' lies below '%.*s', an output of step '%.*s'",
                                    STR_ARG(r->pattern), STR_ARG(folder), STR_ARG(step));
        diag_help(e->d, x, "patterns never see outputs: name the output itself, '%.*s.%.*s'",
                  STR_ARG(step), STR_ARG(name));
        return false;
    } while (go_up(&folder));
    return true;
}

static bool normal_pattern(const struct scope *s, struct str pattern, struct span at,
                           struct str *out)
{
    bool folder = str_ends(pattern, STR("/"));
    if (!pattern.n || !path_normalise(s->e->arena, pattern, out)) {
        struct diag *x = diag_error(s->e->d, "bad-pattern", at,
                                    "pattern '%.*s' is not within the workspace", STR_ARG(pattern));
        diag_help(s->e->d, x, "patterns are relative to the workspace's root");
        return false;
    }
    if (folder) {
        *out = str_join3(s->e->arena, *out, STR("/"), STR(""));
    }
    return true;
}

static struct glob_result *find_glob(const struct scope *s, struct str pattern, struct span at)
{
    struct eval *e = s->e;
    bool is_new;
    uint32_t i = table_add(&e->globs, pattern, &is_new);
    if (!is_new) {
        return &e->glob_results.at[i];
    }
    struct glob_result *r = VEC_PUSH(e->arena, &e->glob_results);
    *r = (struct glob_result){.pattern = e->globs.keys[i], .span = at, .early = !e->outs_known};
    const char *reason = "";
    r->bad = !file_glob(e->arena, e->o->root, pattern, &r->paths, &r->count, &reason);
    if (r->bad) {
        diag_error(e->d, "bad-pattern", at, "pattern '%.*s' cannot be read: %s", STR_ARG(pattern),
                   reason);
        return r;
    }
    r->bad = e->outs_known && !check_pattern(e, r);
    return r;
}

bool glob_eval(const struct scope *s, struct str pattern, struct span at, struct value *out)
{
    struct str normal;
    if (!normal_pattern(s, pattern, at, &normal)) {
        return false;
    }
    const struct glob_result *r = find_glob(s, normal, at);
    if (r->bad) {
        return false;
    }
    struct value *items = ARENA_ARRAY(s->arena, struct value, r->count);
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        if (!is_hidden(s->e, r->paths[i])) {
            items[n++] = value_path(r->paths[i], str_ends(normal, STR("/")));
        }
    }
    *out = (struct value){.kind = VALUE_LIST, .count = n, .items = items, .depth = 1};
    return true;
}

bool globs_hold(struct eval *e)
{
    for (uint32_t i = 0; i < e->glob_results.n; i++) {
        const struct glob_result *r = &e->glob_results.at[i];
        for (uint32_t k = 0; r->early && k < r->count; k++) {
            if (is_hidden_by(e, r->paths[k], false) != is_hidden_by(e, r->paths[k], true)) {
                return false;
            }
        }
    }
    return true;
}

void globs_check(struct eval *e)
{
    for (uint32_t i = 0; i < e->glob_results.n; i++) {
        if (e->glob_results.at[i].early && !e->glob_results.at[i].bad) {
            e->glob_results.at[i].bad = !check_pattern(e, &e->glob_results.at[i]);
        }
    }
    for (uint32_t i = 0; i < e->early_reads.n; i++) {
        const struct early_read *r = &e->early_reads.at[i];
        uint32_t inside, maker = path_producer(e, r->path, &inside);
        if (maker != GRAPH_NONE) {
            diag_error(e->d, "late-value", r->span,
                       "'%.*s' is made by step '%.*s': its content is known only later",
                       STR_ARG(r->path), STR_ARG(step_name(e, maker)));
        }
    }
}

void globs_put_origins(struct eval *e)
{
    for (uint32_t i = 0; i < e->glob_results.n; i++) {
        struct glob_result *r = &e->glob_results.at[i];
        uint32_t n = 0;
        for (uint32_t k = 0; k < r->count; k++) {
            if (!is_hidden(e, r->paths[k])) {
                r->paths[n++] = r->paths[k];
            }
        }
        r->count = n;
        origins_add_glob(e->origins, r->pattern, r->paths, n);
    }
}
