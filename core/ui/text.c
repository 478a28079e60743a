/* SPDX-License-Identifier: MIT */
/* Words for what happened. */
#include "core/ui/text.h"

#include "core/base/file.h"
#include "core/fingerprint.h"

#include <stdio.h>
#include <string.h>

enum { LOG_SHOWN = 256 << 10, LOG_READ_LIMIT = 80 << 20, VALUE_SHOWN = 400 };
enum { WAIT_SHOWN_NS = 10 * 1000 * 1000 };

struct result_look {
    const char *word, *color;
};

static struct result_look look_of(enum event_result r)
{
    switch (r) {
    case EVENT_UP_TO_DATE: return (struct result_look){"up to date", "2"};
    case EVENT_RESTORED: return (struct result_look){"restored", "36"};
    case EVENT_RAN: return (struct result_look){"ran", "32"};
    case EVENT_SKIPPED: return (struct result_look){"skipped", "33"};
    case EVENT_FAILED: return (struct result_look){"failed", "1;31"};
    case EVENT_WOULD_RUN: return (struct result_look){"would run", "32"};
    case EVENT_WOULD_RESTORE: return (struct result_look){"would restore", "36"};
    case EVENT_MAY_RUN: return (struct result_look){"may run", "33"};
    }
    return (struct result_look){"", ""};
}

static void put_colored(struct buf *b, bool color, const char *sgr, const char *text)
{
    if (color) {
        buf_printf(b, "\x1b[%sm%s\x1b[0m", sgr, text);
    } else {
        buf_put_str(b, str_from(text));
    }
}

/* Lines of a value stand one below the other, behind the margin. */
static void put_value(struct buf *b, struct str value, bool there, const char *margin)
{
    if (!there) {
        buf_put_str(b, STR("(none)"));
        return;
    }
    struct str rest = str_sub(value, 0, VALUE_SHOWN), line;
    for (bool first = true; str_cut(&rest, '\n', &line); first = false) {
        buf_put_str(b, first ? STR("") : STR("\n"));
        buf_put_str(b, first ? STR("") : str_from(margin));
        str_put_visible(b, line);
    }
    if (value.n > VALUE_SHOWN)
        buf_put_str(b, STR("…"));
}

static void put_changes(struct buf *b, const struct event *e)
{
    for (uint32_t i = 0; i < e->change_count; i++) {
        const struct part_change *c = &e->changes[i];
        bool long_one = str_has(c->before, '\n') || str_has(c->after, '\n');
        buf_printf(b, "    %.*s:%s", STR_ARG(c->label), long_one ? "\n      - " : " ");
        put_value(b, c->before, c->had_before, "        ");
        buf_put_str(b, long_one ? STR("\n      + ") : STR(" -> "));
        put_value(b, c->after, c->has_after, "        ");
        buf_put_char(b, '\n');
    }
}

void text_put_step(struct buf *b, const struct event *e, const struct text_options *o)
{
    struct result_look look = look_of(e->result);
    char word[16];
    (void)snprintf(word, sizeof word, "%-13s", look.word);
    put_colored(b, o->color, look.color, word);
    buf_put_char(b, ' ');
    str_put_visible(b, e->name);
    if (e->duration_ns > 0) {
        buf_put_str(b, STR("  "));
        str_put_duration(b, e->duration_ns);
    }
    if (e->from && strcmp(e->from, "remote") == 0)
        buf_put_str(b, STR("  from the remote cache"));
    if (e->reason.n) {
        buf_put_str(b, STR("  ("));
        str_put_visible(b, e->reason);
        buf_put_char(b, ')');
    }
    buf_put_char(b, '\n');
    if (o->explain)
        put_changes(b, e);
}

void text_put_log(struct buf *b, int root, struct str path, uint64_t limit)
{
    struct arena scratch = {0};
    struct str log;
    if (path.n && file_read_quiet(&scratch, root, path, LOG_READ_LIMIT, &log)) {
        if (log.n > limit) {
            buf_printf(b, "… (the whole log: %.*s)\n", STR_ARG(path));
            log = str_tail(log, log.n - (size_t)limit);
        }
        str_put_visible(b, log);
        if (log.n && log.s[log.n - 1] != '\n')
            buf_put_char(b, '\n');
    }
    arena_free(&scratch);
}

static void put_command(struct buf *b, struct str command)
{
    struct str line;
    command = str_trim(command);
    while (str_cut(&command, '\n', &line)) {
        buf_put_str(b, STR("    "));
        str_put_visible(b, line);
        buf_put_char(b, '\n');
    }
}

static void put_end(struct text *t, struct buf *b, const struct event *e)
{
    const struct text_options *o = &t->options;
    bool failed = e->result == EVENT_FAILED;
    if (o->quiet && !failed)
        return;
    if (e->result == EVENT_UP_TO_DATE && !o->verbose && !e->asking)
        return;
    text_put_step(b, e, o);
    if (failed && e->command.n)
        put_command(b, e->command);
    if (failed || (e->result == EVENT_RAN && !o->quiet))
        text_put_log(b, o->root, e->log_path, LOG_SHOWN);
}

static void put_count(struct buf *b, uint32_t n, const char *what, bool *any)
{
    if (n == 0)
        return;
    buf_printf(b, "%s%u %s", *any ? ", " : "", n, what);
    *any = true;
}

static void put_kind(struct buf *b, uint64_t n, const char *what, bool *any)
{
    if (n > 0)
        buf_printf(b, "%s%llu %s", *any ? ", " : "", (unsigned long long)n, what);
    *any |= n > 0;
}

void text_put_remote(struct buf *b, const struct event_remote *r, bool by_kind)
{
    uint64_t requests = event_remote_requests(r);
    bool any = false;
    buf_printf(b, "%llu request%s", (unsigned long long)requests, requests == 1 ? "" : "s");
    if (by_kind && requests > 0) {
        buf_put_str(b, STR(" ("));
        put_kind(b, r->lists, "list", &any);
        put_kind(b, r->gets, "get", &any);
        put_kind(b, r->puts, "put", &any);
        put_kind(b, r->drops, "delete", &any);
        buf_put_char(b, ')');
    }
    if (r->received > 0) {
        buf_put_str(b, STR(", "));
        str_put_size(b, r->received);
        buf_put_str(b, STR(" down"));
    }
    if (r->sent > 0) {
        buf_put_str(b, STR(", "));
        str_put_size(b, r->sent);
        buf_put_str(b, STR(" up"));
    }
    if (r->waited_ns >= WAIT_SHOWN_NS) {
        buf_put_str(b, STR(", "));
        str_put_duration(b, r->waited_ns);
        buf_put_str(b, STR(" waited"));
    }
}

static void put_remote_line(struct buf *b, const struct event *e, bool verbose)
{
    if (!event_remote_had_part(&e->remote))
        return;
    buf_put_str(b, STR("remote: "));
    if (e->remote.asked > 0 && !e->asking)
        buf_printf(b, "%u of %u found, ", e->remote.restored, e->remote.asked);
    text_put_remote(b, &e->remote, verbose);
    buf_put_char(b, '\n');
}

void text_put_summary(struct buf *b, const struct event *e, const struct text_options *o)
{
    const struct event_counts *c = &e->counts;
    bool any = false;
    put_colored(b, o->color, c->failed ? "1;31" : "1", "pawl:");
    buf_put_char(b, ' ');
    put_count(b, c->failed, "failed", &any);
    put_count(b, c->ran, "ran", &any);
    put_count(b, c->restored, "restored", &any);
    put_count(b, c->would_run, "would run", &any);
    put_count(b, c->would_restore, "would be restored", &any);
    put_count(b, c->may_run, "may run", &any);
    put_count(b, c->skipped, "skipped", &any);
    put_count(b, c->up_to_date, "up to date", &any);
    if (!any)
        buf_put_str(b, STR("nothing to do"));
    if (!e->asking) {
        buf_put_str(b, STR(" in "));
        str_put_duration(b, e->duration_ns);
        if (e->saved_ns > 1000000000) {
            buf_put_str(b, STR(", "));
            str_put_duration(b, e->saved_ns);
            buf_put_str(b, STR(" saved"));
        }
    }
    buf_put_char(b, '\n');
    put_remote_line(b, e, o->verbose);
}

static void tell(struct listener *self, const struct event *e)
{
    struct text *t = (struct text *)self;
    const struct text_options *o = &t->options;
    struct buf b;
    int fd = o->out;
    buf_init(&b, BUF_TEXT_LIMIT);
    switch (e->kind) {
    case EVENT_BUILD_BEGIN: t->wanted = e->wanted; break;
    case EVENT_STEP_START:
        if (o->verbose && !o->quiet) {
            buf_printf(&b, "start         %.*s\n", STR_ARG(e->name));
            put_command(&b, e->command);
        }
        break;
    case EVENT_STEP_WAIT: break; /* a notice says it */
    case EVENT_STEP_END:
        t->ended++;
        put_end(t, &b, e);
        break;
    case EVENT_NOTICE:
        fd = o->err;
        if (!o->quiet || e->warning)
            buf_printf(&b, "pawl: %s%.*s\n", e->warning ? "warning: " : "", STR_ARG(e->text));
        break;
    case EVENT_SUMMARY:
        if (!o->quiet)
            text_put_summary(&b, e, o);
        break;
    }
    if (b.n)
        (void)!file_write_all(fd, b.s, b.n);
    buf_free(&b);
}

void text_init(struct text *t, const struct text_options *o)
{
    *t = (struct text){.listener = {tell, NULL}, .options = *o};
}
