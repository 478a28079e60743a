/* SPDX-License-Identifier: MIT */
/* JSON in, over jansson (the one file that knows it), as a plain tree in an arena. YAML parameter
 * files become the same type (parser/yaml.h). Writing JSON: str_put_json and buf_printf. */
#pragma once

#include "core/base/diag.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_LIST, JSON_OBJECT };

struct json {
    enum json_kind kind;
    bool boolean;
    int64_t integer;
    double real;
    struct str
        text; /* JSON_STRING; for numbers the text as it was written where known, else empty */
    struct json *items; /* JSON_LIST and JSON_OBJECT: values */
    struct str *names;  /* JSON_OBJECT: names[i] belongs to items[i]; order of the file */
    uint32_t count;
};

enum { JSON_DEPTH_LIMIT = 200, JSON_TEXT_LIMIT = 64 << 20 };

/* One JSON document. NULL and a diagnostic (code "bad-json", at its place in source number `source`,
 * 0 for none) if it is not one, has a name twice in one object, or passes a limit. */
const struct json *json_parse(struct arena *a, struct str text, uint32_t source, struct diags *d);

/* Walks "a.b[0].c" (a name that holds . or [ is written ["a.b"]); NULL when absent. */
const struct json *json_find(const struct json *root, struct str path);
const struct json *json_member(const struct json *object, struct str name); /* or NULL */
/* Canonical text: objects sorted by name, no blanks; the same value always gives the same bytes. */
void json_put(struct buf *b, const struct json *value);
