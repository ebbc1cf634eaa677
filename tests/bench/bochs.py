"""Bochs on a ROM of guests/lib/rom.S: it has no loader for images, but starts any firmware.

The guest's UART comes out of a named pipe.  Debian's Bochs needs a terminal for its screen, a ROM
for its display adapter, and, with its debugger built in, to be told to go on.
"""

import os
import pty
import shutil
import subprocess
import tempfile
import threading

CMDLINE = 0xffe0  # in the ROM, 16 bytes
CONFIG = """\
config_interface: textconfig
display_library: term
romimage: file={0}/guest.rom
vgaromimage: file={0}/vga.rom
megs: 64
cpu: model=core2_penryn_t9600, count=1, ips=100000000, reset_on_triple_fault=0
clock: sync=none
log: {0}/log
panic: action=fatal
error: action=ignore
info: action=ignore
com1: enabled=1, mode=file, dev={0}/com1
"""


def find():
    """The program and the terminal's plugin must be there."""
    plugins = "/usr/lib/x86_64-linux-gnu/bochs/plugins"
    has_screen = os.path.exists(os.path.join(plugins, "libbx_term_gui.so"))
    return shutil.which("bochs") if has_screen else None


def empty_adapter_rom():
    """An option ROM of one block that returns at once; its bytes add up to 0."""
    rom = bytearray(b"\x55\xaa\x01\xcb".ljust(512, b"\0"))
    rom[-1] = -sum(rom) & 0xff
    return rom


def drain(master):
    """Nobody looks at the screen, but somebody must read it."""
    try:
        while os.read(master, 4096):
            pass
    except OSError:
        os.close(master)


class Bochs:
    """A running Bochs, to be used in a with statement: `pid`, and `uart`, a file of lines."""

    def __init__(self, program, rom, cmdline):
        self.folder = tempfile.TemporaryDirectory(prefix="umbra-bench-")
        with open(rom, "rb") as file:
            image = bytearray(file.read())
        image[CMDLINE:CMDLINE + 16] = cmdline.encode().ljust(16, b"\0")
        self.write("guest.rom", image)
        self.write("vga.rom", empty_adapter_rom())
        self.write("debugger", b"continue\n")
        self.write("bochsrc", CONFIG.format(self.folder.name).encode())
        os.mkfifo(self.path("com1"))
        master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [program, "-q", "-f", self.path("bochsrc"), "-rc", self.path("debugger")],
            stdin=slave, stdout=slave, stderr=slave, env={**os.environ, "TERM": "xterm"},
            start_new_session=True)
        os.close(slave)
        threading.Thread(target=drain, args=(master,), daemon=True).start()
        self.uart = self.open_pipe()
        self.pid = self.process.pid

    def open_pipe(self):
        """The reading end; it is at its end when Bochs has ended, whether or not it wrote."""
        reader = os.open(self.path("com1"), os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(self.path("com1"), os.O_WRONLY)
        os.set_blocking(reader, True)

        def close_at_end():
            self.process.wait()
            os.close(writer)

        threading.Thread(target=close_at_end, daemon=True).start()
        return os.fdopen(reader, encoding="ascii", errors="replace")

    def kill(self):
        self.process.kill()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.wait()
        self.uart.close()
        self.folder.cleanup()
