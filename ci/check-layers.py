#!/usr/bin/env python3
"""Keep the arrows: who may include, call and name what, as ci/layers.txt says.

Usage: check-layers.py ROOT [LAYERS.TXT]

Prints "file:line: what is wrong" per violation.  Exit status: 0 clean, 1 violations, 2 the table
itself is wrong (an unknown folder, or arrows that form a circle).
"""
import os
import re
import sys

from layers import Table, TableError

SOURCE = (".c", ".h", ".S")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.M)
# Comments, strings and character constants; only strings are kept apart, for #include lines.
NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_of(text):
    """@text with comments and literals blanked out, line numbers kept."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    return NOISE.sub(blank, text)


def without_comments(text):
    """@text with comments blanked out and strings kept, for #include lines."""

    def blank(match):
        return match.group() if match.group()[0] in "\"'" else re.sub(r"[^\n]", " ", match.group())

    return NOISE.sub(blank, text)


def find_private(table, root, path, folder, header):
    """Where #include "@header" in @path leads, relative to @root, or None."""
    for directory in [os.path.dirname(path)] + table.search.get(folder, []):
        found = os.path.normpath(os.path.join(directory, header))
        if os.path.exists(os.path.join(root, found)):
            return found
    return None


def check_quoted(table, root, path, folder, header):
    """A complaint about #include "@header" in @path, or None."""
    if header.startswith("umbra/"):
        target = table.folder_of_public(header[len("umbra/"):])
        if target is None:
            return f"umbra/{header[6:]} belongs to no folder of ci/layers.txt"
    elif header == "rspstub.h":
        target = "gdbstub"
    else:
        own = find_private(table, root, path, folder, header)
        if own is None:
            return f'"{header}" is neither umbra/*.h nor a header of this folder'
        target = table.folder_of(own)
        if target != folder:
            return f'"{header}" reaches into the private headers of {target or os.path.dirname(own)}'
    if target != folder and target not in table.targets(folder):
        return f"{folder} must not include {header} of {target}"
    return None


def check_system(table, folder, header):
    """A complaint about #include <@header>, or None."""
    if header.startswith("umbra/") or header == "rspstub.h":
        return f'write "{header}": it is one of ours'
    if folder in table.system and header not in table.system[folder]:
        return f"{folder} must not include <{header}>"
    for rule in table.rules:
        if rule.kind == "header" and header.startswith(rule.pattern) and rule.binds(folder):
            return f"<{header}>: {rule.why}"
    return None


def check_file(table, root, path):
    """(line, complaint) for each violation in @path."""
    folder = table.folder_of(path)
    if folder is None:
        yield 1, "belongs to no folder of ci/layers.txt"
        return
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        text = file.read()
    for match in INCLUDE.finditer(without_comments(text)):
        line = text.count("\n", 0, match.start(2)) + 1
        if match.group(1) == '"':
            complaint = check_quoted(table, root, path, folder, match.group(2))
        else:
            complaint = check_system(table, folder, match.group(2))
        if complaint:
            yield line, complaint
    code = code_of(text)
    for rule in table.rules:
        if rule.kind == "header" or folder in table.free or not rule.binds(folder):
            continue
        for match in rule.regex.finditer(code):
            name = match.group().rstrip("( \t\n")
            yield code.count("\n", 0, match.start()) + 1, f"{name}: {rule.why}"


def sources(root):
    """Every source file that belongs to the house, sorted."""
    found = []
    for top in ("include", "src", "gdbstub", "guests"):
        for directory, _, names in os.walk(os.path.join(root, top)):
            found += [os.path.relpath(os.path.join(directory, n), root)
                      for n in names if n.endswith(SOURCE)]
    return sorted(found)


def main():
    """See the head of this file."""
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    root = sys.argv[1]
    layers = sys.argv[2] if len(sys.argv) == 3 else os.path.join(root, "ci/layers.txt")
    try:
        table = Table(layers)
    except TableError as error:
        print(error)
        sys.exit(2)
    violations = 0
    for path in sources(root):
        for line, complaint in check_file(table, root, path):
            print(f"{path}:{line}: {complaint}")
            violations += 1
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
