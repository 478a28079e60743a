/* SPDX-License-Identifier: MIT */
/* Makes the tests' bucket at the gateway that the environment names. */
#include "tests/s3/bucket.h"

int main(void)
{
    struct bucket b;
    bucket_open(&b, (struct bucket_wish){.style = S3_STYLE_PATH});
    bucket_make(&b);
    bucket_close(&b);
    return 0;
}
