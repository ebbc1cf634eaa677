/* See walk_rig.h. */
#include "walk_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define AREAS	  3
#define AREA_MAX  0x8000u
#define HIGH_BASE (1ull << 36)

struct area {
	gpa_t gpa;
	unsigned len;
	enum mem_kind kind;
};

static const struct area AREA[AREAS] = {
	{0, 0x8000, MEM_RAM},
	{0xa000, 0x2000, MEM_ROM},
	{HIGH_BASE, 0x2000, MEM_RAM},
};

struct walk_rig {
	struct mem_space *mem;
	uint8_t copy[AREAS][AREA_MAX]; /* the slow walker's memory */
};

/* What a generator has at hand. */
struct maker {
	struct walk_rig *rig;
	walk_choose_fn choose;
	void *ctx;
};

static uint8_t *copy_at(struct walk_rig *rig, gpa_t gpa, size_t len, enum mem_kind *out_kind)
{
	unsigned i;

	for (i = 0; i < AREAS; i++) {
		if (range_fits(gpa, len, AREA[i].gpa, AREA[i].len)) {
			*out_kind = AREA[i].kind;
			return rig->copy[i] + (gpa - AREA[i].gpa);
		}
	}
	return NULL;
}

static uint8_t copy_read(void *ctx, uint64_t pa)
{
	enum mem_kind kind;
	const uint8_t *byte = copy_at(ctx, pa, 1, &kind);

	return byte ? *byte : 0xff;
}

static void copy_write(void *ctx, uint64_t pa, uint8_t value)
{
	enum mem_kind kind;
	uint8_t *byte = copy_at(ctx, pa, 1, &kind);

	if (byte && kind == MEM_RAM)
		*byte = value;
}

struct walk_rig *walk_rig_create(void)
{
	struct walk_rig *rig = calloc(1, sizeof(*rig));
	unsigned i;

	if (!rig || mem_create(&rig->mem, NULL) < 0)
		abort();
	for (i = 0; i < AREAS; i++) {
		if (mem_add(rig->mem, AREA[i].gpa, AREA[i].len, AREA[i].kind, "area", NULL) < 0)
			abort();
	}
	return rig;
}

void walk_rig_destroy(struct walk_rig *rig)
{
	mem_destroy(rig->mem);
	free(rig);
}

bool walk_rig_is_memory_equal(const struct walk_rig *rig)
{
	unsigned i;

	for (i = 0; i < AREAS; i++) {
		const uint8_t *host = mem_ptr(rig->mem, AREA[i].gpa, AREA[i].len);

		if (!host || memcmp(host, rig->copy[i], AREA[i].len) != 0)
			return false;
	}
	return true;
}

static uint64_t choose(const struct maker *m, unsigned bits)
{
	return m->choose(m->ctx, bits);
}

/* True once in 1 << @bits. */
static bool seldom(const struct maker *m, unsigned bits)
{
	return choose(m, bits) == 0;
}

static uint64_t maybe(const struct maker *m, uint64_t mask)
{
	return choose(m, 1) ? mask : 0;
}

/* Registers. */

static const uint8_t PHYS_BITS[8] = {0, 32, 36, 37, 39, 40, 46, 52};

enum shape { SHAPE_NONE, SHAPE_32BIT, SHAPE_PAE, SHAPE_4LEVEL, SHAPE_5LEVEL };

static const enum shape SHAPES[16] = {
	SHAPE_NONE,   SHAPE_32BIT,  SHAPE_32BIT,  SHAPE_32BIT,	SHAPE_32BIT,  SHAPE_PAE,
	SHAPE_PAE,    SHAPE_PAE,    SHAPE_PAE,	  SHAPE_PAE,	SHAPE_4LEVEL, SHAPE_4LEVEL,
	SHAPE_4LEVEL, SHAPE_4LEVEL, SHAPE_5LEVEL, SHAPE_5LEVEL,
};

/* Mostly RAM; ROM, the RAM above 4 GiB, the hole, or anywhere. */
static gpa_t choose_table(const struct maker *m)
{
	uint64_t pick = choose(m, 5);

	if (pick < 28)
		return (pick & 7) * UMBRA_PAGE_SIZE;
	if (pick == 28)
		return 0xa000 + choose(m, 1) * UMBRA_PAGE_SIZE;
	if (pick == 29)
		return HIGH_BASE + choose(m, 1) * UMBRA_PAGE_SIZE;
	if (pick == 30)
		return 0x8000 + choose(m, 1) * UMBRA_PAGE_SIZE;
	return choose(m, 40) * UMBRA_PAGE_SIZE;
}

/* MOV CR3 would have refused address bits past MAXPHYADDR in IA-32e mode; outside it only 32 bits
 * can be written, and a leftover above them means nothing. */
static uint64_t choose_cr3(const struct maker *m, enum shape shape)
{
	gpa_t table = choose_table(m);

	if (shape == SHAPE_PAE)
		table += choose(m, 7) * 32;
	if (shape < SHAPE_4LEVEL)
		return (uint32_t)table | (shape == SHAPE_32BIT ? choose(m, 12) : choose(m, 5)) |
		       (seldom(m, 2) ? choose(m, 32) << 32 : 0);
	return table | choose(m, 12);
}

static enum shape choose_regs(const struct maker *m, struct x86_paging *regs)
{
	enum shape shape = SHAPES[choose(m, 4)];

	memset(regs, 0, sizeof(*regs));
	regs->cr0 = X86_CR0_PE | maybe(m, X86_CR0_WP) | (shape == SHAPE_NONE ? 0 : X86_CR0_PG);
	regs->cr4 = maybe(m, X86_CR4_PSE) | maybe(m, X86_CR4_PGE) | maybe(m, X86_CR4_SMEP) |
		    maybe(m, X86_CR4_SMAP) | maybe(m, X86_CR4_PKE);
	regs->efer = maybe(m, X86_EFER_NXE);
	if (shape >= SHAPE_PAE)
		regs->cr4 |= X86_CR4_PAE;
	if (shape >= SHAPE_4LEVEL)
		regs->efer |= X86_EFER_LME | X86_EFER_LMA;
	if (shape == SHAPE_5LEVEL || (shape < SHAPE_4LEVEL && seldom(m, 2)))
		regs->cr4 |= X86_CR4_LA57; /* without a meaning outside IA-32e mode */
	regs->cr3 = choose_cr3(m, shape);
	regs->phys_bits = PHYS_BITS[choose(m, 3)];
	regs->pkru = seldom(m, 2) ? 0 : (uint32_t)choose(m, 32);
	regs->has_pdpte = choose(m, 1);
	return shape;
}

/* Tables. */

/* One level of a shape, as far as a table is to be made. */
struct level {
	unsigned level, shift, bits;
};

static const struct level LEVELS_OF_32BIT[] = {{2, 22, 10}, {1, 12, 10}, {0, 0, 0}};
static const struct level LEVELS_OF_PAE[] = {{3, 30, 2}, {2, 21, 9}, {1, 12, 9}, {0, 0, 0}};
static const struct level LEVELS_OF_LONG[] = {{5, 48, 9}, {4, 39, 9}, {3, 30, 9},
					      {2, 21, 9}, {1, 12, 9}, {0, 0, 0}};

static const struct level *levels_of(enum shape shape)
{
	switch (shape) {
	case SHAPE_32BIT:
		return LEVELS_OF_32BIT;
	case SHAPE_PAE:
		return LEVELS_OF_PAE;
	case SHAPE_4LEVEL:
		return LEVELS_OF_LONG + 1;
	case SHAPE_5LEVEL:
		return LEVELS_OF_LONG;
	case SHAPE_NONE:
		break;
	}
	return LEVELS_OF_LONG + 5;
}

/* Bits that every entry has: P, R/W, U/S, PWT, PCD, A, D, G and the ignored ones. */
static uint64_t choose_flags(const struct maker *m)
{
	uint64_t any = choose(m, 7);
	uint64_t flags = seldom(m, 5) ? 0 : 1;

	flags |= (any & 3) << 3 | (any >> 2 & 3) << 5 | (any >> 4 & 1) << 8 | (any >> 5 & 3) << 9;
	flags |= seldom(m, 2) ? 0 : X86_PTE_RW;
	flags |= seldom(m, 2) ? 0 : X86_PTE_US;
	return flags;
}

static uint64_t choose_page(const struct maker *m, const struct x86_paging *regs, enum shape shape,
			    unsigned shift)
{
	unsigned width = regs->phys_bits ? regs->phys_bits : 52;
	uint64_t address = choose(m, 40) << 12 & ~(~0ull << (width - 1) << 1);

	if (shape == SHAPE_32BIT && shift > 12)
		return (address & 0xffc00000) | (address >> 32 & 0xff) << 13 | choose(m, 1) << 12;
	if (shape == SHAPE_32BIT)
		return address & 0xfffff000;
	return (address & ~0ull << shift) | (shift > 12 ? choose(m, 1) << 12 : 0);
}

/* What is wrong with an entry now and then: any one bit, or all of them. */
static uint64_t spoil(const struct maker *m, uint64_t entry)
{
	if (seldom(m, 5))
		entry ^= 1ull << choose(m, 6);
	return seldom(m, 7) ? choose(m, 64) : entry;
}

static uint64_t choose_entry(const struct maker *m, const struct x86_paging *regs, enum shape shape,
			     const struct level *level, gpa_t next)
{
	bool is_pdpte = shape == SHAPE_PAE && level->level == 3;
	bool is_large = level->level > 1 && level->level <= 3 && !is_pdpte && seldom(m, 2);
	uint64_t entry = choose_flags(m);

	if (level->level == 1 || is_large)
		entry |= choose_page(m, regs, shape, level->shift);
	else
		entry |= next;
	if (is_large || (level->level == 1 && choose(m, 1)))
		entry |= X86_PTE_PS; /* in a PTE: PAT */
	if (is_pdpte)
		return spoil(m, entry & ~0x1e6ull);
	if (shape == SHAPE_32BIT)
		return (uint32_t)spoil(m, entry);
	if (seldom(m, regs->efer & X86_EFER_NXE ? 2 : 6))
		entry |= X86_PTE_NX;
	if (shape >= SHAPE_4LEVEL)
		entry |= choose(m, 11) << 52;
	return spoil(m, entry);
}

static void place_entry(struct walk_rig *rig, gpa_t gpa, uint64_t entry, unsigned bytes)
{
	uint8_t raw[8];
	enum mem_kind kind;
	uint8_t *copy = copy_at(rig, gpa, bytes, &kind);

	if (!copy)
		return;
	le64_put(raw, entry);
	memcpy(copy, raw, bytes);
	mem_poke(rig->mem, gpa, raw, bytes);
}

/* The tables on the way to @va. */
static void make_tables(const struct maker *m, struct x86_paging *regs, enum shape shape, gva_t va)
{
	const struct level *level;
	unsigned bytes = shape == SHAPE_32BIT ? 4 : 8;
	gpa_t table = regs->cr3 & (shape >= SHAPE_4LEVEL ? ~0xfffull
				   : shape == SHAPE_PAE	 ? 0xffffffe0ull
							 : 0xfffff000ull);

	for (level = levels_of(shape); level->level > 0; level++) {
		gpa_t next = choose_table(m);
		uint64_t index = va >> level->shift & ((1u << level->bits) - 1);
		uint64_t entry = choose_entry(m, regs, shape, level, next);

		place_entry(m->rig, table + index * bytes, entry, bytes);
		if (shape == SHAPE_PAE && level->level == 3)
			regs->pdpte[index] = seldom(m, 4) ? choose(m, 64) : entry;
		table = next;
	}
}

/* The access. */

static gva_t choose_va(const struct maker *m, enum shape shape)
{
	uint64_t any = choose(m, 64);
	unsigned spare = shape == SHAPE_5LEVEL ? 7 : 16;

	if (seldom(m, 5))
		return any;
	if (shape < SHAPE_4LEVEL)
		return (uint32_t)any;
	/* One bit too far now and then: the first addresses that are not canonical. */
	any = (uint64_t)((int64_t)(any << spare) >> spare);
	return seldom(m, 5) ? any ^ 1ull << (63 - spare + choose(m, 1)) : any;
}

static void choose_access(const struct maker *m, enum shape shape, struct walk_access *access)
{
	static const unsigned kinds[4] = {0, X86_PF_W, X86_PF_W, X86_PF_I};

	access->va = choose_va(m, shape);
	access->access = kinds[choose(m, 2)] | (choose(m, 1) ? X86_PF_U : 0);
	access->smap_off = choose(m, 1);
}

/* Both answers. */

static void ask_slow(struct walk_rig *rig, struct walk_trial *t)
{
	const struct slow_memory memory = {copy_read, copy_write, rig};
	struct slow_cpu cpu = {
		.cr0 = t->regs.cr0,
		.cr3 = t->regs.cr3,
		.cr4 = t->regs.cr4,
		.efer = t->regs.efer,
		.has_pdpte = t->regs.has_pdpte,
		.pkru = t->regs.pkru,
		.maxphyaddr = t->regs.phys_bits ? t->regs.phys_bits : 52,
	};
	const struct slow_access access = {
		.linear = t->access.va,
		.is_write = t->access.access & X86_PF_W,
		.is_fetch = t->access.access & X86_PF_I,
		.is_user_mode = t->access.access & X86_PF_U,
		.is_explicit_with_ac = t->access.smap_off,
	};

	memcpy(cpu.pdpte, t->regs.pdpte, sizeof(cpu.pdpte));
	slow_translate(&cpu, &memory, &access, &t->slow);
}

static const char *compare_steps(const struct walk_trial *t)
{
	const struct x86_walk *w = &t->walk.walk;
	bool is_accessed = true;
	unsigned i;

	if (w->step_count != t->slow.used_count)
		return "step count";
	for (i = 0; i < w->step_count; i++) {
		const struct slow_used *used = &t->slow.used[i];

		if (w->step[i].level != used->level)
			return "level";
		if (w->step[i].entry_gpa != used->pa)
			return "entry address";
		if (w->step[i].entry != used->value)
			return "entry";
		if (used->has_accessed && !(used->value & X86_PTE_A))
			is_accessed = false;
	}
	if (t->rc == 0 && w->is_accessed != is_accessed)
		return "is_accessed";
	return NULL;
}

static const char *compare_fault(const struct walk_trial *t)
{
	static const enum x86_walk_fault faults[] = {
		[SLOW_OK] = X86_WALK_OK,
		[SLOW_NOT_CANONICAL] = X86_WALK_NONCANONICAL,
		[SLOW_NOT_PRESENT] = X86_WALK_NOT_PRESENT,
		[SLOW_RESERVED] = X86_WALK_RESERVED,
		[SLOW_DENIED] = X86_WALK_OK,
	};
	const struct slow_result *slow = &t->slow;
	unsigned level = 0;

	if (slow->outcome == SLOW_NOT_PRESENT || slow->outcome == SLOW_RESERVED)
		level = slow->used[slow->used_count - 1].level;
	if (t->rc != (slow->outcome == SLOW_OK ? 0 : -EFAULT))
		return "result";
	if (t->walk.walk.fault != faults[slow->outcome])
		return "fault";
	if (t->walk.error != slow->error_code)
		return "error code";
	if (t->walk.walk.fault_level != level)
		return "fault level";
	if (t->walk.walk.reserved_bits != slow->reserved_set)
		return "reserved bits";
	if (t->walk.set_accessed != slow->set_accessed)
		return "levels with A set";
	return t->walk.set_dirty != slow->set_dirty ? "D set" : NULL;
}

static const char *compare_page(const struct walk_trial *t)
{
	const struct x86_walk *w = &t->walk.walk;
	const struct slow_result *slow = &t->slow;

	if (slow->outcome != SLOW_OK && slow->outcome != SLOW_DENIED)
		return NULL;
	if (w->is_writable != slow->is_writable || w->is_user != slow->is_user ||
	    w->is_executable != slow->is_executable)
		return "rights";
	if (w->gpa != slow->physical)
		return "address";
	if (w->page_size != slow->page_bytes)
		return "page size";
	if (w->is_global != slow->is_global)
		return "G";
	if (w->pkey != slow->key)
		return "key";
	if (slow->used_count > 0 &&
	    w->is_dirty != ((slow->used[slow->used_count - 1].value & X86_PTE_D) != 0))
		return "is_dirty";
	return NULL;
}

/* No processor reads a PDPTE from memory in a walk.  One that is its own page directory's entry
 * gets A, which is a reserved bit of it, and so has no right answer. */
static bool has_answer(const struct walk_trial *t)
{
	unsigned i;

	if (t->walk.walk.mode != X86_PAGING_PAE || t->regs.has_pdpte)
		return true;
	for (i = 1; i < t->slow.used_count; i++) {
		if (t->slow.used[i].pa == t->slow.used[0].pa)
			return false;
	}
	return true;
}

/* Give the slow walker the memory that there is. */
static void resync(struct walk_rig *rig)
{
	unsigned i;

	for (i = 0; i < AREAS; i++)
		mem_peek(rig->mem, AREA[i].gpa, rig->copy[i], AREA[i].len);
}

static void walk_twice(struct walk_rig *rig, struct walk_trial *t)
{
	t->rc = mmu_walk(rig->mem, &t->regs, t->access.va, t->access.access, t->access.smap_off,
			 &t->walk);
	ask_slow(rig, t);
	t->difference = NULL;
	if (!has_answer(t)) {
		resync(rig);
		return;
	}
	t->difference = compare_fault(t);
	if (!t->difference)
		t->difference = compare_steps(t);
	if (!t->difference)
		t->difference = compare_page(t);
}

void walk_rig_try(struct walk_rig *rig, walk_choose_fn choose_bits, void *ctx,
		  struct walk_trial *out_trial)
{
	const struct maker m = {rig, choose_bits, ctx};
	enum shape shape = choose_regs(&m, &out_trial->regs);

	choose_access(&m, shape, &out_trial->access);
	make_tables(&m, &out_trial->regs, shape, out_trial->access.va);
	walk_twice(rig, out_trial);
}

void walk_rig_try_illegal(struct walk_rig *rig, walk_choose_fn choose_bits, void *ctx)
{
	const struct maker m = {rig, choose_bits, ctx};
	struct x86_paging regs = {
		.cr0 = choose(&m, 64),
		.cr3 = choose(&m, 64),
		.cr4 = choose(&m, 64),
		.efer = choose(&m, 64),
		.pkru = (uint32_t)choose(&m, 32),
		.phys_bits = (uint8_t)choose(&m, 8),
	};
	struct mmu_walk walk;

	mmu_walk(rig->mem, &regs, choose(&m, 64), (unsigned)choose(&m, 5), choose(&m, 1), &walk);
	if (walk.set_accessed || walk.set_dirty)
		resync(rig);
}

void walk_trial_print(const struct walk_trial *t, char *out, size_t size)
{
	const struct x86_walk *w = &t->walk.walk;
	int n = snprintf(out, size,
			 "%s: cr0=%#llx cr3=%#llx cr4=%#llx efer=%#llx pkru=%#x phys_bits=%u "
			 "has_pdpte=%d va=%#llx access=%#x smap_off=%d rc=%d error=%#x/%#x "
			 "fault=%d/%d gpa=%#llx/%#llx set=%#x/%#x",
			 t->difference ? t->difference : "equal", (unsigned long long)t->regs.cr0,
			 (unsigned long long)t->regs.cr3, (unsigned long long)t->regs.cr4,
			 (unsigned long long)t->regs.efer, t->regs.pkru, t->regs.phys_bits,
			 t->regs.has_pdpte, (unsigned long long)t->access.va, t->access.access,
			 t->access.smap_off, t->rc, t->walk.error, t->slow.error_code, w->fault,
			 t->slow.outcome, (unsigned long long)w->gpa,
			 (unsigned long long)t->slow.physical, t->walk.set_accessed,
			 t->slow.set_accessed);
	unsigned i;

	for (i = 0; i < w->step_count && n > 0 && (size_t)n < size; i++)
		n += snprintf(out + n, size - (size_t)n, " L%u@%#llx=%#llx/%#llx", w->step[i].level,
			      (unsigned long long)w->step[i].entry_gpa,
			      (unsigned long long)w->step[i].entry,
			      (unsigned long long)t->slow.used[i].value);
}
