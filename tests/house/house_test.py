#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each check of house.py passes on a small good tree, and sees each of the breaches made in it here."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import house  # noqa: E402

HEAD = "/* SPDX-License-Identifier: MIT */\n/* What it is. */\n"
PAGE = """
| module | folder | one line |
|---|---|---|
| `str` | `core/base` | text |
| `workers` | `core/base` | threads |
| `plan` `plan_why` | `core` | decides |

| from ↓ to → | base | parser | core |
|---|---|---|---|
| `core/base` | own | | |
| `core` | yes | `plan` → `parse.h`; `ast.h` | own |

| library | headers | only in |
|---|---|---|
| jansson | `jansson.h` `ssl/` | `core/base/str.c` |
"""
GOOD = {
    "docs/architecture.md": PAGE,
    "core/base/str.h": HEAD + "#pragma once\n#include <stddef.h>\nsize_t str_n(const char *s);\n",
    "core/base/str.c": HEAD + '#include "core/base/str.h"\n#include <jansson.h>\n',
    "core/base/workers.c": HEAD + "#include <pthread.h>\n",
    "core/plan.h": HEAD + "#pragma once\n",
    "core/plan.c": HEAD + '#include "core/plan.h"\n#include "core/plan_why.h"\n#include "core/base/str.h"\n',
    "core/plan_why.h": HEAD + "#pragma once\n",
    "core/plan_why.c": HEAD + '#include "core/plan_why.h"\n#include "core/plan.h"\n',
}


class HouseTest(unittest.TestCase):
    def breaches(self, check, changes):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**GOOD, **changes}.items():
                if text is not None:
                    path = os.path.join(root, path)
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, "w", encoding="utf-8") as f:
                        f.write(text)
            return house.run(root, root, check)

    def sees(self, check, path, text, words):
        found = self.breaches(check, {path: text})
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_good_tree_passes(self):
        self.assertEqual(self.breaches("all", {}), [])

    def test_first_lines(self):
        self.sees("first-lines", "core/plan.c", "/* What it is. */\n", "plan.c:1: the first line")
        self.sees("first-lines", "tests/x.c", HEAD.split("\n")[0] + "\nint x;\n", "x.c:2: the second line")
        self.sees("first-lines", "core/plan.h", HEAD, "without #pragma once")

    def test_banned(self):
        self.sees("banned", "tests/x.c", HEAD + "int f(void)\n{\n    strcpy(a, b);\n}\n", "x.c:5: strcpy()")
        quiet = HEAD + '/* no strcpy(a, b) */ // sprintf(x)\nchar *s = "gets(x)"; int my_strcpy(int);\n'
        self.assertEqual(self.breaches("banned", {"core/plan.c": quiet}), [])

    def test_threads(self):
        for line in ["#include <pthread.h>", "#include <stdatomic.h>", "_Atomic int x;", "atomic_load(x);"]:
            self.sees("threads", "core/plan.c", HEAD + line + "\n", "plan.c:3")

    def test_globals(self):
        for line in ["static int n;", "    static int n = 0;", "static const char *names[] = {", "static struct x all;",
                     "static _Thread_local int n;", "int n;", "struct x n = {0};", "char *n[3];"]:
            self.sees("globals", "core/plan.c", HEAD + line + "\n", "plan.c:3")
        for line in ["static const int n = 0;", "static const char *const names[] = {", "static int f(int a, int b);",
                     "static inline int f(void)", "static void f(struct x *y,", "int f(void);", "    int n;",
                     "struct x;", "extern const int n;", "const int n[2] = {",
                     "static _Noreturn void f(void)"]:
            self.assertEqual(self.breaches("globals", {"core/plan.c": HEAD + line + "\n"}), [], line)

    def test_names(self):
        self.sees("names", "core/str_util.c", HEAD, "says nothing")
        self.sees("names", "tests/helpers.h", HEAD, "says nothing")
        self.sees("names", "core/plan.c", HEAD + "typedef unsigned id_t;\n", "id_t")

    def test_lengths(self):
        self.sees("file-lines", "core/plan.c", HEAD + "\n" * 999, "more than 1000")
        self.assertEqual(self.breaches("file-lines", {"core/plan.c": HEAD + "\n" * 998}), [])
        body = "int f(void)\n{\n" + "    x++;\n" * 101 + "}\n"
        self.sees("function-lines", "core/plan.c", HEAD + body, "plan.c:4: a function of 101 lines")
        shorter = body.replace("    x++;\n", "", 1)
        self.assertEqual(self.breaches("function-lines", {"core/plan.c": HEAD + shorter}), [])

    def test_headers_alone(self):
        self.sees("headers-alone", "core/plan.h", HEAD + "#pragma once\nsize_t plan_n(void);\n", "compile alone")

    def test_modules(self):
        self.sees("modules", "parser/new.re", HEAD, "parser/new:1: has no row")
        self.sees("modules", "core/base/workers.c", None, "core/base/workers has a row and no file")
        self.sees("modules", "docs/architecture.md", PAGE.replace("| decides |", "| decides |\n| `plan` | `core` | x |"),
                  "two rows")

    def test_includes(self):
        tree = {"parser/parse.h": HEAD, "parser/ast.h": HEAD, "core/other.c": HEAD}

        def first(text, path):
            return self.breaches("includes", {**tree, path: HEAD + text})
        self.assertEqual(first('#include "core/plan.h"\n#include "parser/parse.h"\n', "core/plan.c"), [])
        self.assertEqual(first('#include "parser/parse.h"\n', "core/plan_why.h"), [])
        self.assertEqual(first('#include "parser/ast.h"\n', "core/other.c"), [])
        self.assertIn("may not include parser/parse.h", first('#include "parser/parse.h"\n', "core/other.c")[0])
        self.assertIn("may not include core/plan.h", first('#include "core/plan.h"\n', "core/base/str.h")[0])
        self.assertIn("from the root", first('#include "plan.h"\n', "core/other.c")[0])
        self.assertIn("its own header comes first", first('#include "core/base/str.h"\n#include "core/plan.h"\n', "core/plan.c")[0])
        self.assertIn("not understood", self.breaches("includes", {"docs/architecture.md": PAGE.replace("own |", "all |")})[0])

    def test_libraries(self):
        self.sees("libraries", "core/plan.c", HEAD + "#include <jansson.h>\n", "belongs into core/base/str.c")
        self.sees("libraries", "core/plan.c", HEAD + "#include <ssl/x.h>\n", "belongs into core/base/str.c")

    def test_circles(self):
        self.sees("circles", "core/base/str.h", HEAD + '#include "core/plan.h"\n', "a circle: ")
        self.sees("circles", "core/base/str.h", HEAD + '#include "core/plan_why.h"\n', "a circle: ")


if __name__ == "__main__":
    unittest.main()
