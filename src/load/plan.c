/* The plan: ranges of guest memory and the bytes that go there.  A range enters it only when all
 * of it is RAM and none of it is taken, so that carrying the plan out can fail only when a file
 * changed in between. */
#include "load_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define APPLY_CHUNK	16384u
#define RAM_TEXT_RANGES 4 /* named in an error text */
#define RAM_TEXT_MAX	(RAM_TEXT_RANGES * 40 + 16)

struct span {
	gpa_t start, end; /* end is past the last byte */
};

/* RAM where nothing of ours is placed: page 0, and the BIOS data area up to 1 MiB. */
static const struct span kept_free[] = {
	{0, LOAD_LOW_START},
	{LOAD_LOW_END, LOAD_HIGH_START},
};

gpa_t load_ram_end(const struct mem_space *mem, gpa_t gpa)
{
	const struct mem_region *r = mem_find(mem, gpa);

	while (r && r->kind == MEM_RAM) {
		gpa = r->gpa + r->len;
		r = mem_find(mem, gpa);
	}
	return gpa;
}

uint32_t load_ram_kib(const struct mem_space *mem, gpa_t start, gpa_t limit)
{
	return (uint32_t)((u64_min(load_ram_end(mem, start), limit) - start) / 1024);
}

/* The first RAM at or above @gpa, as far as it goes on; false when there is none. */
static bool ram_next(const struct mem_space *mem, gpa_t gpa, struct span *out_ram)
{
	const struct mem_region *r;
	unsigned i;

	for (i = 0; (r = mem_region_at(mem, i)) != NULL; i++) {
		if (r->kind != MEM_RAM || r->gpa < gpa)
			continue;
		*out_ram = (struct span){r->gpa, load_ram_end(mem, r->gpa)};
		return true;
	}
	return false;
}

/* "0x0-0x9ffff, 0x100000-0x3ffffff": the limits that an error text has to name. */
static const char *ram_text(const struct mem_space *mem, char buf[RAM_TEXT_MAX])
{
	struct span ram = {0, 0};
	size_t used = 0;
	unsigned i;

	snprintf(buf, RAM_TEXT_MAX, "missing");
	for (i = 0; ram_next(mem, ram.end, &ram); i++) {
		if (i == RAM_TEXT_RANGES) {
			snprintf(buf + used, RAM_TEXT_MAX - used, ", ...");
			break;
		}
		used += (size_t)snprintf(buf + used, RAM_TEXT_MAX - used,
					 "%s0x%" PRIx64 "-0x%" PRIx64, i ? ", " : "", ram.start,
					 ram.end - 1);
	}
	return buf;
}

static const struct load_part *part_overlapping(const struct load_image *image, gpa_t gpa,
						uint64_t len)
{
	unsigned i;

	for (i = 0; i < image->part_count; i++) {
		const struct load_part *p = &image->part[i];

		if (p->gpa < gpa + len && gpa < p->gpa + p->mem_len)
			return p;
	}
	return NULL;
}

/* All of the range is RAM, or one ROM when the part is for that. */
static bool part_has_memory(const struct mem_space *mem, const struct load_part *part, gpa_t end)
{
	const struct mem_region *r = mem_find(mem, part->gpa);

	if (part->is_rom)
		return r && r->kind == MEM_ROM &&
		       range_fits(part->gpa, part->mem_len, r->gpa, r->len);
	return load_ram_end(mem, part->gpa) >= end;
}

static int part_check(const struct load_job *job, const struct load_part *part,
		      struct umbra_err *err)
{
	char ram[RAM_TEXT_MAX];
	const struct load_part *other;
	gpa_t end = 0;

	if (!u64_add(part->gpa, part->mem_len, &end) || !part_has_memory(job->mem, part, end))
		return umbra_err_set(
			err, ENOSPC,
			"%s: %s 0x%" PRIx64 " with 0x%" PRIx64 " bytes is not all RAM (RAM is %s)",
			part->what, part->field, part->gpa, part->mem_len, ram_text(job->mem, ram));
	other = part_overlapping(job->image, part->gpa, part->mem_len);
	if (other)
		return umbra_err_set(err, ENOEXEC,
				     "%s: %s 0x%" PRIx64 " with 0x%" PRIx64
				     " bytes overlaps %s at 0x%" PRIx64 "-0x%" PRIx64,
				     part->what, part->field, part->gpa, part->mem_len, other->what,
				     other->gpa, other->gpa + other->mem_len - 1);
	return 0;
}

static int part_room(struct load_image *image, struct umbra_err *err)
{
	unsigned room = image->part_room ? 2 * image->part_room : 16;
	struct load_part *part;

	if (image->part_count < image->part_room)
		return 0;
	part = realloc(image->part, room * sizeof(*part));
	if (!part)
		return umbra_err_set(err, ENOMEM, "no memory for %u parts of the image", room);
	image->part = part;
	image->part_room = room;
	return 0;
}

int load_plan_add(struct load_job *job, const struct load_part *part, struct umbra_err *err)
{
	int rc = part_check(job, part, err);

	if (rc == 0)
		rc = part_room(job->image, err);
	if (rc < 0) {
		free(part->bytes);
		return rc;
	}
	job->image->part[job->image->part_count++] = *part;
	return 0;
}

/* The gap between two ranges of RAM that @gpa, which is not RAM, lies in. */
static struct span ram_gap(const struct mem_space *mem, gpa_t gpa)
{
	struct span gap = {0, UINT64_MAX};
	struct span ram = {0, 0};

	while (ram_next(mem, ram.end, &ram)) {
		if (ram.start > gpa) {
			gap.end = ram.start;
			break;
		}
		gap.start = ram.end;
	}
	return gap;
}

/* What keeps the @len bytes at @gpa from being used, if anything. */
static bool find_blocker(const struct load_job *job, gpa_t gpa, uint64_t len, struct span *out)
{
	const struct load_part *part = part_overlapping(job->image, gpa, len);
	gpa_t ram_end = load_ram_end(job->mem, gpa);
	size_t i;

	for (i = 0; i < UMBRA_ARRAY_SIZE(kept_free); i++) {
		*out = kept_free[i];
		if (out->start < gpa + len && gpa < out->end)
			return true;
	}
	if (part) {
		*out = (struct span){part->gpa, part->gpa + part->mem_len};
		return true;
	}
	if (ram_end < gpa + len) {
		*out = ram_gap(job->mem, ram_end);
		return true;
	}
	return false;
}

bool load_plan_is_free(const struct load_job *job, gpa_t gpa, uint64_t len)
{
	struct span blocker;

	return !find_blocker(job, gpa, len, &blocker);
}

/* Each turn moves @gpa past the blocker that it met, so both searches end. */
static bool place_highest(const struct load_job *job, const struct load_where *where, uint64_t len,
			  gpa_t *out_gpa)
{
	struct span blocker = {where->end, where->end};

	while (blocker.start >= len) {
		gpa_t gpa = (blocker.start - len) & ~(where->align - 1);

		if (gpa < where->start)
			return false;
		if (!find_blocker(job, gpa, len, &blocker)) {
			*out_gpa = gpa;
			return true;
		}
	}
	return false;
}

static bool place_lowest(const struct load_job *job, const struct load_where *where, uint64_t len,
			 gpa_t *out_gpa)
{
	struct span blocker = {where->start, where->start};

	while (blocker.end < where->end) {
		gpa_t gpa = (blocker.end + where->align - 1) & ~(where->align - 1);

		if (!range_fits(gpa, len, where->start, where->end - where->start))
			return false;
		if (!find_blocker(job, gpa, len, &blocker)) {
			*out_gpa = gpa;
			return true;
		}
	}
	return false;
}

static bool place(const struct load_job *job, const struct load_where *where, uint64_t len,
		  gpa_t *out_gpa)
{
	return where->is_lowest ? place_lowest(job, where, len, out_gpa)
				: place_highest(job, where, len, out_gpa);
}

static int no_room(const struct load_job *job, const char *what, uint64_t len,
		   struct umbra_err *err)
{
	char ram[RAM_TEXT_MAX];

	return umbra_err_set(err, ENOSPC,
			     "%s: no 0x%" PRIx64 " free bytes of RAM below 4 GiB beside the image "
			     "(RAM is %s); give the guest more memory",
			     what, len, ram_text(job->mem, ram));
}

int load_plan_place(const struct load_job *job, const char *what, uint64_t len,
		    const struct load_where *where, gpa_t *out_gpa, struct umbra_err *err)
{
	char ram[RAM_TEXT_MAX];

	if (place(job, where, len, out_gpa))
		return 0;
	return umbra_err_set(err, ENOSPC,
			     "%s: no 0x%" PRIx64 " free bytes of RAM at 0x%" PRIx64 "-0x%" PRIx64
			     " (RAM is %s); give the guest more memory",
			     what, len, where->start, where->end - 1, ram_text(job->mem, ram));
}

int load_plan_place_low(const struct load_job *job, const char *what, uint64_t len, uint64_t align,
			gpa_t *out_gpa, struct umbra_err *err)
{
	const struct load_where low = {LOAD_LOW_START, job->low_end, align, false};
	const struct load_where high = {LOAD_HIGH_START, LOAD_4G, align, false};

	if (place(job, &low, len, out_gpa) || place(job, &high, len, out_gpa))
		return 0;
	return no_room(job, what, len, err);
}

int load_plan_place_after(const struct load_job *job, const char *what, uint64_t len,
			  gpa_t *out_gpa, struct umbra_err *err)
{
	const struct load_where above = {LOAD_HIGH_START, LOAD_4G, UMBRA_PAGE_SIZE, true};
	const struct load_where any = {LOAD_LOW_START, LOAD_4G, UMBRA_PAGE_SIZE, true};
	struct load_where after = above;
	unsigned i;

	for (i = 0; i < job->image->part_count; i++) {
		gpa_t end = job->image->part[i].gpa + job->image->part[i].mem_len;

		if (end > after.start && end < after.end)
			after.start = end;
	}
	if (place(job, &after, len, out_gpa) || place(job, &above, len, out_gpa) ||
	    place(job, &any, len, out_gpa))
		return 0;
	return no_room(job, what, len, err);
}

struct chunk {
	uint8_t bytes[APPLY_CHUNK];
	size_t len;
};

/* The next chunk->len bytes of @part, those after @done. */
static int chunk_fill(const struct load_image *image, const struct load_part *part, uint64_t done,
		      struct chunk *chunk, struct umbra_err *err)
{
	if (!part->bytes)
		return load_file_read(&image->file[part->file], part->offset + done, chunk->bytes,
				      chunk->len, err);
	memcpy(chunk->bytes, part->bytes + done, chunk->len);
	return 0;
}

/* In chunks through mem_poke, not by reading into guest memory: whoever follows writes to guest
 * memory has to hear of these too. */
static int part_apply(const struct load_image *image, const struct load_part *part,
		      struct mem_space *mem, struct umbra_err *err)
{
	struct chunk chunk;
	uint64_t done;
	int rc = 0;

	for (done = 0; rc == 0 && done < part->data_len; done += chunk.len) {
		chunk.len = u64_min(sizeof(chunk.bytes), part->data_len - done);
		if (!part->copy_of)
			rc = chunk_fill(image, part, done, &chunk, err);
		else if (mem_peek(mem, part->copy_of + done, chunk.bytes, chunk.len) != chunk.len)
			rc = umbra_err_set(err, EIO, "nothing is at 0x%" PRIx64 " to copy",
					   part->copy_of + done);
		if (rc == 0 && mem_poke(mem, part->gpa + done, chunk.bytes, chunk.len) != chunk.len)
			rc = umbra_err_set(err, EIO,
					   "0x%zx bytes at 0x%" PRIx64 " are not RAM any more",
					   chunk.len, part->gpa + done);
	}
	return rc;
}

int load_plan_apply(const struct load_image *image, struct mem_space *mem, struct umbra_err *err)
{
	unsigned i;

	for (i = 0; i < image->part_count; i++) {
		int rc = part_apply(image, &image->part[i], mem, err);

		if (rc < 0) {
			umbra_err_prefix(err, "kernel '%s': loading %s", image->file[0].shown,
					 image->part[i].what);
			return rc;
		}
	}
	return 0;
}

void load_plan_free(struct load_image *image)
{
	unsigned i;

	for (i = 0; i < image->part_count; i++)
		free(image->part[i].bytes);
	free(image->part);
}
