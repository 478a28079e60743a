/* SPDX-License-Identifier: MIT */
/* Any bytes as `.pawl/state`: reading it never hurts, and what is put after it is found again. The checks are
 * made to fit first in half of the inputs (a first byte that is odd), or hardly any would get past them. */
#include "core/state_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER = 72, FILE_ENTRY = 200, CHECK_BYTES = 8, ENTRY_HEAD = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static uint64_t number_at(const uint8_t *bytes, size_t at, size_t n)
{
    uint64_t x = 0;
    memcpy(&x, bytes + at, n);
    return x;
}

static void seal(uint8_t *bytes, size_t at, uint64_t check)
{
    memcpy(bytes + at, &check, CHECK_BYTES);
}

static void seal_files(uint8_t *bytes, size_t size)
{
    size_t slots = (size_t)number_at(bytes, 24, 8) + 2 * (size_t)number_at(bytes, 32, 8);
    if (slots > size / 8) {
        return;
    }
    size_t at = HEADER + 8 * slots;
    for (uint64_t n = number_at(bytes, 40, 8); n > 0 && at + FILE_ENTRY <= size; n--) {
        size_t check = at + FILE_ENTRY - CHECK_BYTES;
        seal(bytes, check, state_log_hash(1, bytes + at, FILE_ENTRY - CHECK_BYTES));
        at += FILE_ENTRY;
    }
}

static void seal_journal(uint8_t *bytes, size_t size, size_t at)
{
    while (at + ENTRY_HEAD <= size) {
        size_t n = (size_t)number_at(bytes, at, 4);
        size_t padded = (n + 7) / 8 * 8;
        if (padded > size - at - ENTRY_HEAD) {
            return;
        }
        uint64_t kind = number_at(bytes, at + 4, 4);
        seal(bytes, at + 8, state_log_hash(kind << 32 | n, bytes + at + ENTRY_HEAD, n));
        at += ENTRY_HEAD + padded;
    }
}

static void seal_all(uint8_t *bytes, size_t size, int dir)
{
    if (size < HEADER) {
        return;
    }
    seal_files(bytes, size);
    seal(bytes, HEADER - CHECK_BYTES,
         state_log_hash(STATE_LOG_VERSION, bytes, HEADER - CHECK_BYTES));
    must(file_write(dir, STR("state"), (struct str){(char *)bytes, size}, 0600, false), "write");
    struct state_log log;
    state_log_open(&log, dir);
    size_t journal = log.snapshot_bytes;
    state_log_close(&log);
    if (journal > 0) {
        seal_journal(bytes, size, journal);
    }
}

static void look(void *context, struct str name, const struct state_step *x)
{
    const struct state *s = context;
    const struct state_step *found = state_find_step(s, name);
    must(x->outcome <= STATE_INTERRUPTED && (!found || found->outcome <= STATE_INTERRUPTED),
         "an outcome that is none");
    (void)state_find_result(s, &x->fingerprint);
}

static void use(int root)
{
    struct arena a = {0};
    struct diags d;
    diags_init(&d, &a);
    for (int round = 0; round < 2; round++) {
        struct state *s = state_open(root, true, &d);
        must(s != NULL, "open");
        (void)state_find_file(s, STR("data/part-1.csv"));
        state_each_step(s, look, s);
        state_close(s, &d);
        s = state_open(root, false, &d);
        must(s != NULL, "open");
        struct state_file file = {.hashed_ns = 17 + round};
        struct state_step step = {.duration_ns = 18 + round, .record = STR("r")};
        state_put_file(s, STR("data/part-1.csv"), &file);
        state_put_step(s, STR("train"), &step);
        state_close(s, &d);
        s = state_open(root, true, &d);
        must(s != NULL, "open");
        const struct state_file *f = state_find_file(s, STR("data/part-1.csv"));
        const struct state_step *x = state_find_step(s, STR("train"));
        must(f && f->hashed_ns == 17 + round, "the file is lost");
        must(x && x->duration_ns == 18 + round && str_eq(x->record, STR("r")), "the step is lost");
        state_close(s, &d);
    }
    must(d.errors == 0, "an error");
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    char memory[] = "/dev/shm/pawl-fuzz-XXXXXX", disk[] = "/tmp/pawl-fuzz-XXXXXX";
    char *path = mkdtemp(memory); /* where a sync costs nothing: several times as many runs */
    path = path ? path : mkdtemp(disk);
    must(path != NULL, "mkdtemp");
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(root >= 0 && mkdirat(root, ".pawl", 0700) == 0, "mkdir");
    int dir = openat(root, ".pawl", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(dir >= 0, "open");
    size_t n = size - 1;
    uint8_t *bytes = mem_alloc(n);
    memcpy(bytes, data + 1, n);
    if (data[0] & 1) {
        seal_all(bytes, n, dir);
    }
    must(file_write(dir, STR("state"), (struct str){(char *)bytes, n}, 0600, false), "write");
    use(root);
    mem_free(bytes);
    close(dir);
    close(root);
    must(file_remove_tree(FILE_CWD, str_from(path)), "remove");
    return 0;
}
