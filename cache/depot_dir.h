/* SPDX-License-Identifier: MIT */
/* A folder as a depot: a put is a file in tmp/, synced, renamed, its folder synced. */
#pragma once

#include "cache/depot.h"
#include "core/base/diag.h"

/* Makes the folder with mode 0700 if it is absent and writable is set. NULL with a warning in notes. */
struct depot *depot_dir_open(struct str dir, bool writable, struct diags *notes);
/* From now on packs are written without waiting for the disk: for copies of what lies elsewhere too. After a power cut
 * they may be garbled, which readers see by their digests; segments are synced as ever. */
void depot_dir_trust_memory(struct depot *d);
/* As a put of the open file's bytes, which was made in this folder without a name (O_TMPFILE) and gets this one, new to
 * it: nothing is copied, and what has no name yet goes with the process. The lane's. */
enum depot_answer depot_dir_adopt(struct depot *d, struct str key, int fd, uint64_t bytes,
                                  struct depot_reply *reply);
/* The folder's descriptor, borrowed: for opening files in it by key. [any] */
int depot_dir_fd(const struct depot *d);
/* Changes when a key comes or goes right below this folder ("m"); 0: cannot tell. Two changes within a
 * tick of the file system's clock may look like one. */
int64_t depot_dir_stamp_ns(const struct depot *d, struct str folder);
