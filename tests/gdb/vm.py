"""Starts umbra with a guest of guests/guests.cfg, and looks after the process.

Waits are always for something that happens (output, an exit); none of them is a pause.
"""

import configparser
import os
import re
import select
import shutil
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UMBRA = os.environ.get("UMBRA", os.path.join(ROOT, "build", "umbra"))
ACCEL = os.environ.get("ACCEL", "kvm")
GUESTS = os.path.join(ROOT, "build", "guests")
EXIT_NO_ACCEL = 77
PATIENCE_S = 60  # for one thing that must happen; a loaded host may take long


class Failure(Exception):
    """A test found something else than it should."""


class Skip(Exception):
    """A test cannot run here; the text says why."""


def load_guests():
    config = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=None)
    with open(os.path.join(ROOT, "guests", "guests.cfg"), encoding="utf-8") as file:
        config.read_file(file)
    return config


class Pipe:
    """Bytes from a file descriptor, collected for good."""

    def __init__(self, fd):
        self.fd = fd
        self.data = b""
        self.is_open = True
        os.set_blocking(fd, False)

    def pump(self):
        """Take what is there."""
        try:
            piece = os.read(self.fd, 65536)
        except BlockingIOError:
            return
        self.data += piece
        self.is_open = bool(piece)

    def text(self):
        return self.data.decode(errors="replace")

UART_LAG = 16  # bytes: more than a guest's first line


class Umbra:
    """One umbra process.  A context manager: at its end the process is gone.

    @guest    section of guests.cfg, or a mapping that has the same keys
    @extra    further arguments; {scratch} in them is this process's scratch directory
    @gdb      argument of -gdb, or None; "unix" stands for a socket in the scratch directory
    @is_held  start with -S
    @program  what to start, UMBRA by default
    """

    def __init__(self, guest, extra=(), gdb="tcp:127.0.0.1:0", is_held=True, program=None):
        self.config = load_guests()[guest] if isinstance(guest, str) else guest
        self.scratch = tempfile.mkdtemp(prefix="umbra-test-")
        if gdb == "unix":
            gdb = "unix:" + os.path.join(self.scratch, "gdb.sock")
        command = [program or UMBRA, self.config.get("boot", "-kernel"),
                   os.path.join(GUESTS, self.config["image"])]
        command += ["-accel", ACCEL, "-smp", self.config["cpus"], "-m", self.config["mem"]]
        command += self.config["args"].split()
        command += ["-serial", "stdio", "--die-with-parent", "-gdb", gdb or "none"]
        command += ["-S"] if is_held and gdb else []
        command += [argument.replace("{scratch}", self.scratch) for argument in extra]
        self.command = command
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, start_new_session=True)
        self.uart = Pipe(self.process.stdout.fileno())
        self.stderr = Pipe(self.process.stderr.fileno())
        self.address = self.read_address() if gdb else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    @property
    def pid(self):
        return self.process.pid

    @property
    def symbols(self):
        return os.path.join(GUESTS, self.config.get("symbols", self.config["image"]))

    def read_address(self):
        if not self.wait_text(self.stderr, r"^gdb: target remote (\S+)\n"):
            self.end()
            raise Failure("umbra gave no address; its stderr:\n" + self.stderr.text())
        return re.search(r"^gdb: target remote (\S+)\n", self.stderr.text(), re.M)[1]

    def pump(self, limit):
        """Wait until one of the pipes has something, and take it.  False when @limit has passed or
        both have ended."""
        pipes = [pipe for pipe in (self.uart, self.stderr) if pipe.is_open]
        ready = select.select([p.fd for p in pipes], [], [], max(0, limit - time.monotonic()))[0]
        for pipe in pipes:
            if pipe.fd in ready:
                pipe.pump()
        return bool(ready)

    def wait_text(self, pipe, pattern, patience=PATIENCE_S):
        """Wait until @pipe's text matches.  False when it cannot any more."""
        limit = time.monotonic() + patience
        while not re.search(pattern, pipe.text(), re.M):
            if not pipe.is_open or not self.pump(limit):
                return False
        return True

    def wait_uart(self, pattern):
        if not self.wait_text(self.uart, pattern):
            raise Failure("the UART never showed /%s/, but:\n%s" % (pattern, self.uart.text()))

    def wait_more_uart(self):
        """Wait until the guest has printed something more: proof that it runs.  What it printed
        before the last stop may still be on its way, so a byte or two prove nothing."""
        self.uart.pump()
        enough = len(self.uart.data) + UART_LAG
        limit = time.monotonic() + PATIENCE_S
        while len(self.uart.data) < enough:
            if not self.pump(limit):
                raise Failure("the guest printed nothing more")

    def send_uart(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def wait_exit(self, patience=PATIENCE_S):
        """Wait for the end of the process; its exit status."""
        limit = time.monotonic() + patience
        while (self.uart.is_open or self.stderr.is_open) and self.pump(limit):
            pass
        try:
            return self.process.wait(max(0.1, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failure("umbra did not end") from None

    def fd_count(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))

    def task_count(self):
        return len(os.listdir("/proc/%d/task" % self.pid))

    def cpu_ticks(self):
        """Processor time that all threads have used, in clock ticks (proc(5), stat)."""
        with open("/proc/%d/stat" % self.pid, encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                file.close()
            except BrokenPipeError:
                pass
        shutil.rmtree(self.scratch, ignore_errors=True)


class Everything:
    """The flags of a back end that lacks nothing."""

    def __contains__(self, flag):
        return True


def host_flags():
    """What the back end does, for KVM by `umbra check-host`: a set of words MODE:COLUMN, and None;
    or an empty set and the reason why no guest can run here."""
    if ACCEL == "soft":
        return Everything(), None
    result = subprocess.run([UMBRA, "check-host"], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=PATIENCE_S, check=False)
    if result.returncode == EXIT_NO_ACCEL:
        return set(), result.stderr.strip()
    if result.returncode != 0:
        raise Failure("umbra check-host returned %d: %s" % (result.returncode, result.stderr))
    return parse_flags(result.stdout), None


def parse_flags(text):
    """The table of check-host: a head line that begins with "mode", one line for each mode, "-" for
    what does not work."""
    lines = [line.split() for line in text.splitlines()]
    head = next(number for number, words in enumerate(lines) if words[:1] == ["mode"])
    flags = set()
    for words in lines[head + 1:]:
        if words == ["missing:"]:
            break
        flags |= {"%s:%s" % (words[0], name) for name, cell in zip(lines[head][1:], words[1:])
                  if cell != "-"}
    return flags
