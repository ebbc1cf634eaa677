"""Tracepoints and conditions on Debian's kernel.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags that
they need.
"""

import os
import re

import linuxguest
from linuxtests import Session, picture, require

HITS = 100000
FRAME = 64  # bytes of the stack in each frame

# One tracepoint at a call, and one that steps, through whatever interrupts come.
# As a file, for gdb takes the lines of `actions` from a file or a terminal only.
TRACEPOINT = """trace *_raw_spin_lock
actions
collect $regs, *(unsigned char *)$rsp@%d
end
trace *__x64_sys_execve
actions
while-stepping 2000
collect $rip
end
end
""" % FRAME


def start_trace(session):
    path = os.path.join(session.umbra.scratch, "tracepoint.gdb")
    with open(path, "w", encoding="utf-8") as file:
        file.write(TRACEPOINT)
    session.run("set trace-buffer-size 200000000")
    tracepoint = re.search(r"^Tracepoint (\d+) at", session.run("source " + path), re.M)[1]
    session.run("tstart")
    return tracepoint


def look_at_frames(session, tracepoint, hits):
    """Frames from all over the trace hold what was true then."""
    lock = session.value("&_raw_spin_lock")
    for number in (0, hits // 2, hits - 5000):
        session.run("tfind %d" % number, "^Found trace frame %d, tracepoint" % number)
        session.run("tfind tracepoint " + tracepoint, "^Found trace frame")
        require(session.value("$pc") == lock, "the pc of frame %d" % number)
        text = linuxguest.linked_symbols()["_text"]
        caller = session.value("*(unsigned long *)$rsp")
        require(text < caller < linuxguest.linked_symbols()["_end"], "the caller is %#x" % caller)
        session.run("output *(char *)($rsp + %d)" % FRAME, "Cannot access memory|unavailable")
    session.run("tfind none")


def run_to_the_end(transcript, is_traced):
    """A run from start_kernel to the guest's end: its last moment, and how often the function was
    called if it is traced."""
    hits = 0
    with linuxguest.boot(1, "nokaslr") as umbra, \
            Session(umbra, linuxguest.linked_symbols(), transcript) as session:
        session.run("hbreak start_kernel")
        session.run("continue", "Breakpoint .*start_kernel")
        session.run("delete")
        session.run("hbreak __x64_sys_reboot")
        if is_traced:
            tracepoint = start_trace(session)
        session.run("continue", "Breakpoint .*__x64_sys_reboot")
        last = picture(session, 1)
        if is_traced:
            status = session.run("tstatus", "Trace is running")
            hits = int(re.search(r"Collected (\d+) trace frames", status)[1])
            session.run("tstop")
            look_at_frames(session, tracepoint, hits)
        session.run("kill")
    return last, hits


def trace_100000_hits(transcript):
    """A function of the kernel that is called all the time is traced, and the run is the same."""
    plain, _ = run_to_the_end(transcript, False)
    traced, hits = run_to_the_end(transcript, True)
    require(hits >= HITS, "%d hits" % hits)
    require(plain == traced, "two runs differ:\n%s\n%s" % ("\n".join(plain), "\n".join(traced)))


TESTS = [
    (trace_100000_hits, "soft:time"),
]
