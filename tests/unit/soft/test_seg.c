/* Segment registers: loads with all checks, null selectors, and the address of an operand. */
#include "seg_world.h"

#include "src/accel/soft/seg.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define MODRM_AX(seg) ((uint8_t)(0xc0 | (seg) << 3))

/* MOV seg, AX in 32-bit protected mode with SEL_FREE described by @access. */
struct load_row {
	const char *name;
	unsigned cpl, seg;
	uint16_t selector;
	unsigned access;
	unsigned vector; /* 0: it loads */
	unsigned error;
};

static const struct load_row LOADS[] = {
	{"null DS", 3, X86_DS, 0, 0, 0, 0},
	{"null ES with an RPL", 0, X86_ES, 3, 0, 0, 0},
	{"null SS", 0, X86_SS, 0, 0, X86_EXC_GP, 0},
	{"beyond the GDT", 0, X86_DS, SEL_BEYOND, 0, X86_EXC_GP, SEL_BEYOND},
	{"beyond the GDT, error without RPL", 0, X86_FS, SEL_BEYOND + 3, 0, X86_EXC_GP, SEL_BEYOND},
	{"beyond the LDT", 0, X86_DS, 0x14, 0, X86_EXC_GP, 0x14},
	{"a TSS", 0, X86_DS, SEL_TSS, 0, X86_EXC_GP, SEL_TSS},
	{"data", 3, X86_GS, SEL_FREE + 3, ACCESS(3, 1, DATA_SEG), 0, 0},
	{"data below CPL", 3, X86_DS, SEL_FREE + 3, ACCESS(2, 1, DATA_SEG), X86_EXC_GP, SEL_FREE},
	{"data below RPL", 0, X86_DS, SEL_FREE + 3, ACCESS(2, 1, DATA_SEG), X86_EXC_GP, SEL_FREE},
	{"data, CPL above DPL, RPL not", 3, X86_DS, SEL_FREE, ACCESS(0, 1, DATA_SEG), X86_EXC_GP,
	 SEL_FREE},
	{"readable code", 0, X86_DS, SEL_FREE, ACCESS(0, 1, CODE_SEG), 0, 0},
	{"execute-only code", 0, X86_DS, SEL_FREE, ACCESS(0, 1, EXECUTE_ONLY), X86_EXC_GP,
	 SEL_FREE},
	{"conforming code of ring 0 at CPL 3", 3, X86_DS, SEL_FREE + 3,
	 ACCESS(0, 1, CONFORMING_SEG), 0, 0},
	{"absent data", 0, X86_DS, SEL_FREE, NOT_PRESENT(ACCESS(0, 1, DATA_SEG)), X86_EXC_NP,
	 SEL_FREE},
	{"absent data below CPL", 3, X86_DS, SEL_FREE, NOT_PRESENT(ACCESS(0, 1, DATA_SEG)),
	 X86_EXC_GP, SEL_FREE},
	{"SS", 3, X86_SS, SEL_FREE + 3, ACCESS(3, 1, DATA_SEG), 0, 0},
	{"SS with another RPL", 0, X86_SS, SEL_FREE + 1, ACCESS(0, 1, DATA_SEG), X86_EXC_GP,
	 SEL_FREE},
	{"SS with another DPL", 0, X86_SS, SEL_FREE, ACCESS(1, 1, DATA_SEG), X86_EXC_GP, SEL_FREE},
	{"SS read-only", 0, X86_SS, SEL_FREE, ACCESS(0, 1, READ_ONLY), X86_EXC_GP, SEL_FREE},
	{"SS code", 0, X86_SS, SEL_FREE, ACCESS(0, 1, CODE_SEG), X86_EXC_GP, SEL_FREE},
	{"SS absent", 0, X86_SS, SEL_FREE, NOT_PRESENT(ACCESS(0, 1, DATA_SEG)), X86_EXC_SS,
	 SEL_FREE},
};

static void try_load(const struct load_row *row)
{
	struct world w = world_open(X86_MODE_PROT32, row->cpl);
	struct x86_seg before = w.c->seg[row->seg];
	struct soft_rig_result result;

	world_gdt(&w, SEL_FREE, world_descriptor(0x12345678, 0x1ff, row->access & ~1u, 0x4), 0);
	w.c->r[X86_RAX] = 0xffff0000 | row->selector;
	result = WORLD_STEP(&w, 0x8e, MODRM_AX(row->seg));
	if (row->vector) {
		world_expect_fault(result, row->vector, row->error, row->name);
		cr_expect(memcmp(&before, &w.c->seg[row->seg], sizeof(before)) == 0, "%s: changed",
			  row->name);
	} else {
		world_expect_ok(result, row->name);
		cr_expect_eq(w.c->seg[row->seg].selector, row->selector, "%s", row->name);
		cr_expect_eq(w.c->seg[row->seg].unusable, row->access == 0, "%s", row->name);
	}
	if (!row->vector && row->access)
		cr_expect(world_get(&w, WORLD_GDT + SEL_FREE + 5, 1) & SEG_ACCESSED,
			  "%s: accessed bit", row->name);
	world_close(&w);
}

Test(soft_seg, load_when_protected_then_each_check_has_its_fault)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(LOADS); i++)
		try_load(&LOADS[i]);
}

Test(soft_seg, load_when_descriptor_has_every_field_then_all_are_decoded)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	const struct x86_seg *ds = &w.c->seg[X86_DS];

	world_gdt(&w, SEL_FREE, world_descriptor(0x89abcdef, 0xa1234, ACCESS(2, 1, 2), 0xd), 0);
	w.c->r[X86_RAX] = SEL_FREE;
	world_expect_ok(WORLD_STEP(&w, 0x8e, MODRM_AX(X86_DS)), "load");
	cr_expect(eq(u64, ds->base, 0x89abcdef));
	cr_expect(eq(u32, ds->limit, 0xa1234fff));
	cr_expect(eq(uint, ds->type, DATA_SEG));
	cr_expect(eq(uint, ds->dpl, 2));
	cr_expect(ds->s && ds->present && ds->avl && ds->db && ds->g && !ds->l);
	world_close(&w);
}

Test(soft_seg, load_when_ldt_then_its_descriptor)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	world_put(&w, WORLD_LDT + 8, 8, world_descriptor(0x777, 0x10, ACCESS(0, 1, DATA_SEG), 0));
	w.c->r[X86_RAX] = 0x0c;
	world_expect_ok(WORLD_STEP(&w, 0x8e, MODRM_AX(X86_ES)), "load");
	cr_expect(eq(u64, w.c->seg[X86_ES].base, 0x777));
	w.c->ldtr = seg_null(0);
	world_expect_fault(WORLD_STEP(&w, 0x8e, MODRM_AX(X86_ES)), X86_EXC_GP, 0x0c, "no LDT");
	world_close(&w);
}

/* SDM 3A 5.4.1.1: a null SS may be loaded in 64-bit mode above ring 3. */
Test(soft_seg, load_when_null_ss_in_64_bit_mode_then_by_cpl_and_rpl)
{
	static const struct {
		unsigned cpl, selector;
		bool is_good;
	} rows[] = {{0, 0, true}, {0, 3, false}, {1, 1, true}, {3, 3, false}, {3, 0, false}};

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		struct world w = world_open(X86_MODE_LONG64, rows[i].cpl);
		struct soft_rig_result result;

		w.c->r[X86_RAX] = rows[i].selector;
		result = WORLD_STEP(&w, 0x8e, MODRM_AX(X86_SS));
		if (rows[i].is_good) {
			world_expect_ok(result, "null SS");
			cr_expect(w.c->seg[X86_SS].unusable);
			cr_expect(eq(uint, w.c->seg[X86_SS].dpl, rows[i].cpl));
		} else {
			world_expect_fault(result, X86_EXC_GP, 0, "null SS");
		}
		world_close(&w);
	}
}

Test(soft_seg, mov_ss_when_done_then_interrupts_and_debug_exceptions_wait)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	w.c->r[X86_RAX] = SEL_DATA0;
	world_expect_ok(WORLD_STEP(&w, 0x8e, MODRM_AX(X86_DS)), "DS");
	cr_expect(w.c->in_int_shadow == false && w.c->in_debug_shadow == false);
	world_expect_ok(WORLD_STEP(&w, 0x8e, MODRM_AX(X86_SS)), "SS");
	cr_expect(w.c->in_int_shadow && w.c->in_debug_shadow);
	world_close(&w);
}

Test(soft_seg, load_when_real_mode_then_base_moves_and_limit_stays)
{
	struct world w = world_open(X86_MODE_REAL, 0);

	w.c->seg[X86_ES].limit = UINT32_MAX; /* "unreal" */
	w.c->r[X86_RAX] = 0x1234;
	world_expect_ok(WORLD_STEP(&w, 0x8e, MODRM_AX(X86_ES)), "ES");
	cr_expect(eq(u64, w.c->seg[X86_ES].base, 0x12340));
	cr_expect(eq(u32, w.c->seg[X86_ES].limit, UINT32_MAX));
	world_close(&w);
}

Test(soft_seg, load_when_v86_then_real_mode_contents_of_ring_3)
{
	struct world w = world_open(X86_MODE_V86, 3);
	const struct x86_seg *es = &w.c->seg[X86_ES];

	w.c->r[X86_RAX] = 0xffff;
	world_expect_ok(WORLD_STEP(&w, 0x8e, MODRM_AX(X86_ES)), "ES");
	cr_expect(es->base == 0xffff0 && es->limit == 0xffff && es->dpl == 3);
	world_close(&w);
}

Test(soft_seg, mov_from_sreg_when_each_width_then_zero_extended_or_16_bits)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	w.c->r[X86_RCX] = 0x11223344;
	world_expect_ok(WORLD_STEP(&w, 0x66, 0x8c, 0xd9), "mov cx, ds");
	cr_expect(eq(u64, w.c->r[X86_RCX], 0x11220010));
	world_expect_ok(WORLD_STEP(&w, 0x8c, 0xd9), "mov ecx, ds");
	cr_expect(eq(u64, w.c->r[X86_RCX], 0x10));
	world_put(&w, SOFT_RIG_DATA, 4, 0xaaaaaaaa);
	w.c->r[X86_RCX] = SOFT_RIG_DATA;
	world_expect_ok(WORLD_STEP(&w, 0x8c, 0x19), "mov [ecx], ds");
	cr_expect(eq(u64, world_get(&w, SOFT_RIG_DATA, 4), 0xaaaa0010));
	world_close(&w);
}

Test(soft_seg, pop_sreg_when_it_faults_then_esp_stays)
{
	struct world w = world_open(X86_MODE_PROT32, 0);
	uint64_t rsp;

	world_push(&w, 4, SEL_DATA3);
	rsp = w.c->r[X86_RSP];
	world_expect_ok(WORLD_STEP(&w, 0x1f), "pop ds");
	cr_expect(eq(u64, w.c->seg[X86_DS].selector, SEL_DATA3));
	cr_expect(eq(u64, w.c->r[X86_RSP], rsp + 4));
	world_push(&w, 2, SEL_BEYOND);
	rsp = w.c->r[X86_RSP];
	world_expect_fault(WORLD_STEP(&w, 0x66, 0x1f), X86_EXC_GP, SEL_BEYOND, "pop ds");
	cr_expect(eq(u64, w.c->r[X86_RSP], rsp));
	world_close(&w);
}

Test(soft_seg, far_pointer_load_when_good_or_bad_then_both_registers_or_none)
{
	struct world w = world_open(X86_MODE_PROT32, 0);

	world_put(&w, SOFT_RIG_DATA, 4, 0xcafe1234);
	world_put(&w, SOFT_RIG_DATA + 4, 2, SEL_DATA3);
	w.c->r[X86_RBX] = SOFT_RIG_DATA;
	world_expect_ok(WORLD_STEP(&w, 0xc4, 0x0b), "les ecx, [ebx]");
	cr_expect(eq(u64, w.c->r[X86_RCX], 0xcafe1234));
	cr_expect(eq(u64, w.c->seg[X86_ES].selector, SEL_DATA3));
	world_put(&w, SOFT_RIG_DATA + 4, 2, SEL_TSS);
	w.c->r[X86_RCX] = 7;
	world_expect_fault(WORLD_STEP(&w, 0x0f, 0xb4, 0x0b), X86_EXC_GP, SEL_TSS, "lfs ecx, [ebx]");
	cr_expect(eq(u64, w.c->r[X86_RCX], 7));
	world_close(&w);
}

/* Addresses. */

struct address_row {
	const char *name;
	enum x86_mode mode;
	unsigned seg;
	struct x86_seg in; /* selector 0xffff: as the mode has it */
	uint64_t offset;
	unsigned len;
	bool is_write;
	unsigned vector; /* 0: @la */
	gva_t la;
};

#define AS_IS                                                                                      \
	{                                                                                          \
		.selector = 0xffff                                                                 \
	}
#define DATA(base_, limit_)                                                                        \
	{                                                                                          \
		.base = (base_), .limit = (limit_), .type = 3, .s = 1, .present = 1                \
	}
#define DOWN(limit_, is_big_)                                                                      \
	{                                                                                          \
		.limit = (limit_), .type = 7, .s = 1, .present = 1, .db = (is_big_)                \
	}

static const struct address_row ADDRESSES[] = {
	{"last byte", X86_MODE_PROT32, X86_DS, DATA(0x1000, 0xff), 0xfc, 4, true, 0, 0x10fc},
	{"one behind", X86_MODE_PROT32, X86_DS, DATA(0x1000, 0xff), 0xfd, 4, true, X86_EXC_GP, 0},
	{"in SS", X86_MODE_PROT32, X86_SS, DATA(0, 0xff), 0x100, 1, false, X86_EXC_SS, 0},
	{"down: below", X86_MODE_PROT32, X86_DS, DOWN(0xff, 1), 0xff, 1, false, X86_EXC_GP, 0},
	{"down: first", X86_MODE_PROT32, X86_DS, DOWN(0xff, 1), 0x100, 1, false, 0, 0x100},
	{"down: B=0 top", X86_MODE_PROT32, X86_DS, DOWN(0xff, 0), 0xfffe, 2, false, 0, 0xfffe},
	{"down: B=0 beyond", X86_MODE_PROT32, X86_DS, DOWN(0xff, 0), 0xffff, 2, false, X86_EXC_GP,
	 0},
	{"down: B=1 top", X86_MODE_PROT32, X86_DS, DOWN(0xff, 1), 0xfffffffc, 4, false, 0,
	 0xfffffffc},
	{"base wraps", X86_MODE_PROT32, X86_DS, DATA(0xfffff000, 0xffffffff), 0x2000, 4, false, 0,
	 0x1000},
	{"write to code", X86_MODE_PROT32, X86_CS, AS_IS, 0, 1, true, X86_EXC_GP, 0},
	{"read of code", X86_MODE_PROT32, X86_CS, AS_IS, 0, 1, false, 0, 0},
	{"execute-only",
	 X86_MODE_PROT32,
	 X86_CS,
	 {.limit = 0xff, .type = 9, .s = 1, .present = 1},
	 0,
	 1,
	 false,
	 X86_EXC_GP,
	 0},
	{"write to read-only",
	 X86_MODE_PROT32,
	 X86_ES,
	 {.limit = 0xff, .type = 1, .s = 1, .present = 1},
	 0,
	 1,
	 true,
	 X86_EXC_GP,
	 0},
	{"null", X86_MODE_PROT32, X86_GS, {.unusable = 1}, 0, 1, false, X86_EXC_GP, 0},
	{"real: end", X86_MODE_REAL, X86_DS, AS_IS, 0xffff, 1, true, 0, SOFT_RIG_DATA + 0xffff},
	{"real: word at the end", X86_MODE_REAL, X86_DS, AS_IS, 0xffff, 2, true, X86_EXC_GP, 0},
	{"real: stack", X86_MODE_REAL, X86_SS, AS_IS, 0xffff, 2, true, X86_EXC_SS, 0},
	{"unreal", X86_MODE_REAL, X86_DS, DATA(0, 0xffffffff), 0x123456, 4, true, 0, 0x123456},
	{"v86", X86_MODE_V86, X86_DS, AS_IS, 0x10000, 1, false, X86_EXC_GP, 0},
	{"64: no base", X86_MODE_LONG64, X86_DS, DATA(0x5000, 0), 0x10, 8, true, 0, 0x10},
	{"64: FS base", X86_MODE_LONG64, X86_FS, DATA(0x5000, 0), 0x10, 8, true, 0, 0x5010},
	{"64: null", X86_MODE_LONG64, X86_DS, {.unusable = 1}, 0x10, 8, true, 0, 0x10},
	{"64: not canonical", X86_MODE_LONG64, X86_DS, AS_IS, 1ull << 47, 1, false, X86_EXC_GP, 0},
	{"64: into the hole", X86_MODE_LONG64, X86_DS, AS_IS, (1ull << 47) - 4, 8, false,
	 X86_EXC_GP, 0},
	{"64: stack", X86_MODE_LONG64, X86_SS, AS_IS, 1ull << 47, 1, false, X86_EXC_SS, 0},
	{"compat: limit", X86_MODE_COMPAT32, X86_DS, DATA(0, 0xff), 0x100, 1, false, X86_EXC_GP, 0},
};

/* The caller has armed the escape. */
static void try_address(const struct address_row *row)
{
	struct world w = world_open(row->mode, row->mode == X86_MODE_V86 ? 3 : 0);

	if (row->in.selector != 0xffff)
		w.c->seg[row->seg] = row->in;
	if (setjmp(w.c->escape) == ESCAPE_NONE) {
		gva_t la = soft_seg_address(w.c, row->seg, row->offset, row->len, row->is_write);

		cr_expect(row->vector == 0 && la == row->la, "%s: %#llx", row->name,
			  (unsigned long long)la);
	} else {
		cr_expect(w.c->event.vector == row->vector && w.c->event.error == 0,
			  "%s: vector %u", row->name, w.c->event.vector);
	}
	world_close(&w);
}

Test(soft_seg, address_when_inside_or_outside_then_linear_or_fault)
{
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(ADDRESSES); i++)
		try_address(&ADDRESSES[i]);
}

Test(soft_seg, address_when_la57_then_57_bits_are_canonical)
{
	struct world w = world_open(X86_MODE_LONG64, 0);

	cr_expect(seg_is_canonical(w.c, 1ull << 50) == false);
	w.c->cr4 |= X86_CR4_LA57;
	cr_expect(seg_is_canonical(w.c, 1ull << 50));
	cr_expect(seg_is_canonical(w.c, 1ull << 56) == false);
	cr_expect(seg_is_canonical(w.c, ~0ull << 56));
	world_close(&w);
}
