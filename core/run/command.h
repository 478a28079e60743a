/* SPDX-License-Identifier: MIT */
/* From a job's text to the words that are executed. */
#pragma once

#include "core/base/str.h"

struct arena;

/* The words of a text that is one plain command for the shell: no metacharacter, variable, pattern,
 * assignment, builtin or keyword, so that running it without a shell is the same. When in doubt false.
 * argv ends in NULL. */
bool job_split_simple(struct arena *a, struct str script, char ***argv);

/* The words of a #! line, split as a shell would: blanks part, '…' and "…" hold together, a backslash takes
 * the next character. false: it has none, or a quote is not closed. room: NULLs behind the words, at least 1. */
bool command_split_interpreter(struct arena *a, struct str script, uint32_t room, char ***argv,
                               uint32_t *count);

/* The file that PATH (a value of that variable) gives for a name without a slash, or NULL. Entries that are
 * not absolute, and what they give, are as seen from cwd (NULL: the process's). */
const char *command_find(struct arena *a, const char *path, const char *cwd, const char *name);

/* The value of a variable in an environment, or NULL. */
const char *command_env(char *const *envp, const char *name);
