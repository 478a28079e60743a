/* SPDX-License-Identifier: MIT */
/* The compiled graph as bytes: header, section table, sections aligned to 8. Position independent; what
 * comes from outside is verified to the last index before anybody sees it. For graph.c and the fuzzer. */
#pragma once

#include "core/graph.h"

/* Lays out one contiguous image in a. order and back are draft->steps.n and draft->edges.n items. */
void graph_image_lay(const struct graph_draft *draft, const uint32_t *order,
                     const struct graph_edge *back, struct arena *a, struct graph *out);
/* Typed pointers into bytes that stay borrowed (aligned to 8). false: not a whole, sound image. */
bool graph_image_read(const void *bytes, size_t n, struct graph *out);
/* Writes the checksum into an image that graph_image_lay made. */
void graph_image_seal(void *image, size_t n);
/* Every index and range of a graph whose arrays are in place. */
bool graph_is_sound(const struct graph *g, size_t pool_bytes);
/* Indices by hash of a name or path: open addressing, number + 1, a power of two. */
uint32_t graph_image_find_step(const struct graph *g, struct str name);
uint32_t graph_image_find_file(const struct graph *g, struct str path);
