/* Saving and loading floating-point state: FNSTENV, FNSAVE, FXSAVE, XSAVE and their counterparts,
 * LDMXCSR, STMXCSR.
 * All of it goes through the image of fpu.h.  Instruction and data pointers come from struct
 * soft_cpu: the host's name host addresses.
 * Source: SDM 1 8.1.10 (environment), 10.5 (FXSAVE), 13.4 to 13.8 (XSAVE). */
#include "access.h"
#include "exec_int.h"
#include "fpu.h"
#include "translate.h"

#include <string.h>

#define FX_BYTES     512u
#define FX_ALIGN     16u
#define XSAVE_ALIGN  64u
#define XSAVE_HEADER 512u /* offset: XSTATE_BV, XCOMP_BV, 48 bytes of zero */
#define XSAVE_BYTES  576u /* legacy region and header */
#define ST_BYTES     10u
#define ENV_MAX	     28u

/* x87 environment. */

struct x87_env {
	uint16_t fcw, fsw, tags, fop;
	uint64_t ip, dp; /* real mode: linear */
};

static uint16_t image16(const struct soft_cpu *c, unsigned offset)
{
	return le16_get(c->x87 + offset);
}

static struct x87_env read_env(const struct soft_cpu *c)
{
	struct x87_env env = {
		.fcw = image16(c, FX_FCW),
		.fsw = image16(c, FX_FSW),
		.tags = soft_x87_full_tags(c),
		.fop = c->x87_op,
		.ip = c->x87_ip,
		.dp = c->x87_dp,
	};

	if (!soft_is_protected(c)) {
		env.ip = (uint32_t)(env.ip + 16ull * c->x87_cs);
		env.dp = (uint32_t)(env.dp + 16ull * c->x87_ds);
	}
	return env;
}

/* SDM 1 figures 8-9 to 8-12.  Selectors read as 0. */

static void put_env32(const struct x87_env *env, bool is_protected, uint8_t *out)
{
	le32_put(out, 0xffff0000u | env->fcw);
	le32_put(out + 4, 0xffff0000u | env->fsw);
	le32_put(out + 8, 0xffff0000u | env->tags);
	if (is_protected) {
		le32_put(out + 12, (uint32_t)env->ip);
		le32_put(out + 16, (uint32_t)env->fop << 16);
		le32_put(out + 20, (uint32_t)env->dp);
		le32_put(out + 24, 0xffff0000u);
		return;
	}
	le32_put(out + 12, 0xffff0000u | (env->ip & 0xffff));
	le32_put(out + 16, (uint32_t)(env->ip >> 16 & 0xffff) << 12 | env->fop);
	le32_put(out + 20, 0xffff0000u | (env->dp & 0xffff));
	le32_put(out + 24, (uint32_t)(env->dp >> 16 & 0xffff) << 12);
}

static void put_env16(const struct x87_env *env, bool is_protected, uint8_t *out)
{
	le16_put(out, env->fcw);
	le16_put(out + 2, env->fsw);
	le16_put(out + 4, env->tags);
	le16_put(out + 6, (uint16_t)env->ip);
	le16_put(out + 8, 0);
	le16_put(out + 10, (uint16_t)env->dp);
	le16_put(out + 12, 0);
	if (is_protected)
		return;
	le16_put(out + 8, (uint16_t)((env->ip >> 16 & 0xf) << 12 | env->fop));
	le16_put(out + 12, (uint16_t)((env->dp >> 16 & 0xf) << 12));
}

static void get_env32(struct x87_env *env, bool is_protected, const uint8_t *in)
{
	env->fcw = le16_get(in);
	env->fsw = le16_get(in + 4);
	env->tags = le16_get(in + 8);
	if (is_protected) {
		env->ip = le32_get(in + 12);
		env->fop = le16_get(in + 18) & 0x7ff;
		env->dp = le32_get(in + 20);
		return;
	}
	env->ip = le16_get(in + 12) | (le32_get(in + 16) >> 12 & 0xffff) << 16;
	env->fop = le16_get(in + 16) & 0x7ff;
	env->dp = le16_get(in + 20) | (le32_get(in + 24) >> 12 & 0xffff) << 16;
}

static void get_env16(struct x87_env *env, bool is_protected, const uint8_t *in)
{
	env->fcw = le16_get(in);
	env->fsw = le16_get(in + 2);
	env->tags = le16_get(in + 4);
	env->ip = le16_get(in + 6);
	env->dp = le16_get(in + 10);
	if (is_protected)
		return;
	env->ip |= (uint64_t)(le16_get(in + 8) >> 12) << 16;
	env->fop = le16_get(in + 8) & 0x7ff;
	env->dp |= (uint64_t)(le16_get(in + 12) >> 12) << 16;
}

/* imm = bytes of the environment: 14 or 28. */

static void put_env(const struct soft_cpu *c, unsigned bytes, uint8_t *out)
{
	struct x87_env env = read_env(c);

	if (bytes == ENV_MAX)
		put_env32(&env, soft_is_protected(c), out);
	else
		put_env16(&env, soft_is_protected(c), out);
}

/* The registers keep their physical places; the caller makes the state live, which lets the host
 * settle the bits of FCW and FSW that cannot be chosen. */
static void set_env(struct soft_cpu *c, unsigned bytes, const uint8_t *in)
{
	struct x87_env env = {.fop = c->x87_op};

	if (bytes == ENV_MAX)
		get_env32(&env, soft_is_protected(c), in);
	else
		get_env16(&env, soft_is_protected(c), in);
	soft_x87_set_fsw(c, env.fsw);
	le16_put(c->x87 + FX_FCW, env.fcw);
	soft_x87_derive_es(c);
	soft_x87_set_full_tags(c, env.tags);
	c->x87_ip = env.ip;
	c->x87_dp = env.dp;
	c->x87_op = env.fop;
	c->x87_cs = 0;
	c->x87_ds = 0;
}

/* The address of an environment of @env bytes, with or without the registers behind it: where
 * alignment is checked, at a multiple of 4, or of 2 in the 16-bit form (SDM 3A 6.15, table 6-7). */
static gva_t env_address(struct soft_cpu *c, const struct insn *i, unsigned env)
{
	gva_t la = soft_insn_address(c, i);

	soft_check_alignment(c, la, env == ENV_MAX ? 4 : 2);
	return la;
}

static void fpu_fnstenv(struct soft_cpu *c, const struct insn *i)
{
	gva_t la = env_address(c, i, (unsigned)i->imm);
	uint8_t bytes[ENV_MAX];

	soft_x87_sync(c);
	put_env(c, (unsigned)i->imm, bytes);
	soft_store_bytes(c, la, bytes, i->imm);
	soft_x87_unload(c);
	c->x87[FX_FCW] |= X87_FCW_MASKS;
	soft_x87_derive_es(c);
	soft_x87_load(c);
	soft_x87_refresh(c);
}
SOFT_PLAIN(fpu_fnstenv)

static void fpu_fldenv(struct soft_cpu *c, const struct insn *i)
{
	uint8_t bytes[ENV_MAX];

	soft_x87_wait(c);
	soft_load_bytes(c, env_address(c, i, (unsigned)i->imm), bytes, i->imm);
	soft_x87_unload(c);
	set_env(c, (unsigned)i->imm, bytes);
	soft_x87_load(c);
	soft_x87_refresh(c);
}
SOFT_PLAIN(fpu_fldenv)

static void fpu_fnsave(struct soft_cpu *c, const struct insn *i)
{
	uint8_t bytes[ENV_MAX + 8 * ST_BYTES];
	unsigned env = (unsigned)i->imm;
	gva_t la = env_address(c, i, env);

	soft_x87_sync(c);
	put_env(c, env, bytes);
	for (size_t n = 0; n < 8; n++)
		memcpy(bytes + env + ST_BYTES * n, c->x87 + FX_ST + 16 * n, ST_BYTES);
	soft_store_bytes(c, la, bytes, env + 8 * ST_BYTES);
	soft_x87_unload(c);
	soft_x87_init(c);
	soft_x87_load(c);
	soft_x87_refresh(c);
}
SOFT_PLAIN(fpu_fnsave)

static void fpu_frstor(struct soft_cpu *c, const struct insn *i)
{
	uint8_t bytes[ENV_MAX + 8 * ST_BYTES];
	unsigned env = (unsigned)i->imm;

	soft_x87_wait(c);
	soft_load_bytes(c, env_address(c, i, env), bytes, env + 8 * ST_BYTES);
	soft_x87_unload(c);
	set_env(c, env, bytes);
	for (size_t n = 0; n < 8; n++)
		memcpy(c->x87 + FX_ST + 16 * n, bytes + env + ST_BYTES * n, ST_BYTES);
	soft_x87_load(c);
	soft_x87_refresh(c);
}
SOFT_PLAIN(fpu_frstor)

/* FXSAVE and the legacy region of XSAVE.  imm = 1 in the forms with 64-bit pointers. */

static size_t xmm_count(const struct soft_cpu *c)
{
	return soft_is_code64(c) ? 16 : 8;
}

/* An address that is not canonical comes first: it raises #SS in the stack segment. */
static void check_area(struct soft_cpu *c, gva_t la, unsigned align)
{
	if (!(la & (align - 1)))
		return;
	if (!soft_is_canonical(c, la))
		soft_probe_load(c, la, 1);
	soft_raise_error(c, X86_EXC_GP, 0);
}

/* Bytes 0 to 23 and 32 to 159 of @area. */
static void put_x87(struct soft_cpu *c, bool is_wide, uint8_t *area)
{
	soft_x87_sync(c);
	memcpy(area + FX_FCW, c->x87 + FX_FCW, 4);
	area[FX_FTW] = c->x87[FX_FTW];
	area[FX_FTW + 1] = 0;
	le16_put(area + FX_FOP, c->x87_op);
	le64_put(area + FX_FIP, is_wide ? c->x87_ip : (uint32_t)c->x87_ip);
	le64_put(area + FX_FDP, is_wide ? c->x87_dp : (uint32_t)c->x87_dp);
	for (size_t n = 0; n < 8; n++) {
		memcpy(area + FX_ST + 16 * n, c->x87 + FX_ST + 16 * n, ST_BYTES);
		memset(area + FX_ST + 16 * n + ST_BYTES, 0, 16 - ST_BYTES);
	}
}

static void set_x87(struct soft_cpu *c, bool is_wide, const uint8_t *area)
{
	soft_x87_unload(c);
	memcpy(c->x87 + FX_FCW, area + FX_FCW, 4);
	c->x87[FX_FTW] = area[FX_FTW];
	memcpy(c->x87 + FX_ST, area + FX_ST, FX_XMM - FX_ST);
	soft_x87_derive_es(c);
	c->x87_op = le16_get(area + FX_FOP) & 0x7ff;
	c->x87_ip = is_wide ? le64_get(area + FX_FIP) : le32_get(area + FX_FIP);
	c->x87_dp = is_wide ? le64_get(area + FX_FDP) : le32_get(area + FX_FDP);
	c->x87_cs = 0;
	c->x87_ds = 0;
	soft_x87_load(c);
	soft_x87_refresh(c);
}

static void put_mxcsr(struct soft_cpu *c, uint8_t *area)
{
	soft_mxcsr_sync(c);
	le32_put(area + FX_MXCSR, c->mxcsr);
	le32_put(area + FX_MXCSR_MASK, MXCSR_VALID);
}

static void check_mxcsr(struct soft_cpu *c, uint32_t mxcsr)
{
	if (mxcsr & ~MXCSR_VALID)
		soft_raise_error(c, X86_EXC_GP, 0);
}

static bool has_fxsr(const struct soft_cpu *c)
{
	return c->cr4 & X86_CR4_OSFXSR;
}

/* Bytes behind the xmm registers are software's; without CR4.OSFXSR those and MXCSR are not touched
 * (SDM 3A 2.5). */
static void fpu_fxsave(struct soft_cpu *c, const struct insn *i)
{
	gva_t la = soft_insn_address(c, i);
	size_t xmm_bytes = has_fxsr(c) ? 16 * xmm_count(c) : 0;
	uint8_t area[FX_BYTES];

	check_area(c, la, FX_ALIGN);
	put_x87(c, i->imm, area);
	put_mxcsr(c, area);
	if (!has_fxsr(c))
		memset(area + FX_MXCSR, 0, 8);
	memcpy(area + FX_XMM, c->xmm, sizeof(c->xmm));
	soft_probe_store(c, la, sizeof(area));
	soft_store_bytes(c, la, area, FX_XMM + xmm_bytes);
}
SOFT_PLAIN(fpu_fxsave)

static void fpu_fxrstor(struct soft_cpu *c, const struct insn *i)
{
	gva_t la = soft_insn_address(c, i);
	uint8_t area[FX_BYTES];

	check_area(c, la, FX_ALIGN);
	soft_load_bytes(c, la, area, sizeof(area));
	if (has_fxsr(c)) {
		check_mxcsr(c, le32_get(area + FX_MXCSR));
		memcpy(c->xmm, area + FX_XMM, 16 * xmm_count(c));
		soft_mxcsr_load(c, le32_get(area + FX_MXCSR));
	}
	set_x87(c, i->imm, area);
}
SOFT_PLAIN_END(fpu_fxrstor)

/* XSAVE and XRSTOR, standard format. */

static void check_xsave(struct soft_cpu *c, gva_t la)
{
	if (!(c->cr4 & X86_CR4_OSXSAVE))
		soft_raise(c, X86_EXC_UD);
	if (c->cr0 & X86_CR0_TS)
		soft_raise(c, X86_EXC_NM);
	check_area(c, la, XSAVE_ALIGN);
}

/* The components that EDX:EAX and XCR0 ask for. */
static uint64_t requested(const struct soft_cpu *c)
{
	uint64_t mask = (uint64_t)soft_reg32(c, X86_RDX) << 32 | soft_reg32(c, X86_RAX);

	return mask & c->xcr0;
}

static void probe_xsave(struct soft_cpu *c, gva_t la, uint64_t parts)
{
	soft_probe_store(c, la, XSAVE_BYTES);
	if (parts & X86_XCR0_PKRU)
		soft_probe_store(c, la + SOFT_XSAVE_PKRU_OFFSET, 8);
}

/* x87 and SSE state always count as in use, PKRU when it is not 0 (SDM 1 13.6). */
static uint64_t in_use(const struct soft_cpu *c)
{
	return X86_XCR0_X87 | X86_XCR0_SSE | (c->pkru ? X86_XCR0_PKRU : 0);
}

static void fpu_xsave(struct soft_cpu *c, const struct insn *i)
{
	gva_t la = soft_insn_address(c, i);
	uint64_t parts = requested(c), old;
	uint8_t area[FX_BYTES];

	check_xsave(c, la);
	probe_xsave(c, la, parts);
	old = soft_load(c, la + XSAVE_HEADER, 8);
	if (parts & X86_XCR0_X87) {
		put_x87(c, i->imm, area);
		soft_store_bytes(c, la, area, FX_MXCSR);
		soft_store_bytes(c, la + FX_ST, area + FX_ST, FX_XMM - FX_ST);
	}
	if (parts & X86_XCR0_SSE) {
		put_mxcsr(c, area);
		soft_store_bytes(c, la + FX_MXCSR, area + FX_MXCSR, 8);
		soft_store_bytes(c, la + FX_XMM, c->xmm, 16 * xmm_count(c));
	}
	if (parts & X86_XCR0_PKRU)
		soft_store(c, la + SOFT_XSAVE_PKRU_OFFSET, 8, c->pkru);
	soft_store(c, la + XSAVE_HEADER, 8, (old & ~parts) | (in_use(c) & parts));
}
SOFT_PLAIN(fpu_xsave)

/* What XRSTOR refuses (SDM 1 13.8.1): the compacted format, bits that XCR0 does not have, and
 * anything in the rest of the header's first 24 bytes. */
static void check_header(struct soft_cpu *c, const uint8_t *area)
{
	uint64_t bv = le64_get(area + XSAVE_HEADER);

	if ((bv & ~c->xcr0) || le64_get(area + XSAVE_HEADER + 8) ||
	    le64_get(area + XSAVE_HEADER + 16))
		soft_raise_error(c, X86_EXC_GP, 0);
}

static void restore_x87(struct soft_cpu *c, bool is_wide, bool is_init, const uint8_t *area)
{
	if (!is_init) {
		set_x87(c, is_wide, area);
		return;
	}
	soft_x87_unload(c);
	soft_x87_init(c);
	memset(c->x87 + FX_ST, 0, FX_XMM - FX_ST);
	soft_x87_load(c);
	soft_x87_refresh(c);
}

/* MXCSR comes from memory whether or not the SSE component is in its initial state. */
static void restore_sse(struct soft_cpu *c, bool is_init, const uint8_t *area)
{
	if (is_init)
		memset(c->xmm, 0, 16 * xmm_count(c));
	else
		memcpy(c->xmm, area + FX_XMM, 16 * xmm_count(c));
	soft_mxcsr_load(c, le32_get(area + FX_MXCSR));
}

static void restore_pkru(struct soft_cpu *c, uint32_t pkru)
{
	if (c->pkru == pkru)
		return;
	c->pkru = pkru;
	soft_paging_changed(c, MMU_LOAD_OTHER);
}

static void fpu_xrstor(struct soft_cpu *c, const struct insn *i)
{
	gva_t la = soft_insn_address(c, i);
	uint64_t parts = requested(c), bv;
	uint8_t area[XSAVE_BYTES];
	uint32_t pkru = 0;

	check_xsave(c, la);
	soft_load_bytes(c, la, area, sizeof(area));
	check_header(c, area);
	bv = le64_get(area + XSAVE_HEADER);
	if (parts & bv & X86_XCR0_PKRU)
		pkru = (uint32_t)soft_load(c, la + SOFT_XSAVE_PKRU_OFFSET, 4);
	if (parts & X86_XCR0_SSE) {
		check_mxcsr(c, le32_get(area + FX_MXCSR));
		restore_sse(c, !(bv & X86_XCR0_SSE), area);
	}
	if (parts & X86_XCR0_X87)
		restore_x87(c, i->imm, !(bv & X86_XCR0_X87), area);
	if (parts & X86_XCR0_PKRU)
		restore_pkru(c, pkru);
}
SOFT_PLAIN_END(fpu_xrstor)

/* MXCSR. */

static void fpu_ldmxcsr(struct soft_cpu *c, const struct insn *i)
{
	uint32_t mxcsr = (uint32_t)soft_load(c, soft_insn_address(c, i), 4);

	check_mxcsr(c, mxcsr);
	soft_mxcsr_load(c, mxcsr);
}
SOFT_PLAIN_END(fpu_ldmxcsr)

static void fpu_stmxcsr(struct soft_cpu *c, const struct insn *i)
{
	soft_mxcsr_sync(c);
	soft_store(c, soft_insn_address(c, i), 4, c->mxcsr);
}
SOFT_PLAIN(fpu_stmxcsr)

/* Translation. */

static bool emit_env(struct tr *t, soft_op_fn *fn, unsigned extra, bool is_write)
{
	unsigned env = t->operand_bits == 16 ? ENV_MAX / 2 : ENV_MAX;
	struct insn *i = tr_slot_mem(t, fn, &t->op[0], env + extra, is_write);

	i->imm = env;
	return true;
}

static bool emit_fnstenv(struct tr *t)
{
	return emit_env(t, op_fpu_fnstenv, 0, true);
}

static bool emit_fldenv(struct tr *t)
{
	return emit_env(t, op_fpu_fldenv, 0, false);
}

static bool emit_fnsave(struct tr *t)
{
	return emit_env(t, op_fpu_fnsave, 8 * ST_BYTES, true);
}

static bool emit_frstor(struct tr *t)
{
	return emit_env(t, op_fpu_frstor, 8 * ST_BYTES, false);
}

/* imm = REX.W. */
static bool emit_area(struct tr *t, soft_op_fn *fn, unsigned bytes, bool is_write)
{
	struct insn *i = tr_slot_mem(t, fn, &t->op[0], bytes, is_write);

	i->imm = t->operand_bits == 64;
	return true;
}

static bool emit_fxsave(struct tr *t)
{
	return emit_area(t, op_fpu_fxsave, FX_BYTES, true);
}

static bool emit_fxrstor(struct tr *t)
{
	return emit_area(t, op_fpu_fxrstor, FX_BYTES, false);
}

static bool emit_xsave(struct tr *t)
{
	return emit_area(t, op_fpu_xsave, XSAVE_BYTES, true);
}

static bool emit_xrstor(struct tr *t)
{
	return emit_area(t, op_fpu_xrstor, XSAVE_BYTES, false);
}

static bool emit_ldmxcsr(struct tr *t)
{
	tr_slot_mem(t, op_fpu_ldmxcsr, &t->op[0], 4, false);
	return true;
}

static bool emit_stmxcsr(struct tr *t)
{
	tr_slot_mem(t, op_fpu_stmxcsr, &t->op[0], 4, true);
	return true;
}

/* FXSAVE raises #NM for CR0.EM and TS, as x87 instructions do; XSAVE looks at CR0 by itself. */
static const struct soft_row ROWS[] = {
	{ZYDIS_MNEMONIC_FNSTENV, ROW_X87, emit_fnstenv},
	{ZYDIS_MNEMONIC_FLDENV, ROW_X87, emit_fldenv},
	{ZYDIS_MNEMONIC_FNSAVE, ROW_X87, emit_fnsave},
	{ZYDIS_MNEMONIC_FRSTOR, ROW_X87, emit_frstor},
	{ZYDIS_MNEMONIC_FXSAVE, ROW_X87, emit_fxsave},
	{ZYDIS_MNEMONIC_FXSAVE64, ROW_X87, emit_fxsave},
	{ZYDIS_MNEMONIC_FXRSTOR, ROW_X87 | ROW_END, emit_fxrstor},
	{ZYDIS_MNEMONIC_FXRSTOR64, ROW_X87 | ROW_END, emit_fxrstor},
	{ZYDIS_MNEMONIC_XSAVE, 0, emit_xsave},
	{ZYDIS_MNEMONIC_XSAVE64, 0, emit_xsave},
	{ZYDIS_MNEMONIC_XRSTOR, ROW_END, emit_xrstor},
	{ZYDIS_MNEMONIC_XRSTOR64, ROW_END, emit_xrstor},
	{ZYDIS_MNEMONIC_LDMXCSR, ROW_SSE | ROW_END, emit_ldmxcsr},
	{ZYDIS_MNEMONIC_STMXCSR, ROW_SSE, emit_stmxcsr},
};

const struct soft_rows soft_rows_fpu = {ROWS, UMBRA_ARRAY_SIZE(ROWS)};
