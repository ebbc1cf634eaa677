/* String instructions: what they move and compare, how far they get before the end of a budget, a
 * request or a fault, and how their iterations are counted. */
#include "soft_rig.h"

#include <criterion/criterion.h>

#define SRC 0x40000u
#define DST 0x60000u
#define DF  X86_RFLAGS_DF
#define ZF  X86_RFLAGS_ZF

static void fill_source(struct soft_rig *rig, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t b = (uint8_t)(i * 7 + (i >> 8) + 1);

		soft_rig_poke(rig, SRC + i, &b, 1);
	}
}

static void set_up(struct soft_rig *rig, const uint8_t *bytes, size_t len, uint64_t count)
{
	struct soft_cpu *c = rig->c;

	soft_rig_mode(rig, X86_MODE_LONG64, 0);
	soft_rig_code(rig, bytes, len);
	c->r[X86_RSI] = SRC;
	c->r[X86_RDI] = DST;
	c->r[X86_RCX] = count;
}
#define SET_UP(rig, count, ...)                                                                    \
	set_up((rig), (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}),      \
	       (count))

static void check_copy(struct soft_rig *rig, gpa_t dst, gpa_t src, size_t len)
{
	for (size_t i = 0; i < len; i++)
		cr_assert_eq(soft_rig_peek(rig, dst + i, 1), soft_rig_peek(rig, src + i, 1),
			     "byte %zu", i);
}

/* Each element size, over several pages and from odd addresses. */
Test(exec_string, rep_movs_when_over_pages_then_copied_and_counted)
{
	static const struct {
		unsigned size;
		uint8_t len, bytes[4];
	} FORMS[] = {{1, 3, {0xf3, 0xa4, 0xf4}},
		     {2, 4, {0x66, 0xf3, 0xa5, 0xf4}},
		     {4, 3, {0xf3, 0xa5, 0xf4}},
		     {8, 4, {0xf3, 0x48, 0xa5, 0xf4}}};
	struct soft_rig *rig = soft_rig_create(4);

	fill_source(rig, 0x5000);
	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(FORMS); i++) {
		const uint64_t count = 0x4000 / FORMS[i].size;
		struct soft_rig_result result;

		set_up(rig, FORMS[i].bytes, FORMS[i].len, count);
		rig->c->r[X86_RSI] = SRC + 3;
		rig->c->r[X86_RDI] = DST + 0x105;
		result = soft_rig_run(rig, 1000000);
		cr_assert_eq(result.end, SOFT_RIG_HALTED);
		cr_assert_eq(result.count, count + 1, "size %u: %llu", FORMS[i].size,
			     (unsigned long long)result.count);
		cr_assert_eq(rig->c->r[X86_RCX], 0);
		cr_assert_eq(rig->c->r[X86_RSI], SRC + 3 + 0x4000);
		cr_assert_eq(rig->c->r[X86_RDI], DST + 0x105 + 0x4000);
		check_copy(rig, DST + 0x105, SRC + 3, 0x4000);
	}
	soft_rig_destroy(rig);
}

Test(exec_string, rep_movs_when_count_0_then_nothing_and_counted_once)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_rig_result result;

	SET_UP(rig, 0, 0xf3, 0xa4, 0xf4);
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_HALTED);
	cr_assert_eq(result.count, 2);
	cr_assert_eq(rig->c->r[X86_RSI], SRC);
	soft_rig_destroy(rig);
}

/* Destination 3 above the source: a pattern of 3 bytes fills it. */
Test(exec_string, rep_movs_when_overlapping_then_pattern)
{
	struct soft_rig *rig = soft_rig_create(4);

	fill_source(rig, 3);
	SET_UP(rig, 1000, 0xf3, 0xa4, 0xf4);
	rig->c->r[X86_RDI] = SRC + 3;
	cr_assert_eq(soft_rig_run(rig, 10000).end, SOFT_RIG_HALTED);
	check_copy(rig, SRC + 3, SRC, 1000);
	soft_rig_destroy(rig);
}

Test(exec_string, rep_movs_when_downwards_then_copied)
{
	struct soft_rig *rig = soft_rig_create(4);

	fill_source(rig, 0x2000);
	SET_UP(rig, 0x400, 0xfd, 0xf3, 0xa5, 0xf4);
	rig->c->r[X86_RSI] = SRC + 0x1000 - 4;
	rig->c->r[X86_RDI] = DST + 0x1002 - 4;
	cr_assert_eq(soft_rig_run(rig, 10000).end, SOFT_RIG_HALTED);
	check_copy(rig, DST + 2, SRC, 0x1000);
	cr_assert_eq(rig->c->r[X86_RSI], SRC - 4);
	cr_assert_eq(rig->c->r[X86_RDI], DST + 2 - 4);
	soft_rig_destroy(rig);
}

Test(exec_string, rep_stos_when_over_pages_then_filled)
{
	struct soft_rig *rig = soft_rig_create(4);

	SET_UP(rig, 0x1800, 0xf3, 0xab, 0xf4);
	rig->c->r[X86_RAX] = 0xaabbccdd11223344;
	rig->c->r[X86_RDI] = DST + 2;
	cr_assert_eq(soft_rig_run(rig, 100000).end, SOFT_RIG_HALTED);
	for (size_t i = 0; i < 0x1800; i++)
		cr_assert_eq(soft_rig_peek(rig, DST + 2 + 4 * i, 4), 0x11223344);
	cr_assert_eq(soft_rig_peek(rig, DST, 2), 0);
	cr_assert_eq(soft_rig_peek(rig, DST + 2 + 4 * 0x1800, 4), 0);
	soft_rig_destroy(rig);
}

/* A budget that ends between iterations: exactly so many are done, the rest follows. */
Test(exec_string, rep_when_budget_ends_then_exact_and_continues)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_rig_result result;

	fill_source(rig, 0x2000);
	SET_UP(rig, 0x2000, 0xf3, 0xa4, 0xf4);
	result = soft_rig_run(rig, 1000);
	cr_assert_eq(result.end, SOFT_RIG_OK);
	cr_assert_eq(result.count, 1000, "%llu", (unsigned long long)result.count);
	cr_assert_eq(rig->c->r[X86_RCX], 0x2000 - 1000);
	cr_assert_eq(rig->c->rip, SOFT_RIG_CODE);
	result = soft_rig_run(rig, 100000);
	cr_assert_eq(result.end, SOFT_RIG_HALTED);
	cr_assert_eq(result.count, 0x2000 - 1000 + 1);
	check_copy(rig, DST, SRC, 0x2000);
	soft_rig_destroy(rig);
}

Test(exec_string, rep_when_stepped_then_one_iteration_each)
{
	struct soft_rig *rig = soft_rig_create(4);

	fill_source(rig, 16);
	SET_UP(rig, 3, 0xf3, 0xa4, 0xf4);
	for (unsigned i = 1; i <= 3; i++) {
		struct soft_rig_result result = soft_rig_step(rig);

		cr_assert_eq(result.end, SOFT_RIG_OK);
		cr_assert_eq(result.count, 1);
		cr_assert_eq(rig->c->r[X86_RCX], 3 - i);
		cr_assert_eq(rig->c->rip, i < 3 ? SOFT_RIG_CODE : SOFT_RIG_CODE + 2);
	}
	soft_rig_destroy(rig);
}

/* The RAM ends at 4 MiB and 64 KiB of ROM follow; beyond the mapped 4 GiB a store faults. */
Test(exec_string, rep_stos_when_it_faults_then_iterations_before_are_done)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;
	struct soft_rig_result result;
	const uint64_t start = 0x100000000 - 16;

	SET_UP(rig, 100, 0x90, 0xf3, 0xab, 0xf4); /* nop; rep stosd */
	c->r[X86_RDI] = start;
	soft_set_rflags(c, X86_RFLAGS_FIXED | X86_RFLAGS_CF);
	result = soft_rig_run(rig, 1000);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_PF);
	cr_assert_eq(result.event.cr2, 0x100000000);
	cr_assert_eq(result.count, 1 + 4, "%llu", (unsigned long long)result.count);
	cr_assert_eq(c->r[X86_RDI], 0x100000000);
	cr_assert_eq(c->r[X86_RCX], 96);
	cr_assert_eq(c->rip, SOFT_RIG_CODE + 1);
	soft_rig_destroy(rig);
}

/* There is no RAM there, and an access to a device has its instruction run alone: each iteration is
 * one of its own, with the flags that it leaves. */
Test(exec_string, repe_cmps_when_it_faults_behind_device_memory_then_count_is_exact)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;

	SET_UP(rig, 100, 0xf3, 0xa6, 0xf4);
	c->r[X86_RSI] = 0x100000000 - 2;
	c->r[X86_RDI] = 0x100000000 - 3;
	soft_set_rflags(c, X86_RFLAGS_FIXED | X86_RFLAGS_CF | X86_RFLAGS_OF);
	cr_assert_eq(soft_rig_run(rig, 1000).end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(c->r[X86_RCX], 98);
	cr_assert_eq(c->rip, SOFT_RIG_CODE);
	soft_rig_destroy(rig);
}

/* Comparisons: "abcdef" against "abcxef", and a search. */
struct compare_case {
	const char *name;
	uint8_t len, bytes[4];
	uint64_t count, rcx, rsi, rdi, flags;
};
static const struct compare_case COMPARES[] = {
	{"repe cmpsb differs",
	 3,
	 {0xf3, 0xa6, 0xf4},
	 6,
	 2,
	 4,
	 4,
	 X86_RFLAGS_CF | X86_RFLAGS_SF | X86_RFLAGS_AF},
	{"repe cmpsb equal", 3, {0xf3, 0xa6, 0xf4}, 3, 0, 3, 3, ZF | X86_RFLAGS_PF},
	{"repne cmpsb", 3, {0xf2, 0xa6, 0xf4}, 6, 5, 1, 1, ZF | X86_RFLAGS_PF},
	{"repne scasb finds x", 3, {0xf2, 0xae, 0xf4}, 6, 2, 0, 4, ZF | X86_RFLAGS_PF},
	{"repe scasb", 3, {0xf3, 0xae, 0xf4}, 6, 5, 0, 1, X86_RFLAGS_PF},
	{"cmpsw", 3, {0x66, 0xa7, 0xf4}, 6, 6, 2, 2, ZF | X86_RFLAGS_PF},
	{"scasb", 2, {0xae, 0xf4}, 6, 6, 0, 1, X86_RFLAGS_PF},
};

Test(exec_string, comparison_when_run_then_stops_where_it_should)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(COMPARES); i++) {
		const struct compare_case *t = &COMPARES[i];
		uint64_t flags;

		set_up(rig, t->bytes, t->len, t->count);
		soft_rig_poke(rig, SRC, "abcdef", 6);
		soft_rig_poke(rig, DST, "abcxef", 6);
		c->r[X86_RAX] = 'x';
		cr_assert_eq(soft_rig_run(rig, 1000).end, SOFT_RIG_HALTED, "%s", t->name);
		cr_assert_eq(c->r[X86_RCX], t->rcx, "%s", t->name);
		cr_assert_eq(c->r[X86_RSI], SRC + t->rsi, "%s", t->name);
		cr_assert_eq(c->r[X86_RDI], DST + t->rdi, "%s", t->name);
		flags = soft_rflags(c) & X86_RFLAGS_STATUS;
		cr_assert_eq(flags, t->flags, "%s: %#llx", t->name, (unsigned long long)flags);
	}
	soft_rig_destroy(rig);
}

Test(exec_string, lods_when_each_size_then_accumulator_part)
{
	static const struct {
		uint8_t len, bytes[3];
		uint64_t rax;
	} FORMS[] = {{1, {0xac}, 0x1111111111111188},
		     {2, {0x66, 0xad}, 0x1111111111118788},
		     {1, {0xad}, 0x85868788},
		     {2, {0x48, 0xad}, 0x8182838485868788}};
	static const uint64_t VALUE = 0x8182838485868788;
	struct soft_rig *rig = soft_rig_create(4);

	for (size_t i = 0; i < UMBRA_ARRAY_SIZE(FORMS); i++) {
		set_up(rig, FORMS[i].bytes, FORMS[i].len, 0);
		soft_rig_poke(rig, SRC, &VALUE, sizeof(VALUE));
		rig->c->r[X86_RAX] = 0x1111111111111111;
		cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
		cr_assert_eq(rig->c->r[X86_RAX], FORMS[i].rax, "form %zu", i);
	}
	soft_rig_destroy(rig);
}

/* With a 32-bit address size RSI, RDI and RCX are cut and lose their upper halves. */
Test(exec_string, address_size_when_32_in_long_mode_then_registers_cut)
{
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;

	fill_source(rig, 64);
	SET_UP(rig, 0x700000010, 0x67, 0xf3, 0xa4, 0xf4);
	c->r[X86_RSI] |= 5ull << 32;
	c->r[X86_RDI] |= 6ull << 32;
	cr_assert_eq(soft_rig_run(rig, 1000).end, SOFT_RIG_HALTED);
	cr_assert_eq(c->r[X86_RSI], SRC + 16);
	cr_assert_eq(c->r[X86_RDI], DST + 16);
	cr_assert_eq(c->r[X86_RCX], 0);
	check_copy(rig, DST, SRC, 16);
	soft_rig_destroy(rig);
}

/* Real mode: DI wraps at 64 KiB, the upper halves stay, and a prefix chooses the source. */
Test(exec_string, real_mode_when_di_wraps_then_within_segment)
{
	static const uint8_t CODE[] = {0x26, 0xf3, 0xa4}; /* rep movsb es:di, es:si */
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;

	soft_rig_mode(rig, X86_MODE_REAL, 0);
	soft_rig_code(rig, CODE, sizeof(CODE));
	c->seg[X86_ES].base = DST;
	soft_rig_poke(rig, DST, "0123456789", 10);
	c->r[X86_RSI] = 0xaaaa0000;
	c->r[X86_RDI] = 0xbbbbfffc;
	c->r[X86_RCX] = 0xcccc0004;
	for (unsigned i = 0; i < 4; i++)
		cr_assert_eq(soft_rig_step(rig).end, SOFT_RIG_OK);
	cr_assert_eq(c->r[X86_RSI], 0xaaaa0004);
	cr_assert_eq(c->r[X86_RDI], 0xbbbb0000);
	cr_assert_eq(c->r[X86_RCX], 0xcccc0000);
	check_copy(rig, DST + 0xfffc, DST, 4);
	soft_rig_destroy(rig);
}

/* A run in blocks may not go beyond the segment's limit, nor do more before it faults. */
Test(exec_string, segment_limit_when_run_crosses_it_then_faults_there)
{
	static const uint8_t CODE[] = {0xf3, 0xaa, 0xf4};
	struct soft_rig *rig = soft_rig_create(4);
	struct soft_cpu *c = rig->c;
	struct soft_rig_result result;

	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	c->seg[X86_ES].base = DST;
	c->seg[X86_ES].limit = 99;
	c->seg[X86_ES].g = false;
	soft_mode_changed(c);
	soft_rig_code(rig, CODE, sizeof(CODE));
	c->r[X86_RDI] = 0;
	c->r[X86_RCX] = 1000;
	c->r[X86_RAX] = 0x55;
	result = soft_rig_run(rig, 10000);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_GP);
	cr_assert_eq(c->r[X86_RDI], 100);
	cr_assert_eq(c->r[X86_RCX], 900);
	cr_assert_eq(soft_rig_peek(rig, DST + 99, 1), 0x55);
	cr_assert_eq(soft_rig_peek(rig, DST + 100, 1), 0);
	soft_rig_destroy(rig);
}
