/* Random accesses over random page tables in every paging mode: what the software CPU reads,
 * writes, fetches and faults is what the slow walker, which has no TLB and no shadow, makes of a
 * copy of the same memory.  Tables, data, ROM and addresses where nothing is are mapped into each
 * other, so that stores change tables that are in use, through aliases, large pages, tables that
 * map themselves, and over the ends of pages; and A and D must come out equal in the whole of
 * memory. */
#include "slow_walker.h"
#include "soft_rig.h"

#include "src/accel/soft/access.h"

#include <criterion/criterion.h>

#define STEPS	     60000u
#define CHECK_EVERY  64u
#define REGS_EVERY   48u
#define CLASS_EVERY  6u
#define TABLE_FRAMES 10u /* the first frames: tables, data, or both */
#define RAM_BYTES    0x100000u
#define ROM_BYTES    0x10000u /* behind RAM, as the rig has it */
#define DATA_FRAMES  32u
#define NOWHERE	     0x180000u
#define MAX_ACCESS   64u

/* The entries that addresses go through: few, so that they meet. */
static const unsigned INDEX[8] = {0, 1, 2, 3, 255, 256, 510, 511};

static struct soft_rig *rig;
static uint8_t copy[RAM_BYTES + ROM_BYTES];
static uint64_t random_state;

/* How an access ended. */
struct outcome {
	unsigned vector; /* 0: well */
	uint32_t error;
	gva_t cr2;
	uint8_t data[MAX_ACCESS]; /* read */
	gpa_t gpa;		  /* fetches */
};

enum kind { LOAD, STORE, MODIFY, FETCH, KINDS };

struct access {
	enum kind kind;
	gva_t la;
	unsigned len;
	bool is_sys;
	uint8_t data[MAX_ACCESS]; /* to be written */
};

/* SplitMix64: the same cases at each run. */
static uint64_t below(uint64_t n)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return (z ^ z >> 31) % n;
}

static bool once_in(unsigned n)
{
	return below(n) == 0;
}

static uint64_t maybe(uint64_t bits, unsigned of_8)
{
	return below(8) < of_8 ? bits : 0;
}

/* The copy. */

static uint8_t copy_read(void *ctx, uint64_t pa)
{
	(void)ctx;
	return pa < sizeof(copy) ? copy[pa] : 0xff;
}

static void copy_write(void *ctx, uint64_t pa, uint8_t value)
{
	(void)ctx;
	if (pa < RAM_BYTES)
		copy[pa] = value;
}

static const struct slow_memory COPY = {copy_read, copy_write, NULL};

/* What should happen. */

static void slow_cpu_now(struct slow_cpu *cpu)
{
	const struct soft_cpu *c = rig->c;

	*cpu = (struct slow_cpu){.cr0 = c->cr0,
				 .cr3 = c->cr3,
				 .cr4 = c->cr4,
				 .efer = c->efer,
				 .has_pdpte = true,
				 .pkru = c->pkru,
				 .maxphyaddr = c->vm->phys_bits};
	memcpy(cpu->pdpte, c->pdpte, sizeof(cpu->pdpte));
}

static bool slow_part(const struct access *a, gva_t la, uint64_t *out_pa, struct outcome *out)
{
	const struct soft_cpu *c = rig->c;
	bool is_user = c->cpl == 3 && !a->is_sys;
	const struct slow_access access = {
		.linear = la,
		.is_write = a->kind == STORE || a->kind == MODIFY,
		.is_fetch = a->kind == FETCH,
		.is_user_mode = is_user,
		.is_explicit_with_ac = !is_user && !a->is_sys && (c->rflags & X86_RFLAGS_AC),
	};
	struct slow_result result;
	struct slow_cpu cpu;

	slow_cpu_now(&cpu);
	slow_translate(&cpu, &COPY, &access, &result);
	*out_pa = result.physical;
	if (result.outcome == SLOW_OK)
		return true;
	out->vector = result.outcome == SLOW_NOT_CANONICAL ? X86_EXC_GP : X86_EXC_PF;
	out->error = result.error_code;
	out->cr2 = out->vector == X86_EXC_PF ? la : 0;
	return false;
}

/* Everything that can fault does so before a byte changes. */
static void slow_access(const struct access *a, struct outcome *out)
{
	unsigned room = UMBRA_PAGE_SIZE - a->la % UMBRA_PAGE_SIZE;
	unsigned first = a->len < room ? a->len : room;
	gva_t next = a->la + first;
	uint64_t pa[2] = {0, 0};

	*out = (struct outcome){.vector = 0};
	if (!soft_is_code64(rig->c))
		next = (uint32_t)next;
	if (!slow_part(a, a->la, &pa[0], out) ||
	    (first < a->len && !slow_part(a, next, &pa[1], out)))
		return;
	out->gpa = a->kind == FETCH ? pa[0] & UMBRA_PAGE_MASK : 0;
	for (unsigned i = 0; i < a->len; i++) {
		uint64_t at = i < first ? pa[0] + i : pa[1] + i - first;

		if (a->kind != STORE)
			out->data[i] = copy_read(NULL, at);
		if (a->kind == STORE)
			copy_write(NULL, at, a->data[i]);
		if (a->kind == MODIFY)
			copy_write(NULL, at, out->data[i] ^ a->data[i]);
	}
}

/* What does happen. */

static void modify(struct soft_cpu *c, const struct access *a, struct outcome *out)
{
	soft_rmw_begin(c, a->la, a->len, &c->rmw);
	memcpy(out->data, c->rmw.bytes, a->len);
	for (unsigned i = 0; i < a->len; i++)
		c->rmw.bytes[i] ^= a->data[i];
	soft_rmw_end(c, &c->rmw);
}

static bool is_register_size(unsigned len)
{
	return len <= 8 && !(len & (len - 1));
}

static void move(struct soft_cpu *c, const struct access *a, struct outcome *out)
{
	uint64_t value = le64_get(a->data);

	if (a->kind == STORE && a->is_sys)
		soft_store_sys(c, a->la, a->len, value);
	else if (a->kind == STORE && is_register_size(a->len) && (a->data[0] & 1))
		soft_store(c, a->la, a->len, value);
	else if (a->kind == STORE)
		soft_store_bytes(c, a->la, a->data, a->len);
	else if (a->is_sys)
		le64_put(out->data, soft_load_sys(c, a->la, a->len));
	else if (is_register_size(a->len))
		le64_put(out->data, soft_load(c, a->la, a->len));
	else
		soft_load_bytes(c, a->la, out->data, a->len);
}

static void real_access(const struct access *a, struct outcome *out)
{
	struct soft_cpu *c = rig->c;

	*out = (struct outcome){.vector = 0};
	if (setjmp(c->escape) != 0) {
		*out = (struct outcome){
			.vector = c->event.vector, .error = c->event.error, .cr2 = c->event.cr2};
		return;
	}
	if (a->kind == MODIFY)
		modify(c, a, out);
	else if (a->kind == FETCH)
		soft_fetch(c, a->la, out->data, a->len, &out->gpa);
	else
		move(c, a, out);
}

/* Choices. */

static gpa_t random_frame(void)
{
	switch (below(16)) {
	case 0:
		return NOWHERE;
	case 1:
		return RAM_BYTES + below(4) * UMBRA_PAGE_SIZE;
	case 2:
	case 3:
		return below(DATA_FRAMES) * UMBRA_PAGE_SIZE;
	default:
		return below(TABLE_FRAMES) * UMBRA_PAGE_SIZE;
	}
}

static uint64_t random_entry(void)
{
	uint64_t entry = once_in(8) ? X86_PTE_PS : random_frame(); /* large pages begin at 0 */

	return entry | maybe(X86_PTE_P, 7) | maybe(X86_PTE_RW, 6) | maybe(X86_PTE_US, 5) |
	       maybe(X86_PTE_A, 4) | maybe(X86_PTE_D, 4) | maybe(X86_PTE_G, 1) |
	       (once_in(16) ? X86_PTE_NX : 0) | (once_in(8) ? below(16) << 59 : 0) |
	       (once_in(64) ? 1ull << 45 : 0) | below(8) << 9;
}

static gva_t random_gva(void)
{
	unsigned width = rig->c->cr4 & X86_CR4_LA57 ? 57 : 48;
	gva_t gva = 0;

	for (unsigned level = 5; level > 0; level--)
		gva = gva << 9 | INDEX[below(8)];
	gva = gva << 12 | (once_in(3) ? UMBRA_PAGE_SIZE - 1 - below(16) : below(512) * 8);
	if (!(rig->c->cr0 & X86_CR0_PG))
		return below(once_in(2) ? RAM_BYTES + ROM_BYTES : DATA_FRAMES * UMBRA_PAGE_SIZE);
	if (!soft_is_long(rig->c))
		return (uint32_t)gva;
	return once_in(32) ? gva : (uint64_t)((int64_t)(gva << (64 - width)) >> (64 - width));
}

static void choose_access(struct access *a)
{
	static const unsigned lengths[] = {1, 2, 4, 8, 8, 8, 10, 16, 28, 64};
	unsigned i;

	a->kind = (enum kind)below(KINDS);
	a->is_sys = once_in(8) && (a->kind == LOAD || a->kind == STORE);
	a->len = lengths[below(UMBRA_ARRAY_SIZE(lengths))];
	if ((a->is_sys && a->len > 8) || (a->kind == MODIFY && a->len > 16))
		a->len = 8;
	a->la = random_gva();
	if (a->kind == FETCH)
		a->len = (unsigned)u64_min(a->len, UMBRA_PAGE_SIZE - a->la % UMBRA_PAGE_SIZE);
	for (i = 0; i < MAX_ACCESS; i += 8)
		le64_put(a->data + i, random_entry());
}

static enum x86_mode choose_mode(struct x86_state *st)
{
	const unsigned pick = (unsigned)below(9);
	enum x86_mode mode = pick < 4 ? X86_MODE_LONG64 : X86_MODE_PROT32;

	soft_rig_state(rig, mode, 0, st);
	st->cr0 |= pick == 8 ? 0 : X86_CR0_PG;
	st->cr4 |= (pick < 6 ? X86_CR4_PAE : 0) | (pick < 2 ? X86_CR4_LA57 : 0);
	return mode;
}

static void change_registers(void)
{
	struct x86_state st;

	choose_mode(&st);
	st.cr0 |= maybe(X86_CR0_WP, 5);
	st.cr4 |= maybe(X86_CR4_PSE, 6) | maybe(X86_CR4_PGE, 4) | maybe(X86_CR4_SMEP, 2) |
		  maybe(X86_CR4_SMAP, 2) | maybe(X86_CR4_PKE, 4);
	st.efer |= maybe(X86_EFER_NXE, 7);
	st.cr3 = below(TABLE_FRAMES) * UMBRA_PAGE_SIZE;
	rig->c->pkru = (uint32_t)below(4) * 0x55aa33cc;
	soft_rig_set(rig, &st);
}

static void change_class(void)
{
	rig->c->cpl = once_in(2) ? 3 : 0;
	soft_set_rflags(rig->c, X86_RFLAGS_FIXED | maybe(X86_RFLAGS_AC, 2));
	soft_mode_update(rig->c);
}

/* The debugger's write. */
static void poke_entry(void)
{
	gpa_t gpa = below(TABLE_FRAMES) * UMBRA_PAGE_SIZE + INDEX[below(8)] * 8;
	uint8_t raw[8];

	le64_put(raw, random_entry());
	soft_rig_poke(rig, gpa, raw, sizeof(raw));
	memcpy(copy + gpa, raw, sizeof(raw));
}

/* Checks. */

static void collect(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	cr_log_error("%.*s", (int)len, text);
}

static void check_all(unsigned step)
{
	const struct print_sink sink = {.text = collect};

	cr_assert_eq(memcmp(mem_ptr(rig->mem, 0, RAM_BYTES), copy, RAM_BYTES), 0,
		     "memory differs after step %u", step);
	cr_assert_eq(mmu_verify(rig->c->vm->mmu, &sink), 0, "after step %u", step);
}

static void try_access(unsigned step, unsigned *count)
{
	struct access a;
	struct outcome expected, got;

	choose_access(&a);
	real_access(&a, &got);
	slow_access(&a, &expected);
	count[expected.vector == 0]++;
	cr_assert_eq(memcmp(&got, &expected, sizeof(got)), 0,
		     "step %u: kind %u la %#llx len %u sys %d: vector %u/%u error %#x/%#x cr2 "
		     "%#llx/%#llx gpa %#llx/%#llx data %#llx/%#llx",
		     step, a.kind, (unsigned long long)a.la, a.len, a.is_sys, got.vector,
		     expected.vector, got.error, expected.error, (unsigned long long)got.cr2,
		     (unsigned long long)expected.cr2, (unsigned long long)got.gpa,
		     (unsigned long long)expected.gpa, (unsigned long long)le64_get(got.data),
		     (unsigned long long)le64_get(expected.data));
}

static void run(uint64_t seed)
{
	unsigned count[2] = {0, 0};

	random_state = seed;
	rig = soft_rig_create_with(1, &(struct accel_vm_config){.has_la57 = true});
	cr_assert_eq(rig->ram_bytes, RAM_BYTES);
	cr_assert_eq(mem_peek(rig->mem, 0, copy, RAM_BYTES), RAM_BYTES);
	for (unsigned i = 0; i < ROM_BYTES; i += 8)
		le64_put(copy + RAM_BYTES + i, random_entry());
	soft_rig_poke(rig, RAM_BYTES, copy + RAM_BYTES, ROM_BYTES);
	for (unsigned step = 0; step < STEPS; step++) {
		if (step % 2048 == 0)
			for (unsigned i = 0; i < TABLE_FRAMES * 64; i++)
				poke_entry();
		if (step % REGS_EVERY == 0)
			change_registers();
		if (step % CLASS_EVERY == 0)
			change_class();
		if (once_in(4))
			poke_entry();
		try_access(step, count);
		if (step % CHECK_EVERY == 0)
			check_all(step);
	}
	check_all(STEPS);
	cr_expect_gt(count[true], STEPS / 8);
	cr_expect_gt(count[false], STEPS / 8);
	soft_rig_destroy(rig);
}

Test(access_random, access_when_tables_and_registers_change_at_random_then_as_the_slow_walker)
{
	run(1);
	run(2);
}
