/* SPDX-License-Identifier: MIT */
/* What a job prints, on its way to the log. */
#include "core/run/joblog.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { MASK_LIMIT = 16 << 20 }; /* of one round: a read, what was held, and *** for single bytes */

void joblog_init(struct joblog *l, const char *path, uint64_t limit)
{
    *l = (struct joblog){.path = path, .limit = limit, .fd = -1};
    buf_init(&l->held, MASK_LIMIT);
    buf_init(&l->ready, MASK_LIMIT);
}

void joblog_mask(struct joblog *l, const struct str *secrets, uint32_t count)
{
    l->secrets = secrets;
    l->secret_count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (secrets[i].n > 0) {
            l->begins[(unsigned char)secrets[i].s[0]] = true;
        }
    }
}

static void joblog_write(struct joblog *l, struct str x)
{
    if (l->error || x.n == 0 || !l->path) {
        return;
    }
    if (l->fd < 0) {
        l->fd = open(l->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    }
    if (l->fd < 0 || !file_write_all(l->fd, x.s, x.n)) {
        l->error = errno;
    }
}

/* Within the limit; then the line that says so, once, and nothing more. */
static struct str joblog_emit(struct joblog *l)
{
    struct str x = buf_str(&l->ready);
    if (l->cut) {
        return STR_NONE;
    }
    if (x.n > l->limit - l->written) {
        l->cut = true;
        l->ready.n = (size_t)(l->limit - l->written);
        buf_put_str(&l->ready, STR("\n[pawl: the log is cut here, at its limit of "));
        str_put_size(&l->ready, l->limit);
        buf_put_str(&l->ready, STR("]\n"));
        x = buf_str(&l->ready);
    }
    l->written += x.n;
    joblog_write(l, x);
    return x;
}

/* The longest secret that stands at the front of x, 0 for none; *open: one might, if more came. */
static size_t secret_at(const struct joblog *l, struct str x, bool *open)
{
    size_t longest = 0;
    *open = false;
    for (uint32_t i = 0; i < l->secret_count; i++) {
        struct str secret = l->secrets[i];
        if (secret.n == 0) {
            continue;
        }
        if (secret.n <= x.n) {
            longest = secret.n > longest && str_starts(x, secret) ? secret.n : longest;
        } else {
            *open = *open || str_starts(secret, x);
        }
    }
    return longest;
}

/* Masks x into ready, up to what could still begin a secret; gives how much of x is done with. Occurrences
 * that overlap are one. */
static size_t mask(struct joblog *l, struct str x, bool at_end)
{
    size_t covered = l->covered; /* up to here */
    size_t i = 0;
    for (; i < x.n; i++) {
        if (l->begins[(unsigned char)x.s[i]]) {
            bool open;
            size_t n = secret_at(l, str_tail(x, i), &open);
            if (open && !at_end) {
                break;
            }
            if (n > 0 && i >= covered) {
                buf_put_str(&l->ready, STR("***"));
            }
            covered = i + n > covered ? i + n : covered;
        }
        if (i >= covered) {
            buf_put_char(&l->ready, x.s[i]);
        }
    }
    l->covered = covered > i ? covered - i : 0;
    return i;
}

struct str joblog_put(struct joblog *l, const char *bytes, size_t n)
{
    buf_clear(&l->ready);
    if (l->secret_count == 0) {
        buf_put(&l->ready, bytes, n);
        return joblog_emit(l);
    }
    buf_put(&l->held, bytes, n);
    size_t done = mask(l, buf_str(&l->held), false);
    memmove(l->held.s, l->held.s + done, l->held.n - done);
    l->held.n -= done;
    return joblog_emit(l);
}

struct str joblog_end(struct joblog *l)
{
    buf_clear(&l->ready);
    mask(l, buf_str(&l->held), true);
    buf_clear(&l->held);
    return joblog_emit(l);
}

void joblog_free(struct joblog *l)
{
    if (l->fd >= 0) {
        close(l->fd);
    }
    l->fd = -1;
    buf_free(&l->held);
    buf_free(&l->ready);
}
