/* SPDX-License-Identifier: MIT */
/* Jobs as processes of this machine. A job is over when its first process has been reaped and nothing that
 * it started is alive. /proc is looked through only when there is a reason: the group still has members, or
 * we have children that we did not start. */
#include "core/run/local.h"

#include "core/base/arena.h"
#include "core/base/diag.h"
#include "core/base/file.h"
#include "core/base/loop.h"
#include "core/run/joblog.h"
#include "core/run/launch.h"
#include "core/run/process.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 << 10,
    DRAIN_READS = 1024, /* at most, behind a job that left a writer behind */
    MARK_TEXT = 256,
};
#define MS ((int64_t)1000000) /* in ns, as all times here */
#define S (1000 * MS)
#define LEFTOVER_GRACE (1 * S) /* for what a finished job left */
#define GIVE_UP (10 * S)       /* behind SIGKILL */
#define SCAN_FRESH (3 * MS)

struct running {
    struct local *local;
    struct job *job;
    struct running *next, *previous;
    pid_t pid;            /* also the group's */
    char mark[MARK_TEXT]; /* the value of PAWL_JOB for all that it starts */
    char *script;         /* a file to be removed, on the heap, or NULL */
    int fd;               /* reads what it prints; -1: closed */
    struct joblog log;
    bool exited, look, ending;
    int64_t began_ns, kill_at_ns; /* CLOCK_MONOTONIC */
    int64_t pause_ns;             /* until the next look, while it is being ended */
    timer_id timeout, check;
};

struct local {
    struct runner runner; /* first */
    struct loop *loop;
    struct running *first;
    uint32_t count, alive; /* alive: their first process has not been reaped */
    bool childless;        /* the kernel said that we have no child at all */
    bool closing;
    int null_fd, children_fd;
    int was_reaper;
    int64_t grace_ns;
    posix_spawnattr_t attributes;
    struct arena scratch, scan_arena;
    struct process *processes; /* as they were at scanned_ns; sorted by pid */
    uint32_t process_count;
    int64_t scanned_ns; /* CLOCK_MONOTONIC; 0: look again */
    char *buffer;
    char prefix[MARK_TEXT
                - 32]; /* of all marks: the job that we run in ourselves, and a number of our own */
    uint64_t last_mark;
    char place[JOB_PLACE_TEXT];
};

bool outcome_is_success(const struct outcome *o)
{
    return o->status == 0 && o->signal == 0 && !o->timed_out && !o->interrupted && !o->error[0];
}

/* --- Whose is a process? --- */

static struct running *find_pid(const struct local *l, pid_t pid)
{
    for (struct running *r = l->first; r; r = r->next) {
        if (r->pid == pid && !r->exited) {
            return r;
        }
    }
    return NULL;
}

static struct running *find_group(const struct local *l, pid_t group)
{
    struct running *found = NULL;
    for (struct running *r = l->first; r; r = r->next) {
        if (r->pid == group && (!found || !r->exited)) {
            found = r;
        }
    }
    return found;
}

/* A pawl inside of a job puts its own marks behind ours. */
static struct running *find_mark(struct local *l, pid_t pid)
{
    struct str mark;
    struct running *found = NULL;
    struct arena_mark before = arena_mark(&l->scratch);
    if (process_read_env(&l->scratch, pid, STR("PAWL_JOB"), &mark)) {
        for (struct running *r = l->first; r && !found; r = r->next) {
            struct str own = str_from(r->mark);
            bool begins = str_starts(mark, own) && (mark.n == own.n || mark.s[own.n] == '/');
            found = begins ? r : NULL;
        }
    }
    arena_reset(&l->scratch, before);
    return found;
}

/* By ancestry, group, mark; one that hid all three belongs to the job that is left when all others ended. */
static struct running *owner(struct local *l, const struct process *p)
{
    const struct process *top = p;
    for (;;) {
        struct running *r = find_pid(l, top->pid);
        r = r ? r : find_group(l, top->group);
        if (r) {
            return r;
        }
        const struct process *parent = process_find(l->processes, l->process_count, top->parent);
        if (!parent || parent->pid == getpid()) {
            break;
        }
        top = parent;
    }
    struct running *r = find_mark(l, p->pid);
    if (!r && top != p) {
        r = find_mark(l, top->pid);
    }
    return r ? r : l->count == 1 ? l->first : NULL;
}

/* Many jobs that are ended together share one look. An old one does no harm: who is not in it can only
 * descend from one who is, and signals go to nobody else (process_signal). */
static bool look(struct local *l)
{
    int64_t now = time_monotonic_ns();
    if (l->scanned_ns && now - l->scanned_ns < SCAN_FRESH) {
        return true;
    }
    arena_free(&l->scan_arena);
    bool ok = process_scan(&l->scan_arena, getpid(), &l->processes, &l->process_count);
    l->process_count = ok ? l->process_count : 0;
    l->scanned_ns = ok ? time_monotonic_ns() : 0;
    return ok;
}

/* Sends a signal (0: none) to all that lives of a job; gives how many that are. The group's number is its
 * own only until its first process is reaped; then its members are addressed one by one. */
static uint32_t signal_all(struct running *r, int signal_number)
{
    struct local *l = r->local;
    bool by_group = !r->exited || !look(l);
    uint32_t living = 0;
    if (by_group && signal_number) {
        kill(-r->pid, signal_number);
    }
    if (!look(l)) {
        return kill(-r->pid, 0) == 0;
    }
    for (uint32_t i = 0; i < l->process_count; i++) {
        const struct process *p = &l->processes[i];
        if (!p->below || p->dead || owner(l, p) != r) {
            continue;
        }
        living++;
        if (signal_number && !(by_group && p->group == r->pid)) {
            process_signal(p, signal_number);
        }
    }
    return living;
}

/* Orphans come to us: more children than jobs means that something left its parent. */
static bool has_orphans(const struct local *l)
{
    if (l->childless) {
        return false;
    }
    uint32_t children = l->children_fd < 0 ? UINT32_MAX : process_children_count(l->children_fd);
    return children > l->alive;
}

static bool has_left_something(struct running *r)
{
    bool group = kill(-r->pid, 0) == 0 || errno == EPERM;
    return (group || r->ending || has_orphans(r->local)) && signal_all(r, 0) > 0;
}

/* --- Output --- */

static void show(struct running *r, struct str text)
{
    if (r->job->output && text.n > 0) {
        r->job->output(r->job, text);
    }
}

static void close_pipe(struct running *r)
{
    if (r->fd >= 0) {
        loop_drop_fd(r->local->loop, r->fd);
        close(r->fd);
    }
    r->fd = -1;
}

/* One read; false when there is nothing more, for now or for ever. */
static bool read_output(struct running *r)
{
    ssize_t n = read(r->fd, r->local->buffer, READ_BYTES);
    if (n > 0) {
        show(r, joblog_put(&r->log, r->local->buffer, (size_t)n));
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_pipe(r);
    }
    return n < 0 && errno == EINTR;
}

static void on_output(void *context, int fd, short revents)
{
    (void)fd;
    (void)revents;
    read_output(context);
}

/* --- The end of a job --- */

static void finish_log(struct running *r)
{
    for (uint32_t i = 0; r->fd >= 0 && i < DRAIN_READS && read_output(r); i++) {
    }
    close_pipe(r);
    show(r, joblog_end(&r->log));
    r->job->outcome.log_cut = r->log.cut;
    r->job->outcome.log_error = r->log.error;
    joblog_free(&r->log);
}

static void unlink_running(struct running *r)
{
    struct local *l = r->local;
    *(r->previous ? &r->previous->next : &l->first) = r->next;
    if (r->next) {
        r->next->previous = r->previous;
    }
    l->count--;
    l->alive -= !r->exited;
}

static void finish(struct running *r)
{
    struct job *job = r->job;
    finish_log(r);
    loop_drop_timer(r->local->loop, r->timeout);
    loop_drop_timer(r->local->loop, r->check);
    if (r->script) {
        unlink(r->script);
        mem_free(r->script);
    }
    unlink_running(r);
    mem_free(r);
    job->place = NULL;
    job->done(job);
}

static void on_check(void *context);

static void check_later(struct running *r)
{
    int64_t now = time_monotonic_ns();
    int64_t pause = r->pause_ns;
    if (r->kill_at_ns > now && r->kill_at_ns - now < pause) {
        pause = r->kill_at_ns - now;
    }
    r->pause_ns = 2 * r->pause_ns < 250 * MS ? 2 * r->pause_ns : 250 * MS;
    loop_drop_timer(r->local->loop, r->check);
    r->check = loop_add_timer(r->local->loop, time_boot_ns() + pause, on_check, r);
}

/* While a job is being ended: once more at those that are left, until there are none. */
static void on_check(void *context)
{
    struct running *r = context;
    int64_t now = time_monotonic_ns();
    r->check = (timer_id){0};
    uint32_t living = signal_all(r, now >= r->kill_at_ns ? SIGKILL : 0);
    if (living == 0 && r->exited) {
        finish(r);
    } else if (now >= r->kill_at_ns + GIVE_UP) {
        r->job->outcome.left_behind = true;
        finish(r);
    } else {
        check_later(r);
    }
}

static void begin_end(struct running *r, int64_t grace_ns)
{
    int64_t kill_at = time_monotonic_ns() + grace_ns;
    if (!r->ending) {
        r->ending = true;
        r->kill_at_ns = kill_at;
        r->pause_ns = 5 * MS;
        if (grace_ns > 0) {
            signal_all(r, SIGTERM);
            signal_all(r, SIGCONT); /* one that was stopped could not hear it */
        }
    } else if (kill_at < r->kill_at_ns) {
        r->kill_at_ns = kill_at;
    }
    if (grace_ns == 0) {
        signal_all(r, SIGKILL);
    }
    check_later(r);
}

static void on_timeout(void *context)
{
    struct running *r = context;
    r->timeout = (timer_id){0};
    if (!r->ending && !r->exited) {
        r->job->outcome.timed_out = true;
        begin_end(r, r->local->grace_ns);
    }
}

static void examine(struct running *r)
{
    if (!has_left_something(r)) {
        finish(r);
    } else if (!r->ending) {
        begin_end(r, LEFTOVER_GRACE < r->local->grace_ns ? LEFTOVER_GRACE : r->local->grace_ns);
    }
}

static void note_exit(struct running *r, int status, const struct rusage *usage)
{
    struct outcome *o = &r->job->outcome;
    o->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    o->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    o->ended_ns = time_now_ns();
    o->duration_ns = time_monotonic_ns() - r->began_ns;
    o->max_rss_bytes = (uint64_t)usage->ru_maxrss * 1024;
    r->exited = true;
    r->local->alive--;
}

static void reap(struct local *l)
{
    struct rusage usage;
    int status;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0 || (pid < 0 && errno == EINTR)) {
        struct running *r = pid > 0 ? find_pid(l, pid) : NULL;
        if (r) {
            note_exit(r, status, &usage);
        }
    }
    l->childless = pid < 0;
    l->scanned_ns = 0;
}

/* done may start, stop and free: after each job that was looked at, from the beginning. */
static void on_child(void *context, int signal_number)
{
    (void)signal_number;
    struct local *l = context;
    reap(l);
    for (struct running *r = l->first; r; r = r->next) {
        r->look = r->exited;
    }
    struct running *r = l->first;
    while (r) {
        if (r->look) {
            r->look = false;
            examine(r);
            r = l->first;
        } else {
            r = r->next;
        }
    }
}

/* --- The beginning of a job --- */

static bool refuse(struct job *job, const char *why, int error)
{
    snprintf(job->outcome.error, JOB_ERROR_TEXT, "%s: %s", why, diag_reason(error));
    return false;
}

static int spawn(struct local *l, const struct launch *x, const struct job *job, int output,
                 pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) {
        return error;
    }
    posix_spawn_file_actions_adddup2(&actions, l->null_fd, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, job->errors ? job->errors : output, 2);
    if (job->cwd) {
        error = posix_spawn_file_actions_addchdir_np(&actions, job->cwd);
    }
    if (!error) {
        error = posix_spawn(pid, x->file, &actions, &l->attributes, x->argv, x->envp);
    }
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* What does not start without a shell is given to one: it says why as it would have. */
static bool spawn_job(struct running *r, int output)
{
    struct local *l = r->local;
    struct job *job = r->job;
    struct launch x;
    bool direct = launch_prepare(&l->scratch, job, r->mark, LAUNCH_DIRECT, &x);
    int error = direct ? spawn(l, &x, job, output, &r->pid) : 0;
    if (!direct || (error && x.has_other_way)) {
        if (!launch_prepare(&l->scratch, job, r->mark, LAUNCH_BY_SHELL, &x)) {
            return false;
        }
        error = spawn(l, &x, job, output, &r->pid);
    }
    if (x.script) {
        r->script = mem_alloc(strlen(x.script) + 1);
        memcpy(r->script, x.script, strlen(x.script) + 1);
    }
    if (error) {
        bool lost = job->cwd && access(job->cwd, X_OK) != 0;
        snprintf(job->outcome.error, JOB_ERROR_TEXT, "cannot %s '%.160s': %s",
                 lost ? "go to" : "start", lost ? job->cwd : x.file, diag_reason(error));
        return false;
    }
    return true;
}

static void link_running(struct local *l, struct running *r)
{
    r->next = l->first;
    if (r->next) {
        r->next->previous = r;
    }
    l->first = r;
    l->count++;
    l->alive++;
    l->childless = false;
}

static bool spawn_with_pipe(struct running *r)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) {
        return refuse(r->job, "cannot make a pipe", errno);
    }
    struct arena_mark before = arena_mark(&r->local->scratch);
    r->began_ns = time_monotonic_ns();
    r->job->outcome.started_ns = time_now_ns();
    bool ok = spawn_job(r, pipes[1]);
    arena_reset(&r->local->scratch, before);
    close(pipes[1]);
    if (!ok) {
        close(pipes[0]);
        return false;
    }
    fcntl(pipes[0], F_SETFL, O_NONBLOCK);
    r->fd = pipes[0];
    return true;
}

static bool local_start(struct runner *runner, struct job *job)
{
    struct local *l = (struct local *)runner;
    assert(!job->place && job->done && job->envp);
    job->outcome = (struct outcome){0};
    memcpy(job->outcome.place, l->place, sizeof l->place);
    if (l->closing) {
        return refuse(job, "cannot start a job", ECANCELED);
    }
    if (job->log) {
        unlink(job->log);
    }
    struct running *r = mem_alloc(sizeof *r);
    *r = (struct running){.local = l, .job = job, .fd = -1};
    snprintf(r->mark, sizeof r->mark, "%s.%llu", l->prefix, (unsigned long long)++l->last_mark);
    if (!spawn_with_pipe(r)) {
        if (r->script) {
            unlink(r->script);
            mem_free(r->script);
        }
        mem_free(r);
        return false;
    }
    joblog_init(&r->log, job->log, job->log_limit ? job->log_limit : JOB_LOG_LIMIT);
    joblog_mask(&r->log, job->secrets, job->secret_count);
    link_running(l, r);
    job->place = r;
    loop_add_fd(l->loop, r->fd, POLLIN, on_output, r);
    if (job->timeout_ns > 0) {
        r->timeout = loop_add_timer(l->loop, time_boot_ns() + job->timeout_ns, on_timeout, r);
    }
    return true;
}

static void local_stop(struct runner *runner, struct job *job, enum job_stop how)
{
    struct local *l = (struct local *)runner;
    struct running *r = job->place;
    if (!r) {
        return;
    }
    if (!r->exited && !job->outcome.timed_out) {
        job->outcome.interrupted = true;
    }
    begin_end(r, how == JOB_STOP_AT_ONCE ? 0 : l->grace_ns);
}

static void local_stop_all(struct runner *runner, enum job_stop how)
{
    struct local *l = (struct local *)runner;
    for (struct running *r = l->first; r; r = r->next) {
        local_stop(runner, r->job, how);
    }
}

/* --- Open and close --- */

static void ignore_signal(void *context, int signal_number)
{
    (void)context;
    (void)signal_number;
}

/* What hid from every job, once there is no job left. */
static void end_strays(struct local *l)
{
    l->scanned_ns = 0;
    if (!has_orphans(l) || !look(l)) {
        return;
    }
    for (uint32_t i = 0; i < l->process_count; i++) {
        if (l->processes[i].below && !l->processes[i].dead) {
            process_signal(&l->processes[i], SIGKILL);
        }
    }
    reap(l);
}

static void local_close(struct runner *runner)
{
    struct local *l = (struct local *)runner;
    l->closing = true;
    local_stop_all(runner, JOB_STOP_AT_ONCE);
    while (l->first) {
        loop_wait(l->loop, 100);
    }
    end_strays(l);
    loop_add_signal(l->loop, SIGCHLD, ignore_signal, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, l->was_reaper, 0, 0, 0);
    posix_spawnattr_destroy(&l->attributes);
    close(l->null_fd);
    if (l->children_fd >= 0) {
        close(l->children_fd);
    }
    arena_free(&l->scratch);
    arena_free(&l->scan_arena);
    mem_free(l->buffer);
    mem_free(l);
}

struct str local_mark(const struct runner *r)
{
    return str_from(((const struct local *)r)->prefix);
}

void local_set_grace(struct runner *r, int64_t grace_ns)
{
    ((struct local *)r)->grace_ns = grace_ns;
}

static void init_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setpgroup(attributes, 0);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &all);
    posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK
                                             | POSIX_SPAWN_SETSIGDEF);
}

static void init_marks(struct local *l)
{
    uint64_t random = (uint64_t)getpid();
    const char *outer = getenv("PAWL_JOB"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */
    ssize_t got = getrandom(&random, sizeof random, 0);
    (void)got; /* the pid will do */
    bool nested = outer && strlen(outer) < sizeof l->prefix - 20;
    snprintf(l->prefix, sizeof l->prefix, "%s%s%016llx", nested ? outer : "", nested ? "/" : "",
             (unsigned long long)random);
}

struct runner *local_open(struct loop *loop)
{
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0) {
        return NULL;
    }
    struct local *l = mem_alloc(sizeof *l);
    *l = (struct local){.runner = {local_start, local_stop, local_stop_all, local_close},
                        .loop = loop,
                        .null_fd = null_fd,
                        .children_fd = process_children_open(),
                        .grace_ns = LOCAL_GRACE_S * S};
    if (!loop_add_signal(loop, SIGCHLD, on_child, l)) {
        int error = errno;
        close(null_fd);
        mem_free(l);
        errno = error;
        return NULL;
    }
    /* Ignored, as some callers hand it down, children would vanish without a word. */
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_GET_CHILD_SUBREAPER, &l->was_reaper, 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    init_attributes(&l->attributes);
    init_marks(l);
    if (gethostname(l->place, sizeof l->place) != 0) {
        l->place[0] = '\0';
    }
    l->place[sizeof l->place - 1] = '\0';
    l->buffer = mem_alloc(READ_BYTES);
    return &l->runner;
}
