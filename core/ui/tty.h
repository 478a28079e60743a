/* SPDX-License-Identifier: MIT */
/* A listener for a terminal: what runs now, for how long, how much is done and how long it may take, redrawn in
 * place below one line of result a step. */
#pragma once

#include "core/ui/text.h"

struct tty;
struct tty *tty_open(const struct text_options *o);
void tty_close(struct tty *t); /* the screen is left as plain lines */
struct listener *tty_listener(struct tty *t);
