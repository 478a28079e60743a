/* SPDX-License-Identifier: MIT */
/* Where keys are looked for, in order: PAWL_REMOTE_…, a profile named for the remote, the environment, the
 * profile's role, a web identity, the profile, the container, the instance. And how long those found are held. */
#include "cache/credentials.h"

#include "cache/credentials_inside.h"
#include "core/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    RENEW_S = 300,   /* keys that expire within it are asked for anew */
    LAST_S = 10,     /* keys are not used any more so short before they expire */
    PAUSE_S = 30,    /* between two tries */
    STATED_MAX = 512 /* bytes of a diagnosis */
};

struct credentials {
    struct arena a; /* settings, place, profile */
    struct credentials_settings settings;
    struct credentials_place place;
    struct str profile;
    bool for_remote, named; /* the profile: named for the remote; named at all */
    char *held;             /* the keys' bytes, one behind the other */
    size_t held_bytes;
    struct aws_keys keys; /* in held */
    int64_t expires_s, tried_s;
    bool tried, refused; /* refused: by the server, these keys */
    enum credentials_result last;
    struct buf origin;
};

struct str credentials_env(const char *const *environment, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; environment && environment[i]; i++) {
        if (!strncmp(environment[i], name, n) && environment[i][n] == '=') {
            return str_from(environment[i] + n + 1);
        }
    }
    return STR_NONE;
}

enum credentials_result credentials_fail(struct credentials_search *s, const char *format, ...)
{
    struct buf b;
    va_list args;
    buf_init(&b, STATED_MAX);
    va_start(args, format);
    buf_vprintf(&b, format, args);
    va_end(args);
    diag_warning(s->notes, "aws-credentials", SPAN_NONE, "%.*s",
                 STR_ARG(b.full ? STR("the AWS credentials are not to be had") : buf_str(&b)));
    buf_free(&b);
    return CREDENTIALS_FAILED;
}

struct str credentials_path(const struct credentials_search *s, struct str path)
{
    bool at_home = str_starts(path, STR("~/")) && s->home.n > 0;
    return at_home ? str_join3(s->a, s->home, str_tail(path, 1), STR("")) : path;
}

/* The first of those that says something. */
static struct str first_of(const struct str *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].n > 0) {
            return all[i];
        }
    }
    return STR_NONE;
}
#define FIRST_OF(...)                                                                              \
    first_of((const struct str[]){__VA_ARGS__},                                                    \
             sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))

static void read_config_file(struct credentials_search *s, struct credentials_config *config,
                             struct str path, bool plain)
{
    struct str text;
    path = credentials_path(s, path);
    if (path.n == 0 || memchr(path.s, '\0', path.n)) {
        return;
    }
    if (file_read_quiet(s->a, FILE_CWD, path, CREDENTIALS_CONFIG_LIMIT, &text)) {
        credentials_config_read(s->a, config, path, text, plain, s->notes);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        diag_warning(s->notes, "bad-aws-config", SPAN_NONE, "cannot read '%.*s': %s", STR_ARG(path),
                     strerrordesc_np(errno));
    }
}

static const struct credentials_config *read_config(struct credentials_search *s)
{
    struct credentials_config *config = ARENA_NEW(s->a, struct credentials_config);
    struct str file = credentials_env(s->environment, "AWS_CONFIG_FILE");
    struct str shared = credentials_env(s->environment, "AWS_SHARED_CREDENTIALS_FILE");
    read_config_file(s, config, FIRST_OF(file, STR("~/.aws/config")), false);
    read_config_file(s, config, FIRST_OF(shared, STR("~/.aws/credentials")), true);
    return config;
}

/* A search begins with what the files say now. */
static struct credentials_search search_begin(const struct credentials *c, struct arena *a,
                                              int64_t now_s, struct diags *config_notes,
                                              struct diags *notes)
{
    struct credentials_search s = {.a = a,
                                   .environment = c->settings.environment,
                                   .now_s = now_s,
                                   .home = credentials_env(c->settings.environment, "HOME"),
                                   .fetch = c->settings.fetch,
                                   .context = c->settings.context,
                                   .region = c->place.region,
                                   .notes = config_notes};
    s.config = read_config(&s);
    s.notes = notes;
    return s;
}

static struct str of_profile(const struct credentials *c, const struct credentials_search *s,
                             struct str name)
{
    return credentials_config_find(s->config, CREDENTIALS_PROFILE, c->profile, name);
}

static struct str find_endpoint(const struct credentials *c, const struct credentials_search *s)
{
    const char *const *e = c->settings.environment;
    struct str ours = FIRST_OF(credentials_env(e, "PAWL_REMOTE_ENDPOINT"), c->settings.endpoint);
    bool ignore = str_eq(credentials_env(e, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), STR("true"))
                  || str_eq(of_profile(c, s, STR("ignore_configured_endpoint_urls")), STR("true"));
    if (ours.n > 0 || ignore) {
        return ours;
    }
    struct str services = of_profile(c, s, STR("services"));
    return FIRST_OF(
        credentials_env(e, "AWS_ENDPOINT_URL_S3"), credentials_env(e, "AWS_ENDPOINT_URL"),
        credentials_config_find(s->config, CREDENTIALS_SERVICES, services, STR("s3.endpoint_url")),
        of_profile(c, s, STR("endpoint_url")));
}

static enum credentials_style find_style(const struct credentials *c,
                                         const struct credentials_search *s)
{
    struct str ours = credentials_env(c->settings.environment, "PAWL_REMOTE_PATH_STYLE");
    struct str theirs = of_profile(c, s, STR("s3.addressing_style"));
    if (str_eq(ours, STR("true")) || str_eq(ours, STR("1"))) {
        return CREDENTIALS_STYLE_PATH;
    }
    if (ours.n > 0) {
        return CREDENTIALS_STYLE_VIRTUAL;
    }
    if (c->settings.style != CREDENTIALS_STYLE_UNSAID) {
        return c->settings.style;
    }
    return str_eq(theirs, STR("path"))      ? CREDENTIALS_STYLE_PATH
           : str_eq(theirs, STR("virtual")) ? CREDENTIALS_STYLE_VIRTUAL
                                            : CREDENTIALS_STYLE_UNSAID;
}

static void find_place(struct credentials *c, const struct credentials_search *s)
{
    const char *const *e = c->settings.environment;
    struct str region =
        FIRST_OF(credentials_env(e, "PAWL_REMOTE_REGION"), c->settings.region,
                 credentials_env(e, "AWS_REGION"), credentials_env(e, "AWS_DEFAULT_REGION"),
                 of_profile(c, s, STR("region")));
    struct str bundle =
        FIRST_OF(credentials_env(e, "PAWL_REMOTE_CA_BUNDLE"), credentials_env(e, "AWS_CA_BUNDLE"),
                 of_profile(c, s, STR("ca_bundle")));
    c->place = (struct credentials_place){.region = str_copy(&c->a, region),
                                          .endpoint = str_copy(&c->a, find_endpoint(c, s)),
                                          .ca_bundle = str_copy(&c->a, credentials_path(s, bundle)),
                                          .style = find_style(c, s)};
}

static void find_profile(struct credentials *c)
{
    const char *const *e = c->settings.environment;
    struct str ours = FIRST_OF(credentials_env(e, "PAWL_REMOTE_PROFILE"), c->settings.profile);
    struct str theirs =
        FIRST_OF(credentials_env(e, "AWS_PROFILE"), credentials_env(e, "AWS_DEFAULT_PROFILE"));
    c->for_remote = ours.n > 0;
    c->named = ours.n > 0 || theirs.n > 0;
    c->profile = str_copy(&c->a, FIRST_OF(ours, theirs, STR("default")));
}

struct credentials *credentials_open(const struct credentials_settings *settings,
                                     struct diags *notes)
{
    struct credentials *c = mem_alloc(sizeof *c);
    struct arena a = {0};
    c->settings = *settings;
    c->settings.profile = str_copy(&c->a, settings->profile);
    c->settings.region = str_copy(&c->a, settings->region);
    c->settings.endpoint = str_copy(&c->a, settings->endpoint);
    buf_init(&c->origin, STATED_MAX);
    find_profile(c);
    struct credentials_search s = search_begin(c, &a, 0, notes, notes);
    find_place(c, &s);
    arena_free(&a);
    return c;
}

static void forget(struct credentials *c)
{
    if (c->held) {
        aws_wipe(c->held, c->held_bytes);
    }
    mem_free(c->held);
    c->held = NULL;
    c->keys = (struct aws_keys){0};
    c->refused = false;
    buf_clear(&c->origin);
}

void credentials_close(struct credentials *c)
{
    if (c) {
        forget(c);
        buf_free(&c->origin);
        arena_free(&c->a);
        mem_free(c);
    }
}

const struct credentials_place *credentials_place(const struct credentials *c)
{
    return &c->place;
}

struct str credentials_origin(const struct credentials *c)
{
    return buf_str(&c->origin);
}

int64_t credentials_until_s(const struct credentials *c)
{
    return c->expires_s ? c->expires_s - LAST_S : 0;
}

static struct str place_bytes(char **at, struct str x)
{
    char *from = *at;
    if (x.n > 0) {
        memcpy(from, x.s, x.n);
    }
    *at += x.n;
    return (struct str){from, x.n};
}

static void hold(struct credentials *c, const struct credentials_found *found)
{
    forget(c);
    c->held_bytes = found->keys.id.n + found->keys.secret.n + found->keys.token.n;
    c->held = mem_alloc(c->held_bytes);
    char *at = c->held;
    c->keys.id = place_bytes(&at, found->keys.id);
    c->keys.secret = place_bytes(&at, found->keys.secret);
    c->keys.token = place_bytes(&at, found->keys.token);
    c->expires_s = found->expires_s;
    buf_put_str(&c->origin, found->origin);
}

/* Three variables as keys; prefix is "AWS" or "PAWL_REMOTE". */
static enum credentials_result from_variables(struct credentials_search *s, const char *prefix,
                                              struct credentials_found *out)
{
    char id[40], secret[40], token[40];
    (void)snprintf(id, sizeof id, "%s_ACCESS_KEY_ID", prefix);
    (void)snprintf(secret, sizeof secret, "%s_SECRET_ACCESS_KEY", prefix);
    (void)snprintf(token, sizeof token, "%s_SESSION_TOKEN", prefix);
    out->keys = (struct aws_keys){credentials_env(s->environment, id),
                                  credentials_env(s->environment, secret),
                                  credentials_env(s->environment, token)};
    out->origin = STR("environment");
    if (out->keys.id.n == 0 && out->keys.secret.n == 0) {
        return CREDENTIALS_NONE;
    }
    if (!credentials_are_sound(&out->keys)) {
        return credentials_fail(s, "'%s' and '%s' are no pair of keys", id, secret);
    }
    return CREDENTIALS_FOUND;
}

static enum credentials_result from_identity_variables(struct credentials_search *s,
                                                       struct str profile,
                                                       struct credentials_found *out)
{
    const char *const *e = s->environment;
    struct credentials_role role = {.arn = credentials_env(e, "AWS_ROLE_ARN"),
                                    .profile = profile,
                                    .session_name = credentials_env(e, "AWS_ROLE_SESSION_NAME"),
                                    .token_file =
                                        credentials_env(e, "AWS_WEB_IDENTITY_TOKEN_FILE")};
    return role.arn.n == 0 || role.token_file.n == 0 ? CREDENTIALS_NONE
                                                     : credentials_from_web_identity(s, &role, out);
}

static enum credentials_result none(struct credentials_search *s, const struct credentials *c)
{
    diag_warning(
        s->notes, "aws-credentials", SPAN_NONE,
        "there are no AWS credentials: none in the environment, the profile '%.*s', the container or "
        "the instance",
        STR_ARG(c->profile));
    return CREDENTIALS_NONE;
}

static enum credentials_result from_machine(struct credentials_search *s,
                                            struct credentials_found *out)
{
    enum credentials_result result = credentials_from_container(s, out);
    return result == CREDENTIALS_NONE ? credentials_from_instance(s, out) : result;
}

static enum credentials_result search(const struct credentials *c, struct credentials_search *s,
                                      struct credentials_found *out)
{
    bool known = c->named || credentials_config_has(s->config, CREDENTIALS_PROFILE, c->profile);
    enum credentials_result result = from_variables(s, "PAWL_REMOTE", out);
    if (result == CREDENTIALS_NONE && c->for_remote) {
        result = credentials_from_profile(s, c->profile, out);
        return result == CREDENTIALS_NONE
                   ? credentials_fail(s, "the profile '%.*s' has no keys", STR_ARG(c->profile))
                   : result;
    }
    if (result == CREDENTIALS_NONE) {
        result = from_variables(s, "AWS", out);
    }
    if (result == CREDENTIALS_NONE && !credentials_has_role(s, c->profile)) {
        result = from_identity_variables(s, c->profile, out);
    }
    if (result == CREDENTIALS_NONE && known) {
        result = credentials_from_profile(s, c->profile, out);
    }
    if (result == CREDENTIALS_NONE) {
        result = from_machine(s, out);
    }
    return result == CREDENTIALS_NONE ? none(s, c) : result;
}

static enum credentials_result try_anew(struct credentials *c, int64_t now_s, struct diags *notes)
{
    struct arena a = {0};
    struct diags told; /* the files' warnings were told when they were first read */
    struct credentials_found found = {0};
    diags_init(&told, &a);
    struct credentials_search s = search_begin(c, &a, now_s, &told, notes);
    enum credentials_result result = search(c, &s, &found);
    if (result == CREDENTIALS_FOUND && found.expires_s != 0 && found.expires_s - LAST_S <= now_s) {
        result = credentials_fail(&s, "the keys of the %.*s have expired", STR_ARG(found.origin));
    }
    if (result == CREDENTIALS_FOUND) {
        hold(c, &found);
    }
    arena_free(&a);
    return result;
}

static bool is_good(const struct credentials *c, int64_t now_s, int64_t margin_s)
{
    return c->held && (c->expires_s == 0 || now_s < c->expires_s - margin_s);
}

enum credentials_result credentials_get(struct credentials *c, int64_t now_s, struct aws_keys *keys,
                                        struct diags *notes)
{
    /* the corrected clock may have been set back: then a try long ago looks like one to come */
    bool pausing = c->tried && now_s >= c->tried_s && now_s < c->tried_s + PAUSE_S;
    if ((c->refused || !is_good(c, now_s, RENEW_S)) && !pausing) {
        if (c->refused) {
            forget(c);
        }
        c->last = try_anew(c, now_s, notes);
        c->tried = true;
        c->tried_s = now_s;
    }
    bool good = is_good(c, now_s, LAST_S);
    *keys = good ? c->keys : (struct aws_keys){0};
    if (good) {
        return CREDENTIALS_FOUND;
    }
    return c->last == CREDENTIALS_FOUND ? CREDENTIALS_FAILED : c->last;
}

void credentials_drop(struct credentials *c)
{
    c->refused = true;
}
