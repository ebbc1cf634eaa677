"""The ACPI tables as a guest finds them: read out of a machine, and judged by ACPICA's compiler.

The decoding here is one more reading of the specification, beside that of tests/unit/vm; iasl is a
third one, of everything but the pointers."""
import os
import re
import shutil
import struct
import subprocess
import unittest

from tree import ROOT, TreeTest

UMBRA = os.path.join(ROOT, "build", "umbra")
GUEST = os.path.join(ROOT, "build", "guests", "hello64.elf")
AREA, AREA_END = 0xe0000, 0x100000
CHUNK = 0x400


def packet(text):
    return f"${text}#{sum(text.encode()) % 256:02x}".encode()


class Machine:
    """A machine before its first instruction, whose memory is read by the debug protocol."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [UMBRA, "-accel", "soft", "-kernel", GUEST, "-S", "-gdb", "stdio", "-serial", "null",
             "--die-with-parent", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    def ask(self, text):
        self.process.stdin.write(packet(text))
        self.process.stdin.flush()
        reply = b""
        while not (len(reply) > 3 and reply[-3:-2] == b"#"):
            byte = self.process.stdout.read(1)
            if not byte:
                raise EOFError(reply)
            if byte not in b"+" or reply:
                reply += byte
        self.process.stdin.write(b"+")
        # X*N is a run: X, then N - 29 more of it.
        return re.sub(r"(.)\*(.)", lambda run: run[1] * (ord(run[2]) - 28), reply[1:-3].decode())

    def read(self, address, length):
        return b"".join(
            bytes.fromhex(self.ask(f"m{at:x},{min(CHUNK, address + length - at):x}"))
            for at in range(address, address + length, CHUNK))

    def close(self):
        self.process.kill()
        self.process.communicate()


@unittest.skipUnless(os.path.exists(UMBRA) and os.path.exists(GUEST), "umbra is not built")
class Acpi(TreeTest):
    def tables(self, *arguments):
        """{signature: bytes}, found by the RSDP, each with a right checksum."""
        machine = Machine(*arguments)
        self.addCleanup(machine.close)
        area = machine.read(AREA, AREA_END - AREA)
        at = next(at for at in range(0, len(area), 16) if area[at:at + 8] == b"RSD PTR ")
        self.assertEqual(sum(area[at:at + 20]) % 256, 0)
        self.assertEqual(sum(area[at:at + 36]) % 256, 0)
        rsdt, = struct.unpack_from("<I", area, at + 16)
        xsdt, = struct.unpack_from("<Q", area, at + 24)

        def table(address):
            length, = struct.unpack_from("<I", area, address - AREA + 4)
            found = area[address - AREA:address - AREA + length]
            self.assertEqual(sum(found) % 256, 0, found[:4])
            return found

        pointers = struct.unpack(f"<{(len(table(xsdt)) - 36) // 8}Q", table(xsdt)[36:])
        self.assertEqual(struct.unpack(f"<{len(pointers)}I", table(rsdt)[36:]), pointers)
        found = {table(p)[:4].decode(): table(p) for p in pointers}
        dsdt, = struct.unpack_from("<Q", found["FACP"], 140)
        self.assertEqual(struct.unpack_from("<I", found["FACP"], 40)[0], dsdt)
        return {**found, "DSDT": table(dsdt), "RSDT": table(rsdt), "XSDT": table(xsdt)}

    def test_tables_of_a_machine_are_found_and_count_its_cpus(self):
        tables = self.tables("-smp", "3")
        self.assertEqual(sorted(tables), ["APIC", "DSDT", "FACP", "RSDT", "XSDT"])
        entries, at = tables["APIC"][44:], 0
        kinds = []
        while at < len(entries):
            kinds.append(entries[at])
            at += entries[at + 1]
        self.assertEqual(at, len(entries))
        self.assertEqual(kinds, [0, 0, 0, 1, 2, 2, 4])

    def iasl(self, *arguments):
        """What iasl says, which must be nothing bad."""
        status, output = self.run_command("iasl", *arguments)
        self.assertEqual(status, 0, output)
        self.assertIsNone(re.search(r"(?i)invalid|unknown|[1-9]\d* (errors|warnings)|^(error|warning)",
                                    output), output)
        return output

    def source(self, name):
        """The disassembly of NAME.aml without comments, blanks, and the names of files."""
        self.iasl("-d", f"{name}.aml")
        with open(os.path.join(self.root, f"{name}.dsl"), encoding="utf-8") as file:
            text = re.sub(r"(?s)/\*.*?\*/|//[^\n]*", "", file.read())
        return re.sub(r'\s+|DefinitionBlock \("[^"]*"', "", text).replace("\\_SB", "_SB")

    @unittest.skipUnless(shutil.which("iasl"), "iasl is not installed (Debian: acpica-tools)")
    def test_iasl_takes_every_table_apart_and_makes_the_same_of_it(self):
        for name, data in self.tables("-smp", "2").items():
            with open(os.path.join(self.root, f"{name}.aml"), "wb") as file:
                file.write(data)
            source = self.source(name)
            self.assertIn("0 Errors, 0 Warnings" if name == "DSDT" else "",
                          self.iasl("-p", "again", f"{name}.dsl"))
            with open(os.path.join(self.root, "again.aml"), "rb") as file:
                again = file.read()
            if name == "DSDT":
                self.assertEqual(self.source("again"), source)
            else:
                self.assertEqual(again[36:], data[36:], name)
