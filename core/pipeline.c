/* SPDX-License-Identifier: MIT */
/* Finds, maps or evaluates, keeps. */
#include "core/pipeline.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GRAPH_PATH STR(".pawl/graph")

static bool find_above(struct arena *a, char *folder, struct pipeline_place *out, struct diags *d)
{
    struct str from = str_copy(a, str_from(folder));
    for (;;) {
        struct str path = str_join3(a, str_from(folder), STR("/"), STR("Pipelinefile"));
        struct file_sig sig = file_stat(FILE_CWD, path, true);
        if (file_sig_exists(&sig) && !file_sig_is_dir(&sig))
            break;
        char *slash = strrchr(folder, '/');
        if (!slash || slash[1] == '\0') {
            struct diag *e =
                diag_error(d, "no-pipelinefile", SPAN_NONE,
                           "there is no Pipelinefile in '%.*s' or above it", STR_ARG(from));
            diag_help(d, e, "'pawl init' begins one; '-C DIR' and '-f FILE' name another place");
            return false;
        }
        slash[slash == folder ? 1 : 0] = '\0';
    }
    out->root_path = str_copy(a, str_from(folder));
    out->file = STR("Pipelinefile");
    return true;
}

bool pipeline_find(struct arena *a, struct str given, struct pipeline_place *out, struct diags *d)
{
    *out = (struct pipeline_place){.root = -1};
    char *folder = realpath(".", NULL);
    if (!folder) {
        diag_errno(d, "workspace-unusable", "cannot tell the current folder");
        return false;
    }
    bool ok = true;
    if (given.n == 0) {
        ok = find_above(a, folder, out, d);
    } else {
        out->root_path = str_copy(a, str_from(folder));
        out->file = str_copy(a, given);
    }
    free(folder);
    if (!ok)
        return false;
    out->root = open(str_c(a, out->root_path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (out->root < 0)
        diag_errno(d, "workspace-unusable", "cannot open '%.*s'", STR_ARG(out->root_path));
    return out->root >= 0;
}

static bool evaluate(struct pipeline *p, struct diags *d)
{
    if (!eval_pipeline(&p->options, &p->arena, &p->graph, d)) {
        arena_free(&p->arena);
        return false;
    }
    if (p->may_write)
        (void)!graph_write(&p->graph, p->options.root, GRAPH_PATH);
    return true;
}

bool pipeline_open(struct pipeline *p, const struct eval_options *o, bool may_write,
                   struct diags *d)
{
    *p = (struct pipeline){.options = *o, .may_write = may_write};
    table_init(&p->settled, &p->listing_arena);
    if (graph_open(&p->graph, o->root, GRAPH_PATH)) {
        if (eval_is_current(&p->graph, o))
            return true;
        graph_close(&p->graph);
    }
    return evaluate(p, d);
}

void pipeline_close(struct pipeline *p)
{
    graph_close(&p->graph);
    arena_free(&p->arena);
    arena_free(&p->listing_arena);
}

/* The options' listings, with this one put in or replaced. */
static void put_listing(struct pipeline *p, const struct eval_listing *l)
{
    uint32_t n = 0;
    struct eval_listing *all =
        ARENA_ARRAY(&p->listing_arena, struct eval_listing, p->options.listing_count + 1);
    for (uint32_t i = 0; i < p->options.listing_count; i++) {
        if (!str_eq(p->options.listings[i].dir, l->dir))
            all[n++] = p->options.listings[i];
    }
    all[n++] = *l;
    p->options.listings = all;
    p->options.listing_count = n;
}

static bool has_changed(struct pipeline *p, const struct graph_origin *o)
{
    struct eval_listing now;
    struct str path = graph_text(&p->graph, o->name);
    struct arena_mark mark = arena_mark(&p->listing_arena);
    if (eval_list_folder(&p->listing_arena, p->options.root, path, &now)) {
        struct digest digest = eval_listing_digest(&now);
        if (digest_eq(&digest, &o->digest)) {
            put_listing(p, &now);
            (void)table_add(&p->settled, path, NULL);
            return false;
        }
    }
    arena_reset(&p->listing_arena, mark);
    return true;
}

bool pipeline_wants_listing(struct pipeline *p, file_id folder)
{
    const struct graph *g = &p->graph;
    struct str path = graph_path(g, folder);
    if (table_find(&p->settled, path) != TABLE_NONE)
        return false;
    for (uint32_t i = 0; i < g->step_count; i++) {
        if (g->steps[i].command_kind == GRAPH_COMMAND_PENDING && g->steps[i].pending == folder.i)
            return true;
    }
    for (uint32_t i = 0; i < g->origin_count; i++) {
        const struct graph_origin *o = &g->origins[i];
        if (o->kind == GRAPH_ORIGIN_LISTING && str_eq(graph_text(g, o->name), path))
            return has_changed(p, o);
    }
    return false;
}

/* With this folder's, those that the graph was made with: a mapped graph was evaluated by another process. */
static bool add_listing(struct pipeline *p, struct str dir)
{
    struct arena *a = &p->listing_arena;
    struct eval_listing now;
    for (uint32_t i = 0; i < p->graph.origin_count; i++) {
        const struct graph_origin *o = &p->graph.origins[i];
        struct str name = graph_text(&p->graph, o->name);
        bool have = o->kind != GRAPH_ORIGIN_LISTING || str_eq(name, dir);
        for (uint32_t k = 0; k < p->options.listing_count && !have; k++)
            have = str_eq(p->options.listings[k].dir, name);
        if (!have && eval_list_folder(a, p->options.root, str_copy(a, name), &now))
            put_listing(p, &now);
    }
    if (!eval_list_folder(a, p->options.root, str_copy(a, dir), &now))
        return false;
    put_listing(p, &now);
    (void)table_add(&p->settled, now.dir, NULL);
    return true;
}

bool pipeline_list(struct pipeline *p, file_id folder, struct pipeline_old *old, struct diags *d)
{
    struct str dir = graph_path(&p->graph, folder);
    if (!add_listing(p, dir)) {
        diag_errno(d, "cannot-read", "cannot list '%.*s'", STR_ARG(dir));
        return false;
    }
    *old = (struct pipeline_old){p->graph, p->arena};
    p->arena = (struct arena){0};
    p->graph = (struct graph){0};
    if (evaluate(p, d))
        return true;
    p->graph = old->graph;
    p->arena = old->arena;
    *old = (struct pipeline_old){.arena = {0}};
    return false;
}

void pipeline_drop(struct pipeline_old *old)
{
    graph_close(&old->graph);
    arena_free(&old->arena);
}

void pipeline_undo(struct pipeline *p, struct pipeline_old *old)
{
    struct pipeline_old new = {p->graph, p->arena};
    p->graph = old->graph;
    p->arena = old->arena;
    *old = (struct pipeline_old){.arena = {0}};
    pipeline_drop(&new);
}
