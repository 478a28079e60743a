/* SPDX-License-Identifier: MIT */
/* The operations of S3. An operation lives on its caller's stack through all attempts; what is learned for the
 * next one (address, clock) lies in struct s3, behind its guard. */
#include "cache/s3.h"

#include "core/base/digest.h"
#include "core/base/file.h"
#include "core/base/workers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    DEADLINE_MS = 60000,
    PUT_DEADLINE_MS = 300000,
    SLOW_BYTES_PER_MS = 128, /* a line that brings less than this (1 Mbit/s) is given up */
    HOP_LIMIT = 3,
    LEARNED_LIMIT = 16, /* addresses in one run */
    FIELD_LIMIT = 8,
    PIECE_BYTES = 1 << 18,
};
static const int64_t skew_ms = INT64_C(4) * 60 * 1000; /* less is no reason for a refusal */

struct s3 {
    struct http *http;
    struct s3_settings settings; /* where is not used after open */
    struct guard *guard;         /* of all that follows */
    struct arena arena;
    const struct s3_address
        *address; /* never changes once it is here: a newer one takes its place */
    uint32_t learned;
    int64_t ahead_ms; /* the server's clock before ours */
};

/* One operation with all its attempts. */
struct operation {
    struct s3 *s;
    struct s3_reply *reply;
    struct str method, key;
    struct aws_field query[FIELD_LIMIT], fields[FIELD_LIMIT];
    uint32_t query_count, field_count;
    const struct depot_source *body;
    struct str payload; /* SHA-256 of the body in hex */
    struct arena arena; /* as long as the operation */
    struct diags notes;
    const struct s3_address *address;
    int64_t signed_ms;
    uint32_t hops;
    bool clock_tried, keys_tried, renew;
    bool sent, judged; /* an attempt was; its answer was */
    bool doubtful;     /* an attempt's answer was lost: it may have been done */
    bool if_absent;
    /* A get: how far it is, whatever was retried. */
    const struct s3_want *want;
    uint64_t taken;
    uint64_t skip;    /* of this answer, before the first byte that is still wanted */
    uint64_t part_to; /* this answer gives bytes up to here (exclusive); 0: not told */
    bool looked;      /* at this answer's headers */
    bool sink_ended, changed;
    /* A list: what came of it. */
    struct arena *out_arena;
    struct s3_listing *listing;
    struct s3_deleted *deleted;
    struct str *text;
};

static int64_t machine_ms(void)
{
    return time_now_ns() / 1000000;
}

static int64_t ahead_of(struct s3 *s)
{
    guard_enter(s->guard);
    int64_t ahead = s->ahead_ms;
    guard_leave(s->guard);
    return ahead;
}

int64_t s3_now_ms(struct s3 *s)
{
    return machine_ms() + ahead_of(s);
}

struct s3 *s3_open(struct http *http, const struct s3_settings *settings, struct diags *notes)
{
    struct s3 *s = mem_alloc(sizeof *s);
    struct s3_address *address = ARENA_NEW(&s->arena, struct s3_address);
    if (!s3_address_make(&s->arena, &settings->where, address, notes)) {
        arena_free(&s->arena);
        mem_free(s);
        return NULL;
    }
    s->http = http;
    s->settings = *settings;
    s->address = address;
    s->ahead_ms = settings->ahead_ms;
    s->guard = guard_open();
    return s;
}

void s3_close(struct s3 *s)
{
    if (s) {
        guard_close(s->guard);
        arena_free(&s->arena);
        mem_free(s);
    }
}

/* ---- words ---- */

static void copy_text(char *to, size_t room, struct str text)
{
    size_t n = text.n < room ? text.n : 0;
    if (n) {
        memcpy(to, text.s, n);
    }
    to[n] = 0;
}

/* What a server says of itself is cut and made visible. */
static void say_error(struct s3_reply *reply, uint32_t status, const struct s3_error *error)
{
    struct buf words = {0};
    buf_init(&words, sizeof reply->trouble - 1);
    struct str code = str_sub(error->code, 0, 60);
    buf_printf(&words, "the server answers %u", status);
    if (code.n) {
        buf_put_char(&words, ' ');
        str_put_visible(&words, code);
    }
    copy_text(reply->trouble, sizeof reply->trouble, buf_str(&words));
    copy_text(reply->code, sizeof reply->code, code);
    buf_free(&words);
}

static void say(struct s3_reply *reply, const char *words)
{
    snprintf(reply->trouble, sizeof reply->trouble, "%s", words);
}

/* What was noted first; those messages never hold a key. */
static void say_reason(struct operation *o, const char *otherwise)
{
    struct str reason = o->notes.all.n ? o->notes.all.at[0].message : str_from(otherwise);
    copy_text(o->reply->trouble, sizeof o->reply->trouble,
              str_sub(reason, 0, sizeof o->reply->trouble - 1));
}

/* ---- an attempt's request ---- */

static void put_field(struct operation *o, const char *name, struct str value)
{
    o->fields[o->field_count++] = (struct aws_field){str_from(name), value};
}

static void put_query(struct operation *o, const char *name, struct str value)
{
    o->query[o->query_count++] = (struct aws_field){str_from(name), value};
}

static bool has_all_wanted(const struct operation *o)
{
    return o->want && o->taken == o->want->range.length;
}

static bool needs_range(const struct operation *o)
{
    return o->want && (o->want->range.offset + o->taken > 0 || o->want->range.length != DEPOT_REST);
}

static struct str range_text(const struct operation *o, struct arena *a)
{
    unsigned long long from = o->want->range.offset + o->taken;
    if (o->want->range.length == DEPOT_REST) {
        return str_printf(a, "bytes=%llu-", from);
    }
    return str_printf(a, "bytes=%llu-%llu", from,
                      (unsigned long long)(o->want->range.offset + o->want->range.length - 1));
}

static void send_signed(const struct s3_address *at, struct arena *a, const struct aws_signed *s,
                        struct http_request *out)
{
    struct http_header *headers = ARENA_ARRAY(a, struct http_header, s->header_count + 1);
    for (uint32_t i = 0; i < s->header_count; i++) {
        headers[i] = (struct http_header){s->headers[i].name, s->headers[i].value};
    }
    struct str begin = str_join3(a, at->scheme, STR("://"), s3_address_host(a, at));
    out->url = str_join3(a, begin, s->target, STR(""));
    out->headers = headers;
    out->header_count = s->header_count;
}

/* For a bucket that anybody may read. */
static void send_unsigned(const struct operation *o, struct arena *a,
                          const struct aws_request *request, struct http_request *out)
{
    struct buf target;
    buf_init(&target, BUF_TEXT_LIMIT);
    aws_put_escaped(&target, request->path, true);
    for (uint32_t i = 0; i < request->query_count; i++) {
        buf_put_char(&target, i ? '&' : '?');
        aws_put_escaped(&target, request->query[i].name, false);
        buf_put_char(&target, '=');
        aws_put_escaped(&target, request->query[i].value, false);
    }
    struct aws_signed plain = {.target = str_copy(a, buf_str(&target)),
                               .headers = request->headers,
                               .header_count = request->header_count};
    buf_free(&target);
    send_signed(o->address, a, &plain, out);
}

static bool make_request(void *context, struct arena *a, struct http_request *out)
{
    struct operation *o = context;
    struct aws_keys keys = {0};
    if (has_all_wanted(o)) {
        return false; /* the attempt before failed behind the last byte that we want */
    }
    o->doubtful |= o->sent && !o->judged;
    o->sent = true;
    o->judged = false;
    o->looked = false;
    o->signed_ms = s3_now_ms(o->s);
    const struct s3_keys *who = &o->s->settings.keys;
    if (who->get && !who->get(who->context, a, o->signed_ms / 1000, o->renew, &keys, &o->notes)) {
        say_reason(o, "there are no keys to sign with");
        return false;
    }
    o->renew = false;
    struct aws_field *fields = ARENA_ARRAY(a, struct aws_field, FIELD_LIMIT + 1);
    memcpy(fields, o->fields, o->field_count * sizeof *fields);
    struct aws_request request = {.method = o->method,
                                  .host = s3_address_host(a, o->address),
                                  .path = s3_address_path(a, o->address, o->key),
                                  .query = o->query,
                                  .query_count = o->query_count,
                                  .headers = fields,
                                  .header_count = o->field_count,
                                  .payload = o->payload};
    if (needs_range(o)) {
        fields[request.header_count++] = (struct aws_field){STR("range"), range_text(o, a)};
    }
    *out = (struct http_request){.method = o->method, .body = o->body};
    if (keys.id.n == 0) {
        send_unsigned(o, a, &request, out);
        return true;
    }
    struct aws_scope scope = {o->address->region, STR("s3"), o->signed_ms / 1000};
    struct aws_signed signed_request;
    if (!aws_sign(a, &request, &scope, &keys, &signed_request, &o->notes)) {
        say_reason(o, "the request cannot be signed");
        return false;
    }
    send_signed(o->address, a, &signed_request, out);
    return true;
}

/* ---- a get's bytes ---- */

/* "bytes 5-9/20" or "bytes 5-9/…": first, last, total (0: not told). */
static bool parse_content_range(struct str text, uint64_t *first, uint64_t *last, uint64_t *total)
{
    struct str part;
    struct str to;
    *total = 0;
    if (!str_starts(text, STR("bytes "))) {
        return false;
    }
    text = str_tail(text, 6);
    if (!str_cut(&text, '-', &part) || !str_parse_u64(part, first) || !str_cut(&text, '/', &to)
        || !str_parse_u64(to, last) || *last < *first || *last == UINT64_MAX) {
        return false;
    }
    return str_eq(text, STR("*")) || (str_parse_u64(text, total) && *total > *last);
}

static uint64_t wanted_to(const struct operation *o)
{
    const struct depot_range *r = &o->want->range;
    return r->length > UINT64_MAX - r->offset ? UINT64_MAX : r->offset + r->length;
}

/* The first look at the answer that gives bytes: is it of the object, and from where on? */
static bool look_at_answer(struct operation *o, const struct http_answer *answer)
{
    uint64_t at = o->want->range.offset + o->taken;
    struct str etag = http_header_find(answer, STR("ETag"));
    if (etag.n == 0) {
        return false; /* no object: an error with a success's status */
    }
    char seen[sizeof o->reply->etag];
    copy_text(seen, sizeof seen, etag);
    if (o->taken && strcmp(seen, o->reply->etag) != 0) {
        o->changed = true;
        return false;
    }
    copy_text(o->reply->etag, sizeof o->reply->etag, etag);
    o->skip = answer->status == 206 ? 0 : at;
    o->part_to = 0;
    uint64_t size = 0;
    if (answer->status == 206) {
        uint64_t first = 0;
        uint64_t last = 0;
        struct str text = http_header_find(answer, STR("Content-Range"));
        if (!parse_content_range(text, &first, &last, &size) || first != at
            || last >= wanted_to(o)) {
            return false;
        }
        o->part_to = last + 1;
    } else if (str_parse_u64(http_header_find(answer, STR("Content-Length")), &size)) {
        o->part_to = size;
    }
    o->reply->size = size;
    o->looked = true;
    return true;
}

static enum http_take take_bytes(void *context, const struct http_answer *answer, const void *bytes,
                                 size_t n)
{
    struct operation *o = context;
    if (!o->looked && !look_at_answer(o, answer)) {
        return o->changed ? HTTP_TAKE_STOP : HTTP_TAKE_ANEW;
    }
    size_t skip = o->skip < n ? (size_t)o->skip : n;
    o->skip -= skip;
    uint64_t left = o->want->range.length - o->taken;
    size_t give = n - skip < left ? n - skip : (size_t)left;
    if (give && !o->want->sink.take(o->want->sink.context, (const char *)bytes + skip, give)) {
        o->sink_ended = true;
        return HTTP_TAKE_STOP;
    }
    o->taken += give;
    if (o->taken == o->want->range.length && give < n - skip) {
        return HTTP_TAKE_STOP; /* the server gives more than was asked for */
    }
    return HTTP_TAKE_MORE;
}

/* Whether all came that the answer itself, and the object's size, promised. */
static bool got_all(struct operation *o, const struct http_answer *answer)
{
    if (!o->looked) { /* no byte came: an empty object */
        struct str length = http_header_find(answer, STR("Content-Length"));
        return answer->status == 200 && http_header_find(answer, STR("ETag")).n > 0
               && (str_eq(length, STR("0")) || length.n == 0);
    }
    uint64_t at = o->want->range.offset + o->taken;
    uint64_t to = o->reply->size ? o->reply->size : o->part_to ? o->part_to : at;
    to = to < wanted_to(o) ? to : wanted_to(o);
    return o->skip > 0 || at >= to; /* skip: the whole value is shorter than the offset */
}

/* ---- an attempt's answer ---- */

static void learn_address(struct operation *o, const struct s3_address *found, bool for_good)
{
    struct s3 *s = o->s;
    struct arena *a = &o->arena;
    struct s3_address *copy;
    guard_enter(s->guard);
    for_good = for_good && s->learned < LEARNED_LIMIT;
    if (for_good) {
        a = &s->arena;
        s->learned++;
    }
    copy = ARENA_NEW(a, struct s3_address);
    *copy = *found;
    copy->scheme = str_copy(a, found->scheme);
    copy->domain = str_copy(a, found->domain);
    copy->base = str_copy(a, found->base);
    copy->region = str_copy(a, found->region);
    copy->bucket = str_copy(a, found->bucket);
    if (for_good) {
        s->address = copy;
    }
    guard_leave(s->guard);
    o->address = copy;
}

/* A region or a place that the answer names, which we may follow. */
static bool follow(struct operation *o, const struct http_answer *answer,
                   const struct s3_error *error)
{
    struct s3_address found;
    struct str region = http_header_find(answer, STR("x-amz-bucket-region"));
    region = region.n ? region : error->region;
    struct str location = http_header_find(answer, STR("Location"));
    bool moved = answer->status >= 300 && answer->status < 400;
    if (o->hops >= HOP_LIMIT
        || !s3_address_follow(&o->arena, o->address, region, moved ? location : STR_NONE, &found)) {
        return false;
    }
    o->hops++;
    learn_address(o, &found, answer->status != 307);
    return true;
}

/* Our clock is off, and the answer's Date says by how much. Believed only where a request was refused for it. */
static bool learn_clock(struct operation *o, const struct http_answer *answer,
                        const struct s3_error *error)
{
    int64_t off = answer->date_ms - o->signed_ms;
    bool said = str_eq(error->code, STR("RequestTimeTooSkewed"))
                || str_eq(error->code, STR("RequestExpired"))
                || str_eq(error->code, STR("RequestInTheFuture"));
    bool silent = answer->status == 403 && error->code.n == 0;
    if (o->s->settings.stiff || o->clock_tried || answer->date_ms == 0 || !(said || silent)
        || (off < skew_ms && off > -skew_ms)) {
        return false;
    }
    o->clock_tried = true;
    guard_enter(o->s->guard);
    o->s->ahead_ms = answer->date_ms - machine_ms();
    guard_leave(o->s->guard);
    return true;
}

static bool code_is(struct str code, const char *const *names)
{
    for (; *names; names++) {
        if (str_eq(code, str_from(*names))) {
            return true;
        }
    }
    return false;
}

/* Codes that a later attempt may change, whatever status they come with. */
static bool code_passes(struct str code)
{
    static const char *const element_names[] = {"SlowDown",
                                                "InternalError",
                                                "ServiceUnavailable",
                                                "RequestTimeout",
                                                "Throttling",
                                                "ThrottlingException",
                                                "RequestLimitExceeded",
                                                "RequestThrottled",
                                                "BandwidthLimitExceeded",
                                                "OperationAborted",
                                                "ConditionalRequestConflict",
                                                "BadDigest",
                                                "XAmzContentSHA256Mismatch",
                                                "IncompleteBody",
                                                NULL};
    return code_is(code, element_names);
}

static bool code_is_expired(struct str code)
{
    static const char *const element_names[] = {"ExpiredToken", "ExpiredTokenException",
                                                "TokenRefreshRequired", NULL};
    return code_is(code, element_names);
}

static bool code_is_unknown(struct str code)
{
    static const char *const element_names[] = {"InvalidAccessKeyId",
                                                "SignatureDoesNotMatch",
                                                "InvalidToken",
                                                "InvalidSecurity",
                                                "AuthorizationHeaderMalformed",
                                                "RequestTimeTooSkewed",
                                                "RequestExpired",
                                                "NotSignedUp",
                                                "AccountProblem",
                                                NULL};
    return code_is(code, element_names) || code_is_expired(code);
}

static enum s3_end end_of_status(const struct operation *o, uint32_t status, struct str code)
{
    if (code_is_unknown(code) || status == 401) {
        return S3_UNKNOWN;
    }
    switch (status) {
    case 403: return str_eq(code, STR("AccessDenied")) || code.n == 0 ? S3_DENIED : S3_REFUSED;
    case 404: return str_eq(code, STR("NoSuchBucket")) ? S3_NO_BUCKET : S3_ABSENT;
    case 412: return !o->if_absent ? S3_REFUSED : o->doubtful ? S3_LATER : S3_EXISTS;
    case 501: return S3_UNSUPPORTED;
    default: return S3_REFUSED;
    }
}

static enum http_verdict judge_error(struct operation *o, const struct http_answer *answer)
{
    struct s3_error error;
    if (!s3_xml_read_error(&o->arena, buf_str(&answer->body), &error)) {
        error = (struct s3_error){0};
    }
    say_error(o->reply, answer->status, &error);
    if (follow(o, answer, &error) || learn_clock(o, answer, &error)) {
        return HTTP_AGAIN_AT_ONCE;
    }
    if (code_is_expired(error.code) && !o->keys_tried) {
        o->keys_tried = o->renew = true;
        return HTTP_AGAIN_AT_ONCE;
    }
    if (http_verdict_by_status(answer->status) != HTTP_DONE || code_passes(error.code)) {
        o->doubtful |= answer->status >= 500 || answer->status < 300;
        o->reply->end = S3_LATER;
        return HTTP_AGAIN;
    }
    o->reply->end = end_of_status(o, answer->status, error.code);
    return HTTP_DONE;
}

static bool read_result(struct operation *o, struct str body)
{
    if (o->listing) {
        return s3_xml_read_listing(o->out_arena, body, o->listing);
    }
    if (o->text) {
        *o->text = str_copy(o->out_arena, body);
    }
    return !o->deleted || s3_xml_read_deleted(o->out_arena, body, o->deleted);
}

static enum http_verdict judge_success(struct operation *o, const struct http_answer *answer)
{
    if (o->want && o->want->sink.take && !got_all(o, answer)) {
        say(o->reply, "the answer is cut short");
        o->reply->end = S3_LATER;
        return HTTP_AGAIN;
    }
    if (!read_result(o, buf_str(&answer->body))) {
        say(o->reply, "the answer is not what S3 would say");
        o->reply->end = S3_LATER;
        return HTTP_AGAIN;
    }
    o->reply->end = S3_DONE;
    o->reply->trouble[0] = o->reply->code[0] = 0;
    return HTTP_DONE;
}

static enum http_verdict judge(void *context, const struct http_answer *answer)
{
    struct operation *o = context;
    o->judged = true;
    bool ranged = o->want && o->want->sink.take;
    if (answer->status == 416 && ranged) {
        o->reply->end = S3_DONE; /* the range begins behind the end */
        return HTTP_DONE;
    }
    bool good = answer->status >= 200 && answer->status < 300;
    if (good && (ranged || !s3_xml_is_error(buf_str(&answer->body)))) {
        return judge_success(o, answer);
    }
    return judge_error(o, answer);
}

/* ---- an operation ---- */

static void operation_begin(struct operation *o, struct s3 *s, const char *method, struct str key,
                            struct s3_reply *reply)
{
    *reply = (struct s3_reply){.end = S3_LATER};
    *o = (struct operation){.s = s, .reply = reply, .method = str_from(method), .key = key};
    diags_init(&o->notes, &o->arena);
    guard_enter(s->guard);
    o->address = s->address;
    guard_leave(s->guard);
}

/* How a job that had no whole answer stands. */
static void settle_unanswered(struct operation *o, const struct http_answer *answer)
{
    struct s3_reply *reply = o->reply;
    reply->end = S3_LATER;
    if (has_all_wanted(o)) {
        reply->end = S3_DONE;
        reply->trouble[0] = 0;
        return;
    }
    switch (answer->end) {
    case HTTP_STOPPED:
        if (o->sink_ended) {
            reply->end = S3_STOPPED;
            say(reply, "enough");
        } else {
            say(reply, "the object changed while it was read");
        }
        return;
    case HTTP_REFUSED: reply->end = answer->trouble[0] ? S3_REFUSED : S3_UNKNOWN; break;
    case HTTP_UNTRUSTED: reply->end = S3_REFUSED; break;
    case HTTP_ANSWERED:
    case HTTP_UNREACHED:
    case HTTP_BROKEN:
    case HTTP_STALLED:
    case HTTP_LATE:
    case HTTP_TOO_LARGE:
    case HTTP_OPEN: break;
    }
    if (answer->trouble[0]) {
        say(reply, answer->trouble);
    }
}

static void operation_settle(struct operation *o, struct http_job *job)
{
    const struct http_answer *answer = &job->answer;
    struct s3_reply *reply = o->reply;
    reply->status = answer->status;
    reply->attempts = answer->attempts;
    reply->now_ms = answer->date_ms;
    if (answer->end != HTTP_ANSWERED) {
        settle_unanswered(o, answer);
    }
    int64_t modified;
    if (http_date_parse(http_header_find(answer, STR("Last-Modified")), &modified)) {
        reply->modified_ms = modified;
    }
    if (reply->etag[0] == 0) {
        copy_text(reply->etag, sizeof reply->etag, http_header_find(answer, STR("ETag")));
    }
    copy_text(reply->version, sizeof reply->version,
              http_header_find(answer, STR("x-amz-version-id")));
    http_job_free(job);
    arena_free(&o->arena);
}

static struct http_job job_of(struct operation *o, int64_t deadline_ms)
{
    return (struct http_job){.make = make_request,
                             .take = o->want && o->want->sink.take ? take_bytes : NULL,
                             .judge = judge,
                             .context = o,
                             .body_limit = o->listing || o->deleted ? S3_XML_LIMIT : 0,
                             .deadline_ms = deadline_ms};
}

static int64_t deadline_of(const struct s3 *s)
{
    return s->settings.deadline_ms > 0 ? s->settings.deadline_ms : DEADLINE_MS;
}

static enum s3_end operation_run(struct operation *o, int64_t deadline_ms)
{
    struct http_job job = job_of(o, deadline_ms);
    (void)http_run(o->s->http, &job, 1);
    operation_settle(o, &job);
    return o->reply->end;
}

/* What all that is wanted may take on a slow line. That nothing comes at all is seen long before. */
static int64_t transfer_ms(const struct s3_want *wants, uint32_t count)
{
    const uint64_t most = 1 << 30;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t length = wants[i].range.length;
        bytes += length == DEPOT_REST ? 0 : length < most ? length : most;
    }
    return (int64_t)((bytes < most ? bytes : most) / SLOW_BYTES_PER_MS);
}

static bool run_all(struct s3 *s, const char *method, struct s3_want *wants, uint32_t count,
                    bool bytes)
{
    struct operation *all = mem_alloc((count + 1) * sizeof *all);
    struct http_job *jobs = mem_alloc((count + 1) * sizeof *jobs);
    int64_t deadline = deadline_of(s) + (bytes ? transfer_ms(wants, count) : 0);
    for (uint32_t i = 0; i < count; i++) {
        operation_begin(&all[i], s, method, wants[i].key, &wants[i].reply);
        all[i].want = bytes ? &wants[i] : NULL;
        jobs[i] = job_of(&all[i], deadline);
    }
    (void)http_run(s->http, jobs, count);
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        if (!bytes) {
            (void)str_parse_u64(http_header_find(&jobs[i].answer, STR("Content-Length")),
                                &wants[i].reply.size);
        }
        operation_settle(&all[i], &jobs[i]);
        good &= wants[i].reply.end == S3_DONE;
    }
    mem_free(jobs);
    mem_free(all);
    return good;
}

bool s3_head_all(struct s3 *s, struct s3_want *wants, uint32_t count)
{
    return run_all(s, "HEAD", wants, count, false);
}

bool s3_get_all(struct s3 *s, struct s3_want *wants, uint32_t count)
{
    return run_all(s, "GET", wants, count, true);
}

enum s3_end s3_get(struct s3 *s, struct str key, struct depot_range range, struct depot_sink sink,
                   struct s3_reply *reply)
{
    struct s3_want want = {.key = key, .range = range, .sink = sink};
    (void)(range.length ? s3_get_all(s, &want, 1) : s3_head_all(s, &want, 1));
    *reply = want.reply;
    return reply->end;
}

enum s3_end s3_head(struct s3 *s, struct str key, struct s3_reply *reply)
{
    struct s3_want want = {.key = key};
    (void)s3_head_all(s, &want, 1);
    *reply = want.reply;
    return reply->end;
}

/* ---- put, delete ---- */

static bool digest_file(struct digester *d, int fd, uint64_t bytes)
{
    char *piece = mem_alloc(PIECE_BYTES);
    uint64_t at = 0;
    while (at < bytes) {
        size_t want = bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        ssize_t n = pread(fd, piece, want, (off_t)at);
        if (n == 0 || (n < 0 && errno != EINTR)) {
            break;
        }
        if (n > 0) {
            digester_add(d, piece, (size_t)n);
            at += (uint64_t)n;
        }
    }
    mem_free(piece);
    return at == bytes;
}

static bool digest_source(struct arena *a, const struct depot_source *source, struct str *hex)
{
    struct digester d;
    bool whole = true;
    digester_begin(&d);
    if (source->fd >= 0) {
        whole = digest_file(&d, source->fd, source->fd_bytes);
    } else {
        for (uint32_t i = 0; i < source->part_count; i++) {
            digester_add(&d, source->parts[i].s, source->parts[i].n);
        }
    }
    struct digest digest = digester_end(&d);
    struct buf text;
    buf_init(&text, DIGEST_HEX);
    digest_put_hex(&text, &digest);
    *hex = str_copy(a, buf_str(&text));
    buf_free(&text);
    return whole;
}

static bool set_body(struct operation *o, const struct depot_source *source)
{
    o->body = source;
    if (digest_source(&o->arena, source, &o->payload)) {
        return true;
    }
    o->reply->end = S3_REFUSED;
    say(o->reply, "the file is shorter than it was");
    arena_free(&o->arena);
    return false;
}

enum s3_end s3_put(struct s3 *s, struct str key, const struct depot_source *source, bool if_absent,
                   struct s3_reply *reply)
{
    struct operation o;
    operation_begin(&o, s, "PUT", key, reply);
    if (!set_body(&o, source)) {
        return reply->end;
    }
    o.if_absent = if_absent;
    if (if_absent) {
        put_field(&o, "if-none-match", STR("*"));
    }
    int64_t deadline = s->settings.put_deadline_ms;
    return operation_run(&o, deadline > 0 ? deadline : PUT_DEADLINE_MS);
}

enum s3_end s3_delete(struct s3 *s, struct str key, struct s3_reply *reply)
{
    struct operation o;
    operation_begin(&o, s, "DELETE", key, reply);
    return operation_run(&o, deadline_of(s));
}

enum s3_end s3_delete_all(struct s3 *s, const struct str *keys, uint32_t count, struct arena *a,
                          struct s3_deleted *failed, struct s3_reply *reply)
{
    struct operation o;
    struct buf text;
    operation_begin(&o, s, "POST", STR(""), reply);
    buf_init(&text, S3_XML_LIMIT);
    s3_xml_put_delete(&text, keys, count);
    struct str part = buf_str(&text);
    struct depot_source source = DEPOT_PARTS(&part, 1);
    o.out_arena = a;
    o.deleted = failed;
    *failed = (struct s3_deleted){0};
    put_query(&o, "delete", STR(""));
    if (set_body(&o, &source)) {
        struct str md5 = digest_md5_base64(&o.arena, part);
        if (md5.n) { /* of all operations, this one insists on it */
            put_field(&o, "content-md5", md5);
        }
        (void)operation_run(&o, deadline_of(s));
    }
    buf_free(&text);
    return reply->end;
}

/* ---- list ---- */

enum s3_end s3_list(struct s3 *s, const struct s3_query *query, struct arena *a,
                    struct s3_listing *out, struct s3_reply *reply)
{
    struct operation o;
    operation_begin(&o, s, "GET", STR(""), reply);
    o.out_arena = a;
    o.listing = out;
    *out = (struct s3_listing){0};
    if (query->token.n) {
        put_query(&o, "continuation-token", query->token);
    }
    if (query->delimiter.n) {
        put_query(&o, "delimiter", query->delimiter);
    }
    put_query(&o, "encoding-type", STR("url")); /* control characters garble XML */
    put_query(&o, "list-type", STR("2"));
    uint32_t limit = query->limit && query->limit < S3_LIST_LIMIT ? query->limit : S3_LIST_LIMIT;
    put_query(&o, "max-keys", str_printf(&o.arena, "%u", limit));
    if (query->prefix.n) {
        put_query(&o, "prefix", query->prefix);
    }
    if (query->after.n) {
        put_query(&o, "start-after", query->after);
    }
    return operation_run(&o, deadline_of(s));
}

enum s3_end s3_ask(struct s3 *s, const char *what, struct arena *a, struct str *out,
                   struct s3_reply *reply)
{
    struct operation o;
    operation_begin(&o, s, "GET", STR(""), reply);
    o.out_arena = a;
    o.text = out;
    *out = STR("");
    put_query(&o, what, STR(""));
    return operation_run(&o, deadline_of(s));
}
