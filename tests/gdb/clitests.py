"""umbra as a process among others: what scripts that start it rely on."""

import os
import subprocess

from vm import ACCEL, GUESTS, UMBRA, Failure, Umbra

ADD16 = [UMBRA, "-accel", ACCEL, "-kernel", os.path.join(GUESTS, "add16.bin"), "--mode", "real", "-gdb", "none",
         "--reg", "rax=2", "--reg", "rbx=2", "--on-halt", "exit:0"]


def close_standard_descriptors():
    for fd in (0, 1, 2):
        os.close(fd)


def closed_descriptors(_transcript):
    """With stdin, stdout and stderr closed, no file that umbra opens takes their place."""
    status = subprocess.run(ADD16, preexec_fn=close_standard_descriptors, timeout=60,
                            check=False).returncode
    if status != 0:
        raise Failure("exit status %d" % status)


def stdout_is_the_uart(_transcript):
    """stdout carries what the guest prints and nothing else."""
    done = subprocess.run(ADD16, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          check=False)
    if done.stdout != b"4\n" or done.returncode != 0:
        raise Failure("status %d, stdout %r" % (done.returncode, done.stdout))


def shadow_is_true_under_guests(_transcript):
    """Guests that work their page tables, with every invariant of the shadow MMU checked at each
    change."""
    for guest in ("paging", "smp2", "faults", "hello64", "hello32"):
        with Umbra(guest, extra=["-accel", "soft", "--paranoid"], gdb=None) as umbra:
            status = umbra.wait_exit()
            text = umbra.stderr.text()
            if status != int(umbra.config["exit"]) or "verify bad" in text or "broke" in text:
                raise Failure("%s: status %d, stderr:\n%s" % (guest, status, text))


TESTS = [
    (closed_descriptors, ""),
    (shadow_is_true_under_guests, ""),
    (stdout_is_the_uart, ""),
]
