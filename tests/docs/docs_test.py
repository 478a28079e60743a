#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sees that docs.py and agree.py tell what is wrong: docs_test.py PAWL."""
import os
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import agree  # noqa: E402
import docs  # noqa: E402

PAWL = os.path.abspath(sys.argv[1])


class Examples(unittest.TestCase):
    def run_text(self, text, bless=False):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/page.md"
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
            wrong = docs.run_document(PAWL, path, bless)
            with open(path, encoding="utf-8") as f:
                return wrong, f.read()

    def wrong(self, text):
        return self.run_text(text)[0]

    def test_output_that_matches_is_good(self):
        self.assertEqual(self.wrong("```console\n$ echo a; echo b\na\nb\n```\n"), [])

    def test_output_that_differs_is_told(self):
        for expected in ("a\n", "a\nb\nc\n", "b\na\n", "a\nx\n"):
            self.assertEqual(len(self.wrong(f"```console\n$ echo a; echo b\n{expected}```\n")), 1, expected)

    def test_order_matters_unless_it_is_said_not_to(self):
        self.assertEqual(self.wrong("```console unordered\n$ echo a; echo b\nb\na\n```\n"), [])

    def test_dots_stand_for_parts_of_lines_and_for_lines(self):
        self.assertEqual(self.wrong("```console\n$ echo one two three\none … three\n$ seq 9\n1\n…\n9\n```\n"), [])
        self.assertEqual(len(self.wrong("```console\n$ echo one two three\none … four\n```\n")), 1)
        self.assertEqual(len(self.wrong("```console\n$ seq 9\n1\n…\n8\n```\n")), 1)

    def test_times_and_digests_may_differ(self):
        self.assertEqual(self.wrong("```console\n$ echo 0.3s, 12.0s saved; echo 0123456789abcdef\n4m 2s\nfedcba9876543210\n```\n"), [])
        self.assertEqual(len(self.wrong("```console\n$ echo 3 steps\n4 steps\n```\n")), 1)

    def test_a_silent_failure_is_told(self):
        self.assertEqual(len(self.wrong("```console\n$ false\n```\n")), 1)
        self.assertEqual(self.wrong("```console\n$ echo no; exit 2\nno\n$ echo $?\n2\n```\n"), [])

    def test_files_and_folders_go_from_block_to_block(self):
        text = "```pipeline\nstep a { run \"true\" }\n```\n```text file: d/x\nhi\n```\n```console\n$ cd d\n```\n```console\n$ cat x\nhi\n$ pawl list -C ..\na\n```\n"
        self.assertEqual(self.wrong(text), [])
        self.assertEqual(len(self.wrong(text + "```console fresh\n$ cat x\nhi\n```\n")), 1)

    def test_bless_writes_what_came_out(self):
        wrong, text = self.run_text("a\n```console\n$ seq 2\nx\n$ echo …\n…\n```\nb\n", bless=True)
        self.assertEqual((len(wrong), text), (1, "a\n```console\n$ seq 2\n1\n2\n$ echo …\n…\n```\nb\n"))


class Agreement(unittest.TestCase):
    """Each check on a copy of the tree in which something was changed."""

    def setUp(self):
        self.root, self.top = agree.ROOT, tempfile.mkdtemp()
        for name in ("docs", "core", "parser", "cache"):
            shutil.copytree(f"{self.root}/{name}", f"{self.top}/{name}")
        shutil.copytree(self.root + "/samples", self.top + "/samples")
        shutil.copy(self.root + "/README.md", self.top)
        shutil.copy(self.root + "/LICENSE", self.top)
        agree.ROOT = self.top

    def tearDown(self):
        agree.ROOT = self.root
        shutil.rmtree(self.top)

    def told_more(self, check, path, pattern, text):
        before = set(check(PAWL))
        with open(f"{self.top}/{path}", encoding="utf-8") as f:
            old = f.read()
        new = re.sub(pattern, text, old, count=1, flags=re.M)
        self.assertNotEqual(old, new)
        with open(f"{self.top}/{path}", "w", encoding="utf-8") as f:
            f.write(new)
        self.assertTrue(set(check(PAWL)) - before)

    def test_a_code_without_an_entry(self):
        self.told_more(agree.check_codes, "docs/errors.md", "^### `no-output`$", "### no output")

    def test_an_entry_without_a_code(self):
        self.told_more(agree.check_codes, "docs/errors.md", "^### `no-output`$", "### `no-such-code`")

    def test_an_option_that_the_page_forgets(self):
        self.told_more(agree.check_options, "docs/pawl.1", r"^\.Fl -jobs ,\n", "")

    def test_an_option_that_is_not_explained(self):
        self.told_more(agree.check_options, "docs/pawl.1", r"^\.It Fl j , Fl -jobs Ar n$", ".It jobs")

    def test_a_command_that_is_not_told(self):
        self.told_more(agree.check_commands, "docs/language.md", r"^\| `pawl stats` .*\n", "")

    def test_a_function_that_is_not_told(self):
        self.told_more(agree.check_words, "docs/pawl-pipelinefile.5", r"^\.Fn stem path ,\n", "")

    def test_a_bad_macro(self):
        if shutil.which("mandoc"):
            self.told_more(agree.check_pages, "docs/pawl.1", r"^\.Sh FILES$", ".Shh FILES")

    def test_links_that_lead_nowhere(self):
        self.told_more(agree.check_links, "README.md", r"docs/tutorial\.md", "docs/tutoriel.md")
        self.told_more(agree.check_links, "docs/language.md", r"\(#tokens\)", "(#token)")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
