/* SPDX-License-Identifier: MIT */
/* What lies in the workspace: each path looked at once, its digest taken from the state where that is provably
 * still right, else hashed by a worker. Numbers for paths are its own and outlive a changed graph. */
#pragma once

#include "cache/object.h"
#include "core/base/workers.h"
#include "core/graph.h"
#include "core/state.h"

enum observe_status {
    OBSERVE_UNSEEN,  /* not looked at yet */
    OBSERVE_GLANCED, /* looked at, the state not asked yet; observe's own */
    OBSERVE_STALE,   /* looked at; its digest is not known */
    OBSERVE_HASHING, /* a worker is at it */
    OBSERVE_KNOWN,   /* seen holds (also for a path where nothing is: ref.kind REF_NONE) */
    OBSERVE_BROKEN,  /* cannot be read; diagnostics were given */
};

struct observed {
    struct str path;
    uint32_t status;  /* enum observe_status */
    uint32_t waiters; /* observe's own list */
    uint32_t mode;    /* permission bits */
    uint32_t seen_at; /* observe's own count */
    bool forgotten;   /* while it was being hashed */
    struct ref ref;
    struct digest content;
    struct file_sig sig;
    int64_t hashed_ns;  /* as in the state; 0: sig proves nothing */
    struct digest walk; /* of a folder, as object_walk gives it, where walked */
    int64_t newest_ns;  /* newest ctime of it and, for a folder, of what is below */
    bool walked;
};

struct observe;
/* Told when a path that it waited for is KNOWN or BROKEN. */
typedef void observe_function(void *context, uint32_t waiter);

/* What it works with; all borrowed. */
struct observe_with {
    int root; /* the workspace */
    struct state *state;
    struct workers *workers;
    observe_function *ready;
    void *context;       /* of ready */
    struct diags *diags; /* gets what cannot be read */
};
struct observe *observe_make(struct arena *a, const struct observe_with *with);

/* The path's number (of a graph's file, a discovered input, or, absolute, a tool). */
uint32_t observe_add(struct observe *o, struct str path);
/* Makes room for so many paths at once; more may follow. */
void observe_expect(struct observe *o, uint32_t count);
/* Looks at many at once, on all threads; those whose digest the state knows become KNOWN. */
void observe_many(struct observe *o, const uint32_t *numbers, uint32_t count);
/* What is there; looks (one stat) if that was not done. Never hashes. Valid until the next observe_add. */
const struct observed *observe_look(struct observe *o, uint32_t number);
/* The same, but if the digest is not known has it hashed and tells `waiter` later; then status is HASHING. */
const struct observed *observe_want(struct observe *o, uint32_t number, uint32_t waiter);
/* It may have changed: look again next time. */
void observe_forget(struct observe *o, uint32_t number);
/* The same, and all that lies below it, also what is added later. */
void observe_forget_tree(struct observe *o, uint32_t number);
/* The time to be noted as that when hashing began. Of a large file that was written this instant it first lets the
 * clock's grain pass: else its signature would prove nothing, and all of it be hashed again. On any thread. */
int64_t observe_hashing_begins(int root, struct str path);
/* Hashed in no time: who waits may keep the order of the graph. On any thread. */
bool observe_is_quick(const struct file_sig *sig);
/* Looks again (one stat; not at what is below a folder). True if it is not what was seen: forgotten then. */
bool observe_refresh(struct observe *o, uint32_t number);
/* True if what is there now is provably what was hashed (one stat; folders are never proved). */
bool observe_is_untouched(struct observe *o, uint32_t number);
/* Known from elsewhere (just hashed by a worker at hashed_ns, or restored): kept, and put into the state. sig
 * must have been taken after the content was in place. */
void observe_put(struct observe *o, uint32_t number, const struct object_seen *seen,
                 const struct file_sig *sig, int64_t hashed_ns);
/* For questions ("what would be"): takes this content as given, without looking, without the state. */
void observe_suppose(struct observe *o, uint32_t number, const struct ref *ref,
                     const struct digest *content, uint32_t mode);
