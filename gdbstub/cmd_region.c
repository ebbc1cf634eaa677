/* What lies where: LLDB's qMemoryRegionInfo, one region at a time, and gdb's memory map, all of
 * them at once.
 *
 * The two clients want different things.  LLDB asks anew at each stop and for single addresses: it
 * gets the truth of the moment.  gdb asks once per session and never tries an address that its map
 * does not have: it is told of ROM, and that everything else is RAM, mapped now or later.
 * Source: Debugging with GDB, G.3 Memory Map Format; LLDB's lldb-gdb-remote.txt. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

/* Regions that a map is put together from; a target may have any number. */
#define MAP_LOOKS_MAX 4096u

static void region_at(struct rsp_session *s, uint64_t addr, struct rsp_region *out)
{
	memset(out, 0, sizeof(*out));
	out->first = addr;
	out->last = addr;
	s->target->map->region(s->target->ctx, rsp_current_thread(s), addr, out);
}

static void put_region(struct rsp_session *s, const struct rsp_region *region)
{
	uint64_t size = region->last - region->first;
	char text[96];

	/* LLDB 14 adds the two, and a sum of 2^64 would be 0: the last byte is left out. */
	if (region->last < UINT64_MAX)
		size++;
	snprintf(text, sizeof(text), "start:%llx;size:%llx;", (unsigned long long)region->first,
		 (unsigned long long)size);
	rsp_reply_text(s, text);
	if (!region->is_mapped)
		return;
	snprintf(text, sizeof(text), "permissions:%s%s%s;", region->may_read ? "r" : "",
		 region->may_write && !region->is_rom ? "w" : "", region->may_execute ? "x" : "");
	rsp_reply_text(s, text);
	if (region->name[0]) {
		rsp_reply_text(s, "name:");
		rsp_reply_hex(s, (const uint8_t *)region->name,
			      strnlen(region->name, sizeof(region->name)));
		rsp_reply_byte(s, ';');
	}
}

void rsp_cmd_region(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_region region;

	if (args->number_count == 0) {
		rsp_answer_text(s, "OK");
		return;
	}
	region_at(s, args->number[0], &region);
	rsp_reply_begin(s);
	put_region(s, &region);
	rsp_reply_end(s);
}

static void put_memory(struct rsp_window *w, bool is_rom, uint64_t first, uint64_t last)
{
	uint64_t length = last - first;
	char text[96];

	snprintf(text, sizeof(text), "<memory type=\"%s\" start=\"0x%llx\" length=\"0x%llx\"/>\n",
		 is_rom ? "rom" : "ram", (unsigned long long)first,
		 (unsigned long long)(length < UINT64_MAX ? length + 1 : length));
	rsp_window_text(w, text);
}

/* Neighbours of one kind become one.  gdb takes an end of 2^64, which is 0, for the end of memory.
 */
static void put_map(struct rsp_window *w)
{
	uint64_t start = 0, at = 0;
	struct rsp_region region;
	bool is_rom = false;
	unsigned looks;

	for (looks = 0; looks < MAP_LOOKS_MAX; looks++) {
		bool is_rom_here;

		region_at(w->s, at, &region);
		is_rom_here = region.is_mapped && region.is_rom;
		if (is_rom_here != is_rom) {
			if (at > start)
				put_memory(w, is_rom, start, at - 1);
			start = at;
			is_rom = is_rom_here;
		}
		if (region.last < at || region.last == UINT64_MAX)
			break;
		at = region.last + 1;
	}
	put_memory(w, looks < MAP_LOOKS_MAX && is_rom, start, UINT64_MAX);
}

void rsp_cmd_xfer_memory_map(struct rsp_session *s, const struct rsp_args *args)
{
	struct rsp_window w;

	rsp_window_open(&w, s, args->number[0], args->number[1]);
	rsp_window_text(&w, "<?xml version=\"1.0\"?>\n<memory-map>\n");
	put_map(&w);
	rsp_window_text(&w, "</memory-map>\n");
	rsp_window_send(&w);
}
