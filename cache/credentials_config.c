/* SPDX-License-Identifier: MIT */
/* The form, as the AWS tools read it:
 *   "[" ["profile" | "sso-session" | "services"] NAME "]"     NAME bare or in quotes
 *   NAME "=" VALUE                                            " #" or " ;" ends a value that is no command
 *   blanks TEXT                                               goes on with the value above; below an empty one
 *                                                             it is NAME "=" VALUE, a nested setting */
#include "cache/credentials_config.h"

#include <string.h>

enum { WARNINGS_PER_FILE = 5, LINES_PER_VALUE = 64 };

struct reading {
    struct arena *a;
    struct credentials_config *c;
    struct str path;
    bool plain;
    struct diags *notes;
    uint32_t line, warned, first; /* first setting of this file */
    uint32_t going_on;            /* lines that go on with the last value */
    bool in_section, has_setting;
    enum credentials_section kind;
    struct str section, parent; /* parent: a setting without a value, which may have nested ones */
};

static void warn(struct reading *r, const char *what)
{
    if (r->warned++ < WARNINGS_PER_FILE) {
        diag_warning(r->notes, "bad-aws-config", SPAN_NONE, "line %u of '%.*s' is passed over: %s",
                     r->line, STR_ARG(r->path), what);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct str lower_copy(struct arena *a, struct str x)
{
    char *s = arena_alloc(a, x.n + 1, 1);
    for (size_t i = 0; i < x.n; i++) {
        s[i] = x.s[i] >= 'A' && x.s[i] <= 'Z' ? (char)(x.s[i] - 'A' + 'a') : x.s[i];
    }
    return (struct str){s, x.n};
}

static bool has_control(struct str x)
{
    for (size_t i = 0; i < x.n; i++) {
        if (((unsigned char)x.s[i] < 0x20 && x.s[i] != '\t') || x.s[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static struct str unquoted(struct str x)
{
    if (x.n >= 2 && (x.s[0] == '"' || x.s[0] == '\'') && x.s[x.n - 1] == x.s[0]) {
        return str_sub(x, 1, x.n - 2);
    }
    return x;
}

/* "profile NAME" and its like: whether the word stands there, and what is behind it. */
static bool has_word(struct str text, struct str word, struct str *name)
{
    if (!str_starts(text, word) || text.n == word.n || !is_blank(text.s[word.n])) {
        return false;
    }
    *name = unquoted(str_trim(str_tail(text, word.n)));
    return true;
}

static void read_section(struct reading *r, struct str line)
{
    ptrdiff_t end = str_find(line, STR("]"));
    r->has_setting = false;
    r->parent = STR_NONE;
    r->in_section = end > 1;
    if (!r->in_section) {
        warn(r, "a section's name has no end");
        return;
    }
    struct str text = str_trim(str_sub(line, 1, (size_t)end - 1)), name = unquoted(text);
    r->kind = CREDENTIALS_ELSE;
    if (r->plain || str_eq(text, STR("default")) || has_word(text, STR("profile"), &name)) {
        r->kind = CREDENTIALS_PROFILE;
    } else if (has_word(text, STR("sso-session"), &name)) {
        r->kind = CREDENTIALS_SSO_SESSION;
    } else if (has_word(text, STR("services"), &name)) {
        r->kind = CREDENTIALS_SERVICES;
    }
    r->section = str_copy(r->a, name);
}

/* A comment behind a value begins with a blank; a command may well hold that. */
static struct str without_comment(struct str name, struct str value)
{
    if (str_eq(name, STR("credential_process"))) {
        return value;
    }
    for (size_t i = 0; i < value.n; i++) {
        bool marks = value.s[i] == '#' || value.s[i] == ';';
        if (marks && (i == 0 || is_blank(value.s[i - 1]))) {
            return str_trim(str_sub(value, 0, i));
        }
    }
    return value;
}

static void add(struct reading *r, struct str name, struct str value)
{
    if (r->c->all.n - r->first >= CREDENTIALS_SETTING_LIMIT) {
        warn(r, "there are too many settings");
        return;
    }
    struct credentials_setting *s = VEC_PUSH(r->a, &r->c->all);
    *s = (struct credentials_setting){r->kind, r->section, name,
                                      str_copy(r->a, without_comment(name, value))};
    r->has_setting = true;
    r->going_on = 0;
}

static bool split_setting(struct reading *r, struct str line, struct str *name, struct str *value)
{
    const char *equals = line.n ? memchr(line.s, '=', line.n) : NULL;
    if (!equals || str_trim(str_sub(line, 0, (size_t)(equals - line.s))).n == 0) {
        warn(r, "it is neither a section nor a setting");
        return false;
    }
    size_t at = (size_t)(equals - line.s);
    *name = lower_copy(r->a, str_trim(str_sub(line, 0, at)));
    *value = str_trim(str_tail(line, at + 1));
    return true;
}

static void read_setting(struct reading *r, struct str line)
{
    struct str name, value;
    r->has_setting = false;
    r->parent = STR_NONE;
    if (!r->in_section) {
        warn(r, "it stands in no section");
    } else if (split_setting(r, line, &name, &value)) {
        add(r, name, value);
        r->parent = value.n == 0 ? name : STR_NONE;
    }
}

static void read_indented(struct reading *r, struct str line)
{
    struct str name, value;
    if (r->parent.n > 0) {
        if (split_setting(r, line, &name, &value)) {
            add(r, str_join3(r->a, r->parent, STR("."), name), value);
        }
    } else if (r->has_setting && r->going_on++ < LINES_PER_VALUE) {
        struct credentials_setting *last = &r->c->all.at[r->c->all.n - 1];
        last->value = str_join3(r->a, last->value, STR(" "), line);
    } else {
        warn(r, "nothing stands above that it could go on with");
    }
}

static void read_line(struct reading *r, struct str line)
{
    struct str text = str_trim(line);
    if (text.n == 0 || text.s[0] == '#' || text.s[0] == ';') {
        return;
    }
    if (has_control(text)) {
        warn(r, "it holds a control byte");
    } else if (is_blank(line.s[0]) && text.s[0] != '[') {
        read_indented(r, text);
    } else if (text.s[0] == '[') {
        read_section(r, text);
    } else {
        read_setting(r, text);
    }
}

void credentials_config_read(struct arena *a, struct credentials_config *c, struct str path,
                             struct str text, bool plain, struct diags *notes)
{
    struct reading r = {
        .a = a, .c = c, .path = path, .plain = plain, .notes = notes, .first = c->all.n};
    if (text.n > CREDENTIALS_CONFIG_LIMIT) {
        diag_warning(notes, "bad-aws-config", SPAN_NONE,
                     "'%.*s' is not read: it is larger than %d KiB", STR_ARG(path),
                     CREDENTIALS_CONFIG_LIMIT >> 10);
        return;
    }
    if (str_starts(text, STR("\xef\xbb\xbf"))) {
        text = str_tail(text, 3);
    }
    struct str line;
    while (str_cut(&text, '\n', &line)) {
        r.line++;
        read_line(&r, line);
    }
}

static bool is_of(const struct credentials_setting *s, enum credentials_section kind,
                  struct str section)
{
    return s->kind == kind && str_eq(s->section, section);
}

struct str credentials_config_find(const struct credentials_config *c,
                                   enum credentials_section kind, struct str section,
                                   struct str name)
{
    for (uint32_t i = c->all.n; i-- > 0;) {
        const struct credentials_setting *s = &c->all.at[i];
        if (is_of(s, kind, section) && str_eq(s->name, name)) {
            return s->value;
        }
    }
    return STR_NONE;
}

bool credentials_config_has(const struct credentials_config *c, enum credentials_section kind,
                            struct str section)
{
    for (uint32_t i = 0; i < c->all.n; i++) {
        if (is_of(&c->all.at[i], kind, section)) {
            return true;
        }
    }
    return false;
}
