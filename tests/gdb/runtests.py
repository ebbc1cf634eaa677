"""Run control that a person does not type in a row: processors that stop one by one, several
debuggers at once, and how soon a restarted machine stands.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.
"""

import re
import statistics
import time

from gdbdriver import Gdb
from rawclient import INTERRUPT, Client
from rawtests import GDB_SUPPORTED, RIP, STOP, attach, register, require, symbols
from vm import Umbra

RESTARTS = 20
RESTART_S_MAX = 0.050


def said(transcript, gdb, command):
    answer = gdb.command(command)
    transcript.append("> %s\n%s" % (command, answer))
    return answer


def will_say(transcript, gdb, command, pattern):
    """Run a command in the background; what it leads to is said behind its answer, or within."""
    answer = said(transcript, gdb, command)
    if not re.search(pattern, answer, re.M):
        transcript.append(gdb.wait(pattern))


def must_match(transcript, gdb, command, pattern):
    answer = said(transcript, gdb, command)
    require(re.search(pattern, answer, re.M), "%s: /%s/ is not in:\n%s" % (command, pattern, answer))
    return answer


def number(transcript, gdb, expression):
    return int(must_match(transcript, gdb, "output/d " + expression, r"^-?\d+").split()[0])


# ---- non-stop mode ---------------------------------------------------------------------------------


def non_stop_by_gdb(transcript):
    """`set non-stop on`: a breakpoint stops one processor, the other counts on, is interrupted and
    stepped by itself; the end is told."""
    with Umbra("smp2") as umbra, Gdb() as gdb:
        for command in ("set non-stop on", "file " + umbra.symbols,
                        "target remote " + umbra.address, "set var count_limit = 1000000000000",
                        "break ap_main"):
            said(transcript, gdb, command)
        must_match(transcript, gdb, "info threads", r"2 +Thread 1\.2 .*waits for SIPI")
        will_say(transcript, gdb, "continue -a &", r'Thread 2 hit Breakpoint 1, ap_main.*\n\d+')
        must_match(transcript, gdb, "info threads", r"Thread 1\.1 .*\(running\)$")
        said(transcript, gdb, "thread 2")
        must_match(transcript, gdb, "backtrace", r"^#0 +ap_main")
        before = number(transcript, gdb, "bsp_counter.count")
        umbra_goes_on(transcript, gdb, "bsp_counter.count", before)
        must_match(transcript, gdb, "stepi", r"0x[0-9a-f]+")
        must_match(transcript, gdb, "info threads", r"Thread 1\.1 .*\(running\)$")
        said(transcript, gdb, "delete")
        will_say(transcript, gdb, "interrupt -a", r'Thread 1 stopped')
        stopped = number(transcript, gdb, "bsp_counter.count")
        require(number(transcript, gdb, "bsp_counter.count") == stopped, "a stopped one counts")
        said(transcript, gdb, "set var count_limit = %d" % (stopped + 10))
        will_say(transcript, gdb, "continue -a &", r"exited normally")
        require(umbra.wait_exit() == 0, "exit status")


def umbra_goes_on(transcript, gdb, counter, before):
    """The counter moves while a thread is looked at."""
    for _ in range(1000):
        if number(transcript, gdb, counter) > before:
            return
    require(False, counter + " stands still")


def non_stop_by_packets(_transcript):
    """Each stop is notified once, fetched one by one, and the packets in between are answered while
    the other processor runs."""
    names = symbols("smp2.elf")
    with Umbra("smp2") as umbra, attach(umbra) as client:
        client.expect("QNonStop:1", "OK")
        client.expect("?", "T05.*thread:p1.1;.*")
        client.expect("vStopped", "OK")
        client.expect("M%x,8:%s" % (names["count_limit"], (1 << 62).to_bytes(8, "little").hex()), "OK")
        require(re.match("Stop:T00.*thread:p1.2;", client.note()), "the other one is told of")
        client.expect("vStopped", "OK")
        client.expect("Z0,%x,1" % names["ap_main"], "OK")
        client.expect("vCont;c:p1.-1", "OK")
        require(re.match("Stop:T05.*thread:p1.2;", client.note()), "not the breakpoint")
        client.expect("vStopped", "OK")
        client.expect("z0,%x,1" % names["ap_main"], "OK")
        counter = "m%x,8" % (names["bsp_counter"] + 8)
        counts = [int.from_bytes(bytes.fromhex(client.ask(counter)), "little") for _ in range(200)]
        require(counts == sorted(counts) and counts[-1] > counts[0], "cpu 0 stands still")
        client.expect("vCont;s:p1.2", "OK")
        require(re.match("Stop:T05.*thread:p1.2;", client.note()), "not the step")
        client.expect("vStopped", "OK")
        client.expect("vCont;t:p1.1", "OK")
        require(re.match("Stop:T00.*thread:p1.1;", client.note()), "not the stop that was asked for")
        client.expect("vStopped", "OK")
        before = client.ask(counter)
        require(client.ask(counter) == before, "cpu 0 goes on")
        client.expect("vCont;c:p1.1", "OK")
        client.expect("vCtrlC", "OK")
        require(re.match("Stop:T02.*thread:p1.1;", client.note()), "not the interrupt")
        client.expect("vStopped", "OK")
        client.expect("D;1", "OK")
        umbra.wait_uart("ap is up")


def non_stop_stress(_transcript):
    """Two processors that hit breakpoints while they are paused for packets all the time: every stop
    is told once, no instruction under one runs untold."""
    names = symbols("smp2.elf")
    with Umbra("smp2") as umbra, attach(umbra) as client:
        client.expect("QNonStop:1", "OK")
        client.expect("?", "T05.*")
        client.expect("vStopped", "OK")
        client.expect("M%x,8:%s" % (names["count_limit"], (1 << 62).to_bytes(8, "little").hex()), "OK")
        client.note()
        client.expect("vStopped", "OK")
        client.expect("Z0,%x,1" % names["count_once"], "OK")
        client.expect("vCont;c", "OK")
        told = {1: 0, 2: 0}
        while min(told.values()) < 100:
            stop = client.note()
            while stop != "OK" and min(told.values()) < 100:
                thread = int(re.search(r"thread:p1\.(\d)", stop)[1])
                told[thread] += 1
                stop = client.ask("vStopped")
                client.expect("m%x,8" % names["bsp_counter"], "[0-9a-f]{16}")
                counter = names["bsp_counter"] if thread == 1 else names["ap_counter"]
                count = int.from_bytes(bytes.fromhex(client.ask("m%x,8" % (counter + 8))), "little")
                require(count == told[thread] - 1, "thread %d: %d stops, %d counts" % (
                    thread, told[thread], count))
                client.expect("vCont;c:p1.%d" % thread, "OK")


# ---- guests that get nowhere ------------------------------------------------------------------------

UD2 = "0f0b"
HANDLER = 0x7000


def handler_that_faults(_transcript):
    """#UD's handler is a UD2: the processor delivers and delivers and executes nothing, and still
    Ctrl-C stops it, and a step ends."""
    with Umbra("add16") as umbra, attach(umbra) as client:
        client.expect("M%x,2:%s" % (HANDLER, UD2), "OK")
        client.expect("M%x,4:%s" % (4 * 6, HANDLER.to_bytes(4, "little").hex()), "OK")
        client.expect("P%x=%s" % (RIP, HANDLER.to_bytes(8, "little").hex()), "OK")
        client.expect("vCont;s:p1.1", "T05.*")
        client.send("vCont;c")
        client.raw(INTERRUPT)
        client.expect_packet("T02.*")
        require(register(client, RIP) == HANDLER, "it stands at its handler")


# ---- several clients ---------------------------------------------------------------------------------


def others_may_look(transcript):
    """A second gdb looks at a guest that the first one lets run; it cannot change or stop it, and
    the first one notices nothing."""
    with Umbra("spin") as umbra, Gdb() as first:
        for command in ("file " + umbra.symbols, "target remote " + umbra.address):
            said(transcript, first, command)
        token = first.start("continue")
        first.wait(r"^Continuing")
        umbra.wait_more_uart()
        with Gdb() as second:
            said(transcript, second, "file " + umbra.symbols)
            must_match(transcript, second, "target remote " + umbra.address, r"main|print_char")
            before = number(transcript, second, "spin_count")
            umbra.wait_more_uart()
            # It believes that the guest is stopped, and reads again only what it is made to.
            said(transcript, second, "maintenance flush dcache")
            require(number(transcript, second, "spin_count") > before, "the guest stands still")
            must_match(transcript, second, "info registers rip", r"^rip +0x")
            must_match(transcript, second, "monitor info cpus", r"cpu 0|CPU")
            must_match(transcript, second, "set var spin_is_over = 1", r"(?i)cannot|another client")
            must_match(transcript, second, "monitor reset", r"another client controls")
            must_match(transcript, second, "stepi", r"another client controls")
            said(transcript, second, "detach")
        umbra.wait_more_uart()
        first.interrupt()
        require(re.search(r"SIGINT", first.finish(token)), "the first one was not stopped")
        must_match(transcript, first, "print spin_is_over", r"= false")


def readers_come_and_go(_transcript):
    """Seven readers at a running guest, each of which goes in its own way, and the breakpoint of the
    one in control still hits."""
    names = symbols("spin.elf")
    with Umbra("spin") as umbra, attach(umbra) as owner:
        owner.send("vCont;c")
        umbra.wait_uart("busy")
        readers = [Client(umbra.address) for _ in range(7)]
        for reader in readers:
            reader.ask(GDB_SUPPORTED)
            reader.no_ack()
            reader.expect("?", STOP)
        with Client(umbra.address) as more:
            more.send(GDB_SUPPORTED)
            require(more.is_closed() and b"$E.umbra is busy" in more.data, "an eighth may stay")
        seen = [reader.ask("m%x,8" % names["spin_count"]) for reader in readers]
        umbra.wait_more_uart()
        require(readers[0].ask("m%x,8" % names["spin_count"]) not in seen, "the guest stands still")
        for index, reader in enumerate(readers):
            reader.expect("vCont;c", r"E\.another client controls.*")
            if index % 3 == 0:
                reader.expect("D;1", "OK")
            elif index % 3 == 1:
                reader.send("k")
            reader.close()
        umbra.wait_more_uart()
        require(owner.packet(0.05) is None, "the owner was told something")
        owner.raw(INTERRUPT)
        owner.expect_packet("T02.*")
        owner.expect("Z0,%x,1" % names["print_char"], "OK")
        with Client(umbra.address) as reader:
            reader.expect("g", "[0-9a-fx]+")
            owner.expect("vCont;c", "T05.*")
            require(register(reader, RIP) == names["print_char"], "another place")


def next_client_controls(_transcript):
    """When the one in control has gone, the next that comes takes over, readers or not."""
    with Umbra("spin") as umbra:
        first = attach(umbra)
        with Client(umbra.address) as reader:
            reader.ask(GDB_SUPPORTED)
            reader.no_ack()
            first.close()
            umbra.wait_more_uart()
            with attach(umbra) as second:
                second.expect("vCont;s:1", "T05.*")
                reader.expect("vCont;s:1", r"E\.another.*")


# ---- the console ---------------------------------------------------------------------------------------


def console_in_gdb(transcript):
    """`monitor console on`: what the guest prints comes while it runs, all of it before the stop."""
    with Umbra("hello64") as umbra, Gdb() as gdb:
        for command in ("file " + umbra.symbols, "target remote " + umbra.address):
            said(transcript, gdb, command)
        must_match(transcript, gdb, "monitor console", r"is off")
        said(transcript, gdb, "monitor console on")
        answer = must_match(transcript, gdb, "continue", r"exited normally")
        umbra.wait_exit()
        shown = answer[answer.index("Continuing.") + 12:answer.index("[Inferior")]
        require(shown.strip() == umbra.uart.text().strip(), "gdb showed %r" % shown)


# ---- restart -------------------------------------------------------------------------------------------


def breakpoint_at_the_end_of_a_step(transcript):
    """A breakpoint where a step ended was not told: `c` meets it at once, as gdb's `jump *$pc` needs,
    but a further step passes it, and so does `c` once it was told."""
    with Umbra("hello64") as umbra:
        client = attach(umbra)
        client.expect("vCont;s", "T05.*")
        address = register(client, RIP)
        client.expect("Z0,%x,1" % address, "OK")
        met = client.expect("vCont;c", "T05.*swbreak.*")
        require(register(client, RIP) == address, "it went on without meeting the breakpoint")
        client.expect("vCont;s", "T05.*")
        after = register(client, RIP)
        client.expect("Z0,%x,1" % after, "OK")
        client.expect("vCont;s", "T05.*")
        require(register(client, RIP) not in (address, after), "a step met the breakpoint")
        client.expect("vCont;c", "W00.*")
        transcript.append(met)


def restart_is_fast_and_keeps_breakpoints(transcript):
    """vRun and R: from the packet to the stop in less than 50 ms, breakpoints kept."""
    names = symbols("hello64.elf")
    took = []
    with Umbra("hello64") as umbra, attach(umbra) as client:
        client.expect("!", "OK")
        client.expect("Z0,%x,1" % names["factorial"], "OK")
        for turn in range(RESTARTS):
            client.expect("vCont;c", "T05.*")
            require(register(client, RIP) == names["factorial"], "not at the breakpoint")
            before = time.monotonic()
            if turn % 2:
                client.send("R00")
                client.expect("?", STOP)
            else:
                client.expect("vRun;", STOP)
            took.append(time.monotonic() - before)
            require(register(client, RIP) == names["_start"], "not at the entry")
        transcript.append("median %.1f ms" % (1000 * statistics.median(took)))
        require(statistics.median(took) < RESTART_S_MAX, "a restart takes %.1f ms" % (
            1000 * statistics.median(took)))


def wrong_process_is_not_killed(_transcript):
    with Umbra("hello64") as umbra, attach(umbra) as client:
        for packet in ("vKill;2", "vKill;0", "vKill;ffffffff", "D;2"):
            client.expect(packet, "E03")
        client.expect("vCont;s:1", "T05.*")


def signal_that_ends_umbra_is_told(_transcript):
    with Umbra("spin") as umbra, attach(umbra) as client:
        client.send("vCont;c")
        umbra.wait_uart("busy")
        umbra.process.terminate()
        client.expect_packet("X0f.*")
        require(umbra.wait_exit() == 143, "exit status")


TESTS = [
    (non_stop_by_gdb, ""),
    (non_stop_by_packets, ""),
    (non_stop_stress, ""),
    (handler_that_faults, "soft"),
    (others_may_look, ""),
    (readers_come_and_go, ""),
    (next_client_controls, ""),
    (console_in_gdb, ""),
    (breakpoint_at_the_end_of_a_step, ""),
    (restart_is_fast_and_keeps_breakpoints, ""),
    (wrong_process_is_not_killed, ""),
    (signal_that_ends_umbra_is_told, ""),
]
