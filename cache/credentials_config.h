/* SPDX-License-Identifier: MIT */
/* The two files of AWS settings, read with suspicion: bounded, each bad line told by its number and passed
 * over. What a line says is never in a message, for it may be a secret. */
#pragma once

#include "core/base/diag.h"

enum {
    CREDENTIALS_CONFIG_LIMIT = 1 << 20, /* bytes of a file */
    CREDENTIALS_SETTING_LIMIT = 16384,  /* settings of a file */
};

enum credentials_section {
    CREDENTIALS_PROFILE,
    CREDENTIALS_SSO_SESSION,
    CREDENTIALS_SERVICES,
    CREDENTIALS_ELSE, /* a section of no meaning here */
};

struct credentials_setting {
    enum credentials_section kind;
    struct str section; /* name of the profile, session … */
    struct str name;    /* lower case; of a nested one "s3.endpoint_url" */
    struct str value;
};

/* Settings in the order of the files: of equal ones the last counts. */
struct credentials_config {
    VEC(struct credentials_setting) all;
};

/* Adds the settings of one text. plain: the credentials file, where a profile's section is its bare name; there
 * it outdoes the config file, so it is read second. Warnings have the code "bad-aws-config". */
void credentials_config_read(struct arena *a, struct credentials_config *c, struct str path,
                             struct str text, bool plain, struct diags *notes);
/* Empty: not set. */
struct str credentials_config_find(const struct credentials_config *c,
                                   enum credentials_section kind, struct str section,
                                   struct str name);
bool credentials_config_has(const struct credentials_config *c, enum credentials_section kind,
                            struct str section);
