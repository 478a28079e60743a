/* SPDX-License-Identifier: MIT */
/* Objects in S3 as inputs of a build's steps. Their versions are asked for together, once before anything runs and
 * once more when a step that used them ended; their bytes are fetched for steps that run and know where the copy is.
 * A room of `build`: nobody else includes it. */
#pragma once

#include "core/building.h"

enum inputs_answer {
    INPUTS_GOOD,
    INPUTS_WAIT, /* the task was made to wait: then again */
    INPUTS_FAILED,
    INPUTS_ANEW, /* another version lies there than was looked at: look at the step anew */
};

bool inputs_is_s3(const struct building *b, const struct graph_input *in);
/* Asks for all that wanted steps need, and waits a little for the answers. wait false: those of a new graph, without
 * waiting. false with a diagnostic: something is not there. */
bool inputs_begin(struct building *b, bool wait, struct diags *d);
uint32_t inputs_waiting(const struct building *b);
/* Nothing more is started: no bytes are fetched any more. Interrupted: no answers are waited for, either. */
void inputs_stop(struct building *b);
void inputs_close(struct building *b);

/* The version as the fingerprint sees it. FAILED: the step has ended, as failed, or, where it is only asked what would
 * be, as one of which that is not known. t NULL: GOOD or WAIT, and nobody waits. */
enum inputs_answer inputs_look(struct building *b, struct task *t, const struct graph_input *in,
                               struct part_file *out);

/* All copies that the task's command knows of, in place. FAILED: said in the task's diagnostics. */
enum inputs_answer inputs_copies(struct task *t);
/* Whether what was looked at is not what is known now, by its version or by a copy that was changed. */
bool inputs_are_outdated(struct task *t);

/* After the command: asks once more; the task waits. The copy's number, to be looked at once more; GRAPH_NONE: it has
 * none. */
uint32_t inputs_check(struct task *t, const struct graph_input *in);
/* … and then whether it read what the fingerprint says. */
bool inputs_held(struct task *t, const struct graph_input *in, const struct part_file *was);
