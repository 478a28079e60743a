/* SPDX-License-Identifier: MIT */
/* Profiles: in each, the first of role, web identity, SSO, keys, process that it speaks of. A role may lean on
 * another profile, which may do so again; the depth is bounded. */
#include "cache/credentials_inside.h"

static struct str setting(const struct credentials_search *s, struct str profile, struct str name)
{
    return credentials_config_find(s->config, CREDENTIALS_PROFILE, profile, name);
}

static enum credentials_result keys_of(struct credentials_search *s, struct str profile,
                                       struct credentials_found *out)
{
    *out = (struct credentials_found){.keys = {setting(s, profile, STR("aws_access_key_id")),
                                               setting(s, profile, STR("aws_secret_access_key")),
                                               setting(s, profile, STR("aws_session_token"))}};
    if (out->keys.id.n == 0 && out->keys.secret.n == 0) {
        return CREDENTIALS_NONE;
    }
    if (!credentials_are_sound(&out->keys)) {
        return credentials_fail(s, "profile '%.*s' has half a key, or one that none can be",
                                STR_ARG(profile));
    }
    return CREDENTIALS_FOUND;
}

enum credentials_result credentials_from_process(struct credentials_search *s, struct str command,
                                                 struct credentials_found *out)
{
    struct str said;
    if (!credentials_run(s->a, command, s->environment, CREDENTIALS_PROCESS_MS, &said)) {
        return credentials_fail(s, "a credential_process failed, or did not end within %d s",
                                CREDENTIALS_PROCESS_MS / 1000);
    }
    if (!credentials_answer_read(s->a, said, CREDENTIALS_FORM_PROCESS, out)) {
        return credentials_fail(s, "a credential_process said something other than keys");
    }
    return CREDENTIALS_FOUND;
}

bool credentials_has_role(const struct credentials_search *s, struct str profile)
{
    return setting(s, profile, STR("role_arn")).n > 0;
}

static bool has_sso(const struct credentials_search *s, struct str profile)
{
    return setting(s, profile, STR("sso_session")).n > 0
           || setting(s, profile, STR("sso_start_url")).n > 0;
}

/* What a profile has without a role. */
static enum credentials_result own(struct credentials_search *s, struct str profile,
                                   struct credentials_found *out)
{
    struct str command = setting(s, profile, STR("credential_process"));
    if (has_sso(s, profile)) {
        return credentials_from_sso(s, profile, out);
    }
    enum credentials_result keys = keys_of(s, profile, out);
    if (keys == CREDENTIALS_NONE && command.n > 0) {
        return credentials_from_process(s, command, out);
    }
    return keys;
}

static enum credentials_result from_source(struct credentials_search *s, struct str profile,
                                           struct str source, struct credentials_found *out)
{
    enum credentials_result result = CREDENTIALS_NONE;
    if (str_eq(source, STR("Environment"))) {
        out->keys = (struct aws_keys){credentials_env(s->environment, "AWS_ACCESS_KEY_ID"),
                                      credentials_env(s->environment, "AWS_SECRET_ACCESS_KEY"),
                                      credentials_env(s->environment, "AWS_SESSION_TOKEN")};
        result = credentials_are_sound(&out->keys) ? CREDENTIALS_FOUND : CREDENTIALS_NONE;
    } else if (str_eq(source, STR("EcsContainer"))) {
        result = credentials_from_container(s, out);
    } else if (str_eq(source, STR("Ec2InstanceMetadata"))) {
        result = credentials_from_instance(s, out);
    }
    if (result == CREDENTIALS_NONE) {
        return credentials_fail(s, "the credential_source of profile '%.*s' has no keys",
                                STR_ARG(profile));
    }
    return result;
}

static struct credentials_role role_of(struct credentials_search *s, struct str profile)
{
    return (struct credentials_role){.arn = setting(s, profile, STR("role_arn")),
                                     .session_name = setting(s, profile, STR("role_session_name")),
                                     .external_id = setting(s, profile, STR("external_id")),
                                     .duration_s = setting(s, profile, STR("duration_seconds")),
                                     .token_file =
                                         setting(s, profile, STR("web_identity_token_file")),
                                     .profile = profile};
}

/* The keys below a chain of roles, and the roles from the one asked for down. */
struct chain {
    struct credentials_role roles[CREDENTIALS_DEPTH];
    uint32_t n;
};

static enum credentials_result unknown(struct credentials_search *s, struct str profile)
{
    return credentials_fail(s, "there is no profile '%.*s' in the AWS settings", STR_ARG(profile));
}

/* Pushes the profile's role and says who it leans on in *next; a result where the chain ends here. */
static bool descend(struct credentials_search *s, struct chain *c, struct str profile,
                    struct str *next, enum credentials_result *end, struct credentials_found *found)
{
    struct credentials_role role = role_of(s, profile);
    struct str source = setting(s, profile, STR("source_profile"));
    struct str place = setting(s, profile, STR("credential_source"));
    if (role.token_file.n > 0) {
        *end = credentials_from_web_identity(s, &role, found);
        return false;
    }
    if (setting(s, profile, STR("mfa_serial")).n > 0) {
        *end = credentials_fail(
            s,
            "the role of profile '%.*s' asks for a code (mfa_serial), which nobody is "
            "there to type",
            STR_ARG(profile));
        return false;
    }
    if (c->n == CREDENTIALS_DEPTH) {
        *end = credentials_fail(s, "the roles of profile '%.*s' lean on one another in a circle",
                                STR_ARG(c->roles[0].profile));
        return false;
    }
    c->roles[c->n++] = role;
    if (source.n == 0) {
        *end = from_source(s, profile, place, found);
    } else if (str_eq(source, profile)) {
        *end = own(s, profile, found); /* its own keys take on its role */
    } else {
        *next = source;
        return true;
    }
    return false;
}

static enum credentials_result ground(struct credentials_search *s, struct chain *c,
                                      struct str profile, struct credentials_found *found)
{
    enum credentials_result end = CREDENTIALS_FAILED;
    while (credentials_has_role(s, profile)) {
        struct str next;
        if (!descend(s, c, profile, &next, &end, found)) {
            return end;
        }
        profile = next;
        if (!credentials_config_has(s->config, CREDENTIALS_PROFILE, profile)) {
            return unknown(s, profile);
        }
    }
    return own(s, profile, found);
}

enum credentials_result credentials_from_profile(struct credentials_search *s, struct str profile,
                                                 struct credentials_found *out)
{
    if (!credentials_config_has(s->config, CREDENTIALS_PROFILE, profile)) {
        return unknown(s, profile);
    }
    struct chain *c = ARENA_NEW(s->a, struct chain);
    enum credentials_result result = ground(s, c, profile, out);
    if (result == CREDENTIALS_NONE && c->n > 0) {
        return credentials_fail(s, "the role of profile '%.*s' leans on a profile without keys",
                                STR_ARG(profile));
    }
    while (result == CREDENTIALS_FOUND && c->n > 0) {
        struct credentials_found by = *out;
        result = credentials_assume(s, &c->roles[--c->n], &by, out);
    }
    out->origin = str_printf(s->a, "profile '%.*s'", STR_ARG(profile));
    return result;
}
