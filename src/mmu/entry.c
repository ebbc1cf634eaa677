/* What a guest entry means to its shadow page.  Pure functions of the entry and the role; the walk
 * has found the entry valid before any of them is asked.
 * Source: SDM 3A tables 4-4 to 4-20. */
#include "shadow.h"

#define ADDR_4K BITS(51, 12)
#define ADDR_2M BITS(51, 21)
#define ADDR_1G BITS(51, 30)

#define PSE_GFNS 512u /* a large page of 4 MiB is two entries of 2 MiB */

static bool has_small_entries(const struct shadow_page *sp)
{
	return sp->key.role.mode == X86_PAGING_32BIT;
}

static bool is_long(union shadow_role role)
{
	return role.mode == X86_PAGING_4LEVEL || role.mode == X86_PAGING_5LEVEL;
}

/* Guest entries of 4 bytes: level 2 has 256 for a shadow page, each two entries there. */
static unsigned small_first(const struct shadow_page *sp)
{
	return sp->key.role.quadrant * (sp->key.role.level == 1 ? 512u : 256u);
}

static unsigned small_width(const struct shadow_page *sp)
{
	return sp->key.role.level == 1 ? 1 : 2;
}

size_t shadow_entry_offset(const struct shadow_page *sp, unsigned index)
{
	if (!has_small_entries(sp))
		return index * sizeof(guest_entry64);
	return (small_first(sp) + index / small_width(sp)) * sizeof(guest_entry32);
}

unsigned shadow_entries_at(const struct shadow_page *sp, size_t offset, size_t len,
			   unsigned *out_first)
{
	size_t entry_bytes = has_small_entries(sp) ? sizeof(guest_entry32) : sizeof(guest_entry64);
	size_t low = offset / entry_bytes, high = (offset + len - 1) / entry_bytes + 1;
	size_t first, end;

	if (!has_small_entries(sp)) {
		*out_first = (unsigned)low;
		return (unsigned)(high - low);
	}
	first = small_first(sp);
	end = first + SHADOW_ENTRIES / small_width(sp);
	low = low > first ? low : first;
	high = high < end ? high : end;
	if (low >= high)
		return 0;
	*out_first = (unsigned)(low - first) * small_width(sp);
	return (unsigned)(high - low) * small_width(sp);
}

uint64_t shadow_read_entry(const struct shadow_page *sp, unsigned index)
{
	const uint8_t *host = sp->table ? sp->table + shadow_entry_offset(sp, index) : NULL;

	return guest_entry_read(host, has_small_entries(sp) ? 4 : 8);
}

static bool maps_large_page(union shadow_role role, uint64_t gpte)
{
	if (role.level == 1 || role.level > 3 || !(gpte & X86_PTE_PS))
		return false;
	return role.mode != X86_PAGING_32BIT || role.has_pse;
}

unsigned shadow_entry_access(union shadow_role role, uint64_t gpte)
{
	unsigned access = role.access;

	if (!(gpte & X86_PTE_RW))
		access &= ~ACCESS_W;
	if (!(gpte & X86_PTE_US))
		access &= ~ACCESS_U;
	if (gpte & X86_PTE_NX)
		access &= ~ACCESS_X;
	return access;
}

static unsigned entry_pkey(union shadow_role role, uint64_t gpte)
{
	return is_long(role) ? (gpte >> 59) & 15 : 0;
}

/* PSE-36: bits 20:13 of a PDE that maps 4 MiB are address bits 39:32 (SDM 3A table 4-4). */
static uint64_t large_page_gfn(union shadow_role role, unsigned index, uint64_t gpte)
{
	gpa_t base;

	if (role.mode == X86_PAGING_32BIT) {
		base = (gpte & BITS(31, 22)) | (gpte & BITS(20, 13)) << 19;
		return (base >> SHADOW_GFN_SHIFT) + (uint64_t)(index % 2) * PSE_GFNS;
	}
	base = gpte & (role.level == 2 ? ADDR_2M : ADDR_1G);
	return base >> SHADOW_GFN_SHIFT;
}

static struct shadow_key direct_child_key(const struct shadow_page *sp, unsigned index)
{
	struct shadow_key key = sp->key;

	key.role.level--;
	key.gfn += (uint64_t)index << (9 * key.role.level);
	return key;
}

static struct shadow_key large_page_key(union shadow_role role, unsigned index, uint64_t gpte)
{
	struct shadow_key key = {.gfn = large_page_gfn(role, index, gpte)};

	key.role.level = (role.level - 1) & 7;
	key.role.is_direct = 1;
	key.role.access = shadow_entry_access(role, gpte) & ACCESS_ALL;
	key.role.is_big = 1;
	key.role.is_dirty = (gpte & X86_PTE_D) != 0;
	key.role.is_global = (gpte & X86_PTE_G) != 0;
	key.role.pkey = entry_pkey(role, gpte) & 15;
	return key;
}

struct shadow_key shadow_child_key(const struct shadow_page *sp, unsigned index, uint64_t gpte)
{
	union shadow_role role = sp->key.role;
	struct shadow_key key = {.gfn = (gpte & ADDR_4K) >> SHADOW_GFN_SHIFT};

	if (role.is_direct)
		return direct_child_key(sp, index);
	if (maps_large_page(role, gpte))
		return large_page_key(role, index, gpte);
	key.role.level = (role.level - 1) & 7;
	key.role.access = shadow_entry_access(role, gpte) & ACCESS_ALL;
	key.role.mode = role.mode;
	key.role.has_nxe = role.has_nxe;
	if (role.mode == X86_PAGING_32BIT)
		key.role.quadrant = index % 2;
	return key;
}

gpa_t shadow_leaf_gpa(const struct shadow_page *sp, unsigned index, uint64_t gpte)
{
	if (sp->key.role.is_direct)
		return (sp->key.gfn + index) << SHADOW_GFN_SHIFT;
	return gpte & ADDR_4K;
}

uint64_t shadow_leaf_rights(const struct shadow_page *sp, uint64_t gpte)
{
	union shadow_role role = sp->key.role;

	if (role.is_direct)
		return SPTE_P | (uint64_t)role.access << ACCESS_SHIFT |
		       (role.is_dirty ? SPTE_D : 0) | (role.is_global ? SPTE_G : 0) |
		       (role.is_big ? SPTE_BIG : 0) | (uint64_t)role.pkey << SPTE_PKEY_SHIFT;
	return SPTE_P | (uint64_t)shadow_entry_access(role, gpte) << ACCESS_SHIFT |
	       (gpte & X86_PTE_D ? SPTE_D : 0) | (gpte & X86_PTE_G ? SPTE_G : 0) |
	       (uint64_t)entry_pkey(role, gpte) << SPTE_PKEY_SHIFT;
}

bool shadow_entry_maps_page(union shadow_role role, uint64_t gpte)
{
	return role.level == 1 || maps_large_page(role, gpte);
}

uint64_t shadow_relevant_bits(const struct shadow_page *sp, uint64_t gpte)
{
	union shadow_role role = sp->key.role;
	bool is_page = shadow_entry_maps_page(role, gpte);
	uint64_t bits = X86_PTE_P | X86_PTE_RW | X86_PTE_US | X86_PTE_A | ADDR_4K;

	if (role.level > 1)
		bits |= X86_PTE_PS;
	if (is_page)
		bits |= X86_PTE_D | X86_PTE_G;
	if (role.mode != X86_PAGING_32BIT)
		bits |= X86_PTE_NX;
	if (role.mode == X86_PAGING_PAE)
		bits |= BITS(62, 52); /* reserved */
	if (is_long(role) && is_page)
		bits |= BITS(62, 59);
	return bits;
}
