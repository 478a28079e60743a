/* SPDX-License-Identifier: MIT */
/* A copy lies three levels below `.pawl/s3`: bucket, all folders of the key as one name, last name. Since all lie
 * equally deep none is in another's way, though in a bucket "a" and "a/b" may both be objects. */
#include "core/s3_uri.h"

#include "core/base/digest.h"
#include "core/base/path.h"

enum { BUCKET_LEAST = 3, BUCKET_LIMIT = 63, NAME_LIMIT = 200, HASH_HEX = 32 };

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'
           || c == '_' || c == '.';
}

static bool bucket_is_good(struct str bucket)
{
    for (size_t i = 0; i < bucket.n; i++) {
        if (!is_plain(bucket.s[i])) {
            return false;
        }
    }
    return bucket.n >= BUCKET_LEAST && bucket.n <= BUCKET_LIMIT && bucket.s[0] != '.';
}

const char *s3_uri_split(struct str uri, struct s3_uri *out)
{
    struct str rest = str_tail(uri, 5);
    bool slash = str_has(rest, '/');
    *out = (struct s3_uri){.key = STR("")};
    str_cut(&rest, '/', &out->bucket);
    out->key = slash ? rest : STR("");
    out->all = out->key.n == 0 || str_ends(out->key, STR("/"));
    if (!str_starts(uri, STR("s3://")) || !bucket_is_good(out->bucket)) {
        return "it does not begin with the name of a bucket";
    }
    if (!slash) {
        return "it names a bucket and nothing in it";
    }
    if (str_has(out->key, '\0')) {
        return "it holds a NUL byte";
    }
    return out->key.n > S3_URI_KEY_LIMIT ? "its key has more than 1024 bytes" : NULL;
}

bool s3_uri_is_name(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        if ((unsigned char)name.s[i] < ' ' || name.s[i] == 0x7f || name.s[i] == '/') {
            return false;
        }
    }
    return name.n > 0 && name.n <= NAME_LIMIT && !str_eq(name, STR("."))
           && !str_eq(name, STR(".."));
}

/* folders is empty or ends in '/': "data/v1/" is "data+v1", "" is "+", and what is odd its hash, behind a '+'. A
 * prefix's have one more behind. */
static struct str folders_name(struct arena *a, struct str folders, bool all)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    bool plain = folders.n <= NAME_LIMIT;
    for (size_t i = 0; i < folders.n && plain; i++) {
        bool begins = i == 0 || folders.s[i - 1] == '/';
        bool slash = folders.s[i] == '/';
        plain = is_plain(folders.s[i]) ? !(i == 0 && folders.s[i] == '.') : slash && !begins;
        if (i + 1 < folders.n) {
            buf_put_char(&b, slash ? '+' : folders.s[i]);
        }
    }
    plain = plain && (folders.n == 0 || str_ends(folders, STR("/")));
    if (folders.n == 0 || !plain) {
        buf_clear(&b);
        buf_put_char(&b, '+');
    }
    if (!plain) {
        struct digest digest = digest_of(folders.s, folders.n);
        struct buf hex;
        buf_init(&hex, DIGEST_HEX);
        digest_put_hex(&hex, &digest);
        buf_put_str(&b, str_sub(buf_str(&hex), 0, HASH_HEX));
        buf_free(&hex);
    }
    buf_put_str(&b, all ? STR("+") : STR(""));
    struct str name = str_copy(a, buf_str(&b));
    buf_free(&b);
    return name;
}

struct str s3_uri_copy_path(struct arena *a, const struct s3_uri *uri)
{
    struct str key = uri->key;
    key.n -= uri->all && key.n > 0;
    size_t cut = (size_t)(str_rfind_char(key, '/') + 1);
    struct str folders = str_sub(key, 0, cut), name = str_tail(key, cut);
    if (!s3_uri_is_name(
            name)) { /* the whole key makes the folder's name, and is no key's folders */
        folders = str_join3(a, uri->key, STR("\n"), STR(""));
        name = STR("data");
    }
    struct str top = path_join(a, STR(".pawl/s3"), uri->bucket);
    return path_join(a, path_join(a, top, folders_name(a, folders, uri->all)), name);
}

struct str s3_uri_stage_path(struct arena *a, struct str uri)
{
    return str_printf(a, "%.*s/%016llx", STR_ARG(S3_URI_STAGE), (unsigned long long)str_hash(uri));
}
