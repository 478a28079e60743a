/* SPDX-License-Identifier: MIT */
/* Patterns of paths. A pattern is a row of parts; while a path is walked, a set of bits says how many parts
 * may be behind us. So a folder is visited once, and no pattern costs more than one walk. */
#include "core/base/glob.h"

#include "core/base/file.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum { GLOB_PARTS = 62 };

struct pattern {
    struct str parts[GLOB_PARTS];
    bool plain[GLOB_PARTS]; /* no wildcard: looked up, not listed for */
    uint32_t count;
    bool folders;
};

struct walk {
    const struct pattern *p;
    int dir;
    struct arena *results;
    struct arena scratch;
    VEC(struct str) found;
    bool failed;
};

/* One character off the front: its number and how many bytes it took; a bad byte stands for itself. */
static uint32_t next_char(struct str x, size_t *bytes)
{
    unsigned char c = (unsigned char)x.s[0];
    *bytes = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    if (*bytes == 1 || *bytes > x.n || !str_is_utf8(str_sub(x, 0, *bytes))) {
        *bytes = 1;
        return c < 0x80 ? c : 0x110000u + c;
    }
    uint32_t value = c & (0x7fu >> *bytes);
    for (size_t i = 1; i < *bytes; i++) {
        value = value << 6 | ((unsigned char)x.s[i] & 0x3fu);
    }
    return value;
}

/* Cuts one character of a pattern, a backslash taking the next as it is. */
static uint32_t take_char(struct str *rest)
{
    if (rest->s[0] == '\\' && rest->n > 1) {
        *rest = str_tail(*rest, 1);
    }
    size_t bytes;
    uint32_t c = next_char(*rest, &bytes);
    *rest = str_tail(*rest, bytes);
    return c;
}

/* Behind a '[': is c in the class? Leaves *rest behind the ']'; false in *closed if there is none. */
static bool class_has(struct str *rest, uint32_t c, bool *closed)
{
    bool negated = rest->n > 0 && (rest->s[0] == '!' || rest->s[0] == '^');
    *rest = str_tail(*rest, negated);
    bool has = false;
    bool first = true;
    while (rest->n > 0 && (first || rest->s[0] != ']')) {
        first = false;
        uint32_t low = take_char(rest);
        uint32_t high = low;
        if (rest->n > 1 && rest->s[0] == '-' && rest->s[1] != ']') {
            *rest = str_tail(*rest, 1);
            high = take_char(rest);
        }
        has = has || (low <= c && c <= high);
    }
    *closed = rest->n > 0;
    *rest = str_tail(*rest, 1);
    return has != negated;
}

/* One character of name against the front of the pattern (no star); cuts both when they agree. */
static bool match_one(struct str *pattern, struct str *name)
{
    if (pattern->n == 0 || name->n == 0) {
        return false;
    }
    struct str rest = *pattern;
    size_t bytes;
    uint32_t c = next_char(*name, &bytes);
    bool agrees;
    bool closed;
    if (rest.s[0] == '?') {
        rest = str_tail(rest, 1);
        agrees = true;
    } else if (rest.s[0] == '[') {
        rest = str_tail(rest, 1);
        agrees = class_has(&rest, c, &closed);
    } else {
        agrees = take_char(&rest) == c;
    }
    if (agrees) {
        *pattern = rest;
        *name = str_tail(*name, bytes);
    }
    return agrees;
}

/* Going back to the last star alone is enough: an earlier one could only take more. */
static bool match_name(struct str pattern, struct str name)
{
    if (name.n > 0 && name.s[0] == '.' && !str_starts(pattern, STR("."))
        && !str_starts(pattern, STR("\\."))) {
        return false;
    }
    struct str star = STR_NONE;
    struct str star_name = STR_NONE;
    for (;;) {
        if (pattern.n > 0 && pattern.s[0] == '*') {
            pattern = str_tail(pattern, 1);
            star = pattern;
            star_name = name;
            if (pattern.n == 0) {
                return true;
            }
        } else if (pattern.n == 0 && name.n == 0) {
            return true;
        } else if (!match_one(&pattern, &name)) {
            if (!star.s || star_name.n == 0) {
                return false;
            }
            size_t bytes;
            next_char(star_name, &bytes);
            star_name = str_tail(star_name, bytes);
            pattern = star;
            name = star_name;
        }
    }
}

static bool is_deep(const struct pattern *p, uint32_t i)
{
    return str_eq(p->parts[i], STR("**"));
}

static bool has_wildcard(struct str part)
{
    return str_has(part, '*') || str_has(part, '?') || str_has(part, '[') || str_has(part, '\\');
}

static const char *check_part(struct str part)
{
    while (part.n > 0) {
        bool closed = true;
        if (part.s[0] == '\\' && part.n == 1) {
            return "a '\\' with nothing behind it";
        }
        if (part.s[0] == '[') {
            part = str_tail(part, 1);
            class_has(&part, 0, &closed);
        } else {
            take_char(&part);
        }
        if (!closed) {
            return "a '[' without its ']'";
        }
    }
    return NULL;
}

static const char *add_part(struct pattern *p, struct str part)
{
    if (part.n == 0 || str_eq(part, STR("."))) {
        return NULL;
    }
    if (str_eq(part, STR(".."))) {
        if (p->count == 0) {
            return "it leaves the workspace";
        }
        return p->plain[--p->count] ? NULL : "a '..' behind a wildcard";
    }
    if (str_eq(part, STR("**")) && p->count > 0 && is_deep(p, p->count - 1)) {
        return NULL;
    }
    if (p->count == GLOB_PARTS - 1) {
        return "more than 60 parts";
    }
    p->parts[p->count] = part;
    p->plain[p->count++] = !has_wildcard(part);
    return check_part(part);
}

/* NULL, or what is wrong with the text. */
static const char *pattern_parse(struct pattern *p, struct str text)
{
    *p = (struct pattern){.folders = str_ends(text, STR("/"))};
    if (text.n == 0) {
        return "it is empty";
    }
    if (str_starts(text, STR("/"))) {
        return "it begins with '/'";
    }
    if (str_has(text, '\0')) {
        return "it holds a NUL byte";
    }
    struct str part;
    while (str_cut(&text, '/', &part)) {
        const char *wrong = add_part(p, part);
        if (wrong) {
            return wrong;
        }
    }
    /* Files at any depth: ** stands for the folders, so one part more for the name. */
    if (p->count > 0 && is_deep(p, p->count - 1) && !p->folders) {
        p->parts[p->count++] = STR("*");
    }
    return NULL;
}

/* Bit i: parts[0 .. i) are behind us. ** may stand for nothing. */
static uint64_t closure(const struct pattern *p, uint64_t set)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (set >> i & 1 && is_deep(p, i)) {
            set |= (uint64_t)1 << (i + 1);
        }
    }
    return set;
}

/* The set behind one more name. deep_too: the name is of a real folder, so ** may stand for it. */
static uint64_t step(const struct pattern *p, uint64_t set, struct str name, bool deep_too)
{
    uint64_t next = 0;
    if (str_eq(name, STR(".pawl"))) {
        return 0;
    }
    for (uint32_t i = 0; i < p->count; i++) {
        if (!(set >> i & 1)) {
            continue;
        }
        if (is_deep(p, i)) {
            next |= deep_too && name.s[0] != '.' ? (uint64_t)1 << i : 0;
        } else if (p->plain[i] ? str_eq(p->parts[i], name) : match_name(p->parts[i], name)) {
            next |= (uint64_t)1 << (i + 1);
        }
    }
    return closure(p, next);
}

static void walk_folder(struct walk *w, struct str path, uint64_t set);

/* One name in a folder, of the type that the folder tells (DT_UNKNOWN: look). */
static void walk_entry(struct walk *w, struct str folder, struct str name, uint8_t type,
                       uint64_t set)
{
    uint64_t next = step(w->p, set, name, type == DT_DIR);
    if (next == 0 && type != DT_UNKNOWN) {
        return;
    }
    struct str path = path_join(&w->scratch, folder, name);
    if (type == DT_UNKNOWN || type == DT_LNK) {
        struct file_sig link = file_stat(w->dir, path, false);
        struct file_sig sig = file_stat(w->dir, path, true);
        type = (uint8_t)IFTODT(sig.mode);
        next = step(w->p, set, name, file_sig_is_dir(&link));
    }
    uint64_t end = (uint64_t)1 << w->p->count;
    if (next & end && type == (w->p->folders ? DT_DIR : DT_REG)) {
        *VEC_PUSH(w->results, &w->found) = str_copy(w->results, path);
    }
    if (type == DT_DIR && next & ~end) {
        walk_folder(w, path, next & ~end);
    }
}

static bool only_plain(const struct pattern *p, uint64_t set)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (set >> i & 1 && !p->plain[i]) {
            return false;
        }
    }
    return true;
}

static void walk_listed(struct walk *w, struct str path, uint64_t set)
{
    struct file_entry *entries;
    uint32_t count;
    if (!file_list(&w->scratch, w->dir, path, &entries, &count)) {
        w->failed |= errno == EMFILE || errno == ENFILE || errno == EIO || errno == ENOMEM;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        walk_entry(w, path, entries[i].name, entries[i].type, set);
    }
}

static void walk_folder(struct walk *w, struct str path, uint64_t set)
{
    struct arena_mark mark = arena_mark(&w->scratch);
    if (only_plain(w->p, set)) {
        for (uint32_t i = 0; i < w->p->count; i++) {
            if (set >> i & 1) {
                walk_entry(w, path, w->p->parts[i], DT_UNKNOWN, (uint64_t)1 << i);
            }
        }
    } else {
        walk_listed(w, path, set);
    }
    arena_reset(&w->scratch, mark);
}

static int result_cmp(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

bool file_glob(struct arena *a, int dir, struct str pattern, struct str **out, uint32_t *count,
               const char **reason)
{
    struct pattern p;
    *reason = pattern_parse(&p, pattern);
    *count = 0;
    *out = NULL;
    if (*reason) {
        return false;
    }
    struct walk w = {.p = &p, .dir = dir, .results = a};
    walk_folder(&w, STR("."), closure(&p, 1));
    arena_free(&w.scratch);
    if (w.failed) {
        *reason = "a folder that it leads to cannot be read";
        return false;
    }
    uint32_t n = 0;
    if (w.found.n > 1) {
        qsort(w.found.at, w.found.n, sizeof *w.found.at, result_cmp);
    }
    /* Two plain parts of one text may lead to the same name. */
    for (uint32_t i = 0; i < w.found.n; i++) {
        if (n == 0 || !str_eq(w.found.at[n - 1], w.found.at[i])) {
            w.found.at[n++] = w.found.at[i];
        }
    }
    *out = w.found.at;
    *count = n;
    return true;
}

bool path_matches(struct str pattern, struct str path)
{
    struct pattern p;
    if (pattern_parse(&p, pattern) || path.n == 0) {
        return false;
    }
    uint64_t set = closure(&p, 1);
    struct str name;
    while (set && str_cut(&path, '/', &name)) {
        set = name.n ? step(&p, set, name, true) : 0;
    }
    return set >> p.count & 1;
}
