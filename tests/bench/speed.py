#!/usr/bin/env python3
"""Raw speed of the software CPU beside other engines, on the same guest in the same run.

    tests/bench/speed.py UMBRA GUEST-ELF64 GUEST-MB32 NATIVE [ROUNDS]

Prints MIPS for each loop of guests/speed.c: instructions as umbra counts them (its time stamp
counter is the number of instructions), divided by the time between the guest's "begin" and "end"
lines.  Each engine's best of ROUNDS (default 2) counts; rounds take turns, so that a slow moment of
the host hits all of them.  A result that differs between engines is an error.
"""

import os
import re
import shutil
import subprocess
import sys
import time

LINE = re.compile(r"speed: (begin|end) (\w+)(?: ticks (0x\w+) count (0x\w+) result (0x\w+))?")
LIMIT_S = 300


def run_guest(command):
    """Name -> (seconds, ticks, result) of each loop, from the lines of the guest."""
    found = {}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True) as process:
        began = 0.0
        for line in process.stdout:
            now = time.monotonic()
            match = LINE.match(line)
            if match and match[1] == "begin":
                began = now
            elif match:
                found[match[2]] = (now - began, int(match[3], 16), int(match[5], 16))
            if line.startswith("speed: done"):
                break
        process.kill()
    return found


def run_native(command):
    """The same for the host's own processor."""
    text = subprocess.run(command, capture_output=True, text=True, check=True,
                          timeout=LIMIT_S).stdout
    words = [line.split() for line in text.splitlines()]
    return {name: (float(seconds), 0, int(result, 16)) for name, seconds, result in words}


def engines(umbra, elf, multiboot, native):
    found = {"soft": lambda: run_guest([umbra, "-accel", "soft", "-kernel", elf, "-gdb", "none",
                                        "-serial", "stdio"])}
    qemu = shutil.which("qemu-system-x86_64")
    if qemu:
        base = [qemu, "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
                "-kernel", multiboot, "-accel", "tcg"]
        found["tcg"] = lambda: run_guest(base)
        found["tcg-icount"] = lambda: run_guest(base + ["-icount", "shift=0"])
    found["native"] = lambda: run_native([native])
    return found


def merge(best, measured):
    for name, (seconds, ticks, result) in measured.items():
        if name not in best or seconds < best[name][0]:
            best[name] = (seconds, ticks, result)


def show(table):
    counts = {name: row[1] for name, row in table["soft"].items()}
    names = list(table)
    print("MIPS     " + "".join("%12s" % name for name in names) +
          "   soft/tcg  soft/icount")
    for loop, count in counts.items():
        mips = [count / table[name][loop][0] / 1e6 if loop in table[name] else None
                for name in names]
        ratio = [mips[0] / mips[names.index(peer)] if peer in names and mips[names.index(peer)]
                 else None for peer in ("tcg", "tcg-icount")]
        print("%-9s" % loop + "".join("%12s" % ("-" if m is None else "%.0f" % m) for m in mips) +
              "".join("%11s" % ("-" if r is None else "%.2f" % r) for r in ratio))


def check_results(table):
    for engine, rows in table.items():
        for loop, row in rows.items():
            if row[2] != table["soft"][loop][2]:
                sys.exit("%s computes %#x in %s, soft %#x" % (engine, row[2], loop,
                                                               table["soft"][loop][2]))


def main():
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    rounds = int(sys.argv[5]) if len(sys.argv) > 5 else 2
    found = engines(*sys.argv[1:5])
    table = {name: {} for name in found}
    for number in range(rounds):
        for name, run in found.items():
            print("round %d: %s" % (number + 1, name), file=sys.stderr)
            merge(table[name], run())
    show(table)
    check_results(table)


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    main()
