"""librspstub for others: the example, and what `make install` leaves of the library."""

import os
import re
import subprocess
import tempfile

from gdbdriver import Gdb
from rawtests import require
from vm import ROOT, UMBRA, Skip

BUILT = os.path.dirname(os.path.abspath(UMBRA))
EXAMPLE = [os.path.join(ROOT, "gdbstub", "example", name) for name in ("toy.c", "toy_cpu.c")]

SESSION = (
    ("x/6i $pc", r"=> 0x1000:\s+mov +\$0x5,%ecx\n[^!]*0x100f:\s+hlt"),
    ("break *0x1007", r"Breakpoint 1 at 0x1007"),
    ("continue", r"Breakpoint 1, 0x0*1007"),
    ("print $eax * 100 + $ecx", r"= 505"),
    ("stepi", r"0x0*100c"),
    ("x/wx 0x2000", r"0x0*5"),
    ("x/2bx 0xffff", r"Cannot access memory at address 0x10000"),
    ("set var $ecx = 2", r""),
    ("info threads", r"Thread 1\.1 \(toy, 3 instructions\)"),
    ("print *(int *)0x2000 = 77", r"= 77"),
    ("delete", r""),
    ("break *0x100f", r"Breakpoint 2"),
    ("continue", r"Breakpoint 2, 0x0*100f"),
    ("print $eax", r"= 6"),
    ("monitor help", r"Target does not support this command"),
    ("continue", r"exited normally"),
)


def drive(program, transcript):
    with Gdb() as gdb:
        gdb.command("set architecture i386")
        gdb.command("target remote | " + program)
        for command, pattern in SESSION:
            answer = gdb.command(command)
            transcript.append("> %s\n%s" % (command, answer))
            require(re.search(pattern, answer), "%s: no /%s/ in %s" % (command, pattern, answer))


def toy_is_debugged(transcript):
    drive(os.path.join(BUILT, "toy"), transcript)


def run(transcript, *arguments):
    result = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    transcript += [" ".join(arguments), result.stdout, result.stderr]
    require(result.returncode == 0, "%s: %s" % (" ".join(arguments), result.stderr))
    return result.stdout


def installed_library_is_enough(transcript):
    """The example from the installed header and library alone, against the shared one and the static
    one; the shared one shows what the header declares and nothing else."""
    if os.path.basename(BUILT) != "build":
        raise Skip("it is installed from the release build")
    with tempfile.TemporaryDirectory(prefix="umbra-test-") as scratch:
        run(transcript, "make", "install", "PREFIX=" + scratch)
        with open(os.path.join(scratch, "lib", "pkgconfig", "rspstub.pc"), encoding="utf-8") as file:
            values = dict(re.findall(r"^(\w+)(?:=|: )(.*)$", file.read(), re.M))
        flags = [re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], values[key])
                 .replace("${prefix}", values["prefix"]).split() for key in ("Cflags", "Libs")]
        shared, static = (os.path.join(scratch, name) for name in ("shared", "static"))
        run(transcript, "gcc", *flags[0], *EXAMPLE, "-o", shared, *flags[1],
            "-Wl,-rpath," + os.path.join(scratch, "lib"))
        run(transcript, "gcc", *flags[0], *EXAMPLE, "-o", static,
            os.path.join(scratch, "lib", "librspstub.a"))
        for program in (shared, static):
            drive(program, transcript)
        library = os.path.join(scratch, "lib", "librspstub.so")
        shown = re.findall(r" T (\w+)$", run(transcript, "nm", "-D", library), re.M)
        with open(os.path.join(scratch, "include", "rspstub.h"), encoding="utf-8") as file:
            declared = set(re.findall(r"\b(rsp_[a-z0-9_]*)\(", file.read()))
        require(set(shown) == declared, "it shows %s" % sorted(set(shown) ^ declared))


TESTS = [
    (toy_is_debugged, "soft"),
    (installed_library_is_enough, "soft"),
]
