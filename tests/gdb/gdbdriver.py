"""Drives a real gdb through its standard input and output, one command at a time."""

import itertools
import os
import re
import select
import signal
import subprocess
import time

from vm import PATIENCE_S, ROOT, Failure, Pipe

GDB = os.environ.get("GDB", "gdb")
SETTINGS = ("confirm off", "pagination off", "width 0", "height 0", "style enabled off",
            "debuginfod enabled off", "prompt", "print thread-events on")
TOKEN = "@@%d@@"


class Gdb:
    """One gdb process.  A context manager: at its end the process is gone.

    Each command is followed by an `echo` of a token that no other output contains, so the end of
    an answer is certain, and what comes later (of a guest that runs in the background) is kept.
    """

    def __init__(self, options=()):
        arguments = [GDB, "-nx", "-q", *options]
        for setting in SETTINGS:
            arguments += ["-iex", "set " + setting]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True)
        self.output = Pipe(self.process.stdout.fileno())
        self.taken = 0  # bytes of the output that answers have used up
        self.numbers = itertools.count()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def write(self, text):
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failure("gdb has gone") from None

    def wait(self, pattern):
        """Wait until the output not yet taken matches, and take it up to there."""
        limit = time.monotonic() + PATIENCE_S
        while True:
            rest = self.output.data[self.taken:].decode(errors="replace")
            match = re.search(pattern, rest, re.M)
            if match:
                self.taken += len(rest[:match.end()].encode())
                return rest[:match.end()]
            if not self.output.is_open:
                raise Failure("gdb has gone; it said:\n" + rest)
            if not select.select([self.output.fd], [], [], max(0, limit - time.monotonic()))[0]:
                raise Failure("gdb never printed /%s/, but:\n%s" % (pattern, rest))
            self.output.pump()

    def start(self, command):
        """Send a command; finish() waits for its end."""
        token = TOKEN % next(self.numbers)
        self.write("%s\necho %s\\n\n" % (command, token))
        return token

    def finish(self, token):
        answer = self.wait(re.escape(token) + r"\n")
        return answer[:answer.rindex(token)]

    def command(self, command):
        """Run a command and return what it printed."""
        return self.finish(self.start(command))

    def interrupt(self):
        """What Ctrl-C at the terminal does."""
        self.process.send_signal(signal.SIGINT)

    def kill(self):
        """End gdb as a crash would: nothing is said to the server."""
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.stdout.close()
