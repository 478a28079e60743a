/* SPDX-License-Identifier: MIT */
/* GNU make's jobserver, as client and as server. The pipe's descriptors are shared with every other process
 * of the build, so their flags are not ours to change: for reading without blocking the pipe is opened anew. */
#include "core/run/jobserver.h"

#include "core/base/arena.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { TOKEN = '+', TOKENS_LIMIT = 4000 }; /* less than the smallest pipe holds */

static const struct jobserver closed = {
    .read_fd = -1, .write_fd = -1, .shared_read = -1, .shared_write = -1};

/* The next word of MAKEFLAGS; blanks in one are escaped by a backslash, which no word of ours has. */
static bool next_flag(struct str *rest, struct str *word)
{
    *rest = str_trim(*rest);
    size_t n = 0;
    while (n < rest->n && rest->s[n] != ' ' && rest->s[n] != '\t') {
        n += rest->s[n] == '\\' && n + 1 < rest->n ? 2 : 1;
    }
    *word = str_sub(*rest, 0, n);
    *rest = str_tail(*rest, n);
    return n > 0;
}

/* Behind this word stand variables, which may look like anything. */
static bool ends_flags(struct str word)
{
    return str_eq(word, STR("--"));
}

static bool auth_value(struct str word, struct str *value)
{
    static const char *const names[] = {"--jobserver-auth=", "--jobserver-fds="};
    for (size_t i = 0; i < 2; i++) {
        if (str_starts(word, str_from(names[i]))) {
            *value = str_tail(word, strlen(names[i]));
            return true;
        }
    }
    return false;
}

static bool is_jobs_flag(struct str word, uint64_t *jobs)
{
    *jobs = 0;
    return str_starts(word, STR("-j")) && (word.n == 2 || str_parse_u64(str_tail(word, 2), jobs));
}

static bool is_pipe(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

static bool join_pipe(struct jobserver *js, struct str value)
{
    struct str part;
    uint64_t fds[2];
    for (int i = 0; i < 2; i++) {
        if (!str_cut(&value, ',', &part) || !str_parse_u64(part, &fds[i]) || fds[i] > INT_MAX
            || !is_pipe((int)fds[i])) {
            return false;
        }
    }
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", (int)fds[0]);
    js->read_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    js->reopened = js->read_fd >= 0;
    if (!js->reopened) {
        js->read_fd = fcntl((int)fds[0], F_DUPFD_CLOEXEC, 3);
    }
    js->write_fd = fcntl((int)fds[1], F_DUPFD_CLOEXEC, 3);
    return js->read_fd >= 0 && js->write_fd >= 0;
}

static bool join_fifo(struct jobserver *js, struct str path)
{
    struct arena a = {0};
    if (!str_has(path, '\0')) {
        js->read_fd = open(str_c(&a, path), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        js->write_fd =
            js->read_fd < 0 ? -1 : open(str_c(&a, path), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    }
    js->reopened = true;
    arena_free(&a);
    return is_pipe(js->read_fd) && is_pipe(js->write_fd);
}

enum jobserver_found jobserver_join(struct jobserver *js, const char *makeflags)
{
    *js = closed;
    struct str rest = str_from(makeflags ? makeflags : "");
    struct str word;
    struct str auth = STR_NONE;
    uint64_t jobs = 0;
    uint64_t n;
    while (next_flag(&rest, &word) && !ends_flags(word)) {
        auth_value(word, &auth); /* the last one counts */
        jobs = is_jobs_flag(word, &n) ? n : jobs;
    }
    if (!auth.s) {
        return JOBSERVER_NONE;
    }
    bool fifo = str_starts(auth, STR("fifo:"));
    if (fifo ? join_fifo(js, str_tail(auth, 5)) : join_pipe(js, auth)) {
        js->slots = jobs > TOKENS_LIMIT ? TOKENS_LIMIT : (uint32_t)jobs;
        return JOBSERVER_OPEN;
    }
    jobserver_close(js);
    return JOBSERVER_CLOSED;
}

static bool open_fifo(struct jobserver *js, const char *path)
{
    if (mkfifo(path, 0600) != 0) {
        return false;
    }
    size_t n = strlen(path) + 1;
    js->fifo = mem_alloc(n);
    memcpy(js->fifo, path, n);
    js->read_fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    js->write_fd = js->read_fd < 0 ? -1 : fcntl(js->read_fd, F_DUPFD_CLOEXEC, 3);
    return js->write_fd >= 0;
}

/* Children inherit a pipe that blocks, as make expects it; we read it through an opening of our own. */
static bool open_pipe(struct jobserver *js)
{
    int pipes[2];
    char path[40];
    if (pipe(pipes) != 0) {
        return false;
    }
    js->shared_read = pipes[0];
    js->shared_write = pipes[1];
    snprintf(path, sizeof path, "/proc/self/fd/%d", pipes[0]);
    js->read_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    js->write_fd = js->read_fd < 0 ? -1 : fcntl(pipes[1], F_DUPFD_CLOEXEC, 3);
    return js->write_fd >= 0;
}

bool jobserver_serve(struct jobserver *js, uint32_t slots, const char *fifo_path)
{
    *js = closed;
    js->is_server = true;
    js->reopened = true;
    js->slots = slots < 1 ? 1 : slots > TOKENS_LIMIT ? TOKENS_LIMIT : slots;
    if (fifo_path ? open_fifo(js, fifo_path) : open_pipe(js)) {
        jobserver_refill(js);
        return true;
    }
    int error = errno;
    jobserver_close(js);
    errno = error;
    return false;
}

void jobserver_put_makeflags(const struct jobserver *js, const char *inherited, struct buf *out)
{
    struct str rest = str_from(inherited ? inherited : "");
    struct str word;
    struct str ignored;
    uint64_t jobs;
    bool first = true;
    bool variables = false;
    while (next_flag(&rest, &word)) {
        if (ends_flags(word)) {
            variables = true;
            break;
        }
        if (!auth_value(word, &ignored) && !is_jobs_flag(word, &jobs)) {
            /* Only the first word may be letters without a dash. */
            buf_printf(out, "%s%.*s", first && word.s[0] != '-' ? "" : " ", STR_ARG(word));
        }
        first = false;
    }
    buf_printf(out, " -j%u --jobserver-auth=", js->slots);
    if (js->fifo) {
        buf_printf(out, "fifo:%s", js->fifo);
    } else {
        buf_printf(out, "%d,%d", js->shared_read, js->shared_write);
    }
    if (variables) {
        buf_printf(out, " -- %.*s", STR_ARG(str_trim(rest)));
    }
}

/* One byte if there is one now. */
static bool read_token(const struct jobserver *js, uint8_t *token)
{
    ssize_t n;
    do {
        if (js->reopened) {
            n = read(js->read_fd, token, 1);
        } else {
            struct iovec part = {token, 1};
            n = preadv2(js->read_fd, &part, 1, -1, RWF_NOWAIT);
        }
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

static void write_token(const struct jobserver *js, uint8_t token)
{
    while (write(js->write_fd, &token, 1) < 0 && errno == EINTR) {
    }
}

bool jobserver_acquire(struct jobserver *js)
{
    if (!js->own_slot_used) {
        js->own_slot_used = true;
        return true;
    }
    uint8_t token;
    if (js->read_fd < 0 || !read_token(js, &token)) {
        return false;
    }
    if (js->token_count == js->token_cap) {
        js->token_cap = js->token_cap ? 2 * js->token_cap : 64;
        js->tokens = mem_resize(js->tokens, js->token_cap);
    }
    js->tokens[js->token_count++] = token;
    return true;
}

void jobserver_release(struct jobserver *js)
{
    assert(jobserver_held(js) > 0);
    if (js->token_count > 0) {
        write_token(js, js->tokens[--js->token_count]);
    } else {
        js->own_slot_used = false;
    }
}

uint32_t jobserver_held(const struct jobserver *js)
{
    return js->token_count + js->own_slot_used;
}

int jobserver_fd(const struct jobserver *js)
{
    return js->read_fd;
}

void jobserver_refill(struct jobserver *js)
{
    assert(js->is_server && js->token_count == 0);
    int there = 0;
    uint8_t token;
    int want = (int)js->slots - 1;
    if (ioctl(js->read_fd, FIONREAD, &there) != 0) {
        return;
    }
    for (; there < want; there++) {
        write_token(js, TOKEN);
    }
    for (; there > want && read_token(js, &token); there--) {
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

void jobserver_close(struct jobserver *js)
{
    while (js->token_count > 0) {
        write_token(js, js->tokens[--js->token_count]);
    }
    close_fd(&js->read_fd);
    close_fd(&js->write_fd);
    close_fd(&js->shared_read);
    close_fd(&js->shared_write);
    if (js->fifo) {
        unlink(js->fifo);
    }
    mem_free(js->fifo);
    mem_free(js->tokens);
    *js = closed;
}
