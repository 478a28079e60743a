/* SPDX-License-Identifier: MIT */
/* One who asks for keys, and others who need some meanwhile: a credential_process that waits for the test. */
#include "cache/s3_keys.h"
#include "core/base/file.h"
#include "core/base/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

#define NOW 1790000000 /* 2026-09-21T14:13:20Z */
#define LONG_NS INT64_C(60000000000)

struct bench {
    struct arena a;
    struct diags d;
    char home[64];
    const char *environment[4];
    struct s3_wallet *wallet;
    struct s3_keys keys;
    struct workers *workers;
};

/* Its runs are counted; the second waits until the file `go` is there. Keys of the n-th run are called Kn. */
static const char script[] =
    "echo x >> \"$HOME/runs\"\n"
    "n=$(wc -l < \"$HOME/runs\" | tr -d ' ')\n"
    "while [ $n = \"$(cat \"$HOME/slow\")\" ] && [ ! -e \"$HOME/go\" ]; do sleep 0.01; done\n"
    "echo '{\"Version\":1,\"AccessKeyId\":\"K'$n'\",\"SecretAccessKey\":\"s'$n'\",\"SessionToken\":\"t'$n'\","
    "\"Expiration\":\"2026-09-21T14:'$((13 + 4 * n))':20Z\"}'\n";

static void put(struct bench *b, const char *name, const char *text)
{
    struct str path = str_printf(&b->a, "%s/%s", b->home, name);
    assert_true(file_make_parents(FILE_CWD, path, 0700));
    assert_true(file_write(FILE_CWD, path, str_from(text), 0700, false));
}

static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    snprintf(b->home, sizeof b->home, "/tmp/pawl-wallet-XXXXXX");
    assert_non_null(mkdtemp(b->home));
    diags_init(&b->d, &b->a);
    b->environment[0] = str_printf(&b->a, "HOME=%s", b->home).s;
    b->environment[1] = "PATH=/usr/bin:/bin";
    put(b, "keys.sh", script);
    put(b, ".aws/config", "[default]\ncredential_process = sh \"$HOME/keys.sh\"\n");
    struct credentials_settings settings = {.environment = b->environment};
    b->wallet = s3_wallet_open(&settings, &b->d);
    b->keys = s3_wallet_keys(b->wallet);
    b->workers = workers_open(2);
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;
    workers_close(b->workers);
    s3_wallet_close(b->wallet);
    file_remove_tree(FILE_CWD, str_from(b->home));
    arena_free(&b->a);
    free(b);
    return 0;
}

struct asking {
    struct work work;
    struct bench *b;
    struct arena a;
    struct diags d;
    int64_t now_s;
    bool renew, found, over;
    struct aws_keys keys;
};

static void ask(struct work *work)
{
    struct asking *x = (struct asking *)work;
    x->found = x->b->keys.get(x->b->keys.context, &x->a, x->now_s, x->renew, &x->keys, &x->d);
}

static void asked(struct work *work)
{
    ((struct asking *)work)->over = true;
}

static void submit(struct bench *b, struct asking *x, int64_t now_s, bool renew)
{
    *x = (struct asking){
        .work = {.run = ask, .done = asked}, .b = b, .now_s = now_s, .renew = renew};
    diags_init(&x->d, &x->a);
    workers_submit(b->workers, &x->work);
}

static uint64_t runs(struct bench *b)
{
    struct file_sig sig = file_stat(FILE_CWD, str_printf(&b->a, "%s/runs", b->home), true);
    return file_sig_exists(&sig) ? sig.size / 2 : 0;
}

static void await_runs(struct bench *b, uint64_t count)
{
    int64_t until = time_boot_ns() + LONG_NS;
    while (runs(b) < count && time_boot_ns() < until) {
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
    }
    assert_int_equal(runs(b), count);
}

static void await(struct bench *b, const struct asking *x)
{
    while (!x->over) {
        workers_wait(b->workers);
    }
}

static void expect(struct asking *x, const char *id, const char *secret, const char *token)
{
    assert_true(x->over && x->found);
    assert_string_equal(str_c(&x->a, x->keys.id), id);
    assert_string_equal(str_c(&x->a, x->keys.secret), secret);
    assert_string_equal(str_c(&x->a, x->keys.token), token);
    arena_free(&x->a);
}

static void those_who_come_first_wait_for_one_answer(void **state)
{
    struct bench *b = *state;
    struct asking x, y;
    put(b, "slow", "1");
    submit(b, &x, NOW, false);
    await_runs(b, 1);
    submit(b, &y, NOW, false);
    put(b, "go", "");
    await(b, &x);
    await(b, &y);
    expect(&x, "K1", "s1", "t1");
    expect(&y, "K1", "s1", "t1");
    assert_int_equal(runs(b), 1);
}

static void old_keys_serve_while_new_ones_are_asked_for(void **state)
{
    struct bench *b = *state;
    struct asking x, y;
    put(b, "slow", "2");
    submit(b, &x, NOW, false); /* good for four minutes: soon to be renewed */
    await(b, &x);
    expect(&x, "K1", "s1", "t1");
    submit(b, &x, NOW + 31, false);
    await_runs(b, 2);
    submit(b, &y, NOW + 31, false);
    await(b, &y); /* though the other has no answer yet */
    assert_false(x.over);
    expect(&y, "K1", "s1", "t1");
    put(b, "go", "");
    await(b, &x);
    expect(&x, "K2", "s2", "t2");
    submit(b, &y, NOW + 32, false);
    await(b, &y);
    expect(&y, "K2", "s2", "t2");
    assert_int_equal(runs(b), 2);
}

static void source_that_is_stuck_is_waited_for_with_patience(void **state)
{
    struct bench *b = *state;
    struct asking x, y;
    put(b, "slow", "1");
    s3_wallet_be_patient(b->wallet, 50000000);
    submit(b, &x, NOW, false);
    await_runs(b, 1);
    submit(b, &y, NOW, false);
    await(b, &y);
    assert_false(y.found);
    assert_false(x.over);
    assert_int_equal(y.d.warnings, 1);
    arena_free(&y.a);
    put(b, "go", "");
    await(b, &x);
    expect(&x, "K1", "s1", "t1");
}

static void keys_that_were_refused_serve_nobody(void **state)
{
    struct bench *b = *state;
    struct asking x, y;
    put(b, "slow", "2");
    s3_wallet_be_patient(b->wallet, 50000000);
    submit(b, &x, NOW, false);
    await(b, &x);
    expect(&x, "K1", "s1", "t1");
    submit(b, &x, NOW + 31, true);
    await_runs(b, 2);
    submit(b, &y, NOW + 31, false);
    await(b, &y);
    assert_false(y.found);
    arena_free(&y.a);
    put(b, "go", "");
    await(b, &x);
    expect(&x, "K2", "s2", "t2");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(those_who_come_first_wait_for_one_answer),
        TEST(old_keys_serve_while_new_ones_are_asked_for),
        TEST(source_that_is_stuck_is_waited_for_with_patience),
        TEST(keys_that_were_refused_serve_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
