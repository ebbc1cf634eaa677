/* umbra: a headless x86 virtual machine whose user interface is gdb.
 *
 * The composition root: reads the command line, picks the back end, and is the one that exits. */
#include "build.h"
#include "check_host.h"
#include "exit_status.h"
#include "options.h"
#include "run.h"
#include "signals.h"
#include "usage.h"

#include "umbra/accel_kvm.h"
#include "umbra/accel_soft.h"
#include "umbra/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static void to_stdout(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	fwrite(text, 1, len, stdout);
}

/* Text that was asked for must have arrived, or a script goes on with half of it. */
static int flush_stdout(int status)
{
	if (fflush(stdout) == 0)
		return status;
	log_error("cannot write to stdout");
	return EXIT_STATUS_TROUBLE;
}

static void pick_accel(struct cli_options *options)
{
	options->vm.accel = options->accel == CLI_ACCEL_SOFT ? &accel_soft : &accel_kvm;
	if (options->accel == CLI_ACCEL_KVM_OR_SOFT)
		options->vm.fallback = &accel_soft;
}

static int run(struct cli_options *options, pid_t parent)
{
	if (options->dies_with_parent && !signals_die_with_parent(parent))
		return EXIT_STATUS_SIGNAL + 15; /* as by the SIGTERM that it just missed */
	pick_accel(options);
	return run_guest(options);
}

static int dispatch(struct cli_options *options, pid_t parent)
{
	const struct print_sink out = {to_stdout, NULL};

	switch (options->action) {
	case CLI_HELP:
		usage_help(&out);
		return flush_stdout(EXIT_STATUS_PASS);
	case CLI_VERSION:
		usage_version(&out);
		return flush_stdout(EXIT_STATUS_PASS);
	case CLI_CHECK_HOST:
		return flush_stdout(check_host(&out));
	case CLI_RUN:
		break;
	}
	return run(options, parent);
}

/* A descriptor that is closed would be given to the next file that is opened, and the guest's
 * output or a message would go there. */
static bool fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	const pid_t parent = getppid();
	struct cli_options options;
	struct umbra_err err = {""};

	if (!fill_standard_descriptors())
		return EXIT_STATUS_TROUBLE;
	if (!BUILD_HAS_SANITIZER)
		signals_catch_bugs();
	if (options_parse(&options, argc, argv, &err) < 0) {
		log_error("%s", err.text);
		return EXIT_STATUS_TROUBLE;
	}
	return dispatch(&options, parent);
}
