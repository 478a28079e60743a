/* SPDX-License-Identifier: MIT */
/* From a job's text to the words that are executed. Whatever is not certainly plain is left to the shell. */
#include "core/run/command.h"

#include "core/base/arena.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Special builtins, reserved words and builtins of POSIX, dash and bash (the shells that /bin/sh may be).
 * Sorted for bsearch. */
static const char *const shell_words[] = {
    ".",       ":",        "[",         "[[",       "alias",  "bg",      "bind",     "break",
    "builtin", "caller",   "case",      "cd",       "chdir",  "command", "compgen",  "complete",
    "compopt", "continue", "coproc",    "declare",  "dirs",   "disown",  "do",       "done",
    "echo",    "elif",     "else",      "enable",   "esac",   "eval",    "exec",     "exit",
    "export",  "false",    "fc",        "fg",       "fi",     "for",     "function", "getopts",
    "hash",    "help",     "history",   "if",       "in",     "jobs",    "kill",     "let",
    "local",   "logout",   "mapfile",   "newgrp",   "popd",   "print",   "printf",   "pushd",
    "pwd",     "read",     "readarray", "readonly", "return", "select",  "set",      "shift",
    "shopt",   "source",   "suspend",   "test",     "then",   "time",    "times",    "trap",
    "true",    "type",     "typeset",   "ulimit",   "umask",  "unalias", "unset",    "until",
    "wait",    "whence",   "while",
};

static int word_cmp(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

static bool is_shell_word(const char *word)
{
    return bsearch(word, shell_words, sizeof shell_words / sizeof *shell_words, sizeof *shell_words,
                   word_cmp)
           != NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* Means itself wherever it stands without quotes. */
static bool is_plain(char c)
{
    unsigned char u = (unsigned char)c;
    return (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9') || u >= 0x80
           || (c && strchr("_-./,:+@%=", c));
}

/* The words being gathered; each ends in NUL within text. */
struct words {
    struct arena *a;
    VEC(char *) list;
    char *text; /* room for all: no word is longer than what it was read from */
    size_t n;
};

static void words_init(struct words *w, struct arena *a, size_t room)
{
    *w = (struct words){.a = a, .text = ARENA_ARRAY(a, char, 2 * room + 2)};
}

static char **words_end(struct words *w, uint32_t nulls)
{
    char **argv = ARENA_ARRAY(w->a, char *, w->list.n + nulls);
    if (w->list.n) {
        memcpy(argv, w->list.at, w->list.n * sizeof *argv);
    }
    return argv;
}

/* Where the quoted text that begins behind x[i] ends; x.n if it does not, or is not plain. */
static size_t quoted_end(struct str x, size_t i)
{
    char quote = x.s[i];
    for (i++; i < x.n; i++) {
        char c = x.s[i];
        if (c == quote) {
            return i;
        }
        if (c == '\0' || (quote == '"' && (c == '$' || c == '`' || c == '\\'))) {
            return x.n;
        }
    }
    return x.n;
}

/* A line break that a backslash takes back. */
static bool is_joined_line(struct str x, size_t i)
{
    return x.s[i] == '\\' && i + 1 < x.n && x.s[i + 1] == '\n';
}

/* One word from x[*i] on, up to a blank or line break; false: not plain. */
static bool take_plain_word(struct words *w, struct str x, size_t *i)
{
    char *word = w->text + w->n;
    bool assigns = false;
    size_t at = *i;
    while (at < x.n && !is_blank(x.s[at]) && x.s[at] != '\n') {
        char c = x.s[at];
        if (c == '\'' || c == '"') {
            size_t end = quoted_end(x, at);
            if (end == x.n) {
                return false;
            }
            memcpy(w->text + w->n, x.s + at + 1, end - at - 1);
            w->n += end - at - 1;
            at = end + 1;
        } else if (is_joined_line(x, at)) {
            at += 2;
        } else if (is_plain(c)) {
            assigns = assigns || c == '=';
            w->text[w->n++] = c;
            at++;
        } else {
            return false;
        }
    }
    w->text[w->n++] = '\0';
    *i = at;
    if (w->list.n == 0 && (assigns || word[0] == '\0' || word[0] == '%' || is_shell_word(word))) {
        return false;
    }
    *VEC_PUSH(w->a, &w->list) = word;
    return true;
}

static size_t skip_blanks(struct str x, size_t i)
{
    while (i < x.n && (is_blank(x.s[i]) || is_joined_line(x, i))) {
        i += is_blank(x.s[i]) ? 1 : 2;
    }
    return i;
}

bool job_split_simple(struct arena *a, struct str script, char ***argv)
{
    struct str x = str_trim(script);
    /* A backslash before the line break that was trimmed off would join nothing. */
    if (x.n == 0 || x.s[x.n - 1] == '\\' || str_has(script, '\r')) {
        return false;
    }
    struct arena_mark mark = arena_mark(a);
    struct words w;
    words_init(&w, a, x.n);
    for (size_t i = 0; i < x.n; i = skip_blanks(x, i)) {
        if (x.s[i] == '\n' || !take_plain_word(&w, x, &i)) {
            arena_reset(a, mark);
            return false;
        }
    }
    *argv = words_end(&w, 1);
    return true;
}

/* Inside "…" a backslash is one itself unless it takes away another's meaning. */
static bool takes_next(char quote, char next)
{
    return quote == 0
           || (quote == '"' && (next == '"' || next == '\\' || next == '$' || next == '`'));
}

static bool take_word(struct words *w, struct str x, size_t *i)
{
    *VEC_PUSH(w->a, &w->list) = w->text + w->n;
    char quote = '\0';
    size_t at = *i;
    for (; at < x.n && (quote || !is_blank(x.s[at])); at++) {
        char c = x.s[at];
        if (quote ? c == quote : (c == '\'' || c == '"')) {
            quote = (char)(quote ? 0 : c);
        } else if (c == '\\' && quote != '\'' && at + 1 < x.n && takes_next(quote, x.s[at + 1])) {
            w->text[w->n++] = x.s[++at];
        } else {
            w->text[w->n++] = c;
        }
    }
    w->text[w->n++] = '\0';
    *i = at;
    return quote == 0;
}

bool command_split_interpreter(struct arena *a, struct str script, uint32_t room, char ***argv,
                               uint32_t *count)
{
    struct str line;
    if (!str_starts(script, STR("#!")) || !str_cut(&script, '\n', &line)) {
        return false;
    }
    line = str_trim(str_tail(line, 2));
    if (line.n == 0 || str_has(line, '\0')) {
        return false;
    }
    struct words w;
    words_init(&w, a, line.n);
    for (size_t i = 0; i < line.n;) {
        if (!take_word(&w, line, &i)) {
            return false;
        }
        while (i < line.n && is_blank(line.s[i])) {
            i++;
        }
    }
    *count = w.list.n;
    *argv = words_end(&w, room);
    return true;
}

static bool is_program(const char *cwd, const char *path)
{
    int dir = cwd && path[0] != '/' ? open(cwd, O_PATH | O_DIRECTORY | O_CLOEXEC) : AT_FDCWD;
    struct stat st;
    bool is = fstatat(dir, path, &st, 0) == 0 && S_ISREG(st.st_mode)
              && faccessat(dir, path, X_OK, AT_EACCESS) == 0;
    if (dir >= 0) {
        close(dir);
    }
    return is;
}

const char *command_find(struct arena *a, const char *path, const char *cwd, const char *name)
{
    struct str rest = str_from(path);
    struct str entry;
    char file[PATH_MAX];
    size_t n = strlen(name);
    while (str_cut(&rest, ':', &entry)) {
        if (entry.n == 0) {
            entry = STR(".");
        }
        if (entry.n + n + 2 > sizeof file) {
            continue;
        }
        memcpy(file, entry.s, entry.n);
        file[entry.n] = '/';
        memcpy(file + entry.n + 1, name, n + 1);
        if (is_program(cwd, file)) {
            return str_c(a, str_from(file));
        }
    }
    return NULL;
}

const char *command_env(char *const *envp, const char *name)
{
    size_t n = strlen(name);
    for (; *envp; envp++) {
        if (strncmp(*envp, name, n) == 0 && (*envp)[n] == '=') {
            return *envp + n + 1;
        }
    }
    return NULL;
}
