/* SPDX-License-Identifier: MIT */
/* Two batches: one is worked off while the other is gathered. What a batch's pieces need of the reader's windows
 * stays until it is done. */
#include "cache/pieces.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BATCH_PIECES = 512,
    BATCH_ENDS = 8, /* descriptors that stay open meanwhile, at most: … */
    ENDS_PART = 16, /* … of two batches of a restore on each core so much of all that may be open */
};

struct pieces_job {
    struct piece piece;
    struct pack_item item; /* borrowed of a window */
    const char *name;      /* NULL: none */
    enum pieces_answer answer;
    int error;
};

struct pieces_batch {
    const struct pieces *pieces;
    struct arena arena;
    VEC(struct pieces_job) jobs;
    struct piece_end ends[BATCH_ENDS];
    uint32_t end_count;
    uint64_t number;
    struct share *share;
};

/* Other restores, commands and connections need descriptors, too. */
static uint32_t ends_most(void)
{
    struct rlimit limit;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1;
    }
    rlim_t share = limit.rlim_cur / ENDS_PART / (rlim_t)(cores > 0 ? cores : 1);
    return share > BATCH_ENDS ? BATCH_ENDS : share > 0 ? (uint32_t)share : 1;
}

void pieces_init(struct pieces *p, struct place_reader *reader, struct frame_pool *frames,
                 struct workers *workers)
{
    *p = (struct pieces){.reader = reader,
                         .frames = frames,
                         .workers = workers,
                         .ends_most = ends_most(),
                         .number = 1};
    for (int i = 0; i < 2; i++) {
        p->batches[i] = mem_alloc(sizeof *p->batches[i]);
        p->batches[i]->pieces = p;
    }
    reader->batch = p->number;
}

/* ---- one piece, on any thread ---- */

bool piece_set_mode(int fd, uint32_t mode)
{
    struct stat st;
    return fstat(fd, &st) == 0 && ((st.st_mode & 07777) == mode || fchmod(fd, mode) == 0);
}

static bool write_file(const struct pieces_job *job, struct str bytes)
{
    const struct piece *piece = &job->piece;
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(piece->fd, job->name, flags, piece->mode);
    if (fd < 0) {
        return false;
    }
    bool ok =
        file_write_all(fd, bytes.s, bytes.n) && (piece->sure || piece_set_mode(fd, piece->mode));
    int error = errno;
    if (close(fd) != 0 && ok) {
        return false;
    }
    errno = error;
    return ok;
}

static void run_job(void *context, uint32_t i)
{
    struct pieces_batch *b = context;
    struct pieces_job *job = &b->jobs.at[i];
    const struct pieces *p = b->pieces;
    const struct piece *piece = &job->piece;
    struct frame_decoder decoder = frame_pool_take(p->frames);
    struct str bytes;
    if (!place_decode(&decoder, &piece->ref, &job->item, p->reader->verified, &bytes)) {
        job->answer = PIECES_BAD;
    } else if (!(job->name ? write_file(job, bytes)
                           : file_write_at(piece->fd, bytes.s, bytes.n, piece->offset))) {
        job->answer = PIECES_UNWRITTEN;
        job->error = errno ? errno : EIO;
    }
    frame_pool_give(p->frames, &decoder);
}

/* ---- batches ---- */

static void say(struct pieces *p, enum pieces_answer answer, int error)
{
    if (p->answer == PIECES_DONE) {
        p->answer = answer;
        p->error = error;
    }
}

static void end_one(struct pieces *p, const struct piece_end *end)
{
    bool ok = p->answer != PIECES_DONE || end->sure || piece_set_mode(end->fd, end->mode);
    int error = errno;
    if (close(end->fd) != 0 && ok) {
        ok = false;
        error = errno;
    }
    if (!ok) {
        say(p, PIECES_UNWRITTEN, error ? error : EIO);
    }
}

/* Until the batch is done. */
static void finish(struct pieces *p, struct pieces_batch *b)
{
    share_end(b->share);
    b->share = NULL;
    for (uint32_t i = 0; i < b->jobs.n; i++) {
        if (b->jobs.at[i].answer != PIECES_DONE) {
            say(p, b->jobs.at[i].answer, b->jobs.at[i].error);
        }
    }
    for (uint32_t i = 0; i < b->end_count; i++) {
        end_one(p, &b->ends[i]);
    }
    p->reader->free = b->number;
    b->jobs.n = 0;
    b->end_count = 0;
}

static struct pieces_batch *gathered(const struct pieces *p)
{
    return p->batches[p->number % 2];
}

/* The batch that is gathered is handed out once the one before is done; that one's room is for the next. */
static void turn(struct pieces *p)
{
    struct pieces_batch *b = gathered(p), *before = p->batches[(p->number + 1) % 2];
    finish(p, before);
    arena_free(&before->arena);
    before->arena = (struct arena){0};
    before->jobs.at = NULL;
    before->jobs.cap = 0;
    b->number = p->number;
    b->share = b->jobs.n ? share_begin(p->workers, b->jobs.n, run_job, b) : NULL;
    p->reader->batch = ++p->number;
}

void pieces_make_room(struct pieces *p)
{
    if (gathered(p)->jobs.n >= BATCH_PIECES || place_held(p->reader) >= PLACE_HOLD) {
        turn(p);
    }
}

enum place_answer pieces_add(struct pieces *p, const struct piece *piece)
{
    pieces_make_room(p);
    if (p->answer != PIECES_DONE) {
        return PLACE_DONE;
    }
    struct pack_item item;
    enum place_answer answer = place_find(p->reader, &piece->ref, &item);
    if (answer == PLACE_DONE) {
        struct pieces_batch *b = gathered(p);
        struct pieces_job *job = VEC_PUSH(&b->arena, &b->jobs);
        *job = (struct pieces_job){.piece = *piece, .item = item};
        job->name = piece->name.n ? str_c(&b->arena, piece->name) : NULL;
    }
    return answer;
}

void pieces_close(struct pieces *p, const struct piece_end *end)
{
    if (gathered(p)->end_count >= p->ends_most) {
        turn(p);
    }
    struct pieces_batch *b = gathered(p);
    b->ends[b->end_count++] = *end;
}

bool pieces_end(struct pieces *p)
{
    turn(p);
    turn(p);
    for (int i = 0; i < 2; i++) {
        arena_free(&p->batches[i]->arena);
        mem_free(p->batches[i]);
        p->batches[i] = NULL;
    }
    p->reader->batch = 0;
    return p->answer == PIECES_DONE;
}
