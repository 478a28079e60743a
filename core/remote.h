/* SPDX-License-Identifier: MIT */
/* Where a pipeline's remote cache is. What the rooms of a build say to it stands in building.h. */
#pragma once

#include "cache/far.h"
#include "core/graph.h"

/* From the environment (PAWL_REMOTE, a url or off, and PAWL_REMOTE_…) before the Pipelinefile. false: there is none. */
bool remote_options(const struct graph *g, char *const *environment, struct far_options *out);
