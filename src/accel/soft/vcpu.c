/* One vCPU as the accel_ops see it. */
#include "fpu.h"
#include "irq.h"
#include "msr.h"
#include "points.h"
#include "tlb.h"
#include "vm.h"

#include <errno.h>
#include <stdlib.h>

static void close_parts(struct soft_cpu *c)
{
	soft_irqchip_remove_cpu(c);
	soft_points_end(c);
	soft_blocks_end(c);
	soft_tlb_end(c);
}

static int open_parts(struct soft_cpu *c, struct umbra_err *err)
{
	if (soft_tlb_init(c) != 0 || soft_blocks_init(c) != 0 || soft_points_init(c) != 0)
		return umbra_err_set(err, ENOMEM, "out of memory for cpu %u", c->index);
	return soft_irqchip_add_cpu(c, err);
}

int soft_vcpu_open(struct accel_vcpu **out_vcpu, struct accel_vm *vm,
		   const struct accel_vcpu_config *config, struct umbra_err *err)
{
	struct accel_vcpu *vcpu = aligned_alloc(64, (sizeof(*vcpu) + 63) & ~(size_t)63);
	struct soft_cpu *c;
	int error;

	if (!vcpu)
		return umbra_err_set(err, ENOMEM, "out of memory for cpu %u", config->index);
	memset(vcpu, 0, sizeof(*vcpu));
	c = &vcpu->soft;
	c->vm = &vm->soft;
	c->index = config->index;
	c->req = config->req;
	c->fo = FLAGS_OP(FLAGS_ALL, 64);
	error = open_parts(c, err);
	if (error) {
		close_parts(c);
		free(vcpu);
		return error;
	}
	vm->soft.cpu[c->index] = c;
	*out_vcpu = vcpu;
	return 0;
}

void soft_vcpu_close(struct accel_vcpu *vcpu)
{
	vcpu->soft.vm->cpu[vcpu->soft.index] = NULL;
	close_parts(&vcpu->soft);
	free(vcpu);
}

int soft_vcpu_reset(struct accel_vcpu *vcpu, struct umbra_err *err)
{
	struct soft_cpu *c = &vcpu->soft;

	(void)err;
	atomic_store_explicit(&c->pend, 0, memory_order_relaxed);
	c->has_event = false;
	c->is_delivering = false;
	c->in_debug_shadow = false;
	atomic_store_explicit(&c->nmi_posts, 0, memory_order_relaxed);
	c->nmi_pending = 0;
	c->nmi_blocked = false;
	c->wants_yield = false;
	c->has_mmu_stop = false;
	c->skip_exec_point = false;
	c->pass_catch = false;
	c->has_caught = false;
	c->retired = 0;
	c->left_repeat_at = ~0ull;
	soft_msr_reset(c);
	soft_fpu_reset(c);
	soft_blocks_flush(c);
	soft_tlb_forget_all(c);
	return 0;
}

void soft_vcpu_run(struct accel_vcpu *vcpu, struct accel_exit *out_exit)
{
	soft_run(&vcpu->soft, out_exit);
	out_exit->has_pass_left = vcpu->soft.skip_exec_point;
}

/* Nothing is brief while each table write has everything checked. */
void soft_vcpu_run_briefly(struct accel_vcpu *vcpu, struct accel_exit *out_exit)
{
	struct soft_cpu *c = &vcpu->soft;

	*out_exit = (struct accel_exit){.kind = ACCEL_EXIT_KICKED};
	if (!c->vm->config.is_paranoid)
		soft_run_briefly(c, out_exit);
	out_exit->has_pass_left = c->skip_exec_point;
}

/* The request itself is *config.req; here the thread is made to look at it. */
void soft_vcpu_kick(struct accel_vcpu *vcpu)
{
	atomic_fetch_or_explicit(&vcpu->soft.pend, PEND_KICK, memory_order_release);
	soft_wake(&vcpu->soft);
}

int soft_vcpu_debug_set(struct accel_vcpu *vcpu, const struct accel_debug *debug)
{
	struct soft_cpu *c = &vcpu->soft;
	int error = soft_points_set(c, debug);

	if (error)
		return error;
	c->debug = *debug;
	/* One that was not used yet still holds: the vCPU was stopped before it moved. */
	c->skip_exec_point |= debug->pass_exec;
	c->pass_catch |= debug->pass_catch;
	return 0;
}

/* No exception of the guest's own making ever leaves run(). */
int soft_vcpu_reflect(struct accel_vcpu *vcpu, unsigned vector, uint64_t dr6)
{
	(void)vcpu;
	(void)vector;
	(void)dr6;
	return -EINVAL;
}

/* Interrupts wake a CPU that has IF set, from outside at any time; without it only an NMI does. */
bool soft_vcpu_is_halted_for_good(struct accel_vcpu *vcpu)
{
	struct soft_cpu *c = &vcpu->soft;

	if (c->activity == X86_ACTIVE || soft_has_wake_event(c))
		return false;
	if (c->activity == X86_WAIT_FOR_SIPI)
		return true;
	return !(c->rflags & X86_RFLAGS_IF) && !soft_irqchip_can_wake(c);
}

void soft_vcpu_show_exits(const struct accel_vcpu *vcpu, const struct print_sink *sink)
{
	static const char *const name[EXIT_REASON_COUNT] = {
		[EXIT_BLOCK_END] = "block end",
		[EXIT_REQUEST] = "request",
		[EXIT_EXCEPTION] = "exception",
		[EXIT_INTERRUPT] = "interrupt",
		[EXIT_HALT] = "halt",
		[EXIT_TURN] = "turn passed on",
		[EXIT_STEP] = "stop for debugger",
		[EXIT_RESTART] = "restarted alone",
	};

	for (unsigned i = 0; i < EXIT_REASON_COUNT; i++) {
		if (vcpu->soft.exits[i])
			print_to(sink, "  %-18s %llu\n", name[i],
				 (unsigned long long)vcpu->soft.exits[i]);
	}
}
