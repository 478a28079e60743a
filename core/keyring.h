/* SPDX-License-Identifier: MIT */
/* Whose results a workspace takes, and who this user is: read from the files that the Pipelinefile, the environment and
 * the configuration folder name. */
#pragma once

#include "cache/trust.h"
#include "core/graph.h"
#include "core/state.h"

struct keyring {
    struct trust trust;
    struct trust_self self;
    struct str key_path; /* of the private key, there or not; empty: there is no place for one */
    bool named;          /* by PAWL_SIGNING_KEY */
};

struct keyring_source {
    const struct graph *graph; /* NULL: nobody is listed */
    int root;                  /* of the workspace: where paths begin */
    char *const *environment;
    bool signs; /* the private key is wanted */
};
/* All of it is in the arena. false with errors: a listed key, or the signing key, cannot be had. Warnings go to notes.
 * keyring_close wipes what is secret. */
bool keyring_open(struct keyring *k, struct arena *a, const struct keyring_source *from,
                  struct diags *d, struct diags *notes);
void keyring_close(struct keyring *k);
/* Whether what the step last did, or was given, would be taken today. */
bool keyring_trusts(const struct keyring *k, const struct state_step *last);
/* The file of a listed key, as the Pipelinefile says it. */
struct str keyring_name(const struct graph *g, uint32_t i);
