/* SPDX-License-Identifier: MIT */
/* The XML of S3, by expat. An element is known by its path from the root ("ListBucketResult/Contents/Key");
 * of each document a table says which paths count and what is done with their text. A document with a
 * DOCTYPE is refused: S3 sends none, and entities grow without bound. */
#include "cache/s3_xml.h"

#include <expat.h>
#include <string.h>
#include <time.h>

enum { DEPTH_LIMIT = 8, PATH_BYTES = 160, TEXT_LIMIT = 8 << 10, ESCAPED = 3 };

/* What is being read. A document's functions get the path below the root, and the text of a leaf. */
struct reading {
    struct arena *arena;
    XML_Parser parser;
    const char *root;
    void (*begin)(struct reading *r, struct str path);
    void (*end)(struct reading *r, struct str path, struct str text);
    void *out;
    char path[PATH_BYTES]; /* without the root: "Contents/Key" */
    size_t path_bytes;
    uint32_t depth;
    struct buf text; /* since the last tag */
    bool bad;
    uint32_t entry_cap, prefix_cap, failed_cap;
    uint32_t seen; /* which parts of an entry came: bits of a document's own */
};

static void refuse(struct reading *r)
{
    r->bad = true;
    XML_StopParser(r->parser, XML_FALSE);
}

static void on_begin(void *context, const XML_Char *name, const XML_Char **attributes)
{
    struct reading *r = context;
    (void)attributes;
    buf_clear(&r->text);
    if (r->bad || r->depth >= DEPTH_LIMIT) {
        refuse(r);
        return;
    }
    if (r->depth++ == 0) {
        if (strcmp(name, r->root) != 0) {
            refuse(r);
        }
        return;
    }
    size_t n = strlen(name);
    size_t slash = r->path_bytes > 0;
    if (r->path_bytes + slash + n > sizeof r->path) {
        refuse(r);
        return;
    }
    if (slash) {
        r->path[r->path_bytes] = '/';
    }
    memcpy(r->path + r->path_bytes + slash, name, n);
    r->path_bytes += slash + n;
    if (r->begin) {
        r->begin(r, (struct str){r->path, r->path_bytes});
    }
}

static void on_end(void *context, const XML_Char *name)
{
    struct reading *r = context;
    if (r->bad) {
        return;
    }
    if (r->text.full) {
        refuse(r);
        return;
    }
    r->depth--;
    if (r->depth > 0) {
        r->end(r, (struct str){r->path, r->path_bytes}, buf_str(&r->text));
        size_t n = strlen(name);
        r->path_bytes -= r->path_bytes > n ? n + 1 : n;
    }
    buf_clear(&r->text);
}

static void on_text(void *context, const XML_Char *bytes, int n)
{
    struct reading *r = context;
    buf_put(&r->text, bytes, (size_t)n);
}

static void on_doctype(void *context, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    refuse(context);
}

static bool read_document(struct reading *r, struct str text)
{
    if (text.n == 0 || text.n > S3_XML_LIMIT) {
        return false;
    }
    r->parser = XML_ParserCreate("UTF-8");
    if (!r->parser) {
        mem_exhausted(text.n);
    }
    buf_init(&r->text, TEXT_LIMIT);
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_begin, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    bool good = XML_Parse(r->parser, text.s, (int)text.n, XML_TRUE) == XML_STATUS_OK && !r->bad;
    XML_ParserFree(r->parser);
    buf_free(&r->text);
    return good;
}

/* A key as it stands there; how it is written is known at the end. */
static struct str read_key(struct reading *r, struct str text)
{
    if (text.n > (size_t)ESCAPED * S3_KEY_LIMIT) {
        refuse(r);
        return STR_NONE;
    }
    return str_copy(r->arena, text);
}

/* ---- times ---- */

static bool digits(struct str text, size_t at, size_t n, int *out)
{
    uint64_t value = 0;
    if (at + n > text.n || !str_parse_u64(str_sub(text, at, n), &value)) {
        return false;
    }
    *out = (int)value;
    return true;
}

bool s3_xml_time_parse(struct str text, int64_t *ms)
{
    struct tm t = {0};
    if (text.n < 20 || text.n > 32 || text.s[4] != '-' || text.s[7] != '-' || text.s[10] != 'T'
        || text.s[13] != ':' || text.s[16] != ':' || text.s[text.n - 1] != 'Z'
        || !digits(text, 0, 4, &t.tm_year) || !digits(text, 5, 2, &t.tm_mon)
        || !digits(text, 8, 2, &t.tm_mday) || !digits(text, 11, 2, &t.tm_hour)
        || !digits(text, 14, 2, &t.tm_min) || !digits(text, 17, 2, &t.tm_sec)) {
        return false;
    }
    if (t.tm_year < 1970 || t.tm_mon < 1 || t.tm_mon > 12 || t.tm_mday < 1 || t.tm_mday > 31
        || t.tm_hour > 23 || t.tm_min > 59 || t.tm_sec > 60) {
        return false;
    }
    int fraction = 0;
    int scale = 100;
    for (size_t i = 20; i + 1 < text.n; i++, scale /= 10) {
        if (text.s[19] != '.' || text.s[i] < '0' || text.s[i] > '9') {
            return false;
        }
        fraction += (text.s[i] - '0') * scale;
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *ms = (int64_t)timegm(&t) * 1000 + fraction;
    return true;
}

/* ---- a listing ---- */

enum { SEEN_KEY = 1, SEEN_SIZE = 2, SEEN_TIME = 4, SEEN_TRUNCATED = 8, SEEN_ENCODING = 16 };
enum { SEEN_ONCE = SEEN_TRUNCATED | SEEN_ENCODING }; /* of the document, not of an entry */

static void listing_begin(struct reading *r, struct str path)
{
    struct s3_listing *out = r->out;
    if (!str_eq(path, STR("Contents"))) {
        return;
    }
    if (out->count >= S3_LIST_LIMIT) {
        refuse(r);
        return;
    }
    if (out->count == r->entry_cap) {
        out->entries = arena_grow(r->arena, out->entries, &r->entry_cap, sizeof *out->entries);
    }
    out->entries[out->count] = (struct s3_entry){0};
    r->seen &= SEEN_ONCE;
}

static void listing_end_entry(struct reading *r, struct str name, struct str text)
{
    struct s3_listing *out = r->out;
    struct s3_entry *e = &out->entries[out->count];
    if (str_eq(name, STR("Key"))) {
        e->key = read_key(r, text);
        r->seen |= SEEN_KEY;
    } else if (str_eq(name, STR("Size"))) {
        r->seen |= str_parse_u64(text, &e->size) && e->size <= INT64_MAX ? SEEN_SIZE : 0;
    } else if (str_eq(name, STR("LastModified"))) {
        r->seen |= s3_xml_time_parse(text, &e->modified_ms) ? SEEN_TIME : 0;
    } else if (str_eq(name, STR("ETag"))) {
        e->etag = str_copy(r->arena, text);
    }
}

static void listing_add_prefix(struct reading *r, struct str text)
{
    struct s3_listing *out = r->out;
    if (out->prefix_count >= S3_LIST_LIMIT) {
        refuse(r);
        return;
    }
    if (out->prefix_count == r->prefix_cap) {
        out->prefixes = arena_grow(r->arena, out->prefixes, &r->prefix_cap, sizeof *out->prefixes);
    }
    out->prefixes[out->prefix_count++] = read_key(r, text);
}

static void listing_end(struct reading *r, struct str path, struct str text)
{
    struct s3_listing *out = r->out;
    if (str_starts(path, STR("Contents/"))) {
        listing_end_entry(r, str_tail(path, strlen("Contents/")), text);
    } else if (str_eq(path, STR("Contents"))) {
        uint32_t all = SEEN_KEY | SEEN_SIZE | SEEN_TIME;
        if ((r->seen & all) != all) {
            refuse(r);
            return;
        }
        out->count++;
    } else if (str_eq(path, STR("CommonPrefixes/Prefix"))) {
        listing_add_prefix(r, text);
    } else if (str_eq(path, STR("IsTruncated"))) {
        out->truncated = str_eq(text, STR("true"));
        r->seen |= out->truncated || str_eq(text, STR("false")) ? SEEN_TRUNCATED : 0;
    } else if (str_eq(path, STR("EncodingType"))) {
        r->seen |= str_eq(text, STR("url")) ? SEEN_ENCODING : 0;
    } else if (str_eq(path, STR("NextContinuationToken"))) {
        out->next = str_copy(r->arena, text);
    }
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* As forms are written: %2F, and a plus for a blank. No NUL: it ends a key for others. */
static bool decode_key(struct arena *a, struct str *key)
{
    char *to = arena_alloc(a, key->n + 1, 1);
    size_t n = 0;
    for (size_t i = 0; i < key->n; i++) {
        char c = key->s[i] == '+' ? ' ' : key->s[i];
        if (c == '%') {
            bool whole = key->n - i > 2;
            int high = whole ? hex_value(key->s[i + 1]) : -1;
            int low = whole ? hex_value(key->s[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high << 4 | low);
            i += 2;
        }
        to[n++] = c;
    }
    *key = (struct str){to, n};
    return memchr(to, 0, n) == NULL;
}

/* Keys as the depots have them: what no XML can hold (control characters) comes escaped, where the server knows how. */
static bool decode_keys(const struct reading *r, struct s3_listing *out)
{
    bool good = true;
    for (uint32_t i = 0; i < out->count + out->prefix_count && good; i++) {
        struct str *key = i < out->count ? &out->entries[i].key : &out->prefixes[i - out->count];
        good = (!(r->seen & SEEN_ENCODING) || decode_key(r->arena, key)) && key->n <= S3_KEY_LIMIT;
    }
    return good;
}

bool s3_xml_read_listing(struct arena *a, struct str text, struct s3_listing *out)
{
    *out = (struct s3_listing){0};
    struct reading r = {.arena = a,
                        .root = "ListBucketResult",
                        .begin = listing_begin,
                        .end = listing_end,
                        .out = out};
    return read_document(&r, text) && (r.seen & SEEN_TRUNCATED)
           && (!out->truncated || out->next.n > 0) && decode_keys(&r, out);
}

/* ---- errors ---- */

static void error_end(struct reading *r, struct str path, struct str text)
{
    struct s3_error *out = r->out;
    struct {
        const char *name;
        struct str *to;
    } parts[] = {{"Code", &out->code},
                 {"Message", &out->message},
                 {"Region", &out->region},
                 {"Bucket", &out->bucket},
                 {"Endpoint", &out->endpoint}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (str_eq(path, str_from(parts[i].name))) {
            *parts[i].to = str_copy(r->arena, text);
        }
    }
}

bool s3_xml_read_error(struct arena *a, struct str text, struct s3_error *out)
{
    *out = (struct s3_error){0};
    struct reading r = {.arena = a, .root = "Error", .end = error_end, .out = out};
    return read_document(&r, text);
}

static void versioning_end(struct reading *r, struct str path, struct str text)
{
    bool *enabled = r->out;
    if (str_eq(path, STR("Status"))) {
        *enabled = str_eq(text, STR("Enabled"));
    }
}

bool s3_xml_read_versioning(struct arena *a, struct str text, bool *enabled)
{
    *enabled = false;
    struct reading r = {
        .arena = a, .root = "VersioningConfiguration", .end = versioning_end, .out = enabled};
    return read_document(&r, text);
}

struct rules {
    struct str ours, prefix; /* of the rule that is being read */
    bool active, expires;
    bool drops; /* some rule does */
};

static struct str path_last(struct str path)
{
    ptrdiff_t slash = str_rfind_char(path, '/');
    return slash < 0 ? path : str_tail(path, (size_t)slash + 1);
}

static void rule_end(struct reading *r, struct str path, struct str text)
{
    struct rules *x = r->out;
    struct str name = path_last(path);
    if (str_eq(path, STR("Rule/Status"))) {
        x->active = str_eq(text, STR("Enabled"));
    } else if (str_eq(name, STR("Prefix"))) { /* below Filter, And, or plainly */
        x->prefix = str_copy(r->arena, text);
    } else if (str_eq(path, STR("Rule/Expiration/Days"))
               || str_eq(path, STR("Rule/Expiration/Date"))) {
        x->expires = true;
    } else if (str_eq(path, STR("Rule"))) {
        bool meets = str_starts(x->ours, x->prefix) || str_starts(x->prefix, x->ours);
        x->drops |= x->active && x->expires && meets;
        x->active = x->expires = false;
        x->prefix = STR("");
    }
}

bool s3_xml_read_lifecycle(struct arena *a, struct str text, struct str prefix, bool *drops)
{
    struct rules x = {.ours = prefix, .prefix = STR("")};
    struct reading r = {.arena = a, .root = "LifecycleConfiguration", .end = rule_end, .out = &x};
    bool ok = read_document(&r, text);
    *drops = ok && x.drops;
    return ok;
}

bool s3_xml_is_error(struct str text)
{
    text = str_trim(text);
    if (str_starts(text, STR("<?xml"))) {
        ptrdiff_t end = str_find(text, STR("?>"));
        text = end < 0 ? STR_NONE : str_trim(str_tail(text, (size_t)end + 2));
    }
    return str_starts(text, STR("<Error>")) || str_starts(text, STR("<Error "));
}

/* ---- a bulk delete ---- */

static void deleted_begin(struct reading *r, struct str path)
{
    struct s3_deleted *out = r->out;
    if (!str_eq(path, STR("Error"))) {
        return;
    }
    if (out->failed_count >= S3_LIST_LIMIT) {
        refuse(r);
        return;
    }
    if (out->failed_count == r->failed_cap) {
        out->failed = arena_grow(r->arena, out->failed, &r->failed_cap, sizeof *out->failed);
    }
    out->failed[out->failed_count] = (struct s3_error_of_key){0};
}

static void deleted_end(struct reading *r, struct str path, struct str text)
{
    struct s3_deleted *out = r->out;
    if (str_eq(path, STR("Error/Key"))) {
        out->failed[out->failed_count].key = read_key(r, text);
    } else if (str_eq(path, STR("Error/Code"))) {
        out->failed[out->failed_count].code = str_copy(r->arena, text);
    } else if (str_eq(path, STR("Error"))) {
        out->failed_count++;
    }
}

bool s3_xml_read_deleted(struct arena *a, struct str text, struct s3_deleted *out)
{
    *out = (struct s3_deleted){0};
    struct reading r = {
        .arena = a, .root = "DeleteResult", .begin = deleted_begin, .end = deleted_end, .out = out};
    return read_document(&r, text);
}

static void put_escaped(struct buf *b, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        switch (text.s[i]) {
        case '&': buf_put_str(b, STR("&amp;")); break;
        case '<': buf_put_str(b, STR("&lt;")); break;
        case '>': buf_put_str(b, STR("&gt;")); break;
        case '"': buf_put_str(b, STR("&quot;")); break;
        case '\r': buf_put_str(b, STR("&#13;")); break;
        case '\n': buf_put_str(b, STR("&#10;")); break;
        default: buf_put_char(b, text.s[i]);
        }
    }
}

void s3_xml_put_delete(struct buf *b, const struct str *keys, uint32_t count)
{
    buf_put_str(
        b, STR("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>"));
    for (uint32_t i = 0; i < count; i++) {
        buf_put_str(b, STR("<Object><Key>"));
        put_escaped(b, keys[i]);
        buf_put_str(b, STR("</Key></Object>"));
    }
    buf_put_str(b, STR("</Delete>"));
}
