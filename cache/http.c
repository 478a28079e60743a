/* SPDX-License-Identifier: MIT */
/* Requests over HTTP(S), by libcurl's multi interface. A call borrows a line (a multi handle with its kept
 * connections) from the client's pool, so calls on several threads share nothing while they wait. */
#include "cache/http.h"

#include "core/base/file.h"
#include "core/base/workers.h"

#include <assert.h>
#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_LIMIT = 64 << 10,
    BODY_LIMIT = 64 << 10,
    DEADLINE_MS = 60000,
    BESIDE_LIMIT = 16, /* attempts of one call at a time */
    PAUSE_LIMIT_MS = 5000,
    RETRY_AFTER_LIMIT_MS = 10000,
    POLL_LIMIT_MS = 1000,
    BREAKER_DOUBLINGS = 4,
    TRANSFER_BYTES = 256 << 10,
    SOCKETS_TRACKED = 64,
    NAMES_KEPT = 256, /* of answers */
};

/* A multi handle is one thread's while it is out of the pool; in it lie the kept connections. */
struct line {
    CURLM *multi;
    struct line *next;
    int sockets[SOCKETS_TRACKED];
    uint32_t socket_count;
};

struct http {
    struct http_settings settings; /* ca_bundle is in arena */
    struct arena arena;
    struct guard *guard; /* of all that follows */
    struct line *lines;  /* those not borrowed */
    uint32_t failures;   /* jobs in a row */
    uint32_t opened;     /* times in a row */
    int64_t open_until_ms;
    struct http_count count;
    uint64_t names[NAMES_KEPT]; /* hashes of the last answers' own names */
    uint32_t name_at;
    uint32_t calls;   /* under way */
    int64_t moved_ms; /* when bytes last went either way, or the first of the calls began */
};

enum phase { PHASE_WAITING, PHASE_RUNNING, PHASE_ENDED };

/* A job under way. */
struct exchange {
    struct http *h;
    struct http_job *job;
    enum phase phase;
    CURL *easy;
    struct curl_slist *fields;
    struct arena arena; /* an attempt's */
    struct http_request request;
    uint32_t part;       /* of the body: where the next read goes on */
    uint64_t part_at;    /* an offset in the part, or in the file */
    int64_t due_ms;      /* waiting: the next attempt */
    int64_t moved_ms;    /* running: when bytes last went either way */
    int64_t deadline_ms; /* a time */
    uint32_t attempts_limit;
    enum http_end failed; /* why a callback ended the attempt; HTTP_ANSWERED: it did not */
    bool head_whole;      /* its last, blank line came */
    bool probe;           /* the one that tries an open circuit */
    char words[CURL_ERROR_SIZE];
};

static int64_t now_ms(void)
{
    return time_boot_ns() / 1000000;
}

static void note_moved(struct exchange *x)
{
    x->moved_ms = now_ms();
    guard_enter(x->h->guard);
    x->h->moved_ms = x->moved_ms;
    guard_leave(x->h->guard);
}

struct http_settings http_settings_default(void)
{
    return (struct http_settings){.connect_ms = 3000,
                                  .stall_ms = 15000,
                                  .attempts = 4,
                                  .pause_ms = 200,
                                  .breaker_failures = 3,
                                  .breaker_ms = 15000};
}

/* ---- the client ---- */

struct http *http_open(const struct http_settings *settings, struct diags *notes)
{
    struct http *h = mem_alloc(sizeof *h);
    h->settings = *settings;
    h->settings.ca_bundle = str_copy(&h->arena, settings->ca_bundle);
    if (settings->ca_bundle.n && access(str_c(&h->arena, settings->ca_bundle), R_OK) != 0) {
        struct diag *note = diag_warning(notes, "remote-certificates", SPAN_NONE,
                                         "cannot read the certificates in '%.*s': %s",
                                         STR_ARG(settings->ca_bundle), diag_reason(errno));
        diag_help(notes, note, "AWS_CA_BUNDLE names a file of certificates in PEM");
        arena_free(&h->arena);
        mem_free(h);
        return NULL;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        (void)diag_warning(notes, "remote-unusable", SPAN_NONE, "libcurl cannot begin");
        arena_free(&h->arena);
        mem_free(h);
        return NULL;
    }
    h->guard = guard_open();
    return h;
}

void http_close(struct http *h)
{
    if (!h) {
        return;
    }
    while (h->lines) {
        struct line *line = h->lines;
        h->lines = line->next;
        curl_multi_cleanup(line->multi);
        mem_free(line);
    }
    guard_close(h->guard);
    arena_free(&h->arena);
    mem_free(h);
    curl_global_cleanup();
}

static struct line *line_borrow(struct http *h)
{
    guard_enter(h->guard);
    struct line *line = h->lines;
    if (line) {
        h->lines = line->next;
    }
    guard_leave(h->guard);
    if (!line) {
        line = mem_alloc(sizeof *line);
        line->multi = curl_multi_init();
        if (!line->multi) {
            mem_exhausted(sizeof *line);
        }
        curl_multi_setopt(line->multi, CURLMOPT_MAXCONNECTS, (long)BESIDE_LIMIT);
    }
    return line;
}

static void line_return(struct http *h, struct line *line)
{
    guard_enter(h->guard);
    line->next = h->lines;
    h->lines = line;
    guard_leave(h->guard);
}

/* Sockets are made here so that no job inherits one, and so that kept ones can be looked at. */
static curl_socket_t on_open(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct line *line = context;
    (void)purpose;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd >= 0 && line->socket_count < SOCKETS_TRACKED) {
        line->sockets[line->socket_count++] = fd;
    }
    return fd;
}

static int on_close(void *context, curl_socket_t fd)
{
    struct line *line = context;
    for (uint32_t i = 0; i < line->socket_count; i++) {
        if (line->sockets[i] == fd) {
            line->sockets[i] = line->sockets[--line->socket_count];
            break;
        }
    }
    return close(fd);
}

/* While nothing is asked, nothing may come: what came would be taken for the next request's answer. */
static void line_quiet(struct line *line)
{
    for (uint32_t i = 0; i < line->socket_count; i++) {
        struct pollfd p = {.fd = line->sockets[i], .events = POLLIN};
        if (poll(&p, 1, 0) > 0) {
            shutdown(line->sockets[i], SHUT_RDWR);
        }
    }
}

struct http_count http_count(struct http *h)
{
    guard_enter(h->guard);
    struct http_count count = h->count;
    guard_leave(h->guard);
    return count;
}

/* ---- the circuit breaker ---- */

bool http_is_open(struct http *h)
{
    guard_enter(h->guard);
    bool open = now_ms() < h->open_until_ms;
    guard_leave(h->guard);
    return open;
}

static int64_t breaker_span(const struct http *h)
{
    uint32_t times = h->opened < BREAKER_DOUBLINGS ? h->opened : BREAKER_DOUBLINGS;
    return h->settings.breaker_ms << times;
}

/* Whether a job may go out. Of those that come after the pause, one goes ahead to try. */
static bool breaker_lets(struct http *h, bool *probe)
{
    int64_t now = now_ms();
    *probe = false;
    guard_enter(h->guard);
    bool lets = now >= h->open_until_ms;
    if (lets && h->opened) {
        *probe = true;
        h->open_until_ms = now + breaker_span(h);
    }
    guard_leave(h->guard);
    return lets;
}

static bool is_failure(const struct http_answer *answer)
{
    switch (answer->end) {
    case HTTP_ANSWERED: return http_verdict_by_status(answer->status) != HTTP_DONE;
    case HTTP_UNREACHED:
    case HTTP_UNTRUSTED:
    case HTTP_BROKEN:
    case HTTP_STALLED:
    case HTTP_LATE: return true;
    case HTTP_REFUSED:
    case HTTP_TOO_LARGE:
    case HTTP_STOPPED:
    case HTTP_OPEN: return false;
    }
    return false;
}

static void breaker_learn(struct exchange *x)
{
    struct http *h = x->h;
    const struct http_answer *answer = &x->job->answer;
    guard_enter(h->guard);
    h->count.sent += answer->sent;
    h->count.received += answer->received;
    h->count.requests += answer->attempts;
    h->count.retries += answer->attempts > 1 ? answer->attempts - 1 : 0;
    if (is_failure(answer)) {
        h->failures++;
        bool late = h->opened && !x->probe; /* began before it opened: says nothing new */
        if (h->settings.breaker_failures && h->failures >= h->settings.breaker_failures && !late) {
            h->open_until_ms = now_ms() + breaker_span(h);
            h->opened++;
        }
    } else if (answer->status) {
        h->failures = h->opened = 0;
        h->open_until_ms = 0;
    } else if (x->probe) {
        h->open_until_ms = 0; /* it never went out: let another try */
    }
    guard_leave(h->guard);
}

/* ---- what comes ---- */

struct str http_header_find(const struct http_answer *answer, struct str name)
{
    struct str rest = buf_str(&answer->head);
    struct str line;
    while (str_cut(&rest, '\n', &line)) {
        if (line.n > name.n && line.s[name.n] == ':' && strncasecmp(line.s, name.s, name.n) == 0) {
            return str_trim(str_tail(line, name.n + 1));
        }
    }
    return STR_NONE;
}

static bool parse_digits(struct str text, size_t at, size_t n, int *out)
{
    uint64_t value = 0;
    if (!str_parse_u64(str_sub(text, at, n), &value)) {
        return false;
    }
    *out = (int)value;
    return true;
}

bool http_date_parse(struct str text, int64_t *ms)
{
    struct tm t = {0};
    if (text.n != 29 || !str_ends(text, STR(" GMT")) || text.s[3] != ',' || text.s[19] != ':'
        || text.s[22] != ':') {
        return false;
    }
    ptrdiff_t month = str_find(STR("JanFebMarAprMayJunJulAugSepOctNovDec"), str_sub(text, 8, 3));
    if (month < 0 || month % 3 || !parse_digits(text, 5, 2, &t.tm_mday)
        || !parse_digits(text, 12, 4, &t.tm_year) || !parse_digits(text, 17, 2, &t.tm_hour)
        || !parse_digits(text, 20, 2, &t.tm_min) || !parse_digits(text, 23, 2, &t.tm_sec)
        || t.tm_year < 1970 || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60 || t.tm_mday > 31) {
        return false;
    }
    t.tm_mon = (int)month / 3;
    t.tm_year -= 1900;
    *ms = (int64_t)timegm(&t) * 1000;
    return true;
}

/* "HTTP/1.1 206 Partial Content": of an interim answer too; the last one counts. */
static uint32_t status_of(struct str line)
{
    ptrdiff_t blank = str_find(line, STR(" "));
    uint64_t status = 0;
    if (blank < 0 || !str_parse_u64(str_sub(line, (size_t)blank + 1, 3), &status)) {
        return 0;
    }
    return (uint32_t)status;
}

/* An answer whose own name came before is an old one, doubled on its way: all that follows on the connection
 * would be taken for the answer to the wrong request. */
static bool is_repeated(struct http *h, struct str line)
{
    static const char field_name[] = "x-amz-request-id:";
    size_t n = sizeof field_name - 1;
    if (line.n <= n || strncasecmp(line.s, field_name, n) != 0) {
        return false;
    }
    uint64_t hash = str_hash(str_trim(str_tail(line, n)));
    bool repeated = false;
    guard_enter(h->guard);
    for (size_t i = 0; i < NAMES_KEPT; i++) {
        repeated |= h->names[i] == hash;
    }
    h->names[h->name_at++ % NAMES_KEPT] = hash;
    guard_leave(h->guard);
    return repeated;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): libcurl's type */
static size_t on_header(char *bytes, size_t size, size_t n, void *context)
{
    struct exchange *x = context;
    struct http_answer *answer = &x->job->answer;
    struct str line = {bytes, size * n};
    note_moved(x);
    if (str_starts(line, STR("HTTP/"))) {
        buf_clear(&answer->head);
        answer->status = status_of(line);
        x->head_whole = false;
    } else {
        x->head_whole |= line.n > 0 && (line.s[0] == '\r' || line.s[0] == '\n');
        buf_put_str(&answer->head, line);
        int64_t date;
        if (line.n > 5 && strncasecmp(line.s, "date:", 5) == 0
            && http_date_parse(str_trim(str_tail(line, 5)), &date)) {
            answer->date_ms = date;
        }
    }
    if (is_repeated(x->h, line)) {
        x->failed = HTTP_BROKEN;
        return 0;
    }
    if (answer->head.full) {
        x->failed = HTTP_TOO_LARGE;
        return 0;
    }
    return line.n;
}

static bool take_piece(struct exchange *x, const void *bytes, size_t n)
{
    struct http_answer *answer = &x->job->answer;
    if (!x->job->take || answer->status < 200 || answer->status > 299) {
        buf_put(&answer->body, bytes, n);
        x->failed = answer->body.full ? HTTP_TOO_LARGE : HTTP_ANSWERED;
        return !answer->body.full;
    }
    switch (x->job->take(x->job->context, answer, bytes, n)) {
    case HTTP_TAKE_MORE: return true;
    case HTTP_TAKE_ANEW: x->failed = HTTP_BROKEN; return false;
    case HTTP_TAKE_STOP: x->failed = HTTP_STOPPED; return false;
    }
    return false;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *context)
{
    struct exchange *x = context;
    size_t count = size * n;
    x->job->answer.received += count;
    bool more = take_piece(x, bytes, count);
    note_moved(x); /* what take needs is not the server's time */
    return more ? count : CURL_WRITEFUNC_ERROR;
}

/* ---- what goes ---- */

static uint64_t body_size(const struct depot_source *body)
{
    if (body->fd >= 0) {
        return body->fd_bytes;
    }
    uint64_t n = 0;
    for (uint32_t i = 0; i < body->part_count; i++) {
        n += body->parts[i].n;
    }
    return n;
}

static size_t read_file(struct exchange *x, char *to, size_t room)
{
    const struct depot_source *body = x->request.body;
    uint64_t left = body->fd_bytes - x->part_at;
    size_t want = left < room ? (size_t)left : room;
    ssize_t n;
    do {
        n = pread(body->fd, to, want, (off_t)x->part_at);
    } while (n < 0 && errno == EINTR);
    if (n < 0 || (n == 0 && want > 0)) { /* it shrank under us */
        x->failed = HTTP_REFUSED;
        return CURL_READFUNC_ABORT;
    }
    x->part_at += (uint64_t)n;
    return (size_t)n;
}

static size_t read_parts(struct exchange *x, char *to, size_t room)
{
    const struct depot_source *body = x->request.body;
    size_t done = 0;
    while (done < room && x->part < body->part_count) {
        struct str rest = str_tail(body->parts[x->part], (size_t)x->part_at);
        size_t n = rest.n < room - done ? rest.n : room - done;
        if (n) {
            memcpy(to + done, rest.s, n);
        }
        done += n;
        x->part_at += n;
        if (n == rest.n) {
            x->part++;
            x->part_at = 0;
        }
    }
    return done;
}

static size_t on_read(char *to, size_t size, size_t n, void *context)
{
    struct exchange *x = context;
    size_t count =
        x->request.body->fd >= 0 ? read_file(x, to, size * n) : read_parts(x, to, size * n);
    note_moved(x);
    x->job->answer.sent += count == CURL_READFUNC_ABORT ? 0 : count;
    return count;
}

/* libcurl goes back to the beginning when a kept connection turns out to be dead. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
    struct exchange *x = context;
    if (offset != 0 || origin != SEEK_SET) {
        return CURL_SEEKFUNC_CANTSEEK;
    }
    x->part = 0;
    x->part_at = 0;
    return CURL_SEEKFUNC_OK;
}

/* ---- an attempt ---- */

static void field_put(struct exchange *x, struct str name, struct str value)
{
    /* "name;" is how libcurl is told to send a header without a value. */
    struct str line = value.n ? str_join3(&x->arena, name, STR(": "), value)
                              : str_join3(&x->arena, name, STR(";"), STR(""));
    struct curl_slist *longer = curl_slist_append(x->fields, str_c(&x->arena, line));
    if (!longer) {
        mem_exhausted(line.n);
    }
    x->fields = longer;
}

static void drop_default_fields(struct exchange *x)
{
    static const char *const unwanted[] = {"Expect:", "Accept:", "Content-Type:"};
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
        struct str name = str_sub(str_from(unwanted[i]), 0, strlen(unwanted[i]) - 1);
        bool given = false;
        for (uint32_t f = 0; f < x->request.header_count; f++) {
            struct str other = x->request.headers[f].name;
            given |= other.n == name.n && strncasecmp(other.s, name.s, name.n) == 0;
        }
        if (!given) {
            struct curl_slist *longer = curl_slist_append(x->fields, unwanted[i]);
            x->fields = longer ? longer : x->fields;
        }
    }
}

static void set_trust(struct exchange *x)
{
    const struct http_settings *s = &x->h->settings;
    curl_easy_setopt(x->easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(x->easy, CURLOPT_SSL_VERIFYHOST, 2L);
    if (s->ca_bundle.n) {
        curl_easy_setopt(x->easy, CURLOPT_CAINFO, s->ca_bundle.s);
        curl_easy_setopt(x->easy, CURLOPT_CAPATH, NULL); /* those, and no others */
    }
}

static void set_callbacks(struct exchange *x)
{
    curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->words);
    curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
}

static void set_transport(struct exchange *x)
{
    CURL *e = x->easy;
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "pawl/" PAWL_VERSION);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)x->h->settings.connect_ms);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)TRANSFER_BYTES);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, (long)TRANSFER_BYTES);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs does not hold us */
    if (x->request.direct) {
        curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    }
}

static void set_request(struct exchange *x)
{
    const struct http_request *r = &x->request;
    curl_easy_setopt(x->easy, CURLOPT_URL, str_c(&x->arena, r->url));
    for (uint32_t i = 0; i < r->header_count; i++) {
        field_put(x, r->headers[i].name, r->headers[i].value);
    }
    drop_default_fields(x);
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->fields);
    if (r->body) {
        curl_easy_setopt(x->easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(x->easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)body_size(r->body));
        curl_easy_setopt(x->easy, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(x->easy, CURLOPT_READDATA, x);
        curl_easy_setopt(x->easy, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(x->easy, CURLOPT_SEEKDATA, x);
    }
    if (str_eq(r->method, STR("HEAD"))) {
        curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
    } else if (!str_eq(r->method, STR("GET"))) {
        curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, str_c(&x->arena, r->method));
    }
}

static void exchange_finish(struct exchange *x, enum http_end end)
{
    x->job->answer.end = end;
    x->phase = PHASE_ENDED;
}

__attribute__((format(printf, 2, 3))) static void say(struct exchange *x, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(x->job->answer.trouble, sizeof x->job->answer.trouble, format, args);
    va_end(args);
}

static void attempt_clear(struct exchange *x)
{
    curl_slist_free_all(x->fields);
    x->fields = NULL;
    arena_free(&x->arena);
    curl_easy_reset(x->easy);
}

static void attempt_begin(struct exchange *x, struct line *line)
{
    struct http_answer *answer = &x->job->answer;
    buf_clear(&answer->head);
    buf_clear(&answer->body);
    answer->status = 0;
    answer->date_ms = 0;
    answer->trouble[0] = 0;
    x->words[0] = 0;
    x->failed = HTTP_ANSWERED;
    x->head_whole = false;
    x->part = 0;
    x->part_at = 0;
    x->request = x->job->request;
    if (x->job->make && !x->job->make(x->job->context, &x->arena, &x->request)) {
        arena_free(&x->arena);
        exchange_finish(x, HTTP_REFUSED);
        return;
    }
    if (!str_starts(x->request.url, STR("http://"))
        && !str_starts(x->request.url, STR("https://"))) {
        arena_free(&x->arena);
        say(x, "the address is not one of HTTP");
        exchange_finish(x, HTTP_REFUSED);
        return;
    }
    set_transport(x);
    set_trust(x);
    set_callbacks(x);
    set_request(x);
    answer->attempts++;
    x->moved_ms = now_ms();
    x->phase = PHASE_RUNNING;
    curl_easy_setopt(x->easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(x->easy, CURLOPT_OPENSOCKETDATA, line);
    curl_easy_setopt(x->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(x->easy, CURLOPT_CLOSESOCKETDATA, line);
    if (curl_multi_add_handle(line->multi, x->easy) != CURLM_OK) {
        attempt_clear(x);
        say(x, "the request cannot be made");
        exchange_finish(x, HTTP_REFUSED);
    }
}

enum http_verdict http_verdict_by_status(uint32_t status)
{
    switch (status) {
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504: return HTTP_AGAIN;
    default: return HTTP_DONE;
    }
}

static int64_t pause_before(const struct exchange *x)
{
    uint32_t doublings = x->job->answer.attempts - 1;
    int64_t most = x->h->settings.pause_ms << (doublings < 10 ? doublings : 10);
    most = most < PAUSE_LIMIT_MS ? most : PAUSE_LIMIT_MS;
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random) {
        random = (uint32_t)time_boot_ns();
    }
    int64_t pause = (int64_t)(random % (uint64_t)(most + 1));
    uint64_t wished = 0;
    if (str_parse_u64(http_header_find(&x->job->answer, STR("Retry-After")), &wished)) {
        int64_t least =
            wished < RETRY_AFTER_LIMIT_MS / 1000 ? (int64_t)wished * 1000 : RETRY_AFTER_LIMIT_MS;
        pause = pause > least ? pause : least;
    }
    return pause;
}

/* Another attempt, if there is one left and time for it; else the job ends as it stands. */
static void attempt_again(struct exchange *x, enum http_end end, bool at_once)
{
    int64_t due = now_ms() + (at_once ? 0 : pause_before(x));
    if (x->job->answer.attempts >= x->attempts_limit || due >= x->deadline_ms) {
        exchange_finish(x, end);
        return;
    }
    x->due_ms = due;
    x->phase = PHASE_WAITING;
}

static enum http_end end_of(CURLcode code)
{
    /* NOLINTNEXTLINE: libcurl has a hundred of them */
    switch ((int)code) {
    case CURLE_OK: return HTTP_ANSWERED;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT: return HTTP_UNREACHED; /* connecting alone has a limit there */
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR: return HTTP_UNTRUSTED;
    case CURLE_URL_MALFORMAT: return HTTP_REFUSED;
    default: return HTTP_BROKEN;
    }
}

static void say_code(struct exchange *x, CURLcode code)
{
    const char *words = x->words[0] ? x->words : curl_easy_strerror(code);
    say(x, "%c%s", tolower((unsigned char)words[0]), words[0] ? words + 1 : "");
}

/* The attempt is over: what becomes of the job? */
static void attempt_end(struct exchange *x, CURLM *multi, CURLcode code)
{
    enum http_end end = x->failed != HTTP_ANSWERED ? x->failed : end_of(code);
    bool cut = end == HTTP_ANSWERED && !x->head_whole; /* libcurl lets that pass */
    end = cut ? HTTP_BROKEN : end;
    curl_multi_remove_handle(multi, x->easy);
    if (end == HTTP_TOO_LARGE) {
        say(x, "the answer is larger than it may be");
    } else if (cut) {
        say(x, "the answer ends within its headers");
    } else if (end != HTTP_ANSWERED && end != HTTP_STOPPED) {
        say_code(x, code);
    }
    attempt_clear(x);
    if (end == HTTP_UNREACHED || end == HTTP_BROKEN) {
        attempt_again(x, end, false);
        return;
    }
    if (end != HTTP_ANSWERED) {
        exchange_finish(x, end);
        return;
    }
    const struct http_job *job = x->job;
    enum http_verdict verdict = job->judge ? job->judge(job->context, &job->answer)
                                           : http_verdict_by_status(job->answer.status);
    if (verdict == HTTP_DONE) {
        exchange_finish(x, HTTP_ANSWERED);
    } else {
        attempt_again(x, HTTP_ANSWERED, verdict == HTTP_AGAIN_AT_ONCE);
    }
}

/* ---- the call ---- */

static void exchange_begin(struct exchange *x, struct http *h, struct http_job *job)
{
    struct http_answer *answer = &job->answer;
    http_job_free(job);
    buf_init(&answer->head, HEAD_LIMIT);
    buf_init(&answer->body, job->body_limit ? job->body_limit : BODY_LIMIT);
    x->h = h;
    x->job = job;
    x->due_ms = now_ms();
    x->deadline_ms = x->due_ms + (job->deadline_ms > 0 ? job->deadline_ms : DEADLINE_MS);
    x->attempts_limit = job->attempts ? job->attempts : h->settings.attempts;
    if (!breaker_lets(h, &x->probe)) {
        say(x, "the server did not answer a moment ago");
        exchange_finish(x, HTTP_OPEN);
        return;
    }
    x->easy = curl_easy_init();
    if (!x->easy) {
        mem_exhausted(sizeof *x);
    }
}

static void exchange_end(struct exchange *x)
{
    if (x->easy) {
        curl_easy_cleanup(x->easy);
        breaker_learn(x);
    }
    arena_free(&x->arena);
}

/* Ends attempts that take too long, jobs whose time is up. */
static void watch_time(struct exchange *x, CURLM *multi, int64_t now)
{
    if (x->phase == PHASE_ENDED) {
        return;
    }
    bool late = now >= x->deadline_ms;
    bool stalled = x->phase == PHASE_RUNNING && now - x->moved_ms >= x->h->settings.stall_ms;
    if (!late && !stalled) {
        return;
    }
    if (x->phase == PHASE_RUNNING) {
        curl_multi_remove_handle(multi, x->easy);
        attempt_clear(x);
    }
    if (late) {
        say(x, "no answer within the time for it");
        exchange_finish(x, HTTP_LATE);
    } else {
        say(x, "no byte came or went for %lld ms", (long long)x->h->settings.stall_ms);
        attempt_again(x, HTTP_STALLED, false);
    }
}

/* When something has to be done about x even if no byte moves. */
static int64_t wakes_at(const struct exchange *x, bool full)
{
    switch (x->phase) {
    case PHASE_WAITING: return full || x->due_ms > x->deadline_ms ? x->deadline_ms : x->due_ms;
    case PHASE_RUNNING: {
        int64_t stall = x->moved_ms + x->h->settings.stall_ms;
        return stall < x->deadline_ms ? stall : x->deadline_ms;
    }
    case PHASE_ENDED: return INT64_MAX;
    }
    return INT64_MAX;
}

static uint32_t count_running(const struct exchange *all, uint32_t count)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < count; i++) {
        running += all[i].phase == PHASE_RUNNING;
    }
    return running;
}

static void begin_due(struct exchange *all, uint32_t count, struct line *line)
{
    uint32_t running = count_running(all, count);
    if (running == 0) {
        line_quiet(line);
    }
    int64_t now = now_ms();
    for (uint32_t i = 0; i < count && running < BESIDE_LIMIT; i++) {
        if (all[i].phase == PHASE_WAITING && all[i].due_ms <= now && now < all[i].deadline_ms) {
            attempt_begin(&all[i], line);
            running += all[i].phase == PHASE_RUNNING;
        }
    }
}

static void gather_ended(CURLM *multi)
{
    int left;
    CURLMsg *m;
    while ((m = curl_multi_info_read(multi, &left)) != NULL) {
        char *private = NULL;
        CURLcode code = m->data.result;
        if (m->msg == CURLMSG_DONE
            && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK) {
            attempt_end((struct exchange *)(void *)private, multi, code);
        }
    }
}

/* Watches the clock; how long nothing need be done, or -1 when all have ended. */
static int watch_all(struct exchange *all, uint32_t count, CURLM *multi)
{
    int64_t now = now_ms();
    int64_t next = INT64_MAX;
    bool waits = false;
    for (uint32_t i = 0; i < count; i++) {
        watch_time(&all[i], multi, now);
    }
    bool full = count_running(all, count) >= BESIDE_LIMIT;
    for (uint32_t i = 0; i < count; i++) {
        waits |= all[i].phase != PHASE_ENDED;
        int64_t at = wakes_at(&all[i], full);
        next = at < next ? at : next;
    }
    if (!waits) {
        return -1;
    }
    return next <= now ? 1 : next - now < POLL_LIMIT_MS ? (int)(next - now) : POLL_LIMIT_MS;
}

static void count_call(struct http *h, bool begins)
{
    guard_enter(h->guard);
    if (h->calls == 0) {
        h->moved_ms = now_ms();
    }
    h->calls = begins ? h->calls + 1 : h->calls - 1;
    guard_leave(h->guard);
}

int64_t http_quiet_ms(struct http *h)
{
    guard_enter(h->guard);
    int64_t quiet = h->calls ? now_ms() - h->moved_ms : 0;
    guard_leave(h->guard);
    return quiet;
}

bool http_run(struct http *h, struct http_job *jobs, uint32_t count)
{
    struct exchange *all = mem_alloc((count ? count : 1) * sizeof *all);
    struct line *line = line_borrow(h);
    count_call(h, true);
    for (uint32_t i = 0; i < count; i++) {
        exchange_begin(&all[i], h, &jobs[i]);
    }
    for (;;) {
        int running;
        begin_due(all, count, line);
        curl_multi_perform(line->multi, &running);
        gather_ended(line->multi);
        int wait = watch_all(all, count, line->multi);
        if (wait < 0) {
            break;
        }
        curl_multi_poll(line->multi, NULL, 0, wait, NULL);
    }
    bool all_answered = true;
    for (uint32_t i = 0; i < count; i++) {
        exchange_end(&all[i]);
        all_answered &= jobs[i].answer.end == HTTP_ANSWERED;
    }
    count_call(h, false);
    line_return(h, line);
    mem_free(all);
    return all_answered;
}

void http_job_free(struct http_job *job)
{
    buf_free(&job->answer.head);
    buf_free(&job->answer.body);
    memset(&job->answer, 0, sizeof job->answer);
}
