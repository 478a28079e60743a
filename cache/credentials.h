/* SPDX-License-Identifier: MIT */
/* Keys from where every AWS tool takes them, held until shortly before they expire; and what else those places
 * say: region, endpoint, certificates. Nothing here speaks over a network: whoever opens it hands over a
 * function that does. No key, token or setting's value is ever in a message. */
#pragma once

#include "cache/aws.h"

/* A request to STS, SSO, a container's endpoint or the instance's metadata. */
struct credentials_request {
    struct str method, url, body;
    const struct aws_field *headers;
    uint32_t header_count;
    int64_t timeout_ms; /* of one attempt, whole */
    uint32_t attempts;
    bool direct; /* past any proxy: an address of this machine or its host */
};

enum { CREDENTIALS_ANSWER_LIMIT = 256 << 10 }; /* bytes of an answer; more is none */

struct credentials_response {
    uint32_t status;
    struct str body; /* lives as long as the arena given */
};

/* false: no answer. Nothing is said of that: messages are made by whoever asked. */
typedef bool credentials_fetch(void *context, struct arena *a,
                               const struct credentials_request *request,
                               struct credentials_response *response);

/* How a bucket is named in a request. */
enum credentials_style {
    CREDENTIALS_STYLE_UNSAID,
    CREDENTIALS_STYLE_PATH,
    CREDENTIALS_STYLE_VIRTUAL,
};

/* Texts are copied. Empty is "not said". Before what is said here go PAWL_REMOTE_PROFILE, _REGION, _ENDPOINT,
 * _CA_BUNDLE, _PATH_STYLE (true, false) and _ACCESS_KEY_ID, _SECRET_ACCESS_KEY, _SESSION_TOKEN; after it, what
 * AWS tools read. */
struct credentials_settings {
    const char *const *environment; /* "NAME=value" ..., NULL; borrowed until close */
    struct str profile, region, endpoint;
    enum credentials_style style;
    credentials_fetch *fetch; /* NULL: only what lies on this machine */
    void *context;
};

/* How the place is reached, from settings, environment and profile. */
struct credentials_place {
    struct str region;    /* empty: nobody said; it is us-east-1 until the server says otherwise */
    struct str endpoint;  /* empty: AWS's own for the region */
    struct str ca_bundle; /* empty: the system's */
    enum credentials_style style;
};

enum credentials_result {
    CREDENTIALS_FOUND,
    CREDENTIALS_NONE,   /* nobody offers any: told as a warning, with where was looked */
    CREDENTIALS_FAILED, /* somebody should, and does not: told as a warning; may get better */
};

struct credentials; /* belongs to one thread at a time */

/* Reads the environment and the files of settings; asks nobody yet. Never NULL; warnings in notes. */
struct credentials *credentials_open(const struct credentials_settings *settings,
                                     struct diags *notes);
void credentials_close(struct credentials *c); /* wipes the keys; NULL is fine */

const struct credentials_place *credentials_place(const struct credentials *c);

/* The keys for now_s (seconds since 1970, corrected by the server's clock). Asks anew when they expire within
 * five minutes, at most every half minute; while that fails, those held are good until they expire. May wait
 * for fetch or for a credential_process. Between two tries the last answer stands, without a word. *keys is
 * borrowed until the next call. */
enum credentials_result credentials_get(struct credentials *c, int64_t now_s, struct aws_keys *keys,
                                        struct diags *notes);
/* The server refused the keys held: the next get reads the files and asks anew, unless they were asked for within
 * the last half minute; then they stay, and so many refusals cost no more than one. */
void credentials_drop(struct credentials *c);
/* From when on the keys held are not used, seconds since 1970; 0: they do not expire. */
int64_t credentials_until_s(const struct credentials *c);
/* Which place the keys held came from, for people: "environment", "profile 'ml'", "instance"; empty: none yet. */
struct str credentials_origin(const struct credentials *c);
