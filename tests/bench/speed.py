#!/usr/bin/env python3
"""Raw speed of the software CPU beside other engines, on the same guest in the same run.

    tests/bench/speed.py [--quick] [--rounds N] UMBRA GUEST ROM NATIVE

GUEST is the guest `speed` as a multiboot ELF32, ROM the same for Bochs, NATIVE its loops for this
processor.  Prints millions of instructions a second for each loop: instructions as umbra counts
them (its time stamp counter is their number), divided by the processor time that the engine used
between the guest's "begin" and "end" lines, so that what else the host does disturbs little.  The
rows of two loops count what these are about instead: port writes and page-table switches.

Each figure is the median of N rounds (default 5), in which the engines take turns.  A slow engine
runs a share of each loop.  A result that differs from umbra's for the same share is an error:
exit status 1.  --quick is one round of very short loops: everything is tried and checked, and the
figures mean nothing.
"""

import argparse
import re
import shutil
import subprocess
import sys
import threading
import time

import bochs

LINE = re.compile(r"speed: (begin|end) (\w+)(?: ticks (0x\w+) count (0x\w+) result (0x\w+))?")
LIMIT_S = 600
QUICK_SHARE = 1000
# Loops whose row counts turns, and what one is.
EVENTS = {"pio": "port writes, M/s", "cr3": "CR3 loads, M/s"}
RATIOS = ("tcg", "tcg-icount", "bochs")


class Sample:
    """One run of one loop."""

    def __init__(self, seconds, ticks, count, result):
        self.seconds = seconds
        self.ticks = ticks
        self.count = count
        self.result = result


class Program:
    """A guest in a process whose stdout is the UART: `pid`, and `uart`, a file of lines."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)
        self.pid = self.process.pid
        self.uart = self.process.stdout

    def kill(self):
        self.process.kill()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.wait()
        self.uart.close()


def cpu_seconds(pid):
    """The processor time of a process: Linux makes the clock's number of the pid."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def run_guest(start):
    """Name of a loop -> Sample, from the lines of the guest."""
    found = {}
    with start() as program:
        limit = threading.Timer(LIMIT_S, program.kill)
        limit.start()
        began = 0.0
        for line in program.uart:
            now = cpu_seconds(program.pid)
            match = LINE.match(line)
            if match and match[1] == "begin":
                began = now
            elif match:
                found[match[2]] = Sample(now - began, *(int(match[n], 16) for n in (3, 4, 5)))
            if line.startswith("speed: done"):
                break
        limit.cancel()
    return found


def run_native(program, share):
    """The same for the host's own processor, which measures itself."""
    text = subprocess.run([program, str(share)], capture_output=True, text=True, check=True,
                          timeout=LIMIT_S).stdout
    words = [line.split() for line in text.splitlines()]
    return {name: Sample(float(seconds), 0, 0, int(result, 16)) for name, seconds, result in words}


class Engine:
    """Something that runs the loops, and the share of them that it can do in a few seconds."""

    def __init__(self, run, share=1):
        self.run = run
        self.share = share
        self.rounds = []

    def sample(self, loop):
        """The median of the rounds; None: never done."""
        samples = sorted((done[loop] for done in self.rounds if loop in done),
                         key=lambda sample: sample.seconds)
        return samples[len(samples) // 2] if samples else None


def engines(options):
    """Name -> Engine, umbra first."""
    umbra = [options.umbra, "-accel", "soft", "-kernel", options.guest, "-gdb", "none",
             "-serial", "stdio", "-append"]
    found = {"soft": Engine(lambda share: run_guest(lambda: Program(umbra + [str(share)])))}
    qemu = shutil.which("qemu-system-x86_64")
    if qemu:
        tcg = [qemu, "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
               "-kernel", options.guest, "-accel", "tcg", "-append"]
        icount = ["-icount", "shift=0"]
        found["tcg"] = Engine(lambda share: run_guest(lambda: Program(tcg + [str(share)])))
        found["tcg-icount"] = Engine(
            lambda share: run_guest(lambda: Program(tcg + [str(share)] + icount)))
    program = bochs.find()
    if program:
        found["bochs"] = Engine(lambda share: run_guest(
            lambda: bochs.Bochs(program, options.rom, str(share))), 10)
    found["native"] = Engine(lambda share: run_native(options.native, share))
    return found


def measure(found, rounds):
    for number in range(rounds):
        for name, engine in found.items():
            print("round %d: %s" % (number + 1, name), file=sys.stderr)
            engine.rounds.append(engine.run(engine.share))


def references(found):
    """Share -> the samples of umbra, which say how many instructions and which result."""
    soft = found["soft"]
    known = {soft.share: {loop: soft.sample(loop) for loop in soft.rounds[0]}}
    for engine in found.values():
        if engine.share not in known:
            known[engine.share] = soft.run(engine.share)
    return known


def speed(engine, reference, loop):
    """Millions a second; None: not measured."""
    sample = engine.sample(loop)
    if not sample or sample.seconds <= 0:
        return None
    same = reference[engine.share][loop]
    return (same.count if loop in EVENTS else same.ticks) / sample.seconds / 1e6


def show(found, reference):
    peers = [name for name in RATIOS if name in found]
    print("MIPS                " + "".join("%12s" % name for name in found) +
          "".join("%16s" % ("soft:" + name) for name in peers))
    for loop in reference[found["soft"].share]:
        figures = {name: speed(engine, reference, loop) for name, engine in found.items()}
        print("%-20s" % EVENTS.get(loop, loop) +
              "".join("%12s" % ("-" if f is None else "%.*f" % (2 if f < 10 else 0, f))
                      for f in figures.values()) +
              "".join("%16s" % ("%.2f" % (figures["soft"] / figures[name])
                                if figures["soft"] and figures[name] else "-") for name in peers))


def wrong_results(found, reference):
    """One line for each loop that an engine did not do, or did with another result."""
    for name, engine in found.items():
        for loop, same in reference[engine.share].items():
            results = {done[loop].result for done in engine.rounds if loop in done}
            if name == "native" and loop in EVENTS:
                continue
            if results != {same.result}:
                yield "%s: %s computes %s, soft %#x" % (
                    loop, name, " ".join("%#x" % r for r in results) or "nothing", same.result)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    for name in ("umbra", "guest", "rom", "native"):
        parser.add_argument(name)
    options = parser.parse_args()
    found = engines(options)
    if options.quick:
        options.rounds = 1
        for engine in found.values():
            engine.share = QUICK_SHARE
    measure(found, options.rounds)
    reference = references(found)
    print("Raw speed: medians of %d rounds" % options.rounds)
    show(found, reference)
    problems = list(wrong_results(found, reference))
    if len(reference[found["soft"].share]) < len(EVENTS):
        problems.append("the guest did not run")
    print("".join(problem + "\n" for problem in problems), file=sys.stderr, end="")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
