/* SPDX-License-Identifier: MIT */
/* Where large files are cut: FastCDC with normalisation. Part of a list's digest, so it never changes.
 * Format: docs/formats.md, "Chunks". */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { CHUNK_MIN = 16 << 10, CHUNK_NORMAL = 64 << 10, CHUNK_MAX = 256 << 10 };

/* gear[i]: the first 8 bytes of SHA-256("pawl gear" then the byte i), little-endian. */
extern const uint64_t chunk_gear[256];

/* Length of the chunk that begins at bytes. n: CHUNK_MAX or more, or what is left of the file. 0 for n 0. */
size_t chunk_cut(const void *bytes, size_t n);
