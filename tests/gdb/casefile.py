r"""Test cases of a real gdb as small files: a session as a person would type it, with what must
come back.

    # about: one sentence                    header lines; `about` and `guest` are required
    # guest: section of guests.cfg
    # needs: FLAG FLAG                       flags of `umbra check-host`, else the case is skipped
    # args: further arguments for umbra
    # hold: no                               start without -S
    # loose text is comment

    > COMMAND        gdb runs it; {address}, {symbols} and {scratch} are filled in
    ~ REGEX          its answer must match (multi-line)
    ! REGEX          its answer must not match
    = TEXT           its answer is exactly this line, white space at the ends aside
    @ctrl-c COMMAND  gdb runs it; once the guest prints, gdb gets a Ctrl-C
    @packets N COMMAND  gdb runs it and may send at most N packets
    @wait REGEX      until gdb prints this, of its own accord
    @new-gdb         the gdb goes without a word, another one starts
    @second-gdb COMMAND  another gdb runs it beside the first; its answer is what is checked next
    @uart REGEX      until the guest has printed this
    @no-uart REGEX   the guest has not printed this
    @more-uart       until the guest prints more
    @send TEXT       to the UART, with backslash escapes
    @stderr REGEX    until umbra says this
    @exit N          umbra ends with this status
    @alive           umbra has not ended
"""

import re
import shlex

from gdbdriver import Gdb
from vm import Failure, Umbra

HEADER = re.compile(r"^# (about|guest|needs|args|hold): *(.*)$")
LINE = re.compile(r"^(@[a-z0-9-]+|[>~!=]) ?(.*)$")


class Case:
    def __init__(self, path, name):
        self.name = name
        self.header = {"needs": "", "args": "", "hold": "yes"}
        self.lines = []
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                self.read_line(path, number, line.rstrip("\n"))
        for key in ("about", "guest"):
            if key not in self.header:
                raise ValueError("%s: no `# %s:`" % (path, key))

    def read_line(self, path, number, line):
        header = HEADER.match(line)
        if header:
            self.header[header[1]] = header[2]
        elif line and not line.startswith("#"):
            match = LINE.match(line)
            if not match or not hasattr(Session, VERBS.get(match[1], "")):
                raise ValueError("%s:%d: not a line of a case: %s" % (path, number, line))
            self.lines.append((number, match[1], match[2]))

    @property
    def needs(self):
        return self.header["needs"].split()

    def run(self, transcript):
        """Raises Failure; @transcript collects what was said."""
        held = self.header["hold"] != "no"
        with Umbra(self.header["guest"], shlex.split(self.header["args"]), is_held=held) as umbra:
            session = Session(umbra, transcript)
            try:
                for number, verb, rest in self.lines:
                    session.at(number, verb, rest)
            finally:
                session.close()


class Session:
    """One run of a case."""

    def __init__(self, umbra, transcript):
        self.umbra = umbra
        self.transcript = transcript
        self.gdb = Gdb()
        self.answer = ""

    def close(self):
        self.gdb.end()
        self.umbra.end()
        self.transcript.append("--- umbra: " + " ".join(self.umbra.command))
        self.transcript.append("--- UART:\n" + self.umbra.uart.text())
        self.transcript.append("--- stderr:\n" + self.umbra.stderr.text())

    def at(self, number, verb, rest):
        self.transcript.append("%s %s" % (verb, rest))
        try:
            getattr(self, VERBS[verb])(rest)
        except Failure as failure:
            raise Failure("line %d: %s %s\n%s" % (number, verb, rest, failure)) from None

    def fill(self, command):
        for name, value in (("address", self.umbra.address), ("symbols", self.umbra.symbols),
                            ("scratch", self.umbra.scratch)):
            command = command.replace("{%s}" % name, value)
        return command

    def take(self, answer):
        self.answer = answer
        self.transcript.append(answer.rstrip("\n"))

    def do_command(self, rest):
        self.take(self.gdb.command(self.fill(rest)))

    def do_match(self, rest):
        if not re.search(rest, self.answer, re.M):
            raise Failure("the answer does not match:\n" + self.answer)

    def do_not_match(self, rest):
        if re.search(rest, self.answer, re.M):
            raise Failure("the answer matches:\n" + self.answer)

    def do_equal(self, rest):
        if self.answer.strip() != rest.strip():
            raise Failure("the answer is another:\n" + self.answer)

    def do_ctrl_c(self, rest):
        token = self.gdb.start(self.fill(rest))
        self.gdb.wait(r"^Continuing")
        self.umbra.wait_more_uart()
        self.gdb.interrupt()
        self.take(self.gdb.finish(token))

    def do_packets(self, rest):
        limit, command = rest.split(" ", 1)
        self.gdb.command("set debug remote 1")
        answer = self.gdb.command(self.fill(command))
        self.gdb.command("set debug remote 0")
        sent = re.findall(r"Sending packet: (\$[^\n]*)", answer)
        self.take(answer)
        if not 0 < len(sent) <= int(limit):
            head = "\n".join(packet[:80] for packet in sent[:40])
            raise Failure("%d packets, which begin:\n%s" % (len(sent), head))

    def do_wait(self, rest):
        # It may have come among the answer of the last command already.
        if not re.search(rest, self.answer, re.M):
            self.take(self.gdb.wait(rest))

    def do_new_gdb(self, _rest):
        self.gdb.end()
        self.gdb = Gdb()

    def do_second_gdb(self, rest):
        with Gdb() as second:
            self.take(second.command(self.fill(rest)))

    def do_uart(self, rest):
        self.umbra.wait_uart(rest)

    def do_no_uart(self, rest):
        self.umbra.uart.pump()
        if re.search(rest, self.umbra.uart.text(), re.M):
            raise Failure("the guest has printed:\n" + self.umbra.uart.text())

    def do_more_uart(self, _rest):
        self.umbra.wait_more_uart()

    def do_send(self, rest):
        self.umbra.send_uart(rest.encode().decode("unicode_escape").encode("latin-1"))

    def do_stderr(self, rest):
        if not self.umbra.wait_text(self.umbra.stderr, rest):
            raise Failure("umbra said only:\n" + self.umbra.stderr.text())

    def do_exit(self, rest):
        status = self.umbra.wait_exit()
        if status != int(rest):
            raise Failure("umbra's exit status is %d; it said:\n%s" % (
                status, self.umbra.stderr.text()))

    def do_alive(self, _rest):
        if self.umbra.process.poll() is not None:
            raise Failure("umbra has ended with %d:\n%s" % (self.umbra.process.returncode,
                                                             self.umbra.stderr.text()))


VERBS = {
    ">": "do_command", "~": "do_match", "!": "do_not_match", "=": "do_equal",
    "@ctrl-c": "do_ctrl_c", "@packets": "do_packets", "@wait": "do_wait",
    "@new-gdb": "do_new_gdb", "@second-gdb": "do_second_gdb", "@uart": "do_uart",
    "@no-uart": "do_no_uart", "@more-uart": "do_more_uart", "@send": "do_send",
    "@stderr": "do_stderr", "@exit": "do_exit", "@alive": "do_alive",
}
