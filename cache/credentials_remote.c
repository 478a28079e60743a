/* SPDX-License-Identifier: MIT */
/* Keys that are asked for: STS (roles, web identities), SSO, a container's endpoint, the instance's metadata.
 * What comes from settings and stands in a URL is checked before; no answer is quoted but its error's code. */
#include "cache/credentials_inside.h"
#include "core/base/file.h"
#include "core/base/json.h"

enum {
    IMDS_TIMEOUT_MS = 1000,
    IMDS_TIMEOUT_MOST_MS = 10000,
    IMDS_GRACE_S = 600,
    FORM_LIMIT = 256 << 10
};

#define FORM_TYPE STR("application/x-www-form-urlencoded; charset=utf-8")

static struct str env(const struct credentials_search *s, const char *name)
{
    return credentials_env(s->environment, name);
}

static struct str setting(const struct credentials_search *s, struct str profile, struct str name)
{
    return credentials_config_find(s->config, CREDENTIALS_PROFILE, profile, name);
}

/* A label of a host name: it goes between dots in a URL. */
static bool is_region(struct str x)
{
    for (size_t i = 0; i < x.n; i++) {
        char c = x.s[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && i > 0))) {
            return false;
        }
    }
    return x.n > 0 && x.n <= 63;
}

static const char *suffix_of(struct str region)
{
    return str_starts(region, STR("cn-")) ? "amazonaws.com.cn" : "amazonaws.com";
}

static bool ask(struct credentials_search *s, const struct credentials_request *r,
                struct credentials_response *answer)
{
    *answer = (struct credentials_response){0};
    return s->fetch && s->fetch(s->context, s->a, r, answer)
           && answer->body.n <= CREDENTIALS_ANSWER_LIMIT;
}

/* Asks, and reads keys out of a good answer; else says what came. */
static enum credentials_result ask_keys(struct credentials_search *s,
                                        const struct credentials_request *r,
                                        enum credentials_form form, const char *whom,
                                        struct credentials_found *out)
{
    struct credentials_response answer;
    if (!ask(s, r, &answer)) {
        return credentials_fail(s, "%s does not answer", whom);
    }
    if (answer.status != 200) {
        struct str code = credentials_answer_error(s->a, answer.body);
        return credentials_fail(s, "%s gives no keys: %u%s%.*s", whom, answer.status,
                                code.n ? " " : "", STR_ARG(code));
    }
    if (!credentials_answer_read(s->a, answer.body, form, out)) {
        return credentials_fail(s, "%s answers with something other than keys", whom);
    }
    return CREDENTIALS_FOUND;
}

/* A small file without line breaks at its end, as tokens are kept. */
static bool read_token(struct credentials_search *s, struct str path, struct str *token)
{
    if (!file_read_quiet(s->a, FILE_CWD, credentials_path(s, path), CREDENTIALS_FILE_LIMIT,
                         token)) {
        return false;
    }
    *token = str_trim(*token);
    struct aws_keys check = {STR("x"), STR("x"), *token};
    return token->n > 0 && credentials_are_sound(&check);
}

/* STS. */

struct sts {
    struct str region, url, host, path;
};

static struct str sts_region(const struct credentials_search *s, struct str profile)
{
    struct str of_profile = setting(s, profile, STR("region"));
    return of_profile.n > 0 ? of_profile : s->region;
}

static bool ignores_endpoints(const struct credentials_search *s, struct str profile)
{
    return str_eq(env(s, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), STR("true"))
           || str_eq(setting(s, profile, STR("ignore_configured_endpoint_urls")), STR("true"));
}

static struct str sts_endpoint(const struct credentials_search *s, struct str profile)
{
    struct str services = setting(s, profile, STR("services"));
    struct str all[] = {
        env(s, "AWS_ENDPOINT_URL_STS"), env(s, "AWS_ENDPOINT_URL"),
        credentials_config_find(s->config, CREDENTIALS_SERVICES, services, STR("sts.endpoint_url")),
        setting(s, profile, STR("endpoint_url"))};
    for (size_t i = 0; !ignores_endpoints(s, profile) && i < sizeof all / sizeof *all; i++) {
        if (all[i].n > 0) {
            return all[i];
        }
    }
    return STR_NONE;
}

/* "https://host[:port][/path]" into its parts; the host without the scheme's own port. */
static bool split_url(struct credentials_search *s, struct str url, struct sts *out)
{
    bool secure = str_starts(url, STR("https://"));
    if (!secure && !str_starts(url, STR("http://"))) {
        return false;
    }
    struct str rest = str_tail(url, secure ? 8 : 7);
    ptrdiff_t slash = str_find(rest, STR("/"));
    size_t n = slash < 0 ? rest.n : (size_t)slash;
    struct str path = str_tail(rest, n), host = str_sub(rest, 0, n),
               own_port = secure ? STR(":443") : STR(":80");
    for (size_t i = 0; i < url.n; i++) {
        if (url.s[i] <= ' ' || url.s[i] > '~' || url.s[i] == '@' || url.s[i] == '?'
            || url.s[i] == '#') {
            return false;
        }
    }
    out->host = str_ends(host, own_port) ? str_sub(host, 0, host.n - own_port.n) : host;
    out->path = path.n > 0 ? path : STR("/");
    out->url = str_printf(s->a, "%s://%.*s", secure ? "https" : "http", STR_ARG(out->host));
    return out->host.n > 0;
}

static bool sts_find(struct credentials_search *s, struct str profile, struct sts *out)
{
    struct str region = sts_region(s, profile), endpoint = sts_endpoint(s, profile);
    if (region.n > 0 && !is_region(region)) {
        return false;
    }
    if (endpoint.n == 0) {
        endpoint = region.n == 0 ? STR("https://sts.amazonaws.com")
                                 : str_printf(s->a, "https://sts.%.*s.%s", STR_ARG(region),
                                              suffix_of(region));
    }
    out->region = region.n > 0 ? region : STR("us-east-1");
    return split_url(s, endpoint, out);
}

static void put_param(struct buf *b, const char *name, struct str value)
{
    if (value.n > 0) {
        buf_printf(b, "&%s=", name);
        aws_put_escaped(b, value, false);
    }
}

static struct str role_form(struct credentials_search *s, const struct credentials_role *role,
                            const char *action, struct str token)
{
    struct str session = role->session_name.n > 0
                             ? role->session_name
                             : str_printf(s->a, "pawl-%lld", (long long)s->now_s);
    struct buf b;
    buf_init(&b, FORM_LIMIT);
    buf_printf(&b, "Action=%s&Version=2011-06-15", action);
    put_param(&b, "RoleArn", role->arn);
    put_param(&b, "RoleSessionName", session);
    put_param(&b, "ExternalId", role->external_id);
    put_param(&b, "DurationSeconds", role->duration_s);
    put_param(&b, "WebIdentityToken", token);
    struct str out = b.full ? STR_NONE : str_copy(s->a, buf_str(&b));
    buf_free(&b);
    return out;
}

static enum credentials_result bad_sts(struct credentials_search *s)
{
    return credentials_fail(s, "the region or the endpoint for STS is not one");
}

enum credentials_result credentials_assume(struct credentials_search *s,
                                           const struct credentials_role *role,
                                           const struct credentials_found *by,
                                           struct credentials_found *out)
{
    struct sts sts;
    struct aws_signed sent;
    struct diags unheard;
    diags_init(&unheard, s->a);
    if (!sts_find(s, role->profile, &sts)) {
        return bad_sts(s);
    }
    struct str body = role_form(s, role, "AssumeRole", STR_NONE);
    struct digest sum = digest_of(body.s, body.n);
    struct buf hex;
    buf_init(&hex, DIGEST_HEX);
    digest_put_hex(&hex, &sum);
    struct aws_field type = {STR("content-type"), FORM_TYPE};
    struct aws_request r = {.method = STR("POST"),
                            .host = sts.host,
                            .path = sts.path,
                            .headers = &type,
                            .header_count = 1,
                            .payload = str_copy(s->a, buf_str(&hex))};
    struct aws_scope scope = {sts.region, STR("sts"), s->now_s};
    buf_free(&hex);
    if (body.n == 0 || !aws_sign(s->a, &r, &scope, &by->keys, &sent, &unheard)) {
        return bad_sts(s);
    }
    struct credentials_request request = {.method = STR("POST"),
                                          .body = body,
                                          .attempts = 3,
                                          .url = str_join3(s->a, sts.url, sent.target, STR("")),
                                          .headers = sent.headers,
                                          .header_count = sent.header_count,
                                          .timeout_ms = CREDENTIALS_FETCH_MS};
    return ask_keys(s, &request, CREDENTIALS_FORM_STS, "STS (AssumeRole)", out);
}

enum credentials_result credentials_from_web_identity(struct credentials_search *s,
                                                      const struct credentials_role *role,
                                                      struct credentials_found *out)
{
    struct str token;
    struct sts sts;
    if (!read_token(s, role->token_file, &token)) {
        return credentials_fail(s, "the token of a web identity cannot be read from '%.*s'",
                                STR_ARG(role->token_file));
    }
    if (!sts_find(s, role->profile, &sts)) {
        return bad_sts(s);
    }
    struct aws_field type = {STR("content-type"), FORM_TYPE};
    struct credentials_request request = {
        .method = STR("POST"),
        .attempts = 3,
        .headers = &type,
        .header_count = 1,
        .timeout_ms = CREDENTIALS_FETCH_MS,
        .body = role_form(s, role, "AssumeRoleWithWebIdentity", token),
        .url = str_join3(s->a, sts.url, sts.path, STR(""))};
    out->origin = STR("web identity");
    return ask_keys(s, &request, CREDENTIALS_FORM_STS, "STS (AssumeRoleWithWebIdentity)", out);
}

/* SSO. */

struct sso {
    struct str region, cache_name, account, role, token;
};

static bool sso_find(struct credentials_search *s, struct str profile, struct sso *out)
{
    struct str session = setting(s, profile, STR("sso_session"));
    *out = (struct sso){.account = setting(s, profile, STR("sso_account_id")),
                        .role = setting(s, profile, STR("sso_role_name")),
                        .region = setting(s, profile, STR("sso_region")),
                        .cache_name = setting(s, profile, STR("sso_start_url"))};
    if (session.n > 0) {
        out->region =
            credentials_config_find(s->config, CREDENTIALS_SSO_SESSION, session, STR("sso_region"));
        out->cache_name = session;
    }
    return is_region(out->region) && out->cache_name.n > 0 && out->account.n > 0 && out->role.n > 0;
}

/* The token that "aws sso login" left, while it is good. */
static bool sso_token(struct credentials_search *s, struct sso *sso)
{
    struct str text, path = str_printf(s->a, "~/.aws/sso/cache/%.*s.json",
                                       STR_ARG(aws_sha1_hex(s->a, sso->cache_name)));
    struct diags unheard;
    diags_init(&unheard, s->a);
    if (!file_read_quiet(s->a, FILE_CWD, credentials_path(s, path), CREDENTIALS_FILE_LIMIT,
                         &text)) {
        return false;
    }
    const struct json *j = json_parse(s->a, text, 0, &unheard);
    const struct json *token =
        j && j->kind == JSON_OBJECT ? json_member(j, STR("accessToken")) : NULL;
    const struct json *until = token ? json_member(j, STR("expiresAt")) : NULL;
    int64_t expires_s;
    if (!until || until->kind != JSON_STRING || token->kind != JSON_STRING
        || !credentials_time_parse(until->text, &expires_s) || expires_s <= s->now_s) {
        return false;
    }
    struct aws_keys check = {STR("x"), STR("x"), token->text};
    sso->token = token->text;
    return token->text.n > 0 && credentials_are_sound(&check);
}

static struct str sso_url(struct credentials_search *s, const struct sso *sso)
{
    struct str endpoint = env(s, "AWS_ENDPOINT_URL_SSO");
    struct buf b;
    buf_init(&b, CREDENTIALS_FILE_LIMIT);
    if (endpoint.n > 0) {
        buf_put_str(&b, endpoint);
    } else {
        buf_printf(&b, "https://portal.sso.%.*s.%s", STR_ARG(sso->region), suffix_of(sso->region));
    }
    buf_put_str(&b, STR("/federation/credentials?role_name="));
    aws_put_escaped(&b, sso->role, false);
    put_param(&b, "account_id", sso->account);
    struct str out = str_copy(s->a, buf_str(&b));
    buf_free(&b);
    return out;
}

enum credentials_result credentials_from_sso(struct credentials_search *s, struct str profile,
                                             struct credentials_found *out)
{
    struct sso sso;
    if (!sso_find(s, profile, &sso)) {
        return credentials_fail(s, "the SSO settings of profile '%.*s' are not complete",
                                STR_ARG(profile));
    }
    if (!sso_token(s, &sso)) {
        return credentials_fail(s,
                                "the SSO session of profile '%.*s' has ended: run 'aws sso login'",
                                STR_ARG(profile));
    }
    struct aws_field bearer = {STR("x-amz-sso_bearer_token"), sso.token};
    struct credentials_request request = {.method = STR("GET"),
                                          .url = sso_url(s, &sso),
                                          .attempts = 3,
                                          .headers = &bearer,
                                          .header_count = 1,
                                          .timeout_ms = CREDENTIALS_FETCH_MS};
    return ask_keys(s, &request, CREDENTIALS_FORM_SSO, "SSO", out);
}

/* A container's endpoint. */

static struct str host_of(struct str url)
{
    struct str rest = str_tail(url, str_starts(url, STR("https://")) ? 8 : 7);
    size_t n = 0;
    if (str_starts(rest, STR("["))) {
        ptrdiff_t end = str_find(rest, STR("]"));
        return end < 0 ? STR_NONE : str_sub(rest, 0, (size_t)end + 1);
    }
    while (n < rest.n && rest.s[n] != ':' && rest.s[n] != '/' && rest.s[n] != '?') {
        n++;
    }
    return str_sub(rest, 0, n);
}

/* 127.0.0.0/8 in full; a name like "127.0.0.1.example.org" is none. */
static bool is_loopback_v4(struct str host)
{
    struct str part;
    uint64_t x;
    uint32_t parts = str_starts(host, STR("127.")) && !str_ends(host, STR(".")) ? 0 : 5;
    while (parts < 5 && str_cut(&host, '.', &part)) {
        if (part.n > 3 || !str_parse_u64(part, &x) || x > 255) {
            return false;
        }
        parts++;
    }
    return parts == 4;
}

/* Plain HTTP is for this machine and the two addresses that container hosts answer at. */
static bool may_be_asked(struct str url)
{
    static const char *const hosts[] = {"localhost", "169.254.170.2", "169.254.170.23", "[::1]",
                                        "[fd00:ec2::23]"};
    for (size_t i = 0; i < url.n; i++) {
        if (url.s[i] <= ' ' || url.s[i] > '~' || url.s[i] == '@' || url.s[i] == '\\') {
            return false;
        }
    }
    if (str_starts(url, STR("https://"))) {
        return true;
    }
    struct str host = host_of(url);
    bool known = is_loopback_v4(host);
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        known = known || str_eq(host, str_from(hosts[i]));
    }
    return known && str_starts(url, STR("http://"));
}

enum credentials_result credentials_from_container(struct credentials_search *s,
                                                   struct credentials_found *out)
{
    struct str relative = env(s, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    struct str url = env(s, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    struct str file = env(s, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    struct aws_field head = {STR("authorization"), env(s, "AWS_CONTAINER_AUTHORIZATION_TOKEN")};
    if (relative.n == 0 && url.n == 0) {
        return CREDENTIALS_NONE;
    }
    if (relative.n > 0) {
        url = str_join3(s->a, STR("http://169.254.170.2"), relative, STR(""));
    }
    if ((relative.n > 0 && relative.s[0] != '/') || !may_be_asked(url)) {
        return credentials_fail(s, "the container's address for keys is not one that may be asked");
    }
    if (file.n > 0 && !read_token(s, file, &head.value)) {
        return credentials_fail(s, "the container's token cannot be read from '%.*s'",
                                STR_ARG(file));
    }
    struct credentials_request request = {.method = STR("GET"),
                                          .url = url,
                                          .headers = &head,
                                          .header_count = head.value.n > 0,
                                          .attempts = 3,
                                          .timeout_ms = CREDENTIALS_FETCH_MS,
                                          .direct = str_starts(url, STR("http://"))};
    out->origin = STR("container");
    return ask_keys(s, &request, CREDENTIALS_FORM_ENDPOINT, "the container's endpoint", out);
}

/* The instance's metadata, version 2 alone: version 1 can be asked by whoever makes a server fetch a URL. */

struct imds {
    struct str base;
    struct aws_field token;
    int64_t timeout_ms;
    uint32_t attempts;
};

static int64_t number_of(struct str text, int64_t otherwise, int64_t most)
{
    int64_t x;
    return str_parse_i64(text, &x) && x > 0 ? (x < most ? x : most) : otherwise;
}

static bool imds_find(struct credentials_search *s, struct imds *out)
{
    struct str said = env(s, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    bool v6 = str_eq(env(s, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"), STR("IPv6"));
    struct str base = said.n > 0 ? said
                      : v6       ? STR("http://[fd00:ec2::254]")
                                 : STR("http://169.254.169.254");
    struct sts parts;
    int64_t timeout =
        number_of(env(s, "AWS_METADATA_SERVICE_TIMEOUT"), 1, IMDS_TIMEOUT_MOST_MS / 1000);
    if (str_ends(base, STR("/"))) {
        base = str_sub(base, 0, base.n - 1);
    }
    *out = (struct imds){
        .base = base,
        .timeout_ms = timeout * IMDS_TIMEOUT_MS,
        .attempts = (uint32_t)number_of(env(s, "AWS_METADATA_SERVICE_NUM_ATTEMPTS"), 1, 5)};
    return split_url(s, base, &parts);
}

static bool imds_ask(struct credentials_search *s, const struct imds *imds, const char *method,
                     struct str path, struct credentials_response *answer)
{
    struct aws_field lifetime = {STR("x-aws-ec2-metadata-token-ttl-seconds"), STR("21600")};
    struct credentials_request request = {.method = str_from(method),
                                          .direct = true,
                                          .header_count = 1,
                                          .headers =
                                              imds->token.value.n > 0 ? &imds->token : &lifetime,
                                          .url = str_join3(s->a, imds->base, STR("/latest/"), path),
                                          .timeout_ms = imds->timeout_ms,
                                          .attempts = imds->attempts};
    return ask(s, &request, answer);
}

static bool is_plain(struct str x)
{
    struct aws_keys check = {STR("x"), STR("x"), x};
    return x.n > 0 && credentials_are_sound(&check);
}

static enum credentials_result imds_keys(struct credentials_search *s, const struct imds *imds,
                                         struct credentials_found *out)
{
    struct str path = STR("meta-data/iam/security-credentials/"), role;
    struct credentials_response answer;
    if (!imds_ask(s, imds, "GET", path, &answer)) {
        return credentials_fail(s, "the instance's metadata does not answer any more");
    }
    role = str_trim(answer.body);
    if (answer.status == 404 || (answer.status == 200 && role.n == 0)) {
        return CREDENTIALS_NONE; /* an instance without a role */
    }
    if (answer.status != 200 || !is_plain(role) || str_has(role, '/') || str_has(role, '?')
        || !imds_ask(s, imds, "GET", str_join3(s->a, path, role, STR("")), &answer)
        || answer.status != 200
        || !credentials_answer_read(s->a, answer.body, CREDENTIALS_FORM_ENDPOINT, out)) {
        return credentials_fail(s, "the instance's metadata gives no keys");
    }
    if (out->expires_s
        < s->now_s + IMDS_GRACE_S) { /* where AWS is late with new ones, the old ones go on */
        out->expires_s = s->now_s + IMDS_GRACE_S;
    }
    out->origin = STR("instance");
    return CREDENTIALS_FOUND;
}

enum credentials_result credentials_from_instance(struct credentials_search *s,
                                                  struct credentials_found *out)
{
    struct imds imds;
    struct credentials_response answer;
    if (str_eq(env(s, "AWS_EC2_METADATA_DISABLED"), STR("true"))) {
        return CREDENTIALS_NONE;
    }
    if (!imds_find(s, &imds)) {
        return credentials_fail(s, "the endpoint of the instance's metadata is not one");
    }
    if (!imds_ask(s, &imds, "PUT", STR("api/token"), &answer) || answer.status != 200
        || !is_plain(str_trim(answer.body))) {
        return CREDENTIALS_NONE; /* not such a machine */
    }
    imds.token = (struct aws_field){STR("x-aws-ec2-metadata-token"), str_trim(answer.body)};
    return imds_keys(s, &imds, out);
}
