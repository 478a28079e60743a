/* SPDX-License-Identifier: MIT */
/* Names of instances as text. Parsing what was put gives the same keys and values. */
#include "core/graph_name.h"

bool graph_name_value_eq(struct str x, struct str y)
{
    double a, b;
    return str_eq(x, y) || (str_parse_double(x, &a) && str_parse_double(y, &b) && a == b);
}

static bool wants_quotes(struct str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.s[i];
        if (c <= ' ' || c == 0x7f || c == ',' || c == ']' || c == '=' || c == '"' || c == '\\') {
            return true;
        }
    }
    return !value.n;
}

void graph_name_put_value(struct buf *b, struct str value)
{
    if (!wants_quotes(value)) {
        buf_put_str(b, value);
        return;
    }
    buf_put_char(b, '"');
    for (size_t i = 0; i < value.n; i++) {
        char c = value.s[i];
        if (c == '"' || c == '\\') {
            buf_put_char(b, '\\');
            buf_put_char(b, c);
        } else if (c == '\n') {
            buf_put_str(b, STR("\\n"));
        } else if (c == '\t') {
            buf_put_str(b, STR("\\t"));
        } else {
            buf_put_char(b, c);
        }
    }
    buf_put_char(b, '"');
}

/* A value from *at on, up to , or ] (not taken). */
static bool parse_value(struct arena *a, struct str t, size_t *at, struct str *out)
{
    size_t i = *at;
    if (i >= t.n || t.s[i] != '"') {
        while (i < t.n && t.s[i] != ',' && t.s[i] != ']') {
            i++;
        }
        *out = str_trim(str_sub(t, *at, i - *at));
        *at = i;
        return true;
    }
    char *text = ARENA_ARRAY(a, char, t.n);
    size_t n = 0;
    for (i++; i < t.n && t.s[i] != '"'; i++) {
        char c = t.s[i];
        if (c == '\\' && i + 1 < t.n) {
            c = t.s[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c;
        }
        text[n++] = c;
    }
    *out = (struct str){text, n};
    *at = i + 1;
    return i < t.n;
}

static size_t skip_blanks(struct str t, size_t i)
{
    while (i < t.n && t.s[i] == ' ') {
        i++;
    }
    return i;
}

/* The text between the brackets and the closing one, which is its last byte. */
static bool parse_keys(struct arena *a, struct str t, struct graph_keys *keys)
{
    uint32_t cap = 1;
    for (size_t i = 0; i < t.n; i++) {
        cap += t.s[i] == ',';
    }
    keys->at = ARENA_ARRAY(a, struct graph_key, cap);
    size_t i = 0;
    while (keys->n < cap) {
        size_t begin = i = skip_blanks(t, i);
        while (i < t.n && t.s[i] != '=' && t.s[i] != ',' && t.s[i] != ']') {
            i++;
        }
        if (i >= t.n || t.s[i] != '=' || i == begin) {
            return false;
        }
        struct graph_key *key = &keys->at[keys->n++];
        key->name = str_trim(str_sub(t, begin, i - begin));
        i = skip_blanks(t, i + 1);
        if (!parse_value(a, t, &i, &key->value)) {
            return false;
        }
        i = skip_blanks(t, i);
        if (i < t.n && t.s[i] == ']') {
            return i + 1 == t.n;
        }
        if (i >= t.n || t.s[i] != ',') {
            return false;
        }
        i++;
    }
    return false;
}

bool graph_name_parse(struct arena *a, struct str text, struct str *base, struct graph_keys *keys,
                      bool *has_keys)
{
    *keys = (struct graph_keys){NULL, 0, false};
    size_t open = 0;
    while (open < text.n && text.s[open] != '[') {
        open++;
    }
    *base = str_sub(text, 0, open);
    *has_keys = open < text.n;
    if (!*has_keys) {
        return true;
    }
    struct str rest = str_tail(text, open + 1);
    if (str_eq(rest, STR("*]"))) {
        keys->all = true;
        return true;
    }
    return parse_keys(a, rest, keys);
}
