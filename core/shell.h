/* SPDX-License-Identifier: MIT */
/* Shell text with values in it: finds out in which place each `{{x}}` stands (bare, in quotes, in a
 * here-document, …) and puts the value in so that it arrives as its text. */
#pragma once

#include "core/value.h"

enum shell_kind {
    SHELL_NONE,  /* a script of another program: values are put in plainly (value_text) */
    SHELL_POSIX, /* sh, dash, ash */
    SHELL_BASH,  /* bash, and what reads like it: ksh, zsh */
};

/* What runs a command's text: SHELL_POSIX unless it begins with `#!`, then what that line names. */
enum shell_kind shell_kind_of(struct str text);
/* The whole command as a STRING, or LATE if a value is. Text parts are the command's text as decoded for
 * commands. kind is SHELL_POSIX or SHELL_BASH. false with a diagnostic ("shell-place", "here-document", …). */
bool shell_expand(const struct value_work *w, struct value_parts parts, enum shell_kind kind,
                  const struct value_style *style, struct value *out, struct diags *d);
