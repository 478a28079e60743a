/* SPDX-License-Identifier: MIT */
/* Which versions lie in a bucket, asked of a small server of the test's own: a bucket's name says how it lies. */
#include "cache/data.h"
#include "core/base/file.h"

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

enum { PAGE = 3, TEXT = 64, MANY = 1000, LISTS = 0, HEADS = 1 };

/* ---- the server: a process; a connection is another ---- */

/* What lies in the bucket "plain", in order; in "hostile" it is what a listing of "in/" says. */
static const char *const plain[] = {"day/a", "day/b", "day/c/d", "day/e", "lone", "night/x", NULL};
static const char *const hostile[] = {
    "in/", "in/../../up", "in/.pawl/state", "in//double", "in/a", "in/a/b", NULL};
static const char *const twice[] = {"in/a", "in/a", NULL};
static const char *const elsewhere[] = {"/etc/passwd", "in/a", NULL};

static void put(int fd, const char *bytes, size_t n)
{
    if (!file_write_all(fd, bytes, n)) {
        _exit(0);
    }
}

static void answer(int fd, int status, const char *more, struct str body)
{
    char head[512];
    int n = snprintf(
        head, sizeof head,
        "HTTP/1.1 %d Told\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n%sContent-Length: %zu\r\n\r\n",
        status, more, body.n);
    put(fd, head, (size_t)n);
    put(fd, body.s ? body.s : "", body.n);
}

static void put_entry(struct buf *b, const char *key, const char *etag)
{
    buf_printf(b, "<Contents><Key>%s</Key><LastModified>1994-11-06T08:49:37.000Z</LastModified>",
               key);
    buf_printf(b, "<ETag>%s</ETag><Size>%zu</Size></Contents>", etag, strlen(key));
}

/* The value of a parameter of the query, as it was sent but for "%2F". */
static void parameter(const char *query, const char *name, char out[TEXT])
{
    const char *at = strstr(query, name);
    size_t n = 0;
    at = at ? at + strlen(name) : "";
    while (*at && *at != '&' && *at != ' ' && n < TEXT - 1) {
        bool slash = strncmp(at, "%2F", 3) == 0;
        out[n++] = slash ? '/' : *at;
        at += slash ? 3 : 1;
    }
    out[n] = 0;
}

/* true: there are more, after what is in `after` then. */
static bool put_keys(struct buf *b, const char *const *keys, const char *prefix, char after[TEXT])
{
    uint32_t n = 0;
    for (; *keys; keys++) {
        if (strncmp(*keys, prefix, strlen(prefix)) != 0 || strcmp(*keys, after) <= 0) {
            continue;
        }
        if (n++ == PAGE) {
            return true;
        }
        put_entry(b, *keys, "&quot;e&quot;");
        snprintf(after, TEXT, "%s", *keys);
    }
    return false;
}

static void put_all(struct buf *b, const char *const *keys)
{
    for (; *keys; keys++) {
        put_entry(b, *keys, "&quot;e&quot;");
    }
}

/* More keys than there may be, in order; a page's token is its number. */
static void put_many(struct buf *b, char after[TEXT])
{
    unsigned page = (unsigned)strtoul(after, NULL, 10) + 1;
    for (unsigned i = 0; i < MANY; i++) {
        char key[TEXT];
        snprintf(key, sizeof key, "in/%06u", page * MANY + i);
        put_entry(b, key, "&quot;e&quot;");
    }
    snprintf(after, TEXT, "%u", page);
}

static void list(int fd, const char *bucket, const char *query)
{
    char prefix[TEXT], after[TEXT];
    bool more = false;
    struct buf b;
    buf_init(&b, 1 << 20);
    parameter(query, "prefix=", prefix);
    parameter(query,
              strstr(query, "continuation-token=") ? "continuation-token=" : "start-after=", after);
    buf_put_str(&b, STR("<ListBucketResult>"));
    if (strcmp(bucket, "plain") == 0) {
        more = put_keys(&b, plain, prefix, after);
    } else if (strcmp(bucket, "hostile") == 0) {
        put_all(&b, hostile);
    } else if (strcmp(bucket, "twice") == 0) {
        put_all(&b, twice);
    } else if (strcmp(bucket, "elsewhere") == 0) {
        put_all(&b, elsewhere);
    } else if (strcmp(bucket, "mute") == 0) {
        put_entry(&b, "in/a", "");
    } else if (strcmp(bucket, "null") == 0) {
        put_entry(&b, "in/a&#0;b", "&quot;e&quot;");
    } else if (strcmp(bucket, "endless") == 0) {
        more = true;
        snprintf(after, sizeof after, "x");
    } else if (strcmp(bucket, "many") == 0) {
        more = true;
        put_many(&b, after);
    }
    buf_printf(&b, "<IsTruncated>%s</IsTruncated>", more ? "true" : "false");
    if (more) {
        buf_printf(&b, "<NextContinuationToken>%s</NextContinuationToken>", after);
    }
    buf_put_str(&b, STR("</ListBucketResult>"));
    answer(fd, 200, "", buf_str(&b));
    buf_free(&b);
}

static void head(int fd, const char *key)
{
    for (const char *const *at = plain; *at; at++) {
        if (strcmp(*at, key) == 0) {
            char text[100];
            int n = snprintf(text, sizeof text,
                             "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: %zu\r\n\r\n",
                             strlen(key));
            put(fd, text, (size_t)n);
            return;
        }
    }
    answer(fd, 404, "", STR(""));
}

static void serve_one(int fd, const char *request, uint32_t *counts)
{
    char method[8] = "", target[1024] = "", bucket[TEXT] = "";
    (void)sscanf(request, "%7s /%63[^/? ]%1023s", method, bucket, target);
    bool is_head = strcmp(method, "HEAD") == 0;
    ++counts[is_head ? HEADS : LISTS];
    if (strcmp(bucket, "absent") == 0) {
        answer(fd, 404, "", is_head ? STR("") : STR("<Error><Code>NoSuchBucket</Code></Error>"));
    } else if (is_head) {
        head(fd, target + 1);
    } else {
        list(fd, bucket, target);
    }
}

static void serve(int fd, uint32_t *counts)
{
    char text[8192];
    size_t n = 0;
    for (;;) {
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0) {
            _exit(0);
        }
        n += (size_t)got;
        text[n] = 0;
        if (strstr(text, "\r\n\r\n")) {
            serve_one(fd, text, counts);
            n = 0;
        }
    }
}

struct server {
    pid_t pid;
    char endpoint[TEXT];
    uint32_t *counts;
};

static int begin_server(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, n), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    s->counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    snprintf(s->endpoint, sizeof s->endpoint, "http://127.0.0.1:%u", ntohs(at.sin_port));
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGCHLD, SIG_IGN);
        for (;;) {
            int client = accept(fd, NULL, NULL);
            if (client >= 0 && fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                serve(client, s->counts);
            }
            close(client);
        }
    }
    close(fd);
    *state = s;
    return 0;
}

static int end_server(void **state)
{
    struct server *s = *state;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    munmap(s->counts, 4096);
    free(s);
    return 0;
}

/* ---- asking ---- */

struct asked {
    struct arena arena;
    struct diags notes;
    struct data_bucket *bucket;
    struct data_want wants[8];
    uint32_t count, lists, heads;
};

/* The keys, ended by NULL. */
static void ask(struct server *s, struct asked *q, const char *bucket, const char *const *keys)
{
    char *environment[] = {"AWS_ACCESS_KEY_ID=id", "AWS_SECRET_ACCESS_KEY=secret",
                           "HOME=/nonexistent", "AWS_EC2_METADATA_DISABLED=true", NULL};
    struct data_options o = {.bucket = str_from(bucket),
                             .region = STR("us-east-1"),
                             .endpoint = str_from(s->endpoint),
                             .path_style = true,
                             .environment = environment};
    *q = (struct asked){0};
    diags_init(&q->notes, &q->arena);
    q->bucket = data_open(&o, &q->notes);
    assert_non_null(q->bucket);
    for (; keys[q->count]; q->count++) {
        q->wants[q->count] = (struct data_want){.key = str_from(keys[q->count]), .mark = q->count};
    }
    memset(s->counts, 0, 4096);
    data_ask(q->bucket, q->wants, q->count, &q->arena);
    q->lists = s->counts[LISTS];
    q->heads = s->counts[HEADS];
}

static void ask_end(struct asked *q)
{
    data_close(q->bucket);
    arena_free(&q->arena);
}

static const struct data_want *want_of(const struct asked *q, const char *key)
{
    for (uint32_t i = 0; i < q->count; i++) {
        if (str_eq(q->wants[i].key, str_from(key))) {
            return &q->wants[i];
        }
    }
    fail_msg("%s was not asked for", key);
    return NULL;
}

static void expect_keys(const struct data_want *w, const char *const *keys)
{
    uint32_t n = 0;
    assert_int_equal(w->state, DATA_HERE);
    for (; keys[n]; n++) {
        assert_true(n < w->count && str_eq(w->objects[n].key, str_from(keys[n])));
        assert_true(str_eq(w->objects[n].etag, STR("e")));
        assert_int_equal(w->objects[n].size, strlen(keys[n]));
    }
    assert_int_equal(w->count, n);
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void prefix_is_all_below_it_in_order(void **state)
{
    struct asked q;
    ask(*state, &q, "plain", KEYS("day/", "day/c/", "day/e", "day", "no/"));
    expect_keys(want_of(&q, "day/"), KEYS("day/a", "day/b", "day/c/d", "day/e"));
    expect_keys(want_of(&q, "day/c/"), KEYS("day/c/d"));
    expect_keys(want_of(&q, "day/e"), KEYS("day/e"));
    assert_int_equal(want_of(&q, "day")->state, DATA_ABSENT);
    assert_int_equal(want_of(&q, "no/")->state, DATA_ABSENT);
    assert_int_equal(q.heads, 1);         /* of "day" */
    assert_int_equal(q.lists, 2 + 1 + 1); /* two pages; "no/"; whether there is a bucket */
    ask_end(&q);
}

static void single_keys_share_a_list(void **state)
{
    struct asked q;
    ask(*state, &q, "plain", KEYS("day/a", "day/b", "day/e", "day/no"));
    expect_keys(want_of(&q, "day/a"), KEYS("day/a"));
    expect_keys(want_of(&q, "day/e"), KEYS("day/e"));
    assert_int_equal(want_of(&q, "day/no")->state, DATA_ABSENT);
    assert_false(want_of(&q, "day/no")->no_bucket);
    assert_int_equal(
        q.heads,
        2); /* "day/e" is too few for another list; what one lacks is asked for by itself */
    ask_end(&q);
    ask(*state, &q, "plain", KEYS("lone", "night/x"));
    expect_keys(want_of(&q, "lone"), KEYS("lone"));
    assert_int_equal(q.lists, 0);
    assert_int_equal(q.heads, 2);
    ask_end(&q);
}

static void no_bucket_is_told(void **state)
{
    struct asked q;
    ask(*state, &q, "absent", KEYS("a", "in/"));
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(q.wants[i].state, DATA_ABSENT);
        assert_true(q.wants[i].no_bucket);
    }
    ask_end(&q);
}

/* Keys are names of nothing here: who makes files of them looks at them. But all lie below what was asked for. */
static void keys_are_given_as_they_are(void **state)
{
    struct asked q;
    ask(*state, &q, "hostile", KEYS("in/"));
    const struct data_want *w = want_of(&q, "in/");
    assert_int_equal(w->state, DATA_HERE);
    assert_int_equal(w->count, 6);
    assert_true(str_eq(w->objects[1].key, STR("in/../../up")));
    ask_end(&q);
}

static void listing_that_lies_is_trouble(void **state)
{
    static const struct {
        const char *bucket, *words;
    } all[] = {{"twice", "out of order"},     {"elsewhere", "out of order"},
               {"mute", "no ETag"},           {"null", ""},
               {"endless", "without an end"}, {"many", "more than 100000"}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct asked q;
        ask(*state, &q, all[i].bucket, KEYS("in/"));
        const struct data_want *w = want_of(&q, "in/");
        assert_int_equal(w->state, DATA_TROUBLE);
        assert_int_equal(w->count, 0);
        assert_true(str_find(w->trouble, str_from(all[i].words)) >= 0);
        assert_true(w->help.n > 0);
        assert_in_range(q.lists, 1, DATA_OBJECTS_LIMIT / MANY + 1);
        ask_end(&q);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin_server, end_server)
    const struct CMUnitTest tests[] = {
        TEST(prefix_is_all_below_it_in_order),
        TEST(single_keys_share_a_list),
        TEST(no_bucket_is_told),
        TEST(keys_are_given_as_they_are),
        TEST(listing_that_lies_is_trouble),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
