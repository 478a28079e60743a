/* SPDX-License-Identifier: MIT */
/* Each command is one function: options in, exit code out (core/cli/session.h). */
#pragma once

#include "core/base/str.h"

struct opts;

int cmd_build(const struct opts *o); /* build, status, explain, restore */
int cmd_list(const struct opts *o);
int cmd_graph(const struct opts *o);
int cmd_log(const struct opts *o);
int cmd_runs(const struct opts *o);
int cmd_stats(const struct opts *o);
int cmd_diff(const struct opts *o);
int cmd_metrics(const struct opts *o);
int cmd_clean(const struct opts *o);
int cmd_cache(const struct opts *o);
/* What concerns the remote cache: push, pull; ls, gc and check with --remote. Wants a Pipelinefile. */
int cmd_cache_remote(const struct opts *o, struct str what);
int cmd_cache_key(const struct opts *o); /* key new, trust, ls, vouch */
int cmd_check(const struct opts *o);
int cmd_fmt(const struct opts *o);
int cmd_init(const struct opts *o);
