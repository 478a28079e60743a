/* SPDX-License-Identifier: MIT */
/* The jobserver between this process, its children and real GNU make, in both directions. Started with
 * arguments by make's recipes it plays the client. */
#include "core/base/file.h"
#include "core/run/jobserver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int tokens_in(const struct jobserver *js)
{
    int n = -1;
    assert_int_equal(ioctl(js->read_fd, FIONREAD, &n), 0);
    return n;
}

static void jobserver_server_hands_out_its_slots(void **state)
{
    (void)state;
    struct jobserver js;
    assert_true(jobserver_serve(&js, 3, NULL));
    assert_int_equal(tokens_in(&js), 2);
    assert_true(jobserver_acquire(&js));
    assert_int_equal(tokens_in(&js), 2); /* the first job needs no token */
    assert_true(jobserver_acquire(&js));
    assert_true(jobserver_acquire(&js));
    assert_false(jobserver_acquire(&js));
    assert_int_equal(jobserver_held(&js), 3);
    struct pollfd p = {.fd = jobserver_fd(&js), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    jobserver_release(&js);
    assert_int_equal(poll(&p, 1, 0), 1);
    jobserver_release(&js);
    assert_int_equal(tokens_in(&js), 2);
    jobserver_release(&js);
    assert_int_equal(jobserver_held(&js), 0);
    jobserver_close(&js);
    jobserver_close(&js);
}

static void jobserver_without_one_has_the_own_slot(void **state)
{
    (void)state;
    struct jobserver js;
    assert_int_equal(jobserver_join(&js, NULL), JOBSERVER_NONE);
    assert_int_equal(jobserver_fd(&js), -1);
    assert_true(jobserver_acquire(&js));
    assert_false(jobserver_acquire(&js));
    jobserver_release(&js);
    jobserver_close(&js);
}

static void jobserver_of_one_slot_has_no_token(void **state)
{
    (void)state;
    struct jobserver js;
    assert_true(jobserver_serve(&js, 1, NULL));
    assert_true(jobserver_acquire(&js));
    assert_false(jobserver_acquire(&js));
    jobserver_release(&js);
    jobserver_close(&js);
}

static void jobserver_server_mends_its_pool(void **state)
{
    (void)state;
    struct jobserver js;
    char c[3];
    assert_true(jobserver_serve(&js, 4, NULL));
    assert_int_equal(read(js.shared_read, c, 2), 2); /* a child died with two */
    jobserver_refill(&js);
    assert_int_equal(tokens_in(&js), 3);
    assert_int_equal(write(js.shared_write, "xx", 2), 2); /* one gave back too many */
    jobserver_refill(&js);
    assert_int_equal(tokens_in(&js), 3);
    jobserver_close(&js);
}

/* A pipe with these tokens; flags for its client. */
static void make_pipe(int pipes[2], const char *tokens, const char *name, char flags[128])
{
    assert_int_equal(pipe(pipes), 0);
    size_t n = strlen(tokens);
    assert_int_equal(write(pipes[1], tokens, n), n);
    snprintf(flags, 128, "ks -j3 --jobserver-auth=77,78 --%s=%d,%d -- --jobserver-auth=1,2", name,
             pipes[0], pipes[1]);
}

static void jobserver_client_gives_back_the_bytes_it_took(void **state)
{
    (void)state;
    const char *const names[] = {"jobserver-auth", "jobserver-fds"};
    for (int i = 0; i < 2; i++) {
        int pipes[2];
        char flags[128];
        char got[4] = {0};
        struct jobserver js;
        make_pipe(pipes, "ab", names[i], flags);
        assert_int_equal(jobserver_join(&js, flags), JOBSERVER_OPEN);
        assert_int_equal(js.slots, 3);
        assert_true(jobserver_acquire(&js) && jobserver_acquire(&js) && jobserver_acquire(&js));
        assert_false(jobserver_acquire(&js));
        jobserver_release(&js);
        assert_int_equal(read(pipes[0], got, 3), 1);
        assert_string_equal(got, "b");
        jobserver_close(&js); /* whatever is held then goes back too */
        assert_int_equal(read(pipes[0], got, 3), 1);
        assert_string_equal(got, "a");
        assert_int_equal(fcntl(pipes[0], F_GETFL) & O_NONBLOCK,
                         0); /* make's own flags are as they were */
        close(pipes[0]);
        close(pipes[1]);
    }
}

static void jobserver_client_never_blocks_where_it_cannot_reopen(void **state)
{
    (void)state;
    int pipes[2];
    char flags[128];
    struct jobserver js;
    make_pipe(pipes, "a", "jobserver-auth", flags);
    assert_int_equal(jobserver_join(&js, flags), JOBSERVER_OPEN);
    close(js.read_fd);
    js.read_fd = fcntl(pipes[0], F_DUPFD_CLOEXEC, 3);
    js.reopened = false;
    assert_true(jobserver_acquire(&js) && jobserver_acquire(&js));
    alarm(5);
    assert_false(jobserver_acquire(&js));
    alarm(0);
    jobserver_close(&js);
    close(pipes[0]);
    close(pipes[1]);
}

static void jobserver_that_was_not_passed_on_is_told(void **state)
{
    (void)state;
    struct jobserver js;
    assert_int_equal(jobserver_join(&js, ""), JOBSERVER_NONE);
    assert_int_equal(jobserver_join(&js, "ks -j4"), JOBSERVER_NONE);
    assert_int_equal(jobserver_join(&js, " -- A=--jobserver-auth=3,4"), JOBSERVER_NONE);
    assert_int_equal(jobserver_join(&js, " A\\ --jobserver-auth=3,4"), JOBSERVER_NONE);
    assert_int_equal(jobserver_join(&js, " -j --jobserver-auth=997,998"), JOBSERVER_CLOSED);
    assert_int_equal(jobserver_join(&js, " -j --jobserver-auth=-2,-2"), JOBSERVER_CLOSED);
    assert_int_equal(jobserver_join(&js, " -j --jobserver-auth=fifo:/no/such"), JOBSERVER_CLOSED);
    assert_int_equal(jobserver_join(&js, " -j --jobserver-auth=5"), JOBSERVER_CLOSED);
    int fd = open("/dev/null", O_RDWR);
    char flags[64];
    snprintf(flags, sizeof flags, "--jobserver-auth=%d,%d", fd, fd);
    assert_int_equal(jobserver_join(&js, flags), JOBSERVER_CLOSED);
    close(fd);
    assert_int_equal(jobserver_fd(&js), -1);
    jobserver_close(&js);
}

static void jobserver_fifo_joins_two(void **state)
{
    (void)state;
    char dir[] = "/tmp/pawl-jobserver-XXXXXX";
    char path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/fifo", dir);
    struct jobserver server;
    struct jobserver client;
    struct buf flags;
    buf_init(&flags, 1000);
    assert_true(jobserver_serve(&server, 3, path));
    assert_false(jobserver_serve(&client, 3, path));
    assert_int_equal(errno, EEXIST);
    jobserver_put_makeflags(&server, NULL, &flags);
    assert_int_equal(jobserver_join(&client, flags.s), JOBSERVER_OPEN);
    assert_true(jobserver_acquire(&server) && jobserver_acquire(&server));
    assert_true(jobserver_acquire(&client) && jobserver_acquire(&client));
    assert_false(jobserver_acquire(&server) || jobserver_acquire(&client));
    jobserver_release(&client);
    assert_true(jobserver_acquire(&server));
    jobserver_close(&client);
    jobserver_close(&server);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(rmdir(dir), 0);
    buf_free(&flags);
}

static void jobserver_flags_keep_what_is_not_ours(void **state)
{
    (void)state;
    struct jobserver js;
    assert_true(jobserver_serve(&js, 5, NULL));
    const char *const flags[][2] = {
        {NULL, ""},
        {"ks", "ks"},
        {"ks -j2 --jobserver-auth=3,4 --warn-undefined-variables", "ks --warn-undefined-variables"},
        {" -j --no-print-directory -- A=b\\ c D=-j", " --no-print-directory"},
    };
    for (int i = 0; i < 4; i++) {
        struct buf got;
        char want[256];
        buf_init(&got, 1000);
        jobserver_put_makeflags(&js, flags[i][0], &got);
        snprintf(want, sizeof want, "%s -j5 --jobserver-auth=%d,%d%s", flags[i][1], js.shared_read,
                 js.shared_write, i == 3 ? " -- A=b\\ c D=-j" : "");
        assert_string_equal(got.s, want);
        buf_free(&got);
    }
    jobserver_close(&js);
}

struct kitchen {
    char dir[64];
};

static int set_up(void **state)
{
    struct kitchen *k = test_calloc(1, sizeof *k);
    snprintf(k->dir, sizeof k->dir, "/tmp/pawl-jobserver-XXXXXX");
    assert_non_null(mkdtemp(k->dir));
    *state = k;
    return 0;
}

static int tear_down(void **state)
{
    struct kitchen *k = *state;
    assert_true(file_remove_tree(FILE_CWD, str_from(k->dir)));
    test_free(k);
    return 0;
}

static void write_makefile(const struct kitchen *k, const char *text)
{
    struct arena a = {0};
    struct str path = path_join(&a, str_from(k->dir), STR("Makefile"));
    assert_true(file_write(FILE_CWD, path, str_from(text), 0666, false));
    arena_free(&a);
}

/* The most recipes that were under way at once: each line of the file is +1 or -1. */
static int most_at_once(const struct kitchen *k, int *recipes)
{
    struct arena a = {0};
    struct str text;
    struct str line;
    int now = 0;
    int most = 0;
    assert_true(file_read_quiet(&a, FILE_CWD, path_join(&a, str_from(k->dir), STR("trace")),
                                1 << 20, &text));
    *recipes = 0;
    while (str_cut(&text, '\n', &line)) {
        now += line.n && line.s[0] == '+';
        *recipes += line.n && line.s[0] == '+';
        now -= line.n && line.s[0] == '-';
        most = now > most ? now : most;
    }
    arena_free(&a);
    return most;
}

static void run_make(const struct kitchen *k, const char *arguments, const char *makeflags)
{
    char command[600];
    if (makeflags) {
        assert_int_equal(setenv("MAKEFLAGS", makeflags, 1), 0);
    } else {
        unsetenv("MAKEFLAGS");
    }
    snprintf(command, sizeof command, "make -s -C %s %s >%s/out 2>&1", k->dir, arguments, k->dir);
    int status = system(command);
    unsetenv("MAKEFLAGS");
    if (status != 0) {
        snprintf(command, sizeof command, "cat %s/out", k->dir);
        assert_int_equal(system(command), 0);
    }
    assert_int_equal(status, 0);
}

static const char recipes[] =
    "T = 1 2 3 4 5 6 7 8\nall: $T\n$T:\n\t@echo + >>trace; sleep 0.1; echo - >>trace\n";

static void jobserver_make_takes_our_tokens(void **state)
{
    struct kitchen *k = *state;
    write_makefile(k, recipes);
    struct jobserver js;
    struct buf flags;
    buf_init(&flags, 1000);
    assert_true(jobserver_serve(&js, 3, NULL));
    jobserver_put_makeflags(&js, NULL, &flags);
    assert_true(jobserver_acquire(&js)); /* the slot in which make runs */
    run_make(k, "", flags.s);
    int count;
    assert_int_equal(most_at_once(k, &count), 3);
    assert_int_equal(count, 8);
    assert_int_equal(tokens_in(&js), 2); /* all are back */

    char trace[80];
    snprintf(trace, sizeof trace, "%s/trace", k->dir);
    assert_int_equal(unlink(trace), 0);
    assert_true(jobserver_acquire(&js)); /* a job of our own beside it leaves make one less */
    run_make(k, "", flags.s);
    assert_int_equal(most_at_once(k, &count), 2);
    jobserver_release(&js);
    jobserver_release(&js);
    assert_int_equal(tokens_in(&js), 2);
    jobserver_close(&js);
    buf_free(&flags);
}

static void jobserver_makes_slots_are_shared_with_it(void **state)
{
    struct kitchen *k = *state;
    char self[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    char text[2048];
    snprintf(text, sizeof text,
             "all: one two client\none two:\n\t@echo + >>trace; sleep 0.1; echo - >>trace\n"
             "client:\n\t+@%s client trace\nplain:\n\t@%s plain trace\n",
             self, self);
    write_makefile(k, text);
    run_make(k, "-j3", NULL);
    int count;
    int most = most_at_once(k, &count);
    assert_int_equal(count, 2 + 6);
    assert_true(most >= 2 && most <= 3);
    run_make(k, "-j3 plain", NULL); /* without a '+', make keeps the descriptors to itself */
}

/* What a recipe runs: six sleeps beside one another, as many as make allows. */
static void play_client(const char *trace)
{
    struct jobserver js;
    if (jobserver_join(&js, getenv("MAKEFLAGS")) != JOBSERVER_OPEN) {
        exit(1);
    }
    char command[256];
    snprintf(command, sizeof command, "echo + >>%s; sleep 0.1; echo - >>%s", trace, trace);
    int left = 6;
    int running = 0;
    while (left + running > 0) {
        while (left > 0 && jobserver_acquire(&js)) {
            left--;
            running++;
            if (fork() == 0) {
                execl("/bin/sh", "sh", "-c", command, (char *)NULL);
                _exit(127);
            }
        }
        int status;
        if (waitpid(-1, &status, running > 0 && left == 0 ? 0 : WNOHANG) > 0) {
            running--;
            jobserver_release(&js);
        } else {
            struct pollfd p = {.fd = jobserver_fd(&js), .events = POLLIN};
            poll(&p, 1, 10);
        }
    }
    jobserver_close(&js);
    exit(0);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "client") == 0) {
        play_client(argv[2]);
    }
    if (argc == 3) {
        struct jobserver js;
        return jobserver_join(&js, getenv("MAKEFLAGS")) == JOBSERVER_CLOSED ? 0 : 1;
    }
    unsetenv("MAKEFLAGS");
    unsetenv("MAKELEVEL");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobserver_server_hands_out_its_slots),
        cmocka_unit_test(jobserver_without_one_has_the_own_slot),
        cmocka_unit_test(jobserver_of_one_slot_has_no_token),
        cmocka_unit_test(jobserver_server_mends_its_pool),
        cmocka_unit_test(jobserver_client_gives_back_the_bytes_it_took),
        cmocka_unit_test(jobserver_client_never_blocks_where_it_cannot_reopen),
        cmocka_unit_test(jobserver_that_was_not_passed_on_is_told),
        cmocka_unit_test(jobserver_fifo_joins_two),
        cmocka_unit_test(jobserver_flags_keep_what_is_not_ours),
        cmocka_unit_test_setup_teardown(jobserver_make_takes_our_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(jobserver_makes_slots_are_shared_with_it, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
