/* SPDX-License-Identifier: MIT */
/* Both forms are short enough to be read whole: a fixed beginning, then the 32 bytes. Grammar: RFC 7468, RFC 8410. */
#include "cache/key.h"

#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DER_LIMIT = 64, OTHERS = S_IRWXG | S_IRWXO };

static const uint8_t public_head[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                      0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
static const uint8_t private_head[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                       0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

struct pem {
    const char *begin, *end;
    const uint8_t *head; /* before the 32 bytes */
    size_t head_bytes;
};
static const struct pem public_pem = {"-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----",
                                      public_head, sizeof public_head};
static const struct pem private_pem = {"-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----",
                                       private_head, sizeof private_head};

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static struct str absolute(struct arena *a, const char *variable, struct str below)
{
    const char *value = getenv(variable); /* NOLINT(concurrency-mt-unsafe) */
    return value && value[0] == '/' ? path_join(a, str_from(value), below) : STR_NONE;
}

struct str key_default_dir(struct arena *a)
{
    struct str dir = absolute(a, "XDG_CONFIG_HOME", STR("pawl"));
    return dir.n ? dir : absolute(a, "HOME", STR(".config/pawl"));
}

/* ---- PEM ---- */

static int digit_value(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* One base64 text with line breaks in it; *n bytes come out. false: something else stands there. */
static bool decode(struct str text, uint8_t out[DER_LIMIT], size_t *n)
{
    uint32_t bits = 0;
    size_t held = 0, padding = 0;
    *n = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.s[i];
        if (c == '\n' || c == '\r') {
            continue;
        }
        int value = c == '=' ? 0 : digit_value(c);
        padding += c == '=';
        if (value < 0 || (padding && c != '=') || padding > 2 || *n + 3 > DER_LIMIT) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        if (++held == 4) {
            out[(*n)++] = (uint8_t)(bits >> 16);
            out[(*n)++] = (uint8_t)(bits >> 8);
            out[(*n)++] = (uint8_t)bits;
            held = 0;
            bits = 0;
        }
    }
    *n -= *n >= padding ? padding : 0;
    return held == 0;
}

/* The 32 bytes behind the head, in the only block of this label. */
static bool read_pem(struct str text, const struct pem *pem, uint8_t out[SIGN_KEY])
{
    struct str begin = str_from(pem->begin);
    ptrdiff_t from = str_find(text, begin);
    if (from < 0 || str_has(text, '\0')) {
        return false;
    }
    struct str rest = str_tail(text, (size_t)from + begin.n);
    ptrdiff_t to = str_find(rest, str_from(pem->end));
    uint8_t der[DER_LIMIT];
    size_t n = 0;
    bool ok = to >= 0 && str_find(str_tail(rest, (size_t)to), begin) < 0
              && decode(str_sub(rest, 0, (size_t)to), der, &n) && n == pem->head_bytes + SIGN_KEY
              && memcmp(der, pem->head, pem->head_bytes) == 0;
    if (ok) {
        memcpy(out, der + pem->head_bytes, SIGN_KEY);
    }
    sign_wipe(der, sizeof der);
    return ok;
}

bool key_read_public(struct str text, struct sign_public *out)
{
    uint8_t key[SIGN_KEY];
    if (!read_pem(text, &public_pem, key)) {
        return false;
    }
    sign_public_from(key, out);
    return true;
}

bool key_read_private(struct str text, struct sign_private *out)
{
    uint8_t seed[SIGN_KEY];
    bool ok = read_pem(text, &private_pem, seed) && sign_private_from(seed, out);
    sign_wipe(seed, sizeof seed);
    return ok;
}

static void put_base64(struct buf *b, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i += 3) {
        uint32_t bits = (uint32_t)bytes[i] << 16;
        bits |= i + 1 < n ? (uint32_t)bytes[i + 1] << 8 : 0;
        bits |= i + 2 < n ? bytes[i + 2] : 0;
        buf_put_char(b, digits[bits >> 18]);
        buf_put_char(b, digits[bits >> 12 & 63]);
        buf_put_char(b, i + 1 < n ? digits[bits >> 6 & 63] : '=');
        buf_put_char(b, i + 2 < n ? digits[bits & 63] : '=');
    }
    buf_put_char(b, '\n');
}

static void put_pem(struct buf *b, const struct pem *pem, const uint8_t key[SIGN_KEY])
{
    uint8_t der[DER_LIMIT];
    memcpy(der, pem->head, pem->head_bytes);
    memcpy(der + pem->head_bytes, key, SIGN_KEY);
    buf_put_str(b, str_from(pem->begin));
    buf_put_char(b, '\n');
    put_base64(b, der, pem->head_bytes + SIGN_KEY);
    buf_put_str(b, str_from(pem->end));
    buf_put_char(b, '\n');
    sign_wipe(der, sizeof der);
}

void key_put_public(struct buf *b, const struct sign_public *k)
{
    put_pem(b, &public_pem, k->key);
}

void key_put_private(struct buf *b, const struct sign_private *k)
{
    put_pem(b, &private_pem, k->seed);
}

void key_put_id(struct buf *b, const uint8_t id[SIGN_ID])
{
    for (size_t i = 0; i < SIGN_ID; i++) {
        buf_put_char(b, "0123456789abcdef"[id[i] >> 4]);
        buf_put_char(b, "0123456789abcdef"[id[i] & 15]);
    }
}

/* ---- files ---- */

/* At most KEY_TEXT_LIMIT bytes of a regular file, in text; errno where it cannot be had. */
static bool read_file(int dir, struct str path, struct stat *st, char text[KEY_TEXT_LIMIT],
                      size_t *n)
{
    struct arena scratch = {0};
    int fd = openat(dir, str_c(&scratch, path), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    arena_free(&scratch);
    if (fd < 0) {
        return false;
    }
    ssize_t got = -1;
    if (fstat(fd, st) == 0) {
        errno = S_ISDIR(st->st_mode) ? EISDIR : EINVAL;
        got = S_ISREG(st->st_mode) ? pread(fd, text, KEY_TEXT_LIMIT, 0) : -1;
    }
    int error = errno;
    close(fd);
    errno = error;
    *n = got >= 0 ? (size_t)got : 0;
    return got >= 0;
}

bool key_load_public(int dir, struct str path, struct sign_public *out, struct diags *d)
{
    char text[KEY_TEXT_LIMIT];
    struct stat st;
    size_t n;
    if (!read_file(dir, path, &st, text, &n)) {
        struct diag *e =
            diag_errno(d, "bad-trust", "the trusted key '%.*s' cannot be read", STR_ARG(path));
        diag_help(d, e,
                  "'pawl cache key trust FILE' puts a public key into the workspace's 'keys'");
        return false;
    }
    if (!key_read_public((struct str){text, n}, out)) {
        struct diag *e = diag_error(d, "bad-trust", SPAN_NONE, "'%.*s' is no public key of Ed25519",
                                    STR_ARG(path));
        diag_help(d, e, "'pawl cache key new' makes a pair; the file ending in '.pub' is the one");
        return false;
    }
    return true;
}

/* Who else could have read it: root may read everything anyway. */
static bool is_private(const struct stat *st)
{
    return (st->st_mode & OTHERS) == 0 && (st->st_uid == geteuid() || st->st_uid == 0);
}

enum key_answer key_load_private(struct str path, struct sign_private *out, struct diags *d,
                                 struct diags *notes)
{
    char text[KEY_TEXT_LIMIT];
    struct stat st;
    size_t n;
    if (!read_file(FILE_CWD, path, &st, text, &n)) {
        if (errno == ENOENT) {
            return KEY_ABSENT;
        }
        struct diag *e = diag_errno(d, "bad-signing-key", "the signing key '%.*s' cannot be read",
                                    STR_ARG(path));
        diag_help(d, e, "'pawl cache key new' makes one");
        return KEY_BAD;
    }
    enum key_answer answer = KEY_GOOD;
    if (!is_private(&st)) {
        struct diag *e =
            diag_warning(notes, "open-signing-key", SPAN_NONE,
                         "others can read the signing key '%.*s' ('chmod 600' it): it is not used, "
                         "and results are not signed",
                         STR_ARG(path));
        diag_help(notes, e, "if others may have read it, make a new one");
        answer = KEY_OPEN;
    } else if (!key_read_private((struct str){text, n}, out)) {
        struct diag *e =
            diag_error(d, "bad-signing-key", SPAN_NONE,
                       "'%.*s' is no private key of Ed25519 without a passphrase", STR_ARG(path));
        diag_help(d, e,
                  "as 'pawl cache key new' makes them, or 'openssl genpkey -algorithm ed25519'");
        answer = KEY_BAD;
    }
    sign_wipe(text, sizeof text);
    return answer;
}

/* ---- the own secret ---- */

static bool read_own(struct str path, uint8_t out[SIGN_KEY])
{
    char text[KEY_TEXT_LIMIT];
    struct stat st;
    size_t n;
    bool ok = read_file(FILE_CWD, path, &st, text, &n) && n == SIGN_KEY
              && (st.st_mode & OTHERS) == 0 && st.st_uid == geteuid();
    if (ok) {
        memcpy(out, text, SIGN_KEY);
    }
    sign_wipe(text, sizeof text);
    return ok;
}

/* Whole or not at all, and never in place of another's that is good: two that begin at once end with one secret. */
static void make_own(struct arena *a, struct str path)
{
    uint8_t secret[SIGN_KEY];
    uint64_t random = 0;
    if (getrandom(secret, sizeof secret, 0) != (ssize_t)sizeof secret
        || getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random
        || !file_make_parents(FILE_CWD, path, 0700)) {
        return;
    }
    struct str temp = str_printf(a, "%.*s-%016llx", STR_ARG(path), (unsigned long long)random);
    if (file_write(FILE_CWD, temp, (struct str){(const char *)secret, sizeof secret}, 0600,
                   false)) {
        (void)unlink(str_c(a, path)); /* absent, or of no use */
        (void)!link(str_c(a, temp), str_c(a, path));
        (void)unlink(str_c(a, temp));
    }
    sign_wipe(secret, sizeof secret);
}

bool key_load_own(struct str path, bool make, uint8_t out[SIGN_KEY])
{
    if (!path.n || read_own(path, out)) {
        return path.n > 0;
    }
    if (make) {
        struct arena scratch = {0};
        make_own(&scratch, path);
        arena_free(&scratch);
    }
    return make && read_own(path, out);
}
