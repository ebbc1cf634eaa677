/* The last words about a guest: enough to tell a triple fault in early boot from a wild jump,
 * without a debugger. */
#include "obituary.h"

#include "umbra/log.h"

typedef unsigned long long ull;

static const char *reason_of(const struct cpu_stop *stop)
{
	if (stop->text[0])
		return stop->text;
	if (stop->kind == STOP_SHUTDOWN)
		return "triple fault";
	return stop->kind == STOP_HALT ? "every CPU is halted for good" : "no reason is known";
}

static const char *activity_of(const struct x86_state *st)
{
	switch (st->activity) {
	case X86_HALTED:
		return "halted in ";
	case X86_WAIT_FOR_SIPI:
		return "not started yet, in ";
	case X86_ACTIVE:
		break;
	}
	return "in ";
}

static void log_instruction(struct world *world, unsigned index, const struct x86_state *st)
{
	char text[X86_INSN_TEXT_MAX];
	uint8_t bytes[X86_INSN_MAX];
	gva_t pc = x86_linear_pc(st);
	size_t len = vcpu_mem_read(world, index, pc, bytes, sizeof(bytes));

	if (len == 0)
		memcpy(text, "(not mapped)", sizeof("(not mapped)"));
	else
		x86_insn_format(x86_mode_of(st), pc, bytes, len, text);
	log_error("  next instruction at linear %#llx: %s", (ull)pc, text);
}

void obituary_log_place(struct world *world, unsigned index)
{
	const struct x86_state *st =
		vcpu_state(world, index, X86_STATE_GPR | X86_STATE_SREG | X86_STATE_RUN);

	if (!st) {
		log_error("  cpu %u: its registers cannot be read", index);
		return;
	}
	log_error("  cpu %u %s%s, CPL %u, cs:rip %04x:%#llx, rsp %#llx, rflags %#llx", index,
		  activity_of(st), x86_mode_name(x86_mode_of(st)), x86_cpl_of(st),
		  st->seg[X86_CS].selector, (ull)st->rip, (ull)st->gpr[X86_RSP], (ull)st->rflags);
	log_error("  cr0 %#llx, cr2 %#llx, cr3 %#llx, cr4 %#llx, efer %#llx", (ull)st->cr0,
		  (ull)st->cr2, (ull)st->cr3, (ull)st->cr4, (ull)st->efer);
	log_instruction(world, index, st);
}

void obituary_log(struct world *world, const struct cpu_stop *stop)
{
	log_error("the guest died: %s", reason_of(stop));
	obituary_log_place(world, stop->vcpu);
	if (stop->kind == STOP_HALT)
		log_error("if a halt is how this guest ends, --on-halt exit:0 says so");
}
