/* See guest.h. */
#include "guest.h"

#include "soft_rig.h"

#include <stdlib.h>
#include <string.h>

#define RAM_MIB	     8
#define TABLES	     0x100000u /* PML4, PDPT, page directory, and a page table for each 2 MiB */
#define PT_COUNT     3u
#define PRESENT_USER 0x5u
#define WRITABLE     0x2u
#define ACCESSED     0x60u /* and dirty */
#define NX	     (1ull << 63)
#define RUNS_MAX     1000u

struct guest {
	struct soft_rig *rig;
	uint8_t *memory;
	struct x86_state st;
};

static void put_entry(struct guest *g, gpa_t at, uint64_t entry)
{
	uint8_t bytes[8];

	le64_put(bytes, entry);
	soft_rig_poke(g->rig, at, bytes, sizeof(bytes));
}

/* Pages @from .. @end, each mapped to itself. */
static void map_pages(struct guest *g, gpa_t from, gpa_t end, uint64_t bits)
{
	for (gpa_t at = from; at < end; at += DIFF_PAGE) {
		gpa_t table = TABLES + (3 + (at >> 21)) * DIFF_PAGE;

		put_entry(g, table + (at >> 12 & 511) * 8, at | bits | ACCESSED | PRESENT_USER);
	}
}

static void make_tables(struct guest *g)
{
	uint64_t open = PRESENT_USER | WRITABLE | ACCESSED;

	put_entry(g, TABLES, (TABLES + DIFF_PAGE) | open);
	put_entry(g, TABLES + DIFF_PAGE, (TABLES + 2 * DIFF_PAGE) | open);
	for (unsigned i = 0; i < PT_COUNT; i++)
		put_entry(g, TABLES + 2 * DIFF_PAGE + i * 8, (TABLES + (3 + i) * DIFF_PAGE) | open);
	map_pages(g, DIFF_CODE, DIFF_CODE + DIFF_CODE_BYTES, 0);
	map_pages(g, DIFF_EXIT, DIFF_EXIT + DIFF_PAGE, 0);
	map_pages(g, DIFF_SCRATCH, DIFF_SCRATCH + DIFF_SCRATCH_BYTES, WRITABLE | NX);
	map_pages(g, DIFF_READ_ONLY, DIFF_READ_ONLY + DIFF_PAGE, NX);
}

/* What user code meets in a Linux process. */
static void set_mode(struct guest *g, unsigned bits, uint64_t fs_base)
{
	struct x86_state *st = &g->st;

	soft_rig_state(g->rig, bits == 64 ? X86_MODE_LONG64 : X86_MODE_COMPAT32, 3, st);
	st->cr3 = TABLES;
	st->cr0 |= X86_CR0_WP | X86_CR0_AM;
	st->efer |= X86_EFER_NXE;
	st->rflags |= X86_RFLAGS_IF;
	st->seg[X86_CS].selector = bits == 64 ? DIFF_CS64 : DIFF_CS32;
	st->seg[X86_SS].selector = DIFF_SS;
	for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
		if (i != X86_CS && i != X86_SS)
			st->seg[i].selector = i >= X86_FS ? 0 : DIFF_SS;
	}
	st->seg[X86_FS].base = fs_base;
	st->seg[X86_GS].base = DIFF_GS_BASE;
	soft_rig_set(g->rig, st);
}

struct guest *guest_create(unsigned bits, uint64_t fs_base)
{
	static const uint8_t INT3 = 0xcc;
	struct guest *g = calloc(1, sizeof(*g));

	if (!g)
		abort();
	g->rig = soft_rig_create(RAM_MIB);
	make_tables(g);
	for (unsigned i = 0; i < DIFF_CODE_BYTES; i++)
		soft_rig_poke(g->rig, DIFF_CODE + i, &INT3, 1);
	for (unsigned i = 0; i < DIFF_PAGE; i++)
		soft_rig_poke(g->rig, DIFF_EXIT + i, &INT3, 1);
	g->memory = mem_ptr(g->rig->mem, DIFF_SCRATCH, DIFF_SCRATCH_BYTES);
	set_mode(g, bits, fs_base);
	return g;
}

void guest_destroy(struct guest *g)
{
	soft_rig_destroy(g->rig);
	free(g);
}

const struct soft_vm *guest_vm(const struct guest *g)
{
	return g->rig->c->vm;
}

uint8_t *guest_memory(const struct guest *g)
{
	return g->memory;
}

/* State. */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void load_fpu(struct x86_fpu *fpu, const uint8_t *fx)
{
	*fpu = (struct x86_fpu){
		.fcw = get16(fx + DIFF_FX_FCW),
		.fsw = get16(fx + DIFF_FX_FSW),
		.ftw = fx[DIFF_FX_FTW],
		.mxcsr = le32_get(fx + DIFF_FX_MXCSR),
	};
	for (unsigned i = 0; i < 8; i++)
		memcpy(fpu->st[i], fx + DIFF_FX_ST + 16 * i, sizeof(fpu->st[i]));
	memcpy(fpu->xmm, fx + DIFF_FX_XMM, sizeof(fpu->xmm));
}

static void store_fpu(const struct x86_fpu *fpu, uint8_t *fx)
{
	memset(fx, 0, DIFF_FX_BYTES);
	le16_put(fx + DIFF_FX_FCW, fpu->fcw);
	le16_put(fx + DIFF_FX_FSW, fpu->fsw);
	fx[DIFF_FX_FTW] = fpu->ftw;
	le32_put(fx + DIFF_FX_MXCSR, fpu->mxcsr);
	for (unsigned i = 0; i < 8; i++)
		memcpy(fx + DIFF_FX_ST + 16 * i, fpu->st[i], sizeof(fpu->st[i]));
	memcpy(fx + DIFF_FX_XMM, fpu->xmm, sizeof(fpu->xmm));
}

static void load(struct guest *g, const struct diff_case *dc)
{
	struct umbra_err err = {0};
	struct x86_state *st = &g->st;
	uint8_t jump[5] = {0xe9};

	memcpy(st->gpr, dc->in.gpr, sizeof(st->gpr));
	st->rip = dc->in.rip;
	st->rflags = dc->in.rflags | X86_RFLAGS_IF | X86_RFLAGS_FIXED;
	load_fpu(&st->fpu, dc->in.fx);
	if (accel_soft.state_set(g->rig->vcpu, st, X86_STATE_GPR | X86_STATE_FPU, &err) < 0)
		abort();
	memcpy(g->memory, dc->memory, DIFF_SCRATCH_BYTES);
	le32_put(jump + 1, DIFF_EXIT - (uint32_t)(dc->in.rip + dc->len + sizeof(jump)));
	soft_rig_poke(g->rig, dc->in.rip, dc->bytes, dc->len);
	soft_rig_poke(g->rig, dc->in.rip + dc->len, jump, sizeof(jump));
}

/* Running. */

static bool is_inside(const struct guest *g, const struct diff_case *dc)
{
	return g->rig->c->rip - dc->in.rip < dc->len;
}

/* Until something is raised or RIP is elsewhere: a repeated string operation may need several runs.
 * As a block, the jump behind the case is in it. */
static struct soft_rig_result run(struct guest *g, const struct diff_case *dc)
{
	struct soft_rig_result result = {.end = SOFT_RIG_OK};

	if (dc->is_block)
		result = soft_rig_run(g->rig, dc->count + (dc->is_branch ? 0 : 1));
	for (unsigned i = 0; i < RUNS_MAX && result.end == SOFT_RIG_OK && is_inside(g, dc); i++)
		result = soft_rig_step(g->rig);
	return result;
}

void guest_run(struct guest *g, const struct diff_case *dc, struct diff_result *out)
{
	struct diff_state *to = &out->state;
	struct soft_rig_result result;

	load(g, dc);
	result = run(g, dc);
	accel_soft.state_get(g->rig->vcpu, &g->st, X86_STATE_GPR | X86_STATE_FPU);
	memcpy(to->gpr, g->st.gpr, sizeof(to->gpr));
	to->rip = g->st.rip == DIFF_EXIT ? dc->in.rip + dc->len : g->st.rip;
	to->rflags = g->st.rflags;
	store_fpu(&g->st.fpu, to->fx);
	to->vector = DIFF_NO_VECTOR;
	to->error = 0;
	to->cr2 = 0;
	if (result.end == SOFT_RIG_EXCEPTION) {
		to->vector = result.event.vector;
		to->error = result.event.has_error ? result.event.error : 0;
		to->cr2 = to->vector == X86_EXC_PF ? result.event.cr2 : 0;
	}
	out->memory = g->memory;
}
