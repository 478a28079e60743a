/* SPDX-License-Identifier: MIT */
/* Values in shell text, held against real shells: whatever the value and wherever it stands, what arrives is
 * its text. Thousands of commands are run by one shell each, and one by one only where something differs. */
#include "core/function.h"
#include "core/shell.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A command with @ for the value, and what it prints, with @ for the value's text. */
struct pattern {
    const char *command, *prints;
};

static const struct pattern for_all[] = {
    {"printf '%s\\0' @", "@%"},
    {"printf '%s\\0' a@b", "a@b%"},
    {"printf '%s\\0' @@", "@@%"},
    {"printf '%s\\0' @ x@ @x", "@%x@%@x%"},
    {"printf '%s\\0' '@'", "@%"},
    {"printf '%s\\0' 'a @ b'@", "a @ b@%"},
    {"printf '%s\\0' \"@\"", "@%"},
    {"printf '%s\\0' \"a\\\"@\\\\@\\$@\"", "a\"@\\@$@%"},
    {"printf '%s\\0' \"$(printf '%s.' @)\"", "@.%"},
    {"printf '%s\\0' \"$(printf '%s.' a@)@\"", "a@.@%"},
    {"printf '%s\\0' \"$(printf '%s.' \"@\")\"", "@.%"},
    {"printf '%s\\0' \"$(printf '%s.' '@')\"", "@.%"},
    {"printf '%s\\0' \"x$(printf '%s' @\"$(printf '%s' '@.')\" # @)@(\n)\"", "x@@.%"},
    {"printf '%s\\0' \"$( ( printf '%s.' @ ) )\"'@'", "@.@%"},
    {"X=@; printf '%s\\0' \"$X\"", "@%"},
    {"X=a@:\"@\"; printf '%s\\0' \"$X\"", "a@:@%"},
    {"X=@ sh -c 'printf \"%s\\0\" \"$X\"'", "@%"},
    {": # comment @ 'it\nprintf '%s\\0' @", "@%"},
    {"printf '%s\\0' x#@", "x#@%"},
    {"printf '%s\\0' ${unset:-@}", "@%"},
    {"printf '%s\\0' ${unset:-a@\"b@\"'@'}", "a@b@@%"},
    {"printf '%s\\0' \"${unset:-@}\"", "@%"},
    {"printf '%s\\0' \"${unset-x@x}\"", "x@x%"},
    {"X='@x'; printf '%s\\0' ${X#@}", "x%"},
    {"X=y'@'; printf '%s\\0' ${X%@}", "y%"},
    {"X='@x'; printf '%s\\0' \"${X#@}@\" \"${X%'@x'}\"", "x@%%"},
    {"X=y'@'; cat <<EOF\n${X%@}${X##y@}\nEOF\nprintf '\\0'", "y\n%"},
    {"case @ in @) printf '%s\\0' @;; *) printf 'no\\0';; esac", "@%"},
    {"case \"@\" in '@') printf '%s\\0' @;; *) printf 'no\\0';; esac", "@%"},
    {"for i in @ a@; do printf '%s\\0' \"$i\"; done", "@%a@%"},
    {"if [ @ = '@' ]; then printf '%s\\0' @; fi", "@%"},
    {"printf '%s\\0' @>&1", "@%"},
    {"printf '%s\\0' 1@>&1", "1@%"},
    {"printf '%s\\0' @1>&1 @</dev/null", "@1%@%"},
    {"printf '%s\\0' $@", "$@%"},
    {"printf '%s\\0' a$@'$@'", "a$@$@%"},
    {"printf '%s\\0' \"$@\"", "$@%"},
    {"X=q; printf '%s\\0' $X@", "q@%"},
    {"X=q; printf '%s\\0' \"$X@ $X_@\"", "q@ @%"},
    {"X=q; printf '%s\\0' \"a$X@\"", "aq@%"},
    {"set -- q; printf '%s\\0' \"$1@\" $#@", "q@%1@%"},
    {"printf '%s\\0' \\@ \"\\@\"", "\\@%\\@%"},
    {"printf '%s\\0' \\\\@ \\\n@ \\'@", "\\@%@%'@%"},
    {"printf '%s\\0' [@]", "[@]%"},
    {"printf '%s\\0' @[x]*", "@[x]*%"},
    {"f() { printf '%s\\0' \"$1\"; }; f @; f '@'", "@%@%"},
    {"printf '%s\\0' ~@", "~@%"},
    {"(printf '%s\\0' @)|cat;{ printf '%s\\0' @;}", "@%@%"},
    {"cat <<EOF\na@b\nEOF\nprintf '\\0'", "a@b\n%"},
    {"cat <<EOF\n\\$x \\\\ @ '@' \"@\"\nEOF\nprintf '\\0'", "$x \\ @ '@' \"@\"\n%"},
    {"cat <<EOF\n@\nEOF\nprintf '%s\\0' @", "@\n@%"},
    {"cat <<'EOF'\na@ $x @b\nEOF\nprintf '%s\\0' @", "a@ $x @b\n@%"},
    {"cat <<\"E F\"\n@`\nE F\nprintf '%s\\0' '@'", "@`\n@%"},
    {"cat <<\\EOF\n@$(\nEOF\nprintf '%s\\0' '@'", "@$(\n@%"},
    {"cat <<-EOF\n\ta@b\n\tEOF\nprintf '%s\\0' @", "a@b\n@%"},
    {"cat <<-'EOF'\n\ta@b\n\t\tEOF\nprintf '%s\\0' @", "a@b\n@%"},
    {"cat <<A; cat <<'B' #@\na@\nA\n@b$x'\nB\nprintf '%s\\0' @", "a@\n@b$x'\n@%"},
    {"cat - <<A /dev/null | cat\na@\nA\nprintf '%s\\0' @", "a@\n@%"},
    {"cat <<EOF\n$(printf '%s.' @)\nEOF\nprintf '%s\\0' @", "@.\n@%"},
    {"cat <<EOF\nx$(printf '%s.' \"@\" '@')@\nEOF\nprintf '\\0'", "x@.@.@\n%"},
    {"cat <<EOF\n\\@ $@ '$@'\nEOF\nprintf '\\0'", "\\@ $@ '$@'\n%"},
    {"X=q; cat <<EOF\n$X@\nEOF\nprintf '\\0'", "q@\n%"},
    {"printf '%s\\0' \"$(cat <<EOF\na@.\nEOF\n)\" @", "a@.%@%"},
    {"printf '%s\\0' \"$(cat <<'EOF'\na@.\nEOF\n)\" '@'", "a@.%@%"},
    {"(cat <<EOF\na@\nEOF\n) | while read -r x; do :; done; printf '%s\\0' @", "@%"},
    {"printf '%s\\0' `echo x` @", "x%@%"},
    {"printf '%s\\0' $(( (1 << 2) + 1 ))@ @", "5@%@%"},
    {"printf '%s\\0' \\\n  @ \\\n '@'", "@%@%"},
};

static const struct pattern for_bash[] = {
    {"printf '%s\\0' $'@'", "@%"},
    {"printf '%s\\0' $'\\'\\x41@'@", "'A@@%"},
    {"printf '%s\\0' $'\\x4@\\n'", "\x04@\n%"},
    {"[[ @ == '@' ]] && printf '%s\\0' @", "@%"},
    {"[[ '@' == @ && @ == \"@\" ]] && printf 'y\\0'", "y%"},
    {"if [[ -n @x ]]; then printf 'y\\0'; fi", "y%"},
    {"cat <(printf '%s' @.); printf '\\0'", "@.%"},
    {"cat <<<a@b; printf '\\0'", "a@b\n%"},
    {"printf '%s\\0' {a@,@b}", "a@%@b%"},
    {"printf '%s\\0' {@}", "{@}%"},
    {"printf '%s\\0' $\"@\"", "@%"},
    {"X='a@b'; Y=${X/a@/-}; printf '%s\\0' \"$Y\"", "-b%"},
    {"((x = 1 << 2)); printf '%s\\0' $x@", "4@%"},
};

static const char *const words[] = {
    "",         "-n",       "-rf",      "--",   "~",
    "~root",    "a=b",      "#x",       "*",    "?",
    "[a-z]",    "$HOME",    "`id`",     "\\",   "\\\\",
    "'",        "\"",       "'\\''",    "\n",   "a\n",
    "\n\n",     "2",        "12",       "if",   "case",
    "{a,b}",    "a,b",      "1..3",     "..",   "!",
    "\xc3\xa9", "\xff",     "$(x)",     "${x}", "\t",
    " a b ",    ";",        "&&",       "a:b",  "%1",
    "+",        "x y",      "a'b\"",    "$",    "`",
    "\\n",      "a\\",      "EO\nF",    "}",    ")",
    "(",        "|",        "<",        ">x",   "\xf0\x9f\xa7\xaa",
    "done",     "x\ty",     "\r\n",     "abc",  "/a/b.c",
    "0x1f",     "-0.5",     "\x81\x82", "esac", "\\\n",
    "a\\\nb",   "$'x'",     "$\"x\"",   "]",    "-",
    "=",        "\x7f\x01",
};

struct fixture {
    struct arena arena;
    struct diags diags;
    struct value_work work;
    char folder[64];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    arena_init(&f->arena);
    diags_init(&f->diags, &f->arena);
    f->work.arena = &f->arena;
    snprintf(f->folder, sizeof f->folder, "/tmp/shell_test.XXXXXX");
    *state = f;
    return mkdtemp(f->folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    rmdir(f->folder);
    arena_free(&f->arena);
    free(f);
    return 0;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static struct str random_text(struct arena *a, uint32_t *seed)
{
    static const char specials[] = "'\"\\$`\n\t *?[]{}()<>|&;#~=!%-+,.:/^@a1_";
    if (next_random(seed) % 2) {
        return str_from(words[next_random(seed) % COUNT(words)]);
    }
    size_t n = next_random(seed) % 10;
    char *s = arena_alloc(a, n + 1, 1);
    for (size_t i = 0; i < n; i++) {
        bool any = next_random(seed) % 4 == 0;
        s[i] = any ? (char)(1 + next_random(seed) % 255)
                   : specials[next_random(seed) % (sizeof specials - 1)];
    }
    return (struct str){s, n};
}

/* The pattern's text cut at each @. */
static struct value_parts parts_of(struct fixture *f, const char *text, const struct value *v)
{
    VEC(struct value_part) parts = {0};
    struct str rest = str_from(text), piece;
    bool first = true;
    while (str_cut(&rest, '@', &piece)) {
        if (!first) {
            *VEC_PUSH(&f->arena, &parts) = (struct value_part){.value = v};
        }
        first = false;
        if (piece.n > 0) {
            *VEC_PUSH(&f->arena, &parts) = (struct value_part){.text = piece};
        }
    }
    if (text[strlen(text) - 1] == '@') {
        *VEC_PUSH(&f->arena, &parts) = (struct value_part){.value = v};
    }
    return (struct value_parts){parts.at, parts.n};
}

static void put_wanted(struct buf *b, const char *prints, struct str text)
{
    for (; *prints; prints++) {
        if (*prints == '@') {
            buf_put_str(b, text);
        } else {
            buf_put_char(b, *prints == '%' ? '\0' : *prints);
        }
    }
}

static struct str run_shell(struct fixture *f, const char *shell, struct str script)
{
    struct str path = str_printf(&f->arena, "%s/script", f->folder);
    FILE *file = fopen(path.s, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(script.s, 1, script.n, file), script.n);
    fclose(file);
    struct str command = str_printf(&f->arena,
                                    "mkdir %s/empty && cd %s/empty && %s ../script </dev/null "
                                    "2>/dev/null; cd / ; rmdir %s/empty",
                                    f->folder, f->folder, shell, f->folder);
    FILE *out = popen(command.s, "r");
    assert_non_null(out);
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    char chunk[4096];
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, out)) > 0;) {
        buf_put(&b, chunk, n);
    }
    pclose(out);
    unlink(path.s);
    struct str text = str_copy(&f->arena, buf_str(&b));
    buf_free(&b);
    return text;
}

struct trial {
    struct str script, wanted;
    const char *pattern;
};

static void show(const char *what, struct str text)
{
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    str_put_json(&b, text);
    print_error("%s %.*s\n", what, STR_ARG(buf_str(&b)));
    buf_free(&b);
}

/* Which single trials fail, at most a few. */
static void blame(struct fixture *f, const char *shell, const struct trial *trials, size_t n)
{
    int shown = 0;
    for (size_t i = 0; i < n && shown < 5; i++) {
        if (trials[i].script.n == 0) {
            continue;
        }
        struct str got = run_shell(f, shell, trials[i].script);
        if (!str_eq(got, trials[i].wanted)) {
            print_error("%s: %s\n", shell, trials[i].pattern);
            show(" script", trials[i].script);
            show(" wanted", trials[i].wanted);
            show(" got   ", got);
            shown++;
        }
    }
}

static bool may_be_refused(struct str text)
{
    return str_has(text, '\n') || str_has(text, '\t');
}

static void add_trial(struct fixture *f, const struct pattern *p, enum shell_kind kind,
                      struct str text, struct trial *t)
{
    struct value v = value_string(text), out;
    const struct value_style style = {0};
    struct diags d;
    diags_init(&d, &f->arena);
    *t = (struct trial){.pattern = p->command};
    if (!shell_expand(&f->work, parts_of(f, p->command, &v), kind, &style, &out, &d)) {
        bool quoted = strstr(p->command, "\"${")
                      && (str_has(text, '\'') || str_find(text, STR("<(")) >= 0
                          || str_find(text, STR(">(")) >= 0);
        if (!quoted && (!may_be_refused(text) || strcmp(d.all.at[0].code, "here-document") != 0)) {
            show(p->command, text);
            fail_msg("refused: %.*s", STR_ARG(d.all.at[0].message));
        }
        return;
    }
    struct buf b;
    buf_init(&b, BUF_TEXT_LIMIT);
    put_wanted(&b, p->prints, text);
    t->wanted = str_copy(&f->arena, buf_str(&b));
    t->script = str_join3(&f->arena, out.text, STR("\n"), STR_NONE);
    buf_free(&b);
}

static void try_all(struct fixture *f, const char *shell, enum shell_kind kind, int rounds)
{
    VEC(struct trial) trials = {0};
    uint32_t seed = 7;
    size_t all = COUNT(for_all) + (kind == SHELL_BASH ? COUNT(for_bash) : 0);
    for (int round = 0; round < rounds; round++) {
        for (size_t i = 0; i < all; i++) {
            const struct pattern *p =
                i < COUNT(for_all) ? &for_all[i] : &for_bash[i - COUNT(for_all)];
            struct str text = random_text(&f->arena, &seed);
            add_trial(f, p, kind, text, VEC_PUSH(&f->arena, &trials));
        }
    }
    struct buf script, wanted;
    buf_init(&script, BUF_TEXT_LIMIT);
    buf_init(&wanted, BUF_TEXT_LIMIT);
    for (uint32_t i = 0; i < trials.n; i++) {
        buf_put_str(&script, trials.at[i].script);
        buf_put_str(&wanted, trials.at[i].wanted);
    }
    bool same = str_eq(run_shell(f, shell, buf_str(&script)), buf_str(&wanted));
    buf_free(&script);
    buf_free(&wanted);
    if (!same) {
        blame(f, shell, trials.at, trials.n);
    }
    assert_true(same);
}

static bool there_is(const char *shell)
{
    char path[32];
    snprintf(path, sizeof path, "/bin/%s", shell);
    if (access(path, X_OK) == 0) {
        return true;
    }
    print_message("no %s here\n", shell);
    return false;
}

static void shell_values_arrive_in_dash(void **state)
{
    if (there_is("dash")) {
        try_all(*state, "dash", SHELL_POSIX, 50);
    }
}

static void shell_values_arrive_in_bash(void **state)
{
    if (there_is("bash")) {
        try_all(*state, "LC_ALL=C.UTF-8 bash", SHELL_BASH, 50);
    }
}

static void shell_values_for_sh_arrive_in_bash(void **state)
{
    if (there_is("bash")) {
        try_all(*state, "LC_ALL=C bash --posix", SHELL_POSIX, 20);
    }
}

/* ---- exact texts and errors ---- */

static bool expand(struct fixture *f, const char *command, const struct value *v,
                   enum shell_kind kind, struct value *out)
{
    const struct value_style style = {.cwd = STR("work")};
    return shell_expand(&f->work, parts_of(f, command, v), kind, &style, out, &f->diags);
}

static struct value list_of(struct fixture *f, const char *const *texts)
{
    VEC(struct value) items = {0};
    for (; *texts; texts++) {
        *VEC_PUSH(&f->arena, &items) = value_string(str_from(*texts));
    }
    return (struct value){.kind = VALUE_LIST, .count = items.n, .items = items.at, .depth = 1};
}

static void assert_expands(struct fixture *f, const char *command, const struct value *v,
                           const char *wanted)
{
    struct value out;
    if (!expand(f, command, v, SHELL_POSIX, &out)) {
        fail_msg("%s: %.*s", command, STR_ARG(f->diags.all.at[f->diags.all.n - 1].message));
    }
    if (!str_eq(out.text, str_from(wanted))) {
        show(command, out.text);
    }
    assert_true(str_eq(out.text, str_from(wanted)));
}

static void shell_text_stays_readable(void **state)
{
    struct fixture *f = *state;
    static const char *const plain[] = {"a", "build/x.csv", "0.05", "5", "a-b_c", "a@b:c,d%", "-n"};
    for (size_t i = 0; i < COUNT(plain); i++) {
        struct value v = value_string(str_from(plain[i]));
        assert_expands(f, "go @ '@' \"@\"", &v,
                       str_printf(&f->arena, "go %s '%s' \"%s\"", plain[i], plain[i], plain[i]).s);
    }
    struct value v = value_string(STR("a b"));
    assert_expands(f, "go @", &v, "go 'a b'");
    v = value_int(2);
    assert_expands(f, "go @>x @ >y", &v, "go '2'>x 2 >y");
    assert_expands(f, "go $((@+1)) $((-@)) ${x#@}", &v, "go $((2+1)) $((-2)) ${x#'2'}");
    v = value_int(-2);
    assert_expands(f, "go $((1-@))", &v, "go $((1- -2))");
    v = value_path(STR("data/x y"), false);
    assert_expands(f, "go @", &v, "go '../data/x y'");
}

static void shell_lists_are_words(void **state)
{
    struct fixture *f = *state;
    static const char *const three[] = {"a", "b c", "", NULL}, *const none[] = {NULL};
    struct value v = list_of(f, three), empty = list_of(f, none), out;
    assert_expands(f, "go @;x", &v, "go a 'b c' '';x");
    assert_expands(f, "x $(go @) # \"@", &v, "x $(go a 'b c' '') # \"a b c ");
    assert_expands(f, "for i in @\ndo", &empty, "for i in \ndo");
    static const char *const wrong[] = {"go a@", "go @b", "go '@'",          "go \"@\"",
                                        "go @@", "x=@",   "cat <<E\n@\nE\n", "go ${x:-@}"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        if (expand(f, wrong[i], &v, SHELL_POSIX, &out)) {
            fail_msg("%s", wrong[i]);
        }
        const struct diag *d = &f->diags.all.at[f->diags.all.n - 1];
        assert_string_equal(d->code, "shell-list");
        assert_true(str_find(d->help, STR("join(")) >= 0 && str_find(d->help, STR("raw(")) >= 0);
    }
    v.items = (const struct value[]){value_int(2), value_int(3), value_int(4)};
    assert_expands(f, "go @>x", &v, "go '2' '3' '4'>x");
}

static void shell_refuses_where_places_cannot_be_told(void **state)
{
    struct fixture *f = *state;
    static const char *const cases[][3] = {
        {"go `ls @`", "a", "shell-place"},
        {"go \"`ls @`\"", "a", "shell-place"},
        {"go $(case x in a) echo @;; esac)", "a", "shell-place"},
        {"go $(if true; then case x in a) x;; esac; fi) @", "a", "shell-place"},
        {"go ${@}", "a", "shell-place"},
        {"go ${x@:-y}", "a", "shell-place"},
        {"go $((@))", "a b", "shell-place"},
        {"go $((@))", "", "shell-place"},
        {"go \"${x:-\"@\"}\"", "a", "shell-place"},
        {"cat <<E\n${x:-@}\nE\n", "a", "shell-place"},
        {"cat <<E@\nx\nE\n", "a", "shell-place"},
        {"cat <<E\n@\nE\n", "E", "here-document"},
        {"cat <<E\nx@\nE\n", "a\nE\nb", "here-document"},
        {"cat <<'E'\n@", "E", "here-document"},
        {"cat <<-E\n\t@\nE\n", "E", "here-document"},
        {"cat <<-E\n@\nE\n", "\tx", "here-document"},
        {"cat <<-E\nx@\nE\n", "a\n\tb", "here-document"},
        {"cat <<A <<B\nx\nA\n@\nB\n", "B", "here-document"},
        {"cat <<E\n$(go @)\nE\n", "a\nE\n", "here-document"},
        {"cat <<E\nE@\nE\n", "", "here-document"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct value v = value_string(str_from(cases[i][1])), out;
        if (expand(f, cases[i][0], &v, SHELL_POSIX, &out)) {
            fail_msg("%s", cases[i][0]);
        }
        assert_string_equal(f->diags.all.at[f->diags.all.n - 1].code, cases[i][2]);
    }
    static const char *const good[] = {"case x in a) echo @;; esac",
                                       "( case x in a) echo;; esac; go @ )",
                                       "go $(echo case) @",
                                       "go $(echo case @)",
                                       "go `ls` @",
                                       "# `@` case\ngo @",
                                       "go '`@`'"};
    for (size_t i = 0; i < COUNT(good); i++) {
        struct value v = value_string(STR("a")), out;
        if (!expand(f, good[i], &v, SHELL_POSIX, &out)) {
            fail_msg("%s", good[i]);
        }
    }
    struct value nul = value_string(STR("a\0b")), out;
    assert_false(expand(f, "go @", &nul, SHELL_POSIX, &out));
    assert_string_equal(f->diags.all.at[f->diags.all.n - 1].code, "nul-byte");
}

static struct value call(struct fixture *f, const char *name, const struct value *x)
{
    struct value_part arg = {.value = x};
    struct function_call c = {.name = str_from(name), .args = {&arg, 1}};
    struct value out;
    assert_true(function_apply(&f->work, &c, &out, &f->diags));
    return out;
}

static void shell_raw_is_shell_and_quote_is_done_already(void **state)
{
    struct fixture *f = *state;
    struct value x = value_string(STR("\"a b")), blank = value_string(STR("a b"));
    struct value raw = call(f, "raw", &x), quoted = call(f, "quote", &blank);
    const struct value_part parts[] = {
        {.text = STR("go ")}, {.value = &raw},      {.value = &blank},  {.text = STR("\" ")},
        {.value = &quoted},   {.text = STR(" \"")}, {.value = &quoted}, {.text = STR("\"")}};
    const struct value_style style = {0};
    struct value out;
    assert_true(shell_expand(&f->work, (struct value_parts){parts, 8}, SHELL_POSIX, &style, &out,
                             &f->diags));
    assert_true(str_eq(out.text, STR("go \"a ba b\" 'a b' \"a b\"")));
    assert_true(value_text(&f->work, (struct value_parts){&parts[4], 1}, &style, &out, &f->diags));
    assert_true(str_eq(out.text, STR("'a b'")));
    static const char *const two[] = {"a b", "c", NULL};
    struct value list = list_of(f, two), list_raw = call(f, "raw", &list);
    assert_expands(f, "go \"@\"", &list_raw, "go \"a b c\"");
    struct value list_quoted = call(f, "quote", &list);
    assert_expands(f, "go @", &list_quoted, "go 'a b' c");
    assert_true(str_eq(list_quoted.text, STR("'a b' c")));
}

static void shell_checks_places_of_late_values(void **state)
{
    struct fixture *f = *state;
    struct value probe = value_probe(&f->arena, 0, STR("p")), out;
    assert_true(expand(f, "go @ \"@\" $((@))", &probe, SHELL_POSIX, &out));
    assert_int_equal(out.kind, VALUE_LATE);
    assert_false(expand(f, "go `@`", &probe, SHELL_POSIX, &out));
    struct value raw = call(f, "raw", &probe);
    assert_int_equal(raw.kind, VALUE_LATE);
    assert_true(expand(f, "go `@`", &raw, SHELL_POSIX, &out));
}

static void shell_is_told_by_its_first_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum shell_kind kind;
    } cases[] = {
        {"go", SHELL_POSIX},
        {"#!/bin/sh\nx", SHELL_POSIX},
        {"#!/bin/bash -euo pipefail\n", SHELL_BASH},
        {"#! /usr/bin/env bash\n", SHELL_BASH},
        {"#!/usr/bin/env -S A=b bash -e\n", SHELL_BASH},
        {"#!/usr/bin/env\tdash\n", SHELL_POSIX},
        {"#!/usr/bin/env python3\n", SHELL_NONE},
        {"#!/usr/bin/python3 bash\n", SHELL_NONE},
        {"#!", SHELL_NONE},
        {"#!/bin/zsh", SHELL_BASH},
        {"# !/bin/bash", SHELL_POSIX},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (shell_kind_of(str_from(cases[i].text)) != cases[i].kind) {
            fail_msg("%s", cases[i].text);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(shell_text_stays_readable),
        TEST(shell_lists_are_words),
        TEST(shell_refuses_where_places_cannot_be_told),
        TEST(shell_raw_is_shell_and_quote_is_done_already),
        TEST(shell_checks_places_of_late_values),
        TEST(shell_is_told_by_its_first_line),
        TEST(shell_values_arrive_in_dash),
        TEST(shell_values_arrive_in_bash),
        TEST(shell_values_for_sh_arrive_in_bash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
