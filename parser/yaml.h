/* SPDX-License-Identifier: MIT */
/* Parameter files: YAML (over libyaml, the one file that knows it) becomes the tree that JSON
 * becomes. YAML 1.2 core scalars; one document; anchors within a budget; no tags but the core
 * ones; each key once. */
#pragma once

#include "core/base/json.h"

enum {
    YAML_DEPTH_LIMIT = 100,   /* nested lists and mappings */
    YAML_NODE_LIMIT = 1 << 20 /* values, those that aliases repeat counted each time */
};

/* NULL and a diagnostic (code "bad-yaml", at its place in source number `source`, 0 for none) if
 * the text is not one such document. An empty document is an empty object. JSON is YAML, too. */
const struct json *yaml_parse(struct arena *a, struct str text, uint32_t source, struct diags *d);
