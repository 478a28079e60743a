/* SPDX-License-Identifier: MIT */
/* Objects of one bucket as inputs: which version of them lies there, and its bytes. A version is ETag and size, which
 * every listing tells; of a prefix those of all objects below it. Waits: for threads that may wait. */
#pragma once

#include "core/base/arena.h"
#include "core/base/diag.h"

struct workers;

enum {
    DATA_OBJECTS_LIMIT = 100000, /* below one prefix */
    DATA_PART = 8 << 20,         /* bytes in one request */
    DATA_WINDOW =
        16 * DATA_PART, /* a larger object goes on, after a break, at a multiple of this */
};

struct data_options {
    struct str bucket;
    struct str region, endpoint, profile; /* empty: as the environment says */
    bool path_style;
    bool
        remote; /* the bucket of the remote cache: the PAWL_REMOTE_… of the environment hold, too */
    char *const *environment;
};

struct data_bucket; /* [any]: what follows but open and close may be called on any thread */

/* NULL with a warning. Asks nobody yet. Texts are copied. */
struct data_bucket *data_open(const struct data_options *o, struct diags *notes);
void data_close(struct data_bucket *b); /* NULL is fine; nothing may be under way */
/* No request is begun any more, nor any tried again: what is under way ends soon. NULL is fine. */
void data_stop(struct data_bucket *b);

struct data_object {
    struct str key, etag; /* etag: without its quotes */
    uint64_t size;
};

enum data_state {
    DATA_TROUBLE, /* it could not be asked */
    DATA_ABSENT,  /* no such object; nothing below the prefix; no such bucket */
    DATA_HERE,
};

struct data_want {
    struct str key; /* one that is empty or ends in '/': all below it */
    uint32_t mark;  /* the caller's own */
    enum data_state state;
    struct data_object *objects; /* HERE: the one, or all below in order of their keys */
    uint32_t count;
    struct str trouble, help; /* TROUBLE */
    bool no_bucket;           /* ABSENT: and no such bucket */
};
/* Many below a common prefix cost a LIST for each thousand keys there, others a HEAD each, side by side. What is
 * found is put in a. Reorders wants. */
void data_ask(struct data_bucket *b, struct data_want *wants, uint32_t count, struct arena *a);

/* A file that is to become an object's copy. */
struct data_file {
    const struct data_object *object;
    struct str path; /* from the folder given; made if it is not there */
    uint64_t have;   /* bytes at its beginning that are there already: a multiple of DATA_WINDOW */
    uint32_t
        parts[DATA_WINDOW / DATA_PART]; /* data_fetch's own: what has come of the window behind */
};

enum data_end {
    DATA_WHOLE,
    DATA_CHANGED, /* another version lies there, or none */
    DATA_FAILED,
    DATA_STOPPED, /* the pool was cancelled */
    DATA_DISK,    /* cannot be written: errno is in words */
};
/* All of them, several ranges side by side, each of the version that is wanted. Goes on as long as bytes come. What
 * is not whole at the end stays, for a next time. *trouble is put in a. */
enum data_end data_fetch(struct data_bucket *b, int folder, struct data_file *files, uint32_t count,
                         const struct workers *until, struct arena *a, struct str *trouble);
