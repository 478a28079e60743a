/* SPDX-License-Identifier: MIT */
/* A credential_process: a child of its own group that is heard for a bounded time and size. Another part of the
 * program may reap every child, so its status comes the same way as its words: behind them, on a line of its own. */
#include "cache/credentials_inside.h"
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

enum { POLL_MS = 20, SLICE_MS = 1000 };

static bool attributes_set(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    return !posix_spawnattr_setsigmask(attributes, &none)
           && !posix_spawnattr_setsigdefault(attributes, &all)
           && !posix_spawnattr_setpgroup(attributes, 0)
           && !posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
                                                        | POSIX_SPAWN_SETPGROUP);
}

static bool actions_set(posix_spawn_file_actions_t *actions, int output)
{
    return !posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0)
           && !posix_spawn_file_actions_adddup2(actions, output, 1)
           && !posix_spawn_file_actions_addopen(actions, 2, "/dev/null", O_WRONLY, 0);
}

static bool start(const char *command, const char *const *environment, int output, pid_t *pid)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    if (posix_spawnattr_init(&attributes)) {
        return false;
    }
    if (posix_spawn_file_actions_init(&actions)) {
        posix_spawnattr_destroy(&attributes);
        return false;
    }
    const char *const words[] = {"/bin/sh", "-c", "/bin/sh -c \"$0\"; printf '\\n%d' $?", command,
                                 NULL};
    bool started =
        attributes_set(&attributes) && actions_set(&actions, output)
        && !posix_spawn(pid, words[0], &actions, &attributes, (char *const *)(uintptr_t)words,
                        (char *const *)(uintptr_t)environment);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return started;
}

/* To the end of what the child says; false at the deadline, or beyond the bound. */
static bool hear(int fd, int64_t until_ns, struct buf *out)
{
    for (;;) {
        int64_t left_ms = (until_ns - time_boot_ns()) / 1000000;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0) {
            return false;
        }
        if (poll(&p, 1, left_ms > SLICE_MS ? SLICE_MS : (int)left_ms) <= 0) {
            continue;
        }
        char bytes[4096];
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0) {
            return !out->full;
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            return false;
        }
        buf_put(out, bytes, n > 0 ? (size_t)n : 0);
        aws_wipe(bytes, sizeof bytes);
        if (out->full) {
            return false;
        }
    }
}

/* Nobody's child is left behind, whoever reaps it. */
static void end(pid_t pid, bool heard, int64_t until_ns)
{
    if (!heard) {
        kill(-pid, SIGKILL);
    }
    for (;;) {
        pid_t got = waitpid(pid, NULL, WNOHANG);
        if (got == pid || (got < 0 && errno != EINTR)) {
            return;
        }
        if (heard && time_boot_ns() >= until_ns) { /* it closed its output and stays */
            kill(-pid, SIGKILL);
            heard = false;
        }
        poll(NULL, 0, POLL_MS);
    }
}

/* What it said, less the status behind it. false: it failed, or did not come to its end. */
static bool take_words(struct str all, struct str *words)
{
    ptrdiff_t line = str_rfind_char(all, '\n');
    if (line < 0 || !str_eq(str_tail(all, (size_t)line + 1), STR("0"))) {
        return false;
    }
    *words = str_sub(all, 0, (size_t)line);
    return true;
}

bool credentials_run(struct arena *a, struct str command, const char *const *environment,
                     int64_t timeout_ms, struct str *output)
{
    int ends[2];
    pid_t pid;
    struct buf out;
    *output = STR_NONE;
    if (command.n == 0 || pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    int64_t until_ns = time_boot_ns() + timeout_ms * 1000000;
    buf_init(&out, CREDENTIALS_ANSWER_LIMIT);
    bool started = start(str_c(a, command), environment, ends[1], &pid);
    close(ends[1]);
    bool heard = started && hear(ends[0], until_ns, &out);
    if (started) {
        end(pid, heard, until_ns);
    }
    close(ends[0]);
    struct str words;
    bool done = heard && take_words(buf_str(&out), &words);
    if (done) {
        *output = str_copy(a, words);
    }
    if (out.s) {
        aws_wipe(out.s, out.cap);
    }
    buf_free(&out);
    return done;
}
