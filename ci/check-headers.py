#!/usr/bin/env python3
"""Each header compiles alone, and twice in a row, as C with gcc and with clang.

Usage: check-headers.py ROOT [COMPILER...]

Prints each compiler's words about each header that fails.  Exit status: 0 clean, 1 failures.
"""
import concurrent.futures
import os
import subprocess
import sys

FLAGS = ("-std=gnu11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes"
         " -Wmissing-prototypes -Wcast-qual -Wpointer-arith -Wwrite-strings -Wundef -Wvla").split()
# The headers of these folders are written for the machine inside the guest.
FREESTANDING = ("guests",)
# rspstub.h must need nothing of umbra; the others may look where the build looks.
INCLUDES = {"gdbstub": [], "guests": ["-Iguests/lib"]}
DEFAULT_INCLUDES = ["-Iinclude", "-Igdbstub", "-Itests/lib"]


def headers(root):
    """Every header of the house, relative to @root, sorted."""
    found = []
    for top in ("include", "src", "gdbstub", "guests", "tests"):
        for directory, _, names in os.walk(os.path.join(root, top)):
            found += [os.path.relpath(os.path.join(directory, name), root)
                      for name in names if name.endswith(".h")]
    return sorted(found)


def compile_alone(root, compiler, header):
    """What @compiler says about @header; None when it accepts it."""
    top = header.split(os.sep, 1)[0]
    command = [compiler, *FLAGS, *INCLUDES.get(top, DEFAULT_INCLUDES)]
    if top in FREESTANDING:
        command.append("-ffreestanding")
    text = f'#include "{header}"\n' * 2
    # Seen from ROOT, so that "folder/x.h" is found; the header's own directory comes by itself.
    result = subprocess.run([*command, "-I.", "-x", "c", "-"], cwd=root, input=text, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if result.returncode == 0:
        return None
    return f"{header} does not compile alone with {compiler}:\n{result.stdout}"


def main():
    """See the head of this file."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    root = sys.argv[1]
    compilers = sys.argv[2:] or ["gcc", "clang"]
    jobs = [(compiler, header) for header in headers(root) for compiler in compilers]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda job: compile_alone(root, *job), jobs))
    failures = [result for result in results if result]
    print("".join(failures), end="")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
