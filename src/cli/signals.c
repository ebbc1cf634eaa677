/* Signals. */
#include "signals.h"

#include "exit_status.h"

#include "umbra/types.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int ENDING[] = {SIGINT, SIGTERM, SIGHUP};

static bool is_ignored(int sig)
{
	struct sigaction old;

	return sigaction(sig, NULL, &old) == 0 && old.sa_handler == SIG_IGN;
}

/* A blocked signal is delivered to a signalfd even when it is ignored: those must stay out. */
static void ending_set(sigset_t *set)
{
	size_t i;

	sigemptyset(set);
	for (i = 0; i < UMBRA_ARRAY_SIZE(ENDING); i++) {
		if (!is_ignored(ENDING[i]))
			sigaddset(set, ENDING[i]);
	}
}

int signals_open(bool is_int_ignored, int *out_fd, struct umbra_err *err)
{
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN); /* a reader that went away is an error of write(2) */
	if (is_int_ignored)
		signal(SIGINT, SIG_IGN);
	ending_set(&set);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return umbra_err_set(err, errno, "cannot watch for signals: %s", strerror(errno));
	sigprocmask(SIG_BLOCK, &set, NULL);
	*out_fd = fd;
	return 0;
}

int signals_take(int fd)
{
	struct signalfd_siginfo info;

	return read(fd, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

void signals_close(int fd)
{
	sigset_t set;

	close(fd);
	ending_set(&set);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Bugs. */

static const int BUGS[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

/* Nothing can be trusted here any more, so the handler leaves at once. */
static void die_of_bug(int sig)
{
	char text[] = "umbra: internal error, signal 00: this is a bug in umbra; please report it "
		      "with the command line\n";
	char *digits = strchr(text, '0');
	ssize_t written;

	digits[0] = (char)('0' + sig / 10);
	digits[1] = (char)('0' + sig % 10);
	written = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)written;
	_exit(EXIT_STATUS_BUG);
}

void signals_catch_bugs(void)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(BUGS); i++)
		signal(BUGS[i], die_of_bug);
}

bool signals_die_with_parent(pid_t parent)
{
	/* The parent may have gone between main's start and the prctl: its id is compared again. */
	return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent;
}
