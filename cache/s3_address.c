/* SPDX-License-Identifier: MIT */
/* Where a bucket is; see the header. */
#include "cache/s3_address.h"

#include <string.h>
#include <strings.h>

enum { HOST_LIMIT = 255, REGION_LIMIT = 32, BUCKET_LEAST = 3, BUCKET_LIMIT = 63 };

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

static bool region_is_good(struct str region)
{
    for (size_t i = 0; i < region.n; i++) {
        if (!is_name_char(region.s[i])) {
            return false;
        }
    }
    return region.n > 0 && region.n <= REGION_LIMIT;
}

/* Old buckets and other servers allow upper case and '_'; such names stay out of hosts. */
static bool bucket_is_good(struct str bucket)
{
    for (size_t i = 0; i < bucket.n; i++) {
        char c = bucket.s[i];
        if (!is_name_char(c) && c != '.' && c != '_' && !(c >= 'A' && c <= 'Z')) {
            return false;
        }
    }
    return bucket.n >= BUCKET_LEAST && bucket.n <= BUCKET_LIMIT && bucket.s[0] != '.';
}

static bool bucket_fits_host(struct str bucket, bool dots)
{
    for (size_t i = 0; i < bucket.n; i++) {
        if (!is_name_char(bucket.s[i]) && !(dots && bucket.s[i] == '.')) {
            return false;
        }
    }
    return true;
}

static bool host_is_good(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        char c = host.s[i];
        if (!is_name_char(c) && !(c >= 'A' && c <= 'Z') && c != '.' && c != '_' && c != ':'
            && c != '[' && c != ']') {
            return false;
        }
    }
    return host.n > 0 && host.n <= HOST_LIMIT;
}

/* "https://host:443/base?x" → scheme, "host", "/base". */
static bool url_split(struct arena *a, struct str url, struct s3_address *out)
{
    struct str rest;
    if (str_starts(url, STR("https://"))) {
        out->scheme = STR("https");
        rest = str_tail(url, 8);
    } else if (str_starts(url, STR("http://"))) {
        out->scheme = STR("http");
        rest = str_tail(url, 7);
    } else {
        return false;
    }
    size_t end = 0;
    while (end < rest.n && rest.s[end] != '/' && rest.s[end] != '?') {
        end++;
    }
    struct str host = str_sub(rest, 0, end);
    struct str base = str_tail(rest, end);
    struct str own_port = out->scheme.n == 5 ? STR(":443") : STR(":80");
    if (str_ends(host, own_port)) {
        host.n -= own_port.n;
    }
    while (base.n && base.s[base.n - 1] == '/') {
        base.n--;
    }
    out->domain = str_copy(a, host);
    out->base = str_copy(a, base);
    return host_is_good(host);
}

static struct str amazon_domain(struct arena *a, struct str region)
{
    const char *top = str_starts(region, STR("cn-")) ? "amazonaws.com.cn" : "amazonaws.com";
    return str_printf(a, "s3.%.*s.%s", STR_ARG(region), top);
}

bool s3_address_make(struct arena *a, const struct s3_where *where, struct s3_address *out,
                     struct diags *notes)
{
    *out = (struct s3_address){.scheme = STR("https"), .amazon = where->endpoint.n == 0};
    out->region = str_copy(a, where->region.n ? where->region : STR("us-east-1"));
    out->bucket = str_copy(a, where->bucket);
    if (!bucket_is_good(where->bucket)) {
        (void)diag_warning(notes, "remote-address", SPAN_NONE, "'%.*s' cannot be a bucket's name",
                           STR_ARG(where->bucket));
        return false;
    }
    if (!region_is_good(out->region)) {
        (void)diag_warning(notes, "remote-address", SPAN_NONE, "'%.*s' cannot be a region's name",
                           STR_ARG(where->region));
        return false;
    }
    if (out->amazon) {
        out->domain = amazon_domain(a, out->region);
    } else if (!url_split(a, where->endpoint, out) || str_has(out->base, '?')) {
        struct diag *note = diag_warning(notes, "remote-address", SPAN_NONE,
                                         "'%.*s' cannot be an endpoint", STR_ARG(where->endpoint));
        diag_help(notes, note, "write it as https://host or https://host:port");
        return false;
    }
    bool fits = bucket_fits_host(out->bucket, where->style == S3_STYLE_HOST);
    out->in_host =
        fits && (where->style == S3_STYLE_HOST || (where->style == S3_STYLE_AUTO && out->amazon));
    return true;
}

struct str s3_address_host(struct arena *a, const struct s3_address *at)
{
    return at->in_host ? str_join3(a, at->bucket, STR("."), at->domain) : at->domain;
}

struct str s3_address_path(struct arena *a, const struct s3_address *at, struct str key)
{
    struct str path = at->base;
    if (!at->in_host) {
        path = str_join3(a, path, STR("/"), at->bucket);
        return key.n ? str_join3(a, path, STR("/"), key) : path;
    }
    return str_join3(a, path, STR("/"), key);
}

/* Without its port, if it has one. */
static struct str name_of(struct str domain)
{
    ptrdiff_t colon = str_rfind_char(domain, ':');
    ptrdiff_t bracket = str_rfind_char(domain, ']');
    return colon > bracket ? str_sub(domain, 0, (size_t)colon) : domain;
}

static bool name_eq(struct str x, struct str y)
{
    return x.n == y.n && strncasecmp(x.s, y.s, x.n) == 0;
}

/* Whether one may be sent from a host to another: itself, one below it, or AWS to AWS. */
static bool may_go(const struct s3_address *from, struct str to)
{
    struct str name = name_of(from->domain);
    if (from->amazon) {
        return str_ends(to, STR(".amazonaws.com")) || str_ends(to, STR(".amazonaws.com.cn"));
    }
    return name_eq(name, to)
           || (to.n > name.n + 1 && to.s[to.n - name.n - 1] == '.'
               && name_eq(name, str_tail(to, to.n - name.n)));
}

static bool follow_location(struct arena *a, const struct s3_address *at, struct str location,
                            struct s3_address *out)
{
    struct s3_address to = {0};
    if (!url_split(a, location, &to)) {
        return false;
    }
    struct str in_front = str_join3(a, at->bucket, STR("."), STR(""));
    bool in_host = str_starts(to.domain, in_front);
    struct str domain = in_host ? str_tail(to.domain, in_front.n) : to.domain;
    bool weaker = str_eq(at->scheme, STR("https")) && !str_eq(to.scheme, STR("https"));
    if (weaker || !may_go(at, name_of(to.domain))) {
        return false;
    }
    bool same =
        str_eq(domain, out->domain) && in_host == out->in_host && str_eq(to.scheme, out->scheme);
    out->scheme = to.scheme;
    out->domain = domain;
    out->in_host = in_host;
    return !same;
}

bool s3_address_follow(struct arena *a, const struct s3_address *at, struct str region,
                       struct str location, struct s3_address *out)
{
    *out = *at;
    bool news = region_is_good(region) && !str_eq(region, at->region);
    if (news) {
        out->region = str_copy(a, region);
        if (at->amazon) {
            out->domain = amazon_domain(a, region);
        }
    }
    bool moved = location.n > 0 && follow_location(a, at, location, out);
    return news || moved;
}
