#!/usr/bin/env python3
"""Keep the arrows in compiled code, where no #include betrays a call; and no mutable globals.

Usage: check-archives.py LAYERS.TXT FOLDER=ARCHIVE...

Prints one line per violation.  Exit status: 0 clean, 1 violations, 2 the table is wrong.
"""
import re
import subprocess
import sys

from layers import Table, TableError

# Sections whose contents may change while umbra runs; .data.rel.ro is constant once relocated.
MUTABLE = re.compile(r"\.(data|bss|tdata|tbss)(?!\.rel\.ro)(\.|$)|\*COM\*")
# objdump -t: value, seven flag characters, section, size, name.
SYMBOL = re.compile(r"^[0-9a-f]{16} (.{7}) (\S+)\t[0-9a-f]+ +(?:\.hidden )?(\S+)$")
MEMBER = re.compile(r"^(\S+\.o): ")


class Archive:
    """What one archive defines and what it leaves undefined."""

    def __init__(self, folder, path):
        self.folder = folder
        self.defined = set()
        self.undefined = {}
        self.mutable = {}
        listing = subprocess.run(["objdump", "-t", path], check=True, text=True,
                                 stdout=subprocess.PIPE).stdout
        member = path
        for line in listing.splitlines():
            if MEMBER.match(line):
                member = MEMBER.match(line).group(1)
            elif SYMBOL.match(line):
                self.add(member, *SYMBOL.match(line).groups())

    def add(self, member, flags, section, name):
        """One line of the symbol table of @member."""
        if section == "*UND*":
            self.undefined.setdefault(name, member)
            return
        if flags[0] in "gu!" or flags[1] == "w":
            self.defined.add(name)
        # Thread-local variables have no type here; section symbols have a "d".
        is_object = flags[6] == "O" or (section.startswith(".t") and "d" not in flags)
        if is_object and MUTABLE.match(section):
            # A static in a function has a number after its name.
            self.mutable[re.sub(r"\.\d+$", "", name)] = member


def check_arrows(table, archives):
    """A complaint for each symbol that comes from a folder that may not be used."""
    owner = {name: archive.folder for archive in archives for name in archive.defined}
    for archive in archives:
        for name, member in sorted(archive.undefined.items()):
            target = owner.get(name)
            if target and target != archive.folder and target not in table.targets(archive.folder):
                yield f"{archive.folder}/{member}: must not use {name} of {target}"


def check_state(table, archives):
    """A complaint for each mutable global without a row, and for each row without one."""
    found = set()
    for archive in archives:
        for name, member in sorted(archive.mutable.items()):
            found.add((archive.folder, name))
            if (archive.folder, name) not in table.state:
                yield f"{archive.folder}/{member}: {name} is mutable and global"
    built = {archive.folder for archive in archives}
    for folder, name in sorted(set(table.state) - found):
        if folder in built:
            yield f"'state {name} in {folder}' is stale: no such variable"


def main():
    """See the head of this file."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        table = Table(sys.argv[1])
    except TableError as error:
        print(error)
        sys.exit(2)
    archives = [Archive(*argument.split("=", 1)) for argument in sys.argv[2:]]
    complaints = [*check_arrows(table, archives), *check_state(table, archives)]
    print("".join(complaint + "\n" for complaint in complaints), end="")
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
