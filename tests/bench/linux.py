#!/usr/bin/env python3
"""Debian's kernel from its first line to user space, on the software CPU and on its peers.

    tests/bench/linux.py [--rounds N] [--cpus N] UMBRA

Prints for each engine the processor time and the time on the clock between the kernel's first line
and its init's, and how many instructions that are as umbra counts them.  Each figure is the median
of N rounds (default 3), in which the engines take turns.  QEMU boots the same kernel and initial
RAM disk on a PC without devices; what it does before the kernel's first line does not count.
Exit status 77 when there is no kernel.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "gdb"))

import linuxguest  # noqa: E402
import vm  # noqa: E402
from machinetests import monitor  # noqa: E402
from rawtests import attach  # noqa: E402
from speed import cpu_seconds  # noqa: E402

LIMIT_S = 90
APPEND = "console=ttyS0 earlyprintk=ttyS0 nokaslr panic=-1"
FIRST, LAST = "Linux version", "linux: up"


def commands(umbra, cpus):
    """Name of an engine -> its command line."""
    guest = ["-m", "256M", "-smp", str(cpus), "-kernel", linuxguest.kernel(), "-initrd",
             linuxguest.initrd(), "-append", APPEND, "-serial", "stdio", "-no-reboot"]
    found = {"soft": [umbra, "-accel", "soft", "-gdb", "none", *guest]}
    qemu = shutil.which("qemu-system-x86_64")
    if qemu:
        base = [qemu, "-M", "pc", "-cpu", "qemu64", "-nodefaults", "-display", "none", *guest]
        found["tcg"] = base + ["-accel", "tcg"]
        found["tcg-icount"] = base + ["-accel", "tcg", "-icount", "shift=0"]
        if os.access("/dev/kvm", os.W_OK):
            found["kvm"] = base + ["-accel", "kvm"]
    return found


def run(command):
    """(processor time, time) from the first line to the last one; None when it did not come."""
    start = None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        limit = threading.Timer(LIMIT_S, process.kill)
        limit.start()
        try:
            for line in process.stdout:
                text = line.decode(errors="replace")
                now = cpu_seconds(process.pid), time.monotonic()
                if start is None and FIRST in text:
                    start = now
                if start is not None and LAST in text:
                    return now[0] - start[0], now[1] - start[1]
        finally:
            limit.cancel()
            process.kill()
    return None


def count_instructions(cpus):
    """Instructions of the whole boot, asked of umbra once init gave its shell."""
    with linuxguest.boot(cpus, "nokaslr guest=shell", is_held=False) as umbra:
        umbra.wait_uart("^" + LAST)
        with attach(umbra) as client:
            counts = re.findall(r"(\d+) instructions", monitor(client, "accel"))
    return sum(int(count) for count in counts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--cpus", type=int, default=1, help="processors (default 1)")
    parser.add_argument("umbra")
    options = parser.parse_args()
    if linuxguest.missing():
        print("linux: skipped, " + linuxguest.missing(), file=sys.stderr)
        return 77
    vm.UMBRA, vm.ACCEL = options.umbra, "soft"
    engines = commands(options.umbra, options.cpus)
    samples = {name: [] for name in engines}
    for number in range(options.rounds):
        for name, command in engines.items():
            print("linux, round %d: %s" % (number + 1, name), file=sys.stderr)
            if samples[name] is not None:
                sample = run(command)
                samples[name] = samples[name] + [sample] if sample else None
    print("linux, %d cpus     CPU s       s  soft takes" % options.cpus)
    soft = statistics.median(s[0] for s in samples["soft"])
    for name, rows in samples.items():
        if rows is None:
            print("%-14s  did not get there in %d s" % (name, LIMIT_S))
            continue
        seconds = [statistics.median(row[i] for row in rows) for i in (0, 1)]
        print("%-14s %8.2f %8.2f %10.2fx" % (name, *seconds, soft / seconds[0]))
    print("to the shell: %.3f * 10^9 instructions" % (count_instructions(options.cpus) / 1e9))
    return 0


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    sys.exit(main())
