# For gdb 13 and later: `source guests/umbra-gdb.py`.
#
# gdb has one architecture at a time: its symbol file's, or what `set architecture` says.  The
# processor changes modes, and code of another mode is then decoded wrongly.  This registers a
# disassembler that has umbra decode (`monitor dis-raw`), so that `x/i`, `disassemble` and `layout
# asm` tell the truth; where both are 64-bit, or when umbra does not answer, gdb's own disassembler
# does the work.

import re

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


def install():
    disassembler = UmbraDisassembler()
    gdb.disassembler.register_disassembler(disassembler)
    for event in (gdb.events.stop, gdb.events.cont, gdb.events.exited, gdb.events.memory_changed,
                  gdb.events.register_changed):
        event.connect(disassembler.forget)


install()
