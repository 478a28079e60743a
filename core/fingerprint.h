/* SPDX-License-Identifier: MIT */
/* A step's identity as a list of labelled parts, the digest of that list, and the difference of two. The list
 * is made once and used for both, so an explanation can't drift from the decision. Format: docs/formats.md,
 * "Fingerprint". Knows what a graph is, looks at nothing else. */
#pragma once

#include "cache/record.h"
#include "core/graph.h"

struct part {
    struct str
        label; /* "command", "cwd", "input data/a.csv", "param depth", "env LANG", "platform", … */
    struct str value; /* for files: "blob HEX", "tree HEX", "absent" */
    bool secret;      /* env and probe values: leave this machine only as a tag */
    bool info;        /* not in the digest: only names a cause (GRAPH_NAMED_INFO) */
};
struct part_list {
    struct part *at;
    uint32_t n, cap;
};

/* A file as the fingerprint sees it. */
struct part_file {
    uint8_t kind; /* enum ref_kind; REF_NONE: absent; PART_S3 */
    struct digest digest;
    struct str version; /* PART_S3: what the digest is of, in words */
};
enum { PART_S3 = 5 }; /* objects in S3: the digest of their versions */

/* What of a step is not constant in the graph; arrays are in the order of the step's own ranges. */
struct fingerprint_values {
    struct str command;             /* command_tracked, expanded; ARGV: words each ended by NUL */
    const struct str *env;          /* one for each of step.env */
    const struct str *probes;       /* one for each of step.probes */
    const struct part_file *tools;  /* one for each of step.tools */
    const struct part_file *inputs; /* one for each of step.inputs */
    struct str platform; /* fingerprint_platform; empty: it is asked for, a system call each time */
};

/* "linux-x86_64": where this program runs. */
struct str fingerprint_platform(struct arena *a);

/* Fills graph_step.declared for each step whose declared parts are all constant; called once, by eval, on the
 * fresh image. */
void fingerprint_fill_declared(struct graph *g);

/* The whole list, in the order in which it is digested; values copied or borrowed from the graph and v. */
void fingerprint_parts(const struct graph *g, step_id s, const struct fingerprint_values *v,
                       struct arena *a, struct part_list *out);
/* The digest of that list, without making it where the graph knows the declared half. */
struct digest fingerprint_digest(const struct graph *g, step_id s,
                                 const struct fingerprint_values *v);

/* The list as it goes into a record (secret values as tags under the record's salt if tagged is set; the local
 * state keeps them plain, but never a `secret` item: those are in no list). */
void fingerprint_to_record(struct arena *a, const struct part_list *parts, bool tagged,
                           struct record *r);

struct part_change {
    struct str label;
    struct str before, after; /* empty and has_… false: the part was not there */
    bool had_before, has_after;
};
/* What differs between a record's parts and the present ones, causes first: INFO parameters before the command
 * that they changed (the command is then left out unless `whole`). The number of changes. */
uint32_t fingerprint_difference(struct arena *a, const struct record *before,
                                const struct part_list *now, bool whole, struct part_change **out);
/* One line for people: "param max_depth: 5 -> 6", "input data/a.csv changed", "command changed", "code train.py
 * changed"; two or more: the first and ", and 2 more". Long values are cut. */
struct str fingerprint_reason(struct arena *a, const struct part_change *changes, uint32_t count);
