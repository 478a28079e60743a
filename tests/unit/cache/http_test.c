/* SPDX-License-Identifier: MIT */
/* Requests against a small server of the test's own: what is tried again, what ends a job, and when. */
#include "cache/http.h"
#include "core/base/file.h"
#include "core/base/workers.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

enum { COUNTS_BYTES = 4096 };

/* ---- the server: a process; a connection is another, and answers by the path asked for ---- */

static void send_text(int fd, const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);
        if (sent <= 0) {
            _exit(0);
        }
        text += sent;
        n -= (size_t)sent;
    }
}

static void serve_endless(int fd, const char *what)
{
    for (;;) {
        send_text(fd, what);
    }
}

/* counts: how often each path was asked for, over all connections. */
static void answer(int fd, const char *path, const char *body, uint32_t *count)
{
    char text[512];
    ++*count;
    if (strcmp(path, "/stall") == 0) {
        sleep(30);
    } else if (strcmp(path, "/endless") == 0) {
        send_text(fd, "HTTP/1.1 200 OK\r\n\r\n");
        serve_endless(fd, "0123456789abcdef0123456789abcdef");
    } else if (strcmp(path, "/endless-head") == 0) {
        send_text(fd, "HTTP/1.1 200 OK\r\n");
        serve_endless(fd, "x: 0123456789abcdef0123456789abcdef\r\n");
    } else if (strcmp(path, "/cut") == 0) {
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
        _exit(0);
    } else if (strcmp(path, "/twice-busy") == 0 && *count <= 2) {
        send_text(fd, "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy");
    } else if (strcmp(path, "/busy") == 0) {
        send_text(fd, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/busy-a-while") == 0 && *count == 1) {
        send_text(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/moved") == 0) {
        send_text(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    } else if (strcmp(path, "/wait") == 0) {
        usleep(250000);
        send_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    } else {
        snprintf(text, sizeof text,
                 "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Path: %s\r\n"
                 "Content-Length: %zu\r\n\r\n%s",
                 path, strlen(body) + 2, body);
        send_text(fd, text);
        send_text(fd, "ok");
    }
}

static void serve(int fd, uint32_t *counts)
{
    static const char *const PATHS[] = {"/ok", "/twice-busy", "/busy-a-while", "/busy", NULL};
    char head[4096];
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, head + n, sizeof head - 1 - n, 0);
        if (got <= 0) {
            _exit(0);
        }
        n += (size_t)got;
        head[n] = 0;
        char *end = strstr(head, "\r\n\r\n");
        char *length = strstr(head, "Content-Length: ");
        size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
        if (!end || n < (size_t)(end + 4 - head) + body) {
            continue;
        }
        char path[64] = "";
        (void)sscanf(head, "%*s %63s", path);
        uint32_t i = 0;
        while (PATHS[i] && strcmp(PATHS[i], path) != 0) {
            i++;
        }
        answer(fd, path, body ? end + 4 : "", &counts[i]);
        n = 0;
    }
}

struct server {
    pid_t pid;
    uint16_t port;
};

/* A connection's process shares the counts with the test. */
static uint32_t *counts_map(void)
{
    void *p = mmap(NULL, COUNTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

static struct server server_begin(uint32_t *counts)
{
    struct server s = {0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t n = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
    s.port = ntohs(at.sin_port);
    s.pid = fork();
    if (s.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
        for (;;) {
            int fd = accept(listener, NULL, NULL);
            if (fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve(fd, counts);
            }
            close(fd);
        }
    }
    close(listener);
    return s;
}

struct fixture {
    struct server server;
    uint32_t *counts;
    struct arena arena;
    struct diags notes;
    struct http_settings settings;
    struct http *http;
};

static int begin(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->counts = counts_map();
    f->server = server_begin(f->counts);
    diags_init(&f->notes, &f->arena);
    f->settings = http_settings_default();
    f->settings.pause_ms = 20;
    f->settings.stall_ms = 600;
    f->settings.breaker_ms = 400;
    f->http = http_open(&f->settings, &f->notes);
    assert_non_null(f->http);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fixture *f = *state;
    http_close(f->http);
    kill(f->server.pid, SIGKILL);
    waitpid(f->server.pid, NULL, 0);
    munmap(f->counts, COUNTS_BYTES);
    arena_free(&f->arena);
    free(f);
    return 0;
}

static struct http_job job_for(struct fixture *f, const char *path)
{
    struct http_job job = {.request = {.method = STR("GET"), .direct = true}};
    job.request.url =
        str_printf(&f->arena, "http://127.0.0.1:%u%s", (unsigned)f->server.port, path);
    job.deadline_ms = 5000;
    return job;
}

static void expect_end(struct fixture *f, const char *path, enum http_end want, uint32_t attempts)
{
    struct http_job job = job_for(f, path);
    (void)http_run(f->http, &job, 1);
    assert_int_equal(job.answer.end, want);
    assert_int_equal(job.answer.attempts, attempts);
    assert_true(want == HTTP_ANSWERED || job.answer.trouble[0]);
    http_job_free(&job);
}

static void answer_comes_whole(void **state)
{
    struct fixture *f = *state;
    struct http_job job = job_for(f, "/a/../b%20c//d");
    assert_true(http_run(f->http, &job, 1));
    assert_int_equal(job.answer.status, 200);
    assert_true(str_eq(buf_str(&job.answer.body), STR("ok")));
    assert_true(
        str_eq(http_header_find(&job.answer, STR("x-path")), STR("/a/../b%20c//d"))); /* as it is */
    assert_int_equal(job.answer.date_ms, INT64_C(784111777000));
    assert_null(http_header_find(&job.answer, STR("x-none")).s);
    http_job_free(&job);
    http_job_free(&job);
}

static void body_goes_in_parts_and_from_a_file(void **state)
{
    struct fixture *f = *state;
    struct str parts[] = {STR("one "), STR(""), STR("two ")};
    struct depot_source source = DEPOT_PARTS(parts, 3);
    struct http_job job = job_for(f, "/put");
    job.request.method = STR("PUT");
    job.request.body = &source;
    assert_true(http_run(f->http, &job, 1));
    assert_true(str_eq(buf_str(&job.answer.body), STR("one two ok")));
    FILE *file = tmpfile();
    fputs("from a file ", file);
    fflush(file);
    source = (struct depot_source){.fd = fileno(file), .fd_bytes = 12};
    job.request.method = STR("POST");
    assert_true(http_run(f->http, &job, 1));
    assert_true(str_eq(buf_str(&job.answer.body), STR("from a file ok")));
    source.fd_bytes = 13; /* shorter than it was said to be */
    assert_false(http_run(f->http, &job, 1));
    assert_int_equal(job.answer.end, HTTP_REFUSED);
    http_job_free(&job);
    fclose(file);
}

static void busy_server_is_asked_again(void **state)
{
    struct fixture *f = *state;
    expect_end(f, "/twice-busy", HTTP_ANSWERED, 3);
    struct http_job job = job_for(f, "/busy");
    assert_true(http_run(f->http, &job, 1)); /* an answer, if not a good one */
    assert_int_equal(job.answer.status, 503);
    assert_int_equal(job.answer.attempts, 4);
    http_job_free(&job);
    assert_int_equal(http_count(f->http).retries, 5);
}

static void server_says_how_long_to_wait(void **state)
{
    struct fixture *f = *state;
    int64_t began = time_boot_ns();
    expect_end(f, "/busy-a-while", HTTP_ANSWERED, 2);
    assert_true(time_boot_ns() - began >= INT64_C(990000000));
    f->counts[2] = 0;
    struct http_job job = job_for(f, "/busy-a-while"); /* no time for another: it ends at once */
    job.deadline_ms = 500;
    began = time_boot_ns();
    assert_true(http_run(f->http, &job, 1));
    assert_int_equal(job.answer.status, 503);
    assert_true(time_boot_ns() - began < INT64_C(450000000));
    http_job_free(&job);
}

static void stalled_and_cut_answers_are_given_up(void **state)
{
    struct fixture *f = *state;
    f->settings.breaker_failures = 0;
    http_close(f->http);
    f->http = http_open(&f->settings, &f->notes);
    int64_t began = time_boot_ns();
    expect_end(f, "/stall", HTTP_STALLED, 4);
    assert_true(time_boot_ns() - began < INT64_C(4000000000));
    expect_end(f, "/cut", HTTP_BROKEN, 4);
    expect_end(f, "/endless", HTTP_TOO_LARGE, 1);
    expect_end(f, "/endless-head", HTTP_TOO_LARGE, 1);
}

struct listening {
    struct fixture *f;
    struct str url;
    int64_t quiet_ms[4];
    uint32_t attempts;
};

static bool listen_and_ask(void *context, struct arena *a, struct http_request *out)
{
    struct listening *l = context;
    (void)a;
    l->quiet_ms[l->attempts++] = http_quiet_ms(l->f->http);
    *out = (struct http_request){.method = STR("GET"), .url = l->url, .direct = true};
    return true;
}

static void silence_is_heard_while_somebody_waits(void **state)
{
    struct fixture *f = *state;
    struct http_job job = job_for(f, "/stall");
    struct listening l = {.f = f, .url = job.request.url};
    assert_int_equal(http_quiet_ms(f->http), 0);
    job.make = listen_and_ask;
    job.context = &l;
    job.attempts = 2;
    assert_false(http_run(f->http, &job, 1));
    assert_int_equal(l.attempts, 2);
    assert_true(l.quiet_ms[0] < l.quiet_ms[1]);
    assert_true(l.quiet_ms[1] >= f->settings.stall_ms);
    assert_int_equal(http_quiet_ms(f->http), 0);
    http_job_free(&job);
}

static void deadline_holds_whatever_happens(void **state)
{
    struct fixture *f = *state;
    static const char *const PATHS[] = {"/stall", "/wait"};
    for (size_t i = 0; i < 2; i++) {
        struct http_job job = job_for(f, PATHS[i]);
        job.deadline_ms = 150;
        int64_t began = time_boot_ns();
        assert_false(http_run(f->http, &job, 1));
        assert_int_equal(job.answer.end, HTTP_LATE);
        int64_t took_ms = (time_boot_ns() - began) / 1000000;
        assert_true(took_ms >= 149 && took_ms < 1000);
        http_job_free(&job);
    }
}

static void redirect_is_an_answer(void **state)
{
    struct fixture *f = *state;
    struct http_job job = job_for(f, "/moved");
    assert_true(http_run(f->http, &job, 1));
    assert_int_equal(job.answer.status, 302);
    assert_true(str_eq(http_header_find(&job.answer, STR("LOCATION")), STR("/ok")));
    http_job_free(&job);
}

static void jobs_go_side_by_side(void **state)
{
    struct fixture *f = *state;
    enum { JOBS = 40 }; /* in three rounds of at most 16 */
    struct http_job jobs[JOBS];
    for (size_t i = 0; i < JOBS; i++) {
        jobs[i] = job_for(f, "/wait");
        jobs[i].deadline_ms = 20000;
    }
    int64_t began = time_boot_ns();
    assert_true(http_run(f->http, jobs, JOBS));
    assert_true(time_boot_ns() - began < INT64_C(5000000000)); /* one by one: 10 s */
    for (size_t i = 0; i < JOBS; i++) {
        http_job_free(&jobs[i]);
    }
}

static void breaker_opens_tries_and_closes(void **state)
{
    struct fixture *f = *state;
    uint16_t port = f->server.port;
    f->server.port = 1; /* nobody listens */
    for (int i = 0; i < 3; i++) {
        assert_false(http_is_open(f->http));
        expect_end(f, "/ok", HTTP_UNREACHED, 4);
    }
    assert_true(http_is_open(f->http));
    expect_end(f, "/ok", HTTP_OPEN, 0);
    usleep(450000);
    expect_end(f, "/ok", HTTP_UNREACHED, 4); /* the one that tries */
    expect_end(f, "/ok", HTTP_OPEN, 0);
    f->server.port = port;
    usleep(900000); /* twice as long as before */
    expect_end(f, "/ok", HTTP_ANSWERED, 1);
    assert_false(http_is_open(f->http));
}

static bool refuse(void *context, struct arena *a, struct http_request *out)
{
    (void)context;
    (void)a;
    (void)out;
    return false;
}

static enum http_take take_none(void *context, const struct http_answer *got, const void *bytes,
                                size_t n)
{
    (void)context;
    (void)got;
    (void)bytes;
    return n ? HTTP_TAKE_STOP : HTTP_TAKE_MORE;
}

static void callbacks_end_a_job(void **state)
{
    struct fixture *f = *state;
    struct http_job job = job_for(f, "/ok");
    job.make = refuse;
    assert_false(http_run(f->http, &job, 1));
    assert_int_equal(job.answer.end, HTTP_REFUSED);
    job.make = NULL;
    job.take = take_none;
    assert_false(http_run(f->http, &job, 1));
    assert_int_equal(job.answer.end, HTTP_STOPPED);
    job.request.url = STR("ftp://127.0.0.1/x");
    assert_false(http_run(f->http, &job, 1));
    assert_int_equal(job.answer.end, HTTP_REFUSED);
    http_job_free(&job);
}

struct threads {
    struct fixture *f;
    struct str url;
    bool good[64];
};

static void ask_on_thread(void *context, uint32_t i)
{
    struct threads *t = context;
    struct http_job job = {.request = {.method = STR("GET"), .url = t->url, .direct = true}};
    t->good[i] = http_run(t->f->http, &job, 1) && job.answer.status == 200;
    http_job_free(&job);
}

static void threads_share_a_client(void **state)
{
    struct fixture *f = *state;
    struct workers *w = workers_open(8);
    struct http_job any = job_for(f, "/ok");
    struct threads t = {.f = f, .url = any.request.url};
    workers_for_each(w, 64, ask_on_thread, &t);
    workers_close(w);
    for (size_t i = 0; i < 64; i++) {
        assert_true(t.good[i]);
    }
    assert_int_equal(http_count(f->http).requests, 64);
}

static void dates_are_read_strictly(void **state)
{
    int64_t ms;
    (void)state;
    assert_true(http_date_parse(STR("Thu, 01 Jan 1970 00:00:01 GMT"), &ms));
    assert_int_equal(ms, 1000);
    assert_false(http_date_parse(STR("Thu, 01 Jan 1970 00:00:01 CET"), &ms));
    assert_false(http_date_parse(STR("Thu, 01 anJ 1970 00:00:01 GMT"), &ms));
    assert_false(http_date_parse(STR("Thu, 01 Jan 1970 24:00:01 GMT"), &ms));
    assert_false(http_date_parse(STR("Thursday, 01-Jan-70 00:00:01 GMT"), &ms));
    assert_false(http_date_parse(STR(""), &ms));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(answer_comes_whole),
        CASE(body_goes_in_parts_and_from_a_file),
        CASE(busy_server_is_asked_again),
        CASE(silence_is_heard_while_somebody_waits),
        CASE(server_says_how_long_to_wait),
        CASE(stalled_and_cut_answers_are_given_up),
        CASE(deadline_holds_whatever_happens),
        CASE(redirect_is_an_answer),
        CASE(jobs_go_side_by_side),
        CASE(breaker_opens_tries_and_closes),
        CASE(callbacks_end_a_job),
        CASE(threads_share_a_client),
        cmocka_unit_test(dates_are_read_strictly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
