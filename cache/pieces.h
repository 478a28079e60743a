/* SPDX-License-Identifier: MIT */
/* Files on their way out of packs: while one batch of objects is decoded, held against its digests and written by
 * whoever has nothing else to do, the next is looked up. Of several failures the first in the place's order is told,
 * whichever came first. One thread's, but for what it shares out. */
#pragma once

#include "cache/place.h"
#include "core/base/workers.h"

/* An object and where it goes: a new file of this name in the folder, or (no name) this offset of an open file. */
struct piece {
    struct ref ref;
    int fd;
    struct str name;
    uint64_t offset;
    uint32_t mode;
    bool sure; /* a file made with mode gets it, whatever the umask */
};

/* A file or folder in which pieces are, closed when all of them are. */
struct piece_end {
    int fd;
    uint32_t mode;
    bool sure; /* it has that mode */
};

enum pieces_answer { PIECES_DONE, PIECES_BAD, PIECES_UNWRITTEN };

struct pieces_job;
struct pieces_batch;
struct pieces {
    struct place_reader *reader; /* borrowed */
    struct frame_pool *frames;   /* borrowed, or NULL */
    struct workers *workers;     /* borrowed, or NULL */
    struct pieces_batch *batches[2];
    uint32_t ends_most;        /* of a batch */
    uint64_t number;           /* of the batch that is gathered: the first of the two, if odd */
    enum pieces_answer answer; /* not DONE: nothing more needs to be added */
    int error;                 /* of UNWRITTEN */
};
/* From here on and until the end the reader's items are kept for the pieces. */
void pieces_init(struct pieces *p, struct place_reader *reader, struct frame_pool *frames,
                 struct workers *workers);
/* Room in the reader for one object more: to be called before each get, too. */
void pieces_make_room(struct pieces *p);
/* The place's answer; PLACE_DONE: it will be written, or answer says why not. */
enum place_answer pieces_add(struct pieces *p, const struct piece *piece);
/* Takes the descriptor. */
void pieces_close(struct pieces *p, const struct piece_end *end);
/* All that was added is done, and what was to be closed is closed. false: answer tells. */
bool pieces_end(struct pieces *p);
/* Gives an open file or folder these permissions, where it has others. false with errno. */
bool piece_set_mode(int fd, uint32_t mode);
