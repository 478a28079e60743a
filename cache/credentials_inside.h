/* SPDX-License-Identifier: MIT */
/* What the files of the module share: a search for keys, and those found. */
#pragma once

#include "cache/credentials.h"
#include "cache/credentials_config.h"

enum {
    CREDENTIALS_DEPTH = 8, /* profiles that lean on one another */
    CREDENTIALS_FILE_LIMIT = 64 << 10,
    CREDENTIALS_PROCESS_MS = 30000,
    CREDENTIALS_FETCH_MS = 5000,
};

/* One search: everything in it dies with it. */
struct credentials_search {
    struct arena *a;
    const char *const *environment;
    const struct credentials_config *config;
    struct str home, region; /* region: of the place; empty: not said */
    credentials_fetch *fetch;
    void *context;
    int64_t now_s;
    struct diags *notes;
};

struct credentials_found {
    struct aws_keys keys;
    int64_t expires_s; /* 0: never */
    struct str origin; /* for people */
};

/* credentials.c: a variable's value; empty and unset are one. */
struct str credentials_env(const char *const *environment, const char *name);
/* Says it as a warning, code "aws-credentials", and gives CREDENTIALS_FAILED. */
enum credentials_result credentials_fail(struct credentials_search *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "~/x" below the home folder. */
struct str credentials_path(const struct credentials_search *s, struct str path);

/* credentials_profile.c. An unknown profile is a failure; one without keys is CREDENTIALS_NONE. */
enum credentials_result credentials_from_profile(struct credentials_search *s, struct str profile,
                                                 struct credentials_found *out);
enum credentials_result credentials_from_process(struct credentials_search *s, struct str command,
                                                 struct credentials_found *out);
/* Whether the profile is to take on a role. */
bool credentials_has_role(const struct credentials_search *s, struct str profile);

/* credentials_remote.c. */
struct credentials_role {
    struct str arn, session_name, external_id, duration_s;
    struct str token_file; /* of a web identity */
    struct str profile;    /* for STS's region and endpoint */
};
enum credentials_result credentials_assume(struct credentials_search *s,
                                           const struct credentials_role *role,
                                           const struct credentials_found *by,
                                           struct credentials_found *out);
enum credentials_result credentials_from_web_identity(struct credentials_search *s,
                                                      const struct credentials_role *role,
                                                      struct credentials_found *out);
enum credentials_result credentials_from_sso(struct credentials_search *s, struct str profile,
                                             struct credentials_found *out);
enum credentials_result credentials_from_container(struct credentials_search *s,
                                                   struct credentials_found *out);
enum credentials_result credentials_from_instance(struct credentials_search *s,
                                                  struct credentials_found *out);

/* credentials_answer.c: documents of others. false: not that, or keys that no header may hold. */
enum credentials_form {
    CREDENTIALS_FORM_PROCESS,  /* JSON with Version, SessionToken */
    CREDENTIALS_FORM_ENDPOINT, /* JSON with Token */
    CREDENTIALS_FORM_SSO,      /* JSON with roleCredentials, ms */
    CREDENTIALS_FORM_STS,      /* XML */
};
bool credentials_answer_read(struct arena *a, struct str text, enum credentials_form form,
                             struct credentials_found *out);
bool credentials_are_sound(const struct aws_keys *keys);
/* The code of an error that AWS says in XML or JSON, if it is a plain word; else empty. */
struct str credentials_answer_error(struct arena *a, struct str text);
/* "2026-11-22T14:03:05Z", also with a fraction, "+00:00" or "UTC" at the end: seconds since 1970. */
bool credentials_time_parse(struct str text, int64_t *s);

/* credentials_process.c: runs a command by /bin/sh, without standard input; false where it fails, does not end
 * in time, or says more than bounded. */
bool credentials_run(struct arena *a, struct str command, const char *const *environment,
                     int64_t timeout_ms, struct str *output);
