"""LLDB drives a guest: attach, breakpoints, watchpoints, steps, calls, memory."""

import os
import re
import shutil
import subprocess

from rawtests import require
from vm import GUESTS, PATIENCE_S, Skip, Umbra

LLDB = os.environ.get("LLDB", "lldb-14")


def lldb(umbra, commands, transcript):
    """What LLDB prints for each of @commands, after it loaded the guest's symbols and attached.
    It echoes each command, does one after the other, and ends at the first that fails."""
    if not shutil.which(LLDB):
        raise Skip(LLDB + " is not installed")
    script = ["target create " + umbra.symbols, "process connect connect://" + umbra.address, *commands]
    arguments = [LLDB, "--no-lldbinit", "--batch", "--no-use-colors", "--script-language", "none"]
    for command in script:
        arguments += ["-o", command]
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=3 * PATIENCE_S, check=False, cwd=GUESTS)
    text = result.stdout
    transcript += [" ".join(arguments), text, result.stderr]
    answers = []
    for command in script:
        mark = "(lldb) %s\n" % command
        require(mark in text, "LLDB did not come to `%s`, but said:\n%s%s" %
                (command, text[-2000:], result.stderr))
        answer, text = text.split(mark, 1)
        answers.append(answer)
    answers.append(text)
    return answers[3:]


def expect(umbra, steps, transcript):
    """@steps are pairs of a command and what its answer must match."""
    answers = lldb(umbra, [command for command, _ in steps], transcript)
    for (command, pattern), answer in zip(steps, answers):
        require(re.search(pattern, answer, re.M), "%s: no /%s/ in:\n%s" % (command, pattern, answer))


SESSION = (
    ("breakpoint set -n shape_measure", r"Breakpoint 1: where = .*shape_measure"),
    ("continue", r"stop reason = breakpoint 1\.1"),
    ("bt", r"frame #2: .*main"),
    ("frame variable *shape", r"width = 4"),
    ("register read rip rbp", r"rip = 0x[0-9a-f]{16}"),
    ("register write rbx 0x1122334455667788", r""),
    ("register read rbx", r"rbx = 0x1122334455667788"),
    ("register read cr0 cs_limit lstar", r"cs_limit = 0xffffffff"),
    ("breakpoint delete 1", r"1 breakpoints deleted"),
    ("watchpoint set expression -w write -s 4 -- &shapes[1].area", r"Watchpoint created"),
    ("continue", r"stop reason = watchpoint 1"),
    ("watchpoint delete 1", r"1 watchpoints deleted"),
    ("thread step-inst", r"stop reason = instruction step"),
    ("thread step-over", r"stop reason = step over"),
    ("thread step-out", r"stop reason = step out"),
    ("expression factorial(5)", r"= 120"),
    ("expression weights[2] * 10 + shapes[0].width", r"= 34"),
    ("expression exit_status = 9", r"= 9"),
    ("memory read --size 4 --format d --count 1 &exit_status", r": 9\b"),
    ("memory region &weights", r"^\[0x[0-9a-f]+-0x0*1000000\) rwx"),
    ("memory region 0x900000000000", r"^\[0x0000900000000000-0xffffffffffffffff\) ---"),
    ("process detach", r"Process 1 detached"),
)


def lldb_session(transcript):
    """One of everything; then the guest ends as it was told to."""
    with Umbra("hello64") as umbra:
        expect(umbra, SESSION, transcript)
        status = umbra.wait_exit()
        require(status == 9, "the exit status is %d" % status)


def lldb_threads(transcript):
    """All threads come with each stop, so that LLDB asks for none of them."""
    with Umbra("smp2") as umbra:
        log = os.path.join(umbra.scratch, "packets")
        expect(umbra, (
            ("log enable -f %s gdb-remote packets" % log, r""),
            ("breakpoint set -n count_up", r"Breakpoint 1"),
            ("continue", r"stop reason = breakpoint"),
            ("thread list", r"thread #2"),
            ("thread select 2", r""),
            ("register read rbx", r"rbx = 0x"),
            ("process detach", r"detached"),
        ), transcript)
        with open(log, encoding="utf-8", errors="replace") as file:
            packets = file.read()
        transcript.append(packets)
        require("threads:p1.1,p1.2;thread-pcs:" in packets, "the stop named no threads")
        require("send packet: $jThreadsInfo" in packets, "LLDB did not ask for all threads at once")
        require(re.search(r"send packet: \$p[0-9a-f]+;thread:0002;", packets),
                "no register was read by its thread")


TESTS = [
    (lldb_session, "long64:watch-w"),
    (lldb_threads, ""),
]
