/* SPDX-License-Identifier: MIT */
/* Many steps from one: the product of a step's `for`s, folders that are listed late, and the selection of
 * instances by their variables. Invariant: a step's instances are numbered without a gap, in order. */
#include "core/eval_parts.h"
#include "core/graph_name.h"

enum { VARIABLE_LIMIT = 60 };

/* One step on its way to instances. */
struct expansion {
    struct eval *e;
    struct step_def *step;
    struct instance now; /* the variables that have a value so far */
    VEC(struct instance *) made;
    VEC(struct value) made_values;
    bool failed;
};

static struct scope header_scope(struct expansion *x)
{
    struct scope s = scope_of_unit(x->e, x->step->unit);
    s.instance = &x->now;
    s.header = true;
    return s;
}

static struct instance *add_instance(struct expansion *x)
{
    struct eval *e = x->e;
    if (e->instances.n + x->made.n >= EVAL_INSTANCE_LIMIT) {
        if (!x->failed) {
            struct diag *d = diag_error(e->d, "too-many-steps", x->step->def->span,
                                        "'%.*s' makes the pipeline larger than %d steps",
                                        STR_ARG(x->step->def->name), EVAL_INSTANCE_LIMIT);
            diag_help(e->d, d, "keep some with 'where', or shorten a list");
        }
        x->failed = true;
        return NULL;
    }
    uint32_t n = x->step->variables.n;
    struct instance *i = ARENA_NEW(e->arena, struct instance);
    *i = x->now;
    i->step = x->step;
    if (n) {
        i->variables = arena_copy(e->arena, x->now.variables, n * sizeof *i->variables,
                                  _Alignof(struct value));
        i->labels =
            arena_copy(e->arena, x->now.labels, n * sizeof *i->labels, _Alignof(struct str));
    }
    *VEC_PUSH(e->arena, &x->made) = i;
    return i;
}

/* A placeholder for what comes once a folder is listed. */
static void add_waiting(struct expansion *x, struct str folder, uint32_t maker)
{
    struct instance *i = add_instance(x);
    if (i) {
        i->waits = true;
        i->waits_for = folder;
        i->waits_on = maker;
    }
}

/* The failure under way: a mistake, or something that waits for a listing. */
static void take_failure(struct expansion *x)
{
    struct eval *e = x->e;
    if (!e->pending) {
        x->failed = true;
        return;
    }
    e->pending = false;
    uint32_t on = e->pending_on.at[e->pending_on.n - 1];
    e->pending_on.n = 0;
    add_waiting(x, e->pending_dir, on);
}

static bool is_kept(struct expansion *x)
{
    const struct ast_expr *where = x->step->ast->where;
    struct scope s = header_scope(x);
    struct value v;
    if (!where) {
        return true;
    }
    if (!expr_need(&s, where, VALUE_BOOL, STR("'where'"), &v)) {
        take_failure(x);
        return false;
    }
    return v.boolean;
}

static void expand_level(struct expansion *x, uint32_t level);

/* One item of a `for`'s list: its variables get their values, and the next level follows. */
static void expand_item(struct expansion *x, uint32_t level, const struct value *item,
                        struct str label)
{
    const struct ast_for *f = &x->step->ast->fors.at[level];
    uint32_t first = x->now.known;
    if (!f->rows) {
        x->now.variables[first] = *item;
        x->now.labels[first] = label;
    } else if (item->kind != VALUE_LIST || item->count != f->names.n) {
        struct str printed = value_print(x->e->arena, item);
        struct diag *d = diag_error(x->e->d, "bad-row", f->list->span,
                                    "each item must be a list of %u, and one is '%.*s'", f->names.n,
                                    STR_ARG(printed));
        diag_help(x->e->d, d, "as in 'for (a, b) in [[3, 0.1], [5, 0.3]]'");
        x->failed = true;
        return;
    }
    for (uint32_t i = 0; f->rows && i < f->names.n; i++) {
        x->now.variables[first + i] = item->items[i];
        x->now.labels[first + i] = STR_NONE;
    }
    x->now.known = first + f->names.n;
    expand_level(x, level + 1);
    x->now.known = first;
}

static const struct value_ref *folder_ref(const struct value *v)
{
    for (uint32_t i = 0; v->kind == VALUE_STRING && v->is_dir && v->refs && i < v->refs->count;
         i++) {
        if (v->refs->at[i].kind == VALUE_REF_OUTPUT && !v->refs->at[i].value_only) {
            return &v->refs->at[i];
        }
    }
    return NULL;
}

static const struct eval_listing *find_listing(const struct eval *e, struct str dir)
{
    for (uint32_t i = 0; i < e->o->listing_count; i++) {
        if (str_eq(e->o->listings[i].dir, dir)) {
            return &e->o->listings[i];
        }
    }
    return NULL;
}

static void remember_folder(struct expansion *x, const struct value_ref *ref)
{
    struct arena *a = x->e->arena;
    struct folder *f = VEC_PUSH(a, &x->step->folders);
    *f = (struct folder){.ref = *ref, .known = x->now.known};
    f->ref.value_only = true;
    if (f->known) {
        f->variables = arena_copy(a, x->now.variables, f->known * sizeof *f->variables,
                                  _Alignof(struct value));
    }
}

static void expand_folder(struct expansion *x, uint32_t level, const struct value *dir,
                          const struct value_ref *ref)
{
    struct eval *e = x->e;
    const struct eval_listing *l = find_listing(e, dir->text);
    remember_folder(x, ref);
    if (x->step->ast->fors.at[level].rows) {
        expr_say(&(struct scope){.e = e}, "bad-row", x->step->ast->fors.at[level].span,
                 "the files of a folder are no rows: name one variable");
        x->failed = true;
        return;
    }
    if (!l) {
        add_waiting(x, dir->text, ref->number);
        return;
    }
    origins_add_listing(e->origins, l);
    for (uint32_t i = 0; i < l->count && !x->failed; i++) {
        struct value file = value_path(path_join(e->arena, dir->text, l->files[i]), false);
        expand_item(x, level, &file, l->files[i]);
    }
}

static void expand_list(struct expansion *x, uint32_t level)
{
    const struct ast_for *f = &x->step->ast->fors.at[level];
    struct scope s = header_scope(x);
    struct value list;
    if (!expr_eval(&s, f->list, &list)) {
        take_failure(x);
        return;
    }
    const struct value_ref *folder = folder_ref(&list);
    if (folder) {
        expand_folder(x, level, &list, folder);
        return;
    }
    if (!expr_is_known(&s, &list, f->list->span, "the list of a 'for'")) {
        x->failed = true;
        return;
    }
    if (list.kind != VALUE_LIST) {
        struct diag *d = diag_error(x->e->d, "type-mismatch", f->list->span,
                                    "'for' wants a list, not %s", value_kind_name(list.kind));
        diag_help(x->e->d, d, "a list, or an output that is a folder: 'for %.*s in step.folder'",
                  STR_ARG(f->names.at[0].text));
        x->failed = true;
        return;
    }
    struct value whole = {.refs = list.refs};
    for (uint32_t i = 0; i < list.count && !x->failed; i++) {
        struct value item = list.items[i];
        if (whole.refs) {
            value_add_refs_of(x->e->arena, &item, &whole);
        }
        expand_item(x, level, &item, STR_NONE);
    }
}

static void expand_level(struct expansion *x, uint32_t level)
{
    if (level < x->step->ast->fors.n) {
        expand_list(x, level);
    } else if (is_kept(x)) {
        (void)add_instance(x);
    }
}

static bool gather_variables(struct eval *e, struct step_def *step)
{
    bool good = true;
    for (uint32_t i = 0; i < step->ast->fors.n; i++) {
        const struct ast_names *names = &step->ast->fors.at[i].names;
        for (uint32_t k = 0; k < names->n; k++) {
            for (uint32_t j = 0; j < step->variables.n; j++) {
                if (str_eq(step->variables.at[j].text, names->at[k].text)) {
                    diag_error(e->d, "duplicate-name", names->at[k].span,
                               "'%.*s' is a variable of this step already",
                               STR_ARG(names->at[k].text));
                    good = false;
                }
            }
            *VEC_PUSH(e->arena, &step->variables) = names->at[k];
        }
    }
    if (step->variables.n > VARIABLE_LIMIT) {
        diag_error(e->d, "too-many-variables", step->def->span, "a step has at most %d variables",
                   VARIABLE_LIMIT);
        good = false;
    }
    return good;
}

static void number_instances(struct expansion *x)
{
    struct eval *e = x->e;
    struct step_def *step = x->step;
    step->first = e->instances.n;
    step->count = x->made.n;
    step->numbers = ARENA_ARRAY(e->arena, uint32_t, x->made.n);
    for (uint32_t i = 0; i < x->made.n; i++) {
        struct instance *made = x->made.at[i];
        made->number = step->numbers[i] = e->instances.n;
        *VEC_PUSH(e->arena, &e->instances) = made;
        if (made->waits) {
            *VEC_PUSH(e->arena, &step->waiting) = made->number;
        }
    }
}

bool step_expand(struct eval *e, struct step_def *step)
{
    if (step->state == LAZY_DONE || step->state == LAZY_FAILED) {
        return step->state == LAZY_DONE;
    }
    if (step->state == LAZY_BUSY) {
        diag_error(e->d, "step-cycle", step->def->span,
                   "which instances step '%.*s' has depends on itself", STR_ARG(step->def->name));
        return false;
    }
    step->state = LAZY_BUSY;
    struct expansion x = {.e = e, .step = step};
    if (!gather_variables(e, step)) {
        step->state = LAZY_FAILED;
        return false;
    }
    x.now.step = step;
    x.now.variables = ARENA_ARRAY(e->arena, struct value, step->variables.n);
    x.now.labels = ARENA_ARRAY(e->arena, struct str, step->variables.n);
    expand_level(&x, 0);
    if (!x.failed) {
        number_instances(&x);
    }
    step->state = x.failed ? LAZY_FAILED : LAZY_DONE;
    return !x.failed;
}

/* ---- names ---- */

static struct str variable_label(struct eval *e, const struct instance *i, uint32_t k)
{
    return i->labels[k].n ? i->labels[k] : value_print(e->step_arena, &i->variables[k]);
}

struct str instance_name(struct eval *e, const struct instance *i)
{
    struct str base = i->step->def->name;
    if (!i->known) {
        return base;
    }
    struct buf b;
    buf_init(&b, VALUE_TEXT_LIMIT);
    buf_put_str(&b, base);
    for (uint32_t k = 0; k < i->known; k++) {
        buf_put_char(&b, k ? ',' : '[');
        buf_put_str(&b, i->step->variables.at[k].text);
        buf_put_char(&b, '=');
        graph_name_put_value(&b, variable_label(e, i, k));
    }
    buf_put_char(&b, ']');
    struct str name = str_copy(e->step_arena, buf_str(&b));
    buf_free(&b);
    return name;
}

/* ---- selection ---- */

/* Equal values have equal keys: 5 and 5.0 are one. */
static void key_put(struct buf *b, const struct value *v)
{
    struct buf one;
    buf_init(&one, VALUE_TEXT_LIMIT);
    char kind = (char)('a' + v->kind);
    switch ((enum value_kind)v->kind) {
    case VALUE_INT:
        kind = 'n';
        buf_printf(&one, "%lld", (long long)v->integer);
        break;
    case VALUE_REAL:
        kind = 'n';
        str_put_double(&one, v->real);
        break;
    case VALUE_BOOL: buf_put_char(&one, v->boolean ? 't' : 'f'); break;
    case VALUE_STRING: buf_put_str(&one, v->text); break;
    case VALUE_DURATION:
    case VALUE_SIZE: buf_printf(&one, "%lld", (long long)v->integer); break;
    case VALUE_LIST:
        for (uint32_t i = 0; i < v->count; i++) {
            key_put(&one, &v->items[i]);
        }
        break;
    case VALUE_TREE: json_put(&one, v->tree); break;
    case VALUE_NONE:
    case VALUE_LATE: break;
    }
    buf_put_char(b, kind);
    buf_put_text(b, buf_str(&one));
    buf_free(&one);
}

static void bucket_add(struct eval *e, struct step_index *x, const struct buf *key, uint32_t number)
{
    bool is_new;
    uint32_t i = table_add(&x->keys, buf_str(key), &is_new);
    if (is_new) {
        VEC_PUSH(e->arena, &x->buckets);
    }
    struct bucket *b = &x->buckets.at[i];
    if (b->n && b->at[b->n - 1] == number) {
        return;
    }
    if (b->n == b->cap) {
        uint32_t cap = b->cap ? b->cap * 2 : 1;
        uint32_t *at = ARENA_ARRAY(e->arena, uint32_t, cap);
        for (uint32_t k = 0; k < b->n; k++) {
            at[k] = b->at[k];
        }
        b->at = at;
        b->cap = cap;
    }
    b->at[b->n++] = number;
}

/* A file of a listed folder is found by its path and by its name in the folder. */
static void index_instance(struct eval *e, struct step_index *x, const struct instance *i,
                           struct buf *key)
{
    bool labels = false;
    for (int by_label = 0; by_label <= labels; by_label++) {
        buf_clear(key);
        for (uint32_t k = 0; k < i->step->variables.n; k++) {
            if (!(x->mask >> k & 1)) {
                continue;
            }
            struct value label = value_string(i->labels[k]);
            labels |= i->labels[k].n != 0;
            key_put(key, by_label && i->labels[k].n ? &label : &i->variables[k]);
        }
        bucket_add(e, x, key, i->number);
    }
}

static struct step_index *find_index(struct eval *e, struct step_def *step, uint64_t mask)
{
    for (uint32_t i = 0; i < step->indexes.n; i++) {
        if (step->indexes.at[i]->mask == mask) {
            return step->indexes.at[i];
        }
    }
    struct step_index *x = ARENA_NEW(e->arena, struct step_index);
    x->mask = mask;
    table_init(&x->keys, e->arena);
    *VEC_PUSH(e->arena, &step->indexes) = x;
    struct buf key;
    buf_init(&key, VALUE_TEXT_LIMIT);
    for (uint32_t i = 0; i < step->count; i++) {
        const struct instance *instance = e->instances.at[step->numbers[i]];
        if (!instance->waits) {
            index_instance(e, x, instance, &key);
        }
    }
    buf_free(&key);
    return x;
}

static bool may_match(const struct value *variables, uint32_t known,
                      const struct value *const *keys)
{
    for (uint32_t k = 0; keys && k < known; k++) {
        if (keys[k] && !value_eq(keys[k], &variables[k])) {
            return false;
        }
    }
    return true;
}

const struct value_refs *step_folders(const struct scope *s, const struct step_def *step,
                                      const struct value *const *keys)
{
    struct value v = {.refs = NULL};
    for (uint32_t i = 0; i < step->folders.n; i++) {
        const struct folder *f = &step->folders.at[i];
        if (may_match(f->variables, f->known, keys)) {
            value_add_ref(s->arena, &v, f->ref);
        }
    }
    return v.refs;
}

static void add_waiting_matches(struct eval *e, const struct step_def *step,
                                const struct value *const *keys, const uint32_t **out,
                                uint32_t *count)
{
    VEC(uint32_t) all = {NULL, 0, 0};
    for (uint32_t i = 0; i < step->waiting.n; i++) {
        const struct instance *x = e->instances.at[step->waiting.at[i]];
        if (may_match(x->variables, x->known, keys)) {
            *VEC_PUSH(e->step_arena, &all) = step->waiting.at[i];
        }
    }
    if (!all.n) {
        return;
    }
    for (uint32_t i = 0; i < *count; i++) {
        *VEC_PUSH(e->step_arena, &all) = (*out)[i];
    }
    *out = all.at;
    *count = all.n;
}

bool step_select(struct eval *e, struct step_def *step, const struct value *const *keys,
                 const uint32_t **out, uint32_t *count)
{
    uint64_t mask = 0;
    struct buf key;
    buf_init(&key, VALUE_TEXT_LIMIT);
    for (uint32_t k = 0; k < step->variables.n; k++) {
        if (keys[k]) {
            mask |= UINT64_C(1) << k;
            key_put(&key, keys[k]);
        }
    }
    const struct step_index *x = find_index(e, step, mask);
    uint32_t i = table_find(&x->keys, buf_str(&key));
    buf_free(&key);
    *out = i == TABLE_NONE ? NULL : x->buckets.at[i].at;
    *count = i == TABLE_NONE ? 0 : x->buckets.at[i].n;
    add_waiting_matches(e, step, keys, out, count);
    return true;
}
