/* librspstub's operations on top of the VM.  Thread n of the protocol is vCPU n-1.
 *
 * No operation calls back into the session, and none ends the process or closes a connection: what
 * has to happen after the session's call is noted here and done by server.c.
 * Source: gdbstub/rspstub.h; "Debugging with GDB" appendix E for what each is asked for. */
#include "target.h"
#include "kaslr.h"
#include "monitor.h"
#include "regs.h"
#include "stop.h"

#include <errno.h>
#include <stdio.h>

/* What is told. */

void target_describe_stop(const struct debug_target *target, char *buf, size_t size)
{
	char line[MMU_STOP_TEXT_MAX];

	if (mmu_watch_describe(&target->mmu, line))
		snprintf(buf, size, "%s", line);
	else
		stop_describe(&target->last_stop, buf, size);
}

void target_quit(struct debug_target *target, int code)
{
	target->is_quitting = true;
	target->quit_code = code;
}

int target_note_refusal(struct debug_target *target, int error, const struct umbra_err *err)
{
	if (error)
		target->refusal = *err;
	target->is_refusal_new = error && err->text[0];
	return error;
}

/* The target description. */

void target_describe_as(struct debug_target *target, enum tdesc_arch arch)
{
	target->arch = arch;
	tdesc_write(target->tdesc, sizeof(target->tdesc), arch);
}

static enum tdesc_arch arch_of(const struct x86_state *st)
{
	switch (x86_mode_bits(x86_mode_of(st))) {
	case 16:
		return TDESC_I8086;
	case 32:
		return TDESC_I386;
	default:
		return TDESC_X86_64;
	}
}

static bool op_redescribe(void *ctx, unsigned thread)
{
	struct debug_target *target = ctx;
	const struct x86_state *st =
		vcpu_state(target->world, thread - 1, X86_STATE_GPR | X86_STATE_SREG);

	if (!target->must_follow_mode || !st || arch_of(st) == target->arch)
		return false;
	target_describe_as(target, arch_of(st));
	return true;
}

static const char *op_error_text(void *ctx)
{
	struct debug_target *target = ctx;
	bool is_new = target->is_refusal_new;

	target->is_refusal_new = false;
	return is_new ? target->refusal.text : NULL;
}

void target_tick(const struct debug_target *target)
{
	if (target->on_tick)
		target->on_tick(target->tick_ctx);
}

/* Base: threads. */

static unsigned op_thread_count(void *ctx)
{
	const struct debug_target *target = ctx;

	return world_vcpu_count(target->world);
}

static bool op_thread_is_alive(void *ctx, unsigned thread)
{
	return thread >= 1 && thread <= op_thread_count(ctx);
}

static void op_thread_name(void *ctx, unsigned thread, char *buf, size_t size)
{
	(void)ctx;
	snprintf(buf, size, "cpu %u", thread - 1);
}

static void op_thread_extra(void *ctx, unsigned thread, char *buf, size_t size)
{
	struct debug_target *target = ctx;
	const struct x86_state *st = vcpu_state(target->world, thread - 1,
						X86_STATE_GPR | X86_STATE_SREG | X86_STATE_RUN);

	if (!st)
		snprintf(buf, size, "cpu %u, state not readable", thread - 1);
	else
		snprintf(buf, size, "cpu %u, %s, %s", thread - 1,
			 monitor_activity_name(st->activity), x86_mode_name(x86_mode_of(st)));
}

/* Base: registers. */

static unsigned op_reg_count(void *ctx)
{
	const struct debug_target *target = ctx;

	return tdesc_reg_count(target->arch);
}

static unsigned op_g_reg_count(void *ctx)
{
	(void)ctx;
	return regs_g_count();
}

static size_t op_reg_size(void *ctx, unsigned reg)
{
	return reg < op_reg_count(ctx) ? regs_size(reg) : 0;
}

static bool op_reg_read(void *ctx, unsigned thread, unsigned reg, uint8_t *out)
{
	struct debug_target *target = ctx;
	const struct reg_desc *desc = regs_at(reg);
	const struct x86_state *st;

	if (!desc)
		return false;
	st = vcpu_state(target->world, thread - 1, desc->part);
	if (!st)
		return false;
	regs_read(desc, st, out);
	return true;
}

/* Base: writing registers. */

struct edit_ctx {
	struct world *world;
	unsigned vcpu;
};

static size_t edit_mem_read(void *ctx, gva_t va, void *buf, size_t len)
{
	const struct edit_ctx *edit = ctx;

	return vcpu_mem_read(edit->world, edit->vcpu, va, buf, len);
}

/* Write registers @first to @first + @count - 1 of @thread, all of them or none. */
static int write_regs(struct debug_target *target, unsigned thread, unsigned first, unsigned count,
		      const uint8_t *bytes)
{
	struct edit_ctx ctx = {.world = target->world, .vcpu = thread - 1};
	struct reg_edit edit = {.mem_read = edit_mem_read, .ctx = &ctx};
	unsigned parts = X86_STATE_GPR | X86_STATE_SREG;
	const struct x86_state *st;
	int error = 0;

	for (unsigned reg = first; reg < first + count; reg++)
		parts |= regs_at(reg)->part;
	st = vcpu_state(target->world, thread - 1, parts);
	if (!st)
		return EIO;
	edit.st = *st;
	for (unsigned reg = first; error == 0 && reg < first + count; reg++) {
		error = regs_write(&edit, regs_at(reg), bytes);
		bytes += regs_size(reg);
	}
	if (error == 0)
		error = regs_check(&edit, st);
	if (error == 0 && edit.parts)
		error = vcpu_state_write(target->world, thread - 1, &edit.st, edit.parts,
					 &edit.err);
	return target_note_refusal(target, -error, &edit.err);
}

static int op_reg_write(void *ctx, unsigned thread, unsigned reg, const uint8_t *value)
{
	if (reg >= op_reg_count(ctx))
		return EINVAL;
	return write_regs(ctx, thread, reg, 1, value);
}

static int op_regs_write(void *ctx, unsigned thread, const uint8_t *bytes, size_t len)
{
	size_t expected = 0;

	for (unsigned reg = 0; reg < regs_g_count(); reg++)
		expected += regs_size(reg);
	if (len != expected)
		return EINVAL;
	return write_regs(ctx, thread, 0, regs_g_count(), bytes);
}

/* Linux. */

static bool has_text(struct debug_target *target, unsigned vcpu, gva_t *out_text)
{
	const struct x86_state *st =
		vcpu_state(target->world, vcpu, X86_STATE_GPR | X86_STATE_SREG);

	return st && kaslr_find(st, mem_phys_read, vm_mem(target->vm), out_text);
}

bool target_linux_text(struct debug_target *target, unsigned vcpu, gva_t *out_text)
{
	unsigned count = world_vcpu_count(target->world);

	if (!vm_linux_text(target->vm))
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (has_text(target, (vcpu + i) % count, out_text))
			return true;
	}
	return false;
}

/* Base: memory. */

static size_t op_mem_read(void *ctx, unsigned thread, uint64_t addr, uint8_t *out, size_t len)
{
	struct debug_target *target = ctx;

	target_tick(target);
	return vcpu_mem_read(target->world, thread - 1, addr, out, len);
}

static size_t op_mem_write(void *ctx, unsigned thread, uint64_t addr, const uint8_t *src,
			   size_t len)
{
	struct debug_target *target = ctx;

	return vcpu_mem_write(target->world, thread - 1, addr, src, len);
}

/* A write to a table takes effect for the guest, as one through its mappings does. */
static size_t op_phys_read(void *ctx, uint64_t addr, uint8_t *out, size_t len)
{
	struct debug_target *target = ctx;

	return world_mem_read(target->world, addr, out, len);
}

static size_t op_phys_write(void *ctx, uint64_t addr, const uint8_t *src, size_t len)
{
	struct debug_target *target = ctx;

	return world_mem_write(target->world, addr, src, len);
}

static const struct rsp_phys_ops PHYS_OPS = {.read = op_phys_read, .write = op_phys_write};

/* Breakpoints. */

_Static_assert((int)BP_SOFT == (int)RSP_BREAK_SOFT && (int)BP_HARD == (int)RSP_BREAK_HARD &&
		       (int)BP_WATCH_ACCESS == (int)RSP_WATCH_ACCESS &&
		       (int)BP_WATCH_EXEC == (int)RSP_BREAK_TYPES,
	       "both number breakpoints as Z packets do, and what those have not comes after");

/* gdb takes the empty reply to its first watchpoint for "too many" and says no more than that. */
static bool op_is_supported(void *ctx, enum rsp_break type)
{
	struct debug_target *target = ctx;

	if (bp_is_supported(target->world, (enum bp_kind)type))
		return true;
	umbra_err_set(&target->refusal, ENOTSUP,
		      "this host has no such breakpoint; in gdb, `set can-use-hw-watchpoints 0` "
		      "turns watchpoints into single steps");
	return false;
}

static int insert_agent(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind,
			const struct rsp_agent *agent)
{
	struct debug_target *target = ctx;
	struct umbra_err err = {.text = ""};
	int error;

	if (target->agents)
		error = agents_insert(target->agents, (enum bp_kind)type, addr, kind, agent, &err);
	else
		error = bp_insert(target->world, (enum bp_kind)type, addr, kind, &err);
	return target_note_refusal(target, -error, &err);
}

static int op_insert(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind)
{
	return insert_agent(ctx, type, addr, kind, NULL);
}

static int op_remove(void *ctx, enum rsp_break type, uint64_t addr, unsigned kind)
{
	struct debug_target *target = ctx;

	if (target->agents)
		agents_forget(target->agents, (enum bp_kind)type, addr, kind);
	return -bp_remove(target->world, (enum bp_kind)type, addr, kind);
}

/* The rest. */

static int op_monitor(void *ctx, unsigned thread, const char *line)
{
	struct debug_target *target = ctx;
	struct print_sink out = {.text = monitor_print_client, .ctx = target};

	return monitor_run(target, thread - 1, line, &out);
}

static bool op_drain(void *ctx)
{
	const struct debug_target *target = ctx;

	return target->on_drain && target->on_drain(target->tick_ctx);
}

static const char *op_features(void *ctx, const char *annex)
{
	const struct debug_target *target = ctx;

	return strcmp(annex, "target.xml") == 0 ? target->tdesc : NULL;
}

/* Those of an i386 are left out where op_reg_size does not know them. */
static const unsigned EXPEDITED[] = {REG_RBP, REG_RSP, REG_RIP, REG_EFLAGS,
				     REG_EBP, REG_ESP, REG_EIP, RSP_REG_NONE};

static const struct rsp_base_ops BASE_OPS = {
	.attach = target_attach,
	.thread_count = op_thread_count,
	.thread_is_alive = op_thread_is_alive,
	.thread_name = op_thread_name,
	.thread_extra = op_thread_extra,
	.reg_count = op_reg_count,
	.g_reg_count = op_g_reg_count,
	.reg_size = op_reg_size,
	.reg_read = op_reg_read,
	.reg_write = op_reg_write,
	.regs_write = op_regs_write,
	.expedited = EXPEDITED,
	.mem_read = op_mem_read,
	.mem_write = op_mem_write,
	.error_text = op_error_text,
};

static const struct rsp_break_ops BREAK_OPS = {
	.is_supported = op_is_supported,
	.insert = op_insert,
	.remove = op_remove,
};

static const struct rsp_agent_ops AGENT_OPS = {
	.insert = insert_agent,
	.allows = RSP_AX_VARIABLES,
};

/* Tracepoints. */

#define TRACE_DEFAULT (5u << 20) /* as gdbserver has it */
#define TRACE_MAX     (256u << 20)

static int op_arm(void *ctx, unsigned tracepoint, uint64_t addr)
{
	struct debug_target *target = ctx;
	struct umbra_err err = {.text = ""};
	int error = agents_arm(target->agents, tracepoint, addr, &err);

	return target_note_refusal(target, -error, &err);
}

static void op_disarm(void *ctx)
{
	bp_clear_traces(((struct debug_target *)ctx)->world);
}

static uint8_t *op_trace_buffer(void *ctx, size_t size)
{
	return agents_trace_buffer(((struct debug_target *)ctx)->agents, size);
}

static void op_lock_trace(void *ctx)
{
	agents_lock_trace(((struct debug_target *)ctx)->agents);
}

static void op_unlock_trace(void *ctx)
{
	agents_unlock_trace(((struct debug_target *)ctx)->agents);
}

static const struct rsp_trace_ops TRACE_OPS = {
	.arm = op_arm,
	.disarm = op_disarm,
	.buffer = op_trace_buffer,
	.buffer_default = TRACE_DEFAULT,
	.buffer_max = TRACE_MAX,
	.lock = op_lock_trace,
	.unlock = op_unlock_trace,
	.pc_reg = REG_RIP,
};

static const struct rsp_monitor_ops MONITOR_OPS = {.command = op_monitor, .drain = op_drain};

/* gdb asks this when it was given no file, and opens the path by itself, since no vFile packet is
 * answered: `target remote` alone is enough for symbols. */
static const char *op_exec_file(void *ctx)
{
	const struct debug_target *target = ctx;

	return vm_symbol_file(target->vm);
}

/* Only a kernel that moved is told of: gdb would apply the answer to whatever file it holds. */
static bool op_text_start(void *ctx, uint64_t *out_addr, uint64_t *out_linked)
{
	struct debug_target *target = ctx;

	*out_linked = vm_linux_text(target->vm);
	return target_linux_text(target, 0, out_addr) && *out_addr != vm_linux_text(target->vm);
}

static const struct rsp_xfer_ops XFER_OPS = {
	.features = op_features,
	.exec_file = op_exec_file,
	.text_start = op_text_start,
	.redescribe = op_redescribe,
};

struct rsp_target target_ops(struct debug_target *target)
{
	bool is_linux = vm_linux_text(target->vm) != 0;

	return (struct rsp_target){
		.base = &BASE_OPS,
		.run = &TARGET_RUN_OPS,
		.brk = &BREAK_OPS,
		.monitor = &MONITOR_OPS,
		.xfer = &XFER_OPS,
		.phys = &PHYS_OPS,
		.agent = target->agents ? &AGENT_OPS : NULL,
		.map = &target_map_ops,
		.lldb = &target_lldb_ops,
		.signals = vm_accel(target->vm)->can_catch ? &TARGET_SIGNAL_OPS : NULL,
		.osdata = is_linux ? &target_osdata_ops : NULL,
		.symbols = is_linux ? &target_symbol_ops : NULL,
		.libraries = is_linux && target->modules.files ? &modules_library_ops : NULL,
		.ctx = target,
	};
}

int target_open_tracer(struct debug_target *target, struct rsp_target *out_ops)
{
	int error;

	*out_ops = target_ops(target);
	out_ops->trace = &TRACE_OPS;
	error = rsp_tracer_open(&target->tracer, out_ops);
	out_ops->tracer = target->tracer;
	agents_set_tracer(target->agents, target->tracer);
	return error;
}

static enum tdesc_arch first_arch(enum debug_arch arch, const struct vm *vm)
{
	switch (arch) {
	case DEBUG_ARCH_X86_64:
		return TDESC_X86_64;
	case DEBUG_ARCH_X86_64_LINUX:
		return TDESC_X86_64_LINUX;
	case DEBUG_ARCH_I386:
		return TDESC_I386;
	case DEBUG_ARCH_I8086:
		return TDESC_I8086;
	case DEBUG_ARCH_AUTO:
		break;
	}
	/* An image of other code does not say whether the debugger will hold 32-bit or 64-bit
	 * symbols. */
	return vm_is_64bit(vm) ? TDESC_X86_64 : TDESC_OPEN;
}

void target_init(struct debug_target *target, struct vm *vm, const char *version,
		 enum debug_arch arch)
{
	*target = (struct debug_target){
		.vm = vm,
		.world = vm_world(vm),
		.version = version ? version : "umbra",
		.first_arch = first_arch(arch, vm),
	};
	/* Symbols have an architecture of their own, which gdb keeps to. */
	target->must_follow_mode =
		arch == DEBUG_ARCH_AUTO && target->first_arch == TDESC_OPEN && vm_is_flat(vm);
	mmu_watch_init(&target->mmu, vm);
	target_describe_as(target, target->first_arch);
}

void target_end(struct debug_target *target)
{
	mmu_watch_end(&target->mmu);
	modules_end(&target->modules);
}
