"""gdb by other ways than its prompt and a port: through a pipe; and its machine interface as editors
drive it, with the opening moves of VS Code's cppdbg with `miDebuggerServerAddress`, and what its
buttons do.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.  Source: "Debugging with GDB", chapter 27 (GDB/MI).
"""

import itertools
import os
import re

from gdbdriver import Gdb
from vm import ACCEL, GUESTS, UMBRA, Failure, Umbra


class Mi:
    """A gdb that speaks MI.  A context manager."""

    def __init__(self, transcript):
        self.gdb = Gdb(["--interpreter=mi3"])
        self.numbers = itertools.count(1)
        self.transcript = transcript

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gdb.end()

    def wait(self, pattern):
        text = self.gdb.wait(pattern)
        self.transcript.append(text)
        return re.search(pattern, text, re.M)[0]

    def ask(self, command, result="done"):
        """Run a command; its result record, which must be of class @result."""
        number = next(self.numbers)
        self.transcript.append("> " + command)
        self.gdb.write("%d%s\n" % (number, command))
        record = self.wait(r"^%d\^.*\n" % number)
        if not record.startswith("%d^%s" % (number, result)):
            raise Failure("%s gave %s" % (command, record))
        return record

    def expect(self, command, pattern):
        record = self.ask(command)
        if not re.search(pattern, record):
            raise Failure("%s gave %s, not /%s/" % (command, record, pattern))

    def stopped(self, pattern):
        record = self.wait(r"^\*stopped,.*\n")
        if not re.search(pattern, record):
            raise Failure("stopped with %s, not /%s/" % (record, pattern))


def open_as_cppdbg(mi, umbra):
    mi.ask("-gdb-set mi-async on")
    mi.ask('-interpreter-exec console "set pagination off"')
    mi.ask("-gdb-set auto-solib-add on")
    mi.ask("-environment-cd .")
    mi.ask("-file-exec-and-symbols " + umbra.symbols)
    mi.ask("-target-select remote " + umbra.address, "connected")


def editor_session(transcript):
    """Open, break at main, look at stack, locals and variables, step, pause, go on, end."""
    with Umbra("hello64") as umbra, Mi(transcript) as mi:
        open_as_cppdbg(mi, umbra)
        mi.expect("-break-insert -f main", r'number="1".*func="main"')
        mi.expect("-break-insert -f guests/hello64.c:shape_measure", r'number="2"')
        mi.ask("-exec-continue", "running")
        mi.stopped(r'reason="breakpoint-hit".*func="main"')
        mi.expect("-thread-info", r'id="1".*state="stopped"')
        mi.ask("-exec-continue", "running")
        mi.stopped(r'reason="breakpoint-hit".*func="shape_measure"')
        mi.expect("-stack-list-frames", r'level="2".*func="main"')
        mi.expect("-stack-list-variables --simple-values", r'name="shape",arg="1"')
        mi.expect("-var-create - * *shape", r'numchild="4"')
        mi.expect("-data-evaluate-expression shape->width", r'value="4"')
        mi.ask("-exec-next", "running")
        mi.stopped(r'reason="end-stepping-range"')
        mi.ask("-exec-finish", "running")
        mi.stopped(r'reason="function-finished".*gdb-result-var')
        mi.ask("-break-delete 1 2")
        mi.ask("-exec-continue", "running")
        mi.stopped(r'reason="exited-normally"')


def editor_pause(transcript):
    """The pause button, and disconnecting from a guest that goes on."""
    with Umbra("spin") as umbra, Mi(transcript) as mi:
        open_as_cppdbg(mi, umbra)
        mi.ask("-exec-continue", "running")
        umbra.wait_more_uart()
        mi.ask("-exec-interrupt")
        mi.stopped(r'reason="signal-received",signal-name="SIGINT"')
        mi.expect("-data-evaluate-expression spin_is_over", r'value="false"')
        mi.ask("-exec-continue", "running")
        umbra.wait_more_uart()
        mi.ask("-exec-interrupt")
        mi.stopped(r'signal-name="SIGINT"')
        mi.ask("-target-detach")
        umbra.wait_more_uart()


def pipe_session(transcript):
    """gdb starts umbra itself and talks to it through a pipe: `target remote | umbra -gdb stdio`."""
    image = os.path.join(GUESTS, "hello64.elf")
    command = [UMBRA, "-accel", ACCEL, "-kernel", image, "-gdb", "stdio", "-serial", "null", "-S"]
    with Gdb() as gdb:
        for line, pattern in ((f"file {image}", ""),
                              ("target remote | " + " ".join(command), "_start"),
                              ("tbreak factorial", "breakpoint 1"),
                              ("continue", r"factorial \(n=6\)"),
                              ("monitor info cpus", "long64"),
                              ("kill", "killed")):
            answer = gdb.command(line)
            transcript += ["> " + line, answer]
            if not re.search(pattern, answer):
                raise Failure("%s gave %s, not /%s/" % (line, answer, pattern))


TESTS = [
    (pipe_session, ""),
    (editor_session, ""),
    (editor_pause, ""),
]
