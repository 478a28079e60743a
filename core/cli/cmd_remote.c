/* SPDX-License-Identifier: MIT */
/* The remote cache by hand: push, pull; ls, gc and check of what lies there. */
#include "cache/far.h"
#include "cache/far_promises.h"
#include "core/cli/cache_text.h"
#include "core/cli/commands.h"
#include "core/cli/session.h"
#include "core/keyring.h"
#include "core/remote.h"
#include "core/ui/jsonl.h"
#include "core/ui/text.h"

#include <string.h>
#include <unistd.h>

struct remote_session {
    struct session session;
    struct far_options options;
    struct keyring keyring;
    struct far *far;
    struct buf out;
    VEC(struct digest) fingerprints;
    struct table seen;
};

static bool remote_session_open(struct remote_session *s)
{
    struct session *x = &s->session;
    s->options =
        (struct far_options){.near_dir = session_cache_dir(x), .read = true, .write = true};
    if (!s->options.near_dir.n)
        return false;
    if (!remote_options(&x->pipeline.graph, environ, &s->options)) {
        struct diag *e = diag_error(&x->diags, "no-remote", SPAN_NONE, "there is no remote cache");
        diag_help(&x->diags, e,
                  "say 'remote \"s3://bucket/prefix\"' in the Pipelinefile, or set PAWL_REMOTE");
        return false;
    }
    struct keyring_source from = {&x->pipeline.graph, x->place.root, environ, true};
    if (!keyring_open(&s->keyring, &x->arena, &from, &x->diags, &x->diags))
        return false;
    s->options.trust = &s->keyring.trust;
    s->options.self = &s->keyring.self;
    s->far = far_open(&s->options, &x->diags);
    return s->far != NULL;
}

static bool is_ours(const struct remote_session *s, const struct record *r)
{
    return memcmp(r->hint, s->options.hint, sizeof r->hint) == 0;
}

/* The step that makes its first output; NULL: none does any more. */
static const struct graph_step *maker(const struct remote_session *s, const struct record *r)
{
    const struct graph *g = &s->session.pipeline.graph;
    file_id f = r->output_count ? graph_find_file(g, r->outputs[0].path) : (file_id){GRAPH_NONE};
    uint32_t producer = f.i != GRAPH_NONE ? graph_file(g, f)->producer : GRAPH_NONE;
    return producer == GRAPH_NONE || (g->steps[producer].flags & GRAPH_STEP_CACHE_OFF)
               ? NULL
               : &g->steps[producer];
}

static bool may_go(const struct remote_session *s, const struct record *r)
{
    const struct graph_step *step = maker(s, r);
    return step && (step->remote == GRAPH_REMOTE_WRITE || step->remote == GRAPH_REMOTE_READ_WRITE);
}

static bool may_come(const struct remote_session *s, const struct record *r)
{
    const struct graph_step *step = maker(s, r);
    return step && (step->remote == GRAPH_REMOTE_READ || step->remote == GRAPH_REMOTE_READ_WRITE);
}

static void want(struct remote_session *s, const struct digest *fingerprint)
{
    bool is_new;
    table_add(&s->seen, (struct str){(const char *)fingerprint->b, sizeof fingerprint->b}, &is_new);
    if (is_new)
        *VEC_PUSH(&s->session.arena, &s->fingerprints) = *fingerprint;
}

/* What it took so far: for people a line, for programs a member. */
static void put_cost(struct remote_session *s)
{
    struct far_count c = far_place_count(far_place_of(s->far));
    struct event_remote cost = {.lists = c.lists,
                                .gets = c.gets,
                                .puts = c.puts,
                                .drops = c.drops,
                                .received = c.received,
                                .sent = c.sent};
    if (s->session.opts->json) {
        jsonl_put_remote(&s->out, &cost);
        return;
    }
    buf_put_str(&s->out, STR("remote: "));
    text_put_remote(&s->out, &cost, true);
    buf_put_char(&s->out, '\n');
}

/* ---- push ---- */

static void want_local(void *context, const struct cache_entry *e)
{
    struct remote_session *s = context;
    if (e->complete && is_ours(s, e->record) && may_go(s, e->record))
        want(s, &e->record->fingerprint);
}

static bool find_local(struct remote_session *s)
{
    struct diags *d = &s->session.diags;
    struct cache_options near = {.dir = s->options.near_dir, .read_only = true};
    struct cache *c = cache_open(&near, d);
    bool ok = c && cache_list(c, want_local, s, d);
    cache_close(c, d);
    return ok;
}

static int push(struct remote_session *s)
{
    struct digest *queue;
    struct far_pushed pushed;
    const struct far_place *place = far_place_of(s->far);
    uint32_t queued = far_queue_read(place, &s->session.arena, &queue);
    for (uint32_t i = 0; i < queued; i++)
        want(s, &queue[i]);
    if (!find_local(s))
        return EXIT_FAILED;
    far_push(s->far, s->fingerprints.at, s->fingerprints.n, INT64_MAX, &pushed, &s->session.diags);
    if (pushed.whole)
        (void)!far_queue_drop(place, queue, queued);
    bool json = s->session.opts->json;
    if (json) {
        buf_printf(&s->out, "{\"pushed\":%u,\"known\":%u,\"whole\":%s", pushed.results,
                   pushed.known, pushed.whole ? "true" : "false");
    } else {
        cache_text_count(&s->out, "pushed: ", pushed.results, "result");
        buf_printf(&s->out, "; %u %s there\n", pushed.known, pushed.known == 1 ? "was" : "were");
    }
    put_cost(s);
    buf_put_str(&s->out, json ? STR("}\n") : STR(""));
    return pushed.whole ? EXIT_DONE : EXIT_FAILED;
}

/* ---- pull ---- */

static bool want_far(void *context, const struct far_hit *h)
{
    struct remote_session *s = context;
    if (h->taken && may_come(s, &h->record))
        want(s, &h->record.fingerprint);
    return true;
}

static int pull(struct remote_session *s)
{
    struct session *x = &s->session;
    if (!far_each(s->far, want_far, s, &x->diags))
        return EXIT_FAILED;
    struct far_want *wants = ARENA_ARRAY(&x->arena, struct far_want, s->fingerprints.n + 1);
    uint32_t count = 0, here = 0;
    for (uint32_t i = 0; i < s->fingerprints.n; i++) {
        struct far_hit *hits;
        if (far_lookup(s->far, &x->arena, &s->fingerprints.at[i], INT64_MIN, &hits, &x->diags) > 0)
            wants[count++].hit = &hits[0];
    }
    far_fetch(s->far, wants, count, INT64_MAX, &x->arena, &x->diags);
    for (uint32_t i = 0; i < count; i++)
        here += wants[i].here;
    if (x->opts->json) {
        buf_printf(&s->out, "{\"here\":%u,\"missing\":%u", here, count - here);
    } else {
        buf_printf(&s->out, "here: %u of %u result%s\n", here, count, count == 1 ? "" : "s");
    }
    put_cost(s);
    buf_put_str(&s->out, x->opts->json ? STR("}\n") : STR(""));
    return here == count ? EXIT_DONE : EXIT_FAILED;
}

/* ---- vouch ---- */

static bool is_vouchable(void *context, const struct far_hit *h)
{
    return may_go(context, &h->record);
}

static int vouch(struct remote_session *s)
{
    struct diags *d = &s->session.diags;
    struct far_pushed pushed;
    if (!s->keyring.self.signs) {
        struct diag *e =
            diag_error(d, "bad-signing-key", SPAN_NONE, "you have no key to vouch with");
        diag_help(d, e, "'pawl cache key new' makes one, or PAWL_SIGNING_KEY names one");
        return EXIT_WRONG;
    }
    if (!s->keyring.trust.only) {
        struct diag *e = diag_error(d, "bad-trust", SPAN_NONE,
                                    "this workspace lists no keys: there is nothing to go by");
        diag_help(d, e,
                  "say 'trust = [\"keys/…\"]' in 'remote'; what you built is signed by "
                  "'pawl cache push'");
        return EXIT_WRONG;
    }
    far_vouch(s->far, is_vouchable, s, &pushed, d);
    if (s->session.opts->json) {
        buf_printf(&s->out, "{\"vouched\":%u,\"known\":%u,\"whole\":%s}\n", pushed.results,
                   pushed.known, pushed.whole ? "true" : "false");
    } else {
        cache_text_count(&s->out, "vouched for: ", pushed.results, "result");
        buf_printf(&s->out, "; %u %s yours\n", pushed.known, pushed.known == 1 ? "was" : "were");
    }
    return pushed.whole ? EXIT_DONE : EXIT_FAILED;
}

/* ---- looking after it ---- */

/* Under whose name it is there, for people. */
static struct str signer_of(struct remote_session *s, const struct far_hit *h)
{
    const struct keyring *k = &s->keyring;
    const struct graph *g = &s->session.pipeline.graph;
    const char *note = k->trust.only && !h->taken ? ", not trusted" : "";
    if (!h->key)
        return k->trust.only ? STR("unsigned, not trusted") : STR("");
    for (uint32_t i = 0; h->taken && i < k->trust.count; i++) {
        if (memcmp(k->trust.keys[i].id, h->key, SIGN_ID) == 0)
            return keyring_name(g, i);
    }
    struct buf b;
    buf_init(&b, 256);
    buf_put_str(&b, STR("key "));
    key_put_id(&b, h->key);
    buf_put_str(&b, str_from(note));
    struct str text = str_copy(&s->session.arena, buf_str(&b));
    buf_free(&b);
    return text;
}

static bool print_hit(void *context, const struct far_hit *h)
{
    struct remote_session *s = context;
    struct cache_entry e = {.record = &h->record,
                            .complete = true,
                            .signer = signer_of(s, h),
                            .key = h->key,
                            .trusted = h->taken};
    for (uint32_t i = 0; i < h->record.output_count; i++)
        e.bytes += h->record.outputs[i].ref.kind == REF_TREE ? 0 : h->record.outputs[i].ref.size;
    for (uint32_t i = 0; i < h->places.count; i++) {
        const struct pack_place *p = &h->places.at[i];
        bool again = i > 0 && ref_eq(&p->root, &h->places.at[i - 1].root);
        for (uint32_t k = 0; k < p->run_count && p->root.kind == REF_TREE && !again; k++)
            e.bytes += p->runs[k].length;
    }
    cache_text_entry(&s->out, &e, s->session.opts->json);
    return !s->out.full;
}

static int list(struct remote_session *s)
{
    return far_each(s->far, print_hit, s, &s->session.diags) ? EXIT_DONE : EXIT_FAILED;
}

static int collect(struct remote_session *s)
{
    const struct opts *o = s->session.opts;
    struct cache_gc_options g = {.keep_ms = o->age_ns >= 0 ? o->age_ns / 1000000 : 0,
                                 .max_bytes = o->max_bytes >= 0 ? (uint64_t)o->max_bytes : 0,
                                 .dry_run = o->dry_run};
    struct cache_gc_report r;
    if (o->now) {
        struct diag *e = diag_error(&s->session.diags, "usage", SPAN_NONE,
                                    "'--now' is for the local cache alone");
        diag_help(&s->session.diags, e,
                  "others may be building: what is let go is deleted a day later");
        return EXIT_WRONG;
    }
    if (!far_gc(s->far, &g, &r, &s->session.diags))
        return EXIT_FAILED;
    cache_text_gc(&s->out, &r, o);
    if (!o->json)
        put_cost(s);
    return EXIT_DONE;
}

static void put_promises(struct remote_session *s)
{
    struct far_promised promised;
    far_ask_promises(s->far, &promised);
    bool folder = str_starts(s->options.url, STR("file:"));
    static const char *const words[] = {"unknown", "kept", "broken"};
    static const char *const values[] = {"null", "true", "false"};
    for (enum far_promise p = 0; p < FAR_PROMISES; p++) {
        enum far_kept kept = promised.kept[p];
        if (folder && kept == FAR_NOT_ASKED)
            continue; /* a folder has no such thing */
        const char *name = far_promise_name(p), *text = far_promise_text(p, kept);
        if (s->session.opts->json) {
            buf_printf(&s->out, "{\"promise\":\"%s\",\"kept\":%s,\"text\":\"%s\"}\n", name,
                       values[kept], text);
        } else {
            buf_printf(&s->out, "%-7s  %-10s  %s\n", words[kept], name, text);
        }
    }
}

static int check(struct remote_session *s)
{
    struct cache_check_report r;
    bool sound = far_check(s->far, &r, &s->session.diags);
    cache_text_check(&s->out, &r, sound, s->session.opts->json);
    put_promises(s);
    if (!s->session.opts->json)
        put_cost(s);
    return sound ? EXIT_DONE : EXIT_FAILED;
}

int cmd_cache_remote(const struct opts *o, struct str what)
{
    static const struct {
        const char *name;
        int (*run)(struct remote_session *s);
    } actions[] = {{"push", push},  {"pull", pull},   {"ls", list},
                   {"gc", collect}, {"check", check}, {"vouch", vouch}};
    struct remote_session s = {0};
    buf_init(&s.out, BUF_TEXT_LIMIT);
    int code = session_open(&s.session, o, SESSION_ASK);
    table_init(&s.seen, &s.session.arena);
    if (code == EXIT_DONE && !remote_session_open(&s))
        code = EXIT_WRONG;
    for (size_t i = 0; code == EXIT_DONE && i < sizeof actions / sizeof actions[0]; i++) {
        if (str_eq(what, str_from(actions[i].name))) {
            code = actions[i].run(&s);
            break;
        }
    }
    far_close(s.far);
    keyring_close(&s.keyring);
    if (!session_print(&s.out, &s.session.diags))
        code = EXIT_UNUSABLE;
    buf_free(&s.out);
    return session_close(&s.session, code);
}
