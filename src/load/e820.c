/* The memory map, for all that a guest can be told it by: the zero page of Linux, both multiboots,
 * PVH and firmware.
 * Source: ACPI 6.4, 15.1 (address ranges); the reservations are those of QEMU's pc. */
#include "load_internal.h"

#define FIRMWARE_START 0xfffc0000ull

struct map {
	struct load_e820_entry *out;
	unsigned count, max;
};

static void map_put(struct map *map, gpa_t start, gpa_t end, uint32_t type)
{
	if (start >= end || map->count == map->max)
		return;
	map->out[map->count++] = (struct load_e820_entry){start, end - start, type};
}

/* The RAM between @start and @end. */
static void map_put_ram(struct map *map, const struct mem_space *mem, gpa_t start, gpa_t end)
{
	const struct mem_region *r;
	unsigned i;

	for (i = 0; (r = mem_region_at(mem, i)) != NULL; i++) {
		gpa_t from = r->gpa > start ? r->gpa : start;

		if (r->kind == MEM_RAM)
			map_put(map, from, u64_min(r->gpa + r->len, end), LOAD_E820_RAM);
	}
}

unsigned load_e820(const struct mem_space *mem, struct load_e820_entry *out, unsigned max)
{
	struct map map = {.out = out, .max = max};

	map_put_ram(&map, mem, 0, LOAD_LOW_END);
	map_put(&map, LOAD_LOW_END, LOAD_HIGH_START, LOAD_E820_RESERVED);
	map_put_ram(&map, mem, LOAD_HIGH_START, FIRMWARE_START);
	map_put(&map, FIRMWARE_START, LOAD_4G, LOAD_E820_RESERVED);
	map_put_ram(&map, mem, LOAD_4G, UINT64_MAX);
	return map.count;
}
