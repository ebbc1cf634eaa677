/* librspstub's signals on top of what the world can catch: catch.h. */
#include "target.h"

#include <errno.h>

int target_update_catch(struct debug_target *target, struct umbra_err *err)
{
	struct accel_catch wanted = target->catch.wanted;
	bool is_any;

	wanted.vectors = catch_vectors(&target->catch);
	is_any = wanted.vectors || wanted.has_syscalls || wanted.port_count || wanted.msr_count;
	if (world_set_catch(target->world, is_any ? &wanted : NULL) == 0)
		return 0;
	world_set_catch(target->world, NULL);
	return umbra_err_set(err, ENOTSUP,
			     "this back end catches no exceptions, system calls or accesses; "
			     "-accel soft does");
}

/* gdb has no way to refuse what `handle` says: where nothing can be caught nothing stops. */
static void op_pass(void *ctx, const uint8_t set[RSP_SIGNAL_BYTES])
{
	struct debug_target *target = ctx;

	catch_pass(&target->catch, set);
	(void)target_update_catch(target, NULL);
}

static void op_program(void *ctx, const uint8_t set[RSP_SIGNAL_BYTES])
{
	struct debug_target *target = ctx;

	catch_program(&target->catch, set);
	(void)target_update_catch(target, NULL);
}

static size_t op_siginfo(void *ctx, unsigned thread, uint8_t *out, size_t size)
{
	const struct debug_target *target = ctx;
	const struct target_caught *caught = &target->caught[thread - 1];

	return caught->is_there ? catch_siginfo(&caught->caught, caught->pc, out, size) : 0;
}

static int op_catch_syscalls(void *ctx, bool is_on, const uint32_t *numbers, unsigned count)
{
	struct debug_target *target = ctx;
	struct accel_catch *wanted = &target->catch.wanted;
	struct umbra_err err = {.text = ""};
	int error;

	for (unsigned i = 0; i < count; i++) {
		if (numbers[i] >= ACCEL_CATCH_SYSCALLS)
			return EINVAL;
	}
	wanted->has_syscalls = is_on;
	wanted->has_all_syscalls = is_on && count == 0;
	memset(wanted->syscall, 0, sizeof(wanted->syscall));
	for (unsigned i = 0; i < count; i++)
		wanted->syscall[numbers[i] / 64] |= 1ull << numbers[i] % 64;
	error = target_update_catch(target, &err);
	if (error)
		wanted->has_syscalls = false;
	return target_note_refusal(target, -error, &err);
}

const struct rsp_signal_ops TARGET_SIGNAL_OPS = {
	.pass = op_pass,
	.program = op_program,
	.siginfo = op_siginfo,
	.catch_syscalls = op_catch_syscalls,
};
