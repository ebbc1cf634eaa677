/* Rights and error codes of an access to a page: each rule of SDM 3A 4.6 and 4.7 by hand. */
#include "umbra/x86.h"

#include <criterion/criterion.h>

#define R 0u
#define W X86_PF_W
#define U X86_PF_U
#define I X86_PF_I

#define OK 0xffffu /* no fault */

/* The page. */
#define USER	1u
#define WRITE	2u
#define EXEC	4u
#define KEY_ONE 8u /* key 1 instead of 0 */

#define LONG (X86_EFER_LME | X86_EFER_LMA)
#define NXE  (LONG | X86_EFER_NXE)
#define WP   X86_CR0_WP
#define SMEP X86_CR4_SMEP
#define SMAP X86_CR4_SMAP
#define PKE  X86_CR4_PKE

#define KEY1_AD (1u << 2)
#define KEY1_WD (2u << 2)

struct access_case {
	const char *what;
	uint64_t cr0, cr4, efer;
	uint32_t pkru;
	unsigned page, access;
	bool smap_off;
	uint32_t error;
};

static const struct access_case CASES[] = {
	{"supervisor reads a supervisor page", WP, 0, NXE, 0, 0, R, false, OK},
	{"user reads a supervisor page", WP, 0, NXE, 0, WRITE | EXEC, U, false, 0x5},
	{"user writes a supervisor page", WP, 0, NXE, 0, WRITE | EXEC, U | W, false, 0x7},
	{"user fetches a supervisor page", WP, 0, NXE, 0, WRITE | EXEC, U | I, false, 0x15},
	{"user reads a user page", WP, 0, NXE, 0, USER, U, false, OK},
	{"user writes a read-only page", WP, 0, NXE, 0, USER | EXEC, U | W, false, 0x7},
	{"user writes a read-only page, WP=0", 0, 0, NXE, 0, USER | EXEC, U | W, false, 0x7},
	{"user writes a writable page", WP, 0, NXE, 0, USER | WRITE, U | W, false, OK},

	{"supervisor writes read-only, WP=1", WP, 0, NXE, 0, EXEC, W, false, 0x3},
	{"supervisor writes read-only, WP=0", 0, 0, NXE, 0, EXEC, W, false, OK},
	{"supervisor writes user read-only, WP=1", WP, 0, NXE, 0, USER | EXEC, W, false, 0x3},
	{"supervisor writes user read-only, WP=0", 0, 0, NXE, 0, USER | EXEC, W, false, OK},

	{"fetch from NX", WP, 0, NXE, 0, USER | WRITE, U | I, false, 0x15},
	{"supervisor fetch from NX", WP, 0, NXE, 0, WRITE, I, false, 0x11},
	{"fetch fault without NXE has no I", WP, 0, LONG, 0, EXEC, U | I, false, 0x5},
	{"fetch fault without NXE, SMEP has I", WP, SMEP, LONG, 0, EXEC, U | I, false, 0x15},

	{"SMEP: fetch of a user page", WP, SMEP, NXE, 0, USER | EXEC, I, false, 0x11},
	{"SMEP: AC does not help", WP, SMEP, NXE, 0, USER | EXEC, I, true, 0x11},
	{"SMEP: read of a user page", WP, SMEP, NXE, 0, USER | EXEC, R, false, OK},
	{"SMEP: the user's own fetch", WP, SMEP, NXE, 0, USER | EXEC, U | I, false, OK},
	{"no SMEP: fetch of a user page", WP, SMAP, NXE, 0, USER | EXEC, I, false, OK},

	{"SMAP: read of a user page", WP, SMAP, NXE, 0, USER | WRITE, R, false, 0x1},
	{"SMAP: write of a user page", WP, SMAP, NXE, 0, USER | WRITE, W, false, 0x3},
	{"SMAP: write of a user page, WP=0", 0, SMAP, NXE, 0, USER | WRITE, W, false, 0x3},
	{"SMAP: with AC", WP, SMAP, NXE, 0, USER | WRITE, W, true, OK},
	{"SMAP: with AC, read-only", WP, SMAP, NXE, 0, USER, W, true, 0x3},
	{"SMAP: with AC, read-only, WP=0", 0, SMAP, NXE, 0, USER, W, true, OK},
	{"SMAP: a supervisor page", WP, SMAP, NXE, 0, WRITE, W, false, OK},
	{"SMAP: the user's own write", WP, SMAP, NXE, 0, USER | WRITE, U | W, false, OK},
	{"AC gives the user nothing", WP, SMAP, NXE, 0, WRITE, U | W, true, 0x7},

	{"key AD: user read", WP, PKE, NXE, KEY1_AD, USER | WRITE | KEY_ONE, U, false, 0x25},
	{"key AD: supervisor read", WP, PKE, NXE, KEY1_AD, USER | KEY_ONE, R, false, 0x21},
	{"key AD: supervisor write, WP=0", 0, PKE, NXE, KEY1_AD, USER | KEY_ONE, W, false, 0x23},
	{"key AD: fetch", WP, PKE, NXE, KEY1_AD, USER | EXEC | KEY_ONE, U | I, false, OK},
	{"key AD: supervisor page", WP, PKE, NXE, KEY1_AD, WRITE | KEY_ONE, W, false, OK},
	{"key AD: another key", WP, PKE, NXE, KEY1_AD, USER | WRITE, U | W, false, OK},
	{"key AD: PKE=0", WP, 0, NXE, KEY1_AD, USER | WRITE | KEY_ONE, U | W, false, OK},
	{"key AD: not IA-32e", WP, PKE, 0, KEY1_AD, USER | WRITE | KEY_ONE, U | W, false, OK},
	{"key WD: user read", WP, PKE, NXE, KEY1_WD, USER | WRITE | KEY_ONE, U, false, OK},
	{"key WD: user write", WP, PKE, NXE, KEY1_WD, USER | WRITE | KEY_ONE, U | W, false, 0x27},
	{"key WD: user write, WP=0", 0, PKE, NXE, KEY1_WD, USER | WRITE | KEY_ONE, U | W, false,
	 0x27},
	{"key WD: supervisor write, WP=1", WP, PKE, NXE, KEY1_WD, USER | WRITE | KEY_ONE, W, false,
	 0x23},
	{"key WD: supervisor write, WP=0", 0, PKE, NXE, KEY1_WD, USER | WRITE | KEY_ONE, W, false,
	 OK},
	{"key WD: read-only too", WP, PKE, NXE, KEY1_WD, USER | KEY_ONE, U | W, false, 0x27},
	{"key AD and SMAP: both told", WP, PKE | SMAP, NXE, KEY1_AD, USER | KEY_ONE, R, false,
	 0x21},
	{"key 0 may be denied as well", WP, PKE, NXE, 1, USER, U, false, 0x25},
};

Test(x86_paging_access, allows_when_each_rule_then_error_code_matches)
{
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(CASES); i++) {
		const struct access_case *c = &CASES[i];
		const struct x86_paging regs = {.cr0 = X86_CR0_PE | X86_CR0_PG | c->cr0,
						.cr4 = X86_CR4_PAE | c->cr4,
						.efer = c->efer,
						.pkru = c->pkru};
		const struct x86_walk walk = {.mode = x86_paging_mode(&regs),
					      .is_user = c->page & USER,
					      .is_writable = c->page & WRITE,
					      .is_executable = c->page & EXEC,
					      .pkey = c->page & KEY_ONE ? 1 : 0};
		uint32_t error = OK;
		bool is_allowed = x86_walk_allows(&regs, &walk, c->access, c->smap_off, &error);

		cr_expect(is_allowed == (c->error == OK), "%s: allowed %d", c->what, is_allowed);
		cr_expect(error == c->error, "%s: error %#x", c->what, error);
	}
}

/* The highest of the sixteen keys sits in the highest bits of PKRU. */
Test(x86_paging_access, allows_when_key_fifteen_then_top_bits_of_pkru_decide)
{
	const struct x86_walk walk = {
		.mode = X86_PAGING_4LEVEL, .is_user = true, .is_writable = true, .pkey = 15};
	struct x86_paging regs = {.cr0 = X86_CR0_PG, .cr4 = PKE | X86_CR4_PAE, .efer = LONG};
	uint32_t error = 0;

	regs.pkru = 0x3fffffff;
	cr_expect(x86_walk_allows(&regs, &walk, U | W, false, &error));
	regs.pkru = 0x80000000;
	cr_expect(!x86_walk_allows(&regs, &walk, U | W, false, &error));
	cr_expect_eq(error, 0x27);
	regs.pkru = 0x40000000;
	cr_expect(!x86_walk_allows(&regs, &walk, U, false, &error));
	cr_expect_eq(error, 0x25);
}

Test(x86_paging_access, allows_when_paging_is_off_then_nothing_is_denied)
{
	const struct x86_paging regs = {
		.cr0 = X86_CR0_PE | WP, .cr4 = SMEP | SMAP | PKE, .pkru = ~0u};
	const struct x86_walk walk = {.mode = X86_PAGING_NONE, .is_user = true};
	uint32_t error = 0;

	cr_expect(x86_walk_allows(&regs, &walk, W, false, &error));
	cr_expect(x86_walk_allows(&regs, &walk, I, false, &error));
	cr_expect(x86_walk_allows(&regs, &walk, U | W, false, &error));
}

Test(x86_paging_access, error_when_walk_failed_then_code_tells_why)
{
	static const struct {
		enum x86_walk_fault fault;
		uint64_t cr4, efer;
		unsigned access;
		uint32_t error;
	} rows[] = {
		{X86_WALK_NOT_PRESENT, 0, 0, R, 0},
		{X86_WALK_NOT_PRESENT, 0, 0, U | W, 0x6},
		{X86_WALK_NOT_PRESENT, 0, 0, U | I, 0x4},
		{X86_WALK_NOT_PRESENT, 0, X86_EFER_NXE, U | I, 0x4}, /* 32-bit paging: no NX */
		{X86_WALK_NOT_PRESENT, X86_CR4_PAE, X86_EFER_NXE, U | I, 0x14},
		{X86_WALK_NOT_PRESENT, SMEP, 0, I, 0x10},
		{X86_WALK_NOT_PRESENT, PKE | X86_CR4_PAE, NXE, U, 0x4},
		{X86_WALK_RESERVED, X86_CR4_PAE, LONG, R, 0x9},
		{X86_WALK_RESERVED, X86_CR4_PAE, NXE, U | W, 0xf},
		{X86_WALK_RESERVED, X86_CR4_PAE, NXE, I, 0x19},
	};
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(rows); i++) {
		const struct x86_paging regs = {.cr0 = X86_CR0_PE | X86_CR0_PG,
						.cr4 = rows[i].cr4,
						.efer = rows[i].efer,
						.pkru = ~0u};
		const struct x86_walk walk = {.fault = rows[i].fault, .is_user = true};

		cr_expect_eq(x86_walk_error(&regs, &walk, rows[i].access), rows[i].error, "row %zu",
			     i);
	}
}
