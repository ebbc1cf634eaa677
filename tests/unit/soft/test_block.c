/* Unit tests of the cache of decoded blocks: what makes blocks go away, how they are linked, and
 * that they count exactly. */
#include "soft_rig.h"

#include "src/accel/soft/cache.h"

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

TestSuite(block, .init = set_up, .fini = tear_down);

static struct soft_block_stats stats(void)
{
	struct soft_block_stats s;

	soft_block_stats(rig->c, &s);
	return s;
}

static uint64_t reg(enum x86_gpr r)
{
	return rig->c->r[r];
}

static void run_at_code(uint64_t count)
{
	struct soft_rig_result result;

	rig->c->rip = CODE;
	result = soft_rig_run(rig, count);
	cr_assert_eq(result.end, SOFT_RIG_OK);
	cr_assert_eq(result.count, count);
}

Test(block, run_when_executed_twice_then_translated_once)
{
	uint64_t translated;

	SOFT_RIG_CODE_BYTES(rig, 0xb8, 1, 0, 0, 0, 0xeb, 0xf9); /* 1: mov eax, 1; jmp 1b */
	run_at_code(2);
	translated = stats().translated;
	run_at_code(1000);
	cr_assert_eq(stats().translated, translated);
}

Test(block, poke_when_code_changes_then_new_code_runs)
{
	SOFT_RIG_CODE_BYTES(rig, 0xb8, 1, 0, 0, 0, 0xeb, 0xf9);
	run_at_code(2);
	soft_rig_poke(rig, CODE + 1, "\x07", 1);
	run_at_code(2);
	cr_assert_eq(reg(X86_RAX), 7);
	cr_assert_gt(stats().evicted, 0);
}

Test(block, store_when_into_other_block_then_new_code_runs)
{
	/* 1: mov eax, 1; jmp 2f; 2: mov byte [rip - 13], 9; jmp 1b */
	SOFT_RIG_CODE_BYTES(rig, 0xb8, 1, 0, 0, 0, 0xeb, 0x00, 0xc6, 0x05, 0xf3, 0xff, 0xff, 0xff,
			    9, 0xeb, 0xf0);
	run_at_code(1000);
	cr_assert_eq(soft_rig_peek(rig, CODE + 1, 1), 9);
	cr_assert_eq(reg(X86_RAX), 9);
}

Test(block, store_when_into_running_block_then_next_instruction_is_new)
{
	/* mov byte [rip + 1], 9; mov eax, 1; jmp . */
	SOFT_RIG_CODE_BYTES(rig, 0xc6, 0x05, 1, 0, 0, 0, 9, 0xb8, 1, 0, 0, 0, 0xeb, 0xfe);
	run_at_code(20);
	cr_assert_eq(reg(X86_RAX), 9);
	cr_assert_eq(rig->c->rip, CODE + 12);
}

Test(block, store_when_beside_code_then_nothing_evicted)
{
	/* 1: mov byte [rip - 8], 9; mov byte [rip + 2], 9; jmp 1b; and the bytes around it */
	static const uint8_t code[] = {0xc6, 0x05, 0xf8, 0xff, 0xff, 0xff, 9,	 0xc6,
				       0x05, 2,	   0,	 0,    0,    9,	   0xeb, 0xf0};

	soft_rig_poke(rig, CODE + 0x88, code, sizeof(code));
	rig->c->rip = CODE + 0x88;
	soft_rig_run(rig, 30);
	cr_assert_eq(stats().evicted, 0);
	cr_assert_eq(soft_rig_peek(rig, CODE + 0x87, 1), 9);
	cr_assert_eq(soft_rig_peek(rig, CODE + 0x88 + sizeof(code), 1), 9);
	cr_assert(soft_frame_has_code(&rig->vm->soft, CODE));
}

Test(block, store_when_only_data_is_written_for_long_then_frame_is_fast_again)
{
	/* Code once at DATA, then only data there: 1: mov [DATA + 0x800], al; jmp 1b at CODE. */
	soft_rig_poke(rig, DATA, "\xeb\xfe", 2);
	rig->c->rip = DATA;
	soft_rig_run(rig, 10);
	cr_assert(soft_frame_has_code(&rig->vm->soft, DATA));
	SOFT_RIG_CODE_BYTES(rig, 0x88, 0x04, 0x25, 0x00, 0x08, 0x02, 0x00, 0xeb, 0xf7);
	run_at_code(1000);
	cr_assert_not(soft_frame_has_code(&rig->vm->soft, DATA));
	/* And code there is seen again. */
	rig->c->rip = DATA;
	soft_rig_run(rig, 10);
	cr_assert_eq(rig->c->rip, DATA);
	cr_assert(soft_frame_has_code(&rig->vm->soft, DATA));
}

Test(block, store_when_page_became_code_after_fast_store_then_seen)
{
	/* mov byte [DATA + 1], 9 makes the page writable in the micro-TLB; then it becomes code. */
	static const uint8_t store[] = {0xc6, 0x04, 0x25, 0x01, 0x00, 0x02, 0x00, 9, 0xeb, 0xf6};

	soft_rig_code(rig, store, sizeof(store));
	run_at_code(2);
	soft_rig_poke(rig, DATA, "\xb8\x05\0\0\0\xeb\xfe", 7); /* mov eax, 5; jmp . */
	rig->c->rip = DATA;
	soft_rig_run(rig, 2);
	cr_assert_eq(reg(X86_RAX), 5);
	run_at_code(2);
	rig->c->rip = DATA;
	soft_rig_run(rig, 2);
	cr_assert_eq(reg(X86_RAX), 9);
}

Test(block, run_when_budget_given_then_never_exceeded)
{
	/* 1: inc eax; inc eax; inc eax; jmp 1b */
	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xc0, 0xff, 0xc0, 0xff, 0xc0, 0xeb, 0xf8);
	for (unsigned n = 1; n < 40; n++) {
		struct soft_rig_result result;

		rig->c->r[X86_RAX] = 0;
		rig->c->rip = CODE;
		result = soft_rig_run(rig, n);
		cr_assert_eq(result.count, n);
		cr_assert_eq(reg(X86_RAX), n - n / 4);
		cr_assert_eq(rig->c->rip, CODE + n % 4 * 2);
	}
}

Test(block, exception_when_in_middle_then_count_and_rip_are_exact)
{
	struct soft_rig_result result;

	/* inc eax; inc eax; mov ecx, [non-canonical rbx]; inc eax; jmp . */
	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xc0, 0xff, 0xc0, 0x8b, 0x0b, 0xff, 0xc0, 0xeb, 0xfe);
	rig->c->r[X86_RBX] = 1ull << 62;
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_EXCEPTION);
	cr_assert_eq(result.event.vector, X86_EXC_GP);
	cr_assert_eq(result.count, 2);
	cr_assert_eq(reg(X86_RAX), 2);
	cr_assert_eq(rig->c->rip, CODE + 4);
}

/* Enter the block at CODE below the rig's loop. */
static void run_block(int64_t budget)
{
	struct soft_cpu *c = rig->c;

	c->rip = CODE;
	c->left = budget;
	soft_mode_update(c);
	soft_run_block(c, soft_block_find(c));
}

Test(block, enter_when_request_waits_then_nothing_executes)
{
	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xc0, 0xeb, 0xfc); /* 1: inc eax; jmp 1b */
	run_at_code(2);
	atomic_store(&rig->c->pend, PEND_KICK);
	run_block(100);
	cr_assert_eq(rig->c->left, 100);
	cr_assert_eq(rig->c->rip, CODE);
	cr_assert_eq(reg(X86_RAX), 1);
}

Test(block, enter_when_budget_ends_then_rip_is_block_start)
{
	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xc0, 0xeb, 0xfc);
	run_block(7);
	cr_assert_eq(rig->c->left, 1);
	cr_assert_eq(rig->c->rip, CODE);
	cr_assert_eq(reg(X86_RAX), 3);
}

Test(block, link_when_request_comes_then_leaves_at_target)
{
	struct soft_cpu *c = rig->c;
	const struct insn *block;

	/* inc eax; jmp +0: not linked yet */
	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xc0, 0xeb, 0x00, 0xff, 0xc0, 0xeb, 0xfe);
	c->left = 100;
	soft_mode_update(c);
	block = soft_block_find(c);
	c->entry = block;
	atomic_store(&c->pend, PEND_IRQ);
	soft_run_block(c, block + 2); /* the jump, as if the request had come just now */
	cr_assert_eq(c->rip, CODE + 4);
	cr_assert_eq(c->left, 100);
}

Test(block, mode_when_changed_then_same_bytes_are_another_block)
{
	struct x86_state st;

	/* 64-bit: mov eax, 0x...; 16-bit: mov ax, imm16 and two more bytes */
	SOFT_RIG_CODE_BYTES(rig, 0xb8, 0x34, 0x12, 0x90, 0x90, 0xeb, 0xfe);
	soft_rig_step(rig);
	cr_assert_eq(reg(X86_RAX), 0x90901234);
	soft_rig_state(rig, X86_MODE_PROT16, 0, &st);
	soft_rig_set(rig, &st);
	soft_rig_step(rig);
	cr_assert_eq(reg(X86_RAX), 0x1234);
	cr_assert_eq(rig->c->rip, 3);
}

Test(block, run_when_rip_differs_over_same_bytes_then_relative_addresses_follow)
{
	struct x86_state st;

	/* 16-bit code, CS.base moves: call +0 pushes another IP each time. */
	soft_rig_state(rig, X86_MODE_REAL, 0, &st);
	soft_rig_poke(rig, CODE + 0x100, "\xeb\x10", 2); /* jmp +0x10 */
	for (unsigned shift = 0; shift < 4; shift++) {
		st.seg[X86_CS] = x86_seg_real((uint16_t)((CODE >> 4) + shift));
		st.rip = 0x100 - shift * 16;
		soft_rig_set(rig, &st);
		soft_rig_step(rig);
		cr_assert_eq(rig->c->rip, 0x112 - shift * 16);
		st.rip = 0x100 - shift * 16;
		soft_rig_set(rig, &st);
		soft_rig_run(rig, 1);
		cr_assert_eq(rig->c->rip, 0x112 - shift * 16);
	}
}

Test(block, exec_point_when_set_then_block_is_cut_there)
{
	const struct accel_point point = {.kind = ACCEL_POINT_EXEC, .addr = CODE + 2, .len = 1};
	const struct accel_debug with = {.point_count = 1, .point = &point}, without = {0};
	struct soft_rig_result result;

	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xc0, 0xff, 0xc1, 0xff, 0xc2, 0xeb, 0xf8);
	run_at_code(8);
	accel_soft.debug_set(rig->vcpu, &with);
	rig->c->rip = CODE;
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_POINT);
	cr_assert_eq(rig->c->rip, CODE + 2);
	cr_assert_eq(result.count, 1);
	/* Going on passes it once, and meets it again a round later. */
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_POINT);
	cr_assert_eq(result.count, 4);
	accel_soft.debug_set(rig->vcpu, &without);
	result = soft_rig_run(rig, 100);
	cr_assert_eq(result.end, SOFT_RIG_OK);
}

/* A block of 64 NOPs at DATA, made again and again until the pool is nearly full or was flushed. */
static void use_pool(uint64_t bytes)
{
	uint64_t flushed = stats().flushed;
	uint8_t code[66];

	memset(code, 0x90, sizeof(code));
	code[64] = 0xeb;
	code[65] = 0xfe;
	soft_rig_poke(rig, DATA, code, sizeof(code));
	soft_mode_update(rig->c);
	while (stats().flushed == flushed && stats().pool_bytes < bytes) {
		rig->c->rip = DATA;
		soft_block_find(rig->c);
		soft_rig_poke(rig, DATA, "\x90", 1);
	}
}

Test(block, pool_when_full_then_flushed_and_still_right)
{
	use_pool(UINT64_MAX);
	cr_assert_eq(stats().flushed, 2); /* once at the start of the vCPU */
	cr_assert_leq(stats().live, 1);
	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xc0, 0xeb, 0xfc);
	run_at_code(100);
	cr_assert_eq(reg(X86_RAX), 50);
}

/* The block at the start of the pool is the one that is left when everything goes: its link must
 * not be written into what takes its place. */
Test(block, pool_when_full_at_a_link_then_new_block_is_whole)
{
	uint8_t code[130];

	for (unsigned i = 0; i < 64; i++)
		memcpy(code + 2 * i, INC_EAX, sizeof(INC_EAX)); /* inc eax */
	memcpy(code + 128, JMP_SELF, sizeof(JMP_SELF));
	soft_rig_poke(rig, CODE + 2, code, sizeof(code));
	SOFT_RIG_CODE_BYTES(rig, 0xeb, 0x00); /* jmp to the INCs */
	soft_blocks_flush(rig->c);
	soft_mode_update(rig->c);
	soft_block_find(rig->c);
	use_pool(BLOCK_POOL_BYTES - BLOCK_MAX_BYTES + 1);
	cr_assert_eq(stats().flushed, 2);
	run_at_code(200);
	cr_assert_eq(stats().flushed, 3);
	cr_assert_eq(reg(X86_RAX), 64);
}

Test(block, flush_when_done_then_frames_are_free)
{
	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xc0, 0xeb, 0xfc);
	run_at_code(10);
	cr_assert(soft_frame_has_code(&rig->vm->soft, CODE));
	soft_blocks_flush(rig->c);
	cr_assert_not(soft_frame_has_code(&rig->vm->soft, CODE));
	cr_assert_eq(stats().live, 0);
	run_at_code(10);
}

/* The page-crossing instruction at 2 MiB - 2: mov eax, imm32 with its last three bytes in the next
 * page, which moves. */
#define EDGE 0x200000u

static void map_second(gpa_t gpa)
{
	uint8_t entry[8];

	le64_put(entry, gpa | 0x87);
	soft_rig_poke(rig, rig->c->cr3 + 0x2000 + 8, entry, sizeof(entry));
	mmu_invlpg(rig->c->vm->mmu, 0, EDGE);
}

Test(block, page_crossing_when_second_page_moves_then_new_bytes_run)
{
	soft_rig_poke(rig, EDGE - 2, "\xb8\x11", 2);
	soft_rig_poke(rig, EDGE, "\x22\x33\x44\xeb\xfe", 5);
	soft_rig_poke(rig, 2 * EDGE, "\x55\x66\x77\xeb\xfe", 5);
	for (unsigned i = 0; i < 6; i++) {
		map_second(i & 1 ? 2 * EDGE : EDGE);
		rig->c->rip = EDGE - 2;
		cr_assert_eq(soft_rig_run(rig, 2).end, SOFT_RIG_OK);
		cr_assert_eq(reg(X86_RAX), i & 1 ? 0x77665511 : 0x44332211);
	}
}

Test(block, page_crossing_when_second_page_is_written_then_evicted)
{
	soft_rig_poke(rig, EDGE - 2, "\xb8\x11", 2);
	soft_rig_poke(rig, EDGE, "\x22\x33\x44\xeb\xfe", 5);
	rig->c->rip = EDGE - 2;
	soft_rig_run(rig, 2);
	soft_rig_poke(rig, EDGE + 2, "\x99", 1);
	rig->c->rip = EDGE - 2;
	soft_rig_run(rig, 2);
	cr_assert_eq(reg(X86_RAX), 0x99332211);
}

/* Links of the first page lead into the second. */
Test(block, link_when_target_page_moves_then_new_code_runs)
{
	soft_rig_poke(rig, EDGE - 2, "\xeb\x00", 2);		   /* jmp EDGE */
	soft_rig_poke(rig, EDGE, "\xb8\x01\0\0\0\xeb\xf7", 7);	   /* mov eax, 1; jmp back */
	soft_rig_poke(rig, 2 * EDGE, "\xb8\x02\0\0\0\xeb\xf7", 7); /* mov eax, 2; jmp back */
	for (unsigned i = 0; i < 6; i++) {
		map_second(i & 1 ? 2 * EDGE : EDGE);
		rig->c->rip = EDGE - 2;
		cr_assert_eq(soft_rig_run(rig, 30).end, SOFT_RIG_OK);
		cr_assert_eq(reg(X86_RAX), i & 1 ? 2 : 1);
	}
}

/* A far transfer can give CS a smaller limit at the same base.  Twice, because blocks that are made
 * for the first time void what was known before. */
Test(block, jump_when_the_cs_limit_shrank_then_nothing_runs_beyond_it)
{
	soft_rig_mode(rig, X86_MODE_PROT32, 0);
	SOFT_RIG_CODE_BYTES(rig, 0xff, 0xe0);		 /* jmp eax */
	soft_rig_poke(rig, CODE + 0x800, "\xeb\xfe", 2); /* jmp . */
	rig->c->r[X86_RAX] = CODE + 0x800;
	for (unsigned round = 0; round < 4; round++) {
		bool is_short = round & 1;
		struct soft_rig_result result;

		rig->c->seg[X86_CS].limit = CODE + (is_short ? 0x7ff : 0xfff);
		soft_mode_changed(rig->c);
		rig->c->rip = CODE;
		result = soft_rig_run(rig, 9);
		cr_assert_eq(result.end, is_short ? SOFT_RIG_EXCEPTION : SOFT_RIG_OK);
		cr_assert_eq(result.count, is_short ? 0 : 9);
	}
}
