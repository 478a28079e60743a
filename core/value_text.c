/* SPDX-License-Identifier: MIT */
/* Lists, interpolated texts and argument lists out of values; each is late as soon as one part is. */
#include "core/value.h"

#include <string.h>

bool value_any_late(struct value_parts parts)
{
    for (uint32_t i = 0; i < parts.count; i++) {
        if (parts.at[i].value && parts.at[i].value->kind == VALUE_LATE) {
            return true;
        }
    }
    return false;
}

bool value_any_untracked(struct value_parts parts)
{
    for (uint32_t i = 0; i < parts.count; i++) {
        if (parts.at[i].value && parts.at[i].value->untracked) {
            return true;
        }
    }
    return false;
}

bool value_list(const struct value_work *w, struct value_parts items, struct span at,
                struct value *out, struct diags *d)
{
    if (value_any_late(items)) {
        struct value_late late = {.kind = VALUE_LATE_LIST, .parts = items, .span = at};
        return value_late_make(w->arena, &late, out, d);
    }
    struct value *copies = ARENA_ARRAY(w->arena, struct value, items.count);
    *out = (struct value){.kind = VALUE_LIST,
                          .count = items.count,
                          .items = copies,
                          .untracked = value_any_untracked(items),
                          .depth = 1};
    for (uint32_t i = 0; i < items.count; i++) {
        copies[i] = *items.at[i].value;
        if (copies[i].depth >= out->depth) {
            out->depth = (uint16_t)(copies[i].depth + 1);
        }
    }
    if (items.count > VALUE_ITEM_LIMIT || out->depth > VALUE_LATE_DEPTH) {
        diag_error(d, "too-large", at, "the list has more than %d items or %d levels",
                   VALUE_ITEM_LIMIT, VALUE_LATE_DEPTH);
        return false;
    }
    return true;
}

bool value_choose(const struct value_work *w, struct value_parts parts, struct span at,
                  struct value *out, struct diags *d)
{
    const struct value *condition = parts.at[0].value;
    if (condition->kind != VALUE_LATE) {
        struct value_want want = {VALUE_BOOL, STR("'if'")};
        if (!value_need(w, &parts.at[0], want, out, d)) {
            return false;
        }
        *out = *parts.at[condition->boolean ? 1 : 2].value;
        value_add_refs_of(w->arena, out, condition);
        return true;
    }
    struct value_late late = {.kind = VALUE_LATE_CHOICE, .parts = parts, .span = at};
    return value_late_make(w->arena, &late, out, d);
}

/* ---- texts ---- */

static struct span parts_span(struct value_parts parts)
{
    struct span at = SPAN_NONE;
    for (uint32_t i = 0; i < parts.count; i++) {
        struct span part = parts.at[i].span;
        if (part.source != 0) {
            at.begin = at.source == 0 ? part.begin : at.begin;
            at.source = part.source;
            at.end = part.end;
        }
    }
    return at;
}

/* A command may be longer than what an expression makes. */
static size_t limit_of(const struct value_style *style)
{
    return style->cwd.n > 0 || style->tracked ? VALUE_LATE_LIMIT : VALUE_TEXT_LIMIT;
}

static struct str text_of(struct arena *a, struct value_parts parts,
                          const struct value_style *style, bool *full)
{
    struct buf b;
    buf_init(&b, limit_of(style));
    for (uint32_t i = 0; i < parts.count; i++) {
        const struct value *v = parts.at[i].value;
        if (v && style->tracked && v->untracked) {
            struct value seen = value_tracked(a, v);
            value_put_in(&b, &seen, style->cwd);
        } else if (v) {
            value_put_in(&b, v, style->cwd);
        } else {
            buf_put_str(&b, parts.at[i].text);
        }
    }
    *full = b.full;
    struct str text = str_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

bool value_text(const struct value_work *w, struct value_parts parts,
                const struct value_style *style, struct value *out, struct diags *d)
{
    if (value_any_late(parts)) {
        struct value_late late = {.kind = VALUE_LATE_TEXT,
                                  .tracked = style->tracked,
                                  .text = style->cwd,
                                  .parts = parts,
                                  .span = parts_span(parts)};
        return value_late_make(w->arena, &late, out, d);
    }
    bool full;
    *out = value_string(text_of(w->arena, parts, style, &full));
    out->refs = value_refs_of(w->arena, parts);
    if (value_any_untracked(parts) && !style->tracked && !full) {
        const struct value_style seen = {.cwd = style->cwd, .tracked = true};
        struct value *tracked = ARENA_NEW(w->arena, struct value);
        *tracked = value_string(text_of(w->arena, parts, &seen, &full));
        out->untracked = true;
        out->tracked = tracked;
    }
    if (full) {
        diag_error(d, "too-large", parts_span(parts), "the text would have more than %zu bytes",
                   limit_of(style));
    }
    return !full;
}

/* ---- arguments ---- */

struct words {
    struct arena *arena;
    const struct value_style *style;
    VEC(struct value) at;
    size_t bytes;
};

static bool put_word(struct words *all, const struct value *v, struct span at, struct diags *d)
{
    for (uint32_t i = 0; v->kind == VALUE_LIST && i < v->count; i++) {
        if (!put_word(all, &v->items[i], at, d)) {
            return false;
        }
    }
    if (v->kind == VALUE_LIST) {
        return true;
    }
    const struct value_part part = {.value = v};
    bool full;
    struct str text = text_of(all->arena, (struct value_parts){&part, 1}, all->style, &full);
    if (full || memchr(text.s, 0, text.n)) {
        diag_error(d, full ? "too-large" : "nul-byte", at,
                   full ? "this argument is too long" : "an argument cannot hold a NUL byte");
        return false;
    }
    *VEC_PUSH(all->arena, &all->at) = value_string(text);
    all->bytes += text.n + 1;
    if (all->at.n > VALUE_ITEM_LIMIT || all->bytes > VALUE_LATE_LIMIT) {
        struct diag *e = diag_error(d, "too-large", at, "the command is too long");
        diag_help(d, e, "pass what is long through a file");
        return false;
    }
    return true;
}

bool value_argv(const struct value_work *w, struct value_parts words,
                const struct value_style *style, struct value *out, struct diags *d)
{
    if (value_any_late(words)) {
        struct value_late late = {.kind = VALUE_LATE_ARGV,
                                  .tracked = style->tracked,
                                  .text = style->cwd,
                                  .parts = words,
                                  .span = parts_span(words)};
        return value_late_make(w->arena, &late, out, d);
    }
    struct words all = {.arena = w->arena, .style = style};
    for (uint32_t i = 0; i < words.count; i++) {
        struct value text = value_string(words.at[i].text);
        const struct value *v = words.at[i].value;
        if (!put_word(&all, v ? v : &text, words.at[i].span, d)) {
            return false;
        }
    }
    *out = (struct value){.kind = VALUE_LIST, .count = all.at.n, .items = all.at.at, .depth = 1};
    out->untracked = !style->tracked && value_any_untracked(words);
    out->refs = value_refs_of(w->arena, words);
    return true;
}
