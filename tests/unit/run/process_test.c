/* SPDX-License-Identifier: MIT */
/* What /proc tells of children of this test. */
#include "core/base/arena.h"
#include "core/run/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A child whose name wants to confuse, and a grandchild of another session; both wait to be ended. */
static pid_t start_family(void)
{
    int pipes[2];
    char c;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, ") Z 1 (x");
        if (fork() == 0) {
            setsid();
            char *envp[] = {"A=1", "MARKED=2", "MARK=x/y", NULL};
            execle("/bin/sleep", "sleep", "60", (char *)NULL, envp);
            _exit(1);
        }
        close(pipes[1]);
        pause();
        _exit(0);
    }
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &c, 1), 0); /* closed by exec, and by the child */
    close(pipes[0]);
    return pid;
}

static const struct process *child_of(const struct process *all, uint32_t count, pid_t parent)
{
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].parent == parent) {
            return &all[i];
        }
    }
    return NULL;
}

static void process_scan_finds_children_and_theirs(void **state)
{
    (void)state;
    struct arena a = {0};
    struct process *all;
    uint32_t count;
    struct str mark;
    int status;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    int children = process_children_open();
    pid_t pid = start_family();
    assert_true(process_scan(&a, getpid(), &all, &count));
    const struct process *self = process_find(all, count, getpid());
    const struct process *child = process_find(all, count, pid);
    const struct process *grandchild = child_of(all, count, pid);
    assert_true(self && !self->below && child && child->below && grandchild && grandchild->below);
    assert_int_equal(child->parent, getpid());
    assert_int_equal(child->group, getpgrp());
    assert_int_equal(grandchild->group, grandchild->pid);
    assert_int_equal(grandchild->session, grandchild->pid);
    assert_false(child->dead || grandchild->dead);
    assert_null(process_find(all, count, 0x7ffffff0));

    assert_true(process_read_env(&a, grandchild->pid, STR("MARK"), &mark));
    assert_true(str_eq(mark, STR("x/y")));
    assert_false(process_read_env(&a, grandchild->pid, STR("MAR"), &mark));
    assert_false(process_read_env(&a, 0x7ffffff0, STR("MARK"), &mark));

    struct process other = *child;
    other.started++; /* as if the number had gone to another */
    assert_false(process_signal(&other, SIGKILL));
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    if (children >= 0) {
        assert_int_equal(process_children_count(children), 1);
    }
    assert_true(process_signal(child, SIGKILL));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (children >= 0) {
        assert_int_equal(process_children_count(children), 1); /* the orphan has come to us */
        close(children);
    }
    assert_true(process_signal(grandchild, SIGKILL));
    assert_int_equal(waitpid(grandchild->pid, &status, 0), grandchild->pid);
    assert_false(process_signal(grandchild, SIGKILL));
    arena_free(&a);
}

static void process_that_is_dead_is_told(void **state)
{
    (void)state;
    struct arena a = {0};
    struct process *all;
    uint32_t count;
    siginfo_t info;
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(process_scan(&a, getpid(), &all, &count));
    const struct process *child = process_find(all, count, pid);
    assert_true(child && child->dead && child->below);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_scan_finds_children_and_theirs),
        cmocka_unit_test(process_that_is_dead_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
