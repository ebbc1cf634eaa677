"""The `mmu` words over time on the paging guest, word for word: the samples of their specification.

The run is the same each time; what depends on the compiler (code addresses, instruction counts) and
on the host stands as a letter.
"""

import re

from gdbdriver import Gdb
from mmutests import normal, run_to
from rawtests import require
from vm import Umbra

GO, RUN_TO, LOG_OF = "continue", "run to ", "log of "

# The same page at three moments: mapped anew elsewhere, read-only, gone.
GOLDEN = (
    ("snap before", """\
snap name=before seq=S roots=N ranges=2
"""),
    ("break map 0x40001000", """\
break id=1 kind=map gva=0x40001000 len=0x1 change=present,gone,gpa,rights cr3=0x400000 hits=0 enabled=1
"""),
    (GO, """\
mmu stop id=1 kind=map gva=0x40001000 change=gpa gpa=0x600000 -> gpa=0x601000 cpu=0 rip=R pte@0x40c008 \
old=0x600063 new=0x601003 seq=S
"""),
    ("why", """\
mmu stop id=1 kind=map gva=0x40001000 change=gpa gpa=0x600000 -> gpa=0x601000 cpu=0 rip=R pte@0x40c008 \
old=0x600063 new=0x601003 seq=S
"""),
    ("diff before now", """\
diff ~ 0x40001000 len=0x1000 gpa=0x600000 -> gpa=0x601000 page=4K k:rwx -> k:rwx cr3=0x400000 \
by cpu=0 rip=R seq=S pte@0x40c008
diff + 0x40002000 len=0x1000 gpa=0x600000 page=4K k:rwx cr3=0x400000 by cpu=0 rip=R seq=S pte@0x40c010
differences count=2
"""),
    ("break delete all", "breaks count=0\n"),
    (RUN_TO + "check_fault", ""),
    ("hazard on", "hazards on=1 reports=0 uses=0 flushes=0 dropped=0\n"),
    ("trace on fault,fill,ptw,zap,invlpg", "trace on=fault,fill,ptw,zap,invlpg events=0 room=16384\n"),
    ("break fault", "break id=2 kind=fault hits=0 enabled=1\n"),
    (GO, "mmu stop id=2 kind=fault gva=0x4000100c err=0x3 cpu=0 rip=R seq=S\n"),
    ("log", """\
S ptw pte@0x40c008 old=0x600023 new=0x600001 cpu=0 rip=R len=4 insn="mov    %edx,(%eax)" shadows=1 \
-> drop sp=N i=1
S invlpg cpu=0 rip=R gva=0x40001000 pcid=0
S fault cpu=0 rip=R gva=0x4000100c err=0x3 who=guest(#PF)
S S1 guest-walk gva=0x4000100c -> gpa=0x60000c err=0x3
"""),
    ("break delete all", "breaks count=0\n"),
    ("trace clear", "trace on=fault,fill,ptw,zap,invlpg events=0 room=16384\n"),
    ("snap three", "snap name=three seq=S roots=N ranges=5\n"),
    ("break map 0x40001000 --on gone", """\
break id=3 kind=map gva=0x40001000 len=0x1 change=gone cr3=0x400000 hits=0 enabled=1
"""),
    (GO, """\
mmu stop id=3 kind=map gva=0x40001000 change=gone was gpa=0x600000 k:rwx cpu=0 rip=R pte@0x40c008 \
old=0x600063 new=0x0 seq=S
"""),
    (LOG_OF + "0x4000100c", """\
S fault cpu=0 rip=R gva=0x4000100c err=0x2 who=guest->shadow(miss)
S S1 guest-walk gva=0x4000100c -> gpa=0x60000c set A L1, set D L1
S S2 slot gpa=0x60000c -> slot=0 hva=H
S S3 host hva=H -> hpa=H
S S4 fill sp=N i=1 spte=w-x wp=no
"""),
    ("diff three now", """\
diff - 0x40001000 len=0x1000 was gpa=0x600000 page=4K k:r-x cr3=0x400000 by cpu=0 rip=R seq=S pte@0x40c008
differences count=1
"""),
    ("shadow 0x40002000", """\
spte sp=N i=0 level=4 gpte=0x401027 child=N access=wux
spte sp=N i=1 level=3 gpte=0x40b027 child=N access=wux
spte sp=N i=0 level=2 gpte=0x40c027 child=N access=wux
spte sp=N i=2 level=1 gpte=0x600023 gpa=0x600000 hva=H access=w-x wp=1 D=0
"""),
    ("hazard", "hazards on=1 reports=0 uses=U flushes=2 dropped=0\n"),
    ("verify", "verify checks=I1..I11 roots=N tables=N sptes=N errors=0 time=N\n"),
)


def plain(text):
    text = re.sub(r"^\d+ ", "S ", normal(text), flags=re.M)
    for name, letter in (("rip", "R"), ("seq", "S"), ("uses", "U")):
        text = re.sub(r"\b%s=(0x[0-9a-f]+|[1-9]\d*)" % name, "%s=%s" % (name, letter), text)
    return text


def stop_lines(answer):
    """What the server said of a stop: between gdb's `Continuing.` and its own report."""
    return answer.split("Continuing.\n", 1)[-1].split("\n\n", 1)[0] + "\n"


def log_of(answer, gva):
    """What is told of the last fault at @gva."""
    fault = [found for found in re.finditer(r"^(\d+) fault .*\n", answer, re.M) if " gva=%s " % gva in found[0]][-1]
    block = re.match(r"(%s .*\n)+" % fault[1], answer[fault.start():])
    return block[0]


def golden_over_time(transcript):
    """Snapshots, breaks, the trace and its steps over the paging guest in 4-level mode."""
    with Umbra("paging", ["-accel", "soft"]) as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "check_alias", 3)
        gdb.command("delete")
        for word, expected in GOLDEN:
            if word.startswith(RUN_TO):
                gdb.command("tbreak " + word[len(RUN_TO):])
                gdb.command("continue")
                continue
            if word == GO:
                answer = stop_lines(gdb.command(GO))
            elif word.startswith(LOG_OF):
                answer = log_of(gdb.command("monitor mmu log -n 100"), word[len(LOG_OF):])
            else:
                answer = gdb.command("monitor mmu " + word)
            transcript.append("> %s\n%s" % (word, answer))
            require(plain(answer).strip() == expected.strip(), "%s:\n%s" % (word, plain(answer)))


TESTS = [
    (golden_over_time, "pae:runs paged32:runs"),
]
