#!/usr/bin/env python3
"""What the `mmu` words cost on a kernel that is up: Debian's, in its shell, on the software CPU.

    tests/bench/mmu.py [--rounds N] UMBRA

Prints for each word the time on the clock from the packet to the end of its answer, less that of
`monitor version`, and umbra's own processor time; each is the median of N rounds (default 50).
Then what watching costs: umbra's processor time for a load in the guest's shell before anything was
ever watched, with the trace on, with hazards on, and with both off again, in turn (bench_events measures
the events by themselves).
`mmu map` with a filter that nothing passes reads every table and tells nothing: the difference to
the plain one is text.  Exit status 77 when there is no kernel.
"""

import argparse
import os
import re
import statistics
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "gdb"))

import linuxguest  # noqa: E402
import vm  # noqa: E402
from machinetests import monitor  # noqa: E402
from rawclient import INTERRUPT  # noqa: E402
from rawtests import attach  # noqa: E402

WORDS = ("mmu walk 0xffffffff81000000", "mmu map --filter u,g", "mmu map", "mmu map -j",
         "mmu rmap 0x1000000", "mmu find wx", "mmu roots", "mmu tables", "mmu verify", "mmu dump --dot")


def cpu_ns(pid):
    """Processor time of all threads (proc(5), schedstat)."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task), encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total


def measure(umbra, client, word, rounds):
    """(time on the clock, processor time) of one answer in ms."""
    clock, cpu = [], []
    for _ in range(rounds):
        start = time.monotonic_ns(), cpu_ns(umbra.pid)
        monitor(client, word)
        clock.append((time.monotonic_ns() - start[0]) / 1e6)
        cpu.append((cpu_ns(umbra.pid) - start[1]) / 1e6)
    return statistics.median(clock), statistics.median(cpu)


def run_load(umbra, client, number):
    """Processor time, in ms, of one load in the guest's shell; it is stopped afterwards."""
    start = cpu_ns(umbra.pid)
    umbra.send_uart(b"for i in $(seq 40); do (/bin/true); done; echo load-%d-$((1+1))\n"
                    % number)
    client.send("vCont;c")
    umbra.wait_uart("^load-%d-2" % number)
    client.raw(INTERRUPT)
    client.expect_packet("T.*")
    return (cpu_ns(umbra.pid) - start) / 1e6


def trace_total(client):
    return int(re.search(r"events=(\d+)", monitor(client, "mmu trace"))[1])


def measure_watching(umbra, client, rounds):
    """Rows of (what, median of the processor time), and the events of a load."""
    run_load(umbra, client, 0)  # what the guest reads for the first time
    cost = {"nothing yet": [run_load(umbra, client, 1 + n) for n in range(rounds)],
            "trace on": [], "hazard on": [], "all off again": []}
    events = 0
    for n in range(rounds):
        before = trace_total(client)
        monitor(client, "mmu trace on")
        cost["trace on"].append(run_load(umbra, client, 1000 + n))
        monitor(client, "mmu trace off")
        events += trace_total(client) - before
        monitor(client, "mmu hazard on")
        cost["hazard on"].append(run_load(umbra, client, 2000 + n))
        monitor(client, "mmu hazard off")
        cost["all off again"].append(run_load(umbra, client, 3000 + n))
    rows = [(what, statistics.median(times)) for what, times in cost.items()]
    return rows, events / rounds


def tell_watching(umbra, client, rounds):
    rows, events = measure_watching(umbra, client, rounds)
    print("watching a load in the shell     CPU ms   factor")
    for what, cost in rows:
        print("%-30s %9.1f  %7.3f" % (what, cost, cost / rows[0][1]))
    print("%d events traced in a load" % events)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="rounds (default 50)")
    parser.add_argument("umbra")
    options = parser.parse_args()
    if linuxguest.missing():
        print("mmu: skipped, " + linuxguest.missing(), file=sys.stderr)
        return 77
    vm.UMBRA, vm.ACCEL = options.umbra, "soft"
    with linuxguest.boot(1, "nokaslr guest=shell", is_held=False) as umbra:
        umbra.wait_uart(r"^linux: up")
        umbra.send_uart(b"sleep 1000 & sleep 1000 & echo started-$((1+1))\n")
        umbra.wait_uart(r"^started-2")
        with attach(umbra) as client:
            base = measure(umbra, client, "version", options.rounds)
            print("mmu words, Linux in its shell      ms   CPU ms")
            for word in WORDS:
                clock, cpu = measure(umbra, client, word, options.rounds)
                print("%-30s %7.2f  %7.2f" % (word, clock - base[0], cpu - base[1]))
            tell_watching(umbra, client, max(3, options.rounds // 7))
    return 0


if __name__ == "__main__":
    sys.exit(main())
