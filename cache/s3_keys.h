/* SPDX-License-Identifier: MIT */
/* Credentials as the operations of S3 want them: asked for over HTTP, shared by all threads that sign. While one
 * asks for new keys, the others sign with the old ones as long as those are good; else they wait, for a while. */
#pragma once

#include "cache/credentials.h"
#include "cache/s3.h"

struct s3_wallet;

/* settings as for credentials_open, without fetch and context. Never NULL; asks nobody yet. */
struct s3_wallet *s3_wallet_open(const struct credentials_settings *settings, struct diags *notes);
void s3_wallet_close(struct s3_wallet *w); /* NULL is fine */
/* Region, endpoint and certificates, from which http and s3 are opened. */
const struct credentials_place *s3_wallet_place(const struct s3_wallet *w);
/* Before the first request: what keys are asked for with. Borrowed until close. */
void s3_wallet_use(struct s3_wallet *w, struct http *http);
/* For s3_settings; borrowed until close. */
struct s3_keys s3_wallet_keys(struct s3_wallet *w);
/* For so long, instead of 15 s, one waits for keys that another asks for. */
void s3_wallet_be_patient(struct s3_wallet *w, int64_t patience_ns);
