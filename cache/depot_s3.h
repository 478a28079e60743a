/* SPDX-License-Identifier: MIT */
/* A bucket's prefix as a depot, with the promises of a folder: stored is Last-Modified, now is Date. A put is
 * one request, whole or not at all. What goes wrong is remembered in words, each kind once. */
#pragma once

#include "cache/depot.h"
#include "cache/s3.h"

/* prefix: "" or "team/cache", with or without its last slash; NULL for one of 400 bytes or more. s is borrowed
 * until close. */
struct depot *depot_s3_open(struct s3 *s, struct str prefix, bool writable);
/* Warnings about what went wrong since the last call; a kind that was told is not told again. [any] */
void depot_s3_tell(struct depot *base, struct diags *notes);
