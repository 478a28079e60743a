/* SPDX-License-Identifier: MIT */
/* What a job comes to on this machine. Without a shell a command meets the same environment as with one:
 * dash drops variables whose names are none, and sets PWD. */
#include "core/run/launch.h"

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/base/file.h"
#include "core/run/command.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const default_path =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* error: an errno to be told behind the text, or 0. Always false. */
static bool fail(struct job *job, int error, struct str why)
{
    snprintf(job->outcome.error, JOB_ERROR_TEXT, "%.*s%s%s", STR_ARG(why), error ? ": " : "",
             error ? diag_reason(error) : "");
    return false;
}

static char *word(struct arena *a, const char *text)
{
    size_t n = strlen(text) + 1;
    return arena_copy(a, text, n, 1);
}

static bool is_variable(const char *entry)
{
    size_t n = strcspn(entry, "=");
    if (entry[n] == '\0' || n == 0 || (entry[0] >= '0' && entry[0] <= '9')) {
        return false;
    }
    return strspn(entry, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

static bool names(const char *entry, const char *name)
{
    size_t n = strlen(name);
    return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

/* PWD=… if what the environment says is not where the job runs, else NULL. */
static char *right_pwd(struct arena *a, const struct job *job)
{
    struct str cwd = job->cwd ? str_from(job->cwd) : STR(".");
    const char *pwd = command_env(job->envp, "PWD");
    struct file_sig here = file_stat(FILE_CWD, cwd, true);
    if (pwd && pwd[0] == '/') {
        struct file_sig there = file_stat(FILE_CWD, str_from(pwd), true);
        if (here.dev == there.dev && here.ino == there.ino && here.mode) {
            return NULL;
        }
    }
    char real[PATH_MAX];
    if (!realpath(str_c(a, cwd), real)) {
        return NULL;
    }
    return (char *)str_printf(a, "PWD=%s", real).s;
}

/* The job's environment with our mark, which stands first where it is found soonest. */
static char *const *make_envp(struct arena *a, const struct job *job, const char *mark,
                              bool as_from_shell)
{
    uint32_t count = 0;
    while (job->envp[count]) {
        count++;
    }
    char **envp = ARENA_ARRAY(a, char *, count + 3);
    char *pwd = job->argv || as_from_shell ? right_pwd(a, job) : NULL;
    uint32_t n = 0;
    envp[n++] = (char *)str_printf(a, "PAWL_JOB=%s", mark).s;
    for (uint32_t i = 0; i < count; i++) {
        char *entry = job->envp[i];
        if (names(entry, "PAWL_JOB") || (pwd && names(entry, "PWD"))
            || (as_from_shell && !is_variable(entry))) {
            continue;
        }
        envp[n++] = entry;
    }
    if (pwd) {
        envp[n++] = pwd;
    }
    return envp;
}

/* The file for the first word, or NULL. */
static const char *find_program(struct arena *a, const struct job *job, const char *name)
{
    if (strchr(name, '/')) {
        return name;
    }
    const char *path = command_env(job->envp, "PATH");
    return command_find(a, path ? path : default_path, job->cwd, name);
}

static bool write_script(struct arena *a, struct job *job, struct launch *out)
{
    assert(job->tmp);
    struct str name = path_join(a, str_from(job->tmp), STR("script"));
    if (!file_make_dirs(FILE_CWD, str_from(job->tmp), 0700)
        || !file_write(FILE_CWD, name, job->script, 0700, false)) {
        return fail(job, errno, str_printf(a, "cannot write '%s'", name.s));
    }
    out->script = name.s;
    return true;
}

static bool prepare_interpreter(struct arena *a, struct job *job, struct launch *out)
{
    char **argv;
    uint32_t count;
    if (!command_split_interpreter(a, job->script, 2, &argv, &count)) {
        return fail(job, 0, STR("cannot run the script: its #! line names no program"));
    }
    out->file = find_program(a, job, argv[0]);
    if (!out->file) {
        return fail(job, 0,
                    str_printf(a, "cannot find '%s', which the #! line names, in PATH", argv[0]));
    }
    if (!write_script(a, job, out)) {
        return false;
    }
    argv[count] = (char *)out->script;
    out->argv = argv;
    return true;
}

static bool prepare_shell(struct arena *a, struct job *job, struct launch *out)
{
    char **argv = ARENA_ARRAY(a, char *, 5);
    out->file = "/bin/sh";
    out->argv = argv;
    *argv++ = word(a, "/bin/sh");
    *argv++ = word(a, "-e");
    if (job->script.n > JOB_ARGUMENT_LIMIT) {
        if (!write_script(a, job, out)) {
            return false;
        }
        *argv = (char *)out->script;
        return true;
    }
    *argv++ = word(a, "-c");
    *argv = (char *)str_c(a, job->script);
    return true;
}

/* A simple command, executed as the shell would. IFS is the one variable that a shell gives a value of its own. */
static bool prepare_simple(struct arena *a, struct job *job, struct launch *out)
{
    char **argv;
    if (command_env(job->envp, "IFS") || !job_split_simple(a, job->script, &argv)) {
        return false;
    }
    out->file = find_program(a, job, argv[0]);
    out->argv = argv;
    out->has_other_way = true;
    return out->file != NULL;
}

bool launch_prepare(struct arena *a, struct job *job, const char *mark, enum launch_way way,
                    struct launch *out)
{
    *out = (struct launch){0};
    bool ok;
    bool simple = false;
    if (job->argv) {
        out->argv = job->argv;
        out->file = find_program(a, job, job->argv[0]);
        ok = out->file || fail(job, 0, str_printf(a, "cannot find '%s' in PATH", job->argv[0]));
    } else if (str_has(job->script, '\0')) {
        ok = fail(job, 0, STR("cannot run a command with a NUL byte in it"));
    } else if (str_starts(job->script, STR("#!"))) {
        ok = prepare_interpreter(a, job, out);
    } else if (way == LAUNCH_DIRECT && prepare_simple(a, job, out)) {
        ok = simple = true;
    } else {
        *out = (struct launch){0};
        ok = prepare_shell(a, job, out);
    }
    if (ok) {
        out->envp = make_envp(a, job, mark, simple);
    }
    return ok;
}
