/* SPDX-License-Identifier: MIT */
/* The canonical layout of a Pipelinefile. The formatted text parses to an equal tree, and
 * formatting it again changes nothing; comments and single blank lines stay; strings stay as
 * they were written. */
#pragma once

#include "core/base/str.h"
#include "parser/ast.h"

/* text is what f was parsed from. Appends to out. */
void format_file(const struct ast_file *f, struct str text, struct buf *out);
