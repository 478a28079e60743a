/* SPDX-License-Identifier: MIT */
/* What a client knows of a far place: the copies that it keeps, and what one LIST adds to them. One lane's. */
#pragma once

#include "cache/far_depot.h"
#include "cache/manifest.h"

struct far_view {
    struct far_place *place; /* borrowed */
    int folder;              /* of the copies; -1: none */
    struct depot *depot;
    struct manifest manifest;
    bool open, unusable;
    int64_t full_ms; /* begin of the last full list, by the far clock; 0: never */
};

/* Reads the copies, at the first call. false: the place is of no use. */
bool far_view_open(struct far_view *v, struct far_place *p, struct diags *notes);
void far_view_close(struct far_view *v);
/* Looks for what is new if the last look is older than max_age_ms; one LIST when there is nothing. false: it
 * could not be asked; what was known is known. */
bool far_view_sync(struct far_view *v, int64_t max_age_ms, struct diags *notes);
/* The list is needed in full, at once: for who looks after the place. */
bool far_view_sync_full(struct far_view *v, struct diags *notes);
