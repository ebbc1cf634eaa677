"""The `mmu` words over time: what happens to translations, who did it, and stops for it.

Each test is a function of the transcript list; TESTS at the end names them all with the host flags
that they need.
"""

import json
import os
import re

from gdbdriver import Gdb
from machinetests import monitor
from mmutests import program, run_to
from rawtests import attach, register, require, symbols
from vm import ACCEL, ROOT, Umbra

SOFT = ["-accel", "soft"]
RIP = 16
HAZARD_BASE = 0x60000000  # as guests/hazard.c has it; page n of it is its enum's
GDBS_OWN = re.compile(r'^(Continuing\.|Thread \d+ \w.*|\[Switching to .*|\d+\t.*|\S+ \(.*\) at .*|)$')


def normal(text, names):
    """What differs from build to build and from run to run, as letters."""
    for name in ("table", "frame_a", "frame_b"):
        text = re.sub(r"\b0x%x\b" % names[name], name.upper(), text)
        text = re.sub(r"\b0x%x([0-9a-f]{3})\b" % (names[name] >> 12), name.upper() + r"+0x\1", text)
    text = re.sub(r'insn="[^"]*"', "insn=I", text)
    text = re.sub(r"\b(hva|hpa)=0x[0-9a-f]+|\bhpa=(hidden|not-resident)", r"\1=H", text)
    text = re.sub(r"\b(rip|next|cr3)=0x[0-9a-f]+", r"\1=R", text)
    text = re.sub(r"\b(seq|sp|gfn|room)=(0x)?[0-9a-f]+", r"\1=N", text)
    return re.sub(r"^\d+ ", "N ", text, flags=re.M).replace("=H ", "=H ").replace(" =H", " hpa=H")


def told(answer, names):
    """What the machine said, without what gdb itself has to say about a stop."""
    return [normal(line, names) for line in answer.splitlines() if not GDBS_OWN.match(line)]


STEPS = (  # command of gdb, and every line that it must print
    ("monitor mmu step fault", ["step id=1 armed: `continue` runs to the next event"]),
    ("continue", [
        "mmu stop id=1 kind=step gva=TABLE event=fault cpu=0 rip=R seq=N",
        "N fault cpu=0 rip=R gva=TABLE err=0x2 who=guest->shadow(miss)",
        "N S1 guest-walk gva=TABLE -> gpa=TABLE page=2M",
        "N S2 slot gpa=TABLE -> slot=0 hva=H",
        "N S3 host hva=H -> hpa=H",
        "N S4 fill sp=N i=I spte=w-x wp=no"]),
    ("monitor mmu step", ["step id=2 armed: `continue` runs to the next event"]),
    ("continue", [
        "mmu stop id=2 kind=step gva=0x60000000 event=fault cpu=0 rip=R seq=N",
        "N fault cpu=0 rip=R gva=0x60000000 err=0x0 who=guest->shadow(miss)",
        "N S1 guest-walk gva=0x60000000 -> gpa=FRAME_A set A L3, set A L2, set A L1",
        "N wp gfn=N is a table",
        "N wp gfn=N is a table",
        "N S2 slot gpa=FRAME_A -> slot=0 hva=H",
        "N S3 host hva=H -> hpa=H",
        "N S4 fill sp=N i=0 spte=--x wp=clean"]),
    ("monitor mmu step ptw", ["step id=3 armed: `continue` runs to the next event"]),
    ("continue", [
        "mmu stop id=3 kind=step event=ptw cpu=0 rip=R pte@TABLE old=FRAME_A+0x023 new=FRAME_B+0x003 "
        "seq=N",
        "N ptw pte@TABLE old=FRAME_A+0x023 new=FRAME_B+0x003 cpu=0 rip=R len=8 insn=I shadows=1 -> "
        "drop sp=N i=0"]),
    ("monitor mmu why", [
        "mmu stop id=3 kind=step event=ptw cpu=0 rip=R pte@TABLE old=FRAME_A+0x023 new=FRAME_B+0x003 "
        "seq=N",
        "N ptw pte@TABLE old=FRAME_A+0x023 new=FRAME_B+0x003 cpu=0 rip=R len=8 insn=I shadows=1 -> "
        "drop sp=N i=0"]),
    ("monitor mmu trace", ["trace on=nothing events=14 room=N"]),
)


def steps_of_a_fault(transcript):
    """The four steps of a shadow fault, and a write to a table, in a real gdb."""
    names = symbols("hazard.elf")
    with Umbra("hazard", SOFT) as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "remap")
        gdb.command("delete")
        for command, expected in STEPS:
            answer = gdb.command(command)
            transcript.append("> %s\n%s" % (command, answer))
            lines = [re.sub(r"\bi=264\b", "i=I", line) for line in told(answer, names)]
            require(lines == expected, "%s:\n%s" % (command, "\n".join(lines)))
            if command == "continue":
                require(answer.count("received signal SIGTRAP") == 1, "stops: " + answer)
        require("mov" in transcript[-2], "the instruction is not told")


EXTENSION = (  # command, what its answer must match
    ("complete umbra mmu break sh", r"^umbra mmu break shadow$"),
    ("complete umbra mmu break shadow z", r"^umbra mmu break shadow zap$"),
    ("complete umbra mmu trace on inv", r"^umbra mmu trace on invlpg$"),
    ("complete umbra mmu hazard o", r"^umbra mmu hazard off\numbra mmu hazard on$"),
    ("complete umbra mmu break map 0x1000 --a", r"^umbra mmu break map 0x1000 --any$"),
    ("umbra mmu break map 0x60000000 0x1000 --on present", r"^break id=1 kind=map gva=0x60000000 "),
    ("umbra mmu break pte &table[1]", r"^break id=2 kind=pte gpa=0x\w+8 len=0x8 "),
    ("umbra mmu break delete all", r"^breaks count=0$"),
    ("umbra mmu step frob", r"^error badarg no such kind: 'frob'"),
    ("umbra mmu step fault", r"^mmu stop id=3 kind=step [\s\S]*^\d+ S1 guest-walk [\s\S]*^\d+ S4 fill "
                             r"[\s\S]*SIGTRAP"),
    ("umbra mmu step", r"^mmu stop id=4 kind=step "),
    ("umbra mmu why", r"^mmu stop id=4 kind=step "),
)


def extension_goes_on_by_itself(transcript):
    """guests/umbra-gdb.py: completion of kinds, expressions, and `umbra mmu step`."""
    with Umbra("hazard", SOFT) as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "remap")
        gdb.command("source " + os.path.join(ROOT, "guests", "umbra-gdb.py"))
        for command, pattern in EXTENSION:
            answer = gdb.command(command)
            transcript.append("> %s\n%s" % (command, answer))
            require(re.search(pattern, answer, re.M), "%s:\n%s" % (command, answer))
        for form in ("", " -j"):  # 4 GiB of large pages
            answer = gdb.command("umbra mmu map --raw" + form)
            require(len(answer.splitlines()) >= 2048 and "more" not in answer, answer[-200:])
            answer = gdb.command("umbra mmu map --raw --max 3" + form)
            require(len(answer.splitlines()) == 4 and "more" in answer, answer)


def tables_are_drawn(_transcript):
    """`umbra draw` makes a picture of the small guest's tables, in the format of the file's name."""
    program("dot", "graphviz")
    with Umbra("hazard", SOFT) as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "unmap")
        gdb.command("source " + os.path.join(ROOT, "guests", "umbra-gdb.py"))
        path = os.path.join(umbra.scratch, "tables.svg")
        answer = gdb.command("umbra draw " + path)
        require(answer == "", answer)
        with open(path, encoding="utf-8") as file:
            picture_text = file.read()
        for part in ("<svg", "L1 0x%x" % symbols("hazard.elf")["table"], "1 x 4K at 0x60000000"):
            require(part in picture_text, "%s is not in the picture" % part)
        require("umbra draw FILE.svg" in gdb.command("umbra draw tables"), "a file without a format")
        require("format" in gdb.command("umbra draw %s.nonsense" % path).lower(), "a format that is none")


# The raw client: one stop, console output before it.

def go(client):
    """Continue; what was printed, and the stop."""
    client.send("vCont;c")
    text = ""
    while True:
        reply = client.packet().decode("latin-1")
        if reply[:1] != "O":
            return text, reply
        text += bytes.fromhex(reply[1:]).decode()


def at(guest, function, *extra):
    """The guest stopped where @function begins: (umbra, client, symbols)."""
    names = symbols("%s.elf" % guest)
    umbra = Umbra(guest, SOFT + ["--on-disconnect", "stay", *extra])
    client = attach(umbra)
    run_on(client, names[function])
    return umbra, client, names


def run_on(client, address):
    client.expect("Z0,%x,1" % address, "OK")
    _, stop = go(client)
    require(register(client, RIP) == address, "it stopped elsewhere: " + stop)
    client.expect("z0,%x,1" % address, "OK")


def records(client, line):
    return [json.loads(text) for text in monitor(client, line + " -j").splitlines()]


def trace_and_log(transcript):
    """The same events for a person and for a program, in the order in which they came."""
    umbra, client, names = at("hazard", "remap")
    with umbra, client:
        answer = monitor(client, "mmu trace on fault,ptw,fill,zap,cr3,invlpg")
        require(normal(answer, names) == "trace on=fault,fill,ptw,zap,cr3,invlpg events=0 room=N\n", answer)
        run_on(client, names["unmap"])
        text = monitor(client, "mmu log -n 100")
        transcript.append(text)
        for kind in ("fault", "S1 guest-walk", "S2 slot", "S3 host", "S4 fill", "ptw"):
            require(re.search("^[0-9]+ %s " % kind, text, re.M), "no %s:\n%s" % (kind, text))
        data = records(client, "mmu log -n 100")
        kinds = [record["kind"] for record in data]
        require(kinds.count("ptw") == 3 and kinds.count("zap") == 2, str(kinds))
        require([r["seq"] for r in data] == sorted(r["seq"] for r in data), "out of order")
        for record in data:
            if record["kind"] == "ptw":
                require(record["insn"].startswith("mov") and record["len"] == 8, str(record))
        last = records(client, "mmu log -n 2")
        require(last == data[-2:], "the last two: %s" % last)
        monitor(client, "mmu trace off")
        run_on(client, names["print_text"])
        require(records(client, "mmu log -n 100") == data, "it was traced after `trace off`")
        require("events=0" in monitor(client, "mmu trace clear"), "clear")


R = r"cpu=0 rip=0x[0-9a-f]+"
BREAKS = (  # guest, where it is set, arguments, the stop's line; {} are symbols
    ("hazard", "remap", "map 0x60000000",
     r"kind=map gva=0x60000000 change=present gpa={frame_a} k:rwx " + R + r" pte@{table} old=0x0 new=0x\w+"),
    ("hazard", "remap", "map 0x60000000 --on gpa",
     r"kind=map gva=0x60000000 change=gpa gpa={frame_a} -> gpa={frame_b} " + R + r" pte@{table} .*"),
    ("hazard", "remap", "map 0x60000000 0x4000 --on gone",
     r"kind=map gva=0x60002000 change=gone was gpa={frame_a} k:rwx " + R + r" pte@.* new=0x\w+000"),
    ("hazard", "remap", "map 0x60001000 --on rights --any",
     r"kind=map gva=0x60001000 change=rights k:r-x -> k:rwx " + R + r" pte@.*"),
    ("hazard", "remap", "map 0x60000000 --on ad", r"kind=map gva=0x60000000 change=ad -- -> A- " + R + ".*"),
    ("hazard", "remap", "map 0x60000000 --cr3 {cr3}", r"kind=map gva=0x60000000 change=present .*"),
    ("hazard", "remap", "pte {table}", r"kind=pte " + R + r" pte@{table} old=0x0 new=0x\w+"),
    ("hazard", "remap", "pa {frame_a} r", r"kind=pa gpa={frame_a} cpu=0 next=0x\w+.*"),
    ("hazard", "remap", "pa {frame_a} w 8", r"kind=pa gpa={frame_a} cpu=0 next=0x\w+ old=0x0 new=0x1"),
    ("hazard", "remap", "pa {frame_b} rw", r"kind=pa gpa={frame_b} cpu=0 next=0x\w+.*"),
    ("hazard", "remap", "pa {widen} x", r"kind=pa gpa={widen} cpu=0 rip={widen}"),
    ("hazard", "remap", "pa {widen} rwx 16", r"kind=pa gpa={widen} cpu=0 rip={widen}"),
    ("hazard", "remap", "pa {frame_a} rwx", r"kind=pa gpa={frame_a} cpu=0 next=0x\w+.*"),
    ("hazard", "remap", "pa {frame_a} x", None),
    ("hazard", "remap", "cr3", r"kind=cr3 cpu=1 rip=0x\w+ old=0x\w+ new=0x\w+"),
    ("hazard", "remap", "cr3 {cr3}", r"kind=cr3 cpu=1 rip=0x\w+ old=0x\w+ new={cr3}"),
    ("hazard", "remap", "cr3 0xabc000", None),
    ("hazard", "remap", "invlpg", r"kind=invlpg gva=0x60002000 " + R),
    ("hazard", "remap", "invlpg 0x60003123", r"kind=invlpg gva=0x60003000 " + R),
    ("hazard", "remap", "hazard", r"kind=hazard gva=0x60000000 " + R + r" pte@{table} .*"),
    ("hazard_fixed", "remap", "hazard", None),
    ("hazard", "remap", "wx", r"kind=wx gva=0x0 gpa=0x0 k:rwx " + R),
    ("hazard", "widen", "wx", r"kind=wx gva=0x60001000 gpa={frame_a} k:rwx " + R + r" pte@.* new=0x\w+"),
    ("hazard", "remap", "shadow", r"kind=shadow gva={table} event=fill sp=\d+ i=\d+ gpa={table} " + R),
    ("hazard", "remap", "shadow zap", r"kind=shadow event=zap sp=\d+ i=0 " + R),
    ("hazard", "remap", "shadow wp", r"kind=shadow event=wp gpa=0x\w+ " + R),
    ("paging", "check_fault", "fault", r"kind=fault gva=0x4000100c err=0x3 " + R),
    ("paging", "check_fault", "fault 0x0/0x1", r"kind=fault gva=0x40001000 err=0x0 " + R),
    ("paging", "check_fault", "fault 0x3", r"kind=fault gva=0x4000100c err=0x3 " + R),
    ("paging", "check_fault", "fault 0x10/0x10", None),
)
DONE = {"hazard": "print_text", "hazard_fixed": "print_text", "paging": "check_roots"}


def each_kind_of_break(transcript):
    """It stops once, by an ordinary stop, and `mmu why` says the same to both readers."""
    for guest, function, arguments, pattern in BREAKS:
        umbra, client, names = at(guest, function)
        with umbra, client:
            cr3 = records(client, "mmu walk 0x0")[0]["cr3"]
            fill = {"cr3": cr3, **{name: hex(names.get(name, 0)) for name in ("table", "frame_a", "frame_b", "widen")}}
            answer = monitor(client, "mmu break " + arguments.format(**fill))
            transcript.append("> mmu break %s\n%s" % (arguments, answer))
            require(re.match(r"break id=1 kind=\w+ .*hits=0 enabled=1$", answer), answer)
            client.expect("Z0,%x,1" % names[DONE[guest]], "OK")
            text, stop = go(client)
            transcript += [text, stop]
            if pattern is None:
                require(not text and register(client, RIP) == names[DONE[guest]], "it stopped: " + text)
                continue
            want = r"mmu stop id=1 %s( seq=\d+)?\n" % re.sub(r"{(\w+)}", lambda m: fill[m[1]], pattern)
            require(re.fullmatch(want, text), "%s:\n%s" % (arguments, text))
            require(re.fullmatch(r"T05((thread:p1\.\d|core:\d|[0-9a-f]{2}:\w+);)+", stop), stop)
            require(monitor(client, "mmu why") == text, "why: " + monitor(client, "mmu why"))
            data = records(client, "mmu why")
            require(len(data) == 1 and data[0]["break"] == arguments.split()[0], str(data))
            require(records(client, "mmu break")[0]["hits"] >= 1, "hits")
            without_registers = stop[:3] + re.sub(r"\b[0-9a-f]{2}:\w+;", "", stop[3:])
            require(client.ask("?") in (stop, without_registers), "another stop is reported later")


def the_table_of_breaks(_transcript):
    """Ids, enable, disable and delete; what is off or gone does not stop."""
    umbra, client, names = at("hazard", "remap")
    with umbra, client:
        for arguments in ("map 0x60000000", "pte %#x" % names["table"], "pa %#x rw" % names["frame_a"],
                          "invlpg"):
            monitor(client, "mmu break " + arguments)
        ids = [(r.get("id"), r.get("enabled")) for r in records(client, "mmu break")]
        require(ids == [(1, True), (2, True), (3, True), (4, True), (None, None)], str(ids))
        require("breaks count=4" in monitor(client, "mmu break disable all"), "disable all")
        require("breaks count=3" in monitor(client, "mmu break delete 2"), "delete 2")
        monitor(client, "mmu break enable 4")
        answer = monitor(client, "mmu break")
        require(answer.count("enabled=0") == 2 and "id=4 kind=invlpg hits=0 enabled=1" in answer, answer)
        text, _ = go(client)
        require(text.startswith("mmu stop id=4 kind=invlpg "), text)
        require(monitor(client, "mmu break delete all") == "breaks count=0\n", "delete all")
        require("id=5 " in monitor(client, "mmu break wx"), "an id was used twice")
        monitor(client, "mmu break delete 5")
        run_on(client, names["print_text"])
        require(monitor(client, "mmu why").startswith("error notpresent "), "why of another stop")


def a_break_on_execution_goes_on(_transcript):
    """It stops in front of each instruction of the range once; another break on the same memory stays
    when one goes."""
    umbra, client, names = at("hazard", "remap")
    start, stops = names["widen"], []
    with umbra, client:
        monitor(client, "mmu break pa %#x x 16" % start)
        monitor(client, "mmu break pa %#x rx 16" % start)
        for _ in range(3):
            text, _ = go(client)
            require("mmu stop id=2 kind=pa gpa=%#x cpu=0 rip=" % start in text, text)
            stops.append(register(client, RIP))
            monitor(client, "mmu break delete 1")
        require(stops[0] == start and stops == sorted(set(stops)) and stops[2] < start + 16, str(stops))
        monitor(client, "mmu break delete all")
        run_on(client, names["print_text"])


def breaks_go_with_the_debugger(_transcript):
    """The guest runs to its end as if there had never been one."""
    umbra, client, names = at("hazard", "remap")
    with umbra:
        with client:
            for word in ("break map 0x60000000", "break pa %#x rw" % names["frame_a"], "trace on",
                         "hazard on", "snap kept", "step"):
                require("error" not in monitor(client, "mmu " + word), word)
        with attach(umbra) as again:
            require(monitor(again, "mmu break") == "breaks count=0\n", "breaks stay")
            require("on=nothing" in monitor(again, "mmu trace"), "the trace stays on")
            require("on=0" in monitor(again, "mmu hazard"), "the hazards stay on")
            require("name=kept" in monitor(again, "mmu snap"), "the snapshot is gone")
            monitor(again, "mmu break map 0x60000000")
            again.expect("D;1", "OK")
        require(umbra.wait_exit() == 0, "the exit status")


def diff_names_the_writer(_transcript):
    """Pages that come, go and change between two moments, each with who wrote the entry."""
    umbra, client, names = at("hazard", "remap")
    with umbra, client:
        monitor(client, "mmu snap before")
        run_on(client, names["widen"])
        monitor(client, "mmu snap between")
        run_on(client, names["unmap"])
        diff = records(client, "mmu diff before")
        require(diff[-1] == {"kind": "differences", "count": 2}, str(diff))
        for record, page, frame in zip(diff, (0, 1), ("frame_b", "frame_a")):
            require(record["change"] == "added" and
                    int(record["gva"], 0) == HAZARD_BASE + page * 0x1000 and
                    int(record["gpa"], 0) == names[frame], str(record))
            require(names["map"] <= int(record["by"]["rip"], 0) < names["use"], str(record))
            require(int(record["at"], 0) == names["table"] + 8 * page, str(record))
        require(records(client, "mmu diff before between")[-1]["count"] == 1, "before and between")
        back = records(client, "mmu diff between before")
        require([r.get("change") for r in back] == ["removed", None], str(back))
        text = monitor(client, "mmu diff before")
        require(re.match(r"diff \+ 0x60000000 len=0x1000 gpa=0x\w+ page=4K k:rwx cr3=0x\w+ "
                         r"by cpu=0 rip=0x\w+ seq=\d+ pte@0x\w+\n", text), text)
        require("more next=0x1\ndifferences count=2 shown=1\n" in monitor(client, "mmu diff before --max 1"), "--max")
        require(monitor(client, "mmu diff before --max 1 --from 1").endswith("differences count=2 shown=1\n"), "--from")


def missing_flushes_are_found(transcript):
    """The guest that lacks two is caught at both, with writer and user; the other one is not."""
    umbra, client, names = at("hazard", "remap")
    with umbra, client:
        require(monitor(client, "mmu hazard on") == "hazards on=1 reports=0 uses=0 flushes=0 dropped=0\n", "on")
        run_on(client, names["print_text"])
        transcript.append(monitor(client, "mmu hazard"))
        data = records(client, "mmu hazard")
        require([(r["gva"], r["why"], r["used"]["cpu"]) for r in data[:-1]] ==
                [("0x60000000", "gpa", 0), ("0x60003000", "gpa", 1)], str(data))
        for record in data[:-1]:
            require(names["use"] <= int(record["used"]["rip"], 0) < names["hang_in_table"], str(record))
            require(names["map"] <= int(record["by"]["rip"], 0) < names["use"], str(record))
            require(record["used"]["seq"] > record["by"]["seq"], str(record))
        require(data[-1]["on"] and data[-1]["reports"] == 2, str(data))
        require("; no flush on cpu=1 since" in transcript[-1], transcript[-1])
        require("on=0 reports=2" in monitor(client, "mmu hazard off"), "off")
    umbra, client, names = at("hazard_fixed", "remap")
    with umbra, client:
        monitor(client, "mmu hazard on")
        run_on(client, names["print_text"])
        data = records(client, "mmu hazard")
        require(len(data) == 1 and data[0]["reports"] == 0 and data[0]["uses"] > 0, str(data))


ERRORS = (
    ("break frob", "badarg no break on 'frob'; they are map, pte, pa, cr3, invlpg, fault, wx, hazard and "
                   "shadow"),
    ("break map", "badarg usage: mmu break map GVA [LEN] [--on present,gone,gpa,rights,ad] [--any|--cr3 X]"),
    ("break map 1 2 3", "badarg usage: mmu break map GVA [LEN] [--on present,gone,gpa,rights,ad] "
                        "[--any|--cr3 X]"),
    ("break map x", "badarg 'x' is no number (0x for hexadecimal)"),
    ("break map 1 --on frob", "badarg no such change: 'frob'; they are present, gone, gpa, rights and ad"),
    ("break map 1 --on", "badarg --on wants a value"),
    ("break map 0x60000000 0", "badarg the length is 0; it is 1 at least"),
    ("break map 0x60000000 0x10000000000", "badarg a map break of 268435456 pages; 4096 is the most"),
    ("break map 0xfffffffffffff000 0x2000", "badarg 0x2000 bytes at 0xfffffffffffff000 go beyond the last "
                                            "address"),
    ("break map 0x800000000000", "noncanon there is no linear address 0x800000000000"),
    ("break invlpg 0x800000000000", "noncanon there is no linear address 0x800000000000"),
    ("break pte", "badarg usage: mmu break pte GPA [LEN]"),
    ("break pte 0x1ffc 8", "badarg a pte break lies in one page"),
    ("break pa 0x1000 q", "badarg 'q' is not made of r, w and x"),
    ("break pa 0x1000 r 0", "badarg the length is 0; it is 1 at least"),
    ("break cr3 1 2", "badarg usage: mmu break cr3 [VALUE]"),
    ("break fault 2/x", "badarg 'x' is no number (0x for hexadecimal)"),
    ("break wx 3", "badarg usage: mmu break wx"),
    ("break shadow frob", "badarg shadow wants fill, zap or wp, not 'frob'"),
    ("break delete", "badarg usage: mmu break delete ID|all"),
    ("break enable 99", "badarg there is no break 99; `mmu break` lists them"),
    ("break disable x", "badarg 'x' is no number (0x for hexadecimal)"),
    ("trace frob", "badarg usage: mmu trace [on [KINDS]|off|clear]"),
    ("trace on fault,frob", "badarg no such kind: 'frob'; they are fault, fill, ptw, zap, wp, cr3, invlpg, "
                            "flush, hazard and all"),
    ("trace on fault fill", "badarg usage: mmu trace [on [KINDS]|off|clear]"),
    ("log", "notpresent nothing is traced; `mmu trace on` begins"),
    ("log 3", "badarg usage: mmu log [-n N]"),
    ("log -n", "badarg -n wants a value"),
    ("step frob", "badarg no such kind: 'frob'; they are fault, fill, ptw, zap, wp, cr3, invlpg, flush, "
                  "hazard and all"),
    ("why", "notpresent the last stop was for no break of `mmu break`"),
    ("why 3", "badarg usage: mmu why"),
    ("snap " + 32 * "a", "badarg a name has 1 to 31 letters"),
    ("snap now", "badarg 'now' is what `mmu diff` calls the present"),
    ("snap drop", "badarg usage: mmu snap [NAME|drop NAME]"),
    ("snap drop b", "badarg there is no snapshot 'b'; `mmu snap` lists them"),
    ("diff", "badarg usage: mmu diff FROM [TO]"),
    ("diff b", "badarg there is no snapshot 'b'; `mmu snap` lists them"),
    ("hazard frob", "badarg usage: mmu hazard [on [GRACE]|off]"),
    ("hazard on x", "badarg 'x' is no number (0x for hexadecimal)"),
)


def errors_say_what_is_wrong(_transcript):
    """In both forms; and nothing is there afterwards that was not before."""
    umbra, client, _names = at("hazard", "remap")
    with umbra, client:
        for word, text in ERRORS:
            require(monitor(client, "mmu " + word) == "error %s\n" % text,
                    "%s: %s" % (word, monitor(client, "mmu " + word)))
            data = [json.loads(line) for line in monitor(client, "mmu -j " + word).splitlines()]
            require(data == [dict(zip(("error", "text"), text.split(" ", 1)))], "%s: %r" % (word, data))
        require(monitor(client, "mmu break") == "breaks count=0\n", "a break is there")
        require(monitor(client, "mmu snap") == "snaps count=0\n", "a snapshot is there")
        for n in range(100):
            answer = monitor(client, "mmu snap s%d" % n)
            if answer.startswith("error"):
                break
        require(re.match(r"error badarg there are \d+ snapshots already; `mmu snap drop NAME`", answer), answer)
        for n in range(100):
            answer = monitor(client, "mmu break wx")
            if answer.startswith("error"):
                break
        require(answer.startswith("error ") and n == 64, answer)


def help_fits_a_terminal(_transcript):
    """Of every word: its arguments, one line of text and an example that is its own."""
    with Umbra("hello64", SOFT) as umbra, attach(umbra) as client:
        answer = monitor(client, "mmu help")
        words = re.findall(r"^  mmu (\w+)", answer, re.M)
        require(len(words) >= 24, answer)
        for word in words:
            text = monitor(client, "mmu help " + word)
            require("(gdb) monitor mmu %s" % word in text, text)
            answer += text
        require("  shadow [fill|zap|wp]\n" in answer and "  ptw      a guest's page" in answer, answer)
        long = [line for line in answer.splitlines() if len(line) > 100]
        require(not long, "wider than 100 columns:\n" + "\n".join(long))


SHADOW_WORDS = ("trace", "trace on", "log", "step", "break map 0x1000", "break pte 0x1000", "break cr3",
                "break pa 0x1000", "break hazard", "break wx", "hazard", "hazard on")


def without_a_shadow_it_says_so(_transcript):
    """Where the back end has no shadow: `nocap`.  Snapshots are everywhere, without writers."""
    with Umbra("hello64") as umbra, attach(umbra) as client:
        for word in SHADOW_WORDS:
            answer = monitor(client, "mmu " + word)
            require(answer.startswith("error nocap ") == (ACCEL != "soft"), "%s: %s" % (word, answer))
        require("snap name=a" in monitor(client, "mmu snap a"), "snap")
        require(monitor(client, "mmu diff a") == "differences count=0\n", "diff")


WORDS = (  # in this order: each works on what the ones before it made
    "trace", "trace on", "log", "log -n 3 -j", "break", "break map 0x60000000 0x4000 --on present,ad",
    "break map 0x60000000 --any", "break pte {table}", "break pa {frame_a} rwx 8", "break cr3",
    "break invlpg", "break fault 2/2", "break wx", "break shadow", "break hazard", "break", "break -j",
    "break disable 3", "break enable 3", "break delete 3", "why", "snap a", "snap", "diff a", "diff a -j",
    "snap drop a", "hazard on 100", "hazard", "hazard -j", "step", "step ptw", "break frob",
    "break delete all", "trace clear", "trace off", "hazard off")


def picture(client):
    return (monitor(client, "hash"), client.ask("g"), monitor(client, "info regs 0"),
            monitor(client, "info regs 1"))


def words_over_time_change_nothing(_transcript):
    """Memory and registers are the same before and after every word, and at the guest's end, whether
    all of them watched it or none."""
    ends = []
    for is_watched in (False, True):
        umbra, client, names = at("hazard", "remap")
        with umbra, client:
            before = picture(client)
            for word in WORDS if is_watched else ():
                monitor(client, "mmu " + word.format(**{k: hex(names[k]) for k in ("table", "frame_a")}))
                require(picture(client) == before, "%s changed something" % word)
            if is_watched:
                for word in ("trace on", "hazard on", "snap a", "break map 0x70000000 --any", "break pte 0x7000"):
                    monitor(client, "mmu " + word)
            run_on(client, names["print_text"])
            ends.append(picture(client))
    require(ends[0] == ends[1], "the watched run ended otherwise:\n%s\n%s" % tuple(ends))


INJECTIONS = (  # what is broken, where; the invariant that must be named
    ("spte 0x60000000", "I2"), ("rmap 0x60000000", "I4"), ("wp {table}", "I1"))


def verify_names_what_is_broken(transcript):
    """Builds for tests have `mmu inject`: each kind is found, with the last writer where one is
    known.  Releases do not have it."""
    umbra, client, _names = at("hazard", "remap")
    with umbra, client:
        if "mmu inject" not in monitor(client, "mmu help"):
            require(monitor(client, "mmu inject spte 0x1000").startswith("error badarg no such word"), "inject")
            return
    for arguments, invariant in INJECTIONS:
        umbra, client, names = at("hazard", "remap")
        with umbra, client:
            require(monitor(client, "mmu inject frob 1").startswith("error badarg inject breaks "), "frob")
            require(monitor(client, "mmu inject wp 0x70000000").startswith("error notpresent "), "wp")
            monitor(client, "mmu snap writers")
            run_on(client, names["widen"])
            require("errors=0" in monitor(client, "mmu verify"), "broken already")
            require(monitor(client, "mmu inject " + arguments.format(table=hex(names["table"]))).startswith(
                "inject broke="), arguments)
            answer = monitor(client, "mmu verify")
            transcript.append(answer)
            require("verify bad %s " % invariant in answer and "errors=0" not in answer, answer)
            writer = re.search(r"^verify bad I2 sp=\d+ i=0 .* last_write=seq (\d+) rip=(0x\w+)$",
                               answer, re.M)
            if invariant == "I2":
                require(writer and names["map"] <= int(writer[2], 0) < names["use"], answer)


def paranoid_ends_with_its_own_status(_transcript):
    """What --paranoid finds makes the exit status that of a bug in umbra."""
    umbra, client, _names = at("hazard", "widen", "--paranoid")
    with umbra, client:
        is_test_build = "mmu inject" in monitor(client, "mmu help")
        if is_test_build:
            require(monitor(client, "mmu inject spte 0x60000000").startswith("inject broke="), "inject")
        client.expect("vCont;c", "W.*")
        status = umbra.wait_exit()
        require(status == (70 if is_test_build else 0), "status %d: %s" % (status, umbra.stderr.text()))


TESTS = (
    (steps_of_a_fault, ""),
    (extension_goes_on_by_itself, ""),
    (tables_are_drawn, ""),
    (trace_and_log, ""),
    (each_kind_of_break, ""),
    (the_table_of_breaks, ""),
    (a_break_on_execution_goes_on, ""),
    (breaks_go_with_the_debugger, ""),
    (diff_names_the_writer, ""),
    (missing_flushes_are_found, ""),
    (errors_say_what_is_wrong, ""),
    (help_fits_a_terminal, ""),
    (without_a_shadow_it_says_so, ""),
    (words_over_time_change_nothing, ""),
    (verify_names_what_is_broken, ""),
    (paranoid_ends_with_its_own_status, ""),
)
