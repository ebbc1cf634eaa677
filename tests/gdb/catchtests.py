"""The guest's own events as stops: exceptions as signals, by `handle` and by `monitor catch`, what
$_siginfo says of them, ports and MSRs, and system calls.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.
"""

import os
import re

import linuxguest
from gdbdriver import Gdb
from rawtests import attach, register, require, symbols
from runtests import must_match, number, said
from vm import ACCEL, Skip, Umbra

RAX, RSI = 0, 4
UNMAPPED = 0x7fff12345000  # guests/faults.c
FAULTS = (  # signal, vector, error code, the function that makes it
    ("SIGFPE", 0, 0, "divide_by_zero"),
    ("SIGILL", 6, 0, "run_invalid_opcode"),
    ("SIGBUS", 13, 0xf8, "load_bad_selector"),
    ("SIGSEGV", 14, 2, "write_unmapped"),
)


def only_soft():
    if ACCEL != "soft":
        raise Skip("this back end catches nothing")

AS_LINUX = ["--gdb-arch", "x86-64-linux"]  # gdb knows $_siginfo and system calls by name then


def start(transcript, gdb, umbra, function="main"):
    for command in ("file " + umbra.symbols, "target remote " + umbra.address):
        said(transcript, gdb, command)
    said(transcript, gdb, "tbreak " + function)
    said(transcript, gdb, "continue")


# ---- exceptions --------------------------------------------------------------------------------------


def nothing_stops_by_default(transcript):
    """gdb wants to stop for SIGSEGV unless told otherwise; a kernel makes page faults all the time."""
    with Umbra("faults") as umbra, Gdb() as gdb:
        start(transcript, gdb, umbra)
        must_match(transcript, gdb, "continue", r"exited normally")
        require(umbra.wait_exit() == 0, "exit status")
        umbra.wait_uart("4 handled, 0 wrong")


def handle_decides(transcript):
    """What `handle` changed counts, and nothing else."""
    only_soft()
    with Umbra("faults") as umbra, Gdb() as gdb:
        start(transcript, gdb, umbra)
        said(transcript, gdb, "handle SIGSEGV nostop noprint")
        said(transcript, gdb, "stepi")
        must_match(transcript, gdb, "monitor catch", r"nothing is caught")
        said(transcript, gdb, "handle SIGSEGV stop print")
        said(transcript, gdb, "stepi")
        must_match(transcript, gdb, "monitor catch", r"\A#PF, vector 14\s*\Z")
        must_match(transcript, gdb, "continue", r"received signal SIGSEGV")
        said(transcript, gdb, "handle SIGSEGV nostop noprint")
        must_match(transcript, gdb, "continue", r"exited normally")
        umbra.wait_uart("4 handled, 0 wrong")


def each_exception_is_its_signal(transcript):
    """Stopped in front of the instruction, $_siginfo tells, and the guest's handler has it then."""
    only_soft()
    with Umbra("faults", extra=AS_LINUX) as umbra, Gdb() as gdb:
        start(transcript, gdb, umbra)
        must_match(transcript, gdb, "monitor catch signals", r"\A\Z")
        for signal, vector, error, function in FAULTS:
            must_match(transcript, gdb, "continue", "received signal %s" % signal)
            must_match(transcript, gdb, "info symbol $pc", "^%s " % function)
            require(number(transcript, gdb, "$_siginfo.si_code") == vector, "the vector")
            require(number(transcript, gdb, "$_siginfo.si_errno") == error, "the error code")
        require(number(transcript, gdb, "$_siginfo._sifields._sigfault.si_addr") == UNMAPPED, "cr2")
        umbra.wait_uart("vector 0xd")
        require("vector 0xe" not in umbra.uart.text(), "the handler has this one already")
        must_match(transcript, gdb, "stepi", r"signal handler called|0x")
        must_match(transcript, gdb, "continue", r"exited normally")
        umbra.wait_uart("4 handled, 0 wrong")


def fault_may_be_mended(transcript):
    """`signal 0` tries the instruction again: it faults again, and once it is mended it goes on."""
    only_soft()
    with Umbra("faults") as umbra, Gdb() as gdb:
        start(transcript, gdb, umbra)
        said(transcript, gdb, "monitor catch pf")
        must_match(transcript, gdb, "continue", r"cr2 0x7fff12345000[\s\S]*received signal SIGSEGV")
        must_match(transcript, gdb, "signal 0", r"received signal SIGSEGV")
        said(transcript, gdb, "set $rax = &fault_error")
        must_match(transcript, gdb, "signal 0", r"exited with code 01")
        umbra.wait_uart("3 handled")


def catch_by_packets(_transcript):
    """The tables as packets: only a change counts, an empty table is none, and another client starts
    from nothing."""
    only_soft()
    pf = symbols("faults.elf")["write_unmapped"]
    with Umbra("faults", extra=["--on-disconnect", "stay"]) as umbra:
        with attach(umbra) as client:
            for table in ("e;10;14", "", "e;10;14", "e;10;14;b", "", "e;10;14"):
                client.expect("QPassSignals:" + table, "OK")
            client.send("vCont;c")
            client.expect_packet("T0b.*thread:p1.1;.*")
            require(pf <= register(client, 16) < pf + 64, "another place")
            info = client.ask("qXfer:siginfo:read::0,80")
            require(len(info) == 129 and ord(info[1]) == 11 and ord(info[9]) == 14, repr(info))
            for again in ("vCont;c", "vCont;s:1"):
                client.send(again)
                client.expect_packet("T0b.*")
        with attach(umbra) as client:
            client.expect("QPassSignals:e;10;14", "OK")
            client.send("vCont;c")
            client.expect_packet("W00.*")


def kvm_says_that_it_cannot(transcript):
    if ACCEL == "soft":
        raise Skip("this back end can")
    with Umbra("faults") as umbra, Gdb() as gdb:
        start(transcript, gdb, umbra)
        for what in ("pf", "signals", "port 0x3f8", "msr 0x10"):
            must_match(transcript, gdb, "monitor catch " + what, r"-accel soft does")
        must_match(transcript, gdb, "monitor catch", r"nothing is caught")
        must_match(transcript, gdb, "continue", r"exited normally")


# ---- ports and MSRs ------------------------------------------------------------------------------------


def ports_and_msrs(transcript):
    """In front of the access, whose value is told; then it is made once."""
    only_soft()
    with Umbra("hello64") as umbra, Gdb() as gdb:
        start(transcript, gdb, umbra)
        must_match(transcript, gdb, "monitor catch port 0x3f8 w", r"\A\Z")
        for letter in "hell":
            must_match(transcript, gdb, "continue", r"about to write 0x%x to port 0x3f8, 1 bytes" % (
                ord(letter)))
            must_match(transcript, gdb, "x/i $pc", r"\bout\b")
        umbra.wait_uart("hel")
        require("hell" not in umbra.uart.text(), "the last one was made already")
        said(transcript, gdb, "monitor catch off")
        must_match(transcript, gdb, "monitor catch port 0x3fd r", r"\A\Z")
        must_match(transcript, gdb, "continue", r"about to read 1 bytes from port 0x3fd|exited normally")
        said(transcript, gdb, "monitor catch off")
        must_match(transcript, gdb, "continue", r"exited normally|not being run")
    with Umbra("hello64-mb") as umbra, Gdb() as gdb:
        said(transcript, gdb, "target remote " + umbra.address)
        must_match(transcript, gdb, "monitor catch msr 0xc0000080", r"\A\Z")
        must_match(transcript, gdb, "continue", r"about to (read|write .*) (to )?msr 0xc0000080")
        for wrong in ("port 70000", "port 5-4", "msr", "port 1 x", "45", "xyz", "pf gp"):
            must_match(transcript, gdb, "monitor catch " + wrong, r"usage|no exception|catch help")


# ---- system calls ----------------------------------------------------------------------------------------


def system_calls_of_a_linux_guest(transcript):
    """write(), of any process: its entry with its arguments, its return with its result."""
    only_soft()
    with linuxguest.boot(1, "nokaslr guest=shell", is_held=False) as umbra:
        umbra.wait_uart(r"^linux: up")
        umbra.wait_uart(r"# ")
        with attach(umbra) as client:
            client.expect("QCatchSyscalls:1;1", "OK")
            umbra.send_uart(b"echo answer-$((6 * 7))\n")
            for _ in range(200):
                client.send("vCont;c")
                client.expect_packet("T05syscall_entry:1;.*")
                require(register(client, RAX) == 1, "eax")
                text = bytes.fromhex(client.ask("m%x,9" % register(client, RSI)))
                client.send("vCont;c")
                client.expect_packet("T05syscall_return:1;.*")
                wrote = register(client, RAX)
                transcript.append("%r %d" % (text, wrote))
                if text == b"answer-42":
                    break
            require(text == b"answer-42" and wrote == 10, "never seen: the write of the answer")
            client.expect("QCatchSyscalls:0", "OK")
            client.expect("D", "OK")
        umbra.wait_uart(r"^answer-42")


def system_calls_of_a_linux_guest_by_gdb(transcript):
    """`catch syscall write`: gdb stops at the entry and at the return of each, and says its name."""
    only_soft()
    with linuxguest.boot(1, "nokaslr guest=shell", is_held=False, extra=AS_LINUX) as umbra, Gdb() as gdb:
        umbra.wait_uart(r"# ")
        said(transcript, gdb, "target remote " + umbra.address)
        said(transcript, gdb, "catch syscall write")
        umbra.send_uart(b"echo answer-$((6 * 7))\n")
        must_match(transcript, gdb, "continue", r"\(call to syscall write\)")
        must_match(transcript, gdb, "continue", r"\(returned from syscall write\)")
        said(transcript, gdb, "delete")
        said(transcript, gdb, "detach")
        umbra.wait_uart(r"^answer-42")


def catch_syscall_by_gdb(transcript):
    """gdb's own `catch syscall write` finds the packet."""
    only_soft()
    with Umbra("faults", extra=AS_LINUX) as umbra, Gdb() as gdb:
        start(transcript, gdb, umbra)
        must_match(transcript, gdb, "catch syscall write", r"Catchpoint 2 \(syscall 'write' \[1\]\)")
        answer = said(transcript, gdb, "maintenance packet QCatchSyscalls:1;400")
        require('"E16"' in answer, "a number past the last: " + answer)
        must_match(transcript, gdb, "continue", r"exited normally")


TESTS = [
    (nothing_stops_by_default, ""),
    (handle_decides, ""),
    (each_exception_is_its_signal, ""),
    (fault_may_be_mended, ""),
    (catch_by_packets, ""),
    (kvm_says_that_it_cannot, ""),
    (ports_and_msrs, ""),
    (catch_syscall_by_gdb, ""),
]
LINUX_TESTS = [
    (system_calls_of_a_linux_guest, ""),
    (system_calls_of_a_linux_guest_by_gdb, ""),
]
