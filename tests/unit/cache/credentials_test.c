/* SPDX-License-Identifier: MIT */
/* Keys from each place, their order, their renewal; with a home folder of the test's own, and canned answers in
 * place of a network: what is asked is held against what was expected, in order. */
#include "cache/credentials.h"
#include "cache/credentials_inside.h"
#include "core/base/file.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h> /* wants those before it */
/* clang-format on */

enum { VARIABLES = 24, ANSWERS = 8 };

#define NOW 1790000000 /* 2026-09-21T14:13:20Z */

struct canned {
    const char *method, *url, *has; /* has: "name: value" among headers, or a part of the body */
    uint32_t status;                /* 0: no answer */
    const char *body;
};

struct bench {
    struct arena a;
    struct diags d;
    char home[64], env[VARIABLES][512];
    const char *environment[VARIABLES + 1];
    uint32_t variables;
    const struct canned *canned;
    uint32_t asked, expected;
    bool direct;
    struct credentials_settings settings;
    struct credentials *c;
};

static void set(struct bench *b, const char *name, const char *value)
{
    uint32_t i = b->variables++;
    assert_true(i < VARIABLES);
    snprintf(b->env[i], sizeof b->env[i], "%s=%s", name, value);
    b->environment[i] = b->env[i];
}

static int begin(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    snprintf(b->home, sizeof b->home, "/tmp/pawl-keys-XXXXXX");
    assert_non_null(mkdtemp(b->home));
    diags_init(&b->d, &b->a);
    set(b, "HOME", b->home);
    set(b, "PATH", "/usr/bin:/bin");
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;
    credentials_close(b->c);
    file_remove_tree(FILE_CWD, str_from(b->home));
    arena_free(&b->a);
    free(b);
    return 0;
}

static void put(struct bench *b, const char *name, const char *text)
{
    struct str path = str_printf(&b->a, "%s/%s", b->home, name);
    assert_true(file_make_parents(FILE_CWD, path, 0700));
    assert_true(file_write(FILE_CWD, path, str_from(text), 0600, false));
}

static bool holds(struct bench *b, const struct credentials_request *r, const char *what)
{
    for (uint32_t i = 0; i < r->header_count; i++) {
        struct str line = str_printf(&b->a, "%.*s: %.*s", STR_ARG(r->headers[i].name),
                                     STR_ARG(r->headers[i].value));
        if (str_find(line, str_from(what)) >= 0) {
            return true;
        }
    }
    return str_find(r->body, str_from(what)) >= 0;
}

static bool answer(void *context, struct arena *a, const struct credentials_request *r,
                   struct credentials_response *response)
{
    struct bench *b = context;
    if (b->asked >= b->expected) {
        fail_msg("asked for %.*s", STR_ARG(r->url));
    }
    const struct canned *x = &b->canned[b->asked++];
    assert_string_equal(str_c(a, r->method), x->method);
    assert_string_equal(str_c(a, r->url), x->url);
    if (x->has && !holds(b, r, x->has)) {
        fail_msg("%s is not in %.*s", x->has, STR_ARG(r->body));
    }
    assert_true(r->timeout_ms > 0 && r->timeout_ms <= 10000 && r->attempts >= 1);
    b->direct = r->direct;
    response->status = x->status;
    response->body = str_copy(a, str_from(x->body ? x->body : ""));
    return x->status != 0;
}

static void expect(struct bench *b, const struct canned *canned, uint32_t count)
{
    assert_int_equal(b->asked, b->expected);
    b->canned = canned;
    b->asked = 0;
    b->expected = count;
}
#define EXPECT(b, ...)                                                                             \
    expect((b), (const struct canned[]){__VA_ARGS__},                                              \
           sizeof((const struct canned[]){__VA_ARGS__}) / sizeof(struct canned))

static void open_it(struct bench *b)
{
    credentials_close(b->c);
    b->settings.environment = b->environment;
    b->settings.fetch = answer;
    b->settings.context = b;
    b->c = credentials_open(&b->settings, &b->d);
}

static enum credentials_result get(struct bench *b, int64_t now_s, struct aws_keys *keys)
{
    if (!b->c) {
        open_it(b);
    }
    return credentials_get(b->c, now_s, keys, &b->d);
}

/* What was said holds none of the secrets of these tests: all have this in them. */
static void check_silence(struct bench *b)
{
    for (uint32_t i = 0; i < b->d.all.n; i++) {
        assert_int_equal(str_find(b->d.all.at[i].message, STR("HUSH")), -1);
        assert_int_equal(b->d.all.at[i].severity, DIAG_WARNING);
    }
}

static void gives(struct bench *b, int64_t now_s, const char *id, const char *token,
                  const char *origin)
{
    struct aws_keys keys;
    enum credentials_result result = get(b, now_s, &keys);
    if (result != CREDENTIALS_FOUND) {
        fail_msg("none: %.*s", STR_ARG(b->d.all.n ? b->d.all.at[b->d.all.n - 1].message : STR("")));
    }
    assert_string_equal(str_c(&b->a, keys.id), id);
    assert_true(str_starts(keys.secret, STR("HUSH")));
    assert_string_equal(str_c(&b->a, keys.token), token);
    assert_string_equal(str_c(&b->a, credentials_origin(b->c)), origin);
    assert_int_equal(b->asked, b->expected);
    check_silence(b);
}

static void fails(struct bench *b, int64_t now_s, enum credentials_result result,
                  const char *message)
{
    struct aws_keys keys;
    uint32_t before = b->d.all.n;
    assert_int_equal(get(b, now_s, &keys), result);
    assert_int_equal(keys.id.n + keys.secret.n + keys.token.n, 0);
    if (message) {
        assert_true(b->d.all.n > before);
        if (str_find(b->d.all.at[b->d.all.n - 1].message, str_from(message)) < 0) {
            fail_msg("said: %.*s", STR_ARG(b->d.all.at[b->d.all.n - 1].message));
        }
    } else {
        assert_int_equal(b->d.all.n, before);
    }
    assert_int_equal(b->asked, b->expected);
    check_silence(b);
}

static void credentials_of_the_environment_come_first(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/credentials", "[default]\naws_access_key_id=FILE\naws_secret_access_key=HUSH\n");
    set(b, "AWS_ACCESS_KEY_ID", "ENV");
    set(b, "AWS_SECRET_ACCESS_KEY", "HUSH+/");
    set(b, "AWS_SESSION_TOKEN", "t/HUSH==");
    gives(b, NOW, "ENV", "t/HUSH==", "environment");
    gives(b, NOW + 1000000, "ENV",
          "t/HUSH==", "environment"); /* they do not expire by themselves */
}

static void credentials_for_the_remote_alone_outdo_all(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/credentials", "[ml]\naws_access_key_id=ML\naws_secret_access_key=HUSH\n");
    set(b, "AWS_ACCESS_KEY_ID", "ENV");
    set(b, "AWS_SECRET_ACCESS_KEY", "HUSH");
    b->settings.profile = STR("ml");
    gives(b, NOW, "ML", "", "profile 'ml'");
    set(b, "PAWL_REMOTE_ACCESS_KEY_ID", "OURS");
    set(b, "PAWL_REMOTE_SECRET_ACCESS_KEY", "HUSH");
    open_it(b);
    gives(b, NOW, "OURS", "", "environment");
}

static void credentials_say_what_is_wrong_with_a_profile(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/config",
        "[profile bare]\nregion=eu-west-1\n[profile half]\naws_secret_access_key=HUSH\n");
    b->settings.profile = STR("bare");
    fails(b, NOW, CREDENTIALS_FAILED, "the profile 'bare' has no keys");
    fails(b, NOW + 1, CREDENTIALS_FAILED, NULL); /* not again within half a minute */
    b->settings.profile = STR("gone");
    open_it(b);
    fails(b, NOW, CREDENTIALS_FAILED, "there is no profile 'gone'");
    b->settings.profile = STR("half");
    open_it(b);
    fails(b, NOW, CREDENTIALS_FAILED, "profile 'half' has half a key");
    b->settings.profile = STR_NONE;
    set(b, "AWS_ACCESS_KEY_ID", "HUSH");
    open_it(b);
    fails(b, NOW, CREDENTIALS_FAILED,
          "'AWS_ACCESS_KEY_ID' and 'AWS_SECRET_ACCESS_KEY' are no pair");
}

static void credentials_take_what_no_header_may_hold_for_none(void **state)
{
    struct bench *b = *state;
    set(b, "AWS_ACCESS_KEY_ID", "ENV");
    set(b, "AWS_SECRET_ACCESS_KEY", "HUSH");
    set(b, "AWS_SESSION_TOKEN", "HUSH\r\nx-amz-acl: public-read");
    fails(b, NOW, CREDENTIALS_FAILED, "no pair of keys");
}

static void credentials_follow_files_named_in_the_environment(void **state)
{
    struct bench *b = *state;
    char path[100];
    set(b, "AWS_EC2_METADATA_DISABLED", "true");
    put(b, "c", "[profile x]\nregion = eu-central-1\n");
    put(b, "k", "[x]\nAWS_Access_Key_ID = X # mine\naws_secret_access_key = HUSH#;\n");
    snprintf(path, sizeof path, "%s/c", b->home);
    set(b, "AWS_CONFIG_FILE", path);
    set(b, "AWS_SHARED_CREDENTIALS_FILE", "~/k");
    set(b, "AWS_PROFILE", "x");
    gives(b, NOW, "X", "", "profile 'x'");
    assert_string_equal(str_c(&b->a, credentials_place(b->c)->region), "eu-central-1");
    put(b, "k", "[x]\naws_access_key_id=Y\naws_secret_access_key=HUSH\n");
    gives(b, NOW + 60, "X", "", "profile 'x'");
    credentials_drop(b->c); /* refused by the server: the file is read again */
    gives(b, NOW + 61, "Y", "", "profile 'x'");
    put(b, "k", "[x]\naws_access_key_id=Z\naws_secret_access_key=HUSH\n");
    credentials_drop(b->c); /* but not at each refusal */
    gives(b, NOW + 90, "Y", "", "profile 'x'");
    gives(b, NOW + 91, "Z", "", "profile 'x'");
    gives(b, NOW + 200, "Z", "", "profile 'x'");
    assert_true(file_remove(FILE_CWD, str_printf(&b->a, "%s/k", b->home)));
    gives(b, NOW + 201, "Z", "", "profile 'x'"); /* nobody refused these */
    credentials_drop(b->c);
    fails(b, NOW + 202, CREDENTIALS_NONE, "there are no AWS credentials");
}

#define STS_XML(id, until)                                                                         \
    "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"   \
    "<Credentials>\n <AccessKeyId>" id "</AccessKeyId><SecretAccessKey>HUSH/s</SecretAccessKey>"   \
    "<SessionToken>tok</SessionToken><Expiration>" until "</Expiration></Credentials>"             \
    "</AssumeRoleResult></AssumeRoleResponse>"

static void credentials_take_on_roles_from_the_ground_up(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/config",
        "[profile top]\nrole_arn = arn:aws:iam::1:role/top\nsource_profile = middle\nregion = eu-west-1\n"
        "external_id = a b\nduration_seconds = 900\nrole_session_name = me\n"
        "[profile middle]\nrole_arn = arn:aws:iam::1:role/middle\nsource_profile = ground\n"
        "[profile ground]\naws_access_key_id = G\naws_secret_access_key = HUSH\n");
    set(b, "AWS_PROFILE", "top");
    EXPECT(
        b,
        {"POST", "https://sts.eu-west-1.amazonaws.com/",
         "authorization: AWS4-HMAC-SHA256 Credential=G/20260921/eu-west-1/sts/aws4_request, SignedHeaders="
         "content-type;host;x-amz-date, ",
         200, STS_XML("M", "2026-09-21T15:13:20Z")},
        {"POST", "https://sts.eu-west-1.amazonaws.com/",
         "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Ftop&RoleSessionName="
         "me&ExternalId=a%20b&DurationSeconds=900",
         200, STS_XML("T", "2026-09-21T15:13:20Z")});
    gives(b, NOW, "T", "tok", "profile 'top'");
}

static void credentials_let_a_profile_lean_on_itself_but_not_in_a_circle(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/config",
        "[profile self]\nrole_arn = r\nsource_profile = self\naws_access_key_id=S\naws_secret_access_key=HUSH\n"
        "[profile a]\nrole_arn = r\nsource_profile = b\n[profile b]\nrole_arn = r\nsource_profile = a\n"
        "[profile c]\nrole_arn = r\nsource_profile = d\n"
        "[profile m]\nrole_arn = r\nsource_profile = self\nmfa_serial = s\n"
        "[profile e]\nrole_arn = r\ncredential_source = Environment\n"
        "[profile empty]\nregion=x\n[profile f]\nrole_arn = r\nsource_profile = empty\n");
    set(b, "AWS_ENDPOINT_URL", "http://127.0.0.1:80/sts");
    set(b, "AWS_REGION", "eu-north-1");
    EXPECT(b, {"POST", "http://127.0.0.1/sts", "Credential=S/20260921/eu-north-1/sts", 200,
               STS_XML("R", "2026-09-21T15:13:20.5Z")});
    b->settings.profile = STR("self");
    gives(b, NOW, "R", "tok", "profile 'self'");
    struct {
        struct str profile;
        const char *message;
    } bad[] = {{STR("a"), "in a circle"},
               {STR("c"), "no profile 'd'"},
               {STR("m"), "asks for a code"},
               {STR("e"), "credential_source of profile 'e' has no keys"},
               {STR("f"), "leans on a profile without keys"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        b->settings.profile = bad[i].profile;
        open_it(b);
        fails(b, NOW, CREDENTIALS_FAILED, bad[i].message);
    }
}

static void credentials_say_the_code_of_a_refusal_and_no_more(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/config",
        "[profile r]\nrole_arn = r\nsource_profile = r\naws_access_key_id=S\n"
        "aws_secret_access_key=HUSH\n");
    b->settings.profile = STR("r");
    EXPECT(
        b,
        {"POST", "https://sts.amazonaws.com/", NULL, 403,
         "<ErrorResponse><Error><Code>AccessDenied</Code><Message>HUSH</Message></Error></ErrorResponse>"});
    fails(b, NOW, CREDENTIALS_FAILED, "STS (AssumeRole) gives no keys: 403 AccessDenied");
    EXPECT(b, {"POST", "https://sts.amazonaws.com/", NULL, 400, "<Code>HUSH <b></Code>"});
    fails(b, NOW + 30, CREDENTIALS_FAILED, "gives no keys: 400");
    EXPECT(b, {"POST", "https://sts.amazonaws.com/", NULL, 200, "<Credentials>HUSH"});
    fails(b, NOW + 60, CREDENTIALS_FAILED, "something other than keys");
    EXPECT(b, {"POST", "https://sts.amazonaws.com/", NULL, 0, NULL});
    fails(b, NOW + 90, CREDENTIALS_FAILED, "does not answer");
    EXPECT(b,
           {"POST", "https://sts.amazonaws.com/", NULL, 200, STS_XML("R", "2026-09-21T15:13:20Z")});
    gives(b, NOW + 120, "R", "tok", "profile 'r'");
}

static void credentials_refuse_a_region_that_is_no_label(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/config",
        "[profile r]\nrole_arn = r\nsource_profile = r\naws_access_key_id=S\n"
        "aws_secret_access_key=HUSH\nregion = x.example.org/\n");
    b->settings.profile = STR("r");
    fails(b, NOW, CREDENTIALS_FAILED, "region or the endpoint for STS is not one");
}

static void credentials_of_a_web_identity_read_the_token_each_time(void **state)
{
    struct bench *b = *state;
    char path[100];
    snprintf(path, sizeof path, "%s/token", b->home);
    put(b, "token", "HUSH.jwt=\n");
    put(b, ".aws/credentials", "[default]\naws_access_key_id=FILE\naws_secret_access_key=HUSH\n");
    set(b, "AWS_ROLE_ARN", "arn:aws:iam::1:role/pod");
    set(b, "AWS_WEB_IDENTITY_TOKEN_FILE", path);
    set(b, "AWS_REGION", "cn-north-1");
    EXPECT(
        b,
        {"POST", "https://sts.cn-north-1.amazonaws.com.cn/",
         "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fpod&"
         "RoleSessionName=pawl-1790000000&WebIdentityToken=HUSH.jwt%3D",
         200, STS_XML("W", "2026-09-21T15:13:20Z")});
    gives(b, NOW, "W", "tok", "web identity");
    put(b, "token", "HUSH.new");
    EXPECT(b, {"POST", "https://sts.cn-north-1.amazonaws.com.cn/", "WebIdentityToken=HUSH.new", 200,
               STS_XML("V", "2026-09-21T16:13:20Z")});
    gives(b, NOW + 3400, "V", "tok", "web identity");
    assert_true(file_remove(FILE_CWD, str_from(path)));
    credentials_drop(b->c);
    fails(b, NOW + 3430, CREDENTIALS_FAILED, "the token of a web identity cannot be read");
}

static void credentials_of_sso_take_the_token_that_lies_there(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/config",
        "[profile s]\nsso_session = my-sso\nsso_account_id = 123\nsso_role_name = Read Only\n"
        "[sso-session my-sso]\nsso_region = us-west-2\nsso_start_url = https://x.awsapps.com/start\n"
        "[profile old]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-west-1\n"
        "sso_account_id = 1\nsso_role_name = R\n[profile part]\nsso_start_url = u\n");
    /* SHA-1 of "my-sso", and of the start URL */
    put(b, ".aws/sso/cache/c12bd3b2e56ab1dd05d4a0e5a1ab4b24e3ec8c14.json", "{}");
    b->settings.profile = STR("s");
    fails(b, NOW, CREDENTIALS_FAILED, "has ended: run 'aws sso login'");
    struct str name = aws_sha1_hex(&b->a, STR("my-sso"));
    struct str path = str_printf(&b->a, ".aws/sso/cache/%.*s.json", STR_ARG(name));
    put(b, path.s, "{\"accessToken\":\"HUSH-t\",\"expiresAt\":\"2026-09-21T14:13:19Z\"}");
    fails(b, NOW + 30, CREDENTIALS_FAILED, "has ended: run 'aws sso login'");
    put(b, path.s,
        "{\"accessToken\":\"HUSH-t\",\"expiresAt\":\"2026-09-21T20:13:19UTC\",\"region\":\"x\"}");
    EXPECT(
        b,
        {"GET",
         "https://portal.sso.us-west-2.amazonaws.com/federation/credentials?role_name=Read%20Only&account_id=123",
         "x-amz-sso_bearer_token: HUSH-t", 200,
         "{\"roleCredentials\":{\"accessKeyId\":\"SSO\",\"secretAccessKey\":\"HUSH\",\"sessionToken\":\"t\","
         "\"expiration\":1790003600000}}"});
    gives(b, NOW + 60, "SSO", "t", "profile 's'");
    name = aws_sha1_hex(&b->a, STR("https://x.awsapps.com/start"));
    put(b, str_printf(&b->a, ".aws/sso/cache/%.*s.json", STR_ARG(name)).s,
        "{\"accessToken\":\"HUSH-o\",\"expiresAt\":\"2026-09-21T20:13:19Z\"}");
    EXPECT(
        b,
        {"GET",
         "https://portal.sso.eu-west-1.amazonaws.com/federation/credentials?role_name=R&account_id=1",
         "HUSH-o", 401, "{\"__type\":\"UnauthorizedException\",\"message\":\"HUSH\"}"});
    b->settings.profile = STR("old");
    open_it(b);
    fails(b, NOW, CREDENTIALS_FAILED, "SSO gives no keys: 401 UnauthorizedException");
    b->settings.profile = STR("part");
    open_it(b);
    fails(b, NOW, CREDENTIALS_FAILED, "not complete");
}

static void aws_names_sso_files_as_other_tools_do(void **state)
{
    struct bench *b = *state;
    assert_string_equal(aws_sha1_hex(&b->a, STR("abc")).s,
                        "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_string_equal(aws_sha1_hex(&b->a, STR("")).s, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
}

static void credentials_of_a_process_are_what_it_says(void **state)
{
    struct bench *b = *state;
    put(b, "keys",
        "{\"Version\":1,\"AccessKeyId\":\"P\",\"SecretAccessKey\":\"HUSH\",\"SessionToken\":\"t\","
        "\"Expiration\":\"2026-09-21T15:13:20+00:00\"}");
    put(b, ".aws/config",
        "[profile p]\ncredential_process = sh -c 'cat \"$HOME/keys\"; echo HUSH >&2' ; :\n"
        "[profile fail]\ncredential_process = cat \"$HOME/keys\"; exit 3\n"
        "[profile odd]\ncredential_process = echo '{\"Version\":2,\"AccessKeyId\":\"HUSH\"'\n"
        "[profile flood]\ncredential_process = exec yes HUSH\n"
        "[profile lasting]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"L\","
        "\"SecretAccessKey\":\"HUSH\"}'\n");
    b->settings.profile = STR("p");
    gives(b, NOW, "P", "t", "profile 'p'");
    b->settings.profile = STR("lasting");
    open_it(b);
    gives(b, NOW, "L", "", "profile 'lasting'");
    b->settings.profile = STR("fail");
    open_it(b);
    fails(b, NOW, CREDENTIALS_FAILED, "a credential_process failed");
    b->settings.profile = STR("odd");
    open_it(b);
    fails(b, NOW, CREDENTIALS_FAILED, "something other than keys");
    b->settings.profile = STR("flood");
    open_it(b);
    fails(b, NOW, CREDENTIALS_FAILED, "a credential_process failed");
}

#define ENDPOINT_JSON(id, until)                                                                   \
    "{\"Code\":\"Success\",\"AccessKeyId\":\"" id                                                  \
    "\",\"SecretAccessKey\":\"HUSH\",\"Token\":\"t\",\"Expiration\":\"" until "\"}"

static bool run(struct bench *b, const char *command, int64_t timeout_ms, struct str *out)
{
    return credentials_run(&b->a, str_from(command), b->environment, timeout_ms, out);
}

static void process_is_heard_for_a_bounded_time_and_size(void **state)
{
    struct bench *b = *state;
    struct str out;
    assert_true(run(b, "printf '%s' \"$HOME\"; cat", 5000, &out)); /* there is no standard input */
    assert_string_equal(str_c(&b->a, out), b->home);
    int64_t began = time_boot_ns();
    assert_false(run(b, "sleep 20", 100, &out));
    assert_false(run(b, "(sleep 0.4; : >\"$HOME/late\") & sleep 20", 100, &out));
    assert_int_equal(poll(NULL, 0, 800), 0); /* its whole group went */
    struct file_sig late = file_stat(FILE_CWD, str_printf(&b->a, "%s/late", b->home), true);
    assert_false(file_sig_exists(&late));
    assert_false(run(b, "exec >&-; sleep 20", 100, &out));
    assert_false(run(b, "exec yes", 5000, &out));
    assert_int_equal(out.n, 0);
    assert_true(time_boot_ns() - began < INT64_C(10000000000));
    assert_false(run(b, "", 1000, &out));
    assert_false(run(b, "exit 1", 1000, &out));
    assert_false(run(b, "kill -9 $$", 1000, &out));
}

static void process_that_others_reaped_is_believed(void **state)
{
    struct bench *b = *state;
    struct str out;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGCHLD, &ignore, &before);
    assert_true(run(b, "echo said", 5000, &out));
    assert_string_equal(str_c(&b->a, out), "said\n");
    assert_false(run(b, "echo said; exit 1", 5000, &out)); /* its status is not lost with it */
    assert_false(run(b, "echo said; kill -9 $$", 5000, &out));
    sigaction(SIGCHLD, &before, NULL);
}

static void answers_have_times_in_the_forms_that_aws_uses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t s; /* -1: not a time */
    } times[] = {{"1970-01-01T00:00:00Z", 0},          {"2026-09-21T14:13:20Z", NOW},
                 {"2026-09-21T14:13:20.123456Z", NOW}, {"2026-09-21T14:13:20+00:00", NOW},
                 {"2026-09-21T14:13:20UTC", NOW},      {"2024-02-29T12:00:00Z", 1709208000},
                 {"2026-09-21T14:13:20", -1},          {"2026-09-21T14:13:20+02:00", -1},
                 {"2026-09-21 14:13:20Z", -1},         {"2026-13-21T14:13:20Z", -1},
                 {"2026-09-21T24:13:20Z", -1},         {"2026-09-21T14:13:20.", -1},
                 {"+026-09-21T14:13:20Z", -1},         {"", -1}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t s = -1;
        bool is = credentials_time_parse(str_from(times[i].text), &s);
        assert_int_equal(is, times[i].s >= 0);
        assert_true(!is || s == times[i].s);
    }
}

static void answers_that_are_not_quite_keys_are_none(void **state)
{
    struct bench *b = *state;
    static const struct {
        enum credentials_form form;
        const char *text;
    } odd[] = {
        {CREDENTIALS_FORM_ENDPOINT, ""},
        {CREDENTIALS_FORM_ENDPOINT, "[]"},
        {CREDENTIALS_FORM_ENDPOINT,
         "{\"AccessKeyId\":1,\"SecretAccessKey\":\"s\",\"Token\":\"t\"}"},
        {CREDENTIALS_FORM_ENDPOINT,
         "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"}"},
        {CREDENTIALS_FORM_ENDPOINT, ENDPOINT_JSON("a", "soon")},
        {CREDENTIALS_FORM_ENDPOINT, ENDPOINT_JSON("a\\r\\nx: y", "2026-09-21T14:13:20Z")},
        {CREDENTIALS_FORM_ENDPOINT, ENDPOINT_JSON("", "2026-09-21T14:13:20Z")},
        {CREDENTIALS_FORM_PROCESS, "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\"}"},
        {CREDENTIALS_FORM_PROCESS,
         "{\"Version\":\"1\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\"}"},
        {CREDENTIALS_FORM_SSO, "{\"roleCredentials\":[]}"},
        {CREDENTIALS_FORM_SSO,
         "{\"roleCredentials\":{\"accessKeyId\":\"a\",\"secretAccessKey\":\"s\","
         "\"sessionToken\":\"t\",\"expiration\":\"1\"}}"},
        {CREDENTIALS_FORM_STS, "<AccessKeyId>a</AccessKeyId>"},
        {CREDENTIALS_FORM_STS, STS_XML("<b>a</b>", "2026-09-21T14:13:20Z")},
        {CREDENTIALS_FORM_STS, STS_XML("a&#10;b", "2026-09-21T14:13:20Z")},
        {CREDENTIALS_FORM_STS, STS_XML("a", "")},
    };
    struct credentials_found found = {0};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_false(credentials_answer_read(&b->a, str_from(odd[i].text), odd[i].form, &found));
    }
    assert_true(credentials_answer_read(&b->a, STR(STS_XML("a", "2026-09-21T14:13:20Z")),
                                        CREDENTIALS_FORM_STS, &found));
    assert_true(found.expires_s == NOW);
}

static void credentials_of_a_container_are_asked_for_with_its_token(void **state)
{
    struct bench *b = *state;
    set(b, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x?a=b");
    set(b, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "HUSH");
    EXPECT(b, {"GET", "http://169.254.170.2/v2/credentials/x?a=b", "authorization: HUSH", 200,
               ENDPOINT_JSON("C", "2026-09-21T15:13:20Z")});
    gives(b, NOW, "C", "t", "container");
    assert_true(b->direct);
}

static void credentials_of_a_container_come_from_few_addresses(void **state)
{
    static const struct {
        const char *url;
        bool asked;
    } urls[] = {{"http://169.254.170.23/v1/credentials", true},
                {"http://[fd00:ec2::23]/v1", true},
                {"http://[::1]:8080/x", true},
                {"http://127.1.2.3:51679/x", true},
                {"http://localhost:8080/x", true},
                {"https://keys.example.org/x", true},
                {"http://127.0.0.1.example.org/", false},
                {"http://127.0.0/", false},
                {"http://127.0.0.1.1/", false},
                {"http://example.org/", false},
                {"http://localhost@example.org/", false},
                {"http://localhost:80@example.org/", false},
                {"http://localhost\\@example.org/", false},
                {"http://localhost.example.org/", false},
                {"http://169.254.169.254/latest/", false},
                {"file:///etc/passwd", false}};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        end(state);
        begin(state);
        struct bench *b = *state;
        set(b, "AWS_CONTAINER_CREDENTIALS_FULL_URI", urls[i].url);
        if (urls[i].asked) {
            EXPECT(b, {"GET", urls[i].url, NULL, 200, ENDPOINT_JSON("C", "2026-09-21T15:13:20Z")});
            gives(b, NOW, "C", "t", "container");
        } else {
            fails(b, NOW, CREDENTIALS_FAILED, "not one that may be asked");
        }
    }
}

static void credentials_of_a_container_read_the_token_from_a_file(void **state)
{
    struct bench *b = *state;
    set(b, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1");
    set(b, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "~/t");
    set(b, "AWS_CONTAINER_AUTHORIZATION_TOKEN", "other");
    fails(b, NOW, CREDENTIALS_FAILED, "token cannot be read from '~/t'");
    put(b, "t", "HUSH\r\nx: y");
    fails(b, NOW + 30, CREDENTIALS_FAILED, "token cannot be read from '~/t'");
    put(b, "t", "HUSH-f\n");
    EXPECT(b, {"GET", "http://169.254.170.23/v1", "authorization: HUSH-f", 200,
               ENDPOINT_JSON("C", "2026-09-21T15:13:20Z")});
    gives(b, NOW + 60, "C", "t", "container");
}

#define IMDS "http://169.254.169.254/latest/"

static void credentials_of_an_instance_are_asked_for_with_a_session(void **state)
{
    struct bench *b = *state;
    EXPECT(
        b,
        {"PUT", IMDS "api/token", "x-aws-ec2-metadata-token-ttl-seconds: 21600", 200, "HUSH-imds"},
        {"GET", IMDS "meta-data/iam/security-credentials/", "x-aws-ec2-metadata-token: HUSH-imds",
         200, "builder\n"},
        {"GET", IMDS "meta-data/iam/security-credentials/builder",
         "x-aws-ec2-metadata-token: HUSH-imds", 200, ENDPOINT_JSON("I", "2026-09-21T14:00:00Z")});
    gives(b, NOW, "I", "t", "instance"); /* late as they are: AWS lets old ones go on */
    assert_true(b->direct);
}

static void credentials_are_none_where_nobody_offers_any(void **state)
{
    struct bench *b = *state;
    EXPECT(b, {"PUT", IMDS "api/token", NULL, 0, NULL});
    fails(b, NOW, CREDENTIALS_NONE, "there are no AWS credentials");
    fails(b, NOW + 29, CREDENTIALS_NONE, NULL);
    set(b, "AWS_EC2_METADATA_DISABLED", "true");
    open_it(b);
    EXPECT(b, {0});
    b->expected = 0;
    fails(b, NOW, CREDENTIALS_NONE, "there are no AWS credentials");
}

static void credentials_of_an_instance_bear_odd_answers(void **state)
{
    struct bench *b = *state;
    set(b, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1338/");
    EXPECT(b, {"PUT", "http://127.0.0.1:1338/latest/api/token", NULL, 200, "a b"});
    fails(b, NOW, CREDENTIALS_NONE, "there are no AWS credentials");
    EXPECT(
        b, {"PUT", "http://127.0.0.1:1338/latest/api/token", NULL, 200, "tok"},
        {"GET", "http://127.0.0.1:1338/latest/meta-data/iam/security-credentials/", NULL, 404, ""});
    fails(b, NOW + 30, CREDENTIALS_NONE, "there are no AWS credentials");
    EXPECT(b, {"PUT", "http://127.0.0.1:1338/latest/api/token", NULL, 200, "tok"},
           {"GET", "http://127.0.0.1:1338/latest/meta-data/iam/security-credentials/", NULL, 200,
            "../../x"});
    fails(b, NOW + 60, CREDENTIALS_FAILED, "gives no keys");
    EXPECT(
        b, {"PUT", "http://127.0.0.1:1338/latest/api/token", NULL, 200, "tok"},
        {"GET", "http://127.0.0.1:1338/latest/meta-data/iam/security-credentials/", NULL, 0, ""});
    fails(b, NOW + 90, CREDENTIALS_FAILED, "does not answer any more");
}

static void credentials_are_renewed_before_they_expire(void **state)
{
    struct bench *b = *state;
    const char *url = "http://169.254.170.2/k";
    set(b, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/k");
    EXPECT(b, {"GET", url, NULL, 200, ENDPOINT_JSON("A", "2026-09-21T15:13:20Z")});
    gives(b, NOW, "A", "t", "container");
    gives(b, NOW + 3299, "A", "t", "container");
    EXPECT(b, {"GET", url, NULL, 500, "HUSH"});
    gives(b, NOW + 3300, "A", "t", "container"); /* renewal failed: these are still good */
    gives(b, NOW + 3329, "A", "t", "container"); /* not asked again so soon */
    EXPECT(b, {"GET", url, NULL, 200, ENDPOINT_JSON("B", "2026-09-21T16:13:20Z")});
    gives(b, NOW + 3330, "B", "t", "container");
    EXPECT(b, {"GET", url, NULL, 0, NULL});
    fails(b, NOW + 7190, CREDENTIALS_FAILED,
          "does not answer"); /* ten seconds before the end they are gone */
    EXPECT(b, {"GET", url, NULL, 200, ENDPOINT_JSON("C", "2026-09-21T14:00:00Z")});
    fails(b, NOW + 7220, CREDENTIALS_FAILED, "the keys of the container have expired");
    EXPECT(b, {"GET", url, NULL, 200, ENDPOINT_JSON("D", "2026-09-21T20:00:00Z")});
    gives(b, NOW + 7250, "D", "t", "container");
    gives(b, NOW + 100, "D", "t", "container"); /* the clock was set back */
}

static void credentials_place_is_said_by_many_in_order(void **state)
{
    struct bench *b = *state;
    put(b, ".aws/config",
        "[default]\nregion = r-file\nendpoint_url = http://file\nca_bundle = ~/ca.pem\n"
        "services = mine\ns3 =\n  addressing_style = path\n  use_x = y\n"
        "[services mine]\nsts =\n  endpoint_url = http://sts\ns3 =\n  endpoint_url = http://service\n");
    open_it(b);
    struct str ca = str_printf(&b->a, "%s/ca.pem", b->home);
    const struct credentials_place *p = credentials_place(b->c);
    assert_true(str_eq(p->region, STR("r-file")) && str_eq(p->ca_bundle, ca));
    assert_true(str_eq(p->endpoint, STR("http://service")) && p->style == CREDENTIALS_STYLE_PATH);
    set(b, "AWS_DEFAULT_REGION", "r-default");
    set(b, "AWS_ENDPOINT_URL", "http://all");
    set(b, "AWS_CA_BUNDLE", "/ca");
    open_it(b);
    p = credentials_place(b->c);
    assert_true(str_eq(p->region, STR("r-default")) && str_eq(p->ca_bundle, STR("/ca")));
    assert_true(str_eq(p->endpoint, STR("http://all")));
    set(b, "AWS_REGION", "r-env");
    set(b, "AWS_ENDPOINT_URL_S3", "http://s3");
    open_it(b);
    p = credentials_place(b->c);
    assert_true(str_eq(p->region, STR("r-env")) && str_eq(p->endpoint, STR("http://s3")));
    b->settings.region = STR("r-block");
    b->settings.endpoint = STR("http://block");
    b->settings.style = CREDENTIALS_STYLE_VIRTUAL;
    open_it(b);
    p = credentials_place(b->c);
    assert_true(str_eq(p->region, STR("r-block")) && str_eq(p->endpoint, STR("http://block")));
    assert_int_equal(p->style, CREDENTIALS_STYLE_VIRTUAL);
    set(b, "PAWL_REMOTE_REGION", "r-ours");
    set(b, "PAWL_REMOTE_ENDPOINT", "http://ours");
    set(b, "PAWL_REMOTE_CA_BUNDLE", "/ours");
    set(b, "PAWL_REMOTE_PATH_STYLE", "true");
    set(b, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    open_it(b);
    p = credentials_place(b->c);
    assert_true(str_eq(p->region, STR("r-ours")) && str_eq(p->endpoint, STR("http://ours")));
    assert_true(str_eq(p->ca_bundle, STR("/ours")) && p->style == CREDENTIALS_STYLE_PATH);
    assert_int_equal(b->d.all.n, 0);
}

static void config_passes_bad_lines_over_and_never_shows_them(void **state)
{
    struct bench *b = *state;
    struct credentials_config c = {0};
    credentials_config_read(
        &b->a, &c, STR("f"),
        STR("HUSH = no section\n[default]\nHUSH\n = HUSH\nx = HUSH\x01\ngood = 1\n[HUSH\n"
            "lost = HUSH\n[profile \"a b\"]\nGood = 2 ; two\n  and more\n"),
        false, &b->d);
    check_silence(b);
    assert_int_equal(b->d.warnings, 5); /* of 6: then enough is said */
    assert_string_equal(str_c(&b->a, b->d.all.at[1].message),
                        "line 3 of 'f' is passed over: it is neither a section nor a setting");
    assert_int_equal(c.all.n, 2);
    assert_true(str_eq(
        credentials_config_find(&c, CREDENTIALS_PROFILE, STR("default"), STR("good")), STR("1")));
    assert_true(str_eq(credentials_config_find(&c, CREDENTIALS_PROFILE, STR("a b"), STR("good")),
                       STR("2 and more")));
    assert_false(credentials_config_has(&c, CREDENTIALS_PROFILE, STR("HUSH")));
}

static void config_is_bounded(void **state)
{
    struct bench *b = *state;
    struct credentials_config c = {0};
    struct buf text;
    buf_init(&text, 4 << 20);
    buf_put_str(&text, STR("[a]\nx=y\n"));
    for (int i = 0; i < 100000; i++) {
        buf_put_str(&text, STR(" z\n"));
    }
    for (int i = 0; i < CREDENTIALS_SETTING_LIMIT + 10; i++) {
        buf_put_str(&text, STR("k=v\n"));
    }
    credentials_config_read(&b->a, &c, STR("f"), buf_str(&text), true, &b->d);
    assert_int_equal(c.all.n, CREDENTIALS_SETTING_LIMIT);
    assert_true(c.all.at[0].value.n < 200);
    while (text.n <= CREDENTIALS_CONFIG_LIMIT) {
        buf_put_str(&text, STR("k=v\n"));
    }
    uint32_t warnings = b->d.warnings;
    c.all.n = 0;
    credentials_config_read(&b->a, &c, STR("f"), buf_str(&text), true, &b->d);
    assert_int_equal(c.all.n, 0);
    assert_int_equal(b->d.warnings, warnings + 1);
    buf_free(&text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(credentials_of_the_environment_come_first),
        TEST(credentials_for_the_remote_alone_outdo_all),
        TEST(credentials_say_what_is_wrong_with_a_profile),
        TEST(credentials_take_what_no_header_may_hold_for_none),
        TEST(credentials_follow_files_named_in_the_environment),
        TEST(credentials_take_on_roles_from_the_ground_up),
        TEST(credentials_let_a_profile_lean_on_itself_but_not_in_a_circle),
        TEST(credentials_say_the_code_of_a_refusal_and_no_more),
        TEST(credentials_refuse_a_region_that_is_no_label),
        TEST(credentials_of_a_web_identity_read_the_token_each_time),
        TEST(credentials_of_sso_take_the_token_that_lies_there),
        TEST(aws_names_sso_files_as_other_tools_do),
        TEST(credentials_of_a_process_are_what_it_says),
        TEST(process_is_heard_for_a_bounded_time_and_size),
        TEST(process_that_others_reaped_is_believed),
        TEST(answers_have_times_in_the_forms_that_aws_uses),
        TEST(answers_that_are_not_quite_keys_are_none),
        TEST(credentials_of_a_container_are_asked_for_with_its_token),
        TEST(credentials_of_a_container_come_from_few_addresses),
        TEST(credentials_of_a_container_read_the_token_from_a_file),
        TEST(credentials_of_an_instance_are_asked_for_with_a_session),
        TEST(credentials_are_none_where_nobody_offers_any),
        TEST(credentials_of_an_instance_bear_odd_answers),
        TEST(credentials_are_renewed_before_they_expire),
        TEST(credentials_place_is_said_by_many_in_order),
        TEST(config_passes_bad_lines_over_and_never_shows_them),
        TEST(config_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
