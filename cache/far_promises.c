/* SPDX-License-Identifier: MIT */
/* Keys that are put for a question are called like leases of a step that nobody has: should they be left behind,
 * collecting takes them away. */
#include "cache/far_promises.h"

#include "cache/far_inside.h"
#include "cache/far_lease.h"
#include "cache/far_s3.h"

#include <stdio.h>
#include <string.h>

enum { TIMES = 3, KEY_BYTES = 96 };
#define APART_MS                                                                                   \
    INT64_C(60000) /* so much later than put may a key be listed as stored, or earlier */

const char *far_promise_name(enum far_promise p)
{
    static const char *const names[] = {"dates",      "listing",  "conditions", "parts",
                                        "signatures", "versions", "rules"};
    return names[p];
}

const char *far_promise_text(enum far_promise p, enum far_kept kept)
{
    static const char *const texts[][3] = {
        [FAR_DATES] =
            {"not asked: whether its clock is one", "it tells the time, and when a key was put",
             "it does not tell when a key was put, or by another clock than its own: what "
             "is new may be missed, and collecting is not safe"},
        [FAR_LISTING] =
            {"not asked: whether a listing is up to date",
             "what is put is listed at once, and what is gone is not",
             "a listing lags behind: results are found late, and collecting is not safe"},
        [FAR_CONDITIONS] =
            {"not asked: whether it tells who was first",
             "it tells who was first: long steps are run by one builder at a time",
             "it does not tell who was first: two builders may both run a long step"},
        [FAR_PARTS] = {"not asked: whether parts of a pack are sent alone",
                       "parts of a pack are sent alone",
                       "whole packs are sent where a part is asked for: fetching takes longer"},
        [FAR_SIGNATURES] = {"not asked: whether old requests are refused",
                            "a request that was signed 20 minutes ago is refused",
                            "a request that was signed 20 minutes ago is taken: results of a "
                            "machine that slept meanwhile may be missed for a day"},
        [FAR_VERSIONS] = {"not asked: whether old versions are kept", "what is deleted is gone",
                          "the bucket keeps old versions: collecting frees nothing until a rule "
                          "deletes noncurrent ones"},
        [FAR_RULES] =
            {"not asked: whether rules delete keys", "no rule deletes keys of this prefix",
             "a lifecycle rule deletes keys of this prefix: results lose their bytes, and "
             "their steps run again"},
    };
    return texts[p][kept];
}

/* ---- keys ---- */

static uint64_t chance(void)
{
    struct manifest_world world = manifest_world_real();
    return world.random(world.context);
}

/* "l/", 64 digits at random, and a slash. */
static struct str unused_folder(char out[static KEY_BYTES])
{
    int n = snprintf(out, KEY_BYTES, "l/");
    for (int i = 0; i < 4; i++) {
        n += snprintf(out + n, KEY_BYTES - (size_t)n, "%016llx", (unsigned long long)chance());
    }
    n += snprintf(out + n, KEY_BYTES - (size_t)n, "/");
    return (struct str){out, (size_t)n};
}

/* ---- dates and listings ---- */

struct sighting {
    struct str key;
    uint32_t times;
    int64_t stored_ms;
};

static bool see(void *context, const struct depot_entry *e)
{
    struct sighting *s = context;
    if (str_eq(e->key, s->key)) {
        s->times++;
        s->stored_ms = e->stored_ms;
    }
    return true;
}

static bool is_near(int64_t a, int64_t b)
{
    return a != 0 && b != 0 && a - b <= APART_MS && b - a <= APART_MS;
}

/* One key comes and goes. false: nothing was learned. */
static bool watch_one(struct depot *d, struct far_promised *out)
{
    char folder[KEY_BYTES];
    char name[KEY_BYTES + 2];
    struct str prefix = unused_folder(folder);
    int n = snprintf(name, sizeof name, "%.*s1", STR_ARG(prefix));
    struct str key = {name, (size_t)n}, text = STR("asked by 'pawl cache check'");
    struct depot_source source = DEPOT_PARTS(&text, 1);
    struct sighting there = {.key = key}, gone = {.key = key};
    struct depot_reply put, list, drop;
    if (depot_put(d, key, &source, false, &put) != DEPOT_DONE) {
        return false;
    }
    bool asked =
        depot_list(d, prefix, STR(""), (struct depot_each){see, &there}, &list) == DEPOT_DONE;
    enum depot_answer dropped = depot_drop(d, key, &drop);
    asked = asked && (dropped == DEPOT_DONE || dropped == DEPOT_ABSENT)
            && depot_list(d, prefix, STR(""), (struct depot_each){see, &gone}, &drop) == DEPOT_DONE;
    if (!asked) {
        return false;
    }
    bool listed = there.times == 1 && gone.times == 0;
    bool dated = is_near(list.now_ms, put.now_ms)
                 && (there.times == 0 || is_near(there.stored_ms, list.now_ms));
    out->kept[FAR_LISTING] = listed && out->kept[FAR_LISTING] != FAR_BROKEN ? FAR_KEPT : FAR_BROKEN;
    out->kept[FAR_DATES] = dated && out->kept[FAR_DATES] != FAR_BROKEN ? FAR_KEPT : FAR_BROKEN;
    return true;
}

/* ---- all of them ---- */

static enum far_kept kept(enum far_said said, enum far_said good)
{
    return said == FAR_SAID_NOTHING ? FAR_NOT_ASKED : said == good ? FAR_KEPT : FAR_BROKEN;
}

static void ask_server(struct far_s3 *s3, struct far_promised *out)
{
    char folder[KEY_BYTES];
    char name[KEY_BYTES + 2];
    struct far_s3_said said;
    struct str prefix = unused_folder(folder);
    int n = snprintf(name, sizeof name, "%.*s1", STR_ARG(prefix));
    far_s3_ask(s3, (struct str){name, (size_t)n}, &said);
    out->kept[FAR_PARTS] = kept(said.sends_parts, FAR_SAID_YES);
    out->kept[FAR_SIGNATURES] = kept(said.refuses_old, FAR_SAID_YES);
    out->kept[FAR_VERSIONS] = kept(said.keeps_versions, FAR_SAID_NO);
    out->kept[FAR_RULES] = kept(said.expires, FAR_SAID_NO);
}

void far_ask_promises(struct far *f, struct far_promised *out)
{
    struct arena scratch = {0};
    struct diags unheard; /* what a place does not do is said by these lines */
    diags_init(&unheard, &scratch);
    *out = (struct far_promised){0};
    struct depot *d = far_place_is_down(f->place) ? NULL : far_depot_open(f->place, -1, &unheard);
    if (d) {
        far_depot_bear(d);
        for (int i = 0; i < TIMES && watch_one(d, out); i++) {
        }
        struct far_leases *x = far_leases_over(d, STR("check"), manifest_world_real());
        bool asked = out->kept[FAR_DATES] != FAR_NOT_ASKED;
        out->kept[FAR_CONDITIONS] = !asked              ? FAR_NOT_ASKED
                                    : far_leases_can(x) ? FAR_KEPT
                                                        : FAR_BROKEN;
        far_leases_close(x);
        depot_close(d);
    }
    struct far_s3 *s3 = far_place_s3(f->place);
    if (s3 && d) {
        ask_server(s3, out);
    }
    arena_free(&scratch);
}
