"""What was written for QEMU finds in umbra what it looks for: its requests, replayed."""

import os
import re
import tempfile

import vm
from gdbdriver import Gdb
from mmutests import ask_qemu, attach_gdb, program
from rawtests import require
from vm import GUESTS, Umbra

# What gdb-pt-dump, gef and pwndbg send to find out whether they talk to QEMU's system emulation, and
# what they read there; as `maintenance packet` and `monitor` of gdb print the answers.

FRIENDS = (  # command, what its answer must match
    ("maintenance packet Qqemu.sstepbits", r'^received: "ENABLE=1'),
    ("maintenance packet qOffsets", r'^received: ""'),
    ("maintenance packet qqemu.PhyMemMode", r'^received: "0"'),
    ("maintenance packet Qqemu.PhyMemMode:1", r'^received: "OK"'),
    ("maintenance packet Qqemu.PhyMemMode:0", r'^received: "OK"'),
    ("maintenance print target-stack", r"remote"),
    ("monitor info registers", r"^IDT=\s+([\da-fA-F]+)\s+([\da-fA-F]+)$"),
    ("monitor info registers", r"^GDT=\s+([\da-fA-F]+)\s+([\da-fA-F]+)$"),
    ("monitor gva2gpa 0x0", r"^gpa: 0x0$"),
)


def extensions_for_qemu_find_it(transcript):
    """And the host's address of the guest's memory, through which gdb-pt-dump reads the tables of a
    process that is called qemu-system..."""
    with tempfile.TemporaryDirectory(prefix="umbra-test-") as scratch:
        link = os.path.join(scratch, "qemu-system-x86_64")
        os.symlink(os.path.abspath(vm.UMBRA), link)
        with Umbra("hello64", program=link) as umbra, Gdb() as gdb:
            gdb.command("target remote " + umbra.address)
            for command, pattern in FRIENDS:
                answer = gdb.command(command)
                transcript.append("> %s\n%s" % (command, answer))
                require(re.search(pattern, answer, re.M), "%s: %s" % (command, answer))
            for line in gdb.command("monitor info mem").splitlines():
                span, size, rights = line.split()
                start, end = (int(part, 16) for part in span.split("-"))
                require(end - start == int(size, 16) and re.fullmatch("[-u]r[-w]", rights), line)
            with open("/proc/%d/comm" % umbra.pid, encoding="ascii") as file:
                require(file.read().startswith("qemu-system"), "the process has another name")
            root = int(gdb.command("print/x $cr3").split()[-1], 16) & ~0xfff
            host = int(gdb.command("monitor gpa2hva %#x" % root).split(" ")[-1], 16)
            with open("/proc/%d/mem" % umbra.pid, "rb", buffering=0) as file:
                table = os.pread(file.fileno(), 8, host)
            entry = gdb.command("monitor xp/1gx %#x" % root).split()[-1]
            require(int.from_bytes(table, "little") == int(entry, 16) != 0, entry)


def shape(text):
    """An answer with every number replaced by its length."""
    return re.sub(r"\b[0-9a-f]{2,16}\b", lambda number: "<%d>" % len(number[0]), text)


def registers_answer_as_qemu_does(transcript):
    """`info registers` in 64-bit and in 32-bit code: the lines, and the numbers that are the guest's
    own (what firmware leaves, the IDT and the x87, differs)."""
    qemu = program("qemu-system-x86_64", "qemu-system-x86")
    own = re.compile(r"^([EDCS]S |GDT|[RE]IP|CR[034]|EFER|DR[67]|FPR|XMM).*", re.M)
    for guest, image, symbols, function in (("hello64-mb32", "hello64-mb32.elf", "hello64-mb.elf", "main"),
                                            ("paging", "paging.elf", "paging.elf", "check_roots")):
        their = ask_qemu(qemu, os.path.join(GUESTS, image), os.path.join(GUESTS, symbols), function,
                         ["info registers"], 1)[0][0]
        with Umbra(guest, ["-accel", "soft"]) as umbra, Gdb() as gdb:
            attach_gdb(gdb, umbra.address, os.path.join(GUESTS, symbols), function)
            gdb.command("continue")
            our = gdb.command("monitor info registers").rstrip("\n")
        transcript.append("%s\n%s\nQEMU:\n%s" % (guest, our, their))
        require(shape(our).split() == shape(their).split(), "another form")
        require([line[0] for line in own.finditer(our)] == [line[0] for line in own.finditer(their)],
                "other numbers")


TESTS = (
    (extensions_for_qemu_find_it, ""),
    (registers_answer_as_qemu_does, ""),
)
