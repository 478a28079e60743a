/* SPDX-License-Identifier: MIT */
/* Jobs as processes: what they are given, what comes back, and that nothing of them is left. */
#include "core/base/file.h"
#include "core/base/loop.h"
#include "core/run/local.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const int64_t S = 1000000000;

extern char **environ;

struct box {
    char path[64], log[80], tmp[80];
    struct loop *loop;
    struct runner *runner;
    struct arena arena;
    struct buf shown;
    uint32_t done;
};

static int set_up(void **state)
{
    struct box *b = test_calloc(1, sizeof *b);
    snprintf(b->path, sizeof b->path, "/tmp/pawl-local-XXXXXX");
    assert_non_null(mkdtemp(b->path));
    snprintf(b->log, sizeof b->log, "%s/log", b->path);
    snprintf(b->tmp, sizeof b->tmp, "%s/tmp", b->path);
    b->loop = loop_open();
    b->runner = local_open(b->loop);
    assert_non_null(b->runner);
    buf_init(&b->shown, 1 << 20);
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct box *b = *state;
    b->runner->close(b->runner);
    loop_close(b->loop);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    assert_true(file_remove_tree(FILE_CWD, str_from(b->path)));
    buf_free(&b->shown);
    arena_free(&b->arena);
    test_free(b);
    return 0;
}

static void count_done(struct job *job)
{
    ((struct box *)job->context)->done++;
}

static void gather(struct job *job, struct str text)
{
    buf_put_str(&((struct box *)job->context)->shown, text);
}

/* With our pid for each @: nobody else's processes are counted. */
static struct str with_pid(struct arena *a, const char *text)
{
    struct buf all;
    buf_init(&all, 1 << 20);
    buf_put(&all, "", 0);
    for (; *text; text++) {
        if (*text == '@') {
            buf_printf(&all, "%d", (int)getpid());
        } else {
            buf_put_char(&all, *text);
        }
    }
    struct str copy = str_copy(a, buf_str(&all));
    buf_free(&all);
    return copy;
}

static struct job make_job(struct box *b, const char *script)
{
    return (struct job){.script = with_pid(&b->arena, script),
                        .tmp = b->tmp,
                        .envp = environ,
                        .log = b->log,
                        .done = count_done,
                        .context = b};
}

static void wait_for(struct box *b, uint32_t done)
{
    int64_t end = time_monotonic_ns() + 30 * S;
    while (b->done < done) {
        assert_true(time_monotonic_ns() < end);
        loop_wait(b->loop, 1000);
    }
}

static void run(struct box *b, struct job *job)
{
    uint32_t done = b->done;
    assert_true(b->runner->start(b->runner, job));
    wait_for(b, done + 1);
    assert_null(job->place);
}

/* The log's text, "" where there is none. */
static const char *log_text(struct box *b)
{
    struct str text;
    return file_read_quiet(&b->arena, FILE_CWD, str_from(b->log), 1 << 24, &text) ? text.s : "";
}

static const char *output_of(struct box *b, const char *script)
{
    struct job job = make_job(b, script);
    run(b, &job);
    assert_string_equal(job.outcome.error, "");
    return log_text(b);
}

static void local_job_tells_status_and_signal(void **state)
{
    struct box *b = *state;
    struct job job = make_job(b, "exit 7");
    run(b, &job);
    assert_int_equal(job.outcome.status, 7);
    assert_false(outcome_is_success(&job.outcome));
    job = make_job(b, "kill -9 $$");
    run(b, &job);
    assert_int_equal(job.outcome.signal, SIGKILL);
    assert_int_equal(job.outcome.status, 0);
    assert_false(outcome_is_success(&job.outcome));
    job = make_job(b, "sleep 0.05");
    run(b, &job);
    assert_true(outcome_is_success(&job.outcome));
    const struct outcome *o = &job.outcome;
    assert_true(o->duration_ns > 50000000 && o->duration_ns < 5 * S);
    assert_true(o->ended_ns - o->started_ns >= 50000000);
    assert_true(o->max_rss_bytes > 0);
    assert_false(o->timed_out || o->interrupted || o->left_behind || o->log_cut);
    assert_string_not_equal(o->place, "");
}

static void local_output_goes_to_the_log_in_one_stream(void **state)
{
    struct box *b = *state;
    assert_string_equal(output_of(b, "echo one; echo two >&2; echo three"), "one\ntwo\nthree\n");
    assert_string_equal(output_of(b, "cat; echo end"), "end\n"); /* nothing on standard input */
    assert_string_equal(output_of(b, ":"), "");                  /* and no log of the last job */
    assert_int_equal(access(b->log, F_OK), -1);
    struct job job = make_job(b, "echo shown");
    job.output = gather;
    job.log = NULL;
    run(b, &job);
    assert_string_equal(b->shown.s, "shown\n");
}

static void local_large_output_is_whole(void **state)
{
    struct box *b = *state;
    struct job job = make_job(b, "seq 1 200000");
    run(b, &job);
    const char *text = log_text(b);
    assert_int_equal(strlen(text), 1288895);
    assert_string_equal(text + 1288895 - 7, "200000\n");
    job.log_limit = 1000;
    run(b, &job);
    assert_true(outcome_is_success(&job.outcome));
    assert_true(job.outcome.log_cut);
    assert_true(strlen(log_text(b)) < 1100);
}

static void local_secrets_are_masked(void **state)
{
    struct box *b = *state;
    struct str secrets[] = {STR("hunter2")};
    struct job job = make_job(b, "printf 'a hun'; sleep 0.1; echo ter2 b; printf hunter");
    job.secrets = secrets;
    job.secret_count = 1;
    job.output = gather;
    run(b, &job);
    assert_string_equal(log_text(b), "a *** b\nhunter");
    assert_string_equal(b->shown.s, "a *** b\nhunter");
}

static void local_words_run_without_a_shell(void **state)
{
    struct box *b = *state;
    char *argv[] = {"printf", "%s|", "$HOME", "a b", "*", NULL};
    struct job job = make_job(b, "");
    job.argv = argv;
    run(b, &job);
    assert_string_equal(log_text(b), "$HOME|a b|*|");

    char *none[] = {"no-such-program", NULL};
    job.argv = none;
    assert_false(b->runner->start(b->runner, &job));
    assert_string_equal(job.outcome.error, "cannot find 'no-such-program' in PATH");
    char *folder[] = {"/", NULL};
    job.argv = folder;
    assert_false(b->runner->start(b->runner, &job));
    assert_string_equal(job.outcome.error, "cannot start '/': Permission denied");
    assert_false(outcome_is_success(&job.outcome));
}

/* The same text, as it is and behind a ':' that makes a shell necessary. */
static void assert_as_in_a_shell(struct box *b, const char *script, int status)
{
    struct job direct = make_job(b, script);
    run(b, &direct);
    const char *text = log_text(b);
    struct job shell = make_job(b, str_printf(&b->arena, ":;%s", script).s);
    run(b, &shell);
    assert_string_equal(text, log_text(b));
    assert_int_equal(direct.outcome.status, status);
    assert_int_equal(shell.outcome.status, status);
}

static void local_simple_command_is_as_in_a_shell(void **state)
{
    struct box *b = *state;
    char folder[128];
    snprintf(folder, sizeof folder, "%s/plain", b->path);
    int fd = open(folder, O_CREAT | O_WRONLY, 0644);
    close(fd);
    assert_as_in_a_shell(b, "no-such-program a b", 127);
    assert_as_in_a_shell(b, "./no/such/program", 127);
    assert_as_in_a_shell(b, folder, 126);
    assert_as_in_a_shell(b, "/tmp", 126);
    assert_as_in_a_shell(b, "seq 3", 0);
    assert_as_in_a_shell(b, "grep -q x /dev/null", 1);
    /* A text without a #! line is read by the shell itself. */
    fd = open(folder, O_WRONLY);
    assert_int_equal(write(fd, "echo $0 here\n", 13), 13);
    fchmod(fd, 0755);
    close(fd);
    assert_as_in_a_shell(b, folder, 0);
}

static void local_environment_is_what_was_given(void **state)
{
    struct box *b = *state;
    char *envp[] = {"A=1",          "PAWL_JOB=old", "PATH=/usr/bin:/bin",
                    "PWD=/nowhere", "not.a.name=1", NULL};
    struct job job = make_job(b, "env");
    job.envp = envp;
    job.cwd = b->path;
    run(b, &job);
    const char *text = log_text(b);
    char pwd[80];
    snprintf(pwd, sizeof pwd, "\nPWD=%s\n", b->path);
    assert_true(str_starts(str_from(text), STR("PAWL_JOB=")));
    assert_non_null(strstr(text, "\nA=1\n"));
    assert_non_null(strstr(text, pwd));
    assert_null(strstr(text, "not.a.name"));
    assert_null(strstr(text, "PAWL_JOB=old"));

    char *no_path[] = {NULL};
    job.envp = no_path;
    run(b, &job);
    assert_int_equal(job.outcome.status, 0);
    job = make_job(b, "pwd; ls tmp");
    job.cwd = b->path;
    run(b, &job);
    assert_int_not_equal(job.outcome.status,
                         0); /* the folder is not made where no file is needed */
    assert_true(str_starts(str_from(log_text(b)), str_from(b->path)));
    job.cwd = "/no/such/folder";
    assert_false(b->runner->start(b->runner, &job));
    assert_non_null(strstr(job.outcome.error, "No such file"));
}

static void local_path_of_the_job_is_searched(void **state)
{
    struct box *b = *state;
    char text[512];
    snprintf(text, sizeof text,
             "mkdir %s/bin; printf '#!/bin/sh\\necho mine\\n' >%s/bin/seq; chmod +x %s/bin/seq",
             b->path, b->path, b->path);
    output_of(b, text);
    char path[128];
    snprintf(path, sizeof path, "PATH=%s/bin:/usr/bin:/bin", b->path);
    char *envp[] = {path, NULL};
    struct job job = make_job(b, "seq 3");
    job.envp = envp;
    run(b, &job);
    assert_string_equal(log_text(b), "mine\n");
    char *relative[] = {"PATH=bin:/usr/bin:/bin", NULL};
    job.envp = relative;
    job.cwd = b->path;
    run(b, &job);
    assert_string_equal(log_text(b), "mine\n");
}

static void local_errexit_is_on(void **state)
{
    struct box *b = *state;
    struct job job = make_job(b, "grep -q x /dev/null\necho not reached");
    run(b, &job);
    assert_int_equal(job.outcome.status, 1);
    assert_string_equal(log_text(b), "");
}

static void local_scripts_run_by_their_program(void **state)
{
    struct box *b = *state;
    assert_string_equal(output_of(b, "#!/bin/bash -euo pipefail\nfalse | true\necho no\n"), "");
    assert_string_equal(output_of(b, "#!/usr/bin/env 'bash'\necho ${BASH_VERSION:+bash} $#\n"),
                        "bash 0\n");
    assert_string_equal(output_of(b, "#!cat\ntext"), "#!cat\ntext");
    char script[96];
    snprintf(script, sizeof script, "%s/script", b->tmp);
    assert_int_equal(access(script, F_OK), -1); /* gone again */
    struct job job = make_job(b, "#!\necho");
    assert_false(b->runner->start(b->runner, &job));
    assert_non_null(strstr(job.outcome.error, "names no program"));
    job = make_job(b, "#!/no/such/shell\necho");
    assert_false(b->runner->start(b->runner, &job));
    assert_string_equal(job.outcome.error,
                        "cannot start '/no/such/shell': No such file or directory");
    assert_int_equal(access(script, F_OK), -1);
}

static void local_long_script_goes_through_a_file(void **state)
{
    struct box *b = *state;
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_put_str(&text, STR("x='"));
    for (int i = 0; i < 30000; i++) {
        buf_put_str(&text, STR("0123456789"));
    }
    buf_put_str(&text, STR("'; echo ${#x}; grep -q x /dev/null; echo no"));
    struct job job = make_job(b, text.s);
    run(b, &job);
    assert_int_equal(job.outcome.status, 1);
    assert_string_equal(log_text(b), "300000\n");
    buf_free(&text);
}

static void local_job_starts_with_clean_signals(void **state)
{
    struct box *b = *state;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old;
    sigaction(SIGPIPE, &ignore, &old);
    const char *text = output_of(b, "grep -E 'Sig(Blk|Ign)' /proc/self/status");
    sigaction(SIGPIPE, &old, NULL);
    /* 32 and 33 are the C library's own, which it sets so in each child. */
    unsigned long long blocked;
    unsigned long long ignored;
    assert_int_equal(sscanf(text, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
    assert_int_equal(blocked, 0);
    assert_int_equal(ignored & ~0x180000000ull, 0);
}

static void local_child_signal_ignored_by_our_caller_is_no_trouble(void **state)
{
    struct box *b = *state;
    b->runner->close(b->runner);
    signal(SIGCHLD, SIG_IGN);
    b->runner = local_open(b->loop);
    struct job job = make_job(b, "exit 3");
    run(b, &job);
    assert_int_equal(job.outcome.status, 3);
}

static void local_job_gets_no_descriptors_of_ours(void **state)
{
    struct box *b = *state;
    int want = 4; /* three, and that of the folder being listed */
    for (int fd = 3; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);
        want += flags >= 0 && !(flags & FD_CLOEXEC); /* the test's caller's */
    }
    struct job other = make_job(b, "sleep 0.2");
    other.log = NULL;
    assert_true(b->runner->start(b->runner, &other));
    assert_int_equal(strtol(output_of(b, "ls /proc/self/fd | wc -l"), NULL, 10), want);
    wait_for(b, 2);
}

/* How many processes have a command line that begins so. */
static int count_processes(const char *begin)
{
    struct arena a = {0};
    const char *text = str_c(&a, with_pid(&a, begin));
    int count = 0;
    DIR *proc = opendir("/proc");
    const struct dirent *e;
    while ((e = readdir(proc)) != NULL) {
        char path[300];
        char line[512] = {0};
        snprintf(path, sizeof path, "/proc/%s/cmdline", e->d_name);
        int fd = open(path, O_RDONLY);
        ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line - 1);
        if (fd >= 0) {
            close(fd);
        }
        for (ssize_t i = 0; i < n; i++) {
            line[i] = line[i] ? line[i] : ' ';
        }
        count += strncmp(line, text, strlen(text)) == 0;
    }
    closedir(proc);
    arena_free(&a);
    return count;
}

static void local_timeout_ends_all_that_was_started(void **state)
{
    struct box *b = *state;
    struct job job = make_job(
        b, "sleep 3121.@ & setsid sleep 3121.@ & (setsid sh -c 'sleep 3121.@ & sleep 3121.@' &)\n"
           "env -i setsid sleep 3121.@ &\n echo begun; sleep 3121.@");
    job.timeout_ns = S / 5;
    run(b, &job);
    assert_true(job.outcome.timed_out);
    assert_false(job.outcome.interrupted || job.outcome.left_behind);
    assert_false(outcome_is_success(&job.outcome));
    assert_int_equal(job.outcome.signal, SIGTERM);
    assert_true(job.outcome.duration_ns < 3 * S);
    assert_string_equal(log_text(b), "begun\n");
    assert_int_equal(count_processes("sleep 3121.@"), 0);
}

static void local_job_that_ignores_the_signal_is_killed(void **state)
{
    struct box *b = *state;
    local_set_grace(b->runner, S / 4);
    struct job job = make_job(
        b, "trap '' TERM; (trap '' TERM; exec setsid sleep 3122.@) & sleep 3122.@; sleep 3122.@");
    job.timeout_ns = S / 5;
    run(b, &job);
    assert_true(job.outcome.timed_out);
    assert_int_equal(job.outcome.signal, SIGKILL);
    assert_true(job.outcome.duration_ns > S / 5 + S / 4 - S / 50);
    assert_int_equal(count_processes("sleep 3122.@"), 0);
}

static void local_job_that_never_rests_is_ended(void **state)
{
    struct box *b = *state;
    local_set_grace(b->runner, S / 4);
    struct job job = make_job(
        b,
        "trap '' TERM; (trap '' TERM; while :; do setsid sleep 3128.@ & sleep 0.01; done) &\n"
        "(trap '' TERM; while :; do (setsid setsid sh -c 'sleep 3128.@; sleep 3128.@' &); done) & wait");
    job.timeout_ns = S / 4;
    run(b, &job);
    assert_true(job.outcome.timed_out);
    assert_false(job.outcome.left_behind);
    assert_int_equal(count_processes("sleep 3128.@"), 0);
    assert_int_equal(count_processes("setsid sleep 3128.@"), 0);
    assert_int_equal(count_processes("setsid setsid sh -c sleep 3128.@"), 0);
}

static void local_stopped_process_is_ended(void **state)
{
    struct box *b = *state;
    struct job job = make_job(b, "kill -STOP $$; echo no");
    job.timeout_ns = S / 5;
    run(b, &job);
    assert_true(job.outcome.timed_out);
    assert_true(job.outcome.duration_ns < 3 * S);
}

static void local_stop_is_told_and_the_handler_may_run(void **state)
{
    struct box *b = *state;
    struct job job =
        make_job(b, "trap 'echo cleaned; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    job.output = gather;
    assert_true(b->runner->start(b->runner, &job));
    while (b->shown.n == 0) {
        loop_wait(b->loop, 1000);
    }
    b->runner->stop(b->runner, &job, JOB_STOP_GENTLY);
    b->runner->stop(b->runner, &job, JOB_STOP_GENTLY);
    wait_for(b, 1);
    b->runner->stop(b->runner, &job, JOB_STOP_GENTLY); /* over: nothing happens */
    assert_true(job.outcome.interrupted);
    assert_int_equal(job.outcome.status, 3);
    assert_true(
        str_ends(str_from(log_text(b)), STR("cleaned\n"))); /* dash may speak of its sleep first */
}

static void local_second_stop_kills_at_once(void **state)
{
    struct box *b = *state;
    struct job jobs[3];
    for (int i = 0; i < 3; i++) {
        jobs[i] = make_job(b, "trap '' TERM; sleep 3123.@; sleep 3123.@");
        jobs[i].log = NULL;
        assert_true(b->runner->start(b->runner, &jobs[i]));
    }
    loop_wait(b->loop, 200);
    int64_t begin = time_monotonic_ns();
    b->runner->stop_all(b->runner, JOB_STOP_GENTLY);
    loop_wait(b->loop, 50);
    b->runner->stop_all(b->runner, JOB_STOP_AT_ONCE);
    wait_for(b, 3);
    assert_true(time_monotonic_ns() - begin < 3 * S);
    for (int i = 0; i < 3; i++) {
        assert_true(jobs[i].outcome.interrupted);
        assert_int_equal(jobs[i].outcome.signal, SIGKILL);
    }
    assert_int_equal(count_processes("sleep 3123.@"), 0);
}

static void local_process_left_behind_does_not_hold_the_job(void **state)
{
    struct box *b = *state;
    int64_t begin = time_monotonic_ns();
    struct job job = make_job(b, "sleep 3124.@ & setsid sleep 3124.@ & echo over");
    run(b, &job);
    assert_true(time_monotonic_ns() - begin < S);
    assert_true(outcome_is_success(&job.outcome));
    assert_string_equal(log_text(b), "over\n");
    assert_int_equal(count_processes("sleep 3124.@"), 0);
    /* One that does not listen, out of group and session, without our mark, its standard output closed. */
    job = make_job(
        b, "env -i setsid sh -c 'trap \"\" TERM; exec sleep 3125.@ >/dev/null 2>&1' & sleep 0.1");
    local_set_grace(b->runner, S / 5);
    run(b, &job);
    assert_true(outcome_is_success(&job.outcome));
    assert_int_equal(count_processes("sleep 3125.@"), 0);
}

static void local_neighbours_processes_are_left_alone(void **state)
{
    struct box *b = *state;
    /* The long job has a child of its own session, an orphan that comes to us while it runs. */
    struct job longer = make_job(b, "(setsid sleep 0.800@ &); sleep 0.7; echo fine");
    struct job brief = make_job(b, "sleep 3126.@ & (setsid sleep 3126.@ &) ; sleep 0.1");
    brief.log = NULL;
    assert_true(b->runner->start(b->runner, &longer));
    assert_true(b->runner->start(b->runner, &brief));
    wait_for(b, 1);
    assert_true(outcome_is_success(&brief.outcome));
    assert_non_null(longer.place);
    assert_int_equal(count_processes("sleep 3126.@"), 0);
    assert_int_equal(count_processes("sleep 0.800@"), 1);
    wait_for(b, 2);
    assert_string_equal(log_text(b), "fine\n");
    assert_true(outcome_is_success(&longer.outcome));
    assert_int_equal(count_processes("sleep 0.800@"), 0);
}

static void local_close_ends_what_runs(void **state)
{
    struct box *b = *state;
    struct job jobs[2];
    for (int i = 0; i < 2; i++) {
        jobs[i] = make_job(b, "(env -i setsid sleep 3127.@ &) ; sleep 3127.@; :");
        jobs[i].log = NULL;
        assert_true(b->runner->start(b->runner, &jobs[i]));
    }
    loop_wait(b->loop, 200);
    b->runner->close(b->runner);
    assert_int_equal(b->done, 2);
    assert_int_equal(count_processes("sleep 3127.@"), 0);
    b->runner = local_open(b->loop);
}

struct chain {
    struct box *box;
    uint32_t left;
};

static void start_again(struct job *job)
{
    struct chain *c = job->context;
    assert_true(outcome_is_success(&job->outcome));
    c->box->done++;
    if (c->left > 0) {
        c->left--;
        assert_true(c->box->runner->start(c->box->runner, job));
    }
}

static void local_many_jobs_are_fast(void **state)
{
    struct box *b = *state;
    struct chain chain = {b, 1996};
    struct job jobs[4];
    char logs[4][96];
    int64_t begin = time_monotonic_ns();
    for (int i = 0; i < 4; i++) {
        snprintf(logs[i], sizeof logs[i], "%s/log%d", b->path, i);
        jobs[i] = make_job(b, "/bin/true");
        jobs[i].done = start_again;
        jobs[i].context = &chain;
        jobs[i].log = logs[i];
        assert_true(b->runner->start(b->runner, &jobs[i]));
    }
    wait_for(b, 2000);
    int64_t took = time_monotonic_ns() - begin;
    print_message("2000 jobs: %lld ms\n", (long long)(took / 1000000));
    assert_true(took < 20 * S);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(local_job_tells_status_and_signal),
        CASE(local_output_goes_to_the_log_in_one_stream),
        CASE(local_large_output_is_whole),
        CASE(local_secrets_are_masked),
        CASE(local_words_run_without_a_shell),
        CASE(local_simple_command_is_as_in_a_shell),
        CASE(local_environment_is_what_was_given),
        CASE(local_path_of_the_job_is_searched),
        CASE(local_errexit_is_on),
        CASE(local_scripts_run_by_their_program),
        CASE(local_long_script_goes_through_a_file),
        CASE(local_job_starts_with_clean_signals),
        CASE(local_child_signal_ignored_by_our_caller_is_no_trouble),
        CASE(local_job_gets_no_descriptors_of_ours),
        CASE(local_timeout_ends_all_that_was_started),
        CASE(local_job_that_ignores_the_signal_is_killed),
        CASE(local_job_that_never_rests_is_ended),
        CASE(local_stopped_process_is_ended),
        CASE(local_stop_is_told_and_the_handler_may_run),
        CASE(local_second_stop_kills_at_once),
        CASE(local_process_left_behind_does_not_hold_the_job),
        CASE(local_neighbours_processes_are_left_alone),
        CASE(local_close_ends_what_runs),
        CASE(local_many_jobs_are_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
