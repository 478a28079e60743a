/* SPDX-License-Identifier: MIT */
/* What is written between quotes, and numbers with units, as values. Private to the parser. */
#pragma once

#include "parser/ast.h"

/* Decodes the text parts of a string node whose spans point into text: indentation, then escapes
 * by the rules for commands or for all else. Parts that become empty are dropped. Tells bad
 * escapes (code "bad-escape"). */
void literal_decode(struct arena *a, struct ast_string *string, struct str text, struct diags *d);

/* A number with a unit. false and a diagnostic if there is no such unit, or it is too much. */
bool literal_quantity(struct str text, struct span at, enum ast_expr_kind *kind, int64_t *value,
                      struct diags *d) __attribute__((warn_unused_result));
