"""Programs for a bare PC besides Linux: Debian's U-Boot and memtest86+.

TESTS and LONG_TESTS at the end name the tests with the host flags that they need; the long ones take
more than a few seconds.
"""

import os
import re

from gdbdriver import Gdb
from vm import GUESTS, Failure, Skip, Umbra

UBOOT = "/usr/lib/u-boot/qemu-x86%s/u-boot.rom"
MEMTEST = "/boot/memtest86+x64.bin"
LONG_S = 280
ESCAPE = b"\x1b"


def image(path, package):
    if not os.path.exists(path):
        raise Skip("no %s (package %s)" % (path, package))
    return path


def uboot(transcript, variant, cpus):
    """To the prompt; what it finds; and a restart by its own command."""
    config = {"image": image(UBOOT % variant, "u-boot-qemu"), "boot": "-bios", "cpus": str(cpus),
              "mem": "128M", "args": ""}
    with Umbra(config, ["-no-reboot"], gdb=None) as umbra:
        umbra.wait_uart("Hit any key")
        umbra.send_uart(b" ")
        # What is typed while a command prints is looked at for Ctrl-C, and lost.
        umbra.wait_uart(r"^=> \Z")
        umbra.send_uart(b"date\n")
        umbra.wait_uart(r"^Date: 2026-01-01 .Thursday.[^>]+^=> \Z")
        umbra.send_uart(b"mw 200000 deadbeef 2; md 200000 2\n")
        umbra.wait_uart(r"^00200000: deadbeef deadbeef[^>]+^=> \Z")
        umbra.send_uart(b"reset\n")
        status = umbra.wait_exit()
        transcript += ["UART:", umbra.uart.text(), "stderr:", umbra.stderr.text()]
        if "DRAM:  128 MiB" not in umbra.uart.text():
            raise Failure("U-Boot found another size of memory")
        if status != 0:
            raise Failure("the exit status is %d" % status)


def program_beside_a_bios(transcript):
    """At the reset vector the program lies in memory already, and gdb has its symbols without being
    told of a file."""
    config = {"image": "bios16.bin", "boot": "-bios", "cpus": "1", "mem": "16M", "args": ""}
    program = os.path.join(GUESTS, "hello64.elf")
    with Umbra(config, ["-device", "loader,file=" + program]) as umbra, Gdb() as gdb:
        for command, pattern in (("target remote " + umbra.address, r"0x0*fff0"),
                                 ("info registers rip", r"^rip +0xfff0"),
                                 ("print main", r"\{int \(void\)\} 0x1\w+ <main>"),
                                 ("compare-sections .text", r"matched"),
                                 ("detach", r"")):
            transcript.append("> " + command)
            answer = gdb.command(command)
            transcript.append(answer)
            if not re.search(pattern, answer, re.M):
                raise Failure("%s: the answer does not match /%s/:\n%s" % (command, pattern, answer))


def uboot_32(transcript):
    uboot(transcript, "", 1)


def uboot_64(transcript):
    uboot(transcript, "_64", 2)


def memtest(transcript, cpus):
    """Its tests find nothing, up to those of moving inversions; Escape restarts the machine."""
    config = {"image": image(MEMTEST, "memtest86+"), "cpus": str(cpus), "mem": "16M",
              "args": "-append console=ttyS0"}
    with Umbra(config, ["-no-reboot"], gdb=None) as umbra:
        found = umbra.wait_text(umbra.uart, r"\[Moving inversions, 64 bit pattern\]", LONG_S)
        umbra.send_uart(ESCAPE)
        status = umbra.wait_exit()
        text = umbra.uart.text()
        transcript += ["UART:", repr(text), "stderr:", umbra.stderr.text()]
        if not found:
            raise Failure("it has not come to the test of moving inversions")
        if set(re.findall(r"Errors: +(\d+)", text)) != {"0"}:
            raise Failure("it found errors")
        if status != 0:
            raise Failure("the exit status is %d" % status)


def memtest_1_cpu(transcript):
    memtest(transcript, 1)


def memtest_2_cpus(transcript):
    memtest(transcript, 2)


TESTS = [
    (program_beside_a_bios, "soft:time"),
    (uboot_32, "soft:time"),
    (uboot_64, "soft:time"),
]
LONG_TESTS = [
    (memtest_1_cpu, "paged32:runs"),
    (memtest_2_cpus, "paged32:runs"),
]
