"""More tests by the raw client: what a debugger does to a machine that does not hold still.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.
"""

import re
import subprocess
import tempfile
import time

from rawclient import INTERRUPT, frame
from rawtests import RIP, STRAY_PATIENCE_S, attach, register, require
from vm import PATIENCE_S, Umbra

BAD_SURVIVED = 42  # as guests/bad has it
FLOOD_KIB_MAX = 200 << 10  # far more than umbra needs, with sanitizers too, and less than a flood
FLOOD_PATIENCE_S = 3000  # ten minutes on an idle host


def monitor(client, line):
    """The console output of a monitor word."""
    client.send("qRcmd," + line.encode().hex())
    text = ""
    while True:
        reply = client.packet()
        if not reply or reply == b"OK" or reply[:1] != b"O":
            return text
        text += bytes.fromhex(reply[1:].decode()).decode()


def register_numbers(xml):
    """Name to number, as gdb counts: one more than the last, unless it is said."""
    numbers, following = {}, 0
    for name, number in re.findall(r'<reg name="(\w+)" bitsize="\d+"(?: regnum="(\d+)")?', xml):
        numbers[name] = int(number) if number else following
        following = numbers[name] + 1
    return numbers


def control_writes_are_all_or_nothing(_transcript):
    """A control register reads back as written, or the write is refused and nothing changed."""
    values = (0, 0x10, 0x11, 0x80000000, 0x80000011, 0xA0000011, 0x100000000, 0xD01, 0x20, 1 << 63)
    for guest in ("add16", "hello64-mb32", "hello64"):
        with Umbra(guest) as umbra, attach(umbra) as client:
            numbers = register_numbers(client.features())
            for name in ("cr0", "cr3", "cr4", "efer"):
                number = numbers[name]
                for value in values:
                    before = [client.expect("p%x" % numbers[each], "[0-9a-f]+")
                              for each in ("cr0", "cr3", "cr4", "efer")]
                    here = register(client, number)
                    reply = client.ask("P%x=%s" % (number, value.to_bytes(8, "little").hex()))
                    after = register(client, number)
                    what = "%s: %s = %#x gave %s and %#x" % (guest, name, value, reply, after)
                    if reply == "OK":
                        # EFER.LMA, bit 10, and CR0.ET, bit 4, are the processor's own.
                        require((after ^ value) & ~0x410 == 0, what)
                        client.expect("P%x=%s" % (number, here.to_bytes(8, "little").hex()), "OK")
                    require(before == [client.ask("p%x" % numbers[each])
                                       for each in ("cr0", "cr3", "cr4", "efer")], what)


def pause_without_another_one_to_run_goes_on(_transcript):
    """Three processors wait for their SIPI: a PAUSE of the fourth one has nobody to give way to, and
    does not leave the guest's code."""
    rounds, code, breakpoint = 50000, 0x300000, 0x300009
    with Umbra("hello64", ["-accel", "soft", "-smp", "4"]) as umbra, attach(umbra) as client:
        # mov $rounds,%ecx; 1: pause; dec %ecx; jnz 1b; jmp .
        loop = "b9" + rounds.to_bytes(4, "little").hex() + "f390ffc975faebfe"
        client.expect("M%x,%x:%s" % (code, len(loop) // 2, loop), "OK")
        client.expect("P10=" + code.to_bytes(8, "little").hex(), "OK")
        client.expect("Z1,%x,1" % (breakpoint + 2), "OK")
        client.expect("vCont;c", "T05.*")
        require(register(client, RIP) == breakpoint + 2, "it is not at the end of its loop")
        exits = monitor(client, "info exits")
        passed = re.search(r"turn passed on +(\d+)", exits)
        require(not passed or int(passed[1]) < rounds // 100, exits)


def reset_ends_a_step(_transcript):
    """A step over the OUT that resets the machine stops at its first instruction."""
    with Umbra("hello64") as umbra, attach(umbra) as client:
        entry = register(client, RIP)
        for resume in ("vCont;s:1", "vCont;r200000,200010:1"):
            client.expect("M200000,6:b0fee664ebfe", "OK")  # mov $0xfe,%al; out %al,$0x64; jmp .
            client.expect("P10=" + (0x200000).to_bytes(8, "little").hex(), "OK")
            client.expect("vCont;s:1", "T05.*")
            client.send(resume)
            client.expect_packet("T05.*")
            require(register(client, RIP) == entry, "%s: at %#x" % (resume, register(client, RIP)))
        client.expect("m200000,6", "(00){6}")


RESETS = {  # 16-bit code that resets the machine
    "keyboard controller": "b0fee664",          # mov $0xfe,%al; out %al,$0x64
    "port 0x92": "b003e692",                    # mov $3,%al; out %al,$0x92
    "port 0xcf9": "baf90cb006ee",               # mov $0xcf9,%dx; mov $6,%al; out %al,%dx
    "port 0xcf9, soft": "baf90cb004ee",
}


def each_way_of_reset(_transcript):
    """The machine begins anew, or ends well with -no-reboot, and a debugger may look before."""
    for name, code in RESETS.items():
        with tempfile.NamedTemporaryFile(suffix=".bin") as image:
            image.write(bytes.fromhex("baf803b02eee" + code + "ebfe"))  # print a dot before; jmp . behind
            image.flush()
            run = ["-kernel", image.name, "--timeout", "%d" % PATIENCE_S]
            with Umbra("add16", extra=run + ["-no-reboot"], gdb=None) as umbra:
                require(umbra.wait_exit() == 0, "%s: %s" % (name, umbra.stderr.text()))
                require(umbra.uart.text() == ".", "%s: %s" % (name, umbra.uart.text()))
            with Umbra("add16", extra=run, gdb=None) as umbra:
                for _ in range(3):
                    umbra.wait_more_uart()


def interrupt_ends_a_boot_loop(_transcript):
    """Ctrl-C and a new client stop a guest that resets the machine over and over."""
    with tempfile.NamedTemporaryFile(suffix=".bin") as image:
        # mov $0x3f8,%dx; mov $'.',%al; out %al,%dx; mov $0xfe,%al; out %al,$0x64; hlt
        image.write(bytes.fromhex("baf803b02eeeb0fee664f4"))
        image.flush()
        with Umbra("add16", extra=["-kernel", image.name], is_held=False) as umbra:
            for _ in range(3):
                with attach(umbra) as client:
                    for _ in range(10):
                        client.send("vCont;c")
                        umbra.wait_more_uart()
                        client.raw(INTERRUPT)
                        client.expect_packet("T0[25].*")
                    client.send("vCont;c")
                umbra.wait_more_uart()


def waiting_cpu_gets_no_breakpoints(_transcript):
    """Nothing is planted where only a processor that waits for its SIPI would have the address."""
    with Umbra("hello64", extra=["-smp", "2"]) as umbra, attach(umbra) as client:
        def table(address, index):
            entry = bytes.fromhex(client.ask("m%x,8" % (address + 8 * index)))
            return int.from_bytes(entry, "little") & 0xffffffffff000
        cr3 = int(re.search(r"cr3 (?:0x)?([0-9a-f]+)", monitor(client, "info regs"))[1], 16)
        large = table(table(cr3 & ~0xfff, 0), 0)
        # 8 MiB is mapped at 10 MiB only; the guest reads there: mov 0xa00123,%al; jmp .-7
        client.expect("M%x,10:%s" % (large + 32, "00" * 8 + "8300800000000000"), "OK")
        client.expect("M200000,9:8a04252301a000ebf7", "OK")
        client.expect("P10=" + (0x200000).to_bytes(8, "little").hex(), "OK")
        for page in range(8):
            client.expect("Z0,%x,1" % (0x800123 + (page + 1) % 8 * 0x1000), "OK")
        client.raw(frame(b"vCont;c"))
        require(client.packet(STRAY_PATIENCE_S) is None, "it stopped")
        client.raw(INTERRUPT)
        client.expect_packet("T02.*")
        require(register(client, 0) & 0xff == 0, "the guest saw %#x" % register(client, 0))


def realtime_waits_for_the_host(_transcript):
    """A guest that waits takes its time by the host's clock with -rtc realtime."""
    started = time.monotonic()
    with Umbra("rtc", extra=["-rtc", "realtime"], gdb=None) as umbra:
        require(umbra.wait_exit() == 0, "the exit status:\n" + umbra.uart.text())
    # It counts a second of interrupts and waits for an alarm five seconds into its day.
    require(time.monotonic() - started >= 1, "it waited %.3f s" % (time.monotonic() - started))


def flood(guest, patience):
    """More output than anybody takes costs neither memory nor the guest's life."""
    with Umbra(guest, gdb=None) as umbra:
        limit = time.monotonic() + patience
        peak_kib = 0
        while umbra.process.poll() is None and time.monotonic() < limit:
            with open("/proc/%d/status" % umbra.pid, encoding="ascii") as file:
                found = re.search(r"^VmHWM:\s+(\d+) kB", file.read(), re.M)
            peak_kib = max(peak_kib, int(found[1]) if found else 0)
            try:
                umbra.process.wait(1)
            except subprocess.TimeoutExpired:
                pass
        require(umbra.process.poll() == BAD_SURVIVED, "the exit status: %s" % umbra.process.poll())
        require(peak_kib < FLOOD_KIB_MAX, "it took %d KiB of memory" % peak_kib)


def output_that_nobody_reads(_transcript):
    flood("bad-flood64m", PATIENCE_S)


def eight_gibibytes_that_nobody_reads(_transcript):
    flood("bad-flood8g", FLOOD_PATIENCE_S)


TESTS = [
    (control_writes_are_all_or_nothing, ""),
    (pause_without_another_one_to_run_goes_on, ""),
    (reset_ends_a_step, ""),
    (each_way_of_reset, ""),
    (interrupt_ends_a_boot_loop, ""),
    (waiting_cpu_gets_no_breakpoints, ""),
    (realtime_waits_for_the_host, "soft:time"),
    (output_that_nobody_reads, "soft:time"),
]
LONG_TESTS = [
    (eight_gibibytes_that_nobody_reads, "soft:time"),
]
