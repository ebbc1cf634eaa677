"""A raw client of the GDB Remote Serial Protocol: packets in, packets out, nothing
interpreted.

Source: "Debugging with GDB", appendix E (overview, packets).
"""

import re
import select
import socket
import time

from vm import PATIENCE_S, Failure

ESCAPE = 0x7D
INTERRUPT = b"\x03"


def checksum(body):
    return b"%02x" % (sum(body) & 0xFF)


def frame(body):
    return b"$" + body + b"#" + checksum(body)


def escape(data):
    """Binary data for X packets."""
    out = bytearray()
    for byte in data:
        if byte in b"#$}*":
            out += bytes((ESCAPE, byte ^ 0x20))
        else:
            out.append(byte)
    return bytes(out)


def expand(body):
    """Undo escapes and run lengths of a reply."""
    out = bytearray()
    index = 0
    while index < len(body):
        byte = body[index]
        if byte == ESCAPE:
            index += 1
            out.append(body[index] ^ 0x20)
        elif byte == ord("*"):
            index += 1
            out += out[-1:] * (body[index] - 29)
        else:
            out.append(byte)
        index += 1
    return bytes(out)


def connect(address):
    """A connected socket to "HOST:PORT", "[HOST]:PORT" or a socket's path."""
    match = re.match(r"^\[?([^\]/]*)\]?:([0-9]+)$", address)
    if match:
        sock = socket.create_connection((match[1], int(match[2])), PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE_S)
    sock.connect(address)
    return sock


class Client:
    """One connection.  A context manager.  Starts in acknowledge mode, as the protocol does."""

    def __init__(self, address):
        self.sock = connect(address)
        self.data = b""
        self.notes = []  # bodies of notifications that came
        self.has_acks = True
        self.sent_count = 0
        self.received_count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Shut it down first: a program that another test is just starting may hold a copy."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster
        self.sock.close()

    def raw(self, data):
        self.sock.sendall(data)

    def receive(self, limit):
        """More bytes into self.data.  False at the end of the connection or past @limit."""
        if not select.select([self.sock], [], [], max(0, limit - time.monotonic()))[0]:
            return False
        try:
            piece = self.sock.recv(1 << 16)
        except ConnectionResetError:
            return False
        self.data += piece
        return bool(piece)

    def send(self, body):
        if isinstance(body, str):
            body = body.encode("latin-1")
        self.sent_count += 1
        self.raw(frame(body))

    def packet(self, patience=PATIENCE_S):
        """The next packet's body, or None when the connection ended or nothing came in time."""
        limit = time.monotonic() + patience
        while True:
            match = re.match(rb"[+]*([$%])([^#]*)#(..)", self.data, re.S)
            if match and match[1] == b"%":
                self.take(match)
                self.notes.append(expand(match[2]).decode("latin-1"))
                continue
            if match:
                break
            if not self.receive(limit):
                return None
        self.take(match)
        if self.has_acks:
            self.raw(b"+")
        self.received_count += 1
        return expand(match[2])

    def take(self, match):
        """Cut what @match holds off the data."""
        self.data = self.data[match.end():]
        if checksum(match[2]) != match[3]:
            raise Failure("bad checksum: %r" % match[0])

    def note(self, patience=PATIENCE_S):
        """The next notification, whose turn it is."""
        limit = time.monotonic() + patience
        while not self.notes:
            match = re.match(rb"[+]*%([^#]*)#(..)", self.data, re.S)
            if match:
                self.notes.append(expand(match[1]).decode("latin-1"))
                self.data = self.data[match.end():]
            elif not self.receive(limit):
                raise Failure("no notification came; there is %r" % self.data)
        return self.notes.pop(0)

    def ask(self, body, patience=PATIENCE_S):
        """Send a packet; the reply as text."""
        self.send(body)
        reply = self.packet(patience)
        if reply is None:
            raise Failure("no reply to %r" % body)
        return reply.decode("latin-1")

    def expect(self, body, pattern):
        """Like ask; the reply must match as a whole."""
        reply = self.ask(body)
        if not re.fullmatch(pattern, reply, re.S):
            raise Failure("%r was answered with %r, not /%s/" % (body, reply, pattern))
        return reply

    def expect_packet(self, pattern):
        """The next packet must match as a whole; console output in between is let through."""
        while True:
            reply = self.packet()
            if reply is None:
                raise Failure("no packet came, but /%s/ should have" % pattern)
            text = reply.decode("latin-1")
            if re.fullmatch(pattern, text, re.S):
                return text
            if not re.fullmatch("O[0-9a-f]*", text):
                raise Failure("%r came, not /%s/" % (text, pattern))

    def no_ack(self):
        self.expect("QStartNoAckMode", "OK")
        self.has_acks = False

    def is_closed(self):
        """Wait until the server closes; what it sent before stays in self.data."""
        limit = time.monotonic() + PATIENCE_S
        while self.receive(limit):
            pass
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True
        except TimeoutError:
            return False

    def features(self):
        """Read the whole target description."""
        text = ""
        while True:
            reply = self.ask("qXfer:features:read:target.xml:%x,fff0" % len(text))
            text += reply[1:]
            if reply[:1] != "m":
                return text
