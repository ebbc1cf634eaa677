/* Opening and closing the host's end of a character back end: the forms of a specification, and
 * stdio, files and pseudo terminals.  What flows through them is none of this file's business. */
#include "chardev_internal.h"
#include "umbra/nearest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPEC_FORMS                                                                                 \
	"stdio, null, none, file:PATH, pty, unix:PATH[,server=on|off] or "                         \
	"tcp:HOST:PORT[,server=on|off]"

const char *chardev_kind_name(enum chardev_kind kind)
{
	static const char *const names[CHARDEV_KIND_COUNT] = {
		[CHARDEV_NULL] = "null", [CHARDEV_STDIO] = "stdio", [CHARDEV_FILE] = "file",
		[CHARDEV_PTY] = "pty",	 [CHARDEV_UNIX] = "unix",   [CHARDEV_TCP] = "tcp",
	};

	return names[kind];
}

static int in_alloc(struct chardev *c, struct umbra_err *err)
{
	c->in = malloc(CHARDEV_IN_MAX_BYTES);
	if (!c->in)
		return umbra_err_set(err, ENOMEM, "no memory for input from %s",
				     chardev_kind_name(c->kind));
	return 0;
}

/* Stdio. */

/* Characters one by one and unechoed, as a serial line gives them.  ISIG stays, so that Ctrl-C
 * still ends umbra; so does OPOST, for our own messages on the same terminal. */
static void tty_make_raw(struct chardev *c, int fd)
{
	struct termios tty;

	if (tcgetattr(fd, &tty) != 0)
		return;
	c->tty_before = tty;
	tty.c_iflag &=
		~(tcflag_t)(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	tty.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ECHONL | IEXTEN);
	tty.c_cc[VMIN] = 1;
	tty.c_cc[VTIME] = 0;
	c->is_tty_changed = tcsetattr(fd, TCSANOW, &tty) == 0;
}

/* Standard input, or -1.  A background job may neither read nor set its terminal: it would be
 * stopped by SIGTTIN or SIGTTOU (termios(3)). */
static int stdio_input(struct chardev *c)
{
	if (fcntl(STDIN_FILENO, F_GETFL) < 0)
		return -1;
	if (!isatty(STDIN_FILENO))
		return STDIN_FILENO;
	if (tcgetpgrp(STDIN_FILENO) != getpgrp())
		return -1;
	tty_make_raw(c, STDIN_FILENO);
	return STDIN_FILENO;
}

/* A descriptor for standard output that never blocks, -1 when there is no standard output.
 * A terminal that polls writable may still block in the middle of a longer write, since it promises
 * room for one character only.  So terminals and pipes are opened anew: O_NONBLOCK on that is ours
 * alone.  Where the host refuses (another user's terminal), what a poll promises has to do. */
static int stdio_output(struct chardev *c)
{
	struct stat st;
	int fd;

	if (fstat(STDOUT_FILENO, &st) != 0)
		return -1;
	if (S_ISCHR(st.st_mode) || S_ISFIFO(st.st_mode)) {
		fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		if (S_ISCHR(st.st_mode))
			c->out_chunk = 1;
	}
	return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
}

static int stdio_open(struct chardev *c, const char *target, struct umbra_err *err)
{
	int rc = in_alloc(c, err);
	int out_fd;

	(void)target;
	if (rc < 0)
		return rc;
	out_fd = stdio_output(c);
	if (out_fd < 0)
		chardev_out_died(c);
	rc = chardev_attach(c, stdio_input(c), out_fd);
	if (rc == 0)
		return 0;
	if (out_fd >= 0)
		close(out_fd);
	if (rc == -EEXIST)
		return umbra_err_set(err, EEXIST,
				     "stdio is in use by another device; give this one null, pty, "
				     "unix:PATH or tcp:HOST:PORT");
	return umbra_err_set(err, -rc, "cannot watch stdio: %s", strerror(-rc));
}

/* File. */

/* O_NONBLOCK is for paths that are no plain file: a named pipe without a reader fails instead of
 * holding up the start. */
static int file_open(struct chardev *c, const char *path, struct umbra_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644);
	int rc;

	if (fd < 0)
		return umbra_err_set(err, errno, "cannot open %s for writing: %s", path,
				     strerror(errno));
	rc = chardev_attach(c, -1, fd);
	if (rc == 0)
		return 0;
	close(fd);
	return umbra_err_set(err, -rc, "cannot watch %s: %s", path, strerror(-rc));
}

/* Pseudo terminal. */

/* The terminal end is kept open here too: without any opener the kernel would report a hang-up on
 * our end all the time, and we would have to poll for the next opener (pty(7), EIO). */
static int pty_hold(struct chardev *c, int fd)
{
	char name[64];
	struct termios tty;

	if (grantpt(fd) != 0 || unlockpt(fd) != 0 || ptsname_r(fd, name, sizeof(name)) != 0)
		return -errno;
	c->held_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (c->held_fd < 0 || tcgetattr(c->held_fd, &tty) != 0)
		return -errno;
	/* Or the terminal would echo the guest's output back to it as input. */
	cfmakeraw(&tty);
	if (tcsetattr(c->held_fd, TCSANOW, &tty) != 0)
		return -errno;
	c->address = strdup(name);
	return c->address ? 0 : -ENOMEM;
}

static int pty_open(struct chardev *c, const char *target, struct umbra_err *err)
{
	int rc = in_alloc(c, err);
	int fd;

	(void)target;
	if (rc < 0)
		return rc;
	fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return umbra_err_set(err, errno, "cannot get a pseudo terminal: %s",
				     strerror(errno));
	rc = pty_hold(c, fd);
	if (rc == 0)
		rc = chardev_attach(c, fd, fd);
	if (rc == 0)
		return 0;
	close(fd);
	return umbra_err_set(err, -rc, "cannot set up a pseudo terminal: %s", strerror(-rc));
}

/* Specifications. */

static int null_open(struct chardev *c, const char *target, struct umbra_err *err)
{
	(void)c;
	(void)target;
	(void)err;
	return 0;
}

struct chardev_form {
	const char *word;
	bool has_target; /* ":..." must follow */
	bool has_server; /* ",server=on|off" may follow */
	enum chardev_kind kind;
	int (*open)(struct chardev *c, const char *target, struct umbra_err *err);
};

static const struct chardev_form forms[] = {
	{"stdio", false, false, CHARDEV_STDIO, stdio_open},
	{"null", false, false, CHARDEV_NULL, null_open},
	{"none", false, false, CHARDEV_NULL, null_open},
	{"file", true, false, CHARDEV_FILE, file_open},
	{"pty", false, false, CHARDEV_PTY, pty_open},
	{"unix", true, true, CHARDEV_UNIX, chardev_socket_open},
	{"tcp", true, true, CHARDEV_TCP, chardev_socket_open},
};

static const struct chardev_form *form_find(const char *word)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(forms); i++) {
		if (strcmp(forms[i].word, word) == 0)
			return &forms[i];
	}
	return NULL;
}

static int form_unknown(const char *spec, const char *word, struct umbra_err *err)
{
	const char *words[UMBRA_ARRAY_SIZE(forms)];
	const char *near;
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(forms); i++)
		words[i] = forms[i].word;
	near = nearest_word(word, words, UMBRA_ARRAY_SIZE(forms));
	return umbra_err_set(err, EINVAL, "%s: unknown character back end%s%s%s; use " SPEC_FORMS,
			     spec, near ? " (did you mean " : "", near ? near : "",
			     near ? "?)" : "");
}

/* Cut ",server=on|off" off @target. */
static int server_option(struct chardev *c, char *target, struct umbra_err *err)
{
	char *comma = strrchr(target, ',');

	c->is_server = true;
	if (!comma)
		return 0;
	if (strcmp(comma, ",server=off") == 0)
		c->is_server = false;
	else if (strcmp(comma, ",server=on") != 0)
		return umbra_err_set(err, EINVAL,
				     "%s: unknown option %s; use server=on or server=off", target,
				     comma + 1);
	*comma = '\0';
	return 0;
}

/* @spec is split in place at its first colon. */
static int open_split(struct chardev *c, char *copy, const char *spec, struct umbra_err *err)
{
	char *colon = strchr(copy, ':');
	char *target = colon ? colon + 1 : copy + strlen(copy);
	const struct chardev_form *form;
	int rc = 0;

	if (colon)
		*colon = '\0';
	form = form_find(copy);
	if (!form)
		return form_unknown(spec, copy, err);
	if (form->has_target != (*target != '\0'))
		return umbra_err_set(err, EINVAL, "%s: %s; use " SPEC_FORMS, spec,
				     form->has_target ? "nothing follows the colon"
						      : "takes nothing after its name");
	c->kind = form->kind;
	if (form->has_server)
		rc = server_option(c, target, err);
	if (rc == 0 && form->kind == CHARDEV_FILE) {
		c->address = strdup(target);
		if (!c->address)
			rc = umbra_err_set(err, ENOMEM, "no memory for the path %s", target);
	}
	return rc < 0 ? rc : form->open(c, target, err);
}

int chardev_host_open(struct chardev *c, const char *spec, struct umbra_err *err)
{
	char *copy = strdup(spec);
	int rc;

	if (!copy)
		return umbra_err_set(err, ENOMEM, "no memory for the character back end %s", spec);
	rc = open_split(c, copy, spec, err);
	free(copy);
	return rc;
}

/* Standard input is not ours to close; every other descriptor is. */
void chardev_host_close(struct chardev *c)
{
	int in_fd = c->in_fd;
	int out_fd = c->out_fd;

	chardev_detach(c);
	chardev_socket_close(c);
	if (c->is_tty_changed)
		tcsetattr(STDIN_FILENO, TCSANOW, &c->tty_before);
	c->is_tty_changed = false;
	if (in_fd >= 0 && in_fd != out_fd && c->kind != CHARDEV_STDIO)
		close(in_fd);
	if (out_fd >= 0)
		close(out_fd);
	if (c->held_fd >= 0)
		close(c->held_fd);
	c->held_fd = -1;
}
