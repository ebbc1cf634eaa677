"""The `mmu` words over time on Debian's kernel: a copy-on-write, an mmap, a page that is writable and
executable, and flushes that are missing.

Each test is a function of the transcript list; TESTS and LONG_TESTS at the end name them all with the
host flags that they need.
"""

import json
import os
import re

import linuxguest
from linuxtests import Session, find_user_space, require
from vm import Failure

PAGE = 4096
# Names enough that the nearest one below an address of the kernel's memory management is right.
NAMES = "(.*pte.*|native_set_.*|.*_pmd|.*_page|.*_page_.*|.*fault.*|copy_.*|.*mmap.*|.*flush.*|.*populate.*)"
MMAP, MPROTECT, MUNMAP = 9, 10, 11  # numbers of system calls (Linux, arch/x86/entry/syscalls/syscall_64.tbl)
PROT_RW, PROT_RWX = 3, 7
POPULATED = 0x8022  # MAP_PRIVATE, MAP_ANONYMOUS, MAP_POPULATE
SYSCALL = b"\x0f\x05"


def mm_symbols(umbra):
    """SYMBOLS and the functions of NAMES, from the guest's shell."""
    symbols = linuxguest.read_symbols(umbra)
    umbra.send_uart(b"grep -E ' [tT] %s$' /proc/kallsyms; echo names-$((1+1))\n" % NAMES.encode())
    umbra.wait_uart(r"^names-2")
    for address, name in re.findall(r"^([0-9a-f]{16}) [tT] (\w+)\r?$", umbra.uart.text(), re.M):
        symbols.setdefault(name, int(address, 16))
    return symbols


def in_user_space(umbra, transcript):
    """A session on the shell's loop."""
    umbra.wait_uart(r"^linux: up")
    symbols = mm_symbols(umbra)
    umbra.send_uart(b"while :; do :; done\n")
    path = os.path.join(umbra.scratch, "mm.elf")
    linuxguest.write_elf(path, symbols, 0)
    session = Session(umbra, None, transcript, path)
    find_user_space(session)
    return session


def break_map_catches_a_copy_on_write(transcript):
    """A fork, seen from a page of the shell's stack: it is made read-only for both, and the first
    write copies it.  gdb names the function of the kernel at each stop."""
    with linuxguest.boot(1, "nokaslr guest=shell", is_held=False) as umbra, \
            in_user_space(umbra, transcript) as session:
        stack = session.value("$rsp") & -PAGE
        frame = re.search(r"gpa=(0x[0-9a-f]+)000 ", session.run("monitor mmu addr 0x%x" % stack))[1]
        session.run("monitor mmu break map 0x%x" % stack, "^break id=1 kind=map ")
        umbra.send_uart(b"\x03(:); echo done-$((1+1))\n")
        where = r"[\s\S]*received signal SIGTRAP.*\n.* in %s "
        session.run("continue", r"^mmu stop id=1 kind=map gva=0x%x change=rights u:rw- -> u:r-- cpu=0 rip="
                    % stack + where % "copy_page_range")
        session.run("continue", r"^mmu stop .* change=gone was gpa=%s000 u:r-- " % frame
                    + where % "ptep_clear_flush")
        answer = session.run("continue", r"^mmu stop .* change=present gpa=0x[0-9a-f]+ u:rw- "
                             + where % "native_set_pte")
        require("gpa=%s000 " % frame not in answer, "it is the same frame: " + answer)
        session.run("backtrace 4")
        session.run("monitor mmu why", "^mmu stop id=1 kind=map ")
        session.run("monitor mmu break delete all", "count=0")
        session.run("detach")
        umbra.wait_uart(r"^done-2")


def find_syscall(session):
    """The address of a SYSCALL instruction in the program that runs."""
    pc = session.value("$pc") & -PAGE
    for distance in range(256):
        for page in (pc + distance * PAGE, pc - distance * PAGE):
            answer = session.gdb.command("find /b1 0x%x, 0x%x, 0x0f, 0x05" % (page, page + PAGE - 1))
            match = re.match(r"(0x[0-9a-f]+)", answer)
            if match:
                return int(match[1], 16)
    raise Failure("the program has no SYSCALL instruction")


def start_call(session, place, number, *arguments):
    """The registers of a system call that is about to be made."""
    for name, value in zip(("rax", "rdi", "rsi", "rdx", "r10", "r8", "r9"), (number, *arguments)):
        session.run("set $%s = %d" % (name, value))
    session.run("set $pc = 0x%x" % place)


def records(session, word):
    return [json.loads(line) for line in session.run("monitor mmu %s -j" % word).splitlines()
            if line.startswith("{")]


def diff_shows_an_mmap_and_wx_stops(transcript):
    """The shell is made to map memory: `diff` shows the new pages and no others; a page that is
    writable and executable stops the machine; none was before."""
    with linuxguest.boot(1, "nokaslr guest=shell", is_held=False) as umbra, \
            in_user_space(umbra, transcript) as session:
        session.run("monitor mmu find wx", "^find what=wx found=0 ")
        require("x86/mm: Checked W+X mappings: passed" in umbra.uart.text(), "the kernel found some")
        place = find_syscall(session)
        session.run("monitor mmu snap before", "^snap name=before ")
        start_call(session, place, MMAP, 0, 3 * PAGE, PROT_RW, POPULATED, -1, 0)
        session.run("tbreak *0x%x" % (place + len(SYSCALL)))
        session.run("continue", "Temporary breakpoint")
        address = session.value("$rax")
        session.run("monitor mmu diff before")
        diff = records(session, "diff before")
        require(diff.pop() == {"kind": "differences", "count": len(diff)}, "the last record")
        pages = set()
        for record in diff:
            require(record["change"] == "added" and record["rights"] == "u:rw-", str(record))
            # The table was new: where it was hung in is the last write that was seen.
            session.run("info symbol " + record["by"]["rip"], "^native_set_p(te|md|ud|4d) ")
            pages |= set(range(int(record["gva"], 0), int(record["gva"], 0) + int(record["len"], 0), PAGE))
        require(pages == set(range(address, address + 3 * PAGE, PAGE)), "pages: %r" % sorted(pages))
        start_call(session, place, MUNMAP, address, 3 * PAGE)
        session.run("tbreak *0x%x" % (place + len(SYSCALL)))
        session.run("continue", "Temporary breakpoint")
        session.run("monitor mmu diff before", "^differences count=0$")
        stack = session.value("$rsp") & -PAGE
        start_call(session, place, MPROTECT, stack, PAGE, PROT_RWX)
        session.run("monitor mmu break wx", "^break id=1 kind=wx ")
        session.run("continue", r"^mmu stop id=1 kind=wx gva=0x%x gpa=0x[0-9a-f]+ u:rwx cpu=0 .*"
                                r"[\s\S]*received signal SIGTRAP.*\n.* in \w*pte\w* " % stack)
        session.run("monitor mmu find wx", "gva=0x0*%x[\\s\\S]*^find what=wx found=1 " % stack)
        session.run("kill")


def a_boot_misses_no_flush(transcript):
    """Two processors from the first instruction to a shell that forks: the kernel's flushes are all
    there, shootdowns included, and the detector sees that."""
    with linuxguest.boot(2, "nokaslr guest=shell") as umbra, \
            Session(umbra, linuxguest.linked_symbols(), transcript) as session:
        session.run("monitor mmu hazard on", "^hazards on=1 reports=0 ")
        token = session.gdb.start("continue")
        umbra.wait_uart(r"^linux: up, 2 cpus")
        umbra.send_uart(b"for i in 1 2 3 4; do ls -l / | sort | cat; done; echo done-$((1+1))\n")
        umbra.wait_uart(r"^done-2")
        session.gdb.interrupt()
        session.gdb.finish(token)
        answer = session.run("monitor mmu hazard", "^hazards on=1 reports=0 ")
        uses, flushes = map(int, re.search(r"uses=(\d+) flushes=(\d+)", answer).groups())
        require(uses > 10000 and flushes > 100, "it saw nothing: " + answer)
        session.run("kill")


TESTS = [
    (break_map_catches_a_copy_on_write, "soft:time"),
    (diff_shows_an_mmap_and_wx_stops, "soft:time"),
]
LONG_TESTS = [
    (a_boot_misses_no_flush, "soft:time"),
]
