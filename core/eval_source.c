/* SPDX-License-Identifier: MIT */
/* Inputs that neither exist nor are made. Asked by the build and by check, never while evaluating. */
#include "core/base/file.h"
#include "core/base/table.h"
#include "core/eval.h"

/* Names that the missing one may have been meant for. */
static struct str nearest_source(const struct graph *g, int root, struct str path,
                                 struct arena *scratch)
{
    struct table names;
    table_init(&names, scratch);
    struct file_entry *entries;
    uint32_t count;
    struct str dir = path_dirname(path);
    if (file_list(scratch, root, dir, &entries, &count)) {
        for (uint32_t i = 0; i < count; i++) {
            bool here = str_eq(dir, STR("."));
            table_add(&names, here ? entries[i].name : path_join(scratch, dir, entries[i].name),
                      NULL);
        }
    }
    for (uint32_t i = 0; i < g->output_count; i++) {
        table_add(&names, graph_path(g, g->outputs[i].file), NULL);
    }
    return table_nearest(&names, path);
}

static void say_missing(const struct graph *g, int root, const struct graph_input *input,
                        const struct file_sig *sig, struct diags *d)
{
    struct arena scratch = {0};
    struct str path = graph_path(g, input->file);
    struct span at = graph_span(g, input->span, root, d);
    if (sig->error) {
        diag_error(d, "missing-input", at, "'%.*s' cannot be looked at", STR_ARG(path));
        return;
    }
    struct diag *x = diag_error(d, "missing-input", at, "'%.*s' is not there, and no step makes it",
                                STR_ARG(path));
    struct str near = nearest_source(g, root, path, &scratch);
    bool uri = path.n > 3 && (path.s[0] | 0x20) == 's' && str_starts(str_tail(path, 1), STR("3:/"));
    if (near.n) {
        diag_help(d, x, "did you mean '%.*s'?", STR_ARG(near));
    } else if (uri) {
        diag_help(d, x, "an object in S3 is written \"s3://bucket/name\"");
    } else {
        diag_help(d, x, "an input that may be absent is written glob(\"%.*s\")", STR_ARG(path));
    }
    arena_free(&scratch);
}

bool eval_check_sources(const struct graph *g, int root, const uint8_t *wanted, struct diags *d)
{
    bool good = true;
    uint8_t *seen = mem_alloc(g->file_count + 1);
    for (uint32_t i = 0; i < g->step_count; i++) {
        struct grange r = g->steps[i].inputs;
        for (uint32_t k = r.first; (!wanted || wanted[i]) && k < r.first + r.n; k++) {
            const struct graph_input *input = &g->inputs[k];
            const struct graph_file *f = graph_file(g, input->file);
            if (seen[input->file.i] || f->producer != GRAPH_NONE || f->flags & GRAPH_FILE_S3) {
                continue;
            }
            seen[input->file.i] = 1;
            struct file_sig sig = file_stat(root, graph_path(g, input->file), true);
            if (!file_sig_exists(&sig)) {
                say_missing(g, root, input, &sig, d);
                good = false;
            }
        }
    }
    mem_free(seen);
    return good;
}
