/* See slow_walker.h.  Clearness before everything: no tables, no masks, a bit at a time. */
#include "slow_walker.h"

#include <string.h>

struct translation {
	const struct slow_cpu *cpu;
	const struct slow_memory *memory;
	uint64_t linear;
	struct slow_result *result;
};

static bool bit(uint64_t value, unsigned n)
{
	return value >> n & 1;
}

/* Bits @high:@low of @value, moved down to bit 0. */
static uint64_t bits(uint64_t value, unsigned high, unsigned low)
{
	uint64_t field = 0;
	unsigned n;

	for (n = low; n <= high; n++)
		field |= (uint64_t)bit(value, n) << (n - low);
	return field;
}

/* The control bits that chapter 4 names (4.1.1, 4.1.3). */
static bool cr0_wp(const struct slow_cpu *cpu)
{
	return bit(cpu->cr0, 16);
}

static bool cr0_pg(const struct slow_cpu *cpu)
{
	return bit(cpu->cr0, 31);
}

static bool cr4_pse(const struct slow_cpu *cpu)
{
	return bit(cpu->cr4, 4);
}

static bool cr4_pae(const struct slow_cpu *cpu)
{
	return bit(cpu->cr4, 5);
}

static bool cr4_pge(const struct slow_cpu *cpu)
{
	return bit(cpu->cr4, 7);
}

static bool cr4_la57(const struct slow_cpu *cpu)
{
	return bit(cpu->cr4, 12);
}

static bool cr4_smep(const struct slow_cpu *cpu)
{
	return bit(cpu->cr4, 20);
}

static bool cr4_smap(const struct slow_cpu *cpu)
{
	return bit(cpu->cr4, 21);
}

static bool cr4_pke(const struct slow_cpu *cpu)
{
	return bit(cpu->cr4, 22);
}

static bool efer_lma(const struct slow_cpu *cpu)
{
	return bit(cpu->efer, 10);
}

static bool efer_nxe(const struct slow_cpu *cpu)
{
	return bit(cpu->efer, 11);
}

static uint64_t load(const struct slow_memory *memory, uint64_t pa, unsigned bytes)
{
	uint64_t value = 0;
	unsigned i;

	for (i = 0; i < bytes; i++)
		value |= (uint64_t)memory->read(memory->ctx, pa + i) << (8 * i);
	return value;
}

static void store(const struct slow_memory *memory, uint64_t pa, unsigned bytes, uint64_t value)
{
	unsigned i;

	for (i = 0; i < bytes; i++)
		memory->write(memory->ctx, pa + i, (uint8_t)(value >> (8 * i)));
}

/* Read the entry at @pa and note it as used. */
static uint64_t use_entry(struct translation *t, unsigned level, uint64_t pa, unsigned bytes)
{
	struct slow_used *used = &t->result->used[t->result->used_count++];

	used->pa = pa;
	used->bytes = bytes;
	used->level = level;
	used->has_accessed = true;
	used->value = load(t->memory, pa, bytes);
	return used->value;
}

static bool fail(struct translation *t, enum slow_outcome outcome)
{
	t->result->outcome = outcome;
	return false;
}

/* P is bit 0 of every entry; when it is 0 nothing else in the entry counts. */
static bool check_present(struct translation *t, uint64_t entry)
{
	return bit(entry, 0) || fail(t, SLOW_NOT_PRESENT);
}

static void reserve(struct translation *t, uint64_t entry, unsigned high, unsigned low)
{
	unsigned n;

	for (n = low; n <= high; n++) {
		if (bit(entry, n))
			t->result->reserved_set |= (uint64_t)1 << n;
	}
}

static bool check_reserved(struct translation *t)
{
	return t->result->reserved_set == 0 || fail(t, SLOW_RESERVED);
}

/* Bits 51:M of 64-bit entries are reserved. */
static void reserve_above_maxphyaddr(struct translation *t, uint64_t entry)
{
	if (t->cpu->maxphyaddr <= 51)
		reserve(t, entry, 51, t->cpu->maxphyaddr);
}

/* "If IA32_EFER.NXE = 1, execute-disable ...; otherwise, reserved (must be 0)". */
static void reserve_xd(struct translation *t, uint64_t entry)
{
	if (!efer_nxe(t->cpu))
		reserve(t, entry, 63, 63);
}

/* R/W is bit 1, U/S bit 2: an access needs them in every entry (4.6.1). */
static void combine_rights(struct translation *t, uint64_t entry)
{
	if (!bit(entry, 1))
		t->result->is_writable = false;
	if (!bit(entry, 2))
		t->result->is_user = false;
}

static void combine_xd(struct translation *t, uint64_t entry)
{
	if (bit(entry, 63))
		t->result->is_executable = false;
}

/* G is bit 8 of the entry that maps the page, "if CR4.PGE = 1; ignored otherwise". */
static bool map_page(struct translation *t, uint64_t entry, uint64_t base, unsigned offset_bits)
{
	t->result->physical = base | bits(t->linear, offset_bits - 1, 0);
	t->result->page_bytes = (uint64_t)1 << offset_bits;
	t->result->is_global = cr4_pge(t->cpu) && bit(entry, 8);
	return true;
}

/* Table 4-4: M is the smaller of MAXPHYADDR and 40; bits (M-20):13 are bits (M-1):32 of the
 * address, bits 21:(M-19) are reserved. */
static bool map_4m_page(struct translation *t, uint64_t pde)
{
	unsigned m = t->cpu->maxphyaddr < 40 ? t->cpu->maxphyaddr : 40;
	uint64_t base;

	reserve(t, pde, 21, m - 19);
	if (!check_reserved(t))
		return false;
	combine_rights(t, pde);
	base = bits(pde, 31, 22) << 22;
	if (m > 32)
		base |= bits(pde, m - 20, 13) << 32;
	return map_page(t, pde, base, 22);
}

/* 4.3: 32-bit paging. */
static bool translate_32bit(struct translation *t)
{
	uint64_t pde, pte;

	pde = use_entry(t, 2, bits(t->cpu->cr3, 31, 12) << 12 | bits(t->linear, 31, 22) << 2, 4);
	if (!check_present(t, pde))
		return false;
	if (cr4_pse(t->cpu) && bit(pde, 7))
		return map_4m_page(t, pde);
	combine_rights(t, pde); /* table 4-5: nothing is reserved */
	pte = use_entry(t, 1, bits(pde, 31, 12) << 12 | bits(t->linear, 21, 12) << 2, 4);
	if (!check_present(t, pte))
		return false;
	combine_rights(t, pte); /* table 4-6: bit 7 is PAT */
	return map_page(t, pte, bits(pte, 31, 12) << 12, 12);
}

/* 4.4.1: PDPTE register i holds what MOV to CR3 found and checked.  Without registers the entry is
 * read and checked by table 4-8 here. */
static bool take_pdpte(struct translation *t, uint64_t *out_pdpte)
{
	unsigned i = (unsigned)bits(t->linear, 31, 30);
	uint64_t pdpte = use_entry(t, 3, (bits(t->cpu->cr3, 31, 5) << 5) + 8 * i, 8);
	struct slow_used *used = &t->result->used[0];

	used->has_accessed = false;
	if (t->cpu->has_pdpte) {
		pdpte = t->cpu->pdpte[i];
		used->value = pdpte;
	}
	*out_pdpte = pdpte;
	if (!check_present(t, pdpte))
		return false;
	if (t->cpu->has_pdpte)
		return true;
	reserve(t, pdpte, 2, 1);
	reserve(t, pdpte, 8, 5);
	reserve_above_maxphyaddr(t, pdpte);
	reserve(t, pdpte, 63, 52);
	return check_reserved(t);
}

/* 4.4: PAE paging. */
static bool translate_pae(struct translation *t)
{
	uint64_t pdpte, pde, pte;

	if (!take_pdpte(t, &pdpte))
		return false;
	pde = use_entry(t, 2, bits(pdpte, 51, 12) << 12 | bits(t->linear, 29, 21) << 3, 8);
	if (!check_present(t, pde))
		return false;
	reserve_above_maxphyaddr(t, pde); /* tables 4-9 and 4-10 */
	reserve(t, pde, 62, 52);
	reserve_xd(t, pde);
	if (bit(pde, 7))
		reserve(t, pde, 20, 13);
	if (!check_reserved(t))
		return false;
	combine_rights(t, pde);
	combine_xd(t, pde);
	if (bit(pde, 7))
		return map_page(t, pde, bits(pde, 51, 21) << 21, 21);
	pte = use_entry(t, 1, bits(pde, 51, 12) << 12 | bits(t->linear, 20, 12) << 3, 8);
	if (!check_present(t, pte))
		return false;
	reserve_above_maxphyaddr(t, pte); /* table 4-11 */
	reserve(t, pte, 62, 52);
	reserve_xd(t, pte);
	if (!check_reserved(t))
		return false;
	combine_rights(t, pte);
	combine_xd(t, pte);
	return map_page(t, pte, bits(pte, 51, 12) << 12, 12);
}

/* Read a PML5E, PML4E, PDPTE, PDE or PTE of 4- or 5-level paging and check what holds for all five
 * (tables 4-14 to 4-20); bits 62:52 are ignored or a protection key. */
static bool take_long_entry(struct translation *t, unsigned level, uint64_t table, uint64_t index,
			    uint64_t *out_entry)
{
	uint64_t entry = use_entry(t, level, table | index << 3, 8);

	*out_entry = entry;
	if (!check_present(t, entry))
		return false;
	reserve_above_maxphyaddr(t, entry);
	reserve_xd(t, entry);
	if (level >= 4)
		reserve(t, entry, 7, 7); /* PS must be 0 in PML5E and PML4E */
	if (level == 3 && bit(entry, 7))
		reserve(t, entry, 29, 13); /* table 4-16 */
	if (level == 2 && bit(entry, 7))
		reserve(t, entry, 20, 13); /* table 4-18 */
	if (!check_reserved(t))
		return false;
	combine_rights(t, entry);
	combine_xd(t, entry);
	return true;
}

/* 4.6.2: the key is bits 62:59 of the entry that maps the page. */
static bool map_long_page(struct translation *t, uint64_t entry, unsigned offset_bits)
{
	t->result->key = (unsigned)bits(entry, 62, 59);
	return map_page(t, entry, bits(entry, 51, offset_bits) << offset_bits, offset_bits);
}

/* 4.5: 4-level and 5-level paging. */
static bool translate_long(struct translation *t)
{
	uint64_t table = bits(t->cpu->cr3, 51, 12) << 12;
	uint64_t entry;

	if (cr4_la57(t->cpu)) {
		if (!take_long_entry(t, 5, table, bits(t->linear, 56, 48), &entry))
			return false;
		table = bits(entry, 51, 12) << 12;
	}
	if (!take_long_entry(t, 4, table, bits(t->linear, 47, 39), &entry))
		return false;
	table = bits(entry, 51, 12) << 12;
	if (!take_long_entry(t, 3, table, bits(t->linear, 38, 30), &entry))
		return false;
	if (bit(entry, 7))
		return map_long_page(t, entry, 30);
	table = bits(entry, 51, 12) << 12;
	if (!take_long_entry(t, 2, table, bits(t->linear, 29, 21), &entry))
		return false;
	if (bit(entry, 7))
		return map_long_page(t, entry, 21);
	table = bits(entry, 51, 12) << 12;
	if (!take_long_entry(t, 1, table, bits(t->linear, 20, 12), &entry))
		return false;
	return map_long_page(t, entry, 12);
}

/* SDM 1 3.3.7.1: all bits from the highest implemented one up are equal. */
static bool is_canonical(uint64_t linear, unsigned width)
{
	unsigned n;

	for (n = width; n < 64; n++) {
		if (bit(linear, n) != bit(linear, width - 1))
			return false;
	}
	return true;
}

/* Outside IA-32e mode a linear address has 32 bits and there is no wider one. */
static bool translate(struct translation *t)
{
	const struct slow_cpu *cpu = t->cpu;

	if (cr0_pg(cpu) && efer_lma(cpu)) {
		if (!is_canonical(t->linear, cr4_la57(cpu) ? 57 : 48))
			return fail(t, SLOW_NOT_CANONICAL);
		return translate_long(t);
	}
	if (bits(t->linear, 63, 32) != 0)
		return fail(t, SLOW_NOT_CANONICAL);
	if (!cr0_pg(cpu)) {
		t->result->physical = t->linear;
		return true;
	}
	return cr4_pae(cpu) ? translate_pae(t) : translate_32bit(t);
}

/* 4.6.2.  "PKRU ... ADi: if 1, no data access to a linear address with key i; WDi: if 1, no write
 * by user-mode accesses, nor by supervisor-mode ones if CR0.WP = 1". */
static bool key_permits(const struct slow_cpu *cpu, const struct slow_access *access,
			const struct slow_result *r)
{
	if (!efer_lma(cpu) || !cr4_pke(cpu))
		return true;
	if (access->is_fetch || !r->is_user)
		return true;
	if (bit(cpu->pkru, 2 * r->key))
		return false;
	if (access->is_write && bit(cpu->pkru, 2 * r->key + 1))
		return !(access->is_user_mode || cr0_wp(cpu));
	return true;
}

/* 4.6.1, "For supervisor-mode accesses". */
static bool supervisor_permits(const struct slow_cpu *cpu, const struct slow_access *access,
			       const struct slow_result *r)
{
	bool is_fetch_allowed_by_xd = !efer_nxe(cpu) || r->is_executable;

	if (access->is_fetch) {
		if (r->is_user && cr4_smep(cpu))
			return false;
		return is_fetch_allowed_by_xd;
	}
	if (access->is_write) {
		if (!r->is_user)
			return cr0_wp(cpu) ? r->is_writable : true;
		if (cr4_smap(cpu) && !access->is_explicit_with_ac)
			return false;
		return cr0_wp(cpu) ? r->is_writable : true;
	}
	if (!r->is_user)
		return true;
	return cr4_smap(cpu) ? access->is_explicit_with_ac : true;
}

/* 4.6.1, "For user-mode accesses". */
static bool user_permits(const struct slow_cpu *cpu, const struct slow_access *access,
			 const struct slow_result *r)
{
	if (!r->is_user)
		return false;
	if (access->is_fetch)
		return !efer_nxe(cpu) || r->is_executable;
	return access->is_write ? r->is_writable : true;
}

/* 4.7, figure 4-12, flag by flag. */
static uint32_t error_code(const struct slow_cpu *cpu, const struct slow_access *access,
			   const struct slow_result *r)
{
	uint32_t code = 0;

	if (r->outcome != SLOW_NOT_PRESENT)
		code += 1;
	if (access->is_write)
		code += 2;
	if (access->is_user_mode)
		code += 4;
	if (r->outcome == SLOW_RESERVED)
		code += 8;
	if (access->is_fetch && (cr4_smep(cpu) || (cr4_pae(cpu) && efer_nxe(cpu))))
		code += 16;
	if (r->outcome == SLOW_DENIED && !key_permits(cpu, access, r))
		code += 32;
	return code;
}

/* 4.8: A (bit 5) in every entry that was used, D (bit 6) in the one that maps the page if the
 * access is a write.  An entry that cannot be changed keeps its flags. */
static void update_flags(const struct slow_memory *memory, bool is_write, struct slow_result *r)
{
	unsigned i;

	for (i = 0; i < r->used_count; i++) {
		struct slow_used *used = &r->used[i];
		uint64_t before, wanted;

		if (!used->has_accessed)
			continue;
		before = load(memory, used->pa, used->bytes);
		wanted = before | (uint64_t)1 << 5;
		if (is_write && i + 1 == r->used_count)
			wanted |= (uint64_t)1 << 6;
		store(memory, used->pa, used->bytes, wanted);
		used->value = load(memory, used->pa, used->bytes);
		if (!bit(before, 5) && bit(used->value, 5))
			r->set_accessed |= 1u << used->level;
		if (!bit(before, 6) && bit(used->value, 6))
			r->set_dirty = true;
	}
}

void slow_translate(const struct slow_cpu *cpu, const struct slow_memory *memory,
		    const struct slow_access *access, struct slow_result *out_result)
{
	struct slow_result *r = out_result;
	struct translation t = {cpu, memory, access->linear, r};
	bool is_permitted;

	memset(r, 0, sizeof(*r));
	r->is_writable = true;
	r->is_user = true;
	r->is_executable = true;
	if (!translate(&t)) {
		if (r->outcome != SLOW_NOT_CANONICAL)
			r->error_code = error_code(cpu, access, r);
		return;
	}
	if (!cr0_pg(cpu))
		return;
	is_permitted = access->is_user_mode ? user_permits(cpu, access, r)
					    : supervisor_permits(cpu, access, r);
	if (!is_permitted || !key_permits(cpu, access, r)) {
		r->outcome = SLOW_DENIED;
		r->error_code = error_code(cpu, access, r);
		return;
	}
	update_flags(memory, access->is_write, r);
}
