"""The `mmu` words of the monitor: what they say, that they touch nothing, and that they agree with a
walker in Python and with QEMU.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.
"""

import json
import os
import random
import re
import shutil
import subprocess
import tempfile

import linuxguest
import walker
from gdbdriver import Gdb
from machinetests import monitor
from rawclient import Client
from rawtests import attach, require
from vm import ACCEL, GUESTS, PATIENCE_S, ROOT, Skip, Umbra

LOOKING = (  # every word that must leave no trace, over addresses that are mapped and not
    "mmu info", "mmu addr {va}", "mmu addr gpa {pa}", "mmu addr hva 0x1", "mmu walk {va}",
    "mmu walk {hole} -j", "mmu probe w cpl=3 {va}", "mmu probe x {hole}", "mmu map", "mmu map --phys -j",
    "mmu map --raw --filter w", "mmu rmap {pa}", "mmu find phys {pa}", "mmu find pte 0x1/0x1",
    "mmu find wx", "mmu find user", "mmu find alias", "mmu roots", "mmu tables", "mmu shadow",
    "mmu shadow 0", "mmu shadow {va}", "mmu verify", "mmu stats", "mmu tlb", "mmu ad",
    "mmu dump --dot", "mmu dump --json", "mmu help", "mmu frob", "info mem", "info tlb",
    "gva2gpa {va}", "gva2gpa {hole}", "gpa2hva {pa}", "gpa2hpa {pa}", "x/4gx {va}", "xp/4gx {pa}",
    "x/3i {va}", "x {hole}", "info registers")


def program(name, package):
    """The path of a program that a test needs; without it the test is skipped."""
    path = shutil.which(name)
    if not path:
        raise Skip("no %s (package %s)" % (name, package))
    return path


def run_to(gdb, umbra, function, times=1):
    gdb.command("file " + umbra.symbols)
    gdb.command("target remote " + umbra.address)
    gdb.command("break " + function)
    for _ in range(times):
        gdb.command("continue")


def normal(text):
    """Host addresses and counts that differ from run to run, as letters."""
    text = re.sub(r"\b(hva[=:]|hpa=)0x[0-9a-f]+", r"\g<1>H", text)
    text = re.sub(r"\b(sp|last_load|shadow_pages|roots|tables|sptes|time|refs|child)=[0-9.a-z]+",
                  r"\1=N", text)
    return re.sub(r"hpa=(hidden|not-resident)", "hpa=H", text)


GOLDEN = {
    "info": """\
mmu backend=soft role=live paging=4level cr0.wp=1 smep=0 smap=0 pke=0 nxe=0 pcid=0 maxphy=40 roots=N shadow_pages=N track=exact
slot=0 gpa=0x0-0xffffff hva=H flags=ram name=ram
""",
    "addr 0x40001008": """\
addr gva=0x40001008 gpa=0x600008 hva=H hpa=H page=4K rights=u:--- k:rwx shadow=present slot=0
""",
    "walk 0x40001000": """\
walk gva=0x40001000 cpu=0 cr3=0x400000 levels=4
L4 i=0 at=0x400000 pte=0x0000000000401027 PWUXA.---- -> 0x401000  shadow sp=N i=0 access=wux
L3 i=1 at=0x401008 pte=0x000000000040b027 PWUXA.---- -> 0x40b000  shadow sp=N i=1 access=wux
L2 i=0 at=0x40b000 pte=0x000000000040c027 PWUXA.---- -> 0x40c000  shadow sp=N i=0 access=wux
L1 i=1 at=0x40c008 pte=0x0000000000600023 PW-XA----- -> 0x600000  shadow sp=N i=1 spte=hva:H w-x (wp: yes)
= gpa=0x600000 page=4K rights=u:--- k:rwx
""",
    "walk 0x60000000": """\
walk gva=0x60000000 cpu=0 cr3=0x400000 levels=4
L4 i=0 at=0x400000 pte=0x0000000000401027 PWUXA.---- -> 0x401000  shadow sp=N i=0 access=wux
L3 i=1 at=0x401008 pte=0x000000000040b027 PWUXA.---- -> 0x40b000  shadow sp=N i=1 access=wux
L2 i=256 at=0x40b800 pte=0x0000000000000000 ---X-.----
= fault=notpresent level=2 why=P=0
""",
    "probe w cpl=3 0x40001000": """\
probe gva=0x40001000 access=w cpl=3 result=fault vector=14 err=0x7 (P|W|U) level=1 cause="U=0" cr2=0x40001000
""",
    "map 0x40000000": """\
map 0x0000000040001000-0x0000000040001fff len=0x1000 gpa=0x600000 page=4K n=1 u:--- k:rwx A=1 D=0
map 0x0000000040002000-0x0000000040002fff len=0x1000 gpa=0x600000 page=4K n=1 u:--- k:rwx A=1 D=0
map 0x0000000040003000-0x0000000040003fff len=0x1000 gpa=0x40c000 page=4K n=1 u:--- k:rwx A=1 D=1
map 0x0000000040004000-0x0000000040004fff len=0x1000 gpa=0x40c000 page=4K n=1 u:--- k:rwx A=1 D=1
map 0x0000000050000000-0x0000000050000fff len=0x1000 gpa=0x800000 page=4K n=1 u:--- k:rwx A=1 D=0
map 0x0000000050001000-0x0000000050001fff len=0x1000 gpa=0x601000 page=4K n=1 u:--- k:rwx A=1 D=0
map 0x0000000050002000-0x00000000501fffff len=0x1fe000 gpa=0x802000 page=4K n=510 u:--- k:rwx A=0 D=0
""",
    "rmap 0x600010 --cr3 0x400000": """\
rmap gpa=0x600000 cr3=0x400000 gva=0x600000 page=4K u:--- k:rwx pte@0x406000
rmap gpa=0x600000 cr3=0x400000 gva=0x40001000 page=4K u:--- k:rwx pte@0x40c008
rmap gpa=0x600000 cr3=0x400000 gva=0x40002000 page=4K u:--- k:rwx pte@0x40c010
rmap gpa=0x600000 aliases=3 use=data writers=1 shadowed_as=none
""",
    "tables 0x40c000": """\
table gpa=0x40c000 level=1 gva=0x40000000 parents=1 present=4 entries=512 shadowed_as=1
""",
    "verify": """\
verify checks=I1..I11 roots=N tables=N sptes=N errors=0 time=N
""",
}


def golden(transcript):
    """The samples over the paging guest, in 4-level mode, where it is about to try two roots."""
    with Umbra("paging", ["-accel", "soft"]) as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "check_roots", 3)
        for word, expected in GOLDEN.items():
            answer = normal(gdb.command("monitor mmu " + word))
            transcript.append("> mmu %s\n%s" % (word, answer))
            require(answer.strip() == expected.strip(), "mmu %s:\n%s" % (word, answer))


MODEL = {  # the same on every back end, once what only a shadow can tell is taken off
    "walk 0x200123": r"walk gva=0x200123 cpu=0 cr3=0x[0-9a-f]+ levels=4\n(L[432] i=\d+ at=.*\n){3}"
                     r"= gpa=0x200123 page=2M rights=u:--- k:rwx\n",
    "probe w cpl=0 0x200123": r"probe gva=0x200123 access=w cpl=0 result=ok gpa=0x200123\n",
    "probe r cpl=3 0x200123": r".* result=fault vector=14 err=0x5 \(P\|U\) level=4 cause=\"U=0\" .*\n",
    "probe r 0x800000000000": r".* vector=13 err=0x0 level=0 cause=\"no such linear address\"\n",
    "map": r"map 0x0000000000000000-0x00000000ffffffff len=0x100000000 gpa=0x0 page=2M n=2048 "
           r"u:--- k:rwx A=\d+ D=\d+\n",
    "addr gpa 0x200123": r"addr gva=0x200123 gpa=0x200123 hva=H hpa=H page=2M rights=u:--- k:rwx slot=0\n",
}


def words_agree_between_back_ends(transcript):
    """hello64 stopped in main: this back end says what every other one does."""
    with Umbra("hello64") as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "main")
        info = gdb.command("monitor mmu info")
        require("role=" + ("live" if ACCEL == "soft" else "model") in info, info)
        for word, pattern in MODEL.items():
            answer = normal(gdb.command("monitor mmu " + word))
            transcript.append("> mmu %s\n%s" % (word, answer))
            plain = re.sub(r"  shadow sp=.*| role=model| shadow=\w+", "", answer)
            require(re.fullmatch(pattern, plain.strip() + "\n"), "mmu %s:\n%s" % (word, answer))
        if ACCEL != "soft":
            require("error nocap" in gdb.command("monitor mmu verify"), "verify without a shadow")


def everything(client):
    """What a word could change: memory, registers, and what the shadow and its TLBs hold."""
    return (monitor(client, "hash"), client.ask("g"), monitor(client, "info regs"),
            monitor(client, "mmu stats"), monitor(client, "mmu tlb"), monitor(client, "mmu shadow"))


def looking_changes_nothing(_transcript):
    """Memory and registers are the same before and after every word that only looks."""
    guests = [("hello64", "0x200123", "0x200123", "0x7000000000")]
    for guest, va, pa, hole in guests:
        with Umbra(guest) as umbra, attach(umbra) as client:
            for step in range(2):
                before = everything(client)
                for word in LOOKING:
                    line = word.format(va=va, pa=pa, hole=hole)
                    monitor(client, line)
                    require(everything(client) == before, "%s changed something" % line)
                if step == 0:
                    client.expect("vCont;s:1", "T05.*")


def json_is_one_object_a_line(_transcript):
    with Umbra("hello64") as umbra, attach(umbra) as client:
        for word in LOOKING:
            line = word.format(va="0x200123", pa="0x200123", hole="0x7000000000")
            if not line.startswith("mmu") or "help" in line or "--dot" in line:
                continue
            for text in monitor(client, line + " -j").splitlines():
                data = json.loads(text)
                require("kind" in data or "error" in data, text)


class Machine:
    """The physical memory and the registers of a stopped guest, through the debug port."""

    def __init__(self, client):
        self.client = client
        self.client.expect("Qqemu.PhyMemMode:1", "OK")
        self.pages = {}
        info = json.loads(monitor(client, "mmu info -j").splitlines()[0])
        self.maxphy = info["maxphy"]

    def page(self, frame):
        if frame not in self.pages:
            data = self.client.ask("m%x,1000" % (frame << 12))
            self.pages[frame] = None if data[:1] == "E" else bytes.fromhex(data)
        return self.pages[frame]

    def read(self, address, length):
        data = self.page(address >> 12)
        offset = address & 0xfff
        return data[offset:offset + length] if data else None

    def registers(self):
        text = monitor(self.client, "info regs")

        def value(name):
            return int(re.search(r"\b%s +([0-9a-f]{16})" % name, text)[1], 16)
        return walker.Registers(value("cr0"), value("cr3"), value("cr4"), value("efer"), 0,
                                self.maxphy, None)


def compare_one(client, machine, regs, va, cr3):
    """walk -j and probe -j of one address."""
    data = json.loads(monitor(client, "mmu walk %#x -j%s" % (va, cr3)))
    try:
        page = walker.walk(regs, machine.read, va)
    except walker.Fault as fault:
        require(data["fault"] and (data["fault"]["kind"], data["fault"]["level"]) ==
                (fault.kind, fault.level), "%#x: %r, not %s" % (va, data, fault))
    else:
        require(int(data["gpa"] or "0", 0) == page.gpa | va & (page.size - 1) and
                data["page"] == page.size, "%#x: %r, not %r" % (va, data, page))
    for access in "rwx":
        for cpl in (0, 3):
            answer = json.loads(monitor(client, "mmu probe %s cpl=%d ac=0 %#x -j%s" % (
                access, cpl, va, cr3)))
            mine = walker.probe(regs, machine.read, va, access, cpl, 0)
            theirs = (answer["vector"], int(answer["err"], 0)) if "vector" in answer else None
            require(mine == theirs, "%s %#x: %r, not %r" % (access, va, answer, mine))


def map_records(client, cr3):
    """All of them: an answer that was cut says where to go on."""
    start = 0
    while start is not None:
        records = monitor(client, "mmu map %#x -j --max 100000%s" % (start, cr3)).splitlines()
        start = None
        for data in map(json.loads, records):
            if data["kind"] == "more":
                start = int(data["next"], 0)
            else:
                yield data


def mapped(client, cr3):
    """What `mmu map` says, as walker.ranges has it: global pages and keys are told apart there."""
    for data in map_records(client, cr3):
        rights = data["rights"]["u"] if data["rights"]["u"] != "---" else data["rights"]["k"]
        gva, length, size = int(data["gva"], 0), int(data["len"], 0), data["page"]
        require(length == data["n"] * size and int(data["end"], 0) == gva + length - 1, str(data))
        for page in range(data["n"]):
            yield walker.Page(gva + page * size, int(data["gpa"], 0) + page * size, size,
                              data["rights"]["u"] != "---", rights[1] == "w", rights[2] == "x", 0, 0)


def compare(client, machine, regs, addresses, cr3=""):
    """walk -j, probe -j and map -j against the Python walker."""
    for va in addresses:
        compare_one(client, machine, regs, va, cr3)

    def told(page):
        """Without CR0.WP the kernel writes everywhere, and the map says so."""
        return page if page.u or regs.cr0 & walker.WP else page._replace(w=True)
    theirs = walker.ranges(mapped(client, cr3))
    mine = walker.ranges(map(told, walker.pages(regs, machine.read, 1 << 20)))
    for their, our in zip(theirs, mine):
        require(their == our, "map: %r, not %r" % (their, our))
    require(len(theirs) == len(mine), "map: %d ranges, not %d" % (len(theirs), len(mine)))
    return mine


def walker_agrees_on_the_paging_guest(_transcript):
    """In each mode of the paging guest, through gdb's break and a raw client's reads."""
    interesting = (0, 0x400123, 0x40001000, 0x40002fff, 0x40003008, 0x40005000, 0x50000000,
                   0x50001000, 0x50200000, 0xfffff000, 0x100000000, 0x7fffffffffff, 1 << 47,
                   0xffffffffffffffff)
    with Umbra("paging", ["-accel", "soft", "--on-disconnect", "stay"]) as umbra:
        for _mode in range(3):
            with Gdb() as gdb:
                run_to(gdb, umbra, "check_roots")
                gdb.command("disconnect")
            with Client(umbra.address) as client:
                client.expect("?", "T.*")
                machine = Machine(client)
                compare(client, machine, machine.registers(), interesting)


def walker_agrees_on_random_tables(_transcript):
    """Tables that the debugger writes: what the words say of them in JSON."""
    chance = random.Random(11)
    with Umbra("hello64") as umbra, attach(umbra) as client:
        machine = Machine(client)
        regs = machine.registers()
        for _ in range(40):
            machine.pages.clear()
            root = 0x800000
            client.expect("M%x,8000:%s" % (root, "0" * 0x10000), "OK")
            addresses = []
            for _ in range(6):
                va, table = chance.getrandbits(47), root
                for level in (4, 3, 2, 1):
                    entry = root + (chance.randrange(8) << 12) | chance.choice((7, 7, 7, 3, 5, 1))
                    entry ^= chance.choice((0, 0, 0, 0, 0x80, 1 << 63, 1, 1 << chance.randrange(52, 63)))
                    at = table + 8 * (va >> (3 + 9 * level) & 511)
                    client.expect("M%x,8:%s" % (at, entry.to_bytes(8, "little").hex()), "OK")
                    table = entry & walker.mask(51, 12)
                    if not 0x800000 <= table < 0x808000:
                        break
                addresses.append(va)
            compare(client, machine, regs._replace(cr3=root), addresses, " --cr3 %#x" % root)


def walker_agrees_on_linux(transcript):
    """The roots of all processes of a kernel that is up, page by page."""
    with linuxguest.boot(1, "guest=shell", is_held=False) as umbra:
        umbra.wait_uart(r"^linux: up")
        umbra.send_uart(b"sleep 1000 & sleep 1000 & echo started-$((1+1))\n")
        umbra.wait_uart(r"^started-2")
        with attach(umbra) as client:
            machine = Machine(client)
            regs = machine.registers()
            found = 0
            for text in monitor(client, "mmu roots -j").splitlines():
                root = json.loads(text)
                if not root["loads"] or not root["shadowed"]:
                    continue
                ranges = compare(client, machine, regs._replace(cr3=int(root["cr3"], 0)),
                                 (0x401000, 0xffffffff81000000, 0xffff888000000000, 0),
                                 " --cr3 " + root["cr3"])
                addresses = [gva + length - 1 for gva, _gpa, length, _alike, _n in ranges[::16]]
                for va in addresses:
                    compare_one(client, machine, regs._replace(cr3=int(root["cr3"], 0)), va,
                                " --cr3 " + root["cr3"])
                transcript.append("%s: %d ranges" % (root["cr3"], len(ranges)))
                found += len(ranges) > 50
            require(found >= 2, "only %d roots" % found)


def a_physical_write_to_a_table_takes_effect(_transcript):
    """A large page's entry is written by physical address between two steps that read through it."""
    code, table_va, frames = 0x300000, 0x800000, {0x400000: 0x1111, 0xA00000: 0x2222}
    with Umbra("hello64") as umbra, attach(umbra) as client:
        entry = json.loads(monitor(client, "mmu walk %#x -j" % table_va))["levels"][-1]["at"]
        client.expect("Qqemu.PhyMemMode:1", "OK")
        client.expect("M%x,8:488b042500008000" % code, "OK")  # mov 0x800000,%rax
        for frame, mark in frames.items():
            client.expect("M%x,8:%s" % (frame, mark.to_bytes(8, "little").hex()), "OK")
        for frame, mark in list(frames.items()) * 2:
            pte = (frame | 0x83).to_bytes(8, "little").hex()
            client.expect("M%x,8:%s" % (int(entry, 0), pte), "OK")
            client.expect("P10=" + code.to_bytes(8, "little").hex(), "OK")
            client.expect("vCont;s:1", "T05.*")
            require(int.from_bytes(bytes.fromhex(client.ask("p0")), "little") == mark,
                    "the old page is still read after %#x" % frame)
            require("gpa=%#x " % frame in monitor(client, "mmu addr %#x" % table_va), "mmu addr")


# QEMU.

FORMATS = [letter + size for letter in "xduo" for size in "bhwg"] + ["cb"]
QEMU_WORDS = (["x/7%s main" % f for f in FORMATS] + ["xp/5gx main", "x /2gx main", "info mem", "info tlb",
              "gva2gpa 0x101234", "gva2gpa 0x7000000000", "xp/2gx 0xfffff00000", "x 0x7000000000",
              "gpa2hva 0xfffff00000"])
# What QEMU 7.2 does otherwise and is not followed: `info mem` and `info tlb` list what a walk
# refuses for its reserved bits; gva2gpa does not regard them either.  None occurs here.


def attach_gdb(gdb, address, symbols, function):
    """Whatever the symbol file is: QEMU has the registers of 64-bit code only.  The place behind the
    function's first instructions, as `break` chooses it."""
    gdb.command("file " + symbols)
    start = re.search(r"0x[0-9a-f]+", gdb.command("info address " + function))[0]
    place = re.search(r"Breakpoint 1 at (0x[0-9a-f]+)", gdb.command("break " + function))[1]
    gdb.command("delete")
    gdb.command("file")
    gdb.command("set architecture i386:x86-64")
    gdb.command("target remote " + address)
    gdb.command("hbreak *" + place)
    return start


def ask_umbra(symbols):
    with Umbra("hello64-mb32", ["-accel", "soft"]) as umbra, Gdb() as gdb:
        main = attach_gdb(gdb, umbra.address, symbols, "main")
        gdb.command("continue")
        return [gdb.command("monitor " + word.replace("main", main)).rstrip("\n")
                for word in QEMU_WORDS]


class QemuMonitor:
    """QEMU's own monitor on pipes: its echo of a command ends at the first line."""

    PROMPT = b"(qemu) "

    def __init__(self, process):
        self.process = process
        self.wait()

    def wait(self):
        text = b""
        while not text.endswith(self.PROMPT):
            piece = os.read(self.process.stdout.fileno(), 65536)
            require(piece, "QEMU has ended: %r" % text)
            text += piece
        return text[:-len(self.PROMPT)].decode().replace("\r", "")

    def ask(self, word):
        self.process.stdin.write(word.encode() + b"\n")
        self.process.stdin.flush()
        return self.wait().split("\n", 1)[1].rstrip("\n")


def ask_qemu(qemu, image, symbols, function, words, stops):
    """The answers to @words at each of @stops stops at @function."""
    with tempfile.TemporaryDirectory(prefix="umbra-test-") as scratch:
        socket = os.path.join(scratch, "gdb.sock")
        with subprocess.Popen([qemu, "-display", "none", "-accel", "tcg", "-m", "16M", "-kernel", image,
                               "-S", "-monitor", "stdio", "-serial", "null", "-chardev",
                               "socket,path=%s,server=on,wait=off,id=gdb" % socket, "-gdb",
                               "chardev:gdb"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            try:
                hmp = QemuMonitor(process)
                with Gdb() as gdb:
                    main = attach_gdb(gdb, socket, symbols, function)
                    answers = []
                    for _ in range(stops):
                        gdb.command("continue")
                        answers.append([hmp.ask(word.replace("main", main)) for word in words])
                    return answers
            finally:
                process.kill()


def qemu_words_answer_as_qemu_does(transcript):
    """The same guest stopped at the same place under QEMU, where that is installed."""
    qemu = program("qemu-system-x86_64", "qemu-system-x86")
    symbols = os.path.join(GUESTS, "hello64-mb.elf")
    image = os.path.join(GUESTS, "hello64-mb32.elf")
    theirs = ask_qemu(qemu, image, symbols, "main", QEMU_WORDS, 1)[0]
    for word, our, their in zip(QEMU_WORDS, ask_umbra(symbols), theirs):
        transcript.append("> %s\n%s" % (word, our[:2000]))
        require(our == their, "%s:\n%s\nQEMU:\n%s" % (word, our[:2000], their[:2000]))


def flags_of(pte, level):
    """The nine flags of QEMU's `info tlb`."""
    bits = ((63, "X"), (8, "G"), (7, "P"), (6, "D"), (5, "A"), (4, "C"), (3, "T"), (2, "U"), (1, "W"))
    return "".join(letter if pte >> bit & 1 and not (bit == 7 and level == 1) else "-"
                   for bit, letter in bits)


def tlb_line(client, gva):
    data = json.loads(monitor(client, "mmu walk %#x -j" % gva))
    last = data["levels"][-1]
    return "%016x: %016x %s" % (gva, int(data["gpa"], 0), flags_of(int(last["pte"], 0), last["l"]))


def check_ranges(client, lines):
    """Each page of QEMU's, in order, must be the next one of our ranges; A and D are counted."""
    at = 0
    for text in monitor(client, "mmu map -j").splitlines():
        data = json.loads(text)
        mine = lines[at:at + data["n"]]
        at += data["n"]
        for number, line in enumerate(mine):
            expected = "%016x: %016x" % (int(data["gva"], 0) + number * data["page"],
                                         int(data["gpa"], 0) + number * data["page"])
            require(line.startswith(expected), "%s, by QEMU %s" % (expected, line))
        flags = "".join(line.split()[2] for line in mine)
        require((data["A"], data["D"]) == (flags.count("A"), flags.count("D")), text)
    require(at == len(lines), "%d pages, by QEMU %d" % (at, len(lines)))


def pages_agree_with_qemu(_transcript):
    """The paging guest in its three modes: each page of QEMU's `info tlb`, by `mmu walk`."""
    qemu = program("qemu-system-x86_64", "qemu-system-x86")
    image = os.path.join(GUESTS, "paging.elf")
    words = ("info mem", "info tlb")
    theirs = ask_qemu(qemu, image, image, "check_roots", words, 3)
    with Umbra("paging", ["-accel", "soft", "--on-disconnect", "stay"]) as umbra:
        for mem, tlb in theirs:
            with Gdb() as gdb:
                run_to(gdb, umbra, "check_roots")
                require(gdb.command("monitor info mem").strip() == mem.strip(), mem)
                gdb.command("disconnect")
            lines = tlb.splitlines()
            with Client(umbra.address) as client:
                client.expect("?", "T.*")
                check_ranges(client, lines)
                for line in lines[::32] + lines[4096:]:
                    ours = tlb_line(client, int(line[:16], 16))
                    require(ours == line, "%s, by QEMU %s" % (ours, line))


# Graphviz, and the gdb extension.

def dot_accepts_the_dump(_transcript):
    dot = program("dot", "graphviz")
    with Umbra("hello64") as umbra, attach(umbra) as client:
        text = monitor(client, "mmu dump --dot")
    result = subprocess.run([dot, "-Tplain"], input=text, capture_output=True, text=True,
                            timeout=PATIENCE_S, check=False)
    nodes = len(re.findall(r"^node ", result.stdout, re.M))
    require(result.returncode == 0 and 3 <= nodes <= 201, result.stderr + text[:2000])


EXTENSION = (  # command, what its answer must match
    ("complete umbra mmu w", r"^umbra mmu walk$"),
    ("complete umbra mmu help pr", r"^umbra mmu help probe$"),
    ("complete umbra mmu map --fi", r"^umbra mmu map --filter$"),
    ("print/x $gpa(&measured_count)", r"= 0x10[0-9a-f]{4}$"),
    ("print $gpa(main) == (unsigned long)&main", r"= 1$"),
    ("print/x $gpa(0x7000000000)", r"= 0xffffffffffffffff$"),
    ("print $mapped(main) + $mapped($rsp) + $mapped(0x7000000000)", r"= 2$"),
    ("print/x $hva(main)", r"= 0x7f[0-9a-f]+$"),
    ("umbra mmu addr $rip", r"^addr gva=0x10[0-9a-f]+ gpa=0x10"),
    ("umbra mmu probe w cpl=3 &measured_count", r"result=fault vector=14 err=0x7"),
    ("umbra mmu frob", r"^error badarg"),
    ("umbra walk main", r"^      `- level 2 \[  0\] at 0x[0-9a-f]+ +0x[0-9a-f]+ +PW-XADS---$"),
    ("umbra walk main", r"^         `- 0x10[0-9a-f]+ in a page of 2048 KiB, user ---, kernel rwx$"),
    ("umbra walk 0x7000000000", r"^ +`- nothing: notpresent at level \d \(P=0\)$"),
)


def gdb_extension(transcript):
    """guests/umbra-gdb.py: completion, functions and the page walk."""
    with Umbra("hello64") as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "main")
        gdb.command("source " + os.path.join(ROOT, "guests", "umbra-gdb.py"))
        for command, pattern in EXTENSION:
            answer = gdb.command(command)
            transcript.append("> %s\n%s" % (command, answer))
            require(re.search(pattern, answer, re.M), "%s:\n%s" % (command, answer))
        gdb.command("break report if $gpa($rsp) != 0 && $mapped(main)")
        require("report" in gdb.command("continue"), "the condition did not stop it")


TESTS = (
    (golden, "pae:runs paged32:runs"),
    (words_agree_between_back_ends, ""),
    (looking_changes_nothing, ""),
    (json_is_one_object_a_line, ""),
    (walker_agrees_on_the_paging_guest, "pae:runs paged32:runs"),
    (walker_agrees_on_random_tables, ""),
    (a_physical_write_to_a_table_takes_effect, ""),
    (qemu_words_answer_as_qemu_does, ""),
    (pages_agree_with_qemu, "pae:runs paged32:runs"),
    (dot_accepts_the_dump, ""),
    (gdb_extension, ""),
)

LINUX_TESTS = (
    (walker_agrees_on_linux, "soft:time"),
)
