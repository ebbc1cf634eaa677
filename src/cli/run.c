/* One run of a guest: the parts are built in order, the loop runs, and they go in the other order.
 *
 * The debugger must learn of the end before the machine goes, and the guest's last output goes out
 * when the machine does. */
#include "run.h"

#include "addr_file.h"
#include "build.h"
#include "exit_status.h"
#include "lifecycle.h"
#include "signals.h"

#include "umbra/log.h"
#include "umbra/mmu.h"

#include <stdio.h>
#include <unistd.h>

struct run {
	struct lifecycle life;
	bool is_watching; /* lifecycle_open was called */
};

/* Whether the accelerator works at all, told apart from an image or option that it was not given
 * a chance with.  Only asked after a failure: it costs a machine of its own. */
static bool is_accel_usable(const struct accel_ops *accel, struct umbra_err *err)
{
	struct accel_vm_config config = {.vcpus = 1};
	struct accel_vm *vm = NULL;
	bool is_usable = mem_create(&config.mem, err) == 0 && bus_create(&config.bus, err) == 0 &&
			 accel->vm_open(&vm, &config, err) == 0;

	if (vm)
		accel->vm_close(vm);
	bus_destroy(config.bus);
	mem_destroy(config.mem);
	return is_usable;
}

static int create_machine(struct run *run, struct umbra_err *err)
{
	const struct cli_options *options = run->life.options;
	struct umbra_err accel_err = {""};

	if (vm_create(&run->life.vm, &options->vm, run->life.loop, err) == 0)
		return 0;
	if (options->vm.fallback || is_accel_usable(options->vm.accel, &accel_err))
		return EXIT_STATUS_TROUBLE;
	*err = accel_err;
	return EXIT_STATUS_NO_ACCEL;
}

static int open_debug_port(struct run *run, struct umbra_err *err)
{
	const struct cli_options *options = run->life.options;
	const struct debug_config config = {
		.address = options->gdb,
		.on_disconnect = options->on_disconnect,
		.arch = options->gdb_arch,
		.modules = options->gdb_modules,
		.version = BUILD_VERSION,
		.on_quit = lifecycle_on_quit,
		.ctx = &run->life,
	};
	const char *address;
	int rc;

	if (!options->gdb)
		return 0;
	rc = debug_server_create(&run->life.server, &config, run->life.vm, run->life.loop, err);
	if (rc < 0)
		return rc;
	address = debug_server_address(run->life.server);
	/* With -gdb stdio, gdb is there already and its terminal is no place for it. */
	if (strcmp(options->gdb, "stdio") != 0)
		dprintf(STDERR_FILENO, "gdb: target remote %s\n", address);
	return options->addr_file ? addr_file_write(options->addr_file, address, err) : 0;
}

/* Where guest output goes. */

/* True for character back ends whose address only exists once they are open. */
static bool has_address(const char *spec)
{
	return spec && (strcmp(spec, "pty") == 0 || strncmp(spec, "tcp:", 4) == 0 ||
			strncmp(spec, "unix:", 5) == 0);
}

static void to_stderr(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	dprintf(STDERR_FILENO, "%.*s", (int)len, text);
}

static void show_chardevs(struct run *run)
{
	const struct vm_config *config = &run->life.options->vm;
	const struct print_sink sink = {to_stderr, NULL};

	if (has_address(config->serial[0]) || has_address(config->serial[1]) ||
	    has_address(config->debugcon))
		vm_show_chardevs(run->life.vm, &sink);
}

/* The run. */

static int start(struct run *run, struct umbra_err *err)
{
	int rc = open_debug_port(run, err);

	if (rc < 0)
		return rc;
	show_chardevs(run);
	run->is_watching = true;
	rc = lifecycle_open(&run->life, err);
	return rc < 0 ? rc : vm_start(run->life.vm, err);
}

/* What --paranoid found wrong is a bug of ours, whatever the guest said. */
static int judge(const struct run *run, int status)
{
	struct mmu *mmu = vm_mmu(run->life.vm);

	return mmu && mmu_paranoid_findings(mmu) ? EXIT_STATUS_BUG : status;
}

static int open_and_run(struct run *run, struct umbra_err *err)
{
	int status;

	if (signals_open(run->life.options->gdb && strcmp(run->life.options->gdb, "stdio") == 0,
			 &run->life.signal_fd, err) < 0 ||
	    loop_create(&run->life.loop, err) < 0)
		return EXIT_STATUS_TROUBLE;
	status = create_machine(run, err);
	if (status)
		return status;
	if (start(run, err) < 0)
		return EXIT_STATUS_TROUBLE;
	return judge(run, loop_run(run->life.loop));
}

static void close_all(struct run *run)
{
	if (run->is_watching)
		lifecycle_close(&run->life);
	/* From here on a second Ctrl-C ends the process at once. */
	if (run->life.signal_fd >= 0)
		signals_close(run->life.signal_fd);
	/* Breakpoints call into the debug port. */
	if (run->life.vm)
		world_end(vm_world(run->life.vm));
	debug_server_destroy(run->life.server);
	vm_destroy(run->life.vm);
	if (run->life.loop)
		loop_destroy(run->life.loop);
}

int run_guest(const struct cli_options *options)
{
	struct run run = {.life = {.options = options, .signal_fd = -1}};
	struct umbra_err err = {""};
	int status = open_and_run(&run, &err);

	if (err.text[0])
		log_error("%s", err.text);
	close_all(&run);
	return status;
}
