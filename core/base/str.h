/* SPDX-License-Identifier: MIT */
/* Sized slices and bounded growing buffers; quoting; numbers, durations and sizes in and out.
 * A str never owns its bytes and need not end in NUL. */
#pragma once

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

struct str {
    const char *s;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* For "%.*s", whose precision is an int: a negative one would be no bound at all. */
#define STR_ARG(x) ((int)((x).n < INT_MAX ? (x).n : INT_MAX)), ((x).s ? (x).s : "")
#define STR_NONE ((struct str){NULL, 0})

struct str str_from(const char *nul_terminated);    /* borrowed */
struct str str_copy(struct arena *a, struct str x); /* the copy ends in NUL, not counted in n */
/* NUL-terminated copy: the one way to the operating system's edge. x must hold no NUL (asserted). */
const char *str_c(struct arena *a, struct str x);
struct str str_printf(struct arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct str str_vprintf(struct arena *a, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
struct str str_join3(struct arena *a, struct str x, struct str y, struct str z);

bool str_eq(struct str x, struct str y);
int str_cmp(struct str x, struct str y); /* by bytes, shorter first: <0, 0, >0 */
bool str_starts(struct str x, struct str prefix);
bool str_ends(struct str x, struct str suffix);
bool str_has(struct str x, char c);
ptrdiff_t str_find(struct str x, struct str part);       /* offset or -1 */
ptrdiff_t str_rfind_char(struct str x, char c);          /* offset of the last c or -1 */
struct str str_sub(struct str x, size_t from, size_t n); /* clamped */
struct str str_tail(struct str x, size_t from);          /* clamped */
struct str str_trim(struct str x); /* blanks, tabs, line breaks at both ends */
/* Cuts up to sep (dropped) off the front of *rest into *part; false when *rest was used up, so that
 * "a,b," and "a,b" both have two parts. */
bool str_cut(struct str *rest, char sep, struct str *part);
/* For tables in memory and on disk: fixed by this version (FNV-1a 64, finalised). */
uint64_t str_hash(struct str x);
/* Edit distance (insert, delete, replace, swap of neighbours), at most limit + 1; for "did you mean". */
size_t str_distance(struct str x, struct str y, size_t limit);
bool str_is_utf8(struct str x); /* well-formed UTF-8 without surrogates */

/* A growing buffer on the heap. limit bounds n: an append that would pass it is dropped whole and sets
 * full; so is then each later one, until buf_clear. s is NUL-terminated after any append. All zeros with a limit
 * set is a valid empty buffer. */
struct buf {
    char *s;
    size_t n, cap, limit;
    bool full;
};
enum { BUF_TEXT_LIMIT = 64 << 20 }; /* for texts that pawl makes itself */
void buf_init(struct buf *b, size_t limit);
void buf_free(struct buf *b);
void buf_clear(struct buf *b); /* keeps the memory */
void buf_put(struct buf *b, const void *bytes, size_t n);
void buf_put_str(struct buf *b, struct str x);
void buf_put_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* Room for n more bytes at the end (not yet counted in n), or NULL and full set. */
char *buf_reserve(struct buf *b, size_t n);
struct str buf_str(const struct buf *b); /* borrowed until the next append */

/* Little-endian, fixed width or LEB128 varint (at most 10 bytes). */
void buf_put_u8(struct buf *b, uint8_t x);
void buf_put_u16(struct buf *b, uint16_t x);
void buf_put_u32(struct buf *b, uint32_t x);
void buf_put_u64(struct buf *b, uint64_t x);
void buf_put_varint(struct buf *b, uint64_t x);
void buf_put_text(struct buf *b, struct str x); /* varint length, bytes */

/* A bounds-checked reader over bytes from outside. After the first read past the end, or a bad value,
 * bad stays set and each read gives zero: check once, at the end of a unit. */
struct rd {
    const uint8_t *at, *end;
    bool bad;
};
struct rd rd_from(const void *bytes, size_t n);
size_t rd_left(const struct rd *r);
uint8_t rd_u8(struct rd *r);
uint16_t rd_u16(struct rd *r);
uint32_t rd_u32(struct rd *r);
uint64_t rd_u64(struct rd *r);
uint64_t rd_varint(struct rd *r);
const uint8_t *rd_bytes(struct rd *r, size_t n); /* borrowed; NULL if there are fewer */
struct str rd_text(struct rd *r, size_t limit);  /* borrowed */
/* A varint count of items of at least item_bytes each: more than could follow, or than limit, is bad and gives 0. */
uint64_t rd_count(struct rd *r, size_t item_bytes, uint64_t limit);

/* One shell word for /bin/sh: as it is when that is safe, else in single quotes. */
void str_put_shell_word(struct buf *b, struct str x);
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void str_put_json(struct buf *b, struct str x);
/* Text for a terminal: control bytes and bad UTF-8 made visible (\x1b), tabs and line breaks kept. */
void str_put_visible(struct buf *b, struct str x);

/* Whole text or false: no blanks, no sign '+', no overflow. */
bool str_parse_i64(struct str x, int64_t *out);
bool str_parse_u64(struct str x, uint64_t *out);
bool str_parse_double(struct str x, double *out); /* decimal only, finite, locale-independent */
/* Shortest text that reads back as the same double; a whole number prints without ".0". */
void str_put_double(struct buf *b, double x);

/* "500ms 30s 15m 2h 7d" (a decimal number and a unit) or ISO 8601 "PT30M", "P30D", "P1DT12H", "P2W";
 * years and months are refused. Nanoseconds, at most 10000 days. */
bool str_parse_duration(struct str x, int64_t *out_ns);
bool str_parse_iso_duration(struct str x, int64_t *out_ns);
/* "512KB 4GB 8GiB", "100B": bytes. */
bool str_parse_size(struct str x, int64_t *out_bytes);
/* For people: "0.3s", "12.4s", "3m05s", "2h07m", "4d03h". */
void str_put_duration(struct buf *b, int64_t ns);
/* For people: "999B", "1.5MiB". */
void str_put_size(struct buf *b, uint64_t bytes);
