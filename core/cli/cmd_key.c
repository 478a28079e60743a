/* SPDX-License-Identifier: MIT */
/* Keys that results are signed with: make one, show them, take others' into the workspace. The Pipelinefile is never
 * changed: whom a team trusts is written by a person. */
#include "core/cli/commands.h"
#include "core/cli/session.h"
#include "core/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct key_session {
    const struct opts *opts;
    struct session session;
    struct buf out;
    int from; /* the folder that FILEs are relative to */
};

/* ---- new ---- */

static struct str public_path(struct arena *a, struct str path)
{
    struct str stem = str_ends(path, STR(".pem")) ? str_sub(path, 0, path.n - 4) : path;
    return str_join3(a, stem, STR(".pub"), STR(""));
}

static bool is_free(struct key_session *k, struct str path)
{
    struct diags *d = &k->session.diags;
    struct file_sig sig = file_stat(k->from, path, false);
    if (!file_sig_exists(&sig))
        return true;
    struct diag *e = diag_error(d, "exists", SPAN_NONE, "'%.*s' exists", STR_ARG(path));
    diag_help(d, e,
              "a key is never overwritten: 'pawl cache key new FILE' puts one elsewhere, "
              "'pawl cache key' shows yours");
    return false;
}

static bool write_pair(struct key_session *k, const struct sign_private *key, struct str path,
                       struct str public)
{
    struct buf b;
    buf_init(&b, KEY_TEXT_LIMIT);
    key_put_private(&b, key);
    bool ok = file_make_parents(k->from, path, 0700)
              && file_write(k->from, path, buf_str(&b), 0600, true);
    sign_wipe(b.s, b.n);
    buf_clear(&b);
    key_put_public(&b, &key->public);
    ok = ok && file_write(k->from, public, buf_str(&b), 0644, true);
    buf_free(&b);
    if (!ok)
        diag_errno(&k->session.diags, "cannot-write", "cannot write '%.*s'", STR_ARG(path));
    return ok;
}

static void tell_new(struct key_session *k, const struct sign_public *key, struct str path,
                     struct str public)
{
    struct buf *b = &k->out;
    if (k->opts->json) {
        buf_put_str(b, STR("{\"id\":\""));
        key_put_id(b, key->id);
        buf_put_str(b, STR("\",\"private\":"));
        str_put_json(b, path);
        buf_put_str(b, STR(",\"public\":"));
        str_put_json(b, public);
        buf_put_str(b, STR("}\n"));
        return;
    }
    buf_put_str(b, STR("made key "));
    key_put_id(b, key->id);
    buf_printf(b, "\n  private: %.*s (stays with you)\n  public:  %.*s (give it away)\n",
               STR_ARG(path), STR_ARG(public));
    if (k->opts->targets.n > 2)
        buf_printf(b, "PAWL_SIGNING_KEY=%.*s signs with it.\n", STR_ARG(path));
    else
        buf_put_str(b, STR("What you build from now on is signed with it.\n"));
    buf_printf(b, "Where such results are to be trusted: 'pawl cache key trust %.*s'\n",
               STR_ARG(public));
}

static int make_key(struct key_session *k)
{
    struct arena *a = &k->session.arena;
    struct diags *d = &k->session.diags;
    struct str path = k->opts->targets.n > 2 ? k->opts->targets.at[2] : STR("");
    if (!path.n) {
        struct str dir = key_default_dir(a);
        path = dir.n ? path_join(a, dir, KEY_PRIVATE_NAME) : path;
    }
    if (!path.n) {
        struct diag *e = diag_error(d, "usage", SPAN_NONE, "there is no place for a key");
        diag_help(d, e, "'pawl cache key new FILE', or set HOME");
        return EXIT_WRONG;
    }
    struct str public = public_path(a, path);
    struct sign_private key;
    if (!is_free(k, path) || !is_free(k, public))
        return EXIT_FAILED;
    if (!sign_make(&key)) {
        diag_error(d, "cannot-write", SPAN_NONE, "OpenSSL makes no key of Ed25519 here");
        return EXIT_FAILED;
    }
    bool ok = write_pair(k, &key, path, public);
    if (ok)
        tell_new(k, &key.public, path, public);
    sign_wipe(&key, sizeof key);
    return ok ? EXIT_DONE : EXIT_FAILED;
}

/* ---- trust ---- */

static struct str name_in_keys(struct arena *a, struct str path)
{
    struct str name = path_basename(path);
    bool ends = str_ends(name, STR(".pub"));
    return str_join3(a, STR("keys/"), name, ends ? STR("") : STR(".pub"));
}

/* The key lies under that name, or nothing does. */
static bool put_key(struct key_session *k, struct str name, const struct sign_public *key)
{
    struct diags *d = &k->session.diags;
    struct sign_public there;
    struct arena scratch = {0};
    struct diags unheard;
    struct buf b;
    diags_init(&unheard, &scratch);
    struct file_sig sig = file_stat(k->session.place.root, name, true);
    bool same = file_sig_exists(&sig)
                && key_load_public(k->session.place.root, name, &there, &unheard)
                && memcmp(there.key, key->key, sizeof there.key) == 0;
    arena_free(&scratch);
    if (same)
        return true;
    if (file_sig_exists(&sig)) {
        struct diag *e = diag_error(d, "exists", SPAN_NONE, "'%.*s' is another key", STR_ARG(name));
        diag_help(d, e, "rename the file first: both can be listed");
        return false;
    }
    buf_init(&b, KEY_TEXT_LIMIT);
    key_put_public(&b, key);
    bool ok = file_make_parents(k->session.place.root, name, 0777)
              && file_write(k->session.place.root, name, buf_str(&b), 0644, false);
    buf_free(&b);
    if (!ok)
        diag_errno(d, "cannot-write", "cannot write '%.*s'", STR_ARG(name));
    return ok;
}

/* The whole line, as it should be. */
static void tell_list(struct key_session *k, const struct str *names, uint32_t count)
{
    const struct graph *g = &k->session.pipeline.graph;
    struct buf *b = &k->out;
    struct table listed;
    table_init(&listed, &k->session.arena);
    for (uint32_t i = 0; g->remote && i < g->remote->trust.n; i++)
        table_add(&listed, keyring_name(g, i), NULL);
    uint32_t before = listed.count;
    for (uint32_t i = 0; i < count; i++)
        table_add(&listed, names[i], NULL);
    if (listed.count == before) {
        buf_put_str(b, STR("The Pipelinefile lists them already.\n"));
        return;
    }
    buf_put_str(
        b, STR("Say in the Pipelinefile's 'remote', and commit it with the files:\n  trust = ["));
    for (uint32_t i = 0; i < listed.count; i++) {
        buf_put_str(b, i ? STR(", ") : STR(""));
        str_put_json(b, listed.keys[i]);
    }
    buf_put_str(b, STR("]\n"));
}

static int trust_keys(struct key_session *k)
{
    const struct opts *o = k->opts;
    struct session *s = &k->session;
    uint32_t count = o->targets.n - 2;
    if (count == 0) {
        struct diag *e =
            diag_error(&s->diags, "usage", SPAN_NONE, "'pawl cache key trust' wants a file");
        diag_help(&s->diags, e, "a public key: 'pawl cache key new' made one ending in '.pub'");
        return EXIT_WRONG;
    }
    struct str *names = ARENA_ARRAY(&s->arena, struct str, count);
    for (uint32_t i = 0; i < count; i++) {
        struct sign_public key;
        struct str path = o->targets.at[i + 2];
        names[i] = name_in_keys(&s->arena, path);
        if (!key_load_public(k->from, path, &key, &s->diags) || !put_key(k, names[i], &key))
            return EXIT_FAILED;
        if (o->json)
            buf_put_str(&k->out, STR("{\"id\":\""));
        key_put_id(&k->out, key.id);
        buf_put_str(&k->out, o->json ? STR("\",\"file\":") : STR("  "));
        (o->json ? str_put_json : str_put_visible)(&k->out, names[i]);
        buf_put_str(&k->out, o->json ? STR("}\n") : STR("\n"));
    }
    if (!o->json)
        tell_list(k, names, count);
    return EXIT_DONE;
}

/* ---- ls ---- */

static void tell_key(struct key_session *k, const char *what, const uint8_t *id, struct str path)
{
    struct buf *b = &k->out;
    if (k->opts->json) {
        buf_printf(b, "{\"kind\":\"%s\",\"id\":\"", what);
        key_put_id(b, id);
        buf_put_str(b, STR("\",\"file\":"));
        str_put_json(b, path);
        buf_put_str(b, STR("}\n"));
        return;
    }
    buf_printf(b, "%-8s ", what);
    key_put_id(b, id);
    buf_put_str(b, STR("  "));
    str_put_visible(b, path);
    buf_put_char(b, '\n');
}

static int list_keys(struct key_session *k)
{
    struct session *s = &k->session;
    const struct graph *g = s->has_pipeline ? &s->pipeline.graph : NULL;
    struct keyring_source from = {g, s->place.root, environ, true};
    struct keyring ring;
    bool ok = keyring_open(&ring, &s->arena, &from, &s->diags, &s->diags);
    if (ring.self.signs)
        tell_key(k, "own", ring.self.key.public.id, ring.key_path);
    for (uint32_t i = 0; ok && i < ring.trust.count; i++)
        tell_key(k, "trusted", ring.trust.keys[i].id, keyring_name(g, i));
    if (!k->opts->json && ok && !ring.self.signs)
        buf_put_str(&k->out, STR("no key of your own: what you build is not signed "
                                 "('pawl cache key new' makes one)\n"));
    if (!k->opts->json && ok && g && !ring.trust.only)
        buf_put_str(&k->out, STR("no list in this workspace: everybody's results are used\n"));
    keyring_close(&ring);
    return ok ? EXIT_DONE : EXIT_WRONG;
}

/* ---- which of them ---- */

static bool has_pipelinefile(const struct opts *o)
{
    struct arena scratch = {0};
    struct diags unheard;
    struct pipeline_place place = {.root = -1};
    diags_init(&unheard, &scratch);
    int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool entered = !o->dir.n || chdir(str_c(&scratch, o->dir)) == 0;
    bool found = entered && pipeline_find(&scratch, o->file, &place, &unheard);
    if (place.root >= 0)
        close(place.root);
    if (back >= 0) {
        found = fchdir(back) == 0 && found;
        close(back);
    }
    arena_free(&scratch);
    return found;
}

static int wrong(struct key_session *k)
{
    struct diags *d = &k->session.diags;
    struct diag *e =
        diag_error(d, "usage", SPAN_NONE,
                   "'pawl cache key' wants nothing more, or one of new, trust, ls, vouch");
    diag_help(d, e, "'pawl cache --help' says more");
    return EXIT_WRONG;
}

static int (*action_of(const struct opts *o))(struct key_session *)
{
    struct str what = o->targets.n > 1 ? o->targets.at[1] : STR("ls");
    if (str_eq(what, STR("new")) && o->targets.n <= 3)
        return make_key;
    if (str_eq(what, STR("trust")))
        return trust_keys;
    return str_eq(what, STR("ls")) && o->targets.n <= 2 ? list_keys : wrong;
}

int cmd_cache_key(const struct opts *o)
{
    if (o->targets.n == 2 && str_eq(o->targets.at[1], STR("vouch")))
        return cmd_cache_remote(o, STR("vouch"));
    struct key_session k = {.opts = o};
    int (*run)(struct key_session *) = action_of(o);
    struct arena scratch = {0};
    buf_init(&k.out, BUF_TEXT_LIMIT);
    k.from = open(o->dir.n ? str_c(&scratch, o->dir) : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    arena_free(&scratch);
    bool inside = run == trust_keys || (run == list_keys && has_pipelinefile(o));
    int code = session_open(&k.session, o, inside ? SESSION_ASK : SESSION_NOTHING);
    if (code == EXIT_DONE)
        code = run(&k);
    if (!session_print(&k.out, &k.session.diags))
        code = EXIT_UNUSABLE;
    buf_free(&k.out);
    if (k.from >= 0)
        close(k.from);
    return session_close(&k.session, code);
}
