/* See theirs.h. */
#include "theirs.h"

#include "wiring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_BYTES   64u
#define LIMIT_MS     60000
#define FD_IMAGE     3
#define OUTPUT_BYTES (RESULT_BYTES * SEQ_OPS_MAX)

extern char **environ;

/* The command line. */

static const char *const fixed[] = {
	THEIRS_PROGRAM,
	"-M",
	"isapc",
	"-accel",
	"tcg",
	"-m",
	"1",
	"-nodefaults",
	"-no-user-config",
	"-display",
	"none",
	"-rtc",
	EPOCH_OPTION,
	"-debugcon",
	"stdio",
	"-device",
	"isa-debug-exit,iobase=0xf4,iosize=1",
};

#define FIXED_COUNT (sizeof(fixed) / sizeof(fixed[0]))

struct command {
	unsigned count;
	const char *arg[FIXED_COUNT + 4 + 4 * UART_COUNT + 1];
	char clock[TEXT_BYTES];
	char chardev[UART_COUNT][TEXT_BYTES];
	char uart[UART_COUNT][TEXT_BYTES];
};

static void add_option(struct command *c, const char *name, const char *value)
{
	c->arg[c->count++] = name;
	c->arg[c->count++] = value;
}

static void command_make(struct command *c, const char *path, const struct sequence *s)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->arg, fixed, sizeof(fixed));
	c->count = FIXED_COUNT;
	add_option(c, "-bios", path);
	snprintf(c->clock, TEXT_BYTES, "shift=%u,sleep=off", s->pace.shift);
	add_option(c, "-icount", c->clock);
	for (unsigned i = 0; i < UART_COUNT; i++) {
		const struct uart_place *place = &uart_place[i];

		snprintf(c->chardev[i], TEXT_BYTES, "null,id=none%u", i);
		add_option(c, "-chardev", c->chardev[i]);
		snprintf(c->uart[i], TEXT_BYTES,
			 "isa-serial,index=0,iobase=%#x,irq=%u,chardev=none%u", place->base,
			 place->irq, i);
		add_option(c, "-device", c->uart[i]);
	}
}

void theirs_print_command(const char *path, const struct sequence *s)
{
	struct command c;

	command_make(&c, path, s);
	printf("#");
	for (unsigned i = 0; c.arg[i]; i++)
		printf(" %s", c.arg[i]);
	printf("\n");
}

/* Starting. */

/* A start with @output as its standard output, @image_fd as FD_IMAGE, and no input. */
static bool start(pid_t *out_pid, const char *const *arg, int output, int image_fd)
{
	posix_spawn_file_actions_t actions;
	int error;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (image_fd >= 0)
		posix_spawn_file_actions_adddup2(&actions, image_fd, FD_IMAGE);
	/* posix_spawn(3) takes the arguments as main() gets them, and changes none. */
	error = posix_spawnp(out_pid, arg[0], &actions, NULL, (char *const *)(uintptr_t)arg,
			     environ);
	posix_spawn_file_actions_destroy(&actions);
	return error == 0;
}

/* Up to @size bytes until its end, or for LIMIT_MS; how many, or -1. */
static ssize_t read_all(int fd, void *data, size_t size)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t len = 0;
	ssize_t got = 1;

	while (got > 0 && len < size) {
		if (poll(&p, 1, LIMIT_MS) <= 0)
			return -1;
		got = read(fd, (uint8_t *)data + len, size - len);
		len += got > 0 ? (size_t)got : 0;
	}
	return (ssize_t)len;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const char *theirs_missing(void)
{
	static const char *const arg[] = {THEIRS_PROGRAM, "--version", NULL};
	char text[256] = "";
	int ends[2];
	pid_t pid;
	bool is_started;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return "no pipe";
	is_started = start(&pid, arg, ends[1], -1);
	close(ends[1]);
	if (is_started) {
		read_all(ends[0], text, sizeof(text) - 1);
		wait_for(pid);
	}
	close(ends[0]);
	if (!is_started)
		return THEIRS_PROGRAM " is not installed (Debian package qemu-system-x86)";
	return strstr(text, "version " THEIRS_VERSION ".") ? NULL : "QEMU is not " THEIRS_VERSION;
}

/* Its file is the child's descriptor FD_IMAGE; it must be another here, or it would be closed. */
static int image_file(const struct image *image)
{
	int fd = memfd_create("image", MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (write(fd, image->byte, IMAGE_BYTES) != (ssize_t)IMAGE_BYTES) {
		close(fd);
		return -1;
	}
	return fd;
}

bool theirs_start(struct theirs *t, const struct image *image, const struct sequence *s)
{
	struct command c;
	int ends[2];
	bool is_started;

	command_make(&c, "/proc/self/fd/3", s);
	t->image = image_file(image);
	if (t->image < 0 || pipe2(ends, O_CLOEXEC) < 0) {
		printf("# no file for the image, or no pipe\n");
		return false;
	}
	is_started = start(&t->pid, c.arg, ends[1], t->image);
	close(ends[1]);
	t->output = ends[0];
	if (!is_started)
		printf("# %s cannot be started\n", THEIRS_PROGRAM);
	return is_started;
}

bool theirs_finish(struct theirs *t, const struct sequence *s, struct results *out)
{
	static const struct results none;
	uint8_t byte[OUTPUT_BYTES];
	ssize_t len = read_all(t->output, byte, sizeof(byte));
	size_t at = 0;
	int status;

	if (len < 0)
		kill(t->pid, SIGKILL);
	close(t->output);
	close(t->image);
	status = wait_for(t->pid);
	*out = none;
	for (unsigned i = 0; i < s->count; i++) {
		if (!op_has_result(&s->op[i]))
			continue;
		if ((ssize_t)(at + RESULT_BYTES) <= len)
			out->value[i] = (uint16_t)(byte[at] | byte[at + 1] << 8);
		at += RESULT_BYTES;
	}
	if (status == EXIT_STATUS && len == (ssize_t)at)
		return true;
	printf("# QEMU ended with status %d after %zd of %zu bytes of results\n", status, len, at);
	return false;
}
