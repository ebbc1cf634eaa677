# For gdb 13 and later: `source guests/umbra-gdb.py`.
#
# gdb has one architecture at a time: its symbol file's, or what `set architecture` says.  The
# processor changes modes, and code of another mode is then decoded wrongly.  This registers a
# disassembler that has umbra decode (`monitor dis-raw`), so that `x/i`, `disassemble` and `layout
# asm` tell the truth; where both are 64-bit, or when umbra does not answer, gdb's own disassembler
# does the work.
#
# It also brings `umbra mmu ...`, which is `monitor mmu ...` with completion and with gdb's own
# expressions as addresses (umbra mmu walk $rsp, umbra mmu break map &table); `umbra mmu step` also goes
# on by itself; `umbra walk EXPRESSION`, a page walk to look at; `umbra draw FILE.svg`, all
# tables as a picture; and functions for conditions and scripts:
#
#   $gpa(x)     the guest-physical address of x, or ~0 where x is not mapped
#   $hva(x)     the address in umbra's process that backs it, or 0
#   $mapped(x)  1 where x is mapped

import json
import os
import re
import subprocess

import gdb
import gdb.disassembler

EFER_LMA = 0x400  # long mode is active (SDM 3A 2.2.1)
BATCH = 16  # instructions asked for at once
LINE = re.compile(r"^(?:0x)?([0-9a-f]+) ([0-9]+) (.*)$")
COMPATIBILITY = re.compile(r"\bcompat(?:16|32)\b")


def register(name):
    """The value of a register of the selected thread as a plain number."""
    value = gdb.selected_frame().read_register(name)
    # EFER and the control registers have a flags type, which gdb converts by casting only.
    return int(value.cast(gdb.lookup_type("unsigned long long")))


class UmbraDisassembler(gdb.disassembler.Disassembler):
    def __init__(self):
        super().__init__("umbra")
        self.forget()

    def forget(self, *_event):
        """Drop what holds only until the guest runs or memory changes."""
        self.is_64_bit = {}  # by thread id
        self.decoded = {}  # address: (length, text)

    def ask_is_64_bit(self, thread):
        if not register("efer") & EFER_LMA:
            return False
        # Long mode may also be compatibility mode, which only the hidden part of CS tells.
        answer = gdb.execute("monitor info cpus", to_string=True)
        mine = [line for line in answer.splitlines() if re.match(r"[* ] +%d " % (thread - 1), line)]
        return not COMPATIBILITY.search(mine[0] if mine else "")

    def in_64_bit_mode(self):
        thread = gdb.selected_thread().ptid[1]  # processor N is thread N + 1
        if thread not in self.is_64_bit:
            self.is_64_bit[thread] = self.ask_is_64_bit(thread)
        return self.is_64_bit[thread]

    def decode(self, address):
        if address not in self.decoded:
            answer = gdb.execute("monitor dis-raw 0x%x %d" % (address, BATCH), to_string=True)
            for line in answer.splitlines():
                match = LINE.match(line)
                if match:
                    self.decoded[int(match[1], 16)] = (int(match[2]), match[3])
        return self.decoded[address]

    def __call__(self, info):
        try:
            if self.in_64_bit_mode() and info.architecture.name() == "i386:x86-64":
                return None
            length, text = self.decode(info.address)
        except (gdb.error, KeyError, AttributeError, ValueError):
            return None  # no guest, no registers, or another stub than umbra
        return gdb.disassembler.DisassemblerResult(length=length, string=text)


# The shadow MMU.

NOT_MAPPED = (1 << 64) - 1
OPTIONS = ("--cpu", "--cr3", "--pcid", "--max", "--from", "--raw", "--filter", "--phys", "--dot", "--json",
           "--any", "--on", "-n", "-j")
EVENTS = ("fault", "fill", "ptw", "zap", "wp", "cr3", "invlpg", "flush", "hazard", "all")
ARGUMENTS = {  # what may stand behind a word, or behind a word and its argument
    "break": ("map", "pte", "pa", "cr3", "invlpg", "fault", "wx", "hazard", "shadow", "delete", "enable",
              "disable"),
    "break shadow": ("fill", "zap", "wp"), "break delete": ("all",), "break enable": ("all",),
    "break disable": ("all",), "trace": ("on", "off", "clear"), "trace on": EVENTS, "step": EVENTS,
    "hazard": ("on", "off"), "snap": ("drop",), "addr": ("gva", "gpa", "hva", "hpa"),
    "find": ("phys", "pte", "wx", "user", "alias"), "ad": ("clear",)}
HELP_LINE = re.compile(r"^  mmu (\w+)", re.M)
MORE_LINE = re.compile(r'^(?:more next=|{"kind":"more","next":")(0x[1-9a-f][0-9a-f]*).*\n', re.M)


def address_of(value):
    """An address or an integer as a number; of anything else that has one, its address: a function
    or an array is meant by its name."""
    code = value.type.strip_typedefs().code
    if code in (gdb.TYPE_CODE_FUNC, gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_STRUCT):
        value = value.address
    return int(value.cast(gdb.lookup_type("unsigned long long")))


def evaluate(text):
    return address_of(gdb.parse_and_eval(text))


def ask_mmu(line):
    """The JSON records of an `mmu` word."""
    answer = gdb.execute("monitor mmu %s -j" % line, to_string=True)
    return [json.loads(text) for text in answer.splitlines() if text.startswith("{")]


def ask_address(value):
    """The record of `mmu addr`, or None where nothing is mapped."""
    records = ask_mmu("addr 0x%x" % address_of(value))
    return records[0] if records and "error" not in records[0] else None


class MmuPrefix(gdb.Command):
    """What umbra knows of its guest."""

    def __init__(self):
        super().__init__("umbra", gdb.COMMAND_DATA, prefix=True)


class MmuCommand(gdb.Command):
    """umbra mmu WORD ...: monitor mmu, with completion and expressions.  `umbra mmu help` lists the
    words.  What one answer does not carry is asked for until --max says otherwise.  `umbra mmu step`
    goes on by itself: the event that it stops behind is printed."""

    def __init__(self):
        super().__init__("umbra mmu", gdb.COMMAND_DATA)
        self.known = []

    def words(self):
        if not self.known:
            self.known = HELP_LINE.findall(gdb.execute("monitor mmu help", to_string=True)) + ["help"]
        return self.known

    def complete(self, text, word):
        try:
            before = text[:len(text) - len(word)].split()
            # gdb breaks words at dashes: the dashes of an option stand in front of the word.
            if before and re.fullmatch("--?", before[-1]):
                return [o.lstrip("-") for o in OPTIONS if o.startswith(before[-1] + word)]
            if not before:
                return [name for name in self.words() if name.startswith(word)]
            if before[0] == "help":
                return [name for name in self.words() if name.startswith(word)]
            known = ARGUMENTS.get(" ".join(before), ()) + OPTIONS
            return [argument for argument in known if argument.startswith(word)]
        except gdb.error:
            return []

    def invoke(self, argument, _from_tty):
        words = translate(gdb.string_to_argv(argument))
        if words[:1] != ["step"]:
            self.tell_all(" ".join(words))
            return
        answer = gdb.execute("monitor mmu " + " ".join(words), to_string=True)
        if not answer.startswith("step "):
            raise gdb.GdbError(answer.rstrip("\n"))
        gdb.execute("continue")


    @staticmethod
    def tell_all(line):
        """What stands behind the place of a cut is of the whole, and comes with the last piece."""
        answer = gdb.execute("monitor mmu " + line, to_string=True)
        cut = MORE_LINE.search(answer)
        while cut and "--max" not in line.split():
            gdb.write(answer[:cut.start()])
            answer = gdb.execute("monitor mmu %s --from %s" % (line, cut[1]), to_string=True)
            cut = MORE_LINE.search(answer)
        gdb.write(answer)


def translate(arguments):
    """Arguments that begin like an expression, as numbers."""
    return ["0x%x" % evaluate(text) if text[:1] in "$&(*" else text for text in arguments]


class WalkCommand(gdb.Command):
    """umbra walk EXPRESSION: the page walk of an address, a table's entry to each line."""

    def __init__(self):
        super().__init__("umbra walk", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, _from_tty):
        if not argument:
            raise gdb.GdbError("umbra walk EXPRESSION")
        record = ask_mmu("walk 0x%x" % evaluate(argument))[0]
        if "error" in record:
            raise gdb.GdbError(record["text"])
        print("\n".join(draw_walk(record)))


def draw_walk(record):
    """One line for each level, indented like the way down."""
    lines = ["%s by cr3 %s, %s" % (record["gva"], record["cr3"], record["paging"])]
    for depth, level in enumerate(record["levels"]):
        lines.append("%s`- level %d [%3d] at %-12s %-18s %s" % (
            "   " * depth, level["l"], level["i"], level["at"], level["pte"], level["flags"]))
    indent = "   " * len(record["levels"])
    if record["fault"]:
        lines.append("%s`- nothing: %s at level %d (%s)" % (
            indent, record["fault"]["kind"], record["fault"]["level"], record["fault"]["cause"]))
    else:
        lines.append("%s`- %s in a page of %d KiB, user %s, kernel %s" % (
            indent, record["gpa"], record["page"] // 1024, record["rights"]["u"],
            record["rights"]["k"]))
    return lines


class DrawCommand(gdb.Command):
    """umbra draw FILE: the tables as a picture, in the format that the file's name ends in (svg, png,
    pdf ...), by Graphviz's dot."""

    def __init__(self):
        super().__init__("umbra draw", gdb.COMMAND_DATA, gdb.COMPLETE_FILENAME)

    def invoke(self, argument, _from_tty):
        kind = os.path.splitext(argument)[1][1:]
        if not kind:
            raise gdb.GdbError("umbra draw FILE.svg")
        graph = gdb.execute("monitor mmu dump --dot", to_string=True)
        if not graph.startswith("digraph"):
            raise gdb.GdbError(graph.rstrip("\n"))
        try:
            done = subprocess.run(["dot", "-T" + kind, "-o", os.path.expanduser(argument)], input=graph,
                                  capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise gdb.GdbError("there is no dot: install graphviz") from None
        if done.returncode != 0:
            raise gdb.GdbError(done.stderr.rstrip("\n"))


class GpaFunction(gdb.Function):
    """$gpa(x): the guest-physical address of x, or ~0 where x is not mapped."""

    def __init__(self):
        super().__init__("gpa")

    def invoke(self, value):
        record = ask_address(value)
        return int(record["gpa"], 16) if record else NOT_MAPPED


class HvaFunction(gdb.Function):
    """$hva(x): the address in umbra's process that backs x, or 0."""

    def __init__(self):
        super().__init__("hva")

    def invoke(self, value):
        record = ask_address(value)
        return int(record["hva"], 16) if record and record["hva"] != "none" else 0


class MappedFunction(gdb.Function):
    """$mapped(x): 1 where x is mapped, else 0."""

    def __init__(self):
        super().__init__("mapped")

    def invoke(self, value):
        return 1 if ask_address(value) else 0


def install():
    for part in (MmuPrefix, MmuCommand, WalkCommand, DrawCommand, GpaFunction, HvaFunction, MappedFunction):
        part()
    disassembler = UmbraDisassembler()
    gdb.disassembler.register_disassembler(disassembler)
    for event in (gdb.events.stop, gdb.events.cont, gdb.events.exited, gdb.events.memory_changed,
                  gdb.events.register_changed):
        event.connect(disassembler.forget)


install()
