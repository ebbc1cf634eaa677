"""Debian's kernel under a real gdb: from its first instruction to user space, and back to power-off.

Each test is a function of the transcript list; TESTS and LONG_TESTS at the end name them all with the
host flags that they need.
"""

import os
import re

import linuxguest
from gdbdriver import Gdb
from vm import Failure, Skip

TRIES = 50
REGS_CS = 136  # in struct pt_regs (Linux 6.1, arch/x86/include/asm/ptrace.h)


def require(is_so, text):
    if not is_so:
        raise Failure(text)


class Session:
    """A gdb on a Linux guest, with the symbols of @symbols, or those of the file @path."""

    def __init__(self, umbra, symbols, transcript, path=None):
        self.umbra = umbra
        self.transcript = transcript
        self.gdb = Gdb()
        if not path:
            path = os.path.join(umbra.scratch, "kernel.elf")
            linuxguest.write_elf(path, symbols)
        self.run("file " + path)
        self.run("source guests/umbra-linux.py")
        self.run("target remote " + umbra.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.gdb.end()
        self.transcript.append("--- UART:\n" + self.umbra.uart.text())
        self.transcript.append("--- stderr:\n" + self.umbra.stderr.text())

    def run(self, command, pattern=""):
        self.transcript.append("> " + command)
        answer = self.gdb.command(command)
        self.transcript.append(answer.rstrip("\n"))
        if not re.search(pattern, answer, re.M):
            raise Failure("%s: the answer does not match /%s/:\n%s" % (command, pattern, answer))
        return answer

    def value(self, expression):
        return int(self.run("output/x " + expression), 16)


def picture(session, cpus):
    """All that two runs must have in common: instructions, memory, registers."""
    lines = [session.run("monitor hash", "^memory ")]
    lines += re.findall(r"\d+ instructions", session.run("monitor accel"))
    for cpu in range(cpus):
        lines.append(session.run("monitor info regs %d" % cpu, "rip"))
    return lines


def look_around(session, cpus):
    """A session as a person would have it, which must leave no trace in the guest."""
    session.run("hbreak start_kernel", "Hardware assisted breakpoint 1")
    session.run("continue", "Breakpoint 1, .*start_kernel")
    session.run("monitor info cpus", r"^\* +0 +active +long64")
    session.run("stepi")
    session.run("delete")
    session.run("break rest_init", "Breakpoint 2")
    session.run("continue", "Breakpoint 2, .*rest_init")
    session.run("delete")
    # Of the last processor's own tables there are none yet.
    session.run("thread %d" % cpus)
    session.run("monitor kaslr", "slide 0x0$")
    session.run("thread 1")
    session.run("watch *(int *)&system_state", "Hardware watchpoint 3")
    session.run("continue", r"Old value = 0\n+New value = 1")
    session.run("delete")
    session.run("break __x64_sys_execve")
    session.run("continue", "Breakpoint 4, .*__x64_sys_execve")
    answer = session.run("info threads", 'cpu 0')
    require(len(re.findall(r'\(cpu \d+, \w', answer)) == cpus, "threads: " + answer)
    for cpu in range(cpus):
        session.run("thread %d" % (cpu + 1))
        before = session.value("$pc")
        session.run("set scheduler-locking on")
        if "halted" not in session.run("monitor info cpus").splitlines()[cpu + 1]:
            session.run("stepi")
            require(session.value("$pc") != before, "cpu %d did not step" % cpu)
        session.run("set scheduler-locking off")
    session.run("delete")


def end_of_run(cpus, transcript, does_look):
    """Run to the guest's end, with a session on the way if @does_look; its last moment."""
    symbols = linuxguest.linked_symbols()
    with linuxguest.boot(cpus, "nokaslr") as umbra, Session(umbra, symbols, transcript) as session:
        if does_look:
            look_around(session, cpus)
        session.run("hbreak __x64_sys_reboot")
        session.run("continue", "Breakpoint .*__x64_sys_reboot")
        bases = set()
        for cpu in range(cpus):
            session.run("thread %d" % (cpu + 1))
            bases.add(session.value("$gs_base"))
        require(len(bases) == cpus or session.value("$cs & 3") == 3, "per-CPU areas: %s" % bases)
        last = picture(session, cpus)
        session.run("delete")
        session.run("continue", r"exited normally|exited with code")
        require(umbra.wait_exit() == 0, "the exit status")
        require("linux: up, %d cpus, clock tsc" % cpus in umbra.uart.text(), "the guest is not up")
        require("reboot: Power down" in umbra.uart.text(), "it was not switched off")
    return last


def debugging_leaves_no_trace(cpus, transcript):
    plain = end_of_run(cpus, transcript, False)
    looked = end_of_run(cpus, transcript, True)
    require(plain == looked, "two runs differ:\n%s\n%s" % ("\n".join(plain), "\n".join(looked)))


def modules_are_libraries(transcript):
    """A module's symbols are there before its first instruction runs, and go with it: a pending
    breakpoint in its init function hits."""
    folder = linuxguest.modules()
    module = os.path.join(folder, "kernel/drivers/net/dummy.ko")
    symbols = linuxguest.linked_symbols()
    with linuxguest.boot(1, "nokaslr guest=module", ["--gdb-modules", folder], module=module) as umbra, \
            Session(umbra, symbols, transcript) as session:
        session.run("set breakpoint pending on")
        session.run("break dummy_init_module", "pending")
        session.run("info sharedlibrary", "^No shared libraries loaded at this time")
        session.run("continue", r"Breakpoint 1\.?\d*, .*init_module \(\) from /.*/dummy\.ko")
        session.run("info sharedlibrary", r"0x[0-9a-f]+ +0x[0-9a-f]+ +Yes .*/drivers/net/dummy\.ko")
        session.run("info symbol $pc", r"^init_module in section \.init\.text of /.*/dummy\.ko")
        session.run("monitor info bp", r"^module +%016x" % symbols["do_init_module"])
        setup = session.value("(long)&dummy_setup")
        session.run("delete")
        session.run("break dummy_dev_uninit")
        session.run("continue", "Breakpoint 2, .*dummy_dev_uninit")
        umbra.wait_uart(r"^%016x \w dummy_setup" % setup)
        session.run("delete")
        session.run("break __x64_sys_reboot")
        session.run("continue", "Breakpoint 3, .*__x64_sys_reboot")
        session.run("info sharedlibrary", "^No shared libraries loaded at this time")
        umbra.wait_uart("module-gone")


def modules_of_a_running_guest(transcript):
    """A gdb that comes later hears of what is loaded with its first stop."""
    folder = linuxguest.modules()
    module = os.path.join(folder, "kernel/drivers/net/dummy.ko")
    symbols = linuxguest.linked_symbols()
    with linuxguest.boot(1, "guest=shell", ["--gdb-modules", folder], module=module,
                         is_held=False) as umbra:
        umbra.wait_uart(r"# ")
        umbra.send_uart(b"insmod /dummy.ko; echo loaded-$((6 * 7))\n")
        umbra.wait_uart("^loaded-42")
        with Session(umbra, symbols, transcript) as session:
            session.run("tbreak sysvec_apic_timer_interrupt")
            session.run("continue", "Temporary breakpoint 1, .*sysvec_apic_timer_interrupt")
            session.run("info sharedlibrary", r"Yes .*/drivers/net/dummy\.ko")
            session.run("tbreak dummy_dev_uninit")
            umbra.send_uart(b"rmmod dummy\n")
            session.run("continue", "Temporary breakpoint 2, .*dummy_dev_uninit")
            session.run("detach")


def tasks_are_listed(transcript):
    """`info os` finds the kernel's types by symbols that it asks gdb for, and says what is missing
    as long as something is."""
    symbols = linuxguest.linked_symbols()
    with linuxguest.boot(2, "nokaslr") as umbra, Session(umbra, symbols, transcript) as session:
        session.run("info os", r"processes +Processes of the guest's Linux")
        session.run("info os processes", r"problem.*\n.*there is no BTF at 0x[0-9a-f]+: ")
        session.run("hbreak __x64_sys_reboot")
        session.run("continue", "Breakpoint .*__x64_sys_reboot")
        answer = session.run("info os processes", r"(?m)^pid +parent +state +command")
        rows = dict(re.findall(r"^(\d+ +\d+) +\w +(\S+)", answer, re.M))
        processes = {tuple(map(int, pid.split())): name for pid, name in rows.items()}
        require(processes.get((1, 0)) == "init", "no init: %s" % processes)
        require(processes.get((2, 0)) == "kthreadd", "no kthreadd: %s" % processes)
        require(any(name.startswith("kworker") and parent == 2
                    for (_, parent), name in processes.items()), "no kworker: %s" % processes)
        threads = session.run("info os threads", r"(?m)^pid +tid +state +command")
        require(len(threads.splitlines()) >= len(answer.splitlines()), "fewer threads than processes")
        require(re.search(r"^\d+ +\d+ +R +\S+", threads, re.M), "none runs: " + threads)
        session.run("info os nonsense", r"Can not fetch data now|annex")
        session.run("delete")
        session.run("symbol-file", "")
        session.run("detach")


def same_run_1_cpu(transcript):
    debugging_leaves_no_trace(1, transcript)


def same_run_2_cpus(transcript):
    debugging_leaves_no_trace(2, transcript)


def find_user_space(session):
    """Ctrl-C, until it comes while the guest's user space runs."""
    for _ in range(TRIES):
        if session.value("$cs & 3") == 3:
            return
        token = session.gdb.start("continue")
        session.gdb.wait("^Continuing")
        session.gdb.interrupt()
        session.gdb.finish(token)
    raise Failure("it was never in user space")


def stop_in_user_space_when(session):
    """A condition on a place in user space, which gdb looks at each time that it is reached."""
    pc = session.value("$pc")
    session.run("set $count = 0")
    session.run("break *0x%x if ++$count >= 20" % pc, "Breakpoint")
    session.run("continue", "Breakpoint")
    require(session.value("$count") == 20, "the condition was looked at another number of times")
    require(session.value("$pc") == pc and session.value("$cs & 3") == 3, "another place")
    session.run("delete")


def look_through_an_interrupt(session):
    """In the timer's interrupt of user space, of which only the kernel's memory tells."""
    session.run("break sysvec_apic_timer_interrupt if *(long *)($rdi + %d) & 3" % REGS_CS)
    session.run("continue", "Breakpoint .*sysvec_apic_timer_interrupt")
    regs = session.value("$rdi")
    at = session.value("*(long *)%d" % (regs + REGS_CS - 8))
    session.run("backtrace", r"^#0 .*sysvec_apic_timer_interrupt \(\)\n"
                             r"#1 .*\n#2 +0x%016x in" % at)
    session.run("frame 2")
    require(session.value("$cs") == 0x33, "the code selector of frame 2")
    require(session.value("$rbx") == session.value("*(long *)%d" % (regs + 40)), "rbx of frame 2")
    session.run("delete")


def shell_and_ctrl_c(transcript):
    """Input reaches a shell; Ctrl-C finds its loop in user space; the guest reboots by itself."""
    symbols = linuxguest.linked_symbols()
    with linuxguest.boot(1, "nokaslr guest=shell", is_held=False) as umbra:
        umbra.wait_uart(r"^linux: up, 1 cpus")
        umbra.send_uart(b"echo answer-$((6 * 7))\n")
        umbra.wait_uart(r"^answer-42")
        umbra.send_uart(b"while :; do :; done\n")
        with Session(umbra, symbols, transcript) as session:
            find_user_space(session)
            session.run("stepi 10")
            find_user_space(session)
            stop_in_user_space_when(session)
            look_through_an_interrupt(session)
            session.run("detach")
        umbra.send_uart(b"\x03")
        umbra.send_uart(b"reboot -f\n")
        require(umbra.wait_exit() == 0, "the exit status")
        require("reboot: machine restart" in umbra.uart.text(), "it did not restart")


def backtrace_from_the_interrupt_stack(transcript):
    """With the kernel's own debugging information: from a timer's function, over the interrupt
    stack and the entry code, to the idle loop and down to the kernel's first line."""
    path = linuxguest.debug_file()
    if not path:
        raise Skip("no file of the kernel's package -dbg")
    with linuxguest.boot(1, "nokaslr guest=shell", is_held=False) as umbra:
        umbra.wait_uart(r"^linux: up")
        umbra.send_uart(b"sleep 1000\n")
        with Session(umbra, None, transcript, path) as session:
            session.run("break tick_sched_timer")
            session.run("continue", "Breakpoint .*tick_sched_timer")
            session.run("backtrace", r"^#0 +tick_sched_timer \([\s\S]*"
                        r"__sysvec_apic_timer_interrupt [\s\S]*asm_sysvec_apic_timer_interrupt [\s\S]*default_idle "
                        r"[\s\S]*rest_init [\s\S]*start_kernel ")
            session.run("kill")


def vmlinux_by_pvh(transcript):
    """The kernel as it was linked, by its PVH entry."""
    path = linuxguest.debug_file()
    if not path:
        raise Skip("no file of the kernel's package -dbg")
    with linuxguest.boot(2, "guest=poweroff", gdb=None, image=path) as umbra:
        status = umbra.wait_exit()
        transcript += ["UART:", umbra.uart.text(), "stderr:", umbra.stderr.text()]
        require(status == 0, "the exit status is %d" % status)
        require("linux: up, 2 cpus" in umbra.uart.text(), "the guest is not up")


def kaslr(transcript):
    """A kernel that chose its own place is found, and its symbols move with it."""
    linked = linuxguest.linked_symbols()
    with linuxguest.boot(1, "guest=shell", is_held=False) as umbra:
        umbra.wait_uart(r"^linux: up")
        real = linuxguest.read_symbols(umbra)
        slide = real["_text"] - linked["_text"]
        require(slide != 0, "the kernel did not move")
        with Session(umbra, linked, transcript) as session:
            session.run("monitor kaslr", "slide 0x%x$" % slide)
            require(session.value("(long)&rest_init") == real["rest_init"], "qOffsets")
            session.run("kill")


def four_cpus_by_the_32_bit_entry(transcript):
    with linuxguest.boot(4, "nokaslr guest=reboot", ["--mode", "prot32"], gdb=None) as umbra:
        status = umbra.wait_exit()
        transcript += ["UART:", umbra.uart.text(), "stderr:", umbra.stderr.text()]
        require(status == 0, "the exit status is %d" % status)
        require("linux: up, 4 cpus" in umbra.uart.text(), "the guest is not up")


def seabios_looks_for_a_disk(transcript):
    """Debian's SeaBIOS sets the machine up as far as it goes without a disk."""
    with linuxguest.firmware() as umbra:
        umbra.wait_exit()
        with open(os.path.join(umbra.scratch, "log"), encoding="latin-1") as file:
            text = file.read()
        transcript.append(text)
        for line in ("Found QEMU fw_cfg", "Found 2 cpu(s)", "ACPI: parse DSDT",
                     "PS2 keyboard initialized", "No bootable device."):
            require(line in text, "SeaBIOS never said: " + line)


def kvm_without_every_mode_is_refused(transcript):
    """On a KVM that emulates, the kernel would die in the middle: umbra says so and does not start."""
    with linuxguest.boot(1, gdb=None) as umbra:
        status = umbra.wait_exit()
        transcript += ["UART:", umbra.uart.text(), "stderr:", umbra.stderr.text()]
        require(status == 2, "the exit status is %d" % status)
        require("this host's KVM cannot run paged32 code" in umbra.stderr.text(), "no reason")


TESTS = [
    (kvm_without_every_mode_is_refused, "!paged32:runs"),
    (shell_and_ctrl_c, "paged32:runs"),
    (backtrace_from_the_interrupt_stack, "paged32:runs"),
    (kaslr, "paged32:runs"),
    (four_cpus_by_the_32_bit_entry, "paged32:runs"),
    (seabios_looks_for_a_disk, "paged32:runs"),
    (tasks_are_listed, "soft:time"),
    (modules_are_libraries, "soft:time"),
    (modules_of_a_running_guest, "soft:time"),
    (same_run_1_cpu, "soft:time"),
    (same_run_2_cpus, "soft:time"),
]
LONG_TESTS = [
    (vmlinux_by_pvh, "paged32:runs"),
]
