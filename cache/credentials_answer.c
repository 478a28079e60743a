/* SPDX-License-Identifier: MIT */
/* Documents that hold keys: JSON of processes, endpoints and SSO, XML of STS. Parsers' own messages are thrown
 * away, for they quote. */
#include "cache/credentials_inside.h"
#include "core/base/json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    ID_LIMIT = 1024,
    SECRET_LIMIT = 1024,
    TOKEN_LIMIT = 64 << 10,
    CODE_LIMIT = 64,
    DOCUMENT_LIMIT = 256 << 10
};

static bool is_printable(struct str x, size_t limit)
{
    for (size_t i = 0; i < x.n; i++) {
        if (x.s[i] <= ' ' || x.s[i] > '~') {
            return false;
        }
    }
    return x.n <= limit;
}

bool credentials_are_sound(const struct aws_keys *keys)
{
    return keys->id.n > 0 && keys->secret.n > 0 && is_printable(keys->id, ID_LIMIT)
           && is_printable(keys->secret, SECRET_LIMIT) && is_printable(keys->token, TOKEN_LIMIT);
}

static bool two_digits(struct str text, size_t at, int *out)
{
    if (text.n < at + 2 || text.s[at] < '0' || text.s[at] > '9' || text.s[at + 1] < '0'
        || text.s[at + 1] > '9') {
        return false;
    }
    *out = (text.s[at] - '0') * 10 + text.s[at + 1] - '0';
    return true;
}

static bool is_zone(struct str x)
{
    return str_eq(x, STR("Z")) || str_eq(x, STR("UTC")) || str_eq(x, STR("+00:00"))
           || str_eq(x, STR("+0000"));
}

bool credentials_time_parse(struct str text, int64_t *s)
{
    int century, year, month, day, hour, minute, second;
    bool form = text.n >= 20 && text.s[4] == '-' && text.s[7] == '-' && text.s[10] == 'T'
                && text.s[13] == ':' && text.s[16] == ':' && two_digits(text, 0, &century)
                && two_digits(text, 2, &year) && two_digits(text, 5, &month)
                && two_digits(text, 8, &day) && two_digits(text, 11, &hour)
                && two_digits(text, 14, &minute) && two_digits(text, 17, &second);
    if (!form || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59
        || second > 60) {
        return false;
    }
    size_t at = 19;
    if (text.s[at] == '.') {
        for (at++; at < text.n && text.s[at] >= '0' && text.s[at] <= '9'; at++) {
        }
    }
    struct tm tm = {.tm_year = century * 100 + year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    *s = timegm(&tm);
    return is_zone(str_tail(text, at));
}

static const struct json *document(struct arena *a, struct str text)
{
    struct diags unheard;
    diags_init(&unheard, a);
    if (text.n > DOCUMENT_LIMIT) {
        return NULL;
    }
    const struct json *j = json_parse(a, text, 0, &unheard);
    return j && j->kind == JSON_OBJECT ? j : NULL;
}

static struct str member(const struct json *object, struct str name)
{
    const struct json *m = json_member(object, name);
    return m && m->kind == JSON_STRING ? m->text : STR_NONE;
}

static bool read_sso(const struct json *root, struct credentials_found *out)
{
    const struct json *j = json_member(root, STR("roleCredentials"));
    const struct json *expires =
        j && j->kind == JSON_OBJECT ? json_member(j, STR("expiration")) : NULL;
    if (!expires || expires->kind != JSON_INT || expires->integer <= 0) {
        return false;
    }
    out->keys = (struct aws_keys){member(j, STR("accessKeyId")), member(j, STR("secretAccessKey")),
                                  member(j, STR("sessionToken"))};
    out->expires_s = expires->integer / 1000;
    return out->keys.token.n > 0;
}

static bool is_version_1(const struct json *root)
{
    const struct json *version = json_member(root, STR("Version"));
    return version && version->kind == JSON_INT && version->integer == 1;
}

static bool read_json(const struct json *j, enum credentials_form form,
                      struct credentials_found *out)
{
    if (form == CREDENTIALS_FORM_SSO) {
        return read_sso(j, out);
    }
    bool of_process = form == CREDENTIALS_FORM_PROCESS;
    struct str expires = member(j, STR("Expiration"));
    out->keys = (struct aws_keys){member(j, STR("AccessKeyId")), member(j, STR("SecretAccessKey")),
                                  member(j, of_process ? STR("SessionToken") : STR("Token"))};
    if (of_process && !is_version_1(j)) {
        return false;
    }
    return expires.n == 0 ? of_process : credentials_time_parse(expires, &out->expires_s);
}

/* The text between <name> and </name>, without any element in it; the first there is. */
static struct str element(struct str text, const char *name)
{
    char open[40], close[40];
    (void)snprintf(open, sizeof open, "<%s>", name);
    (void)snprintf(close, sizeof close, "</%s>", name);
    ptrdiff_t from = str_find(text, str_from(open));
    if (from < 0) {
        return STR_NONE;
    }
    struct str rest = str_tail(text, (size_t)from + strlen(open));
    ptrdiff_t to = str_find(rest, str_from(close));
    return to < 0 ? STR_NONE : str_sub(rest, 0, (size_t)to);
}

/* Text without entities or elements; keys and times need none. */
static struct str plain(struct str element_text)
{
    struct str x = str_trim(element_text);
    return str_has(x, '<') || str_has(x, '&') ? STR_NONE : x;
}

static bool read_xml(struct str text, struct credentials_found *out)
{
    struct str inner = element(text, "Credentials");
    out->keys = (struct aws_keys){plain(element(inner, "AccessKeyId")),
                                  plain(element(inner, "SecretAccessKey")),
                                  plain(element(inner, "SessionToken"))};
    return out->keys.token.n > 0
           && credentials_time_parse(plain(element(inner, "Expiration")), &out->expires_s);
}

bool credentials_answer_read(struct arena *a, struct str text, enum credentials_form form,
                             struct credentials_found *out)
{
    out->keys = (struct aws_keys){0};
    out->expires_s = 0;
    const struct json *j = form == CREDENTIALS_FORM_STS ? NULL : document(a, text);
    bool read = form == CREDENTIALS_FORM_STS ? text.n <= DOCUMENT_LIMIT && read_xml(text, out)
                                             : j && read_json(j, form, out);
    return read && credentials_are_sound(&out->keys);
}

static bool is_word(struct str x)
{
    for (size_t i = 0; i < x.n; i++) {
        char c = x.s[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
              || c == '.')) {
            return false;
        }
    }
    return x.n > 0 && x.n <= CODE_LIMIT;
}

struct str credentials_answer_error(struct arena *a, struct str text)
{
    static const char *const names[] = {"Code", "code", "__type", "error"};
    struct str code = text.n <= DOCUMENT_LIMIT ? plain(element(text, "Code")) : STR_NONE;
    const struct json *j = is_word(code) ? NULL : document(a, text);
    for (size_t i = 0; j && i < sizeof names / sizeof *names && !is_word(code); i++) {
        code = member(j, str_from(names[i]));
    }
    return is_word(code) ? code : STR_NONE;
}
