/* SPDX-License-Identifier: MIT */
/* Names and order of members are a contract: see docs/language.md, "Events". */
#include "core/ui/jsonl.h"

#include "core/base/file.h"
#include "core/fingerprint.h"

static void put_seconds(struct buf *b, int64_t ns)
{
    int64_t ms = (ns + 500000) / 1000000;
    str_put_double(b, (double)ms / 1000);
}

static void put_text(struct buf *b, const char *name, struct str value)
{
    buf_printf(b, ",\"%s\":", name);
    str_put_json(b, value);
}

static void put_change(struct buf *b, const struct part_change *c)
{
    buf_put_str(b, STR("{\"part\":"));
    str_put_json(b, c->label);
    if (c->had_before)
        put_text(b, "before", c->before);
    if (c->has_after)
        put_text(b, "after", c->after);
    buf_put_char(b, '}');
}

static void put_step(struct buf *b, const struct event *e)
{
    buf_put_str(b, STR("{\"event\":\"step\",\"step\":"));
    str_put_json(b, e->name);
    buf_printf(b, ",\"result\":\"%s\",\"seconds\":", event_result_name(e->result));
    put_seconds(b, e->duration_ns);
    if (e->from)
        put_text(b, "from", str_from(e->from));
    put_text(b, "reason", e->reason);
    if (e->saved_ns > 0) {
        buf_put_str(b, STR(",\"saved_seconds\":"));
        put_seconds(b, e->saved_ns);
    }
    if (e->result == EVENT_FAILED && e->exit_status >= 0)
        buf_printf(b, ",\"exit_status\":%d", e->exit_status);
    if (e->log_path.n)
        put_text(b, "log", e->log_path);
    for (uint32_t i = 0; i < e->change_count; i++) {
        buf_put_str(b, i ? STR(",") : STR(",\"changes\":["));
        put_change(b, &e->changes[i]);
    }
    buf_put_str(b, e->change_count ? STR("]}\n") : STR("}\n"));
}

void jsonl_put_remote(struct buf *b, const struct event_remote *r)
{
    if (!event_remote_had_part(r))
        return;
    buf_printf(b, ",\"remote\":{\"asked\":%u,\"given\":%u", r->asked, r->restored);
    buf_printf(b, ",\"list\":%llu,\"get\":%llu,\"put\":%llu,\"delete\":%llu",
               (unsigned long long)r->lists, (unsigned long long)r->gets,
               (unsigned long long)r->puts, (unsigned long long)r->drops);
    buf_printf(b, ",\"received_bytes\":%llu,\"sent_bytes\":%llu,\"waited_seconds\":",
               (unsigned long long)r->received, (unsigned long long)r->sent);
    put_seconds(b, r->waited_ns);
    buf_put_char(b, '}');
}

static void put_summary(struct buf *b, const struct event *e)
{
    const struct event_counts *c = &e->counts;
    buf_put_str(b, STR("{\"event\":\"summary\","));
    buf_printf(b, "\"ran\":%u,\"restored\":%u,\"up_to_date\":%u,\"skipped\":%u,\"failed\":%u",
               c->ran, c->restored, c->up_to_date, c->skipped, c->failed);
    if (e->asking) {
        buf_printf(b, ",\"would_run\":%u,\"would_restore\":%u,\"may_run\":%u", c->would_run,
                   c->would_restore, c->may_run);
    }
    buf_put_str(b, STR(",\"seconds\":"));
    put_seconds(b, e->duration_ns);
    jsonl_put_remote(b, &e->remote);
    buf_put_str(b, STR("}\n"));
}

static void put_notice(struct buf *b, const struct event *e)
{
    buf_printf(b, "{\"event\":\"notice\",\"code\":\"%s\",\"warning\":%s", e->code ? e->code : "",
               e->warning ? "true" : "false");
    put_text(b, "text", e->text);
    buf_put_str(b, STR("}\n"));
}

static void tell(struct listener *self, const struct event *e)
{
    struct jsonl *j = (struct jsonl *)self;
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    switch (e->kind) {
    case EVENT_STEP_END: put_step(&b, e); break;
    case EVENT_SUMMARY: put_summary(&b, e); break;
    case EVENT_NOTICE: put_notice(&b, e); break;
    case EVENT_BUILD_BEGIN:
    case EVENT_STEP_START:
    case EVENT_STEP_WAIT: break;
    }
    if (b.n && !j->broken)
        j->broken = !file_write_all(j->fd, b.s, b.n);
    buf_free(&b);
}

void jsonl_init(struct jsonl *j, int fd)
{
    *j = (struct jsonl){.listener = {tell, NULL}, .fd = fd};
}
