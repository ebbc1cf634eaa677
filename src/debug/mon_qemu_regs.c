/* `monitor info registers` in the form in which QEMU 7.2 answers it, found out by asking it: gdb
 * extensions that were written for QEMU look there for what the protocol's registers lack (the base
 * and the limit of the IDT).  `info regs` is the word for people. */
#include "monitor.h"
#include "target.h"

#include <errno.h>

/* Where its lines differ by the processor's mode. */
struct printer {
	const struct print_sink *out;
	const struct x86_state *st;
	bool is_64; /* 64-bit code: numbers have 16 digits, and there are 16 registers */
	bool is_long;
};

static unsigned long long ll(uint64_t value)
{
	return value;
}

static void print_number(const struct printer *p, const char *name, uint64_t value, bool is_wide,
			 const char *end)
{
	print_to(p->out, "%s=%0*llx%s", name, is_wide ? 16 : 8,
		 ll(is_wide ? value : value & UINT32_MAX), end);
}

static void print_general(const struct printer *p)
{
	static const struct {
		const char *name, *name32;
		enum x86_gpr gpr;
	} rows[X86_GPR_COUNT] = {
		{"RAX", "EAX", X86_RAX}, {"RBX", "EBX", X86_RBX}, {"RCX", "ECX", X86_RCX},
		{"RDX", "EDX", X86_RDX}, {"RSI", "ESI", X86_RSI}, {"RDI", "EDI", X86_RDI},
		{"RBP", "EBP", X86_RBP}, {"RSP", "ESP", X86_RSP}, {"R8 ", "", X86_R8},
		{"R9 ", "", X86_R9},	 {"R10", "", X86_R10},	  {"R11", "", X86_R11},
		{"R12", "", X86_R12},	 {"R13", "", X86_R13},	  {"R14", "", X86_R14},
		{"R15", "", X86_R15},
	};

	for (unsigned i = 0; i < (p->is_64 ? X86_GPR_COUNT : 8u); i++)
		print_number(p, p->is_64 ? rows[i].name : rows[i].name32, p->st->gpr[rows[i].gpr],
			     p->is_64, i % 4 == 3 ? "\n" : " ");
}

static void print_flags(const struct printer *p)
{
	static const struct {
		char letter;
		uint64_t bit;
	} flags[] = {{'D', 1u << 10}, {'O', 1u << 11}, {'S', 1u << 7}, {'Z', 1u << 6},
		     {'A', 1u << 4},  {'P', 1u << 2},  {'C', 1u << 0}};
	char text[UMBRA_ARRAY_SIZE(flags) + 1] = "";

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(flags); i++)
		text[i] = (char)(p->st->rflags & flags[i].bit ? flags[i].letter : '-');
	print_number(p, p->is_64 ? "RIP" : "EIP", p->st->rip, p->is_64, " ");
	print_to(p->out, "%s=%08llx [%s] CPL=%u II=%d A20=1 SMM=0 HLT=%d\n",
		 p->is_64 ? "RFL" : "EFL", ll(p->st->rflags), text, x86_cpl_of(p->st),
		 p->st->is_in_int_shadow, p->st->activity == X86_HALTED);
}

/* The second half of the descriptor without its parts of the base (SDM 3A figure 3-8). */
static uint32_t descriptor_flags(const struct x86_seg *seg)
{
	uint32_t limit = seg->g ? seg->limit >> 12 : seg->limit;

	return (uint32_t)seg->g << 23 | (uint32_t)seg->db << 22 | (uint32_t)seg->l << 21 |
	       (uint32_t)seg->avl << 20 | (limit & 0xf0000) | (uint32_t)seg->present << 15 |
	       (uint32_t)(seg->dpl & 3) << 13 | (uint32_t)seg->s << 12 |
	       (uint32_t)(seg->type & 15) << 8;
}

/* Of what LDTR and TR can hold. */
static const char *system_name(const struct printer *p, unsigned type)
{
	switch (type) {
	case 1:
		return "TSS16-avl";
	case 2:
		return "LDT";
	case 3:
		return "TSS16-busy";
	case 9:
		return p->is_long ? "TSS64-avl" : "TSS32-avl";
	case 11:
		return p->is_long ? "TSS64-busy" : "TSS32-busy";
	default:
		return "Reserved";
	}
}

static void print_kind(const struct printer *p, const struct x86_seg *seg)
{
	const char *name = seg->db || p->is_long ? "DS  " : "DS16";
	bool is_code = seg->type & 8;

	print_to(p->out, " DPL=%u ", seg->dpl);
	if (!seg->s) {
		print_to(p->out, "%s", system_name(p, seg->type));
		return;
	}
	if (is_code)
		name = seg->l ? "CS64" : seg->db ? "CS32" : "CS16";
	print_to(p->out, "%s [%c%c%c]", name, seg->type & 4 ? (is_code ? 'C' : 'E') : '-',
		 seg->type & 2 ? (is_code ? 'R' : 'W') : '-', seg->type & 1 ? 'A' : '-');
}

static void print_segment(const struct printer *p, const char *name, const struct x86_seg *seg)
{
	bool is_present = seg->present && !seg->unusable;

	print_to(p->out, "%-3s=%04x %0*llx %08x %08x", name, seg->selector, p->is_64 ? 16 : 8,
		 ll(p->is_64 ? seg->base : seg->base & UINT32_MAX), seg->limit,
		 seg->unusable ? 0 : descriptor_flags(seg));
	if (is_present && (p->st->cr0 & X86_CR0_PE))
		print_kind(p, seg);
	print_to(p->out, "\n");
}

static void print_system(const struct printer *p)
{
	static const char *const names[X86_SEG_COUNT] = {
		[X86_ES] = "ES", [X86_CS] = "CS", [X86_SS] = "SS",
		[X86_DS] = "DS", [X86_FS] = "FS", [X86_GS] = "GS",
	};
	static const enum x86_seg_reg order[] = {X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS};
	const struct x86_state *st = p->st;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(order); i++)
		print_segment(p, names[order[i]], &st->seg[order[i]]);
	print_segment(p, "LDT", &st->ldtr);
	print_segment(p, "TR", &st->tr);
	print_to(p->out, "GDT=     %0*llx %08x\n", p->is_long ? 16 : 8, ll(st->gdtr.base),
		 st->gdtr.limit);
	print_to(p->out, "IDT=     %0*llx %08x\n", p->is_long ? 16 : 8, ll(st->idtr.base),
		 st->idtr.limit);
	print_to(p->out, "CR0=%08llx ", ll(st->cr0));
	print_number(p, "CR2", st->cr2, p->is_long, " ");
	print_number(p, "CR3", st->cr3, p->is_long, " ");
	print_to(p->out, "CR4=%08llx\n", ll(st->cr4));
	for (unsigned i = 0; i < 4; i++)
		print_to(p->out, "DR%u=%016llx ", i, ll(st->dr[i]));
	print_to(p->out, "\nDR6=%016llx DR7=%016llx\nEFER=%016llx\n", ll(st->dr[6]), ll(st->dr[7]),
		 ll(st->efer));
}

/* FPR0 to FPR7 are the registers themselves; ST(0) is the one that the top of the stack names. */
static void print_fpu(const struct printer *p)
{
	const struct x86_fpu *fpu = &p->st->fpu;
	unsigned top = fpu->fsw >> 11 & 7;

	print_to(p->out, "FCW=%04x FSW=%04x [ST=%u] FTW=%02x MXCSR=%08x\n", fpu->fcw, fpu->fsw, top,
		 fpu->ftw, fpu->mxcsr);
	for (unsigned i = 0; i < 8; i++) {
		const uint8_t *reg = fpu->st[(i - top) % 8];

		print_to(p->out, "FPR%u=%016llx %04x%s", i, ll(le64_get(reg)), le16_get(reg + 8),
			 i % 2 ? "\n" : " ");
	}
	for (unsigned i = 0; i < (p->is_64 ? 16u : 8u); i++)
		print_to(p->out, "XMM%02u=%016llx %016llx%s", i, ll(le64_get(fpu->xmm[i] + 8)),
			 ll(le64_get(fpu->xmm[i])), i % 2 ? "\n" : " ");
}

int mon_info_registers(struct mon_call *call)
{
	struct printer p = {.out = call->out, .st = monitor_state(call, X86_STATE_ALL)};

	if (!p.st)
		return EIO;
	p.is_long = p.st->efer & X86_EFER_LMA;
	p.is_64 = x86_mode_of(p.st) == X86_MODE_LONG64;
	print_to(p.out, "\nCPU#%u\n", call->vcpu);
	print_general(&p);
	print_flags(&p);
	print_system(&p);
	print_fpu(&p);
	return 0;
}
