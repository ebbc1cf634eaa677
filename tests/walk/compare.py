#!/usr/bin/env python3
"""Random table sets: umbra's walks, probes and maps against a walker in Python; prints TAP.

    tests/walk/compare.py PROGRAM [--count N] [--seed S]
"""

import argparse
import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "gdb"))

import walker  # noqa: E402

RAM, HIGH, HIGH_BYTES = 0x10000, 0x1000000000, 0x2000
FAULTS = ("ok", "noncanon", "notpresent", "reserved", "bus")  # enum x86_walk_fault
PAGES_LIMIT = 2000


def memory(entries):
    """read() over frames of which only some 8-byte units are not zero."""
    frames = {}
    for address, value in entries:
        frame = frames.setdefault(address & ~0xfff, bytearray(0x1000))
        frame[address & 0xfff:(address & 0xfff) + 8] = value.to_bytes(8, "little")
    empty = bytes(0x1000)

    def read(address, length):
        if not (address + length <= RAM or HIGH <= address and
                address + length <= HIGH + HIGH_BYTES):
            return None
        offset = address & 0xfff
        return frames.get(address & ~0xfff, empty)[offset:offset + length]
    return read


def check_probe(regs, read, row):
    va, access, cpl, ac, vector, error, _level, gpa, size, fault, fault_level = row
    expected = walker.probe(regs, read, va, access, cpl, ac)
    if expected != ((vector, error) if vector else None):
        return "probe %r: %r" % (row, expected)
    try:
        page = walker.walk(regs, read, va)
    except walker.Fault as mine:
        if (mine.kind, mine.level) != (FAULTS[fault], fault_level):
            return "walk %r: %s at level %d" % (row, mine.kind, mine.level)
        return None
    if (page.gpa | va & (page.size - 1), page.size) != (gpa, size):
        return "walk %r: %r" % (row, page)
    return None


def check_ranges(regs, read, rows):
    found = walker.pages(regs, read, PAGES_LIMIT)
    mine = [(gva, gpa, length, size, w | u << 1 | x << 2, count)
            for gva, gpa, length, (size, u, w, x), count in walker.ranges(found)]
    theirs = [tuple(row) for row in rows]
    return None if mine == theirs else "map: %r, should be %r" % (theirs[:5], mine[:5])


def check_set(line):
    data = json.loads(line)
    cr0, cr3, cr4, efer, pkru, maxphy = data["regs"]
    regs = walker.Registers(cr0, cr3, cr4, efer, pkru, maxphy, None)
    read = memory(data["mem"])
    for row in data["probes"]:
        wrong = check_probe(regs, read, row)
        if wrong:
            return wrong
    return check_ranges(regs, read, data["ranges"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print("1..1", flush=True)
    done = 0
    command = [options.program, str(options.seed), str(options.count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        for line in process.stdout:
            wrong = check_set(line)
            if wrong:
                process.kill()
                print("not ok 1 - walker\n# set %d of seed %d: %s\n# %s" % (
                    done, options.seed, wrong, line.decode().strip()))
                return 1
            done += 1
        if process.wait() != 0 or done != options.count:
            print("not ok 1 - walker\n# the program ended after %d sets" % done)
            return 1
    print("ok 1 - walker: %d table sets" % done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
