/* Unit tests of translation: which bytes are instructions in which mode, what their mode and
 * prefixes forbid, where blocks end, how addresses are made, and that eliding flags changes nothing
 * that can be seen. */
#include "soft_rig.h"

#include <criterion/criterion.h>

#define CODE SOFT_RIG_CODE
#define DATA SOFT_RIG_DATA

static const uint8_t INC_EAX[] = {0xff, 0xc0}, JMP_SELF[] = {0xeb, 0xfe};

static struct soft_rig *rig;

static void set_up(void)
{
	rig = soft_rig_create(8);
}

static void tear_down(void)
{
	soft_rig_destroy(rig);
}

TestSuite(translate, .init = set_up, .fini = tear_down);

static struct soft_rig_result execute(const void *bytes, size_t len)
{
	soft_rig_code(rig, bytes, len);
	return soft_rig_step(rig);
}
#define EXECUTE(...) execute((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void expect(struct soft_rig_result r, unsigned vector)
{
	cr_assert_eq(r.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(r.event.vector, vector);
	cr_assert_eq(r.event.has_error,
		     vector == X86_EXC_GP || vector == X86_EXC_PF || vector == X86_EXC_SS);
	cr_assert_eq(r.count, 0);
}

static void expect_gp(struct soft_rig_result r)
{
	expect(r, X86_EXC_GP);
	cr_assert_eq(r.event.error, 0);
	cr_assert_eq(rig->c->rip + rig->c->seg[X86_CS].base, CODE);
}

/* What is an instruction. */

static const struct {
	enum x86_mode mode;
	uint8_t byte[8];
	const char *what;
} UNDEFINED[] = {
	{X86_MODE_LONG64, {0x0f, 0x0b}, "ud2"},
	{X86_MODE_LONG64, {0xc5, 0xf8, 0x77}, "vzeroupper"},
	{X86_MODE_LONG64, {0xc4, 0xe2, 0x70, 0xf2, 0xc2}, "andn"},
	{X86_MODE_LONG64, {0x62, 0xf1, 0x7c, 0x48, 0x28, 0xc1}, "vmovaps zmm"},
	{X86_MODE_LONG64, {0x8f, 0xe9, 0x78, 0x01, 0xc9}, "xop"},
	{X86_MODE_LONG64, {0x0f, 0x0f, 0xc1, 0x9e}, "3dnow"},
	{X86_MODE_LONG64, {0xf0, 0x01, 0xd8}, "lock add reg"},
	{X86_MODE_LONG64, {0xf0, 0x03, 0x03}, "lock add reg, mem"},
	{X86_MODE_LONG64, {0xf0, 0x90}, "lock nop"},
	{X86_MODE_LONG64, {0xf0, 0x8b, 0x03}, "lock mov"},
	{X86_MODE_LONG64, {0x06}, "push es"},
	{X86_MODE_LONG64, {0x0f, 0x24, 0xc0}, "mov tr"},
	{X86_MODE_LONG64, {0x8c, 0xf0}, "mov from segment 6"},
	{X86_MODE_LONG64, {0x8e, 0xc8}, "mov cs"},
	{X86_MODE_REAL, {0x0f, 0x00, 0xd0}, "lldt in real mode"},
	{X86_MODE_V86, {0x0f, 0x00, 0xd8}, "ltr in virtual-8086 mode"},
	{X86_MODE_REAL, {0x63, 0xc0}, "arpl in real mode"},
};

Test(translate, bytes_when_not_of_the_model_then_ud)
{
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(UNDEFINED); i++) {
		struct soft_rig_result r;

		soft_rig_mode(rig, UNDEFINED[i].mode, UNDEFINED[i].mode == X86_MODE_V86 ? 3 : 0);
		rig->c->r[X86_RBX] = DATA;
		r = execute(UNDEFINED[i].byte, sizeof(UNDEFINED[i].byte));
		cr_assert_eq(r.end, SOFT_RIG_EXCEPTION, "%s", UNDEFINED[i].what);
		cr_assert_eq(r.event.vector, X86_EXC_UD, "%s: vector %u", UNDEFINED[i].what,
			     r.event.vector);
		cr_assert_eq(r.count, 0);
	}
}

Test(translate, newer_encodings_when_model_is_older_then_old_meaning)
{
	rig->c->r[X86_RCX] = 8;
	cr_assert_eq(EXECUTE(0xf3, 0x0f, 0xbd, 0xc1).end, SOFT_RIG_OK); /* LZCNT is BSR */
	cr_assert_eq(rig->c->r[X86_RAX], 3);
	cr_assert_eq(EXECUTE(0xf3, 0x0f, 0xbc, 0xc1).end, SOFT_RIG_OK); /* TZCNT is BSF */
	cr_assert_eq(rig->c->r[X86_RAX], 3);
	cr_assert_eq(EXECUTE(0xf3, 0x0f, 0x1e, 0xfa).end, SOFT_RIG_OK); /* ENDBR64 is NOP */
	cr_assert_eq(rig->c->rip, CODE + 4);
}

Test(translate, length_when_15_bytes_then_runs_when_16_then_gp)
{
	uint8_t code[16];

	memset(code, 0x66, sizeof(code));
	code[14] = 0x90;
	cr_assert_eq(execute(code, 15).end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->rip, CODE + 15);
	code[14] = 0x66;
	code[15] = 0x90;
	expect_gp(execute(code, 16));
}

Test(translate, lock_when_legal_then_runs)
{
	rig->c->r[X86_RBX] = DATA;
	rig->c->r[X86_RAX] = 5;
	cr_assert_eq(EXECUTE(0xf0, 0x01, 0x03).end, SOFT_RIG_OK); /* lock add [rbx], eax */
	cr_assert_eq(soft_rig_peek(rig, DATA, 4), 5);
}

/* What the mode forbids. */

Test(translate, privileged_when_each_cpl_then_gp_but_for_0)
{
	for (unsigned cpl = 0; cpl < 4; cpl++) {
		struct soft_rig_result r;

		soft_rig_mode(rig, X86_MODE_LONG64, cpl);
		r = EXECUTE(0xf4); /* hlt */
		if (cpl == 0)
			cr_assert_eq(r.end, SOFT_RIG_HALTED);
		else
			expect_gp(r);
	}
	soft_rig_mode(rig, X86_MODE_REAL, 0);
	cr_assert_eq(EXECUTE(0xf4).end, SOFT_RIG_HALTED);
	soft_rig_mode(rig, X86_MODE_V86, 3);
	expect_gp(EXECUTE(0xf4));
}

static void set_control(uint64_t cr0_bits, uint64_t cr4_clear)
{
	struct x86_state st;

	soft_rig_state(rig, X86_MODE_LONG64, 0, &st);
	st.cr0 |= cr0_bits;
	st.cr4 &= ~cr4_clear;
	soft_rig_set(rig, &st);
}

Test(translate, fpu_when_control_bits_forbid_then_nm_or_ud)
{
	static const uint8_t fninit[] = {0xdb, 0xe3}, xorps[] = {0x0f, 0x57, 0xc0},
			     pxor[] = {0x0f, 0xef, 0xc0}; /* MMX */

	set_control(X86_CR0_TS, 0);
	expect(execute(fninit, sizeof(fninit)), X86_EXC_NM);
	expect(execute(xorps, sizeof(xorps)), X86_EXC_NM);
	expect(execute(pxor, sizeof(pxor)), X86_EXC_NM);
	set_control(X86_CR0_EM, 0);
	expect(execute(fninit, sizeof(fninit)), X86_EXC_NM);
	expect(execute(xorps, sizeof(xorps)), X86_EXC_UD);
	expect(execute(pxor, sizeof(pxor)), X86_EXC_UD);
	set_control(X86_CR0_EM | X86_CR0_TS, X86_CR4_OSFXSR);
	expect(execute(pxor, sizeof(pxor)), X86_EXC_UD);
	set_control(X86_CR0_TS, X86_CR4_OSFXSR);
	expect(execute(pxor, sizeof(pxor)), X86_EXC_NM);
	expect(execute(xorps, sizeof(xorps)), X86_EXC_UD);
	set_control(0, 0);
	cr_assert_eq(execute(fninit, sizeof(fninit)).end, SOFT_RIG_OK);
	cr_assert_eq(execute(xorps, sizeof(xorps)).end, SOFT_RIG_OK);
	cr_assert_eq(execute(pxor, sizeof(pxor)).end, SOFT_RIG_OK);
}

/* Pages and limits. */

Test(translate, fetch_when_second_page_is_absent_then_pf_there_unless_not_needed)
{
	static const uint8_t absent[8] = {0};
	struct soft_rig_result r;

	soft_rig_poke(rig, rig->c->cr3 + 0x2008, absent, sizeof(absent));
	mmu_flush(rig->c->vm->mmu, 0);
	soft_rig_poke(rig, 0x1ffffc, "\x90\x90\xb8\x01", 4);
	rig->c->rip = 0x1ffffc;
	r = soft_rig_run(rig, 10);
	expect((struct soft_rig_result){.end = r.end, .event = r.event}, X86_EXC_PF);
	cr_assert_eq(r.count, 2);
	cr_assert_eq(r.event.cr2, 0x200000);
	cr_assert_eq(r.event.error & ~X86_PF_I, 0);
	cr_assert_eq(rig->c->rip, 0x1ffffe);
	/* #UD by the bytes that are there. */
	soft_rig_poke(rig, 0x1ffffe, "\x0f\x0b", 2);
	expect(soft_rig_step(rig), X86_EXC_UD);
	/* An instruction that ends with the page. */
	soft_rig_poke(rig, 0x1ffffe, "\x89\xc8", 2);
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	r = soft_rig_step(rig);
	expect(r, X86_EXC_PF);
	cr_assert_eq(r.event.cr2, 0x200000);
}

Test(translate, fetch_when_from_device_then_ud)
{
	rig->c->rip = 0xe0000000;
	expect(soft_rig_step(rig), X86_EXC_UD);
}

Test(translate, fetch_when_beyond_cs_limit_then_gp)
{
	static const uint8_t mov[] = {0xb8, 1, 0, 0, 0, 0xb8, 2, 0, 0, 0};
	struct x86_state st;
	struct soft_rig_result r;

	soft_rig_poke(rig, CODE, mov, sizeof(mov));
	soft_rig_state(rig, X86_MODE_PROT32, 0, &st);
	for (uint32_t limit = CODE; limit < CODE + 10; limit++) {
		unsigned expected = limit < CODE + 4 ? 0 : limit < CODE + 9 ? 1 : 2;

		st.seg[X86_CS].limit = limit;
		soft_rig_set(rig, &st);
		r = soft_rig_run(rig, 10);
		cr_assert_eq(r.end, SOFT_RIG_EXCEPTION);
		cr_assert_eq(r.event.vector, X86_EXC_GP);
		cr_assert_eq(r.event.error, 0);
		cr_assert_eq(r.count, expected, "limit %#x: %u", limit, (unsigned)r.count);
		cr_assert_eq(rig->c->rip, CODE + 5 * expected);
		soft_rig_set(rig, &st);
		cr_assert_eq(soft_rig_step(rig).count, expected ? 1 : 0);
	}
}

Test(translate, jump_when_beyond_cs_limit_then_gp_of_the_jump)
{
	struct x86_state st;
	struct soft_rig_result r;

	soft_rig_poke(rig, CODE, "\x90\xeb\x70", 3);
	soft_rig_state(rig, X86_MODE_PROT32, 0, &st);
	st.seg[X86_CS].limit = CODE + 0x20;
	soft_rig_set(rig, &st);
	r = soft_rig_run(rig, 10);
	cr_assert_eq(r.event.vector, X86_EXC_GP);
	cr_assert_eq(r.count, 1);
	cr_assert_eq(rig->c->rip, CODE + 1);
}

/* Real mode in a segment whose end is not that of a page: two NOPs at its last bytes, @code behind.
 */
static struct soft_rig_result run_past_16_bits(uint32_t limit, const char *code, size_t len)
{
	struct x86_state st;

	soft_rig_state(rig, X86_MODE_REAL, 0, &st);
	st.seg[X86_CS] = x86_seg_real((CODE >> 4) + 1);
	st.seg[X86_CS].limit = limit;
	st.rip = 0xfffe;
	soft_rig_set(rig, &st);
	soft_rig_poke(rig, CODE + 0x10 + 0xfffe, "\x90\x90", 2);
	soft_rig_poke(rig, CODE + 0x10 + 0x10000, code, len);
	return soft_rig_run(rig, 4);
}

Test(translate, rip_when_behind_16_bits_and_the_cs_limit_then_gp)
{
	struct soft_rig_result r = run_past_16_bits(0xffff, "\x90", 1);

	cr_assert_eq(r.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(r.event.vector, X86_EXC_GP);
	cr_assert_eq(r.count, 2);
	cr_assert_eq(rig->c->rip, 0x10000);
}

/* "Unreal" code: 16-bit code goes on where CS is longer; a 16-bit branch goes back. */
Test(translate, rip_when_behind_16_bits_and_cs_is_longer_then_goes_on)
{
	struct soft_rig_result r = run_past_16_bits(UINT32_MAX, "\x40\x40", 2);

	cr_assert_eq(r.end, SOFT_RIG_OK);
	cr_assert_eq(rig->c->r[X86_RAX], 2);
	cr_assert_eq(rig->c->rip, 0x10002);
	run_past_16_bits(UINT32_MAX, "\x40\xeb\x10", 3);
	cr_assert_eq(rig->c->rip, 0x13);
	run_past_16_bits(UINT32_MAX, "\x40\x66\xeb\x10", 4);
	cr_assert_eq(rig->c->rip, 0x10014);
}

Test(translate, fetch_when_rip_is_far_beyond_cs_limit_then_gp)
{
	struct x86_state st;

	soft_rig_poke(rig, CODE, "\x90", 1);
	soft_rig_state(rig, X86_MODE_PROT32, 0, &st);
	st.seg[X86_CS].limit = CODE / 2;
	soft_rig_set(rig, &st);
	expect_gp(soft_rig_step(rig));
}

Test(translate, block_when_longer_than_its_limit_then_goes_on)
{
	uint8_t code[200];
	struct soft_rig_result r;

	for (unsigned i = 0; i < 99; i++)
		memcpy(code + 2 * i, INC_EAX, sizeof(INC_EAX)); /* inc eax */
	memcpy(code + 198, JMP_SELF, sizeof(JMP_SELF));
	soft_rig_code(rig, code, sizeof(code));
	r = soft_rig_run(rig, 500);
	cr_assert_eq(r.count, 500);
	cr_assert_eq(rig->c->r[X86_RAX], 99);
}

/* Addresses. */

static void expect_loaded(struct soft_rig_result r, uint64_t value)
{
	cr_assert_eq(r.end, SOFT_RIG_OK, "vector %u", r.event.vector);
	cr_assert_eq(rig->c->r[X86_RAX], value, "%#llx", (unsigned long long)rig->c->r[X86_RAX]);
}

Test(translate, address_when_64_bit_then_each_form)
{
	soft_rig_poke(rig, DATA + 0x30, "\x11\x22\x33\x44", 4);
	rig->c->r[X86_RBX] = DATA;
	rig->c->r[X86_RCX] = 6;
	expect_loaded(EXECUTE(0x8b, 0x44, 0xcb, 0x00), 0x44332211);    /* [rbx + rcx * 8] */
	expect_loaded(EXECUTE(0x8b, 0x43, 0x30), 0x44332211);	       /* [rbx + 0x30] */
	expect_loaded(EXECUTE(0x8b, 0x44, 0x4b, 0x24), 0x44332211);    /* [rbx + rcx * 2 + 0x24] */
	expect_loaded(EXECUTE(0x8b, 0x05, 0x2a, 0, 1, 0), 0x44332211); /* [rip + 0x1002a] */
	/* [eip + 0x10029] */
	expect_loaded(EXECUTE(0x67, 0x8b, 0x05, 0x29, 0, 1, 0), 0x44332211);
	expect_loaded(EXECUTE(0x8b, 0x04, 0x25, 0x30, 0, 2, 0), 0x44332211); /* [0x20030] */
	expect_loaded(EXECUTE(0xa1, 0x30, 0, 2, 0, 0, 0, 0, 0), 0x44332211); /* moffs */
	rig->c->r[X86_RBX] = 0xffffffff00000000 + DATA;
	expect_loaded(EXECUTE(0x67, 0x8b, 0x43, 0x30), 0x44332211); /* [ebx + 0x30] */
	rig->c->r[X86_RBX] = DATA + 0x10000000;
	rig->c->r[X86_RDX] = 0xf0000000;
	expect_loaded(EXECUTE(0x67, 0x8b, 0x44, 0x13, 0x30), 0x44332211); /* [ebx + edx + 0x30] */
}

Test(translate, address_when_fs_or_gs_in_64_bit_then_base_is_added_and_others_are_not)
{
	soft_rig_poke(rig, DATA + 0x30, "\x11\x22\x33\x44", 4);
	rig->c->r[X86_RBX] = 0x30;
	rig->c->seg[X86_FS].base = DATA;
	rig->c->seg[X86_GS].base = DATA - 0x100000000;
	rig->c->seg[X86_DS].base = 0x5000;
	rig->c->seg[X86_ES].base = 0x5000;
	expect_loaded(EXECUTE(0x64, 0x8b, 0x03), 0x44332211);	    /* fs:[rbx] */
	expect_loaded(EXECUTE(0x64, 0x67, 0x8b, 0x03), 0x44332211); /* fs:[ebx] */
	rig->c->r[X86_RBX] = 0x100000030;
	expect_loaded(EXECUTE(0x65, 0x8b, 0x03), 0x44332211); /* gs:[rbx] */
	rig->c->r[X86_RBX] = DATA + 0x30;
	expect_loaded(EXECUTE(0x8b, 0x03), 0x44332211);
	expect_loaded(EXECUTE(0x26, 0x8b, 0x03), 0x44332211); /* es: is ignored */
}

Test(translate, address_when_16_bit_then_offset_wraps_and_segment_is_added)
{
	soft_rig_mode(rig, X86_MODE_REAL, 0);
	soft_rig_poke(rig, DATA + 0x0010, "\x11\x22", 2);
	soft_rig_poke(rig, SOFT_RIG_STACK + 0x0010, "\x33\x44", 2);
	soft_rig_poke(rig, CODE + 0x1000, "\x55\x66", 2);
	rig->c->r[X86_RBX] = 0xffff8010;
	rig->c->r[X86_RSI] = 0x8000;
	rig->c->r[X86_RBP] = 0x10;
	expect_loaded(EXECUTE(0x8b, 0x00), 0x2211);		/* [bx + si] */
	expect_loaded(EXECUTE(0x8b, 0x46, 0x00), 0x4433);	/* [bp + 0]: ss */
	expect_loaded(EXECUTE(0x2e, 0xa1, 0x00, 0x10), 0x6655); /* cs:[0x1000] */
	rig->c->r[X86_RBX] = 0x10;
	expect_loaded(EXECUTE(0x67, 0x8b, 0x03), 0x2211); /* [ebx] */
	rig->c->r[X86_RBX] = 0x10010;
	expect(EXECUTE(0x67, 0x8b, 0x03), X86_EXC_GP); /* beyond 64 KiB */
}

Test(translate, address_when_lea_then_truncated_to_address_size)
{
	rig->c->r[X86_RBX] = 0x1ffffffff;
	expect_loaded(EXECUTE(0x48, 0x8d, 0x43, 0x01), 0x200000000); /* lea rax, [rbx + 1] */
	expect_loaded(EXECUTE(0x8d, 0x43, 0x02), 0x00000001);	     /* lea eax */
	expect_loaded(EXECUTE(0x67, 0x48, 0x8d, 0x43, 0x01), 0);     /* lea rax, [ebx + 1] */
	rig->c->r[X86_RAX] = ~0ull;
	expect_loaded(EXECUTE(0x66, 0x8d, 0x43, 0x03), 0xffffffffffff0002); /* lea ax */
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	rig->c->r[X86_RBX] = 0xffff;
	rig->c->r[X86_RSI] = 2;
	expect_loaded(EXECUTE(0x67, 0x8d, 0x00), 1); /* lea eax, [bx + si] */
}

Test(translate, address_when_segment_is_limited_then_checked_for_every_byte)
{
	struct x86_state st;

	soft_rig_state(rig, X86_MODE_PROT32, 0, &st);
	st.seg[X86_DS].base = DATA;
	st.seg[X86_DS].limit = 0xfff;
	st.seg[X86_SS].base = DATA;
	st.seg[X86_SS].limit = 0xfff;
	st.seg[X86_ES].type = 1; /* read-only */
	st.gpr[X86_RBX] = 0xffc;
	st.gpr[X86_RBP] = 0xffd;
	soft_rig_set(rig, &st);
	soft_rig_poke(rig, DATA + 0xffc, "\x11\x22\x33\x44", 4);
	expect_loaded(EXECUTE(0x8b, 0x03), 0x44332211);
	rig->c->r[X86_RBX] = 0xffd;
	expect_gp(EXECUTE(0x8b, 0x03));
	expect(EXECUTE(0x8b, 0x45, 0x00), X86_EXC_SS);
	rig->c->r[X86_RBX] = 0xffffffff;
	expect_gp(EXECUTE(0x8b, 0x03));
	rig->c->r[X86_RBX] = DATA;
	expect_gp(EXECUTE(0x26, 0x89, 0x03)); /* mov es:[ebx], eax */
	cr_assert_eq(EXECUTE(0x26, 0x8b, 0x03).end, SOFT_RIG_OK);
}

/* Flags. */

static uint64_t random_state = 1;

static unsigned random_below(unsigned limit)
{
	random_state = random_state * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(random_state >> 33) % limit;
}

/* A register operation that makes or uses flags; returns its length. */
static size_t random_operation(uint8_t *out)
{
	static const uint8_t alu[] = {0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85, 0x00};
	unsigned a = random_below(4), b = random_below(4);

	switch (random_below(8)) {
	case 0: /* inc, dec */
		out[0] = 0xff;
		out[1] = (uint8_t)(0xc0 | random_below(2) << 3 | a);
		return 2;
	case 1: /* not, neg */
		out[0] = 0xf7;
		out[1] = (uint8_t)(0xd0 | random_below(2) << 3 | a);
		return 2;
	case 2: /* shift or rotate by an immediate or CL, zero too */
		out[0] = random_below(2) ? 0xc1 : 0xd3;
		out[1] = (uint8_t)(0xc0 | random_below(8) << 3 | a);
		out[2] = (uint8_t)(random_below(3) * 17);
		return out[0] == 0xc1 ? 3 : 2;
	case 3: /* setcc */
		out[0] = 0x0f;
		out[1] = (uint8_t)(0x90 | random_below(16));
		out[2] = (uint8_t)(0xc0 | a);
		return 3;
	case 4: /* imul, movzx, bt */
		out[0] = 0x0f;
		out[1] = (uint8_t[]){0xaf, 0xb6, 0xa3}[random_below(3)];
		out[2] = (uint8_t)(0xc0 | a << 3 | b);
		return 3;
	case 5: /* mov eax.., a load that may not fault but might */
		out[0] = random_below(2) ? 0x89 : 0x8b;
		out[1] = (uint8_t)(out[0] == 0x89 ? 0xc0 | a << 3 | b : a << 3 | X86_RSI);
		return 2;
	case 6: /* 8-bit forms */
		out[0] = (uint8_t)(alu[random_below(9)] & ~1u);
		out[1] = (uint8_t)(0xc0 | a << 3 | b);
		return 2;
	default:
		out[0] = alu[random_below(9)];
		out[1] = (uint8_t)(0xc0 | a << 3 | b);
		return 2;
	}
}

static void set_registers(struct x86_state *st)
{
	soft_rig_state(rig, X86_MODE_LONG64, 0, st);
	for (unsigned i = 0; i < 4; i++)
		st->gpr[i] = (uint64_t)random_below(~0u) << 32 | random_below(~0u);
	st->gpr[X86_RCX] &= ~(uint64_t)random_below(256); /* often CL & 31 is 0 */
	st->gpr[X86_RSI] = DATA;
	st->rflags |= random_state >> 20 & X86_RFLAGS_STATUS;
}

Test(translate, flags_when_elided_then_run_equals_steps)
{
	for (unsigned round = 0; round < 1000; round++) {
		struct x86_state start, stepped, run;
		uint8_t code[64 * 3 + 2];
		unsigned count = 1 + random_below(40);
		size_t len = 0;

		for (unsigned i = 0; i < count; i++)
			len += random_operation(code + len);
		memcpy(code + len, JMP_SELF, sizeof(JMP_SELF));
		set_registers(&start);
		soft_rig_poke(rig, CODE, code, len + 2);
		soft_rig_set(rig, &start);
		for (unsigned i = 0; i < count; i++)
			soft_rig_step(rig);
		soft_rig_get(rig, &stepped);
		soft_rig_set(rig, &start);
		cr_assert_eq(soft_rig_run(rig, count + 1).count, count + 1);
		soft_rig_get(rig, &run);
		cr_assert_arr_eq(stepped.gpr, run.gpr, sizeof(run.gpr), "round %u", round);
		cr_assert_eq(stepped.rflags, run.rflags, "round %u: %#llx, %#llx", round,
			     (unsigned long long)stepped.rflags, (unsigned long long)run.rflags);
	}
}
