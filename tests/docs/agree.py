#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the documents against the program and its sources: agree.py PAWL CHECK. Checks are the functions below."""
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OPTION = re.compile(r"^  (?:-(\w), |    )--([\w-]+)(?: (\S+))? ", re.M)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def sources():
    for folder, _, names in os.walk(ROOT):
        below = os.path.relpath(folder, ROOT).split(os.sep)[0]
        if below in ("core", "parser", "cache"):
            for name in names:
                if name.endswith((".c", ".h", ".re", ".y")):
                    yield os.path.relpath(os.path.join(folder, name), ROOT)


def documents():
    return ["README.md"] + ["docs/" + n for n in sorted(os.listdir(ROOT + "/docs")) if n.endswith(".md")] + [
        "docs/decisions/" + n for n in sorted(os.listdir(ROOT + "/docs/decisions"))]


def output_of(pawl, *arguments):
    return subprocess.run([pawl, *arguments], stdout=subprocess.PIPE, check=True, text=True).stdout


def commands_of(pawl):
    part = output_of(pawl, "--help").split("Commands:")[1].split("Options of")[0]
    return re.findall(r"^  (\w+) ", part, re.M)


def differ(what, documented, actual):
    return [f"{what}: not documented: '{x}'" for x in sorted(actual - documented)] + [
        f"{what}: documented, and not there: '{x}'" for x in sorted(documented - actual)]


# A code is the first text of a diagnostic, whichever function makes it.
SAID = re.compile(r'\b(?:diag_\w+|build_notice|\w*(?:say|fail|wrong|note|complain|refuse|damaged|told?)\w*)\('
                  r'[^";{}]*?"([a-z][a-z0-9]*(?:-[a-z0-9]+)*)"\s*[,)]')
DIAG = re.compile(r'\b(?:diag_(?:error|warning|errno)|build_notice)\([^";{}]*?"([a-z][a-z0-9]*(?:-[a-z0-9]+)*)"')


def check_codes(_):
    """Each code that a diagnostic or a notice can have stands in docs/errors.md, and no other."""
    said, surely = set(), set()
    for path in sources():
        text = read(path)
        said |= set(SAID.findall(text)) | set(re.findall(r'"([a-z][a-z0-9]*(?:-[a-z0-9]+)+)"', text))
        surely |= set(DIAG.findall(text))
    documented = set(re.findall(r"^#+ `([a-z0-9-]+)`", read("docs/errors.md"), re.M))
    return [f"docs/errors.md: not documented: '{x}'" for x in sorted(surely - documented)] + [
        f"docs/errors.md: documented, and nowhere in the sources: '{x}'" for x in sorted(documented - said - surely)]


def check_options(pawl):
    """docs/pawl.1 has each command's options, as --help tells them."""
    page = read("docs/pawl.1")
    items, _, options = page.partition("The options are as follows.")
    wrong, all_options = [], set()
    for command in commands_of(pawl):
        found = re.search(rf"^\.It Cm {command}\b.*?(?=^\.It Cm |^\.El)", items, re.M | re.S)
        if not found:
            wrong.append(f"docs/pawl.1: no command '{command}'")
            continue
        takes = OPTION.findall(output_of(pawl, command, "--help"))
        all_options |= {(letter, name, bool(argument)) for letter, name, argument in takes}
        wrong += differ(f"docs/pawl.1, {command}", set(re.findall(r"^\.Fl -([\w-]+)", found.group(), re.M)) - {""},
                        {name for _, name, _ in takes})
    listed = set()
    for line in re.findall(r"^\.It (?=.*Fl -)(.*)$", options.partition(".Sh ")[0], re.M):
        m = re.fullmatch(r"(?:Fl (\w) , )?Fl -([\w-]+)( .+)?", line)
        listed.add((m.group(1) or "", m.group(2), bool(m.group(3))))
    return wrong + differ("docs/pawl.1, options", {str(x) for x in listed}, {str(x) for x in all_options})


def check_commands(pawl):
    """docs/language.md names each command."""
    text = read("docs/language.md").partition("\n## Commands")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`pawl .*?) \|", text, re.M) for name in re.findall(r"`pawl \[?(\w+)", row)}
    return differ("docs/language.md, Commands", named, set(commands_of(pawl)))


def check_words(_):
    """docs/language.md and the page of section 5 have each word of the grammar and each function."""
    grammar = read("parser/grammar.y").partition("%%")[0]
    words = {x for line in re.findall(r"^%token (?:<\w+>)?(.*(?:\n {2,}.*)*)", grammar, re.M)
             for x in re.findall(r'[A-Z_]+ "([a-z]+)"', line)}
    functions = set(re.findall(r'^\s+\{"([a-z]+)",\s+"\1\(', read("core/function.c"), re.M))
    wrong = [] if len(words) > 25 and len(functions) > 15 else ["grammar.y or function.c is not understood any more"]
    for path in ("docs/language.md", "docs/pawl-pipelinefile.5"):
        text = read(path)
        wrong += [f"{path}: '{x}' is missing" for x in sorted(words | functions) if not re.search(rf"\b{x}\b", text)]
    return wrong


def check_pages(_):
    """mandoc has nothing to say about the man pages."""
    if not shutil.which("mandoc"):
        print("skipped: there is no mandoc")
        sys.exit(77)
    wrong = []
    for page in ("docs/pawl.1", "docs/pawl-pipelinefile.5"):
        said = subprocess.run(["mandoc", "-T", "lint", os.path.join(ROOT, page)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False, text=True).stdout
        # Whether the pages that they refer to are installed here is no matter.
        wrong += [x for x in said.splitlines() if "referenced manual not found" not in x and "mandoc.db" not in x]
    return wrong


def anchor(heading):
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def check_links(_):
    """Links lead to files that are there, and to headings that they have."""
    wrong = []
    for path in documents():
        text = re.sub(r"^( *)```.*?^\1```", "", read(path), flags=re.M | re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target, _, heading = link.partition("#")
            if "://" in target:
                continue
            to = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
            if not os.path.exists(os.path.join(ROOT, to)):
                wrong.append(f"{path}: '{link}' leads nowhere")
            elif heading and heading not in {anchor(x) for x in re.findall(r"^#+ (.*)$", read(to), re.M)}:
                wrong.append(f"{path}: there is no heading for '{link}'")
    return wrong


def main():
    pawl, check = sys.argv[1:]
    wrong = globals()["check_" + check](pawl)
    if wrong:
        print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
