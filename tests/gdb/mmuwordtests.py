"""The `mmu` words as calls: answers that are cut and go on, the help's examples, addresses of any kind."""

import json
import re

from gdbdriver import Gdb
from machinetests import monitor
from mmutests import run_to
from rawtests import attach, require
from vm import ACCEL, Umbra

LONG = (  # words that may have more to tell than one answer carries
    "map", "map 0x40000000 0x50010000 --raw", "map --phys", "map 0x40000000", "ad", "addr gpa 0x600010",
    "rmap 0x600010", "find wx", "find phys 0x600000", "find pte 0x1/0x1", "tables", "roots", "shadow", "shadow 0", "tlb")


def long_answers_go_on(transcript):
    """An answer that was cut names where to go on, and the pieces are the whole."""
    with Umbra("paging", ["-accel", "soft"]) as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "check_roots", 3)

        def ask(word, more):
            answer = gdb.command("monitor mmu %s --max %s" % (word, more)).strip().splitlines()
            summary = re.compile("(find|ad|tlb|rmap) .*(found|accessed|held|aliases)=")
            return [line for line in answer if not summary.match(line)]
        for word in LONG:
            whole = [line for line in ask(word, 400) if not line.startswith("more ")]
            require(len(whole) > 1, "mmu %s: %s" % (word, whole))
            size = max(1, len(whole) // 5)
            pieces, more = [], "%d" % size
            while more and len(pieces) < len(whole):
                piece = ask(word, more)
                cut = re.fullmatch(r"more next=(0x[0-9a-f]+)", piece[-1])
                require(len(piece) == size + 1 if cut else len(whole) < 400, "%s: %s" % (more, piece))
                pieces += piece[:-1] if cut else piece
                more = "%d --from %s" % (size, cut[1]) if cut else None
            pieces = pieces[:len(whole)] if len(whole) == 400 else pieces
            transcript.append("mmu %s: %d lines by %d" % (word, len(whole), size))
            require(pieces == whole, "mmu %s in pieces of %d:\n%s\nwhole:\n%s"
                    % (word, size, "\n".join(pieces), "\n".join(whole)))


def examples_of_the_help_work(transcript):
    """Each is a call as it stands, in both forms; only what they name may be missing."""
    with Umbra("hello64") as umbra, attach(umbra) as client:
        examples = re.findall(r"\(gdb\) monitor (.*)", monitor(client, "mmu help"))
        require(len(examples) >= 25, "there are %d" % len(examples))
        for example in examples:
            for form in ("", " -j")[:1 if "--dot" in example else 2]:
                answer = monitor(client, example + form)
                transcript.append("> %s\n%s" % (example + form, answer))
                codes = re.findall(r'^(?:error |{"error":")(\w+)', answer, re.M)
                allowed = {"noaddr", "notpresent"} if ACCEL == "soft" else {"noaddr", "notpresent", "nocap"}
                require(set(codes) <= allowed, "%s: %s" % (example, answer))
                is_json = "-j" in example + form
                require(answer or is_json, example + " is silent")
                if is_json:
                    for text in answer.splitlines():
                        json.loads(text)


def an_address_is_found_from_any_of_four(_transcript):
    with Umbra("hello64") as umbra, Gdb() as gdb:
        run_to(gdb, umbra, "main")
        line = gdb.command("monitor mmu addr $pc".replace("$pc", gdb.command("output/x $pc").strip()))
        kinds = dict(re.findall(r"(gva|gpa|hva|hpa)=(\S+)", line))
        require(len(kinds) == 4, line)
        for kind, address in kinds.items():
            if address == "hidden":  # of the host, to whom may not know
                continue
            answer = gdb.command("monitor mmu addr %s %s" % (kind, address))
            require(answer == line, "%s:\n%s\nnot\n%s" % (kind, answer, line))


TESTS = [
    (long_answers_go_on, "pae:runs paged32:runs"),
    (examples_of_the_help_work, ""),
    (an_address_is_found_from_any_of_four, ""),
]
