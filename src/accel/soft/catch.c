/* See catch.h.  Faults are dropped when they are caught, for the instruction makes them again; what
 * cannot be made again (traps, faults in a delivery) waits, as any event does that the vCPU was
 * stopped before.
 *
 * A system call's return is known by where it goes: the address space (CR3 at CPL 3, before the
 * kernel changes it and after it has changed it back) and the address behind the instruction.
 * Source: SDM 3A table 6-1 (faults and traps); SDM 2B SYSCALL, SYSENTER, SYSEXIT. */
#include "catch.h"

#include "umbra/lock.h"

#include <errno.h>
#include <stdlib.h>

#define CALLS	    64u
#define CR3_ADDRESS 0x000ffffffffff000ull

struct call {
	bool is_used;
	uint32_t number;
	uint64_t cr3, back; /* ~0: SYSEXIT says where */
};

struct soft_calls {
	struct lock lock; /* vCPUs may run at once */
	unsigned next;	  /* the oldest gives way */
	struct call call[CALLS];
};

int soft_calls_create(struct soft_vm *vm)
{
	int error;

	vm->calls = calloc(1, sizeof(*vm->calls));
	if (!vm->calls)
		return -ENOMEM;
	error = lock_init(&vm->calls->lock);
	if (error) {
		free(vm->calls);
		vm->calls = NULL;
	}
	return error;
}

void soft_calls_destroy(struct soft_vm *vm)
{
	if (!vm->calls)
		return;
	lock_end(&vm->calls->lock);
	free(vm->calls);
}

void soft_calls_reset(struct soft_vm *vm)
{
	for (unsigned i = 0; i < CALLS; i++)
		vm->calls->call[i].is_used = false;
}

static void remember(struct soft_cpu *c, uint32_t number, uint64_t back)
{
	struct soft_calls *calls = c->vm->calls;

	lock_take(&calls->lock);
	calls->call[calls->next++ % CALLS] = (struct call){
		.is_used = true, .number = number, .cr3 = c->cr3 & CR3_ADDRESS, .back = back};
	lock_drop(&calls->lock);
}

/* Take the call that returns to @back in this address space. */
static bool recall(struct soft_cpu *c, uint64_t back, uint32_t *out_number)
{
	struct soft_calls *calls = c->vm->calls;
	bool is_found = false;

	lock_take(&calls->lock);
	for (unsigned i = 0; i < CALLS && !is_found; i++) {
		struct call *call = &calls->call[i];

		is_found =
			call->is_used && call->back == back && call->cr3 == (c->cr3 & CR3_ADDRESS);
		if (!is_found)
			continue;
		call->is_used = false;
		*out_number = call->number;
	}
	lock_drop(&calls->lock);
	return is_found;
}

/* Leave the instruction. */
_Noreturn static void leave(struct soft_cpu *c, const struct accel_caught *caught)
{
	c->caught = *caught;
	longjmp(c->escape, ESCAPE_CATCH);
}

static bool is_in(const struct accel_catch_range *range, unsigned count, uint32_t first,
		  uint32_t last, bool is_write)
{
	for (unsigned i = 0; i < count; i++) {
		if (first <= range[i].last && range[i].first <= last &&
		    (is_write ? range[i].on_write : range[i].on_read))
			return true;
	}
	return false;
}

void soft_catch_port(struct soft_cpu *c, uint16_t port, unsigned size, bool is_write,
		     uint32_t value)
{
	const struct accel_catch *want = c->debug.catch;

	if (c->pass_catch || !is_in(want->port, want->port_count, port, port + size - 1, is_write))
		return;
	leave(c, &(struct accel_caught){.kind = is_write ? ACCEL_CAUGHT_PORT_WRITE
							 : ACCEL_CAUGHT_PORT_READ,
					.number = port,
					.size = size,
					.value = value});
}

void soft_catch_msr(struct soft_cpu *c, uint32_t msr, bool is_write, uint64_t value)
{
	const struct accel_catch *want = c->debug.catch;

	if (c->pass_catch || !is_in(want->msr, want->msr_count, msr, msr, is_write))
		return;
	leave(c, &(struct accel_caught){.kind = is_write ? ACCEL_CAUGHT_MSR_WRITE
							 : ACCEL_CAUGHT_MSR_READ,
					.number = msr,
					.value = value});
}

static bool is_wanted_call(const struct accel_catch *want, uint32_t number)
{
	if (want->has_all_syscalls)
		return true;
	return number < ACCEL_CATCH_SYSCALLS && (want->syscall[number / 64] >> number % 64 & 1);
}

void soft_catch_syscall(struct soft_cpu *c, uint64_t back)
{
	const struct accel_catch *want = c->debug.catch;
	uint32_t number = soft_reg32(c, X86_RAX);

	if (!want->has_syscalls || !is_wanted_call(want, number))
		return;
	if (!c->pass_catch)
		leave(c, &(struct accel_caught){.kind = ACCEL_CAUGHT_SYSCALL, .number = number});
	remember(c, number, back);
}

void soft_catch_return(struct soft_cpu *c, bool is_sysexit)
{
	uint32_t number;

	if (!c->debug.catch->has_syscalls || !recall(c, is_sysexit ? ~0ull : c->rip, &number))
		return;
	c->has_caught = true;
	c->caught = (struct accel_caught){.kind = ACCEL_CAUGHT_SYSRET, .number = number};
}

void soft_catch_int(struct soft_cpu *c, enum soft_event_type type, uint8_t vector)
{
	const struct accel_catch *want = c->debug.catch;

	if (type == EVENT_SOFT_INT) {
		if (vector == 0x80)
			soft_catch_syscall(c, soft_next_rip(c));
		return;
	}
	if (!c->pass_catch && (want->vectors >> vector & 1))
		leave(c, &(struct accel_caught){.kind = ACCEL_CAUGHT_EXCEPTION, .number = vector});
}

/* A #DB may follow its instruction, and a double fault has its cause in a delivery. */
static bool is_made_again(const struct soft_cpu *c)
{
	return c->chain_count == 0 && c->event.vector != X86_EXC_DB;
}

bool soft_catch_event(struct soft_cpu *c, struct accel_exit *out)
{
	const struct accel_catch *want = c->debug.catch;
	const struct soft_event *event = &c->event;

	if (!want || c->pass_catch || event->vector >= 32 || !(want->vectors >> event->vector & 1))
		return false;
	out->kind = ACCEL_EXIT_DEBUG;
	out->debug |= ACCEL_DEBUG_CATCH;
	out->caught = (struct accel_caught){.kind = ACCEL_CAUGHT_EXCEPTION,
					    .number = event->vector,
					    .has_error = event->has_error,
					    .error = event->error,
					    .cr2 = event->cr2,
					    .is_fault = is_made_again(c)};
	c->has_event = !out->caught.is_fault;
	return true;
}
