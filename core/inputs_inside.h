/* SPDX-License-Identifier: MIT */
/* What asking and fetching share: one entry for each URI, of the build's thread alone. */
#pragma once

#include "cache/data.h"
#include "core/inputs.h"
#include "core/s3_uri.h"

struct inputs_place {
    struct str bucket;
    struct data_bucket *data; /* NULL: cannot be had, and … */
    struct str trouble;       /* … why */
};

enum input_state { INPUT_UNASKED, INPUT_TROUBLE, INPUT_ABSENT, INPUT_HERE };

struct input {
    struct str uri;
    struct s3_uri parts;
    struct inputs_place *place;

    enum input_state state;
    bool queued;           /* to be asked for with the next round */
    bool asking;           /* in one that is under way */
    bool no_bucket;        /* ABSENT: and its bucket, too */
    bool unsure;           /* HERE: the last answer did not come */
    int64_t asked_boot_ns; /* when the last answer came, or did not */
    struct arena arena;    /* of a prefix: what follows */
    struct data_object *objects;
    uint32_t count;
    uint64_t bytes;
    struct digest version;
    struct digest first; /* as the first answer had it; zeros: nothing lies there */
    bool answered;       /* … or it never came */
    struct str words;    /* the version for people */
    struct str trouble, help;
    VEC(uint32_t) waiters; /* tasks' numbers: for the round under way … */
    VEC(uint32_t) next;    /* … and for the next one */

    enum { COPY_NONE, COPY_BUSY, COPY_HERE, COPY_FAILED } copy;
    uint32_t chased; /* how often another version lay there than was asked for */
    bool recalled;   /* what the state knows of a copy was tried */
    struct digest copy_version;
    struct str copy_path;
    uint32_t copy_number; /* observe's */
    uint8_t copy_kind;    /* enum ref_kind */
    struct digest copy_content;
    struct str copy_trouble;
    VEC(uint32_t) copy_waiters;
};

struct inputs {
    struct building *building;
    struct table uris;
    VEC(struct input *) all; /* in the order of uris */
    VEC(struct inputs_place *) places;
    VEC(uint32_t) queue;
    timer_id timer;
    struct workers *askers, *fetchers; /* NULL: not needed yet */
    uint32_t asks, brings;             /* under way, or in line */
    VEC(struct input *) line;          /* copies to be made */
    uint32_t line_from, bringing;      /* of line; so many are being made */
    uint32_t begun;                    /* of them, ever */
    bool no_fetching, no_asking;       /* it was stopped */
};

struct input *inputs_of(struct building *b, file_id file);
/* Asks for it with the next round. waiter: a task's number, or GRAPH_NONE. */
void inputs_queue(struct inputs *x, struct input *in, uint32_t waiter);
void inputs_wake(struct building *b, const uint32_t *numbers, uint32_t count);
/* Those that wait for its copy. */
void inputs_wake_copies(struct building *b, struct input *in);
/* Says into d what is wrong with it. */
struct str inputs_say(struct building *b, const struct input *in, struct gspan at, struct diags *d);

/* inputs_copy.c */
enum inputs_answer inputs_copy(struct task *t, struct input *in);
bool inputs_copy_is_good(struct building *b, const struct input *in);
