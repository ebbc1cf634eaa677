/* See soft_rig.h.  The machine is made by the accel_ops; instructions run below the loop (run.c),
 * which would deliver what they raise. */
#include "soft_rig.h"

#include "src/accel/soft/access.h"
#include "src/accel/soft/block.h"
#include "src/accel/soft/fpu.h"
#include "src/accel/soft/points.h"
#include "src/accel/soft/run.h"

#include <assert.h>
#include <stdlib.h>

#define TABLES_BYTES 0x10000u
#define ROM_BYTES    0x10000u
#define PAGES_2MIB   0x83u /* present, writable, large */
#define TABLE_ENTRY  0x7u  /* present, writable, user */
#define USER_PAGE    0x4u

static void *must(void *p)
{
	assert(p);
	return p;
}

/* Life. */

static void make_vm(struct soft_rig *rig, const struct accel_vm_config *choice)
{
	struct accel_vm_config config = *choice;
	struct accel_vcpu_config vcpu = {.index = 0, .req = &rig->req};
	struct umbra_err err = {0};
	int rc;

	config.mem = rig->mem;
	config.bus = rig->bus;
	if (config.vcpus == 0)
		config.vcpus = 1;
	rc = accel_soft.vm_open(&rig->vm, &config, &err);
	assert(rc == 0);
	rc = accel_soft.vm_start(rig->vm, &err);
	assert(rc == 0);
	rc = accel_soft.vcpu_open(&rig->vcpu, rig->vm, &vcpu, &err);
	assert(rc == 0);
	rc = accel_soft.vcpu_reset(rig->vcpu, &err);
	assert(rc == 0);
	rig->c = &rig->vcpu->soft;
}

/* Identity for 4 GiB in pages of 2 MiB: a PML4, a PDPT and four directories. */
static void make_tables(struct soft_rig *rig)
{
	gpa_t pml4 = rig->ram_bytes - TABLES_BYTES, pdpt = pml4 + 0x1000, pd = pml4 + 0x2000;
	uint8_t entry[8];

	le64_put(entry, pdpt | TABLE_ENTRY);
	soft_rig_poke(rig, pml4, entry, sizeof(entry));
	for (unsigned i = 0; i < 4; i++) {
		le64_put(entry, (pd + i * 0x1000) | TABLE_ENTRY);
		soft_rig_poke(rig, pdpt + i * 8, entry, sizeof(entry));
	}
	for (unsigned i = 0; i < 4 * 512; i++) {
		le64_put(entry, (uint64_t)i << 21 | PAGES_2MIB | USER_PAGE);
		soft_rig_poke(rig, pd + i * 8, entry, sizeof(entry));
	}
}

struct soft_rig *soft_rig_create_with(unsigned ram_mib, const struct accel_vm_config *config)
{
	struct soft_rig *rig = must(calloc(1, sizeof(*rig)));
	struct umbra_err err = {0};
	int rc;

	rig->ram_bytes = (uint64_t)ram_mib << 20;
	rc = mem_create(&rig->mem, &err);
	assert(rc == 0);
	rc = mem_add(rig->mem, 0, rig->ram_bytes, MEM_RAM, "ram", &err);
	assert(rc == 0);
	rc = mem_add(rig->mem, rig->ram_bytes, ROM_BYTES, MEM_ROM, "rom", &err);
	assert(rc == 0);
	rc = bus_create(&rig->bus, &err);
	assert(rc == 0);
	make_vm(rig, config);
	make_tables(rig);
	soft_rig_mode(rig, X86_MODE_LONG64, 0);
	return rig;
}

struct soft_rig *soft_rig_create(unsigned ram_mib)
{
	return soft_rig_create_with(ram_mib, &(struct accel_vm_config){0});
}

void soft_rig_destroy(struct soft_rig *rig)
{
	accel_soft.vcpu_close(rig->vcpu);
	accel_soft.vm_close(rig->vm);
	bus_destroy(rig->bus);
	mem_destroy(rig->mem);
	free(rig);
}

/* State. */

static void set_real_segments(struct x86_state *st)
{
	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		st->seg[i] = x86_seg_real(SOFT_RIG_DATA >> 4);
	st->seg[X86_CS] = x86_seg_real(SOFT_RIG_CODE >> 4);
	st->seg[X86_SS] = x86_seg_real(SOFT_RIG_STACK >> 4);
	st->rip = 0;
	st->gpr[X86_RSP] = 0x8000;
}

static void set_flat_segments(struct x86_state *st, enum x86_mode mode, unsigned cpl)
{
	unsigned bits = x86_mode_bits(mode);

	for (unsigned i = 0; i < X86_SEG_COUNT; i++)
		st->seg[i] = x86_seg_flat((uint16_t)(0x10 + cpl * 0x10 + cpl), false,
					  bits == 64 ? 32 : bits, cpl);
	st->seg[X86_CS] = x86_seg_flat((uint16_t)(0x08 + cpl * 0x10 + cpl), true, bits, cpl);
	st->rip = SOFT_RIG_CODE;
	st->gpr[X86_RSP] = SOFT_RIG_STACK;
	if (bits > 16)
		return;
	/* Nothing of them can be reached at 0. */
	st->seg[X86_CS].base = SOFT_RIG_CODE;
	st->seg[X86_SS].base = SOFT_RIG_STACK;
	st->rip = 0;
	st->gpr[X86_RSP] = 0x8000;
}

static bool is_long(enum x86_mode mode)
{
	return mode == X86_MODE_LONG64 || mode == X86_MODE_COMPAT32 || mode == X86_MODE_COMPAT16;
}

void soft_rig_state(const struct soft_rig *rig, enum x86_mode mode, unsigned cpl,
		    struct x86_state *out_st)
{
	x86_state_reset(out_st);
	memset(out_st->gpr, 0, sizeof(out_st->gpr));
	out_st->rflags = X86_RFLAGS_FIXED;
	out_st->fpu.fcw = 0x37f; /* as FNINIT leaves it */
	out_st->fpu.fsw = 0;
	out_st->fpu.ftw = 0;
	out_st->fpu.mxcsr = 0x1f80;
	out_st->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	out_st->cr0 = X86_CR0_ET | X86_CR0_NE | (mode == X86_MODE_REAL ? 0 : X86_CR0_PE);
	if (is_long(mode)) {
		out_st->cr0 |= X86_CR0_PG;
		out_st->cr4 |= X86_CR4_PAE;
		out_st->cr3 = rig->ram_bytes - TABLES_BYTES;
		out_st->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
	}
	if (mode == X86_MODE_REAL || mode == X86_MODE_V86)
		set_real_segments(out_st);
	else
		set_flat_segments(out_st, mode, cpl);
	if (mode == X86_MODE_V86) {
		out_st->rflags |= X86_RFLAGS_VM;
		for (unsigned i = 0; i < X86_SEG_COUNT; i++)
			out_st->seg[i].dpl = 3;
	}
}

void soft_rig_set(struct soft_rig *rig, const struct x86_state *st)
{
	struct umbra_err err = {0};
	int rc = accel_soft.state_set(rig->vcpu, st, X86_STATE_ALL, &err);

	assert(rc == 0);
}

void soft_rig_get(struct soft_rig *rig, struct x86_state *out_st)
{
	int rc = accel_soft.state_get(rig->vcpu, out_st, X86_STATE_ALL);

	assert(rc == 0);
}

void soft_rig_mode(struct soft_rig *rig, enum x86_mode mode, unsigned cpl)
{
	struct x86_state st;

	soft_rig_state(rig, mode, cpl, &st);
	soft_rig_set(rig, &st);
}

/* Memory. */

void soft_rig_poke(struct soft_rig *rig, gpa_t gpa, const void *bytes, size_t len)
{
	size_t n = mem_poke(rig->mem, gpa, bytes, len);

	assert(n == len);
}

void soft_rig_code(struct soft_rig *rig, const void *bytes, size_t len)
{
	soft_rig_poke(rig, SOFT_RIG_CODE, bytes, len);
	rig->c->rip = SOFT_RIG_CODE - rig->c->seg[X86_CS].base;
}

uint64_t soft_rig_peek(const struct soft_rig *rig, gpa_t gpa, unsigned size)
{
	uint8_t bytes[8] = {0};
	size_t n = mem_peek(rig->mem, gpa, bytes, size);

	assert(n == size);
	return le64_get(bytes);
}

/* Running. */

/* What the loop does when an instruction escapes. */
static void undo(struct soft_cpu *c)
{
	if (!c->cur)
		return;
	c->left += soft_rest_of_block(c);
	c->rip = soft_rip(c);
	c->cur = NULL;
}

/* One block, or one instruction.  Returns how it was left. */
static enum soft_escape enter(struct soft_cpu *c, bool is_step)
{
	enum soft_escape kind;

	if (c->mode_is_stale)
		soft_mode_update(c);
	soft_set_mode(c, is_step ? c->mode | SOFT_STEP : c->mode & ~(uint32_t)SOFT_STEP);
	kind = (enum soft_escape)setjmp(c->escape);
	if (kind == ESCAPE_NONE) {
		const struct insn *block = soft_block_find(c);

		if (!is_step && SOFT_COUNT_OF(block) > c->left)
			return ESCAPE_RESTART_STEP; /* the last few one by one */
		soft_run_block(c, block);
		return ESCAPE_NONE;
	}
	undo(c);
	return kind;
}

static bool is_over(const struct soft_cpu *c, enum soft_escape kind, struct soft_rig_result *result)
{
	if (kind == ESCAPE_EXCEPTION) {
		result->end = SOFT_RIG_EXCEPTION;
		result->event = c->event;
		return true;
	}
	if (kind == ESCAPE_CATCH) {
		result->end = SOFT_RIG_CAUGHT;
		return true;
	}
	if (c->activity != X86_ACTIVE || c->at_exec_point) {
		result->end = c->at_exec_point ? SOFT_RIG_POINT : SOFT_RIG_HALTED;
		return true;
	}
	return c->left <= 0;
}

/* Of what the loop of run.c looks at between blocks: what others changed under this vCPU. */
static void take_requests(struct soft_cpu *c)
{
	unsigned pend = atomic_exchange(&c->pend, 0);

	if (pend & PEND_FLUSH)
		soft_take_forget(c);
	if (pend & PEND_EVICT)
		soft_code_take_evictions(c);
}

static struct soft_rig_result execute(struct soft_rig *rig, uint64_t max, bool is_step)
{
	struct soft_rig_result result = {.end = SOFT_RIG_OK};
	struct soft_cpu *c = rig->c;
	enum soft_escape kind = is_step ? ESCAPE_RESTART_STEP : ESCAPE_NONE;

	c->left = (int64_t)max;
	c->slice = c->left;
	c->cur = NULL;
	c->activity = X86_ACTIVE;
	c->at_exec_point = false;
	soft_points_follow(c);
	/* A point at the first instruction is passed, so that one runs alone. */
	c->skip_exec_point = soft_points_has_exec(c, soft_linear_rip(c), ~(gpa_t)0);
	soft_fpu_enter(c);
	soft_unsafe(c);
	do {
		take_requests(c);
		kind = enter(c, kind == ESCAPE_RESTART_STEP || c->skip_exec_point);
		c->skip_exec_point = false;
	} while (!is_over(c, kind, &result));
	soft_safe(c);
	soft_fpu_leave(c);
	result.count = max - (uint64_t)c->left;
	c->retired += result.count;
	c->slice = 0;
	c->left = 0;
	return result;
}

struct soft_rig_result soft_rig_step(struct soft_rig *rig)
{
	return execute(rig, 1, true);
}

struct soft_rig_result soft_rig_run(struct soft_rig *rig, uint64_t max)
{
	return execute(rig, max, false);
}
