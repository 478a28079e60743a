/* SPDX-License-Identifier: MIT */
/* What a client knows of a place: the segments that it holds, and where to look in them. Union of all, in any
 * order: two clients that hold the same segments see the same. One lane's. */
#pragma once

#include "cache/segment.h"
#include "core/base/table.h"

/* Bounds of docs/formats.md, "Segment", in ms. */
#define VIEW_MINUTE_MS INT64_C(60000)
#define VIEW_LATE_MS (10 * VIEW_MINUTE_MS) /* L: a segment's name against its stored time */

struct view_segment {
    char name[SEGMENT_NAME]; /* the key */
    int64_t named_ms, stored_ms;
    uint64_t size;
    enum segment_answer state; /* BAD and UNKNOWN are held too, so that they are fetched once */
    bool listed;               /* the manifest's, during a full list */
    struct segment segment;
};
bool view_segment_is_timely(const struct view_segment *s);

struct view_row {
    struct str row;
    uint32_t segment, next; /* next: number + 1 of another row of the same fingerprint */
};

struct view_place {
    uint32_t segment, place, next;
};

struct view_pack {
    int64_t condemned_ms; /* stored time of the segment that said so first; 0: it is not */
    uint32_t places;      /* how many name it */
};

struct view {
    struct arena arena; /* of the index */
    struct view_segment **segments;
    uint32_t count, cap;
    VEC(struct view_row) rows;
    VEC(struct view_place) places;
    uint32_t *row_slots, *place_slots; /* open addressing by fingerprint and root: number + 1 */
    uint32_t row_slot_count, place_slot_count;
    uint32_t row_heads, place_heads; /* slots taken */
    struct table names;              /* of segments: number in segments */
    struct table packs;              /* ids */
    VEC(struct view_pack) pack_info; /* by number in packs */
    struct table prefixes;           /* of used fingerprints */
    VEC(uint32_t) days;              /* by number in prefixes: the newest */
};

void view_init(struct view *v);
void view_free(struct view *v);
bool view_holds(const struct view *v, struct str key);
/* Takes segment (empty where state is not GOOD). */
struct view_segment *view_add(struct view *v, const struct depot_entry *e,
                              enum segment_answer state, struct segment *segment);
/* Forgets all segments that are not marked as listed; gives how many. */
uint32_t view_forget_unlisted(struct view *v);

/* Rows of a fingerprint, newest success first, each once. */
uint32_t view_find_rows(const struct view *v, const struct digest *fingerprint, struct arena *a,
                        struct str **out);
/* The block that holds the row (the view's own, as view_find_rows gave it). */
const struct segment_block *view_block_of(const struct view *v, struct str row);
/* Places of a root, those without condemned packs first. */
uint32_t view_find_places(const struct view *v, const struct ref *root, struct arena *a,
                          struct pack_place **out);
bool view_place_is_condemned(const struct view *v, const struct pack_place *p);
/* NULL: no segment speaks of the pack. */
const struct view_pack *view_find_pack(const struct view *v, const struct pack_id *id);
/* The last day (since 1970) on which somebody said that the fingerprint was of use; 0: never. */
uint32_t view_used_day(const struct view *v, const uint8_t *fingerprint);
