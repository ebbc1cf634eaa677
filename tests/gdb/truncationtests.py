"""Packets that break off: each prefix of each packet of packets.txt, in four ways, on one umbra.

A packet that is cut before its checksum must not act, must not be glued to what the next client
says, and must not keep the next client from being served.  packets.txt has packets that gdb, LLDB
and scripts sent, one a line, and at least one for each row of the command table.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.
"""

import os
import random
import re
import socket
import struct
import time

from rawclient import connect, frame
from rawtests import attach, require
from vm import PATIENCE_S, ROOT, Failure, Umbra

PACKETS = os.path.join(ROOT, "tests", "gdb", "packets.txt")
PACKETS_MIN = 300
SAMPLE = 3000
SAMPLE_SEED = 6
SUMS_EVERY = 100
# RAM below and above the hole for the VGA.
RAM = ((0, 0xa0000), (0x100000, 0x100000))
# What each client asks that comes after a cut: everything in one piece, answered in one piece.  The
# write of nothing is refused to one that may only look.
QUESTIONS = [b"QStartNoAckMode", b"?", b"g", b"m100000,40", b"m2000,40", b"X2000,0:", b"qTStatus"]
BURST = b"".join(frame(question) for question in QUESTIONS)
FIRST_WORDS = frame(b"?")
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: no FIN, no TIME_WAIT


def load_packets():
    """Lines of text with \\xNN for other bytes; the packets as bytes."""
    with open(PACKETS, encoding="ascii") as file:
        lines = [line.rstrip("\n") for line in file if not line.startswith("# ")]
    return [re.sub(rb"\\x(..)", lambda m: bytes.fromhex(m[1].decode()), line.encode()) for line in lines]


def command_names():
    """The names of the command table's rows."""
    with open(os.path.join(ROOT, "gdbstub", "cmd_table.c"), encoding="utf-8") as file:
        return re.findall(r'^\t\{"([^"]+)", ', file.read(), re.M)


def receive_packets(sock, count):
    """The bytes of @count packets, with what stands between them."""
    data = b""
    while data.count(b"#") < count or data[-3:-2] != b"#":
        piece = sock.recv(1 << 16)
        require(piece, "closed after %r" % data)
        data += piece
    return data


def receive_all(sock):
    data = b""
    while True:
        piece = sock.recv(1 << 16)
        if not piece:
            return data
        data += piece


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    sock.close()


class Cutter:
    """One held guest, and what clients of it must be told while nothing happens to it."""

    def __init__(self, umbra):
        self.address = umbra.address
        self.count = 0
        self.in_control = self.ask_all()
        with connect(self.address) as owner:
            owner.sendall(FIRST_WORDS)
            self.first_answer = receive_packets(owner, 1)
            self.looking = self.ask_all()
        require(b"$E.another client controls" in self.looking, "a second client controls too")
        require(b"$E" not in self.in_control, "the first one does not control")
        self.memory = self.sums()

    def ask_all(self):
        """A client of its own asks everything."""
        sock = connect(self.address)
        sock.sendall(BURST)
        answers = receive_packets(sock, len(QUESTIONS))
        reset(sock)
        return answers

    def sums(self):
        """The checksums of all RAM, and what tracepoints there are."""
        with connect(self.address) as sock:
            packets = [b"QStartNoAckMode", b"?"] + [b"qCRC:%x,%x" % area for area in RAM] + [b"qTfP"]
            sock.sendall(b"".join(frame(packet) for packet in packets))
            return receive_packets(sock, len(packets))

    def expect(self, what, found, wanted):
        if found != wanted:
            raise Failure("%s: %r, not %r" % (what, found[:600], wanted[:600]))

    def cut(self, packet, length, way, has_spoken):
        """@packet breaks off after @length bytes of its frame; @has_spoken: behind a whole one."""
        sock = connect(self.address)
        sock.sendall((FIRST_WORDS if has_spoken else b"") + frame(packet)[:length])
        expected = self.in_control
        what = "%r cut at %d, %s" % (packet, length, way)
        if way == "fin":
            sock.shutdown(socket.SHUT_WR)
            self.expect(what, receive_all(sock), self.first_answer if has_spoken else b"")
            sock.close()
        elif way == "rst":
            reset(sock)
        elif way == "next":
            sock.close()
        elif has_spoken:
            receive_packets(sock, 1)
            expected = self.looking
        answers = self.ask_all()
        # A hang-up may take longer through a busy host than the next connection does: who comes then
        # may only look at first, be it this one or the one that stalls.
        limit = time.monotonic() + PATIENCE_S
        while answers == self.looking != expected and time.monotonic() < limit:
            answers = self.ask_all()
        if answers == self.in_control:
            expected = answers
        self.expect(what, answers, expected)
        if way == "stall":
            reset(sock)
        self.count += 1


WAYS = ("fin", "rst", "stall", "next")


def every_cut(packets):
    """Packet, length, way, and whether the client had said something: each second one had."""
    for packet in packets:
        for length in range(1, len(packet) + 4):
            for number, way in enumerate(WAYS):
                yield packet, length, way, bool((length + number // 2) & 1)


def run_cuts(cuts):
    """The rate, for people."""
    with Umbra("hello64", extra=["--on-disconnect", "stay", "-m", "2M"]) as umbra:
        with attach(umbra):
            fds, tasks = umbra.fd_count() - 1, umbra.task_count()
        cutter = Cutter(umbra)
        started = time.monotonic()
        for packet, length, way, has_spoken in cuts:
            cutter.cut(packet, length, way, has_spoken)
            if cutter.count % SUMS_EVERY == 0:
                cutter.expect("after %r" % packet, cutter.sums(), cutter.memory)
        cutter.expect("at the end", cutter.sums(), cutter.memory)
        took = time.monotonic() - started
        limit = time.monotonic() + PATIENCE_S
        # Connections that were reset may still be on their way out.
        while (umbra.fd_count(), umbra.task_count()) != (fds, tasks):
            require(time.monotonic() < limit, "%d descriptors, not %d" % (umbra.fd_count(), fds))
        return "%d cuts, %.0f a second" % (cutter.count, cutter.count / took)


def packets_cover_the_table(_transcript):
    """packets.txt has what it is said to have."""
    packets = load_packets()
    require(len(set(packets)) == len(packets) >= PACKETS_MIN, "%d packets" % len(packets))
    for name in command_names():
        require(any(p.startswith(name.encode()) for p in packets), "no packet for " + name)


def a_sample_of_cuts(_transcript):
    cuts = list(every_cut(load_packets()))
    chosen = sorted(random.Random(SAMPLE_SEED).sample(range(len(cuts)), SAMPLE))
    return run_cuts([cuts[index] for index in chosen])


def every_cut_in_every_way(_transcript):
    return run_cuts(every_cut(load_packets()))


TESTS = [
    (packets_cover_the_table, ""),
    (a_sample_of_cuts, ""),
]
LONG_TESTS = [
    (every_cut_in_every_way, ""),
]
