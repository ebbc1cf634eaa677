"""Debian's kernel as a guest: where its image lies, an initial RAM disk for it, and its symbols.

Nothing of it is kept in the repository: the kernel and busybox come from their packages.
"""

import functools
import glob
import os
import re
import struct
import threading

from vm import GUESTS, Failure, Umbra

BUSYBOX = "/bin/busybox"
SEABIOS = "/usr/share/seabios/bios-256k.bin"
BASE_APPEND = "console=ttyS0"
SYMBOLS = ("_text", "_end", "start_kernel", "rest_init", "system_state", "__x64_sys_reboot",
           "__x64_sys_execve", "sysvec_apic_timer_interrupt", "__entry_text_start", "__entry_text_end",
           "init_task", "__start_BTF", "__stop_BTF", "_raw_spin_lock", "modules", "do_init_module",
           "free_module")

# What the guest does: it says that it is up, and how it is made; with `guest=shell` it gives a shell
# to the serial line, with `guest=module` it has a module for a while; then it switches the machine off, or with `guest=reboot` restarts it.
INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox --install -s /bin
clock=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
echo "linux: up, $(grep -c ^processor /proc/cpuinfo) cpus, clock $clock"
case "$guest" in
shell) setsid cttyhack sh ;;
reboot) reboot -f ;;
module) insmod /dummy.ko && grep 'dummy_setup' /proc/kallsyms; rmmod dummy; echo module-gone ;;
esac
poweroff -f
"""


def kernel():
    """The newest kernel of the package linux-image-cloud-amd64, or None."""
    images = glob.glob("/boot/vmlinuz-*-cloud-amd64")

    def version(path):
        return [int(number) for number in re.findall(r"\d+", path)]
    return max(images, key=version, default=None)


def modules():
    """The folder of that kernel's modules."""
    return kernel().replace("/boot/vmlinuz-", "/lib/modules/")


def debug_file():
    """The kernel with its debugging information, of the package that ends in -dbg, or None."""
    path = kernel().replace("/boot/vmlinuz-", "/usr/lib/debug/boot/vmlinux-")
    return path if os.path.exists(path) else None


def missing():
    """Why no Linux guest can run here, or None."""
    if not kernel():
        return "no kernel of the package linux-image-cloud-amd64"
    for path, package in ((BUSYBOX, "busybox-static"), (SEABIOS, "seabios")):
        if not os.path.exists(path):
            return "no %s (package %s)" % (path, package)
    return None


def cpio_entry(number, name, mode, data=b"", device=(0, 0)):
    """One file of a "newc" archive (Linux, Documentation/driver-api/early-userspace/
    buffer-format.rst)."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


@functools.lru_cache(maxsize=None)
def initrd(module=None):
    """The path of the RAM disk, made anew by each run of the tests, with the file @module in it."""
    with open(BUSYBOX, "rb") as file:
        busybox = file.read()
    entries = [("bin", 0o40755), ("dev", 0o40755), ("dev/console", 0o20600, b"", (5, 1)),
               ("dev/ttyS0", 0o20600, b"", (4, 64)), ("bin/busybox", 0o100755, busybox),
               ("init", 0o100755, INIT.encode())]
    if module:
        with open(module, "rb") as file:
            entries.append((os.path.basename(module), 0o100644, file.read()))
    entries.append(("TRAILER!!!", 0))
    os.makedirs(GUESTS, exist_ok=True)
    path = os.path.join(GUESTS, "linux-initrd%s.%d" % ("-module" if module else "", os.getpid()))
    with open(path, "wb") as file:
        for number, entry in enumerate(entries):
            file.write(cpio_entry(number, *entry))
    return path


def boot(cpus, append="", extra=(), image=None, module=None, **options):
    """Start it, or @image in its place, with @module in its RAM disk; see Umbra for the options."""
    config = {"image": image or kernel(), "cpus": str(cpus), "mem": "256M", "args": ""}
    return Umbra(config, ["-initrd", initrd(module), "-no-reboot", "-append",
                          (BASE_APPEND + " " + append).strip(), *extra], **options)


def firmware():
    """Start SeaBIOS with two processors; what it says goes to the file "log" in the scratch folder,
    and the run ends where it gives up and restarts."""
    return Umbra({"image": SEABIOS, "boot": "-bios", "cpus": "2", "mem": "128M", "args": ""},
                 ["-debugcon", "file:{scratch}/log", "-global", "isa-debugcon.iobase=0x402",
                  "-no-reboot"], gdb=None)


def read_symbols(umbra):
    """Ask the guest's shell for the addresses of SYMBOLS."""
    umbra.send_uart(b"grep -E ' (%s)$' /proc/kallsyms; echo symbols-$((1+1))\n"
                    % "|".join(SYMBOLS).encode())
    umbra.wait_uart(r"^symbols-2")
    found = re.findall(r"^([0-9a-f]{16}) \w (\w+)\r?$", umbra.uart.text(), re.M)
    symbols = {name: int(address, 16) for address, name in found}
    if set(symbols) != set(SYMBOLS):
        raise Failure("the guest has not all symbols, but %s" % symbols)
    return symbols


LOCK = threading.Lock()


@functools.lru_cache(maxsize=None)
def linked_symbols_once():
    with boot(1, "nokaslr guest=shell", gdb=None) as umbra:
        umbra.wait_uart(r"^linux: up")
        return read_symbols(umbra)


def linked_symbols():
    """The addresses that the kernel was linked for: those of a boot without KASLR."""
    with LOCK:
        return linked_symbols_once()


def write_elf(path, symbols, size=16):
    """A file for gdb that holds nothing but @symbols: one segment, one section, a symbol table.
    @size is how far each one reaches; 0: to the next one."""
    start, end = symbols["_text"], symbols["_end"]
    names = b"\0.text\0.symtab\0.strtab\0"
    strings, table = b"\0", bytes(24)
    for name, address in symbols.items():
        kind = 0x11 if name == "system_state" else 0x12  # a global object or function
        table += struct.pack("<IBBHQQ", len(strings), kind, 0, 1, address, size)
        strings += name.encode() + b"\0"
    at = 64 + 56
    sections = [(0,) * 10, (1, 8, 6, start, at, end - start, 0, 0, 16, 0),
                (7, 2, 0, 0, at, len(table), 3, 1, 8, 24),
                (15, 3, 0, 0, at + len(table), len(strings), 0, 0, 1, 0),
                (15, 3, 0, 0, at + len(table) + len(strings), len(names), 0, 0, 1, 0)]
    headers = at + len(table) + len(strings) + len(names)
    with open(path, "wb") as file:
        file.write(b"\x7fELF\2\1\1" + bytes(9))
        file.write(struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, start, 64, headers, 0, 64, 56, 1, 64,
                               len(sections), 4))
        file.write(struct.pack("<IIQQQQQQ", 1, 7, at, start, start, 0, end - start, 0x200000))
        file.write(table + strings + names)
        for section in sections:
            file.write(struct.pack("<IIQQQQIIQQ", *section))
