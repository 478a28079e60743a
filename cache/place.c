/* SPDX-License-Identifier: MIT */
/* A cursor over the runs, behind a few windows, so that a folder's ten thousand small files cost tens of
 * reads. Runs are hints from outside: each is held against what it is found to contain. */
#include "cache/place.h"

#include "cache/fetch.h"

#include <string.h>

enum { SEEN_KEY = 33, LIST_OBJECT_LIMIT = 1 << 20 };

void place_reader_init(struct place_reader *r, struct depot *depot, const struct pack_place *place)
{
    *r = (struct place_reader){.depot = depot, .place = place};
    for (int i = 0; i < PLACE_WINDOWS; i++) {
        buf_init(&r->windows[i].bytes, PACK_LIMIT);
    }
    frame_decoder_init(&r->decoder);
    buf_init(&r->raw, OBJECT_LIMIT);
    table_init(&r->seen, &r->arena);
}

void place_reader_free(struct place_reader *r)
{
    for (int i = 0; i < PLACE_WINDOWS; i++) {
        buf_free(&r->windows[i].bytes);
    }
    frame_decoder_free(&r->decoder);
    buf_free(&r->raw);
    arena_free(&r->arena);
}

static struct str seen_key(char out[SEEN_KEY], const struct ref *ref)
{
    out[0] = (char)ref->kind;
    memcpy(out + 1, ref->digest.b, sizeof ref->digest.b);
    return (struct str){out, SEEN_KEY};
}

bool place_has(const struct place_reader *r, const struct ref *ref)
{
    char key[SEEN_KEY];
    return table_find(&r->seen, seen_key(key, ref)) != TABLE_NONE;
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
    struct place_window *oldest = &r->windows[0];
    for (int i = 1; i < PLACE_WINDOWS; i++) {
        oldest = r->windows[i].used < oldest->used ? &r->windows[i] : oldest;
    }
    return oldest;
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
        enum pack_answer answer = pack_get(r->depot, &range, &w->bytes);
        if (answer != PACK_DONE) {
            buf_clear(&w->bytes);
            return answer == PACK_ABSENT ? PLACE_ABSENT : PLACE_BAD;
        }
        w->pack = *pack;
        w->offset = offset;
    }
    w->used = ++r->clock;
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
    char key[SEEN_KEY];
    table_add(&r->seen, seen_key(key, ref), NULL);
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

static bool decode(struct place_reader *r, const struct ref *ref, const struct pack_item *item,
                   struct str *out)
{
    bool is_list = ref->kind == REF_LIST; /* whose reference tells the file's size */
    if (is_list ? item->raw > LIST_OBJECT_LIMIT : item->raw != ref->size) {
        return false;
    }
    if (ref->size > OBJECT_LIMIT && !is_list) {
        return false;
    }
    buf_clear(&r->raw);
    char *room = buf_reserve(&r->raw, (size_t)item->raw);
    if (!room
        || !frame_decode(&r->decoder, item->encoding, item->stored, room, (size_t)item->raw)) {
        return false;
    }
    *out = (struct str){room, (size_t)item->raw};
    if (r->verified) {
        return true;
    }
    struct digest digest = digest_of(room, (size_t)item->raw);
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

enum place_answer place_get(struct place_reader *r, const struct ref *ref, struct str *out,
                            struct pack_run *plain)
{
    char key[SEEN_KEY];
    struct place_spot spot;
    struct pack_item item;
    enum place_answer answer;
    uint32_t known = table_find(&r->seen, seen_key(key, ref));
    if (known == TABLE_NONE && pass_vouched(r, ref)) {
        *out = STR_NONE;
        return PLACE_DONE;
    }
    if (known == TABLE_NONE) {
        answer = next_item(r, ref, &spot, &item);
    } else {
        spot = r->spots.at[known];
        answer = r->place->runs[spot.run].count
                     ? item_at(r, spot.run, spot.offset, spot.length, &item)
                     : PLACE_PLAIN;
    }
    if (answer == PLACE_PLAIN) {
        *plain = r->place->runs[spot.run];
        bool fits = ref->kind == REF_LIST && plain->length == ref->size && !plain->offset;
        return fits ? PLACE_PLAIN : PLACE_BAD;
    }
    if (answer == PLACE_DONE && !decode(r, ref, &item, out)) {
        return PLACE_BAD;
    }
    if (answer == PLACE_DONE && known == TABLE_NONE && r->tee && !show(r, ref, &spot, &item)) {
        return PLACE_ABSENT;
    }
    return answer;
}
