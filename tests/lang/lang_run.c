/* SPDX-License-Identifier: MIT */
/* Golden tests of the parser: lang_run [--bless] CASE.pipeline… compares the tree with
 * CASE.tree, the canonical layout with CASE.fmt, and of a text that does not parse the
 * diagnostics with CASE.err. */
#include "core/base/file.h"
#include "parser/format.h"
#include "parser/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASE_LIMIT = 1 << 20 };

struct test {
    struct arena arena;
    struct str path, stem;
    bool bless;
    int failures;
};

static void complain(struct test *t, const char *suffix, struct str wanted, struct str got)
{
    printf("%.*s%s differs\n--- wanted\n%.*s--- got\n%.*s", STR_ARG(t->stem), suffix,
           STR_ARG(wanted), STR_ARG(got));
    t->failures++;
}

/* Compares with the golden file beside the case; without one there is nothing to compare. A case
 * without any is held to its layout's promises only. */
static void compare(struct test *t, const char *suffix, struct str got)
{
    struct str path = str_join3(&t->arena, t->stem, str_from(suffix), STR(""));
    struct str wanted;
    if (!file_read_quiet(&t->arena, FILE_CWD, path, CASE_LIMIT, &wanted)) {
        return;
    }
    if (str_eq(wanted, got)) {
        return;
    }
    if (!t->bless) {
        complain(t, suffix, wanted, got);
    } else if (!file_write(FILE_CWD, path, got, 0644, false)) {
        printf("%.*s: cannot be written: %s\n", STR_ARG(path), strerror(errno));
        t->failures++;
    }
}

/* A new case, blessed: the tree and layout of a good file, the complaints about a bad one. */
static void begin_golden(struct test *t, bool good)
{
    const char *suffixes[] = {".tree", ".fmt", ".err"};
    for (size_t i = good ? 0 : 2; i < (good ? 2 : 3); i++) {
        struct str path = str_join3(&t->arena, t->stem, str_from(suffixes[i]), STR(""));
        struct file_sig sig = file_stat(FILE_CWD, path, true);
        if (!file_sig_exists(&sig)) {
            (void)file_write(FILE_CWD, path, STR(""), 0644, false);
        }
    }
}

static struct str layout_of(struct test *t, const struct ast_file *f, struct str text)
{
    struct buf out;
    buf_init(&out, BUF_TEXT_LIMIT);
    format_file(f, text, &out);
    struct str copy = str_copy(&t->arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

static struct str tree_of(struct test *t, const struct ast_file *f)
{
    struct buf out;
    buf_init(&out, BUF_TEXT_LIMIT);
    ast_dump(f, &out);
    struct str copy = str_copy(&t->arena, buf_str(&out));
    buf_free(&out);
    return copy;
}

/* The layout must parse to the same tree, and be its own layout. */
static void check_layout(struct test *t, struct str layout, struct str tree)
{
    struct diags d;
    diags_init(&d, &t->arena);
    uint32_t source = diags_add_source(&d, t->path, layout);
    const struct ast_file *again = parse_file(&t->arena, source, &d);
    if (!again) {
        printf("%.*s: its layout does not parse:\n%.*s", STR_ARG(t->path), STR_ARG(layout));
        t->failures++;
        return;
    }
    struct str tree2 = tree_of(t, again);
    struct str layout2 = layout_of(t, again, layout);
    if (!str_eq(tree, tree2)) {
        complain(t, " (tree of its layout)", tree, tree2);
    }
    if (!str_eq(layout, layout2)) {
        complain(t, " (layout of its layout)", layout, layout2);
    }
}

static void check_case(struct test *t)
{
    struct str text;
    struct diags d;
    diags_init(&d, &t->arena);
    if (!file_read(&t->arena, FILE_CWD, t->path, CASE_LIMIT, &text, &d)) {
        printf("%.*s: cannot be read\n", STR_ARG(t->path));
        t->failures++;
        return;
    }
    uint32_t source = diags_add_source(&d, path_basename(t->path), text);
    const struct ast_file *f = parse_file(&t->arena, source, &d);
    if (t->bless) {
        begin_golden(t, f != NULL);
    }
    if (f) { /* an .err beside it is about what the file means: not for this program */
        struct str tree = tree_of(t, f);
        struct str layout = layout_of(t, f, text);
        compare(t, ".tree", tree);
        compare(t, ".fmt", layout);
        check_layout(t, layout, tree);
        return;
    }
    struct buf rendered;
    buf_init(&rendered, BUF_TEXT_LIMIT);
    diags_render(&d, false, &rendered);
    compare(t, ".err", buf_str(&rendered));
    compare(t, ".tree", STR("does not parse\n"));
    buf_free(&rendered);
}

int main(int argc, char **argv)
{
    struct test t = {.failures = 0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bless") == 0) {
            t.bless = true;
            continue;
        }
        arena_init(&t.arena);
        t.path = str_from(argv[i]);
        t.stem = t.path;
        if (str_ends(t.path, STR(".pipeline"))) {
            t.stem.n -= STR(".pipeline").n;
        }
        check_case(&t);
        arena_free(&t.arena);
    }
    return t.failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
