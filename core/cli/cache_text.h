/* SPDX-License-Identifier: MIT */
/* What 'pawl cache' prints, of the local cache and of a remote one alike. */
#pragma once

#include "cache/cache.h"
#include "core/cli/opts.h"

/* "1 pack", "2 packs". */
void cache_text_count(struct buf *b, const char *before, uint64_t n, const char *what);
void cache_text_entry(struct buf *b, const struct cache_entry *e, bool json);
void cache_text_gc(struct buf *b, const struct cache_gc_report *report, const struct opts *o);
void cache_text_check(struct buf *b, const struct cache_check_report *report, bool sound,
                      bool json);
