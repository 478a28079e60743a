/* SPDX-License-Identifier: MIT */
/* In place of libFuzzer: gives each file below the named files and folders to the fuzzer's
 * entry, once. */
#include "core/base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_LIMIT = 16 << 20 };

static unsigned run_path(struct str path);

static unsigned run_folder(struct str path)
{
    struct arena a = {0};
    struct file_entry *entries;
    uint32_t count;
    unsigned run = 0;
    if (!file_list(&a, FILE_CWD, path, &entries, &count)) {
        fprintf(stderr, "%.*s: cannot be listed\n", STR_ARG(path));
        exit(EXIT_FAILURE);
    }
    for (uint32_t i = 0; i < count; i++) {
        run += run_path(path_join(&a, path, entries[i].name));
    }
    arena_free(&a);
    return run;
}

static unsigned run_path(struct str path)
{
    struct file_sig sig = file_stat(FILE_CWD, path, true);
    if (file_sig_is_dir(&sig)) {
        return run_folder(path);
    }
    struct arena a = {0};
    struct str text;
    if (!file_read_quiet(&a, FILE_CWD, path, INPUT_LIMIT, &text)) {
        fprintf(stderr, "%.*s: cannot be read\n", STR_ARG(path));
        exit(EXIT_FAILURE);
    }
    (void)LLVMFuzzerTestOneInput((const uint8_t *)text.s, text.n);
    arena_free(&a);
    return 1;
}

int main(int argc, char **argv)
{
    unsigned run = 0;
    for (int i = 1; i < argc; i++) {
        run += run_path(str_from(argv[i]));
    }
    printf("%u inputs\n", run);
    return run > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
