/* SPDX-License-Identifier: MIT */
/* Lines for people and for programs. */
#include "core/cli/cache_text.h"

#include <time.h>

void cache_text_count(struct buf *b, const char *before, uint64_t n, const char *what)
{
    buf_printf(b, "%s%llu %s%s", before, (unsigned long long)n, what, n == 1 ? "" : "s");
}

static void put_output_names(struct buf *b, const struct record *r)
{
    if (r->part_count == 1 && str_eq(r->parts[0].label, STR("s3"))) { /* the copy of an input */
        str_put_visible(b, r->parts[0].value);
        return;
    }
    for (uint32_t i = 0; i < r->output_count; i++) {
        buf_put_str(b, i ? STR(" ") : STR(""));
        str_put_visible(b, r->outputs[i].path);
    }
}

static void put_entry_json(struct buf *b, const struct cache_entry *e)
{
    const struct record *r = e->record;
    buf_put_str(b, STR("{\"fingerprint\":\""));
    digest_put_hex(b, &r->fingerprint);
    buf_printf(
        b, "\",\"made_ms\":%lld,\"duration_ms\":%lld,\"bytes\":%llu,\"complete\":%s,\"outputs\":[",
        (long long)r->success_ms, (long long)r->duration_ms, (unsigned long long)e->bytes,
        e->complete ? "true" : "false");
    for (uint32_t i = 0; i < r->output_count; i++) {
        buf_put_str(b, i ? STR(",") : STR(""));
        str_put_json(b, r->outputs[i].path);
    }
    buf_put_str(b, STR("]"));
    if (e->key) {
        buf_put_str(b, STR(",\"key\":\""));
        key_put_id(b, e->key);
        buf_put_str(b, STR("\""));
    }
    if (e->signer.n)
        buf_printf(b, ",\"trusted\":%s", e->trusted ? "true" : "false");
    buf_put_str(b, STR("}\n"));
}

void cache_text_entry(struct buf *b, const struct cache_entry *e, bool json)
{
    const struct record *r = e->record;
    if (json) {
        put_entry_json(b, e);
    } else {
        time_t seconds = (time_t)(r->success_ms / 1000);
        struct tm tm;
        char when[32] = "";
        if (localtime_r(&seconds, &tm))
            (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &tm);
        struct buf hex;
        buf_init(&hex, 128);
        digest_put_hex(&hex, &r->fingerprint);
        buf_printf(b, "%.12s  %s  ", hex.s, when);
        str_put_duration(b, r->duration_ms * 1000000);
        buf_put_str(b, STR("  "));
        str_put_size(b, e->bytes);
        buf_put_str(b, e->complete ? STR("  ") : STR("  (incomplete)  "));
        put_output_names(b, r);
        if (e->signer.n) {
            buf_put_str(b, STR("  ("));
            str_put_visible(b, e->signer);
            buf_put_char(b, ')');
        }
        buf_put_char(b, '\n');
        buf_free(&hex);
    }
}

void cache_text_gc(struct buf *b, const struct cache_gc_report *report, const struct opts *o)
{
    if (o->json) {
        buf_printf(
            b,
            "{\"records_before\":%llu,\"records_after\":%llu,\"bytes_before\":%llu,\"bytes_after\":%llu,"
            "\"bytes_freed\":%llu,\"bytes_condemned\":%llu}\n",
            (unsigned long long)report->records_before, (unsigned long long)report->records_after,
            (unsigned long long)report->bytes_before, (unsigned long long)report->bytes_after,
            (unsigned long long)report->bytes_freed, (unsigned long long)report->bytes_condemned);
        return;
    }
    buf_printf(b, "%sresults: %llu of %llu kept\n", o->dry_run ? "would be: " : "",
               (unsigned long long)report->records_after,
               (unsigned long long)report->records_before);
    buf_put_str(b, STR("freed: "));
    str_put_size(b, report->bytes_freed);
    buf_put_str(b, STR(" now, "));
    str_put_size(b, report->bytes_condemned);
    buf_put_str(b, STR(" announced, to be deleted a day later"));
    buf_put_str(b, o->remote ? STR("\n") : STR(" (--now: at once)\n"));
}

void cache_text_check(struct buf *b, const struct cache_check_report *report, bool sound, bool json)
{
    if (json) {
        buf_printf(
            b,
            "{\"sound\":%s,\"segments\":%llu,\"bad_segments\":%llu,\"packs\":%llu,\"bad_packs\":%llu,"
            "\"objects\":%llu,\"bad_objects\":%llu,\"records\":%llu,\"records_without_bytes\":%llu,"
            "\"signatures\":%llu,\"unknown_signatures\":%llu,\"bad_signatures\":%llu}\n",
            sound ? "true" : "false", (unsigned long long)report->segments,
            (unsigned long long)report->bad_segments, (unsigned long long)report->packs,
            (unsigned long long)report->bad_packs, (unsigned long long)report->objects,
            (unsigned long long)report->bad_objects, (unsigned long long)report->records,
            (unsigned long long)report->records_without_bytes,
            (unsigned long long)report->signatures, (unsigned long long)report->unknown_signatures,
            (unsigned long long)report->bad_signatures);
    } else {
        cache_text_count(b, sound ? "sound: " : "damaged: ", report->records, "result");
        cache_text_count(b, ", ", report->objects, "object");
        cache_text_count(b, " in ", report->packs, "pack");
        cache_text_count(b, ", ", report->segments, "segment");
        cache_text_count(b, "; damaged: ", report->bad_objects, "object");
        cache_text_count(b, ", ", report->bad_packs, "pack");
        cache_text_count(b, ", ", report->bad_segments, "segment");
        buf_put_char(b, '\n');
        if (report->records_without_bytes > 0) {
            cache_text_count(b, "of ", report->records_without_bytes, "result");
            buf_put_str(b, STR(" not all bytes are there\n"));
        }
        if (report->signatures || report->unknown_signatures || report->bad_signatures) {
            buf_printf(b, "signatures: %llu good, %llu of keys not known here, %llu wrong\n",
                       (unsigned long long)report->signatures,
                       (unsigned long long)report->unknown_signatures,
                       (unsigned long long)report->bad_signatures);
        }
    }
}
