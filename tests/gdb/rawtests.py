"""Tests by a raw protocol client: what gdb 13 sends, packet counts, bad clients, and order.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.
"""

import os
import random
import re
import stat
import subprocess
import tempfile
import time

from rawclient import INTERRUPT, Client, connect, escape, frame
from vm import ACCEL, GUESTS, PATIENCE_S, Failure, Umbra

GDB_SUPPORTED = ("qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;fork-events+;"
                 "vfork-events+;exec-events+;vContSupported+;QThreadEvents+;no-resumed+;"
                 "memory-tagging+;xmlRegisters=i386")
STOP = "T[0-9a-f]{2}.*"
DUMP_BYTES = 4 << 20
DUMP_PACKETS_MAX = 64
LINE_PACKETS_MAX = 24
CYCLES = 1000
RANDOM_STEPS = 300
IDLE_S = 1.0
IDLE_TICKS_MAX = 5  # of a hundred a second
STRAY_PATIENCE_S = 0.2  # how long to look for a packet that must not come


def symbols(name):
    """Addresses of a guest's symbols."""
    result = subprocess.run(["nm", os.path.join(GUESTS, name)], capture_output=True, text=True,
                            check=True)
    rows = (line.split() for line in result.stdout.splitlines())
    return {row[2]: int(row[0], 16) for row in rows if len(row) == 3}


def attach(umbra):
    """A client past the first packets of gdb's hand-shake; the guest is stopped."""
    client = Client(umbra.address)
    client.ask(GDB_SUPPORTED)
    client.no_ack()
    client.expect("?", STOP)
    return client


def require(condition, text):
    if not condition:
        raise Failure(text)


def register(client, number):
    return int.from_bytes(bytes.fromhex(client.ask("p%x" % number)), "little")


RIP = 16
RSP = 7


# ---- what gdb sends --------------------------------------------------------------------------------

CONNECT_SCRIPT = [
    # (packet of gdb 13, what the answer must be as a whole)
    ("vMustReplyEmpty", ""),
    ("QStartNoAckMode", "OK"),
    ("!", "OK|"),
    ("Hgp0.0", "OK|E.*"),
    ("Hg0", "OK"),
    ("qTStatus", "T0;tnotrun:0;.*"),
    ("qTfV", "l"),
    ("qTfP", "l"),
    ("?", STOP),
    ("qXfer:threads:read::0,1000", r"l<\?xml.*<threads>.*</threads>\s*"),
    ("qAttached", "1"),
    ("vFile:setfs:0", ""),
    ("Hc-1", "OK"),
    ("qOffsets", ""),
    ("g", "[0-9a-fx]{1000,}"),
    ("qSymbol::", "OK|"),
    ("vCont?", r"vCont(;[cCsStr]){4,6}"),
]


def connect_as_gdb(_transcript):
    """The opening moves of gdb 13.1, recorded against a minimal server; all but qXfer's chunks take
    one packet each."""
    with Umbra("hello64") as umbra, Client(umbra.address) as client:
        client.raw(b"+")
        supported = client.ask(GDB_SUPPORTED)
        for word in ("PacketSize=20000", "QStartNoAckMode+", "vContSupported+", "swbreak+",
                     "hwbreak+", "qXfer:features:read+", "qXfer:threads:read+"):
            require(word in supported.split(";"), "%s is missing in %s" % (word, supported))
        for packet, pattern in CONNECT_SCRIPT:
            client.expect(packet, pattern)
            if packet == "QStartNoAckMode":
                client.has_acks = False
        before = client.sent_count
        xml = client.features()
        require(client.sent_count - before == 1, "the target description takes several packets")
        require(xml.startswith("<?xml") and "i386:x86-64" in xml, "bad description: " + xml[:200])
        require(client.sent_count <= 22, "%d packets" % client.sent_count)


def stop_carries_what_gdb_asks(_transcript):
    """A stop at a breakpoint: reason, thread, and rbp, rsp, rip, so that gdb needs no g packet."""
    main = symbols("hello64.elf")["main"]
    with Umbra("hello64") as umbra, attach(umbra) as client:
        client.expect("Z0,%x,1" % main, "OK")
        stop = client.expect("vCont;c", "T05.*")
        require("swbreak:" in stop or "hwbreak:" in stop, "no reason in " + stop)
        require(re.search(r"thread:(p1\.)?0*1;", stop), "no thread in " + stop)
        for number in (6, RSP, RIP):
            require(re.search("[;5]%02x:[0-9a-f]{16};" % number, stop), "%d missing in %s" % (number, stop))
        rip = re.search(r"10:([0-9a-f]{16});", stop)[1]
        require(int.from_bytes(bytes.fromhex(rip), "little") == main, "rip is " + rip)
        client.expect("z0,%x,1" % main, "OK")
        client.expect("m%x,40" % (register(client, RSP) & ~63), "[0-9a-f]{128}")


def range_step_is_one_packet(_transcript):
    """vCont;r over a loop of fifty rounds: one packet, one stop, outside of the range."""
    names = symbols("hello64.elf")
    with Umbra("hello64") as umbra, attach(umbra) as client:
        client.expect("Z0,%x,1" % names["weigh"], "OK")
        client.expect("vCont;c", "T05.*")
        client.expect("z0,%x,1" % names["weigh"], "OK")
        end = names["report"]
        require(names["weigh"] < end, "the guest's functions are not in order")
        client.expect("vCont;r%x,%x:1" % (names["weigh"], end), "T05.*")
        rip = register(client, RIP)
        require(not names["weigh"] <= rip < end, "stopped inside the range, at %#x" % rip)


def dump_is_few_packets(_transcript):
    """4 MiB of memory in as few packets as PacketSize allows, in hex and in binary."""
    with Umbra("hello64") as umbra, attach(umbra) as client:
        size = 0x20000 // 2
        before = client.sent_count
        dump = b"".join(bytes.fromhex(client.ask("m%x,%x" % (at, size)))
                        for at in range(0, DUMP_BYTES, size))
        require(len(dump) == DUMP_BYTES, "%d bytes came" % len(dump))
        require(client.sent_count - before <= DUMP_PACKETS_MAX, "too many packets")
        with open(os.path.join(GUESTS, "hello64.elf"), "rb") as file:
            text = file.read()[0x1000:0x1100]
        require(dump[0x100000:0x100100] == text, "the dump does not hold the program's text")
        before = client.sent_count
        binary = b""
        while len(binary) < DUMP_BYTES:
            client.send("x%x,%x" % (len(binary), min(0x1ffff, DUMP_BYTES - len(binary))))
            binary += client.packet()[1:]
        require(binary == dump, "x and m do not give the same")
        require(client.sent_count - before <= 33, "too many packets by x")
        client.send("x100000,100")
        reply = client.packet()
        require(reply == b"b" + text, "x gave %r" % reply[:80])


def registers_read_and_write_back(_transcript):
    """G of what g gave changes nothing, in 16-bit and in 64-bit mode."""
    for guest in ("add16", "hello64"):
        with Umbra(guest) as umbra, attach(umbra) as client:
            if guest == "hello64":
                client.expect("vCont;s:1", "T05.*")
            before = client.expect("g", "[0-9a-fx]+")
            client.expect("G" + before, "OK")
            after = client.expect("g", "[0-9a-fx]+")
            require(before == after, "%s: g changed from %s to %s" % (guest, before, after))


def memory_write_reads_back(_transcript):
    """M and X, and a read that runs off the end of what is mapped."""
    with Umbra("hello64") as umbra, attach(umbra) as client:
        client.expect("M2000,4:01020304", "OK")
        client.send(b"X2004,4:" + escape(b"#$}*"))
        client.expect_packet("OK")
        client.expect("m2000,8", "0102030423247d2a")
        client.expect("mffff00,200", "(00){256}")
        client.expect("mffffffff00000000,10", "E.*")


def sixteen_bit_guest_by_packets(_transcript):
    """The seed's whole life: code, registers, steps over both OUTs, its end."""
    with Umbra("add16") as umbra, attach(umbra) as client:
        client.expect("m1000,c", "baf80300d80430eeb00aeef4")
        require(register(client, RIP) == 0x1000 and register(client, 0) == 2, "not at the start")
        for rip in (0x1003, 0x1005, 0x1007, 0x1008):
            client.expect("vCont;s:1", "T05.*")
            require(register(client, RIP) == rip, "rip is not %#x" % rip)
        umbra.wait_uart("4")
        require(umbra.uart.data == b"4", "the UART showed %r" % umbra.uart.data)
        client.send("vCont;c")
        client.expect_packet("W00.*")
        require(umbra.wait_exit() == 0, "exit status")


# ---- resume, interrupt, exit ---------------------------------------------------------------------------


def interrupt_stops_once(_transcript):
    """0x03 while the guest runs: one stop with SIGINT.  0x03 while it is stopped: nothing."""
    with Umbra("spin") as umbra, attach(umbra) as client:
        # A KVM that emulates takes a second from one dot of the guest's to the next.
        for _ in range(20 if ACCEL == "soft" else 5):
            client.send("vCont;c")
            umbra.wait_more_uart()
            client.raw(INTERRUPT)
            client.expect_packet("T02.*")
        client.raw(INTERRUPT)
        stray = client.packet(STRAY_PATIENCE_S)
        require(stray is None, "an interrupt while stopped was answered with %r" % stray)
        client.expect("qAttached", "1")


def interrupt_right_after_resume(_transcript):
    """0x03 in the same segment as the resume is not lost."""
    with Umbra("spin") as umbra, attach(umbra) as client:
        for _ in range(50):
            client.raw(frame(b"vCont;c") + INTERRUPT)
            client.expect_packet("T0[25].*")


def one_stop_per_resume(transcript):
    """Random operations on two processors; each resume is answered once, each question once."""
    seed = random.randrange(1 << 32)
    transcript.append("seed %d" % seed)
    dice = random.Random(seed)
    names = symbols("smp2.elf")
    limit = (1 << 62).to_bytes(8, "little").hex()
    with Umbra("smp2") as umbra, attach(umbra) as client:
        client.expect("M%x,8:%s" % (names["count_limit"], limit), "OK")
        # A processor that waits for its SIPI has no instruction to step.
        client.expect("Z0,%x,1" % names["ap_main"], "OK")
        client.expect("vCont;c", "T05.*thread:(p1\\.)?0*2;.*")
        client.expect("z0,%x,1" % names["ap_main"], "OK")
        for _ in range(RANDOM_STEPS):
            move = dice.randrange(6)
            transcript.append("move %d" % move)
            if move == 0:
                client.expect("vCont;s:%d" % dice.choice((1, 1, 2)), STOP)
            elif move == 1:
                client.expect("vCont;s:1;c", STOP)
            elif move == 2:
                client.raw(frame(b"vCont;c") + INTERRUPT)
                client.expect_packet(STOP)
            elif move == 3:
                client.expect("Z%d,%x,1" % (dice.randrange(2), names["count_once"]), "OK|E..|")
                client.raw(frame(b"vCont;c") + INTERRUPT)
                client.expect_packet(STOP)
                client.ask("z0,%x,1" % names["count_once"])
                client.ask("z1,%x,1" % names["count_once"])
            elif move == 4:
                client.raw(INTERRUPT)
                client.expect("g", "[0-9a-fx]+")
            else:
                client.expect("T%d" % dice.choice((1, 2)), "OK")
                client.expect("m%x,8" % names["count_limit"], limit)
        stray = client.packet(STRAY_PATIENCE_S)
        require(stray is None, "an answer too many: %r" % stray)
        client.expect("qAttached", "1")


def exit_is_reported(_transcript):
    with Umbra("hello64-qemu") as umbra, attach(umbra) as client:
        client.send("vCont;c")
        client.expect_packet("W01.*")
        require(umbra.wait_exit() == 1, "exit status")


def kill_ends_umbra(_transcript):
    for packet, reply in (("k", None), ("vKill;1", "OK")):
        with Umbra("spin") as umbra, attach(umbra) as client:
            client.send(packet)
            if reply:
                client.expect_packet(reply)
            require(umbra.wait_exit() == 137, "%s: exit status %s" % (packet, umbra.process.returncode))


def restart_starts_again(_transcript):
    """vRun is a reset: the guest stands at its first instruction, and memory is as loaded."""
    names = symbols("hello64.elf")
    with Umbra("hello64") as umbra, attach(umbra) as client:
        client.expect("!", "OK")
        entry = register(client, RIP)
        client.expect("Z0,%x,1" % names["factorial"], "OK")
        client.expect("vCont;c", "T05.*")
        client.expect("z0,%x,1" % names["factorial"], "OK")
        client.expect("m%x,4" % names["measured_count"], "03000000")
        client.expect("vRun;", STOP)
        require(register(client, RIP) == entry, "not at the entry")
        client.expect("m%x,4" % names["measured_count"], "00000000")
        client.send("vCont;c")
        client.expect_packet("W00.*")


def idle_uses_no_cpu(_transcript):
    """A stopped guest with a silent client, and a guest that waits in HLT, cost no processor time."""
    with Umbra("uart_irq") as umbra, attach(umbra) as client:
        before = umbra.cpu_ticks()
        require(client.packet(IDLE_S) is None, "a packet came of its own accord")
        require(umbra.cpu_ticks() - before <= IDLE_TICKS_MAX, "a stopped guest costs processor time")
        client.send("vCont;c")
        umbra.wait_uart("ready")
        before = umbra.cpu_ticks()
        require(client.packet(IDLE_S) is None, "a packet came of its own accord")
        require(umbra.cpu_ticks() - before <= IDLE_TICKS_MAX, "a halted guest costs processor time")


# ---- clients that behave badly ---------------------------------------------------------------------------


def http_request_is_turned_away(_transcript):
    """A browser on the port: closed without a word of protocol, and the guest runs on."""
    with Umbra("spin", is_held=False) as umbra:
        umbra.wait_uart("busy")
        with Client(umbra.address) as client:
            client.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n$?#3f")
            require(client.is_closed(), "the connection stayed open")
            require(b"$" not in client.data, "it was answered: %r" % client.data)
        umbra.wait_more_uart()
        with attach(umbra):
            pass
    with Umbra("hello64") as umbra:
        with Client(umbra.address) as client:
            client.raw(b"POST /")
            require(client.is_closed(), "the connection stayed open")
        with attach(umbra) as client:
            require(register(client, RIP) == symbols("hello64.elf")["_start"], "the guest has moved")


def silent_client_stops_nothing(_transcript):
    """Connecting alone, or part of a packet, leaves a running guest alone."""
    with Umbra("spin", is_held=False) as umbra:
        umbra.wait_uart("busy")
        with Client(umbra.address):
            umbra.wait_more_uart()
        with Client(umbra.address) as client:
            client.raw(b"$qSuppor")
            umbra.wait_more_uart()
        with attach(umbra) as client:
            client.expect("qAttached", "1")


def thousand_connections_leave_nothing(_transcript):
    """Connections that end at any point leave no descriptor, no thread and no stopped guest."""
    openings = [b"", b"+", b"$", b"$?#3f", b"+$qSupported:swbreak+#c8", b"GET /", b"\x03",
                b"$g#67", b"$vCont;c#a8", b"$qXfer:features:read:target.xml:0,fff#7d", b"$?#3f$g#67+++$m0,"]
    with Umbra("spin", is_held=False) as umbra:
        umbra.wait_uart("busy")
        fds, tasks = umbra.fd_count(), umbra.task_count()
        for cycle in range(CYCLES):
            sock = connect(umbra.address)
            sock.sendall(openings[cycle % len(openings)])
            if cycle % 3 == 0:
                sock.setblocking(False)
            sock.close()
            umbra.uart.pump()
        with attach(umbra) as client:
            client.expect("D", "OK")
            require(client.is_closed(), "a detached connection stays open")
        # A connection is over when both sides have noticed; the guest prints on meanwhile.
        limit = time.monotonic() + PATIENCE_S
        while (umbra.fd_count(), umbra.task_count()) != (fds, tasks):
            require(time.monotonic() < limit, "%d descriptors and %d threads; before %d and %d" % (
                umbra.fd_count(), umbra.task_count(), fds, tasks))
            umbra.wait_more_uart()


def half_packet_then_reconnect(_transcript):
    """What a client left half said is not glued to the next one's words."""
    with Umbra("hello64", extra=["--on-disconnect", "stay"]) as umbra:
        for half in (b"$M2000,4:0102", b"$g", b"$vCont;", b"$X2000,4:}", b"$m0,4#"):
            with attach(umbra) as client:
                client.raw(half)
            with attach(umbra) as client:
                client.expect("m2000,4", "00000000")
                require(register(client, RIP) == symbols("hello64.elf")["_start"], "it moved")


def truncated_packets_do_nothing(_transcript):
    """Every truncation of thirty recorded packets, each on a connection of its own, changes neither
    registers nor memory, starts nothing and leaves the server well."""
    packets = ["?", "g", "G" + "00" * 40, "p10", "P10=0000000000000000", "m0,10", "x0,10",
               "M2000,4:01020304", "X2000,4:abcd", "Z0,100000,1", "z0,100000,1", "Z1,100000,1",
               "vCont;c", "vCont;s:1;c", "vCont;r100000,100100:1", "vCont?", "c", "s", "k", "D", "R00",
               "vKill;1", "vRun;", "Hg0", "T1", "qXfer:features:read:target.xml:0,fff",
               "qXfer:threads:read::0,1000", "qRcmd,7265736574", "QStartNoAckMode", GDB_SUPPORTED]
    require(len(packets) == 30, "%d packets" % len(packets))
    start = symbols("hello64.elf")["_start"]
    with Umbra("hello64", extra=["--on-disconnect", "stay"]) as umbra:
        for packet in packets:
            whole = frame(packet.encode())
            for length in range(len(whole)):
                sock = connect(umbra.address)
                sock.sendall(whole[:length])
                sock.close()
        with attach(umbra) as client:
            require(register(client, RIP) == start, "the guest has moved")
            client.expect("m2000,4", "00000000")


def bad_checksum_is_asked_again(_transcript):
    with Umbra("hello64") as umbra, Client(umbra.address) as client:
        client.raw(b"$?#00")
        limit = PATIENCE_S
        require(client.sock.recv(1) == b"-", "no '-' within %d s" % limit)
        client.expect("?", STOP)


def unknown_things_are_answered(_transcript):
    """Unknown packets get the empty reply, unknown threads an error, never silence."""
    with Umbra("hello64") as umbra, attach(umbra) as client:
        for packet in ("vMustReplyEmpty", "vFile:open:2f,0,0", "qUnknown", "Qx", "_", "vUnknown;1",
                       "jThreadExtendedInfo:1", "b", "i", "z9,0,0"):
            client.expect(packet, "")
        for packet in ("T9", "Hg9", "p999", "m", "m1", "M0,4", "Z0,zz,1", "vCont;c:9", "G00",
                       "qXfer:features:read:none.xml:0,10"):
            client.expect(packet, "E.*")
        client.expect("qThreadExtraInfo,9", "E.*|[0-9a-f]*")
        client.expect("qAttached", "1")


# ---- going away ------------------------------------------------------------------------------------------


def detach_leaves_no_trace(_transcript):
    """D removes what was planted, and the guest runs to its proper end."""
    names = symbols("hello64.elf")
    with Umbra("hello64") as umbra:
        with attach(umbra) as client:
            for name in ("main", "weigh", "report", "factorial", "print_text"):
                client.expect("Z0,%x,1" % names[name], "OK")
            client.expect("vCont;c", "T05.*")
            client.expect("vCont;s:1", "T05.*")
            client.expect("D", "OK")
            require(client.is_closed(), "the connection stays open")
        require(umbra.wait_exit() == 0, "the guest did not pass: " + umbra.uart.text())
        require(re.fullmatch(umbra.config["expect"], umbra.uart.text(), re.S), umbra.uart.text())


def planted_bytes_are_invisible(_transcript):
    """Memory reads never show a breakpoint's byte, and a write under a breakpoint is not lost."""
    names = symbols("hello64.elf")
    at = names["shape_measure"]
    with Umbra("hello64") as umbra, attach(umbra) as client:
        before = client.ask("m%x,100" % at)
        others = [names[n] for n in ("weigh", "report", "factorial", "main", "shapes_measure")]
        for address in [at] + others:
            client.expect("Z0,%x,1" % address, "OK")
        client.expect("vCont;c", "T05.*")
        client.expect("vCont;c", "T05.*")
        require(client.ask("m%x,100" % at) == before, "memory shows what was planted")


def disconnect_policy_is_kept(_transcript):
    """--on-disconnect resume, stay and exit."""
    with Umbra("spin", extra=["--on-disconnect", "resume"]) as umbra:
        attach(umbra).close()
        umbra.wait_more_uart()
    with Umbra("spin", extra=["--on-disconnect", "stay"]) as umbra:
        with attach(umbra) as client:
            client.expect("vCont;s:1", "T05.*")
            rip = register(client, RIP)
        with attach(umbra) as client:
            require(register(client, RIP) == rip, "the guest has moved")
    with Umbra("spin", extra=["--on-disconnect", "exit"]) as umbra:
        attach(umbra).close()
        require(umbra.wait_exit() is not None, "umbra did not end")


# ---- where it listens ------------------------------------------------------------------------------------


def unix_socket_is_private(_transcript):
    with Umbra("hello64", gdb="unix") as umbra:
        path = umbra.address
        mode = os.stat(path).st_mode
        require(stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600, "mode %o" % mode)
        with attach(umbra) as client:
            client.expect("qAttached", "1")


def address_is_told_in_a_file(_transcript):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "address")
        # It is written before the first client is served, if not before stderr's line is read.
        with Umbra("hello64", extra=["--addr-file", path]) as umbra, attach(umbra):
            with open(path, encoding="utf-8") as file:
                require(file.read().strip() == umbra.address, "another address in the file")


def port_is_on_loopback_only(_transcript):
    """Port 0 gives a free port, on the loopback addresses and nowhere else."""
    with Umbra("hello64") as umbra:
        port = int(umbra.address.rsplit(":", 1)[1])
        require(port != 0, umbra.address)
        listening = []
        for table in ("tcp", "tcp6"):
            with open("/proc/%d/net/%s" % (umbra.pid, table), encoding="ascii") as file:
                rows = [line.split() for line in file][1:]
            listening += [r[1] for r in rows if r[3] == "0A" and int(r[1].split(":")[1], 16) == port]
        loopback = ("0100007F:", "00000000000000000000000001000000:")
        require(listening, "nothing listens on %d" % port)
        for address in listening:
            require(address.startswith(loopback), "it listens on " + address)


TESTS = [
    (connect_as_gdb, ""),
    (stop_carries_what_gdb_asks, ""),
    (range_step_is_one_packet, ""),
    (dump_is_few_packets, ""),
    (registers_read_and_write_back, ""),
    (memory_write_reads_back, ""),
    (sixteen_bit_guest_by_packets, ""),
    (interrupt_stops_once, ""),
    (interrupt_right_after_resume, ""),
    (one_stop_per_resume, ""),
    (exit_is_reported, ""),
    (idle_uses_no_cpu, ""),
    (kill_ends_umbra, ""),
    (restart_starts_again, ""),
    (http_request_is_turned_away, ""),
    (silent_client_stops_nothing, ""),
    (thousand_connections_leave_nothing, ""),
    (half_packet_then_reconnect, ""),
    (truncated_packets_do_nothing, ""),
    (bad_checksum_is_asked_again, ""),
    (unknown_things_are_answered, ""),
    (detach_leaves_no_trace, ""),
    (planted_bytes_are_invisible, ""),
    (disconnect_policy_is_kept, ""),
    (unix_socket_is_private, ""),
    (address_is_told_in_a_file, ""),
    (port_is_on_loopback_only, ""),
]
