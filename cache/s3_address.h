/* SPDX-License-Identifier: MIT */
/* Where a bucket is: scheme, host, and whether its name stands in the host or in the path. A server may send
 * us elsewhere only within what it is itself: the same host, one below it, or another region of AWS. */
#pragma once

#include "core/base/diag.h"

enum s3_style {
    S3_STYLE_AUTO, /* the bucket in the host's name at AWS where the name allows it, else in the path */
    S3_STYLE_PATH,
    S3_STYLE_HOST,
};

/* As somebody wished it. */
struct s3_where {
    struct str endpoint; /* "https://host[:port][/base]"; empty: AWS's own of the region */
    struct str region;   /* empty: us-east-1, until the server names another */
    struct str bucket;
    enum s3_style style;
};

struct s3_address {
    struct str scheme; /* "http", "https" */
    struct str
        domain; /* host[:port] without the bucket; the port only where it is not the scheme's own */
    struct str base; /* path before everything, "" or "/base" */
    struct str region, bucket;
    bool in_host; /* the bucket */
    bool amazon;  /* AWS's own endpoint: another region is another host */
};

/* Texts are copied to a. false with a warning "remote-address". */
bool s3_address_make(struct arena *a, const struct s3_where *where, struct s3_address *out,
                     struct diags *notes);

/* host[:port] as the Host header says it. */
struct str s3_address_host(struct arena *a, const struct s3_address *at);
/* The raw path of a key; an empty one is the bucket itself. */
struct str s3_address_path(struct arena *a, const struct s3_address *at, struct str key);

/* Where an answer sends us: the region it names (may be empty), its Location (may be empty). false: it says
 * nothing new, or nothing that may be followed. */
bool s3_address_follow(struct arena *a, const struct s3_address *at, struct str region,
                       struct str location, struct s3_address *out);
