# For gdb 13 and later: `source guests/umbra-linux.py`, after the kernel's symbols.
#
# Lets `backtrace` go on through the entries of a 64-bit Linux kernel: from an interrupt, an
# exception or a system call to what was interrupted, in the kernel or in user space.  The entry code is
# assembly for which the kernel has frame information of its own form (ORC) and none for debuggers;
# all that is needed is where a `struct pt_regs` lies.
#
# Source: Linux 6.1, arch/x86/include/asm/ptrace.h (struct pt_regs), arch/x86/entry/entry_64.S
# (idtentry: the call of the handler has pt_regs at RSP), arch/x86/include/asm/irq_stack.h (the word
# at the top of an interrupt stack is the RSP before).

import gdb
import gdb.unwinder

RANGE = ("__entry_text_start", "__entry_text_end")

# What the processor pushes, and what entry code pushes below it, lowest address first.
FRAME = ("rip", "cs", "eflags", "rsp", "ss")
PUSHED = ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx",
          "rsi", "rdi", None)  # the last is the error code, or the number of a system call
LAYOUTS = (PUSHED + FRAME, (None,) + FRAME, FRAME)  # whole, and while it is being pushed

CODE_SELECTORS = (0x10, 0x23, 0x33)  # kernel, 32-bit and 64-bit user code
STACK_SELECTORS = (0x00, 0x18, 0x2b)
FLAGS_ONE = 0x2  # a bit that is always set
IRQ_STACK_BYTES = 0x4000
KERNEL_HALF = 1 << 63


def word(address):
    inferior = gdb.selected_inferior()
    return int.from_bytes(inferior.read_memory(address, 8).tobytes(), "little")


def plain(value):
    return int(value) & (1 << 64) - 1


class FrameId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class Entries:
    """The range of addresses that entry code has, by gdb's symbols."""

    def __init__(self):
        self.start = self.end = 0

    def read(self):
        """True when it has moved, or is known for the first time."""
        before = (self.start, self.end)
        try:
            self.start, self.end = [plain(gdb.parse_and_eval("(long)&" + name)) for name in RANGE]
        except gdb.error:
            self.start = self.end = 0
        return before != (self.start, self.end)

    def has(self, pc):
        return self.start <= pc < self.end


class Unwinder(gdb.unwinder.Unwinder):
    def __init__(self, entries):
        super().__init__("umbra-linux")
        self.entries = entries

    def interrupted(self, sp):
        """The registers at the interruption, by the pt_regs at @sp; None when there is none."""
        for layout in LAYOUTS:
            values = {name: word(sp + 8 * number) for number, name in enumerate(layout) if name}
            if (values["cs"] in CODE_SELECTORS and values["ss"] in STACK_SELECTORS
                    and values["eflags"] & FLAGS_ONE):
                return values
        return None

    def before_switch(self, sp):
        """The RSP of the code that went on to an interrupt stack whose top is at @sp, or None."""
        if sp & IRQ_STACK_BYTES - 1 != IRQ_STACK_BYTES - 8:
            return None
        before = word(sp)
        return before if before & KERNEL_HALF and before & 7 == 0 else None

    def __call__(self, frame):
        pc, sp = plain(frame.read_register("rip")), plain(frame.read_register("rsp"))
        if not pc & KERNEL_HALF:
            return None
        try:
            values = self.interrupted(sp) if self.entries.has(pc) else None
            before = None if values else self.before_switch(sp)
        except gdb.MemoryError:
            return None
        if before:
            values = {"rip": pc, "rsp": before}
        if not values:
            return None
        place = FrameId(frame.read_register("rsp"), frame.read_register("rip"))
        info = frame.create_unwind_info(place)
        for name, value in values.items():
            kind = frame.read_register(name).type  # of EFLAGS, one that nothing can be cast to
            data = value.to_bytes(8, "little")[:kind.sizeof]
            info.add_saved_register(name, gdb.Value(data, kind))
        return info


def install():
    entries = Entries()

    def look(*_event):
        if entries.read():
            gdb.invalidate_cached_frames()
    look()
    gdb.unwinder.register_unwinder(None, Unwinder(entries), replace=True)
    gdb.events.new_objfile.connect(look)
    gdb.events.stop.connect(look)


install()
