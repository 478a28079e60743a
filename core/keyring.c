/* SPDX-License-Identifier: MIT */
/* What cannot be read is an error: to go on with fewer keys would cost results, to go on without a list would take what
 * nobody vouches for. */
#include "core/keyring.h"

#include "core/run/command.h"

#include <string.h>

struct str keyring_name(const struct graph *g, uint32_t i)
{
    return graph_text(g, g->texts[g->remote->trust.first + i]);
}

static bool read_listed(const struct keyring_source *from, uint32_t i, struct sign_public *out,
                        struct diags *d)
{
    const struct graph *g = from->graph;
    uint32_t before = d->all.n;
    bool ok = key_load_public(from->root, keyring_name(g, i), out, d);
    if (d->all.n > before)
        d->all.at[before].span = graph_span(g, g->remote->trust_span, from->root, d);
    return ok;
}

static bool read_list(struct keyring *k, struct arena *a, const struct keyring_source *from,
                      struct diags *d)
{
    const struct graph *g = from->graph;
    if (!g || !g->remote || !g->remote->only_trusted)
        return true;
    uint32_t count = g->remote->trust.n;
    struct sign_public *keys = ARENA_ARRAY(a, struct sign_public, count + 1);
    bool ok = true;
    for (uint32_t i = 0; i < count; i++)
        ok = read_listed(from, i, &keys[i], d) && ok;
    k->trust = (struct trust){keys, count, true};
    return ok;
}

/* A key that is asked for by name must be there; the one in the configuration folder need not. */
static bool read_key(struct keyring *k, struct arena *a, const struct keyring_source *from,
                     struct diags *d, struct diags *notes)
{
    const char *named = command_env(from->environment, "PAWL_SIGNING_KEY");
    struct str dir = key_default_dir(a);
    k->named = named && *named;
    k->self.own_path = dir.n ? path_join(a, dir, KEY_OWN_NAME) : STR("");
    k->key_path = dir.n ? path_join(a, dir, KEY_PRIVATE_NAME) : STR("");
    if (k->named)
        k->key_path = str_from(named);
    if (!k->key_path.n || !from->signs)
        return true;
    enum key_answer answer = key_load_private(k->key_path, &k->self.key, d, notes);
    if (answer == KEY_ABSENT && k->named) {
        struct diag *e = diag_error(d, "bad-signing-key", SPAN_NONE,
                                    "the signing key '%.*s' does not exist", STR_ARG(k->key_path));
        diag_help(d, e, "PAWL_SIGNING_KEY names it; 'pawl cache key new FILE' makes one");
        return false;
    }
    k->self.signs = answer == KEY_GOOD;
    return answer != KEY_BAD;
}

bool keyring_open(struct keyring *k, struct arena *a, const struct keyring_source *from,
                  struct diags *d, struct diags *notes)
{
    *k = (struct keyring){0};
    bool listed = read_list(k, a, from, d);
    bool keyed = read_key(k, a, from, d, notes);
    return listed && keyed;
}

bool keyring_trusts(const struct keyring *k, const struct state_step *last)
{
    struct trust_signer signer;
    memcpy(signer.id, last->signer, sizeof signer.id);
    return trust_has(&k->trust, &signer);
}

void keyring_close(struct keyring *k)
{
    trust_self_wipe(&k->self);
}
