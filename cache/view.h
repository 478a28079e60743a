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
    bool listed;               /* the manifest's, during a full list … */
    bool partial;              /* … until which it is held without all that it says */
    struct segment segment;
};
bool view_segment_is_timely(const struct view_segment *s);

struct view_row {
    struct str row;
    uint32_t segment, block; /* block: of the segment */
    uint32_t next;           /* number + 1 of another row of the same fingerprint */
};

struct view_place {
    uint32_t segment, place, next;
};

struct view_pack {
    int64_t condemned_ms; /* stored time of the segment that said so first; 0: it is not */
    uint32_t places;      /* how many name it */
};

/* Open addressing; a slot holds a number + 1, 0 is free. */
struct view_slot {
    uint32_t hash, number;
};
struct view_index {
    struct view_slot *slots;
    uint32_t count, taken;
};

struct view {
    struct arena arena; /* of the index */
    struct view_segment **segments;
    uint32_t count, cap;
    VEC(struct view_row) rows;
    VEC(struct view_place) places;
    struct view_index row_heads, place_heads; /* by fingerprint, by root: the newest */
    struct view_index row_set, place_set;     /* by content and signer: each stands here once */
    struct table names;                       /* of segments: number in segments */
    struct table packs;                       /* ids */
    VEC(struct view_pack) pack_info;          /* by number in packs */
    struct table prefixes;                    /* of used fingerprints */
    VEC(uint32_t) days;                       /* by number in prefixes: the newest */
    uint64_t raw_bytes, items; /* of what is held: payloads; rows, places, condemnations, uses */
    uint64_t
        steps; /* slots looked at while adding: nobody's bytes may make them grow faster than items */
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
/* The same with their blocks, each once for each who says so: equal rows stand together, a signed one first. */
struct view_found {
    struct str row;
    struct segment_block *block;
};
uint32_t view_find_all(const struct view *v, const struct digest *fingerprint, struct arena *a,
                       struct view_found **out);
/* Those of them that are this row. */
uint32_t view_find_row(const struct view *v, struct str row, struct arena *a,
                       struct view_found **out);
struct view_found view_row_number(const struct view *v, uint32_t i);
/* Places of a root, those without condemned packs first; of more than most, the newest. Who only reads needs few; who
 * collects must see all. */
enum { VIEW_PLACES_FEW = 64, VIEW_RUNS_FEW = 1 << 20 };
#define VIEW_PLACES_ALL UINT32_MAX
uint32_t view_find_places(const struct view *v, const struct ref *root, uint32_t most,
                          struct arena *a, struct pack_place **out);
bool view_place_is_condemned(const struct view *v, const struct pack_place *p);
/* One without condemned packs. */
bool view_find_sound_place(const struct view *v, const struct ref *root, struct arena *a,
                           struct pack_place *out);
/* NULL: no segment speaks of the pack. */
const struct view_pack *view_find_pack(const struct view *v, const struct pack_id *id);
/* The last day (since 1970) on which somebody said that the fingerprint was of use; 0: never. */
uint32_t view_used_day(const struct view *v, const uint8_t *fingerprint);
