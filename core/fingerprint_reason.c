/* SPDX-License-Identifier: MIT */
/* A step's parts kept in a record, and what differs between those and the present ones: the cause, in the
 * words that a person reads. Decides nothing: fingerprints alone say whether a step runs. */
#include "core/base/table.h"
#include "core/fingerprint.h"

/* In a record: what there is too much of is left out, and says so. */
enum { KEPT_VALUE = 16 << 10, KEPT_HEAD = 1 << 10, KEPT_PARTS = 256 << 10, KEPT_COUNT = 20000 };
static const char more_label[] = "more parts";
static const char used_prefix[] = "used "; /* before the label of an info part */

enum { SHOWN_BYTES = 48 };

/* ---- into a record ---- */

static struct str short_value(struct arena *a, struct str value)
{
    if (value.n <= KEPT_VALUE) {
        return value;
    }
    struct digest digest = digest_of(value.s, value.n);
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    buf_put(&b, value.s, KEPT_HEAD);
    buf_put_str(&b, STR("… sha256 "));
    digest_put_hex(&b, &digest);
    struct str kept = str_copy(a, buf_str(&b));
    buf_free(&b);
    return kept;
}

void fingerprint_to_record(struct arena *a, const struct part_list *parts, bool tagged,
                           struct record *r)
{
    r->parts = ARENA_ARRAY(a, struct record_part, (size_t)parts->n + 1);
    r->part_count = 0;
    size_t bytes = 0;
    uint32_t more = 0;
    for (uint32_t i = 0; i < parts->n; i++) {
        const struct part *part = &parts->at[i];
        struct record_part kept = {part->label, short_value(a, part->value), false};
        if (part->info) {
            kept.label = str_join3(a, str_from(used_prefix), part->label, STR_NONE);
        }
        if (tagged && part->secret) {
            kept.value = record_tag(a, r->salt, part->label, part->value);
            kept.tag = true;
        }
        bytes += kept.label.n + kept.value.n;
        if (bytes > KEPT_PARTS || r->part_count >= KEPT_COUNT) {
            more++;
        } else {
            r->parts[r->part_count++] = kept;
        }
    }
    if (more) {
        r->parts[r->part_count++] =
            (struct record_part){str_from(more_label), str_printf(a, "%u", (unsigned)more), false};
    }
}

/* ---- the difference ---- */

/* What a label is about; in the order in which causes are told. */
static const char *const rank_labels[] = {"param ", "command",  "run as", "code ",   "input ",
                                          "inputs", "env ",     "probe ", "tool ",   "cwd",
                                          "image",  "instance", "count",  "output ", "platform"};
enum {
    RANK_PARAM = 0,
    RANK_COMMAND,
    RANK_RUN_AS,
    RANK_CODE,
    RANK_INPUT,
    RANK_INPUTS,
    RANK_ENV,
    RANK_PROBE,
    RANK_TOOL,
    RANK_CWD,
    RANK_IMAGE,
    RANK_INSTANCE,
    RANK_COUNT,
    RANK_OUTPUT
};

static uint32_t rank_of(struct str label)
{
    uint32_t count = sizeof rank_labels / sizeof *rank_labels;
    for (uint32_t i = 0; i < count; i++) {
        struct str word = str_from(rank_labels[i]);
        bool named = word.s[word.n - 1] == ' ';
        if (named ? str_starts(label, word) : str_eq(label, word)) {
            return i;
        }
    }
    return count;
}

struct comparison {
    struct arena *arena;
    const struct record *before;
    struct table labels; /* of before, without "used ", code as input */
    const struct record_part **parts;
    bool *met;
    bool lacks_some; /* before was too long to be kept whole */
    bool declared;   /* something differs that an info parameter can have changed */
    VEC(struct part_change) changes;
    VEC(struct part_change) hints; /* info parameters */
};

static struct str key_of(struct arena *a, struct str label)
{
    if (str_starts(label, STR("code "))) {
        return str_join3(a, STR("input "), str_tail(label, 5), STR_NONE);
    }
    return label;
}

static bool is_used(struct str label)
{
    return str_starts(label, str_from(used_prefix));
}

static void comparison_init(struct comparison *c, struct arena *a, const struct record *before)
{
    *c = (struct comparison){.arena = a, .before = before};
    table_init(&c->labels, a);
    c->parts = ARENA_ARRAY(a, const struct record_part *, (size_t)before->part_count + 1);
    c->met = ARENA_ARRAY(a, bool, (size_t)before->part_count + 1);
    for (uint32_t i = 0; i < before->part_count; i++) {
        struct str label = before->parts[i].label;
        if (str_eq(label, str_from(more_label))) {
            c->lacks_some = true;
            continue;
        }
        if (is_used(label)) {
            label = str_tail(label, sizeof used_prefix - 1);
        }
        uint32_t at = table_add(&c->labels, key_of(a, label), NULL);
        c->parts[at] = &before->parts[i];
    }
}

/* An argument list as a shell would take it; anything else as it is. */
static struct str for_people(struct arena *a, struct str label, struct str value)
{
    if (value.n == 0) {
        return STR("");
    }
    if (!str_eq(label, STR("command")) || !str_has(value, '\0')) {
        return value;
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    struct str word;
    while (value.n && str_cut(&value, '\0', &word)) {
        if (b.n) {
            buf_put_char(&b, ' ');
        }
        str_put_shell_word(&b, word);
    }
    struct str text = str_copy(a, buf_str(&b));
    buf_free(&b);
    return text;
}

static void note_declared(struct comparison *c, struct str label)
{
    uint32_t rank = rank_of(label);
    c->declared |= rank != RANK_CODE && rank != RANK_INPUT && rank != RANK_PROBE
                   && rank != RANK_TOOL && rank != RANK_PARAM;
}

static void compare_part(struct comparison *c, const struct part *now)
{
    struct str value = short_value(c->arena, now->value);
    uint32_t at = table_find(&c->labels, key_of(c->arena, now->label));
    struct part_change change = {.label = now->label, .has_after = true};
    change.after = for_people(c->arena, now->label, value);
    if (at == TABLE_NONE) {
        bool file = rank_of(now->label) == RANK_CODE || rank_of(now->label) == RANK_INPUT;
        if (!now->info && !c->lacks_some) {
            *VEC_PUSH(c->arena, &c->changes) = change;
            c->declared |= file; /* another set of files */
            note_declared(c, now->label);
        }
        return;
    }
    const struct record_part *before = c->parts[at];
    c->met[at] = true;
    change.had_before = true;
    if (before->tag) {
        struct str tag = record_tag(c->arena, c->before->salt, now->label, now->value);
        if (str_eq(tag, before->value)) {
            return;
        }
    } else if (str_eq(before->value, value)) {
        return;
    } else {
        change.before = for_people(c->arena, now->label, before->value);
    }
    if (now->info) {
        *VEC_PUSH(c->arena, &c->hints) = change;
    } else {
        *VEC_PUSH(c->arena, &c->changes) = change;
        note_declared(c, now->label);
    }
}

static void add_removed(struct comparison *c)
{
    for (uint32_t i = 0; i < c->labels.count; i++) {
        const struct record_part *before = c->parts[i];
        if (c->met[i] || is_used(before->label)) {
            continue;
        }
        struct part_change change = {.label = before->label, .had_before = true};
        if (!before->tag) {
            change.before = for_people(c->arena, before->label, before->value);
        }
        *VEC_PUSH(c->arena, &c->changes) = change;
        c->declared = true;
    }
}

/* Whether a change is only what another one led to: a value to the command that holds it. */
static bool is_consequence(const struct comparison *c, const struct part_change *change,
                           bool value_changed)
{
    uint32_t rank = rank_of(change->label);
    bool hint = c->hints.n > 0 && c->declared;
    switch (rank) {
    case RANK_COMMAND: return hint || value_changed;
    case RANK_RUN_AS: return true; /* the command tells */
    case RANK_CWD:
    case RANK_OUTPUT: return hint;
    default: return false;
    }
}

static bool has_value(const struct comparison *c)
{
    for (uint32_t i = 0; i < c->changes.n; i++) {
        uint32_t rank = rank_of(c->changes.at[i].label);
        if (rank == RANK_PARAM || rank == RANK_ENV || rank == RANK_PROBE) {
            return true;
        }
    }
    return false;
}

uint32_t fingerprint_difference(struct arena *a, const struct record *before,
                                const struct part_list *now, bool whole, struct part_change **out)
{
    struct comparison c;
    comparison_init(&c, a, before);
    for (uint32_t i = 0; i < now->n; i++) {
        compare_part(&c, &now->at[i]);
    }
    add_removed(&c);
    bool value_changed = has_value(&c);
    bool hints = c.declared;
    uint32_t n = 0;
    struct part_change *list =
        ARENA_ARRAY(a, struct part_change, (size_t)c.changes.n + c.hints.n + 1);
    for (uint32_t i = 0; hints && i < c.hints.n; i++) {
        list[n++] = c.hints.at[i];
    }
    uint32_t ranks = sizeof rank_labels / sizeof *rank_labels;
    for (uint32_t rank = 0; rank <= ranks; rank++) {
        for (uint32_t i = 0; i < c.changes.n; i++) {
            const struct part_change *change = &c.changes.at[i];
            bool told = whole || !is_consequence(&c, change, value_changed);
            if (rank_of(change->label) == rank && told) {
                list[n++] = *change;
            }
        }
    }
    if (n == 0 && c.changes.n > 0) {
        list[n++] = c.changes.at[0];
    }
    if (n == 0 && c.lacks_some) {
        list[n++] =
            (struct part_change){.label = STR("inputs"), .had_before = true, .has_after = true};
    }
    *out = list;
    return n;
}

/* ---- in words ---- */

/* One line, cut where it grows long, at a character's beginning. */
static void put_short(struct buf *b, struct str text)
{
    size_t n = text.n;
    if (n > SHOWN_BYTES) {
        n = SHOWN_BYTES;
        while (n > 0 && ((uint8_t)text.s[n] & 0xc0) == 0x80) {
            n--;
        }
    }
    struct str rest = str_sub(text, 0, n);
    struct str line;
    for (bool first = true; rest.n && str_cut(&rest, '\n', &line); first = false) {
        buf_put_str(b, first ? STR("") : STR(" "));
        str_put_visible(b, line);
    }
    if (n < text.n) {
        buf_put_str(b, STR("…"));
    }
}

static bool has_words(const struct part_change *change)
{
    switch (rank_of(change->label)) {
    case RANK_COMMAND:
    case RANK_RUN_AS:
    case RANK_CODE:
    case RANK_INPUT:
    case RANK_INPUTS:
    case RANK_TOOL: return true;
    default: return !change->before.s || !change->after.s;
    }
}

struct str fingerprint_reason(struct arena *a, const struct part_change *changes, uint32_t count)
{
    if (count == 0) {
        return STR("");
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    str_put_visible(&b, changes->label);
    if (!changes->had_before) {
        buf_put_str(&b, STR(" added"));
    } else if (!changes->has_after) {
        buf_put_str(&b, STR(" removed"));
    } else if (has_words(changes)) {
        bool gone = str_eq(changes->after, STR("absent"));
        buf_put_str(&b, gone ? STR(" is gone") : STR(" changed"));
    } else {
        buf_put_str(&b, STR(": "));
        put_short(&b, changes->before);
        buf_put_str(&b, STR(" -> "));
        put_short(&b, changes->after);
    }
    if (count > 1) {
        buf_printf(&b, ", and %u more", (unsigned)(count - 1));
    }
    struct str reason = str_copy(a, buf_str(&b));
    buf_free(&b);
    return reason;
}
