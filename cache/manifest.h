/* SPDX-License-Identifier: MIT */
/* A depot's segments as this client sees them: syncing, the depot's clock, and the rule under which a segment
 * may be published. No locks: docs/formats.md, "Segment", says why none is needed. One lane's. */
#pragma once

#include "cache/view.h"

#define MANIFEST_HOUR_MS (60 * VIEW_MINUTE_MS)
#define MANIFEST_DAY_MS (24 * MANIFEST_HOUR_MS)
#define MANIFEST_SLACK_MS (5 * VIEW_MINUTE_MS)    /* a list starts so much earlier still */
#define MANIFEST_VIEW_MS (10 * VIEW_MINUTE_MS)    /* a view that is older signs nothing */
#define MANIFEST_VISIBLE_MS (30 * VIEW_MINUTE_MS) /* F: view begun to segment visible */
#define MANIFEST_OWN_MS (12 * MANIFEST_HOUR_MS)   /* own packs count on themselves for so long */
#define MANIFEST_FULL_MS MANIFEST_DAY_MS          /* A */
#define MANIFEST_YOUNG_MS MANIFEST_DAY_MS         /* Y: younger packs are not condemned */
#define MANIFEST_MEMORY_MS (7 * MANIFEST_DAY_MS)  /* K: a condemnation is remembered */
#define MANIFEST_GRACE_LEAST_MS (2 * MANIFEST_HOUR_MS)

/* What may be taken in, whoever wrote it: memory is bounded by what segments hold once they are unpacked. Beyond it
 * the place is treated as absent, but for who collects there, who must see all. */
struct manifest_bounds {
    uint32_t segments;   /* of one list */
    uint64_t bytes;      /* fetched in one sync */
    uint64_t raw, items; /* held */
};
#define MANIFEST_BOUNDS                                                                            \
    (struct manifest_bounds)                                                                       \
    {                                                                                              \
        20000, UINT64_C(512) << 20, UINT64_C(512) << 20, UINT64_C(4) << 20                         \
    }

/* Where time and chance come from: the system, or a test. */
struct manifest_world {
    int64_t (*boot_ns)(void *context); /* counts sleep */
    int64_t (*now_ms)(void *context);  /* this machine's idea of the time */
    uint64_t (*random)(void *context);
    void *context;
};
struct manifest_world manifest_world_real(void);

struct manifest_own {
    struct pack_id id;
    int64_t boot_ns;
};

struct manifest {
    struct depot *depot; /* borrowed */
    struct manifest_world world;
    bool folder; /* nobody refuses a late put: the writer checks */
    int dir;     /* borrowed: where plain files can be opened; -1: nowhere */
    struct manifest_bounds bounds;
    struct view view;
    int64_t depot_ms, depot_boot_ns;     /* what the depot last said, and when */
    int64_t list_began_ms, list_boot_ns; /* of the last list that was read whole; 0: never */
    int64_t full_boot_ns;
    VEC(struct manifest_own) own; /* packs that this client has put */
    struct arena arena;
    int64_t keep_ms, grace_ms; /* the place's policy, from `format` */
    bool has_format, told_bad, told_many, told_unreadable;
    bool lean;    /* of what it publishes, the view holds the places alone until a full sync */
    bool partial; /* some segment is held so */
    char published[SEGMENT_NAME]; /* the last segment that this client put */
};

void manifest_init(struct manifest *m, struct depot *depot, bool folder,
                   struct manifest_world world);
void manifest_free(struct manifest *m);
/* For who looks after the place: ten times as much. */
void manifest_widen(struct manifest *m);
/* Reads the place's policy; make: writes it where it is absent. false with a warning: the place is of a kind
 * that this program does not know, or does not answer. */
bool manifest_read_format(struct manifest *m, bool make, struct diags *notes);

/* The depot's time by what it last said; this machine's if it has said nothing. */
int64_t manifest_now_ms(const struct manifest *m);
/* Takes note of an answer. */
void manifest_hear(struct manifest *m, const struct depot_reply *reply);

/* Brings in what is new; all of it, and forgets what is gone, where the last full list is older than A or
 * full is set. false with a warning: the view stands as it was. */
bool manifest_sync(struct manifest *m, bool full, struct diags *notes);
/* Until a full sync, the segment counts as held without having been read: what it says comes to who needs it by another
 * way. */
void manifest_pass_over(struct manifest *m, struct str key);
/* Since the last list that was read whole; INT64_MAX: never. */
int64_t manifest_view_age_ms(const struct manifest *m);

/* Own packs need no view. boot_ns: at the latest when the put began. */
void manifest_add_own(struct manifest *m, const struct pack_id *pack, int64_t boot_ns);

enum manifest_answer {
    MANIFEST_DONE,
    MANIFEST_DOOMED, /* it names a pack that is condemned, unknown, or own and too old: store anew */
    MANIFEST_FAILED, /* told */
};
/* Puts the segment under the publish rule, as often as it takes, and takes it into the view. */
enum manifest_answer manifest_publish(struct manifest *m, const struct segment_draft *draft,
                                      struct diags *notes);
/* The same for what is only passed on (an heir names condemned packs with their condemnations): only while the
 * view is young. */
bool manifest_publish_carried(struct manifest *m, const struct segment_draft *draft,
                              struct diags *notes);
/* Whether a place may be named in a segment to come, as far as the view knows. */
bool manifest_may_name(const struct manifest *m, const struct pack_id *pack);
