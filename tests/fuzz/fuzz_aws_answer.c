/* SPDX-License-Identifier: MIT */
/* Any bytes as an answer of STS, SSO, an endpoint or a process: what is taken for keys is fit for a header. */
#include "cache/credentials_inside.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct str text = {(const char *)data, size};
    for (int form = CREDENTIALS_FORM_PROCESS; form <= CREDENTIALS_FORM_STS; form++) {
        struct credentials_found found = {0};
        if (credentials_answer_read(&a, text, (enum credentials_form)form, &found)
            && !credentials_are_sound(&found.keys)) {
            abort();
        }
    }
    if (credentials_answer_error(&a, text).n > 64) {
        abort();
    }
    arena_free(&a);
    return 0;
}
