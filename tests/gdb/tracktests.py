"""`mmu track trap` on a KVM whose self-test of it passes."""

import json
import re

from gdbdriver import Gdb
from mmutests import run_to
from rawtests import require
from vm import ACCEL, Skip, Umbra


def changed(text, kind):
    """(entry, old, new) of the records of a kind."""
    return re.findall(r"^" + kind + r" pte[@=](\S+) old=(\S+) new=(\S+)", text, re.M)


def trap(gdb):
    text = gdb.command("monitor mmu track trap")
    require(re.search(r"^track track=trap .*trap=works .*trapped=[1-9]", text, re.M), text)
    require("track=trap" in gdb.command("monitor mmu info"), "mmu info")


def track_trap_tells_each_write(_transcript):
    """Between two stops each store to a table is told, in order, with its instruction; what KVM does
    not show is an error; `track off` ends it."""
    if ACCEL == "soft":
        raise Skip("the software CPU tells of every write by itself")
    with Umbra("hazard") as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "widen")
        gdb.command("break unmap")
        trap(gdb)
        gdb.command("continue")
        text = gdb.command("monitor mmu track")
        writes = changed(text, r"\d+ ptw")
        require(len(writes) == 2 and writes[0][1] == "0x0" and writes[0][2] == writes[1][1]
                and int(writes[1][2], 0) == int(writes[1][1], 0) | 2, text)
        require(text.count('insn="mov ') == 2 and text.count("role=model") == 2, text)
        require(not changed(text, "track"), "told twice: " + text)
        symbol = gdb.command("info symbol " + re.search(r" rip=(\S+)", text).group(1))
        require(symbol.startswith("map"), symbol)
        log = [json.loads(line) for line in gdb.command("monitor mmu log -n 2 -j").splitlines()]
        require([(w["at"], w["old"], w["new"]) for w in log] == writes, str(log))
        for word in ("trace on invlpg,cr3", "break invlpg", "step"):
            require(gdb.command("monitor mmu " + word).startswith("error nocap"), word)
        gdb.command("monitor mmu track off")
        gdb.command("break remap_shared")
        gdb.command("continue")
        text = gdb.command("monitor mmu log -j")
        require(len(text.splitlines()) == 2, "more was trapped: " + text)
        trap(gdb)
        gdb.command("delete")
        require("exited normally" in gdb.command("continue"), "the guest did not end")


def track_trap_ends_with_its_debugger(_transcript):
    if ACCEL == "soft":
        raise Skip("the software CPU tells of every write by itself")
    with Umbra("spin") as umbra:
        with Gdb() as gdb:
            run_to(gdb, umbra, "print_char")
            trap(gdb)
            gdb.command("detach")
        umbra.wait_more_uart()
        with Gdb() as gdb:
            gdb.command("target remote " + umbra.address)
            text = gdb.command("monitor mmu track")
            require("track=lazy" in text and "trap=works" in text, text)
            trap(gdb)


TESTS = (
    (track_trap_tells_each_write, "track-trap:runs"),
    (track_trap_ends_with_its_debugger, "track-trap:runs"),
)
