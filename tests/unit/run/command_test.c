/* SPDX-License-Identifier: MIT */
/* Which texts need no shell, held against the shell itself. */
#include "core/base/arena.h"
#include "core/run/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* The words joined by '|', or "-" where a shell is needed. */
static const char *split(struct arena *a, struct str script)
{
    char **argv;
    if (!job_split_simple(a, script, &argv)) {
        return "-";
    }
    struct str all = STR("");
    for (uint32_t i = 0; argv[i]; i++) {
        all = str_join3(a, all, i ? STR("|") : STR(""), str_from(argv[i]));
    }
    return str_c(a, all);
}

static void assert_split(const char *script, const char *want)
{
    struct arena a = {0};
    assert_string_equal(split(&a, str_from(script)), want);
    arena_free(&a);
}

static void command_of_plain_words_needs_no_shell(void **state)
{
    (void)state;
    assert_split("python3 train.py --lr=0.1 -x a/b:c,d@e+f%g",
                 "python3|train.py|--lr=0.1|-x|a/b:c,d@e+f%g");
    assert_split("  \n\tcp a b\n\n", "cp|a|b");
    assert_split("cp 'a b' \"c $ d\"", "-");
    assert_split("cp 'a $b`' \"c d\" e'f'\"g\"h ''", "cp|a $b`|c d|efgh|");
    assert_split("python3 a \\\n    --b c\\\nd", "python3|a|--b|cd");
    assert_split("\\\ncp a", "cp|a");
    assert_split("./tool 'two\nlines'", "./tool|two\nlines");
    assert_split("caf\xc3\xa9 \xe2\x82\xac", "caf\xc3\xa9|\xe2\x82\xac");
    assert_split("env A=b cp", "env|A=b|cp");
    assert_split("'cp' a", "cp|a");
}

static void command_with_any_doubt_needs_a_shell(void **state)
{
    (void)state;
    const char *const texts[] = {
        "",      "  ",    "a; b",    "a && b", "a | b",    "a > b",     "a < b",      "a &",
        "a\nb",  "a $b",  "a ${b}",  "a `b`",  "a \"$b\"", "a \"`b`\"", "a \"\\\\\"", "a *",
        "a b?",  "a [b]", "a ~",     "a ~/b",  "a {b,c}",  "a #b",      "#b",         "a \\ b",
        "a b\\", "(a)",   "! a",     "{ a; }", "A=b",      "A=b c",     "a=",         "'A'=b c",
        "a 'b",  "a \"b", "'' a",    "\"\"",   "%1",       "a !b",      "a ^b",       "a\r",
        "a\r\n", "a\vb",  "a b=~/c", "\\\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_split(texts[i], "-");
    }
    struct arena a = {0};
    assert_string_equal(split(&a, STR("a\0b")), "-");
    arena_free(&a);
}

static void command_that_a_shell_has_inside_needs_it(void **state)
{
    (void)state;
    const char *const words[] = {
        "echo", ":",       ".",    "[",      "[[",    "true",   "false", "test",  "printf",
        "cd",   "exec",    "exit", "export", "set",   "if",     "while", "until", "for",
        "case", "while",   "time", "kill",   "wait",  "ulimit", "umask", "pwd",   "read",
        "type", "command", "eval", "trap",   "unset", "source", "alias", "in",    "function",
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s a", words[i]);
        assert_split(text, "-");
        snprintf(text, sizeof text, "'%s'", words[i]);
        assert_split(text, "-");
    }
}

/* Whatever is taken for plain, the shell must see in the same words. */
static void command_words_are_those_of_the_shell(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "a",  "b c", "'",     "\"",      "\\\n",     "\\", "\n", " ",  "\t", "=",
        "$x", "%",   "x'y'z", "\"p q\"", "\xc3\xa9", "''", "#",  "~",  "*",  "-f",
        "/",  "{",   "!",     ",",       ":",        ";",  "1",  "2>", "@",  "+",
    };
    unsigned seed = 7;
    int plain = 0;
    for (int round = 0; round < 20000; round++) {
        struct arena a = {0};
        struct str text = STR("w");
        for (int i = 0; i < 6; i++) {
            seed = seed * 1103515245u + 12345u;
            text = str_join3(&a, text,
                             str_from(pieces[(seed >> 16) % (sizeof pieces / sizeof *pieces)]),
                             STR(""));
        }
        char **argv;
        if (job_split_simple(&a, text, &argv) && plain++ < 150) {
            struct str script = str_join3(
                &a, STR("f() { for x; do printf '%s|' \"$x\"; done; }; f "), text, STR(""));
            assert_int_equal(setenv("PAWL_TEST_SCRIPT", str_c(&a, script), 1), 0);
            FILE *shell = popen("/bin/sh -e -c \"$PAWL_TEST_SCRIPT\"", "r");
            char got[1024] = {0};
            size_t n = fread(got, 1, sizeof got - 1, shell);
            assert_int_equal(pclose(shell), 0);
            struct str want = str_join3(&a, str_from(split(&a, text)), STR("|"), STR(""));
            assert_int_equal(n, want.n);
            assert_string_equal(got, want.s);
        }
        arena_free(&a);
    }
    assert_true(plain > 100);
}

static void assert_interpreter(const char *script, const char *want)
{
    struct arena a = {0};
    char **argv;
    uint32_t count;
    bool ok = command_split_interpreter(&a, str_from(script), 2, &argv, &count);
    assert_int_equal(ok, want != NULL);
    struct str all = STR("");
    for (uint32_t i = 0; ok && i < count; i++) {
        all = str_join3(&a, all, i ? STR("|") : STR(""), str_from(argv[i]));
    }
    if (ok) {
        assert_string_equal(str_c(&a, all), want);
        assert_null(argv[count]);
        assert_null(argv[count + 1]);
    }
    arena_free(&a);
}

static void command_interpreter_line_is_split_as_by_a_shell(void **state)
{
    (void)state;
    assert_interpreter("#!/bin/bash -euo pipefail\necho", "/bin/bash|-euo|pipefail");
    assert_interpreter("#! /usr/bin/env  python3 ", "/usr/bin/env|python3");
    assert_interpreter("#!/bin/x 'a b' \"c \\\" d\" e\\ f ''\n", "/bin/x|a b|c \" d|e f|");
    assert_interpreter("#!/bin/x \"a\\n\" 'b\\'\r\n", "/bin/x|a\\n|b\\");
    assert_interpreter("#!\necho", NULL);
    assert_interpreter("#!/bin/x 'a", NULL);
    assert_interpreter("echo", NULL);
}

static void command_is_found_in_path(void **state)
{
    (void)state;
    struct arena a = {0};
    char dir[] = "/tmp/pawl-command-XXXXXX";
    char text[128];
    assert_non_null(mkdtemp(dir));
    snprintf(text, sizeof text, "mkdir %s/bin && cp /bin/true %s/bin/tool && : >%s/bin/plain", dir,
             dir, dir);
    assert_int_equal(system(text), 0);
    snprintf(text, sizeof text, "/none:%s/bin:/bin", dir);
    assert_true(str_ends(str_from(command_find(&a, text, NULL, "tool")), STR("/bin/tool")));
    assert_null(command_find(&a, text, NULL, "plain"));
    assert_null(command_find(&a, text, NULL, "no-such-tool"));
    assert_null(command_find(&a, "", NULL, "no-such-tool"));
    assert_string_equal(command_find(&a, "bin", dir, "tool"), "bin/tool");
    assert_null(command_find(&a, "bin", NULL, "tool"));
    snprintf(text, sizeof text, "%s/bin", dir);
    assert_string_equal(command_find(&a, ":/none", text, "tool"), "./tool");
    snprintf(text, sizeof text, "rm -r %s", dir);
    assert_int_equal(system(text), 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(command_of_plain_words_needs_no_shell),
        cmocka_unit_test(command_with_any_doubt_needs_a_shell),
        cmocka_unit_test(command_that_a_shell_has_inside_needs_it),
        cmocka_unit_test(command_words_are_those_of_the_shell),
        cmocka_unit_test(command_interpreter_line_is_split_as_by_a_shell),
        cmocka_unit_test(command_is_found_in_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
