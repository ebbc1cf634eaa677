#!/usr/bin/env python3
"""The handlers of the software CPU are chained by sibling calls, and the hot ones call nothing.

Usage: check-soft-handlers.py OBJECT_DIR CC CPPFLAGS... -- SOURCE...

OBJECT_DIR holds the object of each SOURCE (a.c: a.o), built with optimisation and without SOFT_LOOP.
A handler is a function that returns soft_ret.  In its code
  - no call stands where a jump should: in front of a return.  Where a sibling call is lost, every
    guest instruction uses up host stack;
  - nothing is called but thunks (through a pointer) and CALLABLE, unless the handler need not be
    fast: *_slow (the miss of a memory handler), a wrapper of a plain function, or one of COLD.  A
    call makes the compiler save registers on the way to the next handler.

Prints each finding.  Exit status: 0 clean, 1 findings.
"""
import os
import re
import subprocess
import sys

# Handlers that look for a block, or raise, or work on many bytes, or say that they wait.
COLD = {"op_link_taken", "op_link_behind", "op_jump_miss", "op_gone", "op_raise", "op_yield_turn",
        "cmps", "lods", "movs", "scas", "stos"}
# What costs little beside the operation itself, or does not return.
CALLABLE = {"flags_status", "soft_native_ax", "idiv_fits", "bad_target", "divide_error",
            "soft_raise", "soft_raise_error"}

HANDLER = re.compile(r"\bsoft_ret\s+(\w+)\(const struct insn \*i, struct soft_cpu \*c,[^;{]*\)\s*\{")
PLAIN = re.compile(r"\bvoid\s+(\w+)\(struct soft_cpu \*c, const struct insn \*i\)")
FUNCTION = re.compile(r"^[0-9a-f]+ <([^>]+)>:$")
CALL = re.compile(r"^call\s+(\S.*)$")
SYMBOL = re.compile(r"<(\w+)")
RELOCATION = re.compile(r"R_X86_64_(?:PLT32|PC32)\s+(\w+)")
# What may stand between a call in the place of a jump and the return.
EPILOGUE = re.compile(r"^(add\s+\$0x[0-9a-f]+,%rsp|pop\s|leave)")


def run(*command):
    """The output of @command."""
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def names_in(text):
    """Handlers that preprocessed @text defines, and those of them that need not be fast."""
    handlers = set(HANDLER.findall(text))
    plain = {"op_" + name for name in PLAIN.findall(text)}
    slow = {name for name in handlers if name.endswith("_slow")}
    return handlers, handlers & (plain | slow | COLD)


def code_of(path):
    """The instructions of each function of the object at @path, what the compiler moved out of the
    way included: {name: [instruction, ...]}."""
    code, name = {}, None
    for line in run("objdump", "-dr", "--no-show-raw-insn", path).splitlines():
        start = FUNCTION.match(line)
        relocation = RELOCATION.search(line)
        if start:
            name = start.group(1).split(".")[0]
            code.setdefault(name, [])
        elif relocation and code.get(name):
            # The target of the call in front is known by its relocation only.
            if CALL.match(code[name][-1]):
                code[name][-1] = f"call <{relocation.group(1)}>"
        elif line.count("\t") >= 1:
            code[name].append(line.split("\t", 1)[1])
    return code


def has_lost_jump(code):
    """True when a call in @code is followed by nothing but the return."""
    for at, instruction in enumerate(code):
        if not CALL.match(instruction):
            continue
        behind = at + 1
        while behind < len(code) and EPILOGUE.match(code[behind]):
            behind += 1
        if behind < len(code) and code[behind].startswith("ret"):
            return True
    return False


def named_calls(code):
    """Names of the functions that @code calls other than through pointers."""
    targets = [CALL.match(instruction).group(1) for instruction in code if CALL.match(instruction)]
    return {SYMBOL.search(target).group(1) for target in targets if SYMBOL.search(target)}


def findings(source, path, preprocess):
    """Lines about what is wrong with the handlers of @source in the object at @path."""
    handlers, unhurried = names_in(run(*preprocess, source))
    code = code_of(path)
    for name in sorted(handlers & set(code)):
        extra = named_calls(code[name]) - CALLABLE
        if has_lost_jump(code[name]):
            yield f"{source}: {name} calls what it should jump to"
        elif extra and name not in unhurried:
            yield f"{source}: {name} is hot and calls {', '.join(sorted(extra))}"


def main():
    """See the head of this file."""
    if "--" not in sys.argv or len(sys.argv) < 5:
        sys.exit(__doc__)
    split = sys.argv.index("--")
    directory, compiler, flags = sys.argv[1], sys.argv[2], sys.argv[3:split]
    bad = False
    for source in sys.argv[split + 1:]:
        path = os.path.join(directory, os.path.basename(source)[:-2] + ".o")
        for line in findings(source, path, [compiler, "-E", "-P", *flags]):
            print(line)
            bad = True
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
