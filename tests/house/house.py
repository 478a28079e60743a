#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The house rules that a machine can hold. house.py ROOT GENERATED CHECK runs one of them (or "all")
and prints each breach as FILE:LINE: what; docs/architecture.md has the tables it reads."""
import os
import re
import subprocess
import sys

SOURCE_FOLDERS = ["parser", "core", "cache"]
EXTENSIONS = (".c", ".h", ".re", ".y")
FILE_LINES, FUNCTION_LINES = 1000, 100
BANNED = "strcpy strcat sprintf vsprintf strtok atoi atol atof gets alloca".split()
BAD_NAMES = {"util", "utils", "common", "misc", "helper", "helpers", "stuff"}
CHANGES = {("core/base/file.c", "passed")}  # counts where a test wants the process to die
THREADS_LIVE_IN = "core/base/workers.c"


class House:
    def __init__(self, root, generated):
        self.root, self.generated = root, generated
        self.breaches = []
        self.texts = {}

    def say(self, path, line, what):
        self.breaches.append(f"{path}:{line}: {what}")

    def files(self, folders=None):
        """Paths of C, re2c and Bison sources, from the root, sorted."""
        for top in folders or SOURCE_FOLDERS + ["tests"]:
            for folder, below, names in sorted(os.walk(os.path.join(self.root, top))):
                below.sort()
                for name in sorted(names):
                    if name.endswith(EXTENSIONS):
                        yield os.path.relpath(os.path.join(folder, name), self.root)

    def text(self, path):
        if path not in self.texts:
            with open(os.path.join(self.root, path), encoding="utf-8") as f:
                self.texts[path] = f.read()
        return self.texts[path]


TOKENS = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.S)


def blanked(text, keep_strings=False):
    """The text without comments (and strings), its lines where they were."""
    def blank(m):
        if keep_strings and m.group()[0] in "\"'":
            return m.group()
        return "\n" * m.group().count("\n") or " "
    return TOKENS.sub(blank, text)


def lines_with(text, pattern):
    for number, line in enumerate(text.split("\n"), 1):
        for m in re.finditer(pattern, line):
            yield number, m


def check_first_lines(house):
    for path in house.files():
        lines = house.text(path).split("\n")
        if path.endswith(".y") and lines[0].startswith("%"):
            lines = lines[1:]
        if lines[0] != "/* SPDX-License-Identifier: MIT */":
            house.say(path, 1, "the first line is not the SPDX line")
        elif not lines[1].startswith("/* "):
            house.say(path, 2, "the second line does not say what the file is")
        if path.endswith(".h") and "#pragma once" not in lines:
            house.say(path, 1, "a header without #pragma once")


def check_banned(house):
    pattern = r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\("
    for path in house.files():
        for number, m in lines_with(blanked(house.text(path)), pattern):
            house.say(path, number, f"{m.group(1)}() is banned")


def check_threads(house):
    pattern = r"\bpthread_\w+|<(?:pthread|stdatomic|threads)\.h>|\b_Atomic\b|\batomic_\w+|\b__(?:atomic|sync)_\w+"
    for path in house.files(SOURCE_FOLDERS):
        if path != THREADS_LIVE_IN:
            for number, m in lines_with(blanked(house.text(path)), pattern):
                house.say(path, number, f"{m.group()} belongs into {THREADS_LIVE_IN}")


def check_globals(house):
    """What is static does not change; what is not static and not a function is not there at all."""
    static = r"^\s*(?:static|_Thread_local)\s+(?!inline\b)([^(=;{]*?)\s*(?:=|;|\[)"
    extern = r"^(?!const\b)(?:(?:unsigned|struct|enum|union)\s+)*\w+\s+\**\w+(?:\[[^\]]*\])*\s*(?:=.*|;)$"
    for path in house.files(SOURCE_FOLDERS):
        text = blanked(house.text(path))
        for number, m in lines_with(text, static):
            before, star, behind = m.group(1).rpartition("*")
            name = m.group(1).split()[-1].lstrip("*")
            if "const" not in (behind if star else m.group(1)).split() and (path, name) not in CHANGES:
                house.say(path, number, f"'{m.group(1)}' can change")
        if path.endswith(".c"):
            for number, m in lines_with(text, extern):
                if not re.match(r"(typedef|extern|return|struct \w+;|enum \w+;|union \w+;)", m.group()):
                    house.say(path, number, f"'{m.group()}' is a global")


def check_names(house):
    for path in house.files():
        stem = os.path.basename(path).split(".")[0]
        if BAD_NAMES & set(re.split(r"[_-]", stem)):
            house.say(path, 1, "a name that says nothing of what is in the file")
        for number, m in lines_with(blanked(house.text(path)), r"^typedef\b.*?(\w+_t)\s*;"):
            house.say(path, number, f"{m.group(1)}: names that end in _t are POSIX's")


def check_file_lines(house):
    for path in house.files(SOURCE_FOLDERS):
        count = house.text(path).count("\n")
        if count > FILE_LINES:
            house.say(path, count, f"more than {FILE_LINES} lines")


def function_bounds(text):
    """First and last line of each function body, as clang-format lays it out."""
    begin = 0
    for number, line in enumerate(text.split("\n"), 1):
        if line == "{":
            begin = number
        elif line == "}" and begin:
            yield begin, number
            begin = 0


def check_function_lines(house):
    for path in house.files():
        text = house.text(path)
        # The rules of re2c and the productions of Bison are no function's lines.
        text = re.sub(r"/\*!.*?\*/", "", text, flags=re.S)
        if path.endswith(".y"):
            text = re.sub(r"^%%$.*?^%%$", "", text, flags=re.S | re.M)
        for begin, end in function_bounds(text):
            if end - begin - 1 > FUNCTION_LINES:
                house.say(path, begin, f"a function of {end - begin - 1} lines")


def check_headers_alone(house):
    for path in house.files(SOURCE_FOLDERS):
        if not path.endswith(".h"):
            continue
        command = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-Wall",
                   "-fsyntax-only", "-I", house.root, "-I", house.generated, "-x", "c", "-"]
        done = subprocess.run(command, input=f'#include "{path}"\n', text=True,
                              cwd=house.root, stderr=subprocess.PIPE, check=False)
        if done.returncode:
            house.say(path, 1, "does not compile alone:\n" + done.stderr)


# Tables of docs/architecture.md.

PAGE = "docs/architecture.md"


def table_rows(house, first_cell):
    """Rows of the tables whose first head cell is this, the head itself first, as (line, cells)."""
    inside = False
    for number, line in enumerate(house.text(PAGE).split("\n"), 1):
        if not line.startswith("|"):
            inside = False
            continue
        cells = [c.strip() for c in line.strip().strip("|").split("|")]
        if cells[0] == first_cell:
            inside = True
        if inside and not set(line) <= set("|-: "):
            yield number, cells


def code_words(cell):
    return re.findall(r"`([^`]+)`", cell)


def room_of(path):
    folder = os.path.dirname(path)
    return {"core/base": "base", "core/run": "run", "core/ui": "ui", "core/cli": "cli"}.get(folder, folder)


def module_rows(house):
    """{folder/name: line of its row}; a row with several names is one module in several files."""
    rows = {}
    for number, cells in table_rows(house, "module"):
        for name in code_words(cells[0]):
            path = os.path.join(code_words(cells[1])[0], name)
            if path in rows:
                house.say(PAGE, number, f"{path} has two rows")
            rows[path] = number
    return rows


def check_modules(house):
    """Each source file has its row, each row its files."""
    rows = module_rows(house)
    seen = {os.path.splitext(path)[0] for path in house.files(SOURCE_FOLDERS)}
    for path in sorted(seen - set(rows)):
        house.say(path, 1, f"has no row in {PAGE}")
    for path in sorted(set(rows) - seen):
        house.say(PAGE, rows[path], f"{path} has a row and no file")


def read_include_table(house):
    """{(from, to): rules}; a rule is (who, what), each a set of names or None for all. A module is
    named by any of its files."""
    allowed, head = {}, None
    for number, cells in table_rows(house, "from ↓ to →"):
        names = [c.strip("`").removeprefix("core/") for c in cells]
        if head is None:
            head = names[1:]
            continue
        for to, cell in zip(head, cells[1:]):
            rules = []
            for part in filter(None, (p.strip() for p in cell.split(";"))):
                who, arrow, what = part.rpartition("→")
                if part in ("yes", "own"):
                    rules.append((None, None))
                elif code_words(what):
                    rules.append((set(code_words(who)) if arrow else None, set(code_words(what))))
                else:
                    house.say(PAGE, number, f"the cell '{cell}' is not understood")
            allowed[names[0], to] = rules
    if not allowed:
        house.say(PAGE, 1, "has no include table")
    return allowed


def includes_of(house, path):
    return lines_with(blanked(house.text(path), keep_strings=True), r'^\s*#\s*include\s+"([^"]+)"')


def check_includes(house):
    allowed = read_include_table(house)
    rows = module_rows(house)
    parts = {path: {os.path.basename(p) for p in rows if rows[p] == rows[path]} for path in rows}
    known = set(house.files(SOURCE_FOLDERS))
    known |= {p[:-2] + ".h" for p in known if p.endswith(".y")}
    for path in house.files(SOURCE_FOLDERS):
        first = True
        for number, m in includes_of(house, path):
            target = m.group(1)
            own = os.path.splitext(path)[0] + ".h"
            if target not in known:
                house.say(path, number, f"'{target}' is not written from the root")
                continue
            if path.endswith(".c") and first and own in known and target != own:
                house.say(path, number, "its own header comes first")
            first = False
            rules = allowed.get((room_of(path), room_of(target)), [])
            if not any((who is None or who & parts.get(os.path.splitext(path)[0], set()))
                       and (what is None or os.path.basename(target) in what)
                       for who, what in rules):
                house.say(path, number, f"may not include {target}")


def check_libraries(house):
    """Foreign headers stand where the page's table of libraries says, and nowhere else."""
    places = {}
    for _, cells in table_rows(house, "library"):
        for header in code_words(cells[1]):
            places[header] = code_words(cells[2])
    if not places:
        house.say(PAGE, 1, "has no table of libraries")
    for path in house.files(SOURCE_FOLDERS):
        for number, m in lines_with(blanked(house.text(path)), r"^\s*#\s*include\s+<([^>]+)>"):
            for header, where in places.items():
                if (m.group(1) == header or (header.endswith("/") and m.group(1).startswith(header))) \
                        and not any(path == w or (w.endswith("/") and path.startswith(w)) for w in where):
                    house.say(path, number, f"<{m.group(1)}> belongs into {' '.join(where)}")


def find_circle(edges):
    """One circle as a list of nodes, or None; without recursion."""
    state = {}
    for start in sorted(edges):
        stack = [(start, iter(sorted(edges[start])))] if start not in state else []
        state.setdefault(start, "open")
        while stack:
            node, targets = stack[-1]
            target = next(targets, None)
            if target is None:
                state[node] = "done"
                stack.pop()
            elif state.get(target) == "open":
                path = [n for n, _ in stack]
                return path[path.index(target):] + [target]
            elif target not in state:
                state[target] = "open"
                stack.append((target, iter(sorted(edges.get(target, ())))))
    return None


def check_circles(house):
    """No circle of modules, a module being the files of one row."""
    rows = module_rows(house)
    edges, names = {}, {}
    for path in house.files(SOURCE_FOLDERS):
        x = os.path.splitext(path)[0]
        names.setdefault(rows.get(x, x), x)
        for _, m in includes_of(house, path):
            y = os.path.splitext(m.group(1))[0]
            if rows.get(x, x) != rows.get(y, y):
                edges.setdefault(str(rows.get(x, x)), set()).add(str(rows.get(y, y)))
    circle = find_circle(edges)
    if circle:
        names = {str(row): name for row, name in names.items()}
        house.say(PAGE, 1, "a circle: " + " → ".join(names.get(n, n) for n in circle))


CHECKS = {
    "first-lines": check_first_lines,
    "banned": check_banned,
    "threads": check_threads,
    "globals": check_globals,
    "names": check_names,
    "file-lines": check_file_lines,
    "function-lines": check_function_lines,
    "headers-alone": check_headers_alone,
    "modules": check_modules,
    "includes": check_includes,
    "libraries": check_libraries,
    "circles": check_circles,
}


def run(root, generated, name):
    house = House(os.path.abspath(root), generated)
    for check in CHECKS.values() if name == "all" else [CHECKS[name]]:
        check(house)
    return house.breaches


def main():
    if len(sys.argv) != 4 or sys.argv[3] not in [*CHECKS, "all"]:
        sys.exit("usage: house.py ROOT GENERATED all|" + "|".join(CHECKS))
    breaches = run(*sys.argv[1:])
    print("\n".join(breaches) if breaches else "as it should be")
    sys.exit(1 if breaches else 0)


if __name__ == "__main__":
    main()
