"""umbra as a process among others: what scripts that start it rely on."""

import os
import subprocess

from vm import ACCEL, GUESTS, UMBRA, Failure

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


TESTS = [
    (closed_descriptors, ""),
    (stdout_is_the_uart, ""),
]
