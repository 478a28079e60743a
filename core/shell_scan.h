/* SPDX-License-Identifier: MIT */
/* The lexical state machine over shell text, kept as a stack of places; shell.c's alone. It copies the text as
 * it goes. Its state never depends on a value's content, since that is escaped so that it cannot leave its
 * place: so late values can be checked before they are known. */
#pragma once

#include "core/shell.h"

enum shell_place {
    SHELL_PLACE_BARE,  /* the command itself */
    SHELL_PLACE_PAREN, /* ( … ): as bare */
    SHELL_PLACE_SUB,   /* $( … ), <( … ): as bare */
    SHELL_PLACE_PARAM, /* ${ … } */
    SHELL_PLACE_ARITH, /* $(( … )), (( … )) */
    SHELL_PLACE_SINGLE,
    SHELL_PLACE_DOUBLE,
    SHELL_PLACE_DOLLAR, /* $'…' */
    SHELL_PLACE_BACKTICK,
    SHELL_PLACE_COMMENT,
    SHELL_PLACE_HERE,
};

/* Where in ${…} we are. */
enum {
    SHELL_PARAM_NAME,
    SHELL_PARAM_COLON,   /* behind the name's : */
    SHELL_PARAM_WORD,    /* - = + ? */
    SHELL_PARAM_PATTERN, /* # % */
    SHELL_PARAM_CHANGE,  /* bash's / ^ , @ */
    SHELL_PARAM_NUMBER   /* bash's offsets and indices */
};

struct shell_frame {
    enum shell_place place;
    bool inside_quotes; /* PARAM: in double quotes or a here-document; DOUBLE: in such a PARAM */
    bool escape;        /* a backslash came just before */
    bool escaped;       /* DOLLAR: there was a backslash */
    bool in_word;       /* bare places: something of a word stands already */
    bool special;       /* … a [ or { among it */
    bool command;       /* … the next word is a command's first */
    uint32_t stage;     /* PARAM: SHELL_PARAM_…; ARITH: open parentheses */
    uint32_t here;      /* HERE: which of s->heres */
    size_t word_at;     /* bare places: the word's offset in out */
};

struct shell_here {
    struct str delimiter;
    bool quoted, strip; /* strip: <<- */
    uint32_t subs;      /* $( ) around it */
};

/* A stretch of text (texts and raw values run together) or one value. */
struct shell_run {
    const struct value *value;
    struct str text;
    struct span span;
};

struct shell_scan {
    const struct value_work *work;
    const struct value_style *style;
    enum shell_kind kind;
    struct diags *diags;
    struct buf out;
    VEC(struct shell_frame) stack;
    VEC(struct shell_here) heres; /* declared, body not begun or not ended */
    VEC(struct shell_run) runs;
    uint32_t run;  /* the current one */
    size_t at;     /* in its text */
    uint32_t subs; /* SUB frames on the stack */
    size_t dollar; /* offset of a $ at the very end of out, + 1; 0: none */
    size_t name;   /* offset of a $name at the very end of out, + 1; 0: none */
    size_t line;   /* offset of the current line in out */
    bool line_has_value;
    struct span blame; /* of the last value */
    const char *lost;  /* why places cannot be told any more; NULL: they can */
    bool failed;
};

struct shell_frame *shell_top(struct shell_scan *s);
void shell_push(struct shell_scan *s, enum shell_place place);
/* Takes one step over the current run's text, in the place on top. */
void shell_step(struct shell_scan *s);

/* A byte of text, or of a value. */
void shell_put(struct shell_scan *s, char c);
void shell_put_value_char(struct shell_scan *s, char c);
/* In bare places: something of a word comes, or a word ends here. */
void shell_begin_word(struct shell_scan *s);
void shell_end_word(struct shell_scan *s);
/* A line of a here-document is complete: no value may have made it the last one. */
void shell_check_line(struct shell_scan *s);
/* How many of heres have their body begun. */
uint32_t shell_bodies_begun(const struct shell_scan *s);

/* Says what is wrong at the last value, once. */
void shell_fail(struct shell_scan *s, const char *code, const char *message, const char *help);
void shell_fail_nul(struct shell_scan *s);

bool shell_is_digit(char c);
bool shell_is_name_char(char c);
bool shell_is_separator(char c); /* what ends a word */
