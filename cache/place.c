/* SPDX-License-Identifier: MIT */
/* A cursor over the runs, behind a few windows, so that a folder's ten thousand small files cost tens of
 * reads. Runs are hints from outside: each is held against what it is found to contain. */
#include "cache/place.h"

#include "cache/fetch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LIST_OBJECT_LIMIT = 1 << 20 };

void place_reader_init(struct place_reader *r, struct depot *depot, const struct pack_place *place)
{
    *r = (struct place_reader){.depot = depot, .place = place, .folder = -1, .fd = -1};
    for (int i = 0; i < PLACE_WINDOWS; i++) {
        buf_init(&r->windows[i].bytes, PACK_LIMIT);
    }
    frame_decoder_init(&r->decoder);
    table_init(&r->seen, &r->arena);
}

void place_reader_free(struct place_reader *r)
{
    for (int i = 0; i < PLACE_WINDOWS; i++) {
        buf_free(&r->windows[i].bytes);
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
    frame_decoder_free(&r->decoder);
    arena_free(&r->arena);
}

bool place_has(const struct place_reader *r, const struct ref *ref)
{
    char key[REF_KEY];
    return table_find(&r->seen, ref_key(ref->kind, &ref->digest, key)) != TABLE_NONE;
}

bool place_is_used_up(const struct place_reader *r)
{
    const struct pack_place *p = r->place;
    bool last_done = r->run + 1 == p->run_count && p->runs[r->run].count
                     && r->taken == p->runs[r->run].count && r->at == p->runs[r->run].length;
    return r->run >= p->run_count || last_done;
}

/* ---- windows ---- */

/* How far it is worth to read on from here: what of this pack is wanted next, without great gaps. */
static uint64_t bytes_ahead(const struct place_reader *r, uint32_t number, uint64_t offset)
{
    const struct pack_run *run = &r->place->runs[number];
    uint64_t end = run->offset + run->length;
    for (uint32_t i = number + 1; i < r->place->run_count && end - offset < PLACE_WINDOW; i++) {
        const struct pack_run *next = &r->place->runs[i];
        if (!next->count || !pack_id_eq(&next->pack, &run->pack) || next->offset < end
            || next->offset - end >= FETCH_GAP) {
            break;
        }
        end = next->offset + next->length;
    }
    return end - offset;
}

static struct place_window *oldest_window(struct place_reader *r)
{
    struct place_window *oldest = NULL;
    for (int i = 0; i < (r->batch ? PLACE_WINDOWS : PLACE_FEW); i++) {
        struct place_window *w = &r->windows[i];
        if (w->batch <= r->free && (!oldest || w->used < oldest->used)) {
            oldest = w;
        }
    }
    assert(oldest);
    return oldest;
}

uint32_t place_held(const struct place_reader *r)
{
    uint32_t held = 0;
    for (int i = 0; i < PLACE_WINDOWS; i++) {
        held += r->windows[i].batch == r->batch;
    }
    return held;
}

static bool open_pack(struct place_reader *r, const struct pack_id *pack)
{
    char key[PACK_KEY];
    if (r->fd >= 0 && pack_id_eq(&r->open, pack)) {
        return true;
    }
    if (r->fd >= 0) {
        close(r->fd);
    }
    pack_key(pack, false, key);
    r->fd = openat(r->folder, key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    r->open = *pack;
    return r->fd >= 0;
}

static enum pack_answer read_range(struct place_reader *r, const struct pack_run *range,
                                   struct buf *out)
{
    char *room;
    if (r->folder < 0) {
        return pack_get(r->depot, range, out);
    }
    if (!open_pack(r, &range->pack)) {
        return PACK_ABSENT;
    }
    if (range->length > PACK_LIMIT || !(room = buf_reserve(out, (size_t)range->length))) {
        return PACK_BAD;
    }
    while (out->n < range->length) {
        ssize_t n = pread(r->fd, room + out->n, (size_t)range->length - out->n,
                          (off_t)(range->offset + out->n));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return PACK_BAD;
        }
        out->n += (size_t)n;
    }
    return PACK_DONE;
}

/* n bytes of the run's pack from offset on. */
static enum place_answer view(struct place_reader *r, uint32_t number, uint64_t offset, uint64_t n,
                              struct str *out)
{
    const struct pack_id *pack = &r->place->runs[number].pack;
    struct place_window *w = NULL;
    for (int i = 0; i < PLACE_WINDOWS && !w; i++) {
        struct place_window *c = &r->windows[i];
        bool holds = c->bytes.n && pack_id_eq(&c->pack, pack) && offset >= c->offset
                     && offset - c->offset <= c->bytes.n && n <= c->bytes.n - (offset - c->offset);
        w = holds ? c : NULL;
    }
    if (!w) {
        w = oldest_window(r);
        uint64_t ahead = bytes_ahead(r, number, offset);
        ahead = ahead > PLACE_WINDOW ? PLACE_WINDOW : ahead;
        struct pack_run range = {*pack, offset, ahead > n ? ahead : n, 1};
        buf_clear(&w->bytes);
        enum pack_answer answer = read_range(r, &range, &w->bytes);
        if (answer != PACK_DONE) {
            buf_clear(&w->bytes);
            return answer == PACK_ABSENT ? PLACE_ABSENT : PLACE_BAD;
        }
        w->pack = *pack;
        w->offset = offset;
    }
    w->used = ++r->clock;
    w->batch = r->batch;
    *out = str_sub(buf_str(&w->bytes), (size_t)(offset - w->offset), (size_t)n);
    return PLACE_DONE;
}

/* The item at offset; max: bytes from there to its run's end. */
static enum place_answer item_at(struct place_reader *r, uint32_t number, uint64_t offset,
                                 uint64_t max, struct pack_item *out)
{
    struct str bytes;
    enum place_answer answer =
        view(r, number, offset, max < PACK_ITEM_HEAD_MAX ? max : PACK_ITEM_HEAD_MAX, &bytes);
    if (answer != PLACE_DONE) {
        return answer;
    }
    uint64_t length;
    if (!pack_item_length(bytes, &length) || length > max || length > PACK_LIMIT) {
        return PLACE_BAD;
    }
    answer = view(r, number, offset, length, &bytes);
    if (answer != PLACE_DONE) {
        return answer;
    }
    return pack_item_read(bytes, out) && out->length == length ? PLACE_DONE : PLACE_BAD;
}

/* ---- objects ---- */

/* The cursor's run, past those that are used up. */
static const struct pack_run *current_run(struct place_reader *r)
{
    while (r->run < r->place->run_count) {
        const struct pack_run *run = &r->place->runs[r->run];
        if (!run->count || r->taken < run->count) {
            return run;
        }
        if (r->at != run->length) {
            return NULL;
        }
        r->run++;
        r->taken = 0;
        r->at = 0;
    }
    return NULL;
}

static void note_spot(struct place_reader *r, const struct ref *ref, struct place_spot spot)
{
    char key[REF_KEY];
    table_add(&r->seen, ref_key(ref->kind, &ref->digest, key), NULL);
    *VEC_PUSH(&r->arena, &r->spots) = spot;
}

/* The next object of the place, whatever it is. */
static enum place_answer next_item(struct place_reader *r, const struct ref *ref,
                                   struct place_spot *spot, struct pack_item *item)
{
    const struct pack_run *run = current_run(r);
    if (!run || run->length > UINT64_MAX / 2 || run->offset > UINT64_MAX / 4) {
        return PLACE_BAD;
    }
    *spot = (struct place_spot){run->offset + r->at, run->length, r->run};
    if (!run->count) {
        note_spot(r, ref, *spot);
        r->run++;
        return PLACE_PLAIN;
    }
    enum place_answer answer = item_at(r, r->run, spot->offset, run->length - r->at, item);
    if (answer == PLACE_DONE) {
        spot->length = item->length;
        note_spot(r, ref, *spot);
        r->at += item->length;
        r->taken++;
    }
    return answer;
}

bool place_decode(struct frame_decoder *d, const struct ref *ref, const struct pack_item *item,
                  bool verified, struct str *out)
{
    bool is_list = ref->kind == REF_LIST; /* whose reference tells the file's size */
    if (is_list ? item->raw > LIST_OBJECT_LIMIT : item->raw != ref->size) {
        return false;
    }
    if (ref->size > OBJECT_LIMIT && !is_list) {
        return false;
    }
    if (item->encoding == FRAME_RAW) {
        *out = item->stored;
    } else {
        buf_clear(&d->room);
        char *room = buf_reserve(&d->room, (size_t)item->raw);
        *out = (struct str){room, (size_t)item->raw};
        if (!room || !frame_decode(d, item->encoding, item->stored, room, (size_t)item->raw)) {
            return false;
        }
    }
    if (out->n != item->raw || verified) {
        return out->n == item->raw;
    }
    struct digest digest = digest_of(out->s, out->n);
    return digest_eq(&digest, &ref->digest);
}

/* A blob for whose bytes whoever watches vouches: the cursor goes past it. */
static bool pass_vouched(struct place_reader *r, const struct ref *ref)
{
    if (ref->kind != REF_BLOB || !r->tee || !r->tee->vouch) {
        return false;
    }
    const struct pack_run *run = current_run(r);
    uint64_t length;
    if (!run || !run->count) {
        return false;
    }
    const struct pack_run rest = {run->pack, run->offset + r->at, run->length - r->at, 1};
    if (!r->tee->vouch(r->tee->context, ref, &rest, &length)) {
        return false;
    }
    note_spot(r, ref, (struct place_spot){rest.offset, length, r->run});
    r->at += length;
    r->taken++;
    return true;
}

static bool show(struct place_reader *r, const struct ref *ref, const struct place_spot *spot,
                 const struct pack_item *item)
{
    const struct pack_run at = {r->place->runs[spot->run].pack, spot->offset, item->length, 1};
    return r->tee->object(r->tee->context, ref, item, &at);
}

/* known: its number, or TABLE_NONE. */
static enum place_answer locate(struct place_reader *r, const struct ref *ref, uint32_t known,
                                struct place_spot *spot, struct pack_item *item)
{
    if (known == TABLE_NONE) {
        return next_item(r, ref, spot, item);
    }
    *spot = r->spots.at[known];
    return r->place->runs[spot->run].count ? item_at(r, spot->run, spot->offset, spot->length, item)
                                           : PLACE_PLAIN;
}

enum place_answer place_find(struct place_reader *r, const struct ref *ref, struct pack_item *item)
{
    char key[REF_KEY];
    struct place_spot spot;
    enum place_answer answer =
        locate(r, ref, table_find(&r->seen, ref_key(ref->kind, &ref->digest, key)), &spot, item);
    return answer == PLACE_PLAIN ? PLACE_BAD : answer;
}

enum place_answer place_get(struct place_reader *r, const struct ref *ref, struct str *out,
                            struct pack_run *plain)
{
    char key[REF_KEY];
    struct place_spot spot;
    struct pack_item item;
    uint32_t known = table_find(&r->seen, ref_key(ref->kind, &ref->digest, key));
    if (known == TABLE_NONE && pass_vouched(r, ref)) {
        *out = STR_NONE;
        return PLACE_DONE;
    }
    enum place_answer answer = locate(r, ref, known, &spot, &item);
    if (answer == PLACE_PLAIN) {
        *plain = r->place->runs[spot.run];
        bool fits = ref->kind == REF_LIST && plain->length == ref->size && !plain->offset;
        return fits ? PLACE_PLAIN : PLACE_BAD;
    }
    if (answer == PLACE_DONE && !place_decode(&r->decoder, ref, &item, r->verified, out)) {
        return PLACE_BAD;
    }
    if (answer == PLACE_DONE && known == TABLE_NONE && r->tee && !show(r, ref, &spot, &item)) {
        return PLACE_ABSENT;
    }
    return answer;
}
