/* Unit tests of the character back ends: what must stay bounded and never block, standard input
 * and output, terminals, and a UART at the other end. */
#include "chardev_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

TestSuite(chardev_flow, .init = rig_set_up, .fini = rig_tear_down);

/* Floods. */

/* Write the pattern from number @from on until the socket takes no more. */
static size_t flood(int fd, size_t from)
{
	uint8_t bytes[1000];
	size_t sent = 0;
	ssize_t n = 0;

	for (; n >= 0; sent += (size_t)n) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = PATTERN(from + sent + i);
		n = write(fd, bytes, sizeof(bytes));
		if (n < 0)
			break;
	}
	return sent;
}

Test(chardev_flow, rx_when_device_takes_nothing_then_bounded_idle_and_nothing_lost)
{
	struct taker t = {.room = 0, .is_pattern = true};
	size_t first, sent, more;
	int fd;

	open_at_path("unix:", "");
	chardev_set_input(rig.chardev, take, &t);
	fd = connect_unix();
	first = flood(fd, 0);
	sent = first;
	do {
		turns(3);
		more = flood(fd, sent);
		sent += more;
	} while (more > 0);
	/* The kernel holds what it held before the loop ran; the rest is ours. */
	cr_assert_leq(sent - first, IN_MAX + 1000);
	cr_assert_geq(sent - first, IN_MAX / 2);
	expect_idle();
	while (t.taken < sent) {
		size_t before = t.taken;

		t.room = 10000;
		chardev_input_wanted(rig.chardev);
		WAIT_FOR(t.taken > before);
	}
	cr_assert_eq(t.taken, sent);
}

/* Standard output is a pipe that nobody reads. */
static int stdout_to_pipe(void)
{
	int fds[2];

	cr_assert_eq(pipe(fds), 0);
	cr_assert_eq(dup2(fds[1], STDOUT_FILENO), STDOUT_FILENO);
	close(fds[1]);
	dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
	return fds[0];
}

Test(chardev_flow, stdout_when_blocked_then_put_never_waits_and_loss_is_counted)
{
	const size_t total = 3u << 20;
	int fd = stdout_to_pipe();
	size_t capacity = (size_t)fcntl(fd, F_GETPIPE_SZ);
	unsigned long long dropped = 0;
	uint8_t bytes[4096];
	size_t got = 0;

	open_spec("stdio");
	put_pattern(capacity);
	turns(3);
	for (size_t i = capacity; i < total; i++)
		chardev_put(rig.chardev, PATTERN(i));
	cr_assert_not_null(strstr(shown(), "1048576 bytes queued"), "%s", shown());
	cr_assert_eq(sscanf(shown(), "stdio, %*u bytes queued, %llu", &dropped), 1);
	cr_assert_eq(dropped, total - capacity - OUT_MAX);
	expect_idle();
	/* The description that others share is as it was. */
	cr_assert_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0);
	while (got < capacity + OUT_MAX) {
		ssize_t n = is_readable(fd) ? read(fd, bytes, sizeof(bytes)) : 0;

		cr_assert_geq(n, 0);
		for (ssize_t i = 0; i < n; i++, got++)
			cr_assert_eq(bytes[i], PATTERN(got));
		if (n == 0)
			turn();
	}
	cr_assert_null(strstr(shown(), "queued"), "%s", shown());
}

/* Closing waits for the host a little, not for ever. */
Test(chardev_flow, close_when_host_is_stuck_then_gives_up, .timeout = 5)
{
	stdout_to_pipe();
	open_spec("stdio");
	put_pattern(500000);
	close_chardev();
}

Test(chardev_flow, stdout_when_reader_is_gone_then_dropped_and_idle)
{
	int fd = stdout_to_pipe();

	open_spec("stdio");
	close(fd);
	put_pattern(300);
	WAIT_FOR(strstr(shown(), "300 bytes dropped"));
	put_pattern(3);
	WAIT_FOR(strstr(shown(), "303 bytes dropped"));
	expect_idle();
}

/* Stdin. */

Test(chardev_flow, stdin_when_at_its_end_then_idle_and_output_goes_on)
{
	struct taker t = {.room = 100};
	int fd = stdout_to_pipe();

	open_spec("stdio");
	chardev_set_input(rig.chardev, take, &t);
	turns(2);
	expect_idle();
	put_text("out");
	expect_text(fd, "out");
	cr_assert_eq(t.taken, 0);
}

Test(chardev_flow, stdin_when_plain_file_then_delivered_as_wanted)
{
	struct taker t = {.room = 0, .is_pattern = true};
	FILE *file = fopen(rig.path, "w+");

	for (size_t i = 0; i < 200000; i++)
		fputc(PATTERN(i), file);
	fflush(file);
	lseek(fileno(file), 0, SEEK_SET);
	stdout_to_pipe();
	dup2(fileno(file), STDIN_FILENO);
	open_spec("stdio");
	chardev_set_input(rig.chardev, take, &t);
	turns(5);
	expect_idle();
	while (t.taken < 200000) {
		size_t before = t.taken;

		t.room = 16000;
		chardev_input_wanted(rig.chardev);
		WAIT_FOR(t.taken > before);
	}
	turns(2);
	cr_assert_eq(t.taken, 200000);
	expect_idle();
	fclose(file);
}

Test(chardev_flow, stdio_when_opened_twice_then_second_is_refused)
{
	struct umbra_err err = {.text = ""};
	struct chardev *second;

	stdout_to_pipe();
	open_spec("stdio");
	cr_assert_eq(chardev_open(&second, "stdio", 1, rig.loop, rig.gate, &err), -EEXIST);
	cr_assert_not_null(strstr(err.text, "in use"), "%s", err.text);
	put_text("first still works");
	turns(2);
	cr_assert_str_eq(shown(), "stdio");
}

/* Terminals. */

/* In a process that has @master's terminal: which step went wrong, 0 for none. */
static int raw_steps(int master)
{
	struct termios before, during, after;
	int tty;

	if (setsid() < 0)
		return 1;
	tty = open(ptsname(master), O_RDWR);
	if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) != 0 || dup2(tty, STDIN_FILENO) != STDIN_FILENO)
		return 2;
	tcgetattr(tty, &before);
	if (!(before.c_lflag & ICANON))
		return 3;
	open_spec("stdio");
	tcgetattr(tty, &during);
	if (during.c_lflag & (ICANON | ECHO) || during.c_iflag & ICRNL)
		return 4;
	if (!(during.c_lflag & ISIG) || !(during.c_oflag & OPOST))
		return 5;
	close_chardev();
	tcgetattr(tty, &after);
	return after.c_lflag == before.c_lflag && after.c_iflag == before.c_iflag ? 0 : 6;
}

/* A terminal counts only for a session of its own, which a child can have. */
Test(chardev_flow, tty_when_stdin_then_raw_with_signals_and_restored_at_close)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	int status = -1;
	pid_t child;

	cr_assert_eq(grantpt(master) | unlockpt(master), 0);
	stdout_to_pipe();
	child = fork();
	if (child == 0)
		_exit(raw_steps(master));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status));
	cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
}

/* A job in the background would be stopped if it touched its terminal; not our session counts as
 * that too. */
Test(chardev_flow, tty_when_not_in_the_foreground_then_left_alone)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	struct termios tty;

	cr_assert_eq(grantpt(master) | unlockpt(master), 0);
	stdout_to_pipe();
	dup2(open(ptsname(master), O_RDWR | O_NOCTTY), STDIN_FILENO);
	open_spec("stdio");
	tcgetattr(STDIN_FILENO, &tty);
	cr_assert_neq(tty.c_lflag & ICANON, 0);
	expect_idle();
}

/* A terminal whose reader does not read: the case in which a poll promises too much. */
Test(chardev_flow, tty_when_stdout_and_nobody_reads_then_never_blocks)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	cr_assert_eq(grantpt(master) | unlockpt(master), 0);
	stdout_to_pipe();
	dup2(open(ptsname(master), O_RDWR | O_NOCTTY), STDOUT_FILENO);
	open_spec("stdio");
	for (unsigned i = 0; i < 60000; i++)
		put_text("line\n");
	turns(5);
	cr_assert_not_null(strstr(shown(), "queued"), "%s", shown());
	expect_idle();
}

/* In a process whose standard output is a terminal that it may not open again. */
static int unopenable_steps(int master)
{
	char before[128];
	int tty;

	signal(SIGHUP, SIG_IGN);
	if (setsid() < 0)
		return 1;
	tty = open(ptsname(master), O_RDWR);
	if (tty < 0 || ioctl(tty, TIOCSCTTY, 0) != 0)
		return 2;
	if (dup2(open("/dev/tty", O_RDWR), STDOUT_FILENO) != STDOUT_FILENO)
		return 3;
	if (ioctl(tty, TIOCNOTTY) != 0 || open("/proc/self/fd/1", O_WRONLY) >= 0)
		return 4;
	open_spec("stdio");
	for (unsigned i = 0; i < 60000; i++)
		put_text("line\n");
	do {
		snprintf(before, sizeof(before), "%s", shown());
		turns(5);
	} while (strcmp(before, shown()) != 0);
	return strstr(before, "queued") ? 0 : 5;
}

Test(chardev_flow, tty_when_it_cannot_be_opened_again_then_still_never_blocks)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	int status = -1;
	pid_t child;

	cr_assert_eq(grantpt(master) | unlockpt(master), 0);
	stdout_to_pipe();
	child = fork();
	if (child == 0) {
		alarm(8); /* ends the child if it blocks */
		_exit(unopenable_steps(master));
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert(WIFEXITED(status), "it blocked");
	cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
}

Test(chardev_flow, pty_when_opened_and_left_by_others_then_flows_and_never_spins)
{
	struct taker t = {.room = 100};
	const char *name;

	open_spec("pty");
	chardev_set_input(rig.chardev, take, &t);
	name = chardev_address(rig.chardev);
	cr_assert_eq(strncmp(name, "/dev/", 5), 0);
	expect_idle();
	for (unsigned i = 0; i < 2; i++) {
		int tty = open(name, O_RDWR | O_NOCTTY);

		put_text("a\nb");
		expect_text(tty, "a\nb");
		cr_assert_eq(write(tty, "key\r", 4), 4);
		WAIT_FOR(t.taken == 4 * (i + 1));
		close(tty);
		expect_idle();
	}
	cr_assert_str_eq(t.text, "key\rkey\r");
}

Test(chardev_flow, pty_when_nobody_reads_then_bounded_and_idle)
{
	open_spec("pty");
	put_pattern(2u << 20);
	turns(5);
	put_pattern(2u << 20);
	cr_assert_not_null(strstr(shown(), "dropped"), "%s", shown());
	expect_idle();
}

/* Together with the UART. */

static void no_line(void *ctx, unsigned gsi, bool is_high)
{
	(void)ctx;
	(void)gsi;
	(void)is_high;
}

static uint8_t in(struct bus *bus, uint16_t port)
{
	uint8_t byte = 0;

	bus_pio(bus, port, false, 1, 1, &byte);
	return byte;
}

/* A guest that polls gets every byte in order and sees no overrun, with FIFOs and without. */
Test(chardev_flow, uart_when_host_sends_much_then_guest_reads_all_without_overrun)
{
	struct irq_line irq = {.set = no_line, .gsi = 4};
	struct bus *bus;
	size_t got = 0;
	int fd;

	cr_assert_eq(bus_create(&bus, NULL), 0);
	open_at_path("unix:", "");
	cr_assert_eq(uart16550_create(bus, "serial0", 0x3f8, irq, rig.chardev, NULL), 0);
	fd = connect_unix();
	for (unsigned fcr = 0; fcr < 2; fcr++) {
		uint8_t bytes[500];

		bus_pio(bus, 0x3fa, true, 1, 1, &(uint8_t){(uint8_t)fcr});
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = PATTERN(got + i);
		cr_assert_eq(write(fd, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
		while (got < sizeof(bytes) * (fcr + 1)) {
			uint8_t lsr = in(bus, 0x3fd);

			cr_assert_eq(lsr & 0x9e, 0, "line status %#x", lsr);
			if (!(lsr & 1)) {
				turn();
				continue;
			}
			cr_assert_eq(in(bus, 0x3f8), PATTERN(got));
			got++;
		}
	}
	bus_pio(bus, 0x3f8, true, 1, 2, (uint8_t[]){'o', 'k'});
	expect_text(fd, "ok");
	bus_destroy(bus);
	/* The back end has outlived its device. */
	cr_assert_eq(write(fd, "x", 1), 1);
	turns(2);
}
