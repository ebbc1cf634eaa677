/* Decimal adjustment against another formulation: digits and carries counted one by one. */
#include "soft_rig.h"

#include <criterion/criterion.h>

#define CF X86_RFLAGS_CF
#define AF X86_RFLAGS_AF

struct outcome {
	uint16_t ax;
	bool cf, af;
};

/* DAA and DAS after a sum or difference of packed digits: the low digit is corrected by 6 when it
 * has left 0..9 or AF says so, the high one by 60h when AL was above 99h or CF says so. */
static struct outcome expect_packed(uint16_t ax, bool cf, bool af, bool is_sub)
{
	int al = ax & 0xff, fix = 0;
	struct outcome o = {.cf = false, .af = (al & 15) > 9 || af};
	bool high = al > 0x99 || cf;

	fix += o.af ? 6 : 0;
	fix += high ? 0x60 : 0;
	o.cf = high || (is_sub && o.af && al < 6);
	o.ax = (uint16_t)((ax & 0xff00) | ((is_sub ? al - fix : al + fix) & 0xff));
	return o;
}

static struct outcome expect_unpacked(uint16_t ax, bool af, bool is_sub)
{
	struct outcome o = {.ax = ax, .af = (ax & 15) > 9 || af};

	if (o.af)
		o.ax = (uint16_t)(is_sub ? ax - 0x106 : ax + 0x106);
	o.ax &= 0xff0f;
	o.cf = o.af;
	return o;
}

static struct outcome run_one(struct soft_rig *rig, uint8_t opcode, uint16_t ax, bool cf, bool af)
{
	struct soft_cpu *c = rig->c;
	uint64_t flags;

	c->r[X86_RAX] = 0xabcd0000u | ax;
	c->rip = SOFT_RIG_CODE;
	soft_set_rflags(c, X86_RFLAGS_FIXED | (cf ? CF : 0) | (af ? AF : 0));
	cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK, "opcode %#x", opcode);
	flags = soft_rflags(c);
	cr_assert_eq(c->r[X86_RAX] >> 16, 0xabcd);
	return (struct outcome){(uint16_t)c->r[X86_RAX], flags & CF, flags & AF};
}

static void check_opcode(struct soft_rig *rig, uint8_t opcode)
{
	bool is_packed = opcode < 0x30, is_sub = opcode & 8;

	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	soft_rig_code(rig, &opcode, 1);
	for (unsigned al = 0; al < 256; al++) {
		for (unsigned f = 0; f < 4; f++) {
			uint16_t ax = (uint16_t)(0x0300 + al);
			struct outcome got = run_one(rig, opcode, ax, f & 1, f & 2);
			struct outcome want = is_packed ? expect_packed(ax, f & 1, f & 2, is_sub)
							: expect_unpacked(ax, f & 2, is_sub);

			cr_assert_eq(got.ax, want.ax, "%#x of %#x: %#x", opcode, ax, got.ax);
			cr_assert_eq(got.cf, want.cf, "%#x of %#x, flags %u", opcode, ax, f);
			cr_assert_eq(got.af, want.af, "%#x of %#x, flags %u", opcode, ax, f);
		}
	}
}

Test(exec_decimal, adjustment_when_every_al_then_as_counted)
{
	static const uint8_t OPCODES[] = {0x27, 0x2f, 0x37, 0x3f}; /* DAA DAS AAA AAS */
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(OPCODES); i++)
		check_opcode(rig, OPCODES[i]);
	soft_rig_destroy(rig);
}

Test(exec_decimal, aam_aad_when_any_base_then_digits)
{
	static const uint8_t BASES[] = {10, 16, 1, 255};
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(BASES); i++) {
		const uint8_t code[] = {0xd4, BASES[i], 0xd5, BASES[i]}; /* aam; aad */

		for (unsigned al = 0; al < 256; al++) {
			soft_rig_mode(rig, X86_MODE_PROT32, 0);
			soft_rig_code(rig, code, sizeof(code));
			c->r[X86_RAX] = al;
			cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
			cr_assert_eq(c->r[X86_RAX] >> 8, al / BASES[i]);
			cr_assert_eq(c->r[X86_RAX] & 0xff, al % BASES[i]);
			cr_assert_eq(!!(soft_rflags(c) & X86_RFLAGS_ZF), al % BASES[i] == 0);
			cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
			cr_assert_eq(c->r[X86_RAX], al);
		}
	}
	soft_rig_destroy(rig);
}

Test(exec_decimal, aam_when_base_0_then_de)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_rig_result result;

	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	SOFT_RIG_CODE_BYTES(rig, 0xd4, 0x00);
	result = soft_rig_step(rig);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_DE);
	soft_rig_destroy(rig);
}

Test(exec_decimal, salc_when_carry_then_ff)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;

	for (unsigned cf = 0; cf < 2; cf++) {
		soft_rig_mode(rig, X86_MODE_PROT32, 0);
		SOFT_RIG_CODE_BYTES(rig, 0xd6);
		c->r[X86_RAX] = 0x1234;
		soft_set_rflags(c, X86_RFLAGS_FIXED | (cf ? CF : 0));
		cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
		cr_assert_eq(c->r[X86_RAX], cf ? 0x12ff : 0x1200);
	}
	soft_rig_destroy(rig);
}
