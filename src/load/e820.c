/* The map of memory that a PC's firmware hands over (ACPI 6.5 chapter 15, INT 15h AX=E820h): RAM as
 * it is in the space, less what firmware keeps for itself.
 *
 *   0 .. 0x9fbff             usable, as far as it is RAM
 *   0x9fc00 .. 0x9ffff       reserved: extended BIOS data area
 *   0xf0000 .. 0xfffff       reserved: BIOS, here the ACPI and MP tables
 *   0x100000 .. 0xfffbffff   usable, as far as it is RAM
 *   0xfffc0000 .. 4 GiB      reserved: flash
 *   4 GiB ..                 usable, as far as it is RAM
 *
 * Between the first two reserved ranges nothing is reported, RAM or not: that is where adapters
 * are.  It is what QEMU's firmware reports. */
#include "load_internal.h"

#define BIOS_START  0xf0000ull
#define FLASH_START 0xfffc0000ull

struct map {
	struct load_e820_entry *out;
	unsigned count, max;
};

static void put(struct map *map, gpa_t start, gpa_t end, uint32_t type)
{
	if (start >= end)
		return;
	if (map->count < map->max)
		map->out[map->count] = (struct load_e820_entry){start, end - start, type};
	map->count++;
}

static void put_ram(struct map *map, const struct mem_space *mem, gpa_t start, gpa_t end)
{
	const struct mem_region *r;

	for (unsigned i = 0; (r = mem_region_at(mem, i)) != NULL; i++) {
		if (r->kind == MEM_RAM)
			put(map, r->gpa > start ? r->gpa : start, u64_min(r->gpa + r->len, end),
			    LOAD_E820_RAM);
	}
}

unsigned load_e820(const struct mem_space *mem, struct load_e820_entry *out, unsigned max)
{
	struct map map = {.out = out, .max = max};

	put_ram(&map, mem, 0, LOAD_LOW_END);
	put(&map, LOAD_LOW_END, LOAD_ADAPTERS, LOAD_E820_RESERVED);
	put(&map, BIOS_START, LOAD_HIGH_START, LOAD_E820_RESERVED);
	put_ram(&map, mem, LOAD_HIGH_START, FLASH_START);
	put(&map, FLASH_START, LOAD_4G, LOAD_E820_RESERVED);
	put_ram(&map, mem, LOAD_4G, UINT64_MAX);
	return map.count;
}
