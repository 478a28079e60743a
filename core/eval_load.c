/* SPDX-License-Identifier: MIT */
/* Reads the Pipelinefile and what it includes, and gathers what they define. Invariant: a file is read,
 * parsed and gathered once, whoever asks for it. */
#include "core/base/file.h"
#include "core/eval_parts.h"
#include "parser/parse.h"

bool library_read(struct eval *e, const struct library_want *w, struct str *text, uint32_t *source)
{
    int64_t now = time_now_ns();
    struct file_sig sig = file_stat(e->o->root, w->path, true);
    if (!file_sig_exists(&sig)) {
        diag_error(e->d, "cannot-read", w->at, "there is no file '%.*s'", STR_ARG(w->path));
        return false;
    }
    if (!file_read(e->d->arena, e->o->root, w->path, w->limit, text, e->d)) {
        e->d->all.at[e->d->all.n - 1].span = w->at;
        return false;
    }
    origins_add_file(e->origins, w->path, &sig, now, *text);
    *source = diags_add_source(e->d, str_copy(e->d->arena, w->path), *text);
    return true;
}

/* The tree of a file; NULL with a diagnostic. at: who asks for it. */
static const struct ast_file *library_file(struct eval *e, struct str path, struct span at)
{
    bool is_new;
    uint32_t i = table_add(&e->library->paths, path, &is_new);
    if (!is_new) {
        return e->library->files.at[i].file;
    }
    VEC_PUSH(e->library->paths.arena, &e->library->files);
    struct str text;
    uint32_t source;
    if (!library_read(e, &(struct library_want){path, at, AST_TEXT_LIMIT}, &text, &source)) {
        return NULL;
    }
    uint32_t errors = e->d->errors;
    const struct ast_file *file = parse_file_mended(e->library->paths.arena, source, e->d);
    e->library->mended |= file && e->d->errors != errors;
    e->library->files.at[i].file = file;
    e->library->files.at[i].source = source;
    return file;
}

static struct def *define(struct eval *e, struct unit *u, enum def_kind kind, struct ast_name name,
                          const struct ast_statement *at)
{
    struct def *def = ARENA_NEW(e->arena, struct def);
    def->kind = kind;
    def->unit = u;
    def->at = at;
    def->span = name.span;
    def->name =
        u->space->prefix.n ? str_join3(e->arena, u->space->prefix, STR(""), name.text) : name.text;
    return names_add(e, u, names_kind_of(kind), name.text, def) ? def : NULL;
}

static void define_step(struct eval *e, struct unit *u, const struct ast_statement *at)
{
    struct def *def = define(e, u, DEF_STEP, at->as.step.name, at);
    if (!def) {
        return;
    }
    struct step_def *step = ARENA_NEW(e->arena, struct step_def);
    step->def = def;
    step->ast = &at->as.step;
    step->unit = u;
    table_init(&step->own_names, e->arena);
    def->step = step;
    *VEC_PUSH(e->arena, &e->steps) = step;
}

static void define_into(struct eval *e, struct def *def, struct def ***at, uint32_t *n,
                        uint32_t *cap)
{
    if (!def) {
        return;
    }
    if (*n == *cap) {
        *at = arena_grow(e->arena, *at, cap, sizeof **at);
    }
    (*at)[(*n)++] = def;
}
#define DEFINE_INTO(e, def, vec) define_into(e, def, &(vec).at, &(vec).n, &(vec).cap)

static void take_once(struct eval *e, const struct ast_statement *at, struct unit *u,
                      const struct ast_statement **slot, struct unit **slot_unit)
{
    if (*slot) {
        struct diag *x =
            diag_error(e->d, "duplicate-statement", at->keyword, "a pipeline has one '%s'",
                       at->kind == AST_CACHE ? "cache" : "remote");
        diag_note(e->d, x, (*slot)->keyword, "it was given here");
        return;
    }
    *slot = at;
    *slot_unit = u;
}

static void gather_pipeline(struct eval *e, const struct unit *u, uint32_t i,
                            const struct ast_statement *at)
{
    if (u->includer) {
        diag_error(e->d, "misplaced-statement", at->keyword,
                   "an included file has no 'pipeline' line");
        return;
    }
    if (i) {
        diag_error(e->d, "misplaced-statement", at->keyword, "'pipeline' comes first in the file");
        return;
    }
    e->g.name = graph_draft_text(&e->g, at->as.name.text);
}

static void gather(struct eval *e, struct unit *u, uint32_t i)
{
    const struct ast_statement *at = &u->file->statements.at[i];
    switch (at->kind) {
    case AST_PIPELINE: gather_pipeline(e, u, i, at); break;
    case AST_PARAM:
        DEFINE_INTO(e, define(e, u, DEF_PARAM, at->as.param.name, at), e->params);
        break;
    case AST_LET: DEFINE_INTO(e, define(e, u, DEF_LET, at->as.binding.name, at), e->lets); break;
    case AST_PARAMS: {
        struct ast_name name = at->as.file.as;
        if (!name.text.n) {
            name = (struct ast_name){STR("params"), at->keyword};
        }
        DEFINE_INTO(e, define(e, u, DEF_TREE, name, at), e->trees);
        break;
    }
    case AST_INCLUDE: break; /* once all else in the file is known */
    case AST_CACHE: take_once(e, at, u, &e->cache, &e->cache_unit); break;
    case AST_REMOTE: take_once(e, at, u, &e->remote, &e->remote_unit); break;
    case AST_POOL: DEFINE_INTO(e, define(e, u, DEF_POOL, at->as.binding.name, at), e->pools); break;
    case AST_EXECUTOR:
        DEFINE_INTO(e, define(e, u, DEF_EXECUTOR, at->as.executor.name, at), e->executors);
        break;
    case AST_PROBE:
        DEFINE_INTO(e, define(e, u, DEF_PROBE, at->as.binding.name, at), e->probes);
        break;
    case AST_TEMPLATE: (void)define(e, u, DEF_TEMPLATE, at->as.template.name, at); break;
    case AST_USE: *VEC_PUSH(e->arena, &u->uses) = &at->as.use; break;
    case AST_STEP: define_step(e, u, at); break;
    case AST_GROUP:
        DEFINE_INTO(e, define(e, u, DEF_GROUP, at->as.group.name, at), e->groups);
        break;
    case AST_DEFAULT: {
        struct default_at *d = VEC_PUSH(e->arena, &e->defaults);
        d->at = at;
        d->unit = u;
        break;
    }
    }
}

static bool load_unit(struct eval *e, struct unit *u, struct span at);

static struct def *define_space(struct eval *e, struct unit *u, const struct ast_statement *at,
                                struct space *space)
{
    struct def *def = define(e, u, DEF_SPACE, at->as.file.as, at);
    if (def) {
        def->space = space;
    }
    return def;
}

static void say_circle(struct eval *e, const struct unit *u, const struct unit *target,
                       struct span at)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_put_str(&b, target->path);
    const struct unit *chain[64];
    uint32_t n = 0;
    for (const struct unit *p = u; p && p != target && n < 64; p = p->includer) {
        chain[n++] = p;
    }
    for (; n; n--) {
        buf_printf(&b, " -> %.*s", STR_ARG(chain[n - 1]->path));
    }
    struct diag *x = diag_error(e->d, "include-cycle", at, "a circle of includes: %.*s -> %.*s",
                                STR_ARG(buf_str(&b)), STR_ARG(target->path));
    diag_help(e->d, x,
              "an included file sees the names of the one that includes it: it need not "
              "include it");
    buf_free(&b);
}

/* One more name for what was included before. */
static bool include_again(struct eval *e, struct unit *u, const struct ast_statement *at,
                          struct unit *target)
{
    if (target->loading) {
        say_circle(e, u, target, at->as.file.path->span);
        return false;
    }
    struct unit to = *u;
    if (at->as.file.as.text.n) {
        struct space *view = ARENA_NEW(e->arena, struct space);
        names_init(view, e->arena);
        struct def *def = define_space(e, u, at, view);
        if (!def) {
            return false;
        }
        view->prefix = str_join3(e->arena, def->name, STR("."), STR(""));
        to = (struct unit){.space = view};
    }
    bool good = true;
    for (uint32_t i = 0; i < target->exports.n; i++) {
        const struct export *x = &target->exports.at[i];
        good &= names_add(e, to.space == u->space ? u : &to, x->kind, x->name, x->def);
        if (x->def->kind == DEF_STEP) {
            struct alias *alias = VEC_PUSH(e->arena, &e->aliases);
            alias->name = str_join3(e->arena, to.space->prefix, STR(""), x->name);
            alias->def = x->def;
        }
    }
    return good;
}

static bool include_path(struct eval *e, struct unit *u, const struct ast_statement *at,
                         struct str *path)
{
    struct scope s = scope_of_unit(e, u);
    struct value v;
    if (!expr_need(&s, at->as.file.path, VALUE_STRING, STR("the file's name"), &v)) {
        return false;
    }
    if (!path_normalise(e->arena, v.text, path)) {
        struct diag *x = diag_error(e->d, "outside-workspace", at->as.file.path->span,
                                    "'%.*s' is not within the workspace", STR_ARG(v.text));
        diag_help(e->d, x, "paths are relative to the workspace's root");
        return false;
    }
    return true;
}

static bool include(struct eval *e, struct unit *u, const struct ast_statement *at)
{
    struct str path;
    if (!include_path(e, u, at, &path)) {
        return false;
    }
    bool is_new;
    uint32_t number = table_add(&e->unit_paths, path, &is_new);
    if (!is_new) {
        return include_again(e, u, at, e->units.at[number]);
    }
    if (e->units.n == EVAL_FILE_LIMIT) {
        diag_error(e->d, "too-many-files", at->span, "more than %d files are included",
                   EVAL_FILE_LIMIT);
        return false;
    }
    struct unit *unit = ARENA_NEW(e->arena, struct unit);
    *VEC_PUSH(e->arena, &e->units) = unit;
    unit->path = path;
    unit->includer = u;
    unit->included = at->as.file.path->span;
    unit->space = u->space;
    if (at->as.file.as.text.n) {
        unit->space = ARENA_NEW(e->arena, struct space);
        names_init(unit->space, e->arena);
        unit->space->parent = u->space;
        struct def *def = define_space(e, u, at, unit->space);
        if (!def) {
            return false;
        }
        unit->space->prefix = str_join3(e->arena, def->name, STR("."), STR(""));
    }
    return load_unit(e, unit, at->as.file.path->span);
}

static bool load_unit(struct eval *e, struct unit *u, struct span at)
{
    uint32_t depth = 0;
    for (const struct unit *p = u; p; p = p->includer) {
        depth++;
    }
    if (depth > 100) {
        diag_error(e->d, "too-deep", at, "includes are nested more than 100 levels deep");
        return false;
    }
    u->file = library_file(e, u->path, at);
    if (!u->file) {
        return false;
    }
    u->loading = true;
    for (uint32_t i = 0; i < u->file->statements.n; i++) {
        gather(e, u, i); /* what is defined twice keeps its first meaning */
    }
    bool good = true;
    for (uint32_t i = 0; i < u->file->statements.n; i++) {
        if (u->file->statements.at[i].kind == AST_INCLUDE) {
            good &= include(e, u, &u->file->statements.at[i]);
        }
    }
    u->loading = false;
    return good;
}

bool load_all(struct eval *e)
{
    struct unit *u = ARENA_NEW(e->arena, struct unit);
    struct space *space = ARENA_NEW(e->arena, struct space);
    names_init(space, e->arena);
    u->space = space;
    u->path = e->o->file;
    struct str normal;
    if (path_normalise(e->arena, e->o->file, &normal)) {
        u->path = normal;
    }
    table_add(&e->unit_paths, u->path, NULL);
    *VEC_PUSH(e->arena, &e->units) = u;
    return load_unit(e, u, SPAN_NONE);
}
