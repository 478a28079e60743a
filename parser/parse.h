/* SPDX-License-Identifier: MIT */
/* The door of the parser: one text becomes one tree, or diagnostics. It never touches the file
 * system and knows nothing of what names mean. */
#pragma once

#include "core/base/diag.h"
#include "parser/ast.h"

/* Parses the text of source number `source` of d (diags_add_source). Returns NULL if there was
 * any error: all syntax errors that can be told apart are in d. The tree lives in a and does not
 * point into the text. */
const struct ast_file *parse_file(struct arena *a, uint32_t source, struct diags *d);

/* The same, but with a tree also if it is good in spite of all errors, as where a forgotten keyword
 * was taken for `let`: so that other mistakes can be told in the same go. */
const struct ast_file *parse_file_mended(struct arena *a, uint32_t source, struct diags *d);

/* The same for a text that is one expression, as `-p 'depths=[3, 5]'` has it. */
const struct ast_expr *parse_expr(struct arena *a, uint32_t source, struct diags *d);

/* True if x can stand where a name is wanted: not reserved, and of the right letters. */
bool parse_is_name(struct str x);
