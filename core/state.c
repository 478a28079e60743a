/* SPDX-License-Identifier: MIT */
/* What is known, in two layers: the mapped log as it was at opening, and over it, in memory, what its journal
 * and this process have put since. What is on disk is replaced only by a rename, so others may read it. */
#include "core/state.h"

#include "core/base/table.h"
#include "core/runs.h"
#include "core/state_log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WAITING_LIMIT = 1 << 28, /* bytes not yet appended */
    WRITE_AT = 1 << 20,      /* so many are appended without being asked to */
    COMPACT_MIN = 64 << 10,  /* a journal under this is never worth a rewrite … */
    COMPACT_SHARE = 8,       /* … nor one under this part of the snapshot */
    NAME_LIMIT = 64 << 10,
    RECORD_LIMIT = RECORD_BYTES_LIMIT + 4096,
};

/* Each alone in the arena, so that what was handed out stays where it is. */
struct known_file {
    struct state_file *file;
};
struct known_step {
    struct state_step *step;
};

struct state {
    struct arena arena;
    int dir; /* .pawl; -1: absent and read only */
    int fd;  /* the journal's end; -1: not open yet */
    bool read_only;
    struct state_log log;
    struct state_step *decoded;                   /* steps of the log, as they were asked for */
    uint8_t *file_met, *step_met;                 /* asked for in this session */
    struct table file_names, step_names, results; /* the layer above; results by fingerprint */
    VEC(struct known_file) files;
    VEC(struct known_step) steps;
    VEC(uint32_t) result_steps;
    struct buf waiting; /* journal entries not yet on disk */
    uint64_t journal_bytes, snapshot_bytes;
    bool must_rewrite; /* the file is absent, or its end is not whole */
    bool changed;      /* something was put */
    bool failed;       /* a write failed: told once, tried again only at the end */
    bool told_damage;
};

/* ---- loading ---- */

static void warn_damage(struct state *s, struct diags *d)
{
    if (s->log.damaged && !s->told_damage) {
        s->told_damage = true;
        diag_warning(d, "state-damaged", SPAN_NONE,
                     "'.pawl/state' is damaged; what cannot be read counts as unknown");
    }
}

static void remember_file(struct state *s, struct str path, const struct state_file *f)
{
    bool is_new;
    uint32_t i = table_add(&s->file_names, path, &is_new);
    if (is_new) {
        VEC_PUSH(&s->arena, &s->files)->file = ARENA_NEW(&s->arena, struct state_file);
    }
    *s->files.at[i].file = *f;
}

static struct str fingerprint_key(const struct digest *x)
{
    return (struct str){(const char *)x->b, sizeof x->b};
}

static void remember_step(struct state *s, struct str name, const struct state_step *x)
{
    bool is_new;
    uint32_t i = table_add(&s->step_names, name, &is_new);
    if (is_new) {
        VEC_PUSH(&s->arena, &s->steps)->step = ARENA_NEW(&s->arena, struct state_step);
    }
    struct state_step *to = s->steps.at[i].step;
    struct str record = str_copy(&s->arena, x->record);
    struct str log_path = str_copy(&s->arena, x->log_path);
    *to = *x;
    to->record = record;
    to->log_path = log_path;
    uint32_t result = table_add(&s->results, fingerprint_key(&x->fingerprint), &is_new);
    if (is_new) {
        (void)VEC_PUSH(&s->arena, &s->result_steps);
    }
    s->result_steps.at[result] = i;
}

static void load(struct state *s)
{
    state_log_open(&s->log, s->dir);
    s->decoded = mem_alloc(sizeof *s->decoded * s->log.step_count);
    s->file_met = mem_alloc(s->log.file_count);
    s->step_met = mem_alloc(s->log.step_count);
    s->snapshot_bytes = s->log.snapshot_bytes;
    s->journal_bytes = s->log.map_bytes - s->log.snapshot_bytes;
    struct state_log_reader reader = state_log_read_journal(&s->log);
    struct state_log_entry entry;
    while (state_log_next(&reader, &entry)) {
        if (entry.is_step) {
            remember_step(s, entry.name, &entry.step);
        } else {
            remember_file(s, entry.name, &entry.file);
        }
    }
    s->log.damaged |= reader.damaged;
    s->must_rewrite = !s->log.map || reader.cut || reader.damaged;
}

static void init_layers(struct state *s)
{
    arena_init(&s->arena);
    table_init(&s->file_names, &s->arena);
    table_init(&s->step_names, &s->arena);
    table_init(&s->results, &s->arena);
    memset(&s->files, 0, sizeof s->files);
    memset(&s->steps, 0, sizeof s->steps);
    memset(&s->result_steps, 0, sizeof s->result_steps);
}

static void unload(struct state *s)
{
    state_log_close(&s->log);
    mem_free(s->decoded);
    mem_free(s->file_met);
    mem_free(s->step_met);
    arena_free(&s->arena);
}

/* ---- opening and closing ---- */

static void put_ignore_file(int dir)
{
    struct file_sig sig = file_stat(dir, STR(".gitignore"), false);
    if (!file_sig_exists(&sig)) {
        (void)file_write(dir, STR(".gitignore"), STR("*\n"), 0600, false); /* only a convenience */
    }
}

static struct diag *unusable(struct diags *d, const char *what)
{
    struct diag *x = diag_errno(d, "workspace-unusable", "%s", what);
    diag_help(d, x,
              "'.pawl' must be a folder that you can write to; pawl makes it where it is absent");
    return x;
}

/* The folder's descriptor; -1 without a diagnostic: absent, and only read. */
static bool open_folder(int root, bool read_only, int *out, struct diags *d)
{
    if (!read_only && mkdirat(root, ".pawl", 0700) != 0 && errno != EEXIST) {
        unusable(d, "cannot make the folder '.pawl'");
        return false;
    }
    int dir = openat(root, ".pawl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *out = dir;
    if (dir < 0) {
        if (read_only && errno == ENOENT) {
            return true;
        }
        unusable(d, "cannot open the folder '.pawl'");
        return false;
    }
    if (!read_only && faccessat(dir, ".", W_OK | X_OK, AT_EACCESS) != 0) {
        unusable(d, "cannot write to the folder '.pawl'");
        close(dir);
        return false;
    }
    return true;
}

/* What a killed build was writing. Young ones may be another program's that writes at this moment. */
static void drop_leftovers(int dir)
{
    const int64_t old_ns = INT64_C(3600) * 1000000000;
    struct arena scratch;
    arena_init(&scratch);
    struct file_entry *entries;
    uint32_t count = 0;
    int64_t now = time_now_ns();
    if (!file_list(&scratch, dir, STR("."), &entries, &count)) {
        count = 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (str_starts(entries[i].name, STR(".pawl-"))) {
            struct file_sig sig = file_stat(dir, entries[i].name, false);
            if (file_sig_exists(&sig) && sig.mtime_ns < now - old_ns) {
                (void)file_remove(dir, entries[i].name);
            }
        }
    }
    arena_free(&scratch);
}

struct state *state_open(int root, bool read_only, struct diags *d)
{
    int dir;
    if (!open_folder(root, read_only, &dir, d)) {
        return NULL;
    }
    struct state *s = mem_alloc(sizeof *s);
    s->dir = dir;
    s->fd = -1;
    s->read_only = read_only;
    init_layers(s);
    buf_init(&s->waiting, WAITING_LIMIT);
    if (dir >= 0) {
        load(s);
    }
    if (!read_only) {
        drop_leftovers(dir);
    }
    if (!read_only && !s->log.map) {
        put_ignore_file(dir); /* not again later: who removes it wants it gone */
    }
    warn_damage(s, d);
    return s;
}

/* ---- asking ---- */

const struct state_file *state_find_file(const struct state *s, struct str path)
{
    uint32_t i = s->file_names.count ? table_find(&s->file_names, path) : TABLE_NONE;
    if (i != TABLE_NONE) {
        return s->files.at[i].file;
    }
    struct state_log *log = (struct state_log *)(uintptr_t)&s->log; /* notes damage */
    const struct state_file *file;
    int64_t at = state_log_find_file(log, path, &file);
    if (at == STATE_LOG_NONE) {
        return NULL;
    }
    s->file_met[at] = 1;
    return file;
}

static const struct state_step *decode(const struct state *s, int64_t at,
                                       const struct state_step *step)
{
    if (!s->step_met[at]) {
        s->decoded[at] = *step;
        s->step_met[at] = 1;
    }
    return &s->decoded[at];
}

const struct state_step *state_find_step(const struct state *s, struct str name)
{
    uint32_t i = s->step_names.count ? table_find(&s->step_names, name) : TABLE_NONE;
    if (i != TABLE_NONE) {
        return s->steps.at[i].step;
    }
    struct state_log *log = (struct state_log *)(uintptr_t)&s->log;
    struct state_step step;
    int64_t at = state_log_find_step(log, name, &step);
    return at == STATE_LOG_NONE ? NULL : decode(s, at, &step);
}

const struct state_step *state_find_result(const struct state *s, const struct digest *fingerprint)
{
    static const struct digest none;
    if (digest_eq(fingerprint, &none)) {
        return NULL;
    }
    uint32_t i = table_find(&s->results, fingerprint_key(fingerprint));
    if (i != TABLE_NONE) {
        const struct state_step *step = s->steps.at[s->result_steps.at[i]].step;
        if (digest_eq(&step->fingerprint, fingerprint)) {
            return step;
        }
    }
    struct state_log *log = (struct state_log *)(uintptr_t)&s->log;
    struct state_step step;
    struct str name;
    int64_t at = state_log_find_result(log, fingerprint, &name, &step);
    if (at == STATE_LOG_NONE || table_find(&s->step_names, name) != TABLE_NONE) {
        return NULL; /* or that step has had another success since */
    }
    return decode(s, at, &step);
}

void state_each_step(const struct state *s,
                     void (*each)(void *context, struct str name, const struct state_step *x),
                     void *context)
{
    struct state_log *log = (struct state_log *)(uintptr_t)&s->log;
    for (uint32_t i = 0; i < s->log.step_count; i++) {
        struct str name;
        struct state_step step;
        uint32_t idle;
        if (state_log_get_step(log, i, &name, &step, &idle)
            && table_find(&s->step_names, name) == TABLE_NONE) {
            each(context, name, &step);
        }
    }
    for (uint32_t i = 0; i < s->step_names.count; i++) {
        each(context, s->step_names.keys[i], s->steps.at[i].step);
    }
}

/* ---- putting ---- */

static bool file_eq(const struct state_file *x, const struct state_file *y)
{
    return file_sig_eq(&x->sig, &y->sig) && digest_eq(&x->walk, &y->walk)
           && ref_eq(&x->ref, &y->ref) && digest_eq(&x->content, &y->content)
           && x->hashed_ns == y->hashed_ns;
}

static bool step_eq(const struct state_step *x, const struct state_step *y)
{
    return digest_eq(&x->fingerprint, &y->fingerprint) && x->success_ms == y->success_ms
           && x->duration_ns == y->duration_ns && x->outputs_hash == y->outputs_hash
           && x->pending_sequence == y->pending_sequence && x->outcome == y->outcome
           && x->has_inputs == y->has_inputs && str_eq(x->record, y->record)
           && memcmp(x->signer, y->signer, sizeof x->signer) == 0
           && str_eq(x->log_path, y->log_path);
}

static bool append_waiting(struct state *s);

static void note_put(struct state *s)
{
    s->changed = true;
    if (s->read_only || s->must_rewrite || s->failed) {
        buf_clear(&s->waiting); /* memory has it: a rewrite is due */
    } else if (s->waiting.n >= WRITE_AT) {
        (void)append_waiting(s); /* a failure is told by the next flush */
    }
}

void state_put_file(struct state *s, struct str path, const struct state_file *f)
{
    const struct state_file *known = state_find_file(s, path);
    if (path.n > NAME_LIMIT || (known && file_eq(known, f))) {
        return;
    }
    state_log_put_file(&s->waiting, path, f);
    remember_file(s, path, f);
    note_put(s);
}

void state_put_step(struct state *s, struct str name, const struct state_step *x)
{
    const struct state_step *known = state_find_step(s, name);
    if (name.n > NAME_LIMIT || x->log_path.n > NAME_LIMIT || (known && step_eq(known, x))) {
        return;
    }
    struct state_step kept = *x;
    if (kept.record.n > RECORD_LIMIT) {
        kept.record = STR_NONE;
    }
    state_log_put_step(&s->waiting, name, &kept);
    remember_step(s, name, &kept);
    note_put(s);
}

/* ---- writing ---- */

/* All that is known, in the log's order and then in that of putting; forgets what nobody asks for. */
static void gather_files(struct state *s, struct arena *a, struct state_log_content *out)
{
    size_t most = (size_t)s->log.file_count + s->file_names.count;
    out->files = ARENA_ARRAY(a, struct state_log_item, most);
    uint8_t *placed = ARENA_ARRAY(a, uint8_t, s->file_names.count);
    for (uint32_t i = 0; i < s->log.file_count; i++) {
        struct state_log_item item = {0};
        if (!state_log_get_file(&s->log, i, &item.name, &item.file, &item.idle)) {
            continue;
        }
        uint32_t above = table_find(&s->file_names, item.name);
        item.idle = s->file_met[i] ? 0 : item.idle + 1;
        if (above != TABLE_NONE) {
            placed[above] = 1;
            item.file = s->files.at[above].file;
            item.idle = 0;
        }
        if (item.idle < STATE_LOG_IDLE_LIMIT) {
            out->files[out->file_count++] = item;
        }
    }
    for (uint32_t i = 0; i < s->file_names.count; i++) {
        if (!placed[i]) {
            out->files[out->file_count++] =
                (struct state_log_item){.name = s->file_names.keys[i], .file = s->files.at[i].file};
        }
    }
}

static void gather_steps(struct state *s, struct arena *a, struct state_log_content *out)
{
    size_t most = (size_t)s->log.step_count + s->step_names.count;
    out->steps = ARENA_ARRAY(a, struct state_log_item, most);
    uint8_t *placed = ARENA_ARRAY(a, uint8_t, s->step_names.count);
    for (uint32_t i = 0; i < s->log.step_count; i++) {
        struct state_log_item item = {0};
        struct state_step *step = ARENA_NEW(a, struct state_step);
        if (!state_log_get_step(&s->log, i, &item.name, step, &item.idle)) {
            continue;
        }
        item.step = step;
        uint32_t above = table_find(&s->step_names, item.name);
        item.idle = s->step_met[i] ? 0 : item.idle + 1;
        if (above != TABLE_NONE) {
            placed[above] = 1;
            item.step = s->steps.at[above].step;
            item.idle = 0;
        }
        if (item.idle < STATE_LOG_IDLE_LIMIT) {
            out->steps[out->step_count++] = item;
        }
    }
    for (uint32_t i = 0; i < s->step_names.count; i++) {
        if (!placed[i]) {
            out->steps[out->step_count++] =
                (struct state_log_item){.name = s->step_names.keys[i], .step = s->steps.at[i].step};
        }
    }
}

/* The mapping stays the old file's, so nothing that was handed out moves. The very first one need not be
 * durable: nothing is lost that was there. */
static bool rewrite(struct state *s)
{
    struct arena scratch;
    arena_init(&scratch);
    struct state_log_content content = {0};
    gather_files(s, &scratch, &content);
    gather_steps(s, &scratch, &content);
    bool ok = state_log_write(s->dir, &content, s->snapshot_bytes > 0);
    int error = errno;
    arena_free(&scratch);
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    s->must_rewrite = !ok;
    s->failed = !ok;
    if (ok) {
        buf_clear(&s->waiting);
        s->snapshot_bytes = content.bytes;
        s->journal_bytes = 0;
    }
    errno = error;
    return ok;
}

static bool append_waiting(struct state *s)
{
    if (s->fd < 0) {
        s->fd = openat(s->dir, "state", O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK);
    }
    file_kill_point();
    bool ok = s->fd >= 0 && !s->waiting.full && file_write_all(s->fd, s->waiting.s, s->waiting.n);
    s->must_rewrite |= !ok; /* the end may be half an entry now */
    s->journal_bytes += s->waiting.n;
    buf_clear(&s->waiting);
    return ok;
}

static bool write_out(struct state *s, struct diags *d)
{
    if (s->waiting.n > 0 && !s->must_rewrite) {
        (void)append_waiting(s);
    }
    if (!s->must_rewrite || rewrite(s)) {
        return true;
    }
    diag_warning(d, "state-not-written", SPAN_NONE, "cannot write '.pawl/state': %s",
                 diag_reason(errno));
    return false;
}

bool state_flush(struct state *s, struct diags *d)
{
    warn_damage(s, d);
    if (s->read_only || !s->changed || s->failed) {
        return !s->failed;
    }
    return write_out(s, d);
}

static bool is_worth_compacting(const struct state *s)
{
    return s->journal_bytes > COMPACT_MIN && s->journal_bytes > s->snapshot_bytes / COMPACT_SHARE;
}

/* Only for who may write: another process could be appending. */
static void put_in_order(struct state *s, struct diags *d)
{
    if (s->failed) {
        (void)rewrite(s); /* perhaps there is room again; told already */
    } else if (s->changed) {
        (void)write_out(s, d);
    }
    bool broken = s->log.damaged || (s->must_rewrite && s->log.map);
    if (!s->failed && (broken || is_worth_compacting(s))) {
        (void)rewrite(s); /* a failure leaves what is there */
    }
}

void state_close(struct state *s, struct diags *d)
{
    if (!s) {
        return;
    }
    warn_damage(s, d);
    if (!s->read_only) {
        put_in_order(s, d);
    }
    if (s->fd >= 0) {
        close(s->fd);
    }
    if (s->dir >= 0) {
        close(s->dir);
    }
    buf_free(&s->waiting);
    unload(s);
    mem_free(s);
}

/* ---- the rest of the folder ---- */

uint64_t state_outputs_hash(const struct record_output *outputs, uint32_t count)
{
    uint64_t h = state_log_hash(0, &count, sizeof count);
    for (uint32_t i = 0; i < count; i++) {
        const struct record_output *o = &outputs[i];
        const uint32_t small[2] = {o->mode & 0777, o->ref.kind};
        h = state_log_hash(h, o->path.s, o->path.n);
        h = state_log_hash(h, small, sizeof small);
        h = state_log_hash(h, o->content.b, sizeof o->content.b);
    }
    return h;
}

bool state_add_run(struct state *s, struct state_run *run, struct diags *d)
{
    if (s->read_only) {
        run->id = STR("r0");
        return true;
    }
    return runs_add(s->dir, &s->arena, run, d);
}

bool state_read_runs(struct state *s, struct arena *a, uint32_t limit, struct state_run **out,
                     uint32_t *count, struct diags *d)
{
    *out = NULL;
    *count = 0;
    return s->dir < 0 || runs_read(s->dir, a, limit, out, count, d);
}
