/* SPDX-License-Identifier: MIT */
/* Requests over HTTP(S): deadlines, retries, a circuit breaker; no word of S3. Whoever asks waits, on a thread
 * that may wait; several requests go side by side in one call. Connections are kept for the next request.
 * Nothing from the server is believed: bodies are bounded, and a redirect is an answer, never followed. */
#pragma once

#include "cache/depot.h"
#include "core/base/diag.h"

struct http; /* [any]: each function may be called on any thread, but for open and close */

struct http_settings {
    struct str ca_bundle; /* file of certificates to trust; empty: the system's */
    int64_t connect_ms;   /* name, connection and TLS together */
    int64_t stall_ms;     /* no byte in either direction for so long ends an attempt */
    uint32_t attempts;    /* for one job, the first counted */
    int64_t pause_ms;     /* before the second attempt, at most; doubles; a random part of it */
    uint32_t
        breaker_failures; /* so many jobs in a row without an answer open the circuit (0: never) */
    int64_t breaker_ms;   /* stays open so long, doubling up to 16 times that */
};
struct http_settings
http_settings_default(void); /* 3 s, 15 s, 4, 200 ms, 3, 15 s; the system's certificates */

/* NULL with a warning: certificates that cannot be read, no library. */
struct http *http_open(const struct http_settings *settings, struct diags *notes);
void http_close(struct http *h); /* NULL is fine; no job may be under way */

struct http_header {
    struct str name, value;
};

struct http_request {
    struct str method; /* "GET", "HEAD", "PUT", "POST", "DELETE" */
    struct str url;    /* goes out as it stands: no dots are squashed, nothing is escaped */
    const struct http_header *headers;
    uint32_t header_count;
    const struct depot_source *body; /* NULL: none; else Content-Length says its size, 0 too */
    bool direct; /* past any proxy: for addresses of this machine and its host */
};

/* How a job ended. */
enum http_end {
    HTTP_ANSWERED,  /* whole: status, headers, body */
    HTTP_REFUSED,   /* make gave no request */
    HTTP_UNREACHED, /* no name, no connection */
    HTTP_UNTRUSTED, /* the server's certificate: not asked again */
    HTTP_BROKEN,    /* cut short, or not HTTP */
    HTTP_STALLED,
    HTTP_LATE,      /* the deadline */
    HTTP_TOO_LARGE, /* more body or headers than bounded */
    HTTP_STOPPED,   /* take had enough */
    HTTP_OPEN,      /* the circuit is open: nothing was sent */
};

struct http_answer {
    enum http_end end;
    uint32_t status;         /* 0: none came */
    struct buf head;         /* header lines as they came, each ended by LF; the last response's */
    struct buf body;         /* of what take did not get */
    int64_t date_ms;         /* Date; 0: not told */
    uint64_t sent, received; /* bytes of bodies, all attempts together */
    uint32_t attempts;
    char
        trouble[160]; /* in words, where there was no answer; never has a header or a query in it */
};
/* The value of the first header of this name, in any case, trimmed; STR_NONE: none. Borrowed. */
struct str http_header_find(const struct http_answer *answer, struct str name);
/* "Sun, 06 Nov 1994 08:49:37 GMT" as ms since 1970; false for anything else. */
bool http_date_parse(struct str text, int64_t *ms);

enum http_verdict {
    HTTP_DONE,
    HTTP_AGAIN,        /* after a pause */
    HTTP_AGAIN_AT_ONCE /* make will ask otherwise; counts as an attempt */
};
enum http_take {
    HTTP_TAKE_MORE,
    HTTP_TAKE_ANEW, /* this answer is no good: as if the connection had broken */
    HTTP_TAKE_STOP,
};

/* One thing wanted. All callbacks come on the thread that called http_run. */
struct http_job {
    struct http_request request; /* what is sent, unless make is set */
    /* Makes the request anew for each attempt (a signature ages). Whatever it allocates in a lives as long as
     * the attempt. false: cannot; the job ends. */
    bool (*make)(void *context, struct arena *a, struct http_request *out);
    /* Gets the body of a 2xx answer in pieces; NULL: all goes to answer.body. */
    enum http_take (*take)(void *context, const struct http_answer *answer, const void *bytes,
                           size_t n);
    /* Looks at an answer that came whole; NULL: http_verdict_by_status. */
    enum http_verdict (*judge)(void *context, const struct http_answer *answer);
    void *context;
    size_t body_limit;   /* of answer.body; 0: 64 KiB */
    int64_t deadline_ms; /* from the call on, all attempts and pauses; 0: 60 s */
    uint32_t attempts;   /* 0: as the settings say */
    struct http_answer answer;
};
/* 408, 429, 500, 502, 503, 504: HTTP_AGAIN; anything else: HTTP_DONE. */
enum http_verdict http_verdict_by_status(uint32_t status);

/* Runs all jobs side by side until each has ended; true if all were HTTP_ANSWERED. Frees the answer that a
 * job held before. */
bool http_run(struct http *h, struct http_job *jobs, uint32_t count);
void http_job_free(struct http_job *job); /* its answer's bytes; may be called twice */

/* What has gone over the wire since open. */
struct http_count {
    uint64_t requests, retries, sent, received;
};
struct http_count http_count(struct http *h);
/* For how long no byte has gone either way while somebody waited for one; 0: nobody waits. */
int64_t http_quiet_ms(struct http *h);
/* Whether the circuit is open: an answer without asking. */
bool http_is_open(struct http *h);
