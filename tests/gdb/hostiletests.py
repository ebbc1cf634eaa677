"""Clients that mean no good, or do not know better: ten thousand that are cut off, those that never
read, those that speak another protocol, more of them than there is room for.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.
"""

import os
import random
import re
import socket
import statistics
import subprocess
import time

from gdbdriver import Gdb
from rawclient import INTERRUPT, Client, connect, frame
from rawtests import GDB_SUPPORTED, STOP, attach, require, symbols
from truncationtests import receive_all, reset
from vm import ACCEL, GUESTS, PATIENCE_S, UMBRA, Umbra

KILLS = 2000
KILLS_LONG = 10000
KILLS_WARM = 100
# What memory may grow by after the first hundred: parts of the buffers of eight clients that nobody had
# filled until then.  Fifty bytes for each of ten thousand clients would be as much.
KILLS_KIB_MAX = 512
CLIENTS_MAX = 8
ROUNDS = 100
JAM_BYTES_MAX = 64 << 20  # of questions; the answers are a thousand times as long
QUIET = 20  # rounds in which nothing goes out any more
# Nine of ten may take this many times what they take alone, and so much more: a busy host, not a
# client that waits for another one.
SLOWER_MAX = 10
SLOWER_S_MAX = 0.1


def hexadecimal(text):
    return text.encode().hex().encode()


def status_kib(umbra, name):
    with open("/proc/%d/status" % umbra.pid, encoding="ascii") as file:
        return int(re.search(r"^%s:\s+(\d+)" % name, file.read(), re.M)[1])


def keeps_what_is_freed(umbra):
    """The address sanitizer does, for a while."""
    with open("/proc/%d/maps" % umbra.pid, encoding="utf-8") as file:
        return "libasan" in file.read()


def take_control(umbra):
    """A client that controls the guest, as soon as umbra has heard that the one before has gone: on a
    busy host the next connection may be faster."""
    limit = time.monotonic() + PATIENCE_S
    while True:
        client = attach(umbra)
        if client.ask("X2000,0:") == "OK":
            return client
        client.close()
        require(time.monotonic() < limit, "another client stays in control")


def use_all_slots(umbra):
    """A client more than there is room for, all at once, each with a long answer: from then on no
    buffer is new."""
    clients = [Client(umbra.address) for _ in range(CLIENTS_MAX)]
    for client in clients:
        client.no_ack()
        client.expect("?", STOP)
        client.expect("m100000,f000", "[0-9a-f]*")
        client.expect("Q" + "x" * 0x1fff0, "|E.*")
        client.expect("qCRC:100000,40000", "C.*")
        client.send(b"qRcmd," + hexadecimal("x /20000xb 0x100000"))
        client.expect_packet("OK|E.*")
    for client in clients:
        client.close()


# ---- cut off ---------------------------------------------------------------------------------------


def last_words(names):
    """What clients say before they are cut off, and how often of a hundred.  Some are in the middle
    of something: a run, a step, a search, a monitor word, non-stop mode, an answer that they do not
    read, a packet."""
    opening = b"+" + frame(GDB_SUPPORTED.encode()) + b"+" + frame(b"QStartNoAckMode") + b"+"
    go = frame(b"vCont;c")
    point = b"Z0,%x,1" % names["count_once"]
    return [
        (4, b""),
        (2, b"$m0,"),
        (3, b"GET / HTTP/1.1\r\n\r\n"),
        (6, frame(b"?")),
        (12, opening + frame(b"?") + frame(b"g") + b"$X2000,4:ab"),
        (15, opening + go),
        (8, opening + go + INTERRUPT),
        (10, opening + frame(point) + go),
        (8, opening + frame(point + b";X3,220127") + go),
        (6, opening + frame(b"vCont;r100000,110000:p1.1") + frame(b"?")),
        (10, opening + frame(b"QNonStop:1") + frame(b"?") + frame(b"vCont;c:p1.-1") + frame(b"vStopped")),
        (2, opening + frame(b"qSearch:memory:0;a0000;" + 64 * b"\xa5") + frame(b"g")),
        (1, opening + frame(b"qSearch:memory:100000;f00000;" + 64 * b"\xa5") + frame(b"g")),
        (2, opening + frame(b"qRcmd," + hexadecimal("mmu map")) + frame(b"g")),
        (1, opening + frame(b"qRcmd," + hexadecimal("mmu verify")) + frame(b"g")),
        (4, opening + 40 * frame(b"m100000,8000")),
        (6, opening + frame(b"qXfer:features:read:target.xml:0,fff") + frame(b"D;1")),
    ]


def cut_off(address, words, how):
    """@how: 0 the client ends its side and hears the rest, 1 it closes, 2 it resets, 3 the same behind
    some of the answer."""
    sock = connect(address)
    try:
        sock.sendall(words)
        if how == 0:
            sock.shutdown(socket.SHUT_WR)
            receive_all(sock)
        if how == 3 and frame(b"?") in words:
            sock.recv(64)
    except (BrokenPipeError, ConnectionResetError):
        pass  # it was turned away faster than it spoke
    if how >= 2:
        reset(sock)
    else:
        sock.close()


def at_rest(umbra, fds):
    """Descriptors, threads and KiB of memory, as soon as no connection is on its way out."""
    limit = time.monotonic() + PATIENCE_S
    while umbra.fd_count() > fds:
        require(time.monotonic() < limit, "%d descriptors, not %d" % (umbra.fd_count(), fds))
    return umbra.fd_count(), umbra.task_count(), status_kib(umbra, "VmRSS")


def guest_count(umbra, names):
    """The guest's counter, by a client of its own that lets the guest go."""
    with take_control(umbra) as client:
        count = client.ask("m%x,8" % (names["bsp_counter"] + 8))
        client.expect("D;1", "OK")
        require(client.is_closed(), "a detached connection stays open")
    return int.from_bytes(bytes.fromhex(count), "little")


def guest_goes_on(umbra, names):
    before = guest_count(umbra, names)
    limit = time.monotonic() + PATIENCE_S
    while guest_count(umbra, names) == before:
        require(time.monotonic() < limit, "the guest stands still")


def kill_cycles(count):
    """The rate, for people."""
    dice = random.Random(count)
    names = symbols("smp2.elf")
    weights, words = zip(*last_words(names))
    with Umbra("smp2") as umbra:
        with take_control(umbra) as client:
            fds = umbra.fd_count() - 1
            client.expect("M%x,8:%s" % (names["count_limit"], (1 << 62).to_bytes(8, "little").hex()), "OK")
            text = client.ask("m100000,1000")
            client.expect("D;1", "OK")
        umbra.wait_uart("ap is up")
        use_all_slots(umbra)
        for number, last in enumerate(dice.choices(words, weights, k=count)):
            if number == KILLS_WARM:
                before = at_rest(umbra, fds)
                started = time.monotonic()
            cut_off(umbra.address, last, dice.randrange(4))
        took = time.monotonic() - started
        after = at_rest(umbra, fds)
        require(after[:2] == before[:2], "descriptors and threads: %s, before %s" % (after, before))
        require(keeps_what_is_freed(umbra) or after[2] - before[2] <= KILLS_KIB_MAX,
                "memory grew from %d to %d KiB" % (before[2], after[2]))
        guest_goes_on(umbra, names)
        with take_control(umbra) as client:
            require(client.ask("m100000,1000") == text, "the guest's text is not as it was")
        # The leak sanitizer speaks at the end only.
        umbra.process.terminate()
        require(umbra.wait_exit() == 143, "exit status %d: %s" % (umbra.process.returncode, umbra.stderr.text()))
    return "%d clients, %.0f a second, %+d KiB" % (count, (count - KILLS_WARM) / took, after[2] - before[2])


def two_thousand_clients_are_cut_off(_transcript):
    return kill_cycles(KILLS)


def ten_thousand_clients_are_cut_off(_transcript):
    return kill_cycles(KILLS_LONG)


# ---- never reading ---------------------------------------------------------------------------------


def latencies(client, names):
    """The seconds that nine of ten reads, steps and stops take at most."""
    took = {"read": [], "step": [], "stop": []}
    for _ in range(ROUNDS):
        started = time.monotonic()
        client.expect("m%x,8" % names["bsp_counter"], "[0-9a-f]{16}")
        took["read"].append(time.monotonic() - started)
        started = time.monotonic()
        client.expect("vCont;s:1", STOP)
        took["step"].append(time.monotonic() - started)
        client.send("vCont;c")
        started = time.monotonic()
        client.raw(INTERRUPT)
        client.expect_packet(STOP)
        took["stop"].append(time.monotonic() - started)
    return {kind: statistics.quantiles(times, n=10)[-1] for kind, times in took.items()}


class Jam:
    """A client that asks for more and more and never reads."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.setblocking(False)
        self.asked = 0

    def push(self):
        """Ask for as much as goes out now; False when that is nothing."""
        question = frame(b"x100000,8000")
        before = self.asked
        try:
            while True:
                self.asked += self.sock.send(64 * question)
                require(self.asked < JAM_BYTES_MAX, "it is read from without end")
        except BlockingIOError:
            return self.asked > before


def jam(socks, other):
    """Clients that are stuck, while @other is served."""
    jams = [Jam(sock) for sock in socks]
    quiet = 0
    limit = time.monotonic() + PATIENCE_S
    while quiet < QUIET:
        pushed = [each.push() for each in jams]
        quiet = 0 if any(pushed) else quiet + 1
        other.expect("qAttached", "1")
        require(time.monotonic() < limit, "they are never stuck")
    return jams


def reader_sock(address):
    sock = connect(address)
    sock.sendall(frame(b"QStartNoAckMode") + frame(b"?"))
    return sock


def as_soon_as_before(transcript, before, after):
    for kind, usual in before.items():
        transcript.append("%s: %.6f s, with others stuck %.6f s" % (kind, usual, after[kind]))
        require(after[kind] <= usual * SLOWER_MAX + SLOWER_S_MAX, "a %s takes %.3f s, without them %.3f s" % (
            kind, after[kind], usual))


def never_reading_clients_delay_nobody(transcript):
    """Readers that ask and never read: the one in control steps, reads and stops as soon as without
    them, and memory stays where it is."""
    names = symbols("smp2.elf")
    with Umbra("smp2") as umbra, attach(umbra) as client:
        client.expect("M%x,8:%s" % (names["count_limit"], (1 << 62).to_bytes(8, "little").hex()), "OK")
        before = latencies(client, names)
        jams = jam([reader_sock(umbra.address) for _ in range(CLIENTS_MAX - 1)], client)
        memory = status_kib(umbra, "VmRSS")
        after = latencies(client, names)
        as_soon_as_before(transcript, before, after)
        for each in jams:
            each.push()
        client.expect("qAttached", "1")
        grown = status_kib(umbra, "VmRSS") - memory
        require(keeps_what_is_freed(umbra) or grown <= KILLS_KIB_MAX, "memory grew by %d KiB" % grown)
        for each in jams:
            reset(each.sock)


def never_reading_controller_delays_no_reader(transcript):
    """The same the other way round: who looks is served while the one in control is stuck."""
    names = symbols("smp2.elf")
    question = "m%x,8" % names["bsp_counter"]

    def nine_of_ten(reader):
        took = []
        for _ in range(ROUNDS):
            started = time.monotonic()
            reader.expect(question, "[0-9a-f]{16}")
            took.append(time.monotonic() - started)
        return {"read": statistics.quantiles(took, n=10)[-1]}

    with Umbra("smp2") as umbra, attach(umbra) as owner, Client(umbra.address) as reader:
        reader.expect("vCont;c", r"E\.another.*")
        before = nine_of_ten(reader)
        jam([owner.sock], reader)
        as_soon_as_before(transcript, before, nine_of_ten(reader))


# ---- other protocols -------------------------------------------------------------------------------


def http(method, body=b"", head=b""):
    return (method + b" / HTTP/1.1\r\nHost: 127.0.0.1:1234\r\nContent-Type: text/plain\r\n" + head
            + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def foreign_words():
    """What other programs say first, with packets in it wherever their author may choose."""
    kill, write = frame(b"k"), frame(b"M2000,4:01020304")
    packets = b"+" + write + frame(b"P10=efbeadde00000000") + frame(b"vCont;c") + frame(b"qRcmd,71756974") + kill
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: JGsjNmI=\r\nSec-WebSocket-Version: 13\r\n"
    dice = random.Random(4)
    return [
        http(b"GET"), http(b"GET", packets), http(b"POST", kill), http(b"POST", write), http(b"POST", packets),
        http(b"POST", b"\r\n" + packets), http(b"PUT", packets), http(b"OPTIONS", packets),
        http(b"GET", packets, upgrade), http(b"GET", b"", b"X: " + packets + b"\r\n"),
        b"GET /" + packets + b" HTTP/1.0\r\n\r\n" + packets,
        # A method is the author's choice too, as soon as a name of theirs leads to this host.
        http(kill), http(frame(b"D")), http(frame(b"c"), packets), http(frame(b"g") + kill, packets),
        http(b"+" + frame(b"QStartNoAckMode") + b"+" + kill, packets), http(frame(b"vRun")),
        http(b"+" * 20000 + kill, packets),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + packets,
        # TLS 1.2's ClientHello, whose session id holds a packet.
        b"\x16\x03\x01\x00\x4f\x01\x00\x00\x4b\x03\x03" + bytes(32) + b"\x20" + kill.ljust(32, b"+") + packets,
        b"EHLO example.org\r\nMAIL FROM:<" + packets + b">\r\n", b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n" + packets,
        b"USER " + packets + b"\r\n", b"*1\r\n$4\r\nPING\r\n" + packets, b"\r\n" + packets,
        b"\x00" + packets, b"\xff\xfb\x01" + packets, b"stats\r\n" + packets,
    ] + [bytes([dice.choice([b for b in range(256) if b not in b"+-$\x03"])]) + dice.randbytes(40) + packets
         for _ in range(200)]


def say_foreign(address, words, pieces):
    """Everything that comes back until the connection ends."""
    sock = connect(address)
    data = b""
    try:
        for at in range(0, len(words), len(words) // pieces + 1):
            sock.sendall(words[at:at + len(words) // pieces + 1])
        data = receive_all(sock)
    except (BrokenPipeError, ConnectionResetError):
        pass
    sock.close()
    return data


def other_protocols_act_on_nothing(_transcript):
    """A guest that stands is as it was, one that runs goes on, nobody hears a packet, and umbra says
    so in one line."""
    with Umbra("hello64", extra=["--on-disconnect", "stay"]) as umbra:
        with take_control(umbra) as client:
            state = [client.ask(question) for question in ("g", "m2000,40", "qCRC:100000,80000")]
        for words in foreign_words():
            for pieces in (1, 2):
                # In two pieces the second one of a request line may not have come yet.
                if pieces == 2 and words[:1] in b"$+":
                    continue
                data = say_foreign(umbra.address, words, pieces)
                require(b"$" not in data, "%r was answered with %r" % (words[:80], data))
        with take_control(umbra) as client:
            require([client.ask(question) for question in ("g", "m2000,40", "qCRC:100000,80000")] == state,
                    "something has changed")
        said = umbra.stderr
        said.pump()
        require(len(re.findall("does not speak the debug protocol", said.text())) == 1,
                "umbra said:\n" + said.text())
    with Umbra("spin", is_held=False) as umbra:
        umbra.wait_uart("busy")
        for words in foreign_words()[:30]:
            data = say_foreign(umbra.address, words, 1)
            require(b"$" not in data, "%r was answered with %r" % (words[:80], data))
            umbra.uart.pump()
        umbra.wait_more_uart()


# ---- too many --------------------------------------------------------------------------------------


def two_hundred_at_once(_transcript):
    """Each gets an answer or a reason, and afterwards there is room again."""
    with Umbra("hello64", extra=["--on-disconnect", "stay"]) as umbra:
        clients = [Client(umbra.address) for _ in range(200)]
        for client in clients:
            try:
                client.raw(b"+" + frame(b"?"))
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before it spoke
        answered = 0
        for client in clients:
            client.has_acks = False
            reply = client.packet()
            if reply is not None and reply.startswith(b"T"):
                answered += 1
            else:
                require(reply is None or reply.startswith(b"E.umbra is busy"), "it was told %r" % reply)
        require(answered == CLIENTS_MAX, "%d were served" % answered)
        for client in clients:
            client.close()
        with take_control(umbra) as client:
            client.expect("vCont;s:1", "T05.*")


def those_who_say_nothing_give_way(_transcript):
    """Connections that send their first packet byte by byte, and never its end, keep nobody out."""
    with Umbra("hello64", extra=["--on-disconnect", "stay"]) as umbra:
        packet = frame(GDB_SUPPORTED.encode())
        slow = []
        for turn in range(4 * CLIENTS_MAX):
            slow.append(connect(umbra.address))
            for sock in slow[-CLIENTS_MAX:]:
                try:
                    sock.sendall(packet[turn:turn + 1])
                except (BrokenPipeError, ConnectionResetError):
                    pass
            if turn % CLIENTS_MAX == CLIENTS_MAX - 1:
                with take_control(umbra) as client:
                    client.expect("X2000,1:a", "OK")
        for sock in slow:
            sock.close()


def alike_bytes_are_searched_in_time(_transcript):
    """A pattern that memory nearly matches everywhere does not keep other clients waiting."""
    with Umbra("hello64") as umbra, attach(umbra) as client:
        started = time.monotonic()
        client.send(b"qSearch:memory:200000;e00000;" + bytes(100) + b"\x01")
        client.expect_packet("0")
        short = time.monotonic() - started
        started = time.monotonic()
        client.send(b"qSearch:memory:200000;e00000;" + bytes(60000) + b"\x01")
        client.expect_packet("0")
        took = time.monotonic() - started
        require(took <= short * SLOWER_MAX + 10 * SLOWER_S_MAX, "%.3f s, a short one %.3f s" % (took, short))


# ---- gdb that is killed, pipes that close ------------------------------------------------------------


def gdb_in_control(umbra, gdb):
    """As take_control, by gdb."""
    gdb.command("file " + umbra.symbols)
    limit = time.monotonic() + PATIENCE_S
    while True:
        gdb.command("target remote " + umbra.address)
        if not re.search("(?i)cannot|another", gdb.command("set var spin_is_over = 0")):
            return
        gdb.command("disconnect")
        require(time.monotonic() < limit, "another client stays in control")


def gdb_is_killed_in_the_middle(_transcript):
    """kill -9 in a run, in a long answer, in a dump, in many steps, while another client looks: the
    next gdb controls, and the other one looks on."""
    middles = ["continue", "monitor mmu map", "monitor x /20000xb 0x100000",
               "dump binary memory {scratch}/dump 0x100000 0x1000000", "stepi 1000000",
               "find 0x100000, 0xf00000, 0x12345678"]
    with Umbra("spin") as umbra, Client(umbra.address) as other:
        for middle in middles:
            with Gdb() as gdb:
                gdb_in_control(umbra, gdb)
                # The first time it says this, there is one in control: it may only look from then on.
                other.expect("X2000,0:", r"E\.another client.*")
                gdb.start(middle.replace("{scratch}", umbra.scratch))
                gdb.kill()
            other.expect("m100000,4", "[0-9a-f]{8}")
        with take_control(umbra) as client:
            client.expect("vCont;s:1", "T05.*")
        umbra.wait_more_uart()


def start_on_stdio():
    command = [UMBRA, "-accel", ACCEL, "-kernel", os.path.join(GUESTS, "spin.elf"), "-S", "-serial", "null",
               "-gdb", "stdio", "--die-with-parent"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def pipes_that_close_end_umbra(_transcript):
    """On standard input and output there is no other client: whichever end closes and whenever, umbra
    ends as if killed, and not by a signal."""
    run = frame(b"QStartNoAckMode") + frame(b"?") + frame(b"vCont;c")
    flood = frame(b"QStartNoAckMode") + frame(b"?") + 200 * frame(b"m100000,8000")
    for words, heard, closed in ((b"", 0, "i"), (frame(b"?"), 5, "i"), (b"$m0,4", 0, "i"), (run, 30, "i"),
                                 (run, 30, "o"), (flood, 1000, "io"), (flood, 1000, "o")):
        process = start_on_stdio()
        process.stdin.write(words)
        process.stdin.flush()
        require(len(process.stdout.read(heard)) == heard, "umbra has gone")
        if "o" in closed:
            process.stdout.close()
        if "i" in closed:
            process.stdin.close()
        status = process.wait(PATIENCE_S)
        said = process.stderr.read().decode()
        for file in (process.stdin, process.stdout, process.stderr):
            file.close()
        require(status == 137 and not said, "%r, %s closed: status %d, %s" % (words[:40], closed, status, said))


TESTS = [
    (two_thousand_clients_are_cut_off, ""),
    (never_reading_clients_delay_nobody, ""),
    (never_reading_controller_delays_no_reader, ""),
    (other_protocols_act_on_nothing, ""),
    (two_hundred_at_once, ""),
    (those_who_say_nothing_give_way, ""),
    (alike_bytes_are_searched_in_time, ""),
    (gdb_is_killed_in_the_middle, ""),
    (pipes_that_close_end_umbra, ""),
]
LONG_TESTS = [
    (ten_thousand_clients_are_cut_off, ""),
]
