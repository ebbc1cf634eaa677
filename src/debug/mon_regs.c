/* `monitor info regs`: everything a vCPU holds, hidden parts included, on lines of at most 100
 * columns. */
#include "flags.h"
#include "monitor.h"
#include "target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define X64 "%016llx"

static unsigned long long ll(uint64_t value)
{
	return value;
}

static void show_general(const struct print_sink *out, const struct x86_state *st)
{
	static const struct {
		char name[4];
		enum x86_gpr gpr;
	} rows[X86_GPR_COUNT] = {
		{"rax", X86_RAX}, {"rbx", X86_RBX}, {"rcx", X86_RCX}, {"rdx", X86_RDX},
		{"rsi", X86_RSI}, {"rdi", X86_RDI}, {"rbp", X86_RBP}, {"rsp", X86_RSP},
		{"r8", X86_R8},	  {"r9", X86_R9},   {"r10", X86_R10}, {"r11", X86_R11},
		{"r12", X86_R12}, {"r13", X86_R13}, {"r14", X86_R14}, {"r15", X86_R15},
	};
	char flags[160];

	for (unsigned i = 0; i < X86_GPR_COUNT; i++)
		print_to(out, "%-3s " X64 "%s", rows[i].name, ll(st->gpr[rows[i].gpr]),
			 i % 4 == 3 ? "\n" : "  ");
	flags_format("i386_eflags", st->rflags, flags, sizeof(flags));
	print_to(out, "rip " X64 "  linear %llx\n", ll(st->rip), ll(x86_linear_pc(st)));
	print_to(out, "eflags %08llx [%s] iopl %llu%s\n", ll(st->rflags), flags,
		 ll(st->rflags >> 12 & 3), st->is_in_int_shadow ? "  (interrupt shadow)" : "");
}

/* SDM 3A tables 3-1 and 3-2. */
static const char *segment_kind(const struct x86_seg *seg)
{
	static const char *const code[] = {"code x", "code rx", "code x conforming",
					   "code rx conforming"};
	static const char *const data[] = {"data r", "data rw", "data r down", "data rw down"};
	static const char *const system[16] = {
		[1] = "TSS16",	   [2] = "LDT",		[3] = "TSS16 busy",   [4] = "call gate 16",
		[5] = "task gate", [6] = "int gate 16", [7] = "trap gate 16", [9] = "TSS",
		[11] = "TSS busy", [12] = "call gate",	[14] = "int gate",    [15] = "trap gate"};
	const char *name = system[seg->type & 15];

	if (seg->unusable)
		return "null";
	if (seg->s)
		return (seg->type & 8 ? code : data)[seg->type >> 1 & 3];
	return name ? name : "reserved type";
}

static void show_segment(const struct print_sink *out, const char *name, const struct x86_seg *seg)
{
	const char *width = seg->l ? " 64-bit" : seg->db ? " 32-bit" : " 16-bit";

	print_to(out, "%-4s %04x  base " X64 "  limit %08x  dpl %u  %s%s%s%s\n", name,
		 seg->selector, ll(seg->base), seg->limit, seg->dpl, segment_kind(seg),
		 seg->s && !seg->unusable ? width : "", seg->g ? " g" : "",
		 seg->present || seg->unusable ? "" : " not present");
}

static void show_segments(const struct print_sink *out, const struct x86_state *st)
{
	static const char *const names[X86_SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};
	static const enum x86_seg_reg order[] = {X86_CS, X86_SS, X86_DS, X86_ES, X86_FS, X86_GS};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(order); i++)
		show_segment(out, names[order[i]], &st->seg[order[i]]);
	show_segment(out, "ldtr", &st->ldtr);
	show_segment(out, "tr", &st->tr);
	print_to(out, "gdtr       base " X64 "  limit %04x\n", ll(st->gdtr.base), st->gdtr.limit);
	print_to(out, "idtr       base " X64 "  limit %04x\n", ll(st->idtr.base), st->idtr.limit);
}

static void show_flags(const struct print_sink *out, const char *name, const char *type,
		       uint64_t value)
{
	char flags[160];

	flags_format(type, value, flags, sizeof(flags));
	print_to(out, "%-4s %016llx [%s]\n", name, ll(value), flags);
}

static void show_control(const struct print_sink *out, const struct x86_state *st)
{
	show_flags(out, "cr0", "x86_cr0", st->cr0);
	print_to(out, "cr2  " X64 "  cr3 " X64 "  cr8 %llx\n", ll(st->cr2), ll(st->cr3),
		 ll(st->cr8));
	show_flags(out, "cr4", "x86_cr4", st->cr4);
	show_flags(out, "efer", "x86_efer", st->efer);
	for (unsigned i = 0; i < 4; i++)
		print_to(out, "dr%u " X64 "%s", i, ll(st->dr[i]), i == 3 ? "\n" : "  ");
	print_to(out, "dr6 " X64 "  dr7 " X64 "\n", ll(st->dr[6]), ll(st->dr[7]));
}

static void show_msrs(const struct print_sink *out, const struct x86_state *st)
{
	const struct {
		const char *name;
		uint64_t value;
	} rows[] = {
		{"kernel_gs_base", st->msr.kernel_gs_base},
		{"apic_base", st->apic_base},
		{"star", st->msr.star},
		{"lstar", st->msr.lstar},
		{"cstar", st->msr.cstar},
		{"sfmask", st->msr.sfmask},
		{"sysenter_cs", st->msr.sysenter_cs},
		{"sysenter_esp", st->msr.sysenter_esp},
		{"sysenter_eip", st->msr.sysenter_eip},
		{"pat", st->msr.pat},
		{"tsc", st->msr.tsc},
	};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++)
		print_to(out, "%-14s " X64 "%s", rows[i].name, ll(rows[i].value),
			 i % 2 == 1 || i + 1 == UMBRA_ARRAY_SIZE(rows) ? "\n" : "   ");
}

static void show_fpu(const struct print_sink *out, const struct x86_fpu *fpu)
{
	char flags[160];

	flags_format("i386_mxcsr", fpu->mxcsr, flags, sizeof(flags));
	print_to(out, "fctrl %04x  fstat %04x (top %u)  ftag %04x  fop %03x  mxcsr %08x [%s]\n",
		 fpu->fcw, fpu->fsw, fpu->fsw >> 11 & 7u, x87_tag_word(fpu), fpu->fop, fpu->mxcsr,
		 flags);
}

/* gdb tells of a change of its thread only when it next needs that thread's registers, and `info
 * threads` needs those of all: a number is the sure way to say which is meant. */
static int choose_cpu(struct mon_call *call)
{
	unsigned count = world_vcpu_count(call->target->world);
	const char *text = call->argv[0];
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || end == text || *end || number >= count) {
		print_to(call->out, "no cpu '%s'; they are 0 to %u\n", text, count - 1);
		return EINVAL;
	}
	call->vcpu = (unsigned)number;
	return 0;
}

int mon_info_regs(struct mon_call *call)
{
	const struct x86_state *st;

	if (call->argc && choose_cpu(call))
		return EINVAL;
	st = monitor_state(call, X86_STATE_ALL);
	if (!st)
		return EIO;
	print_to(call->out, "cpu %u: %s, %s, ring %u\n", call->vcpu,
		 monitor_activity_name(st->activity), x86_mode_name(x86_mode_of(st)),
		 x86_cpl_of(st));
	show_general(call->out, st);
	show_segments(call->out, st);
	show_control(call->out, st);
	show_msrs(call->out, st);
	show_fpu(call->out, &st->fpu);
	return 0;
}
