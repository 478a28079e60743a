/* SPDX-License-Identifier: MIT */
/* GNU make's jobserver: tokens, one byte each, in a pipe or a fifo that all processes of a build share. Who
 * was started by make owns one slot without a token, and takes a token for each job beyond the first; a
 * token goes back as the byte that was read. As a server, pawl takes from its own pool by the same rule; it is none
 * yet: steps that are makes will want one. */
#pragma once

#include "core/base/str.h"

struct jobserver {
    int read_fd,
        write_fd; /* -1: there is no jobserver; reading never blocks where reopened is set */
    bool reopened;
    bool is_server;
    bool own_slot_used;
    uint32_t slots;  /* server: all together, the own one included; client: make's -j, 0 unknown */
    uint8_t *tokens; /* those held, on the heap */
    uint32_t token_count, token_cap;
    int shared_read, shared_write; /* server with a pipe: what children inherit; else -1 */
    char *fifo;                    /* server with a fifo: its path, on the heap, removed at close */
};

enum jobserver_found {
    JOBSERVER_NONE, /* MAKEFLAGS names none */
    JOBSERVER_OPEN,
    JOBSERVER_CLOSED, /* it names one that we were not given: make wants a '+' before the recipe's line */
};

/* makeflags: the variable's value (NULL: unset). To be called before the program opens descriptors of its
 * own, which could be taken for the jobserver's. */
enum jobserver_found jobserver_join(struct jobserver *js, const char *makeflags);

/* Server of slots (at least 1). fifo_path NULL: a pipe, which every GNU make since 4.2 understands and whose
 * descriptors all children inherit; else a fifo is made there (make 4.4 and later). false with errno. */
bool jobserver_serve(struct jobserver *js, uint32_t slots, const char *fifo_path);
/* The value of MAKEFLAGS for children of a server: inherited flags (NULL: none) without their -j and
 * jobserver, then ours. */
void jobserver_put_makeflags(const struct jobserver *js, const char *inherited, struct buf *out);

/* A slot for one more job, without waiting; false if none is free now. Give it back with release. */
bool jobserver_acquire(struct jobserver *js);
void jobserver_release(struct jobserver *js);
uint32_t jobserver_held(const struct jobserver *js); /* the own slot included */
/* Readable when a token may be free; -1 without a jobserver. */
int jobserver_fd(const struct jobserver *js);

/* Server, with no job running: as many tokens as there should be, whatever children lost or made up. */
void jobserver_refill(struct jobserver *js);
/* Gives all back. May be called twice. */
void jobserver_close(struct jobserver *js);
