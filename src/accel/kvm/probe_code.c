/* Guest memory for the self-test: tables and machine code as bytes, no assembler needed.
 * Addresses are chosen so that code, data and tables are the same in every mode; linear addresses
 * equal physical ones.
 * Source: SDM 3A 3.4.5 (descriptors), 4.3..4.5 (page tables), 6.11 and 6.14 (gates), 7.7 (TSS). */
#include "probe.h"

#define SEL_CODE64 0x08
#define SEL_DATA   0x10
#define SEL_CODE32 0x18
#define SEL_USER32 0x23
#define SEL_UDATA  0x2b
#define SEL_USER64 0x33
#define SEL_TSS	   0x38
#define SEL_CODE16 0x48
#define SEL_DATA16 0x50

#define GATE_INT16  0xe6 /* present, DPL 3 so that INT n may use it */
#define GATE_INT32  0xee
#define GATE64_LEN  16
#define GATE32_LEN  8
#define HANDLER_LEN 4

#define PTE_FLAGS 0x7u /* present, writable, user */
#define PTE_LARGE 0x80u
#define PDPTE_PAE 0x1u
#define PAGES_32  (PROBE_MEM_BYTES / UMBRA_PAGE_SIZE)

#define CR0_BASE  (X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE)
#define CR4_BASE  (X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT)
#define EFER_LONG (X86_EFER_LME | X86_EFER_LMA)

#define CODE_MAX      16
#define TSS_TYPE_BUSY 0xb
#define TSS_LIMIT     0x67

/* What modes have in common: the vectors, and how they page. */
#define PROTECTED16 .is_protected = true, .idt = PROBE_IDT16, .idt_limit = VECTORS(GATE32_LEN)
#define PROTECTED32 .is_protected = true, .idt = PROBE_IDT32, .idt_limit = VECTORS(GATE32_LEN)
#define LONG                                                                                       \
	.is_protected = true, .idt = PROBE_IDT64, .idt_limit = VECTORS(GATE64_LEN), FOUR_LEVELS,   \
	.efer = EFER_LONG
#define VECTORS(len) (PROBE_VECTORS * (len)-1)
#define TWO_LEVELS   .cr0 = X86_CR0_PG, .cr3 = PROBE_PD32
#define PAE_LEVELS   .cr0 = X86_CR0_PG, .cr3 = PROBE_PDPT_PAE, .cr4 = X86_CR4_PAE
#define FOUR_LEVELS  .cr0 = X86_CR0_PG, .cr3 = PROBE_PML4, .cr4 = X86_CR4_PAE
#define CODE16	     .bits = 16, .cs = SEL_CODE16, .ds = SEL_DATA16
#define CODE32	     .bits = 32, .cs = SEL_CODE32, .ds = SEL_DATA
#define CODE64	     .bits = 64, .cs = SEL_CODE64, .ds = SEL_DATA
#define USER32	     .bits = 32, .cpl = 3, .cs = SEL_USER32, .ds = SEL_UDATA
#define USER64	     .bits = 64, .cpl = 3, .cs = SEL_USER64, .ds = SEL_UDATA

static const struct probe_mode MODES[ACCEL_MODE_COUNT] = {
	[ACCEL_REAL16] = {.bits = 16, .idt = PROBE_IVT, .idt_limit = VECTORS(4)},
	[ACCEL_PROT16] = {CODE16, PROTECTED16},
	[ACCEL_PROT32] = {CODE32, PROTECTED32},
	[ACCEL_PAGED32] = {CODE32, PROTECTED32, TWO_LEVELS},
	[ACCEL_PAE] = {CODE32, PROTECTED32, PAE_LEVELS},
	[ACCEL_COMPAT32] = {CODE32, LONG},
	[ACCEL_LONG64] = {CODE64, LONG},
	[ACCEL_LONG64_USER] = {USER64, LONG},
	[ACCEL_COMPAT32_USER] = {USER32, LONG},
};

const struct probe_mode *probe_mode_row(enum accel_mode mode)
{
	return &MODES[mode];
}

/* Tables. */

static const uint64_t GDT[] = {
	0,
	0x00af9b000000ffffull, /* 08: code, 64 bits */
	0x00cf93000000ffffull, /* 10: data */
	0x00cf9b000000ffffull, /* 18: code, 32 bits */
	0x00cffb000000ffffull, /* 20: the same at CPL 3 */
	0x00cff3000000ffffull, /* 28: data, CPL 3 */
	0x00affb000000ffffull, /* 30: code, 64 bits, CPL 3 */
	0x00008b0030000067ull, /* 38: TSS at PROBE_TSS, 16 bytes */
	0,
	0x008f9b000000ffffull, /* 48: code, 16 bits */
	0x008f93000000ffffull, /* 50: data, 16-bit stack */
};

static void gate_put(uint8_t *gate, uint16_t selector, uint32_t offset, uint8_t type)
{
	le16_put(gate, (uint16_t)offset);
	le16_put(gate + 2, selector);
	gate[4] = 0;
	gate[5] = type;
	le16_put(gate + 6, (uint16_t)(offset >> 16));
}

/* The handler tells its vector by where it stands; no stack is needed to get out of it. */
static void handler_put(uint8_t *mem, unsigned vector)
{
	uint8_t *at = mem + PROBE_HANDLERS + (size_t)vector * HANDLER_LEN;

	at[0] = 0xe6; /* out %al, $PROBE_PORT */
	at[1] = PROBE_PORT;
	at[2] = 0xf4; /* hlt */
	at[3] = 0xf4;
}

static void vectors_put(uint8_t *mem)
{
	unsigned vector;

	for (vector = 0; vector < PROBE_VECTORS; vector++) {
		uint32_t handler = PROBE_HANDLERS + vector * HANDLER_LEN;

		handler_put(mem, vector);
		le32_put(mem + PROBE_IVT + (size_t)vector * 4, handler); /* CS 0 : IP */
		gate_put(mem + PROBE_IDT16 + (size_t)vector * GATE32_LEN, SEL_CODE16, handler,
			 GATE_INT16);
		gate_put(mem + PROBE_IDT32 + (size_t)vector * GATE32_LEN, SEL_CODE32, handler,
			 GATE_INT32);
		gate_put(mem + PROBE_IDT64 + (size_t)vector * GATE64_LEN, SEL_CODE64, handler,
			 GATE_INT32);
	}
}

static void paging_put(uint8_t *mem)
{
	unsigned page;

	le32_put(mem + PROBE_PD32, PROBE_PT32 | PTE_FLAGS);
	for (page = 0; page < PAGES_32; page++)
		le32_put(mem + PROBE_PT32 + (size_t)page * 4, page * UMBRA_PAGE_SIZE | PTE_FLAGS);
	le64_put(mem + PROBE_PDPT_PAE, PROBE_PD_PAE | PDPTE_PAE);
	le64_put(mem + PROBE_PD_PAE, PTE_LARGE | PTE_FLAGS);
	le64_put(mem + PROBE_PML4, PROBE_PDPT | PTE_FLAGS);
	le64_put(mem + PROBE_PDPT, PROBE_PD | PTE_FLAGS);
	le64_put(mem + PROBE_PD, PTE_LARGE | PTE_FLAGS);
}

void probe_code_tables(uint8_t *mem)
{
	unsigned i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(GDT); i++)
		le64_put(mem + PROBE_GDT + (size_t)i * 8, GDT[i]);
	le64_put(mem + PROBE_TSS + 4, PROBE_KERNEL_TOP);
	vectors_put(mem);
	paging_put(mem);
}

/* Snippets. */

struct snippet_row {
	uint8_t len;
	uint8_t code[CODE_MAX];
};

/* For 16-bit code and for the rest; the two differ where an address or REX.W is needed. */
static const struct snippet_row SNIPPETS[PROBE_SNIPPET_COUNT] = {
	[PROBE_NOPS] = {4, {0x90, 0x90, 0x90, 0x90}},
	[PROBE_POPF] = {3, {0x9d, 0x90, 0x90}},
	[PROBE_PUSHF] = {3, {0x9c, 0x90, 0x90}},
	[PROBE_IRET] = {1, {0xcf}},
	[PROBE_INT3] = {3, {0x90, 0xcc, 0x90}},
	[PROBE_INT1] = {3, {0x90, 0xf1, 0x90}},
	[PROBE_STORE] = {4, {0x90, 0x88, 0x06, 0x90}}, /* mov %al, (%esi) */
	[PROBE_LOAD] = {4, {0x90, 0x8a, 0x06, 0x90}},
	[PROBE_FPU] = {7, {0xdb, 0xe3, 0xd9, 0xe8, 0x0f, 0x58, 0xc1}}, /* fninit, fld1, addps */
	[PROBE_INT] = {3, {0xcd, PROBE_INT_N, 0x90}},
};
static const struct snippet_row STORE16 = {4, {0x90, 0x88, 0x04, 0x90}}; /* mov %al, (%si) */
static const struct snippet_row LOAD16 = {4, {0x90, 0x8a, 0x04, 0x90}};
static const struct snippet_row IRET64 = {2, {0x48, 0xcf}};

static const struct snippet_row *snippet_row(enum accel_mode mode, enum probe_snippet snippet)
{
	unsigned bits = MODES[mode].bits;

	if (bits == 16 && snippet == PROBE_STORE)
		return &STORE16;
	if (bits == 16 && snippet == PROBE_LOAD)
		return &LOAD16;
	if (bits == 64 && snippet == PROBE_IRET)
		return &IRET64;
	return &SNIPPETS[snippet];
}

unsigned probe_code_end(enum accel_mode mode, enum probe_snippet snippet)
{
	return snippet_row(mode, snippet)->len;
}

static void end_put(uint8_t *at, enum accel_mode mode)
{
	if (MODES[mode].cpl == 3) {
		at[0] = 0x0f; /* ud2 */
		at[1] = 0x0b;
	} else {
		at[0] = 0xf4; /* hlt */
	}
}

static void slot_put(uint8_t *mem, unsigned bits, unsigned index, uint64_t value)
{
	uint8_t *at = mem + PROBE_STACK + (size_t)index * bits / 8;

	if (bits == 64)
		le64_put(at, value);
	else if (bits == 32)
		le32_put(at, (uint32_t)value);
	else
		le16_put(at, (uint16_t)value);
}

/* The stack holds what POPF or IRET takes from it: flags alone, or IP, CS, flags, SP, SS. */
static void stack_put(uint8_t *mem, enum accel_mode mode, enum probe_snippet snippet)
{
	const struct probe_mode *m = &MODES[mode];

	if (snippet != PROBE_IRET) {
		slot_put(mem, m->bits, 0, X86_RFLAGS_FIXED);
		return;
	}
	slot_put(mem, m->bits, 0, PROBE_TARGET);
	slot_put(mem, m->bits, 1, m->cs);
	slot_put(mem, m->bits, 2, X86_RFLAGS_FIXED);
	slot_put(mem, m->bits, 3, PROBE_STACK);
	slot_put(mem, m->bits, 4, m->ds);
}

void probe_code_place(uint8_t *mem, enum accel_mode mode, enum probe_snippet snippet)
{
	const struct snippet_row *row = snippet_row(mode, snippet);

	memset(mem + PROBE_CODE, 0x90, PROBE_TARGET - PROBE_CODE);
	memcpy(mem + PROBE_CODE, row->code, row->len);
	end_put(mem + PROBE_CODE + row->len, mode);
	memset(mem + PROBE_TARGET, 0x90, CODE_MAX);
	end_put(mem + PROBE_TARGET + CODE_MAX, mode);
	stack_put(mem, mode, snippet);
}

/* Register state. */

static void state_protected(const struct probe_mode *m, struct x86_state *st)
{
	unsigned i;

	st->cr0 = CR0_BASE | m->cr0;
	st->cr3 = m->cr3;
	st->cr4 = CR4_BASE | m->cr4;
	st->efer = m->efer;
	for (i = 0; i < X86_SEG_COUNT; i++)
		st->seg[i] = x86_seg_flat(m->ds, false, m->bits, m->cpl);
	st->seg[X86_CS] = x86_seg_flat(m->cs, true, m->bits, m->cpl);
	st->gdtr = (struct x86_table_reg){.base = PROBE_GDT, .limit = sizeof(GDT) - 1};
	st->tr = (struct x86_seg){.base = PROBE_TSS,
				  .limit = TSS_LIMIT,
				  .selector = SEL_TSS,
				  .type = TSS_TYPE_BUSY,
				  .present = true};
	st->ldtr = (struct x86_seg){.type = 2, .unusable = true};
}

static void state_real(struct x86_state *st)
{
	unsigned i;

	for (i = 0; i < X86_SEG_COUNT; i++)
		st->seg[i] = x86_seg_real(0);
	st->cr0 = X86_CR0_MP | X86_CR0_ET | X86_CR0_NE;
	st->cr4 = CR4_BASE;
}

void probe_code_state(enum accel_mode mode, struct x86_state *st)
{
	const struct probe_mode *m = &MODES[mode];

	x86_state_reset(st);
	if (m->is_protected)
		state_protected(m, st);
	else
		state_real(st);
	st->idtr = (struct x86_table_reg){.base = m->idt, .limit = m->idt_limit};
	st->rip = PROBE_CODE;
	st->gpr[X86_RSP] = PROBE_STACK;
	st->gpr[X86_RSI] = PROBE_DATA;
}
