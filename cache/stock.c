/* SPDX-License-Identifier: MIT */
/* Two lists, p/ and b/. What is not named as a pack would be is left alone. */
#include "cache/stock.h"

#include <string.h>

static bool note_pack(void *context, const struct depot_entry *e)
{
    struct stock *s = context;
    struct stock_pack pack = {.size = e->size, .stored_ms = e->stored_ms};
    bool is_new;
    if (pack_key_parse(e->key, &pack.id, &pack.plain)) {
        table_add(&s->keys, e->key, &is_new);
        if (is_new) {
            *VEC_PUSH(&s->arena, &s->packs) = pack;
            s->bytes += pack.size;
        }
    }
    return true;
}

bool stock_read(struct stock *s, struct manifest *m, struct diags *notes)
{
    memset(s, 0, sizeof *s);
    table_init(&s->keys, &s->arena);
    static const char *const prefixes[] = {"p/", "b/"};
    for (int i = 0; i < (m->folder ? 2 : 1); i++) {
        struct depot_reply reply;
        struct depot_each each = {note_pack, s};
        if (depot_list(m->depot, str_from(prefixes[i]), STR(""), each, &reply) != DEPOT_DONE) {
            diag_warning(notes, "cache-unreadable", SPAN_NONE,
                         "the cache's packs cannot be listed");
            stock_free(s);
            return false;
        }
        manifest_hear(m, &reply);
    }
    return true;
}

void stock_free(struct stock *s)
{
    arena_free(&s->arena);
    memset(s, 0, sizeof *s);
}

uint32_t stock_find(const struct stock *s, const struct pack_id *id, bool plain)
{
    char key[PACK_KEY];
    return table_find(&s->keys, pack_key(id, plain, key));
}

bool stock_find_place(const struct stock *s, const struct pack_place *p, int64_t *stored_ms)
{
    *stored_ms = INT64_MAX;
    for (uint32_t i = 0; i < p->run_count; i++) {
        uint32_t pack = stock_find(s, &p->runs[i].pack, p->runs[i].count == 0);
        if (pack == TABLE_NONE) {
            return false;
        }
        int64_t ms = s->packs.at[pack].stored_ms;
        *stored_ms = ms < *stored_ms ? ms : *stored_ms;
    }
    return true;
}
