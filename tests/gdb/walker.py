"""Page walks in Python, for tests: written from the manual alone (Intel SDM volume 3A, chapter 4; the
edition is in README.md), sharing nothing with umbra's own.

Physical memory is a function read(address, length) that returns bytes, or None where there is none.
Registers are an object with cr0, cr3, cr4, efer, pkru, maxphy, and pdpte: four numbers, or None for
"read them from memory".
"""

import collections
import struct

Registers = collections.namedtuple("Registers", "cr0 cr3 cr4 efer pkru maxphy pdpte")
Page = collections.namedtuple("Page", "gva gpa size u w x entry at")

PAGING, WP = 1 << 31, 1 << 16
PSE, PAE, LA57, PGE, SMEP, SMAP, PKE = 1 << 4, 1 << 5, 1 << 12, 1 << 7, 1 << 20, 1 << 21, 1 << 22
LMA, NXE = 1 << 10, 1 << 11
NX = 1 << 63


class Fault(Exception):
    """A walk that ends without a page."""

    def __init__(self, kind, level=0):
        super().__init__(kind)
        self.kind = kind
        self.level = level


def mode(regs):
    """4.1.1: what CR0, CR4 and EFER select."""
    if not regs.cr0 & PAGING:
        return "none"
    if regs.efer & LMA:
        return "5level" if regs.cr4 & LA57 else "4level"
    return "pae" if regs.cr4 & PAE else "32bit"


def field(value, high, low):
    return value >> low & ((1 << (high - low + 1)) - 1)


def mask(high, low):
    return ((1 << (high - low + 1)) - 1) << low


def number(read, address, length, level):
    data = read(address, length)
    if data is None:
        raise Fault("bus", level)
    return int.from_bytes(data, "little")


class Rights:
    """4.6: what the entries so far leave."""

    def __init__(self):
        self.u = self.w = self.x = True

    def narrow(self, entry):
        self.w = self.w and bool(entry & 2)
        self.u = self.u and bool(entry & 4)
        self.x = self.x and not entry & NX


def check_linear(regs, va):
    """3.3.7.1 of volume 1: canonical addresses; and 32 bits elsewhere."""
    kind = mode(regs)
    if kind in ("4level", "5level"):
        width = 57 if kind == "5level" else 48
        top = va >> (width - 1)
        if top not in (0, (1 << (65 - width)) - 1):
            raise Fault("noncanon")
    elif va >> 32:
        raise Fault("noncanon")


def reserved_always(regs, entry):
    """Table 4-14 and its kin: address bits that the processor lacks, and bit 63 without NXE."""
    bad = entry & mask(51, regs.maxphy) if regs.maxphy < 52 else 0
    if not regs.efer & NXE:
        bad |= entry & NX
    return bad


def page_of(va, base, size, rights, entry, at):
    return Page(va & ~(size - 1), base, size, rights.u, rights.w, rights.x, entry, at)


def walk_32bit(regs, read, va):
    """4.3, tables 4-3 to 4-6."""
    rights = Rights()
    at = (regs.cr3 & mask(31, 12)) + 4 * field(va, 31, 22)
    pde = number(read, at, 4, 2)
    if not pde & 1:
        raise Fault("notpresent", 2)
    rights.narrow(pde)
    if pde & 0x80 and regs.cr4 & PSE:
        # M is the smaller of 40 and MAXPHYADDR; bits 20:(M-19) are reserved, and bit 21.
        width = min(40, regs.maxphy)
        bad = pde & 1 << 21
        if width < 40:
            bad |= pde & mask(20, width - 19)
        if bad:
            raise Fault("reserved", 2)
        base = field(pde, 31, 22) << 22 | field(pde, 20, 13) << 32
        return page_of(va, base, 1 << 22, rights, pde, at)
    at = (pde & mask(31, 12)) + 4 * field(va, 21, 12)
    pte = number(read, at, 4, 1)
    if not pte & 1:
        raise Fault("notpresent", 1)
    rights.narrow(pte)
    return page_of(va, pte & mask(31, 12), 1 << 12, rights, pte, at)


def walk_pae(regs, read, va):
    """4.4, tables 4-7 to 4-11."""
    rights = Rights()
    if regs.pdpte:
        pdpte = regs.pdpte[field(va, 31, 30)]
    else:
        pdpte = number(read, (regs.cr3 & mask(31, 5)) + 8 * field(va, 31, 30), 8, 3)
    if not pdpte & 1:
        raise Fault("notpresent", 3)
    if not regs.pdpte:
        # Table 4-8: bits 2:1, 8:5 and everything from M up.
        if pdpte & (mask(2, 1) | mask(8, 5) | mask(63, 52)) or reserved_always(regs, pdpte):
            raise Fault("reserved", 3)
    at = (pdpte & mask(51, 12)) + 8 * field(va, 29, 21)
    pde = number(read, at, 8, 2)
    if not pde & 1:
        raise Fault("notpresent", 2)
    if pde & mask(62, 52) or reserved_always(regs, pde):
        raise Fault("reserved", 2)
    if pde & 0x80:
        if pde & mask(20, 13):
            raise Fault("reserved", 2)
        rights.narrow(pde)
        return page_of(va, pde & mask(51, 21), 1 << 21, rights, pde, at)
    rights.narrow(pde)
    at = (pde & mask(51, 12)) + 8 * field(va, 20, 12)
    pte = number(read, at, 8, 1)
    if not pte & 1:
        raise Fault("notpresent", 1)
    if pte & mask(62, 52) or reserved_always(regs, pte):
        raise Fault("reserved", 1)
    rights.narrow(pte)
    return page_of(va, pte & mask(51, 12), 1 << 12, rights, pte, at)


def walk_long(regs, read, va, top):
    """4.5, tables 4-12 to 4-20."""
    rights = Rights()
    table = regs.cr3 & mask(51, 12)
    for level in range(top, 0, -1):
        shift = 12 + 9 * (level - 1)
        at = table + 8 * field(va, shift + 8, shift)
        entry = number(read, at, 8, level)
        if not entry & 1:
            raise Fault("notpresent", level)
        is_page = level == 1 or bool(level <= 3 and entry & 0x80)
        bad = reserved_always(regs, entry)
        if level >= 4:
            bad |= entry & 0x80
        if is_page and level > 1:
            bad |= entry & mask(shift - 1, 13)
        if bad:
            raise Fault("reserved", level)
        rights.narrow(entry)
        if is_page:
            return page_of(va, entry & mask(51, shift), 1 << shift, rights, entry, at)
        table = entry & mask(51, 12)
    raise AssertionError("level 1 always has a page")


def walk(regs, read, va):
    """The page of @va; raises Fault."""
    check_linear(regs, va)
    kind = mode(regs)
    if kind == "32bit":
        return walk_32bit(regs, read, va)
    if kind == "pae":
        return walk_pae(regs, read, va)
    if kind == "none":
        return Page(va, va, 0, True, True, True, 0, 0)
    return walk_long(regs, read, va, 5 if kind == "5level" else 4)


def pkey_of(regs, page):
    return field(page.entry, 62, 59) if regs.efer & LMA else 0


def error_base(regs, access, cpl):
    """4.7: W/R, U/S and I/D of the access."""
    error = 2 if access == "w" else 0
    error |= 4 if cpl == 3 else 0
    can_deny_fetch = regs.cr4 & SMEP or (regs.cr4 & PAE and regs.efer & NXE)
    if access == "x" and can_deny_fetch:
        error |= 16
    return error


def is_denied_by_key(regs, page, access, cpl):
    """4.6.2."""
    if not (regs.cr4 & PKE and regs.efer & LMA) or not page.u or access == "x":
        return False
    rights = regs.pkru >> 2 * pkey_of(regs, page) & 3
    if rights & 1:
        return True
    return access == "w" and bool(rights & 2) and (cpl == 3 or bool(regs.cr0 & WP))


def is_allowed(regs, page, access, cpl, ac):
    """4.6.1."""
    if cpl == 3:
        return page.u and {"r": True, "w": page.w, "x": page.x}[access]
    if access == "x":
        return page.x and not (page.u and regs.cr4 & SMEP)
    if page.u and regs.cr4 & SMAP and not ac:
        return False
    return access == "r" or page.w or not regs.cr0 & WP


def probe(regs, read, va, access, cpl, ac):
    """None, or (vector, error code) of the fault."""
    def ones(address, length):
        data = read(address, length)
        return b"\xff" * length if data is None else data
    try:
        page = walk(regs, ones, va)
    except Fault as fault:
        if fault.kind == "noncanon":
            return 13, 0
        return 14, error_base(regs, access, cpl) | (9 if fault.kind == "reserved" else 0)
    if mode(regs) == "none":
        return None
    by_key = is_denied_by_key(regs, page, access, cpl)
    if not by_key and is_allowed(regs, page, access, cpl, ac):
        return None
    return 14, error_base(regs, access, cpl) | 1 | (32 if by_key else 0)


def boundaries(regs):
    """(level, shift, entries, bytes of one) of each level, root first."""
    return {"32bit": ((2, 22, 1024, 4), (1, 12, 1024, 4)),
            "pae": ((3, 30, 4, 8), (2, 21, 512, 8), (1, 12, 512, 8)),
            "4level": tuple((n, 3 + 9 * n, 512, 8) for n in (4, 3, 2, 1)),
            "5level": tuple((n, 3 + 9 * n, 512, 8) for n in (5, 4, 3, 2, 1))}[mode(regs)]


def table_at(regs, read, depth, address):
    """The entries of a table as numbers; none where there is no memory."""
    _level, _shift, entries, size = boundaries(regs)[depth]
    if depth == 0 and regs.pdpte and mode(regs) == "pae":
        return regs.pdpte
    data = read(address, entries * size)
    return struct.unpack("<%d%s" % (entries, "I" if size == 4 else "Q"), data) if data else ()


def pages(regs, read, limit):
    """Every page that is mapped, in order of addresses, at most @limit.  Whatever an entry that is
    present may mean, the walk of an address behind it decides."""
    levels = boundaries(regs)
    width = {"4level": 48, "5level": 57}.get(mode(regs))
    found = []

    def extend(va):
        if width and va >> (width - 1) & 1:
            return va | mask(63, width)
        return va

    def visit(depth, base, address):
        level, shift, _entries, _size = levels[depth]
        for index, entry in enumerate(table_at(regs, read, depth, address)):
            if len(found) >= limit:
                return
            if not entry & 1:
                continue
            below = base + (index << shift)
            try:
                page = walk(regs, read, extend(below))
            except Fault as fault:
                if fault.level < level:
                    visit(depth + 1, below, entry & mask(51, 12))
                continue
            if page.size == 1 << shift:
                found.append(page)
            else:
                visit(depth + 1, below, entry & mask(51, 12))

    visit(0, 0, regs.cr3 & (mask(31, 5) if mode(regs) == "pae" else mask(51, 12)))
    return found


def ranges(found):
    """Pages that follow each other in both memories and are alike, as one: (gva, gpa, length, page
    size, u, w, x, pages)."""
    merged = []
    for page in found:
        alike = (page.size, page.u, page.w, page.x)
        if merged:
            gva, gpa, length, last, count = merged[-1]
            if last == alike and gva + length == page.gva and gpa + length == page.gpa:
                merged[-1] = (gva, gpa, length + page.size, last, count + 1)
                continue
        merged.append((page.gva, page.gpa, page.size, alike, 1))
    return merged
