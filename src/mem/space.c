/* Guest physical memory: the map of regions and the accesses without side effects.
 * This file knows nothing of paging, devices or KVM; whoever backs the regions for the guest
 * listens.  The map is constant while a vCPU runs, so that lookups need no lock.
 *
 * Host layout of a region; the guards turn an overrun of ours into a fault:
 *   | PROT_NONE page | len bytes of RAM or ROM | PROT_NONE page | */
#include "umbra/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define MEM_MAX_REGIONS 16
#define MEM_ADDR_BITS	52 /* the widest physical address that page tables hold (SDM 3A 4.1.4) */

struct mem_space {
	struct mem_region region[MEM_MAX_REGIONS]; /* [world] sorted by gpa */
	unsigned count;				   /* [world] */
	mem_listener_fn listener;		   /* [world] may be NULL */
	void *listener_ctx;
	mem_write_hook_fn write_hook; /* [world] may be NULL */
	void *write_hook_ctx;
};

int mem_create(struct mem_space **out_space, struct umbra_err *err)
{
	struct mem_space *space = calloc(1, sizeof(*space));

	if (!space)
		return umbra_err_set(err, ENOMEM, "no memory for the guest's memory map");
	*out_space = space;
	return 0;
}

static void host_unmap(uint8_t *host, uint64_t len)
{
	munmap(host - UMBRA_PAGE_SIZE, len + 2ull * UMBRA_PAGE_SIZE);
}

/* Reserve @len bytes between guards.  Pages cost nothing until touched, and stay out of core
 * dumps: the guest's RAM would bury our own state. */
static uint8_t *host_map(uint64_t len)
{
	size_t total = len + 2ull * UMBRA_PAGE_SIZE;
	uint8_t *base =
		mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	if (mprotect(base + UMBRA_PAGE_SIZE, len, PROT_READ | PROT_WRITE) != 0) {
		munmap(base, total);
		return NULL;
	}
	/* A kernel without the advice only makes larger dumps. */
	madvise(base, total, MADV_DONTDUMP);
	return base + UMBRA_PAGE_SIZE;
}

void mem_destroy(struct mem_space *space)
{
	unsigned i;

	if (!space)
		return;
	for (i = 0; i < space->count; i++) {
		if (space->listener)
			space->listener(space->listener_ctx, &space->region[i], false, NULL);
		host_unmap(space->region[i].host, space->region[i].len);
	}
	free(space);
}

/* Index of the first region that ends above @gpa; the region count when there is none. */
static unsigned index_after(const struct mem_space *space, gpa_t gpa)
{
	unsigned low = 0;
	unsigned high = space->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;

		if (space->region[mid].gpa + (space->region[mid].len - 1) < gpa)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int check_new(const struct mem_space *space, const struct mem_region *r, unsigned index,
		     struct umbra_err *err)
{
	const struct mem_region *next = &space->region[index];

	if (r->len == 0 || (r->gpa | r->len) % UMBRA_PAGE_SIZE != 0)
		return umbra_err_set(err, EINVAL,
				     "memory region %s at %#llx, length %#llx: both must be "
				     "multiples of %u and the length not 0",
				     r->name, (unsigned long long)r->gpa,
				     (unsigned long long)r->len, UMBRA_PAGE_SIZE);
	if (!range_fits(r->gpa, r->len, 0, 1ull << MEM_ADDR_BITS))
		return umbra_err_set(err, EINVAL,
				     "memory region %s at %#llx, length %#llx ends past the %d-bit "
				     "physical address space",
				     r->name, (unsigned long long)r->gpa,
				     (unsigned long long)r->len, MEM_ADDR_BITS);
	if (index < space->count && next->gpa < r->gpa + r->len)
		return umbra_err_set(
			err, EEXIST, "memory region %s at %#llx, length %#llx overlaps %s at %#llx",
			r->name, (unsigned long long)r->gpa, (unsigned long long)r->len, next->name,
			(unsigned long long)next->gpa);
	if (space->count == MEM_MAX_REGIONS)
		return umbra_err_set(err, ENOMEM, "memory region %s: all %d regions are in use",
				     r->name, MEM_MAX_REGIONS);
	return 0;
}

static void region_remove(struct mem_space *space, unsigned index)
{
	space->count--;
	memmove(&space->region[index], &space->region[index + 1],
		(space->count - index) * sizeof(space->region[0]));
}

static void region_insert(struct mem_space *space, unsigned index, const struct mem_region *r)
{
	memmove(&space->region[index + 1], &space->region[index],
		(space->count - index) * sizeof(space->region[0]));
	space->region[index] = *r;
	space->count++;
}

int mem_add(struct mem_space *space, gpa_t gpa, uint64_t len, enum mem_kind kind, const char *name,
	    struct umbra_err *err)
{
	struct mem_region r = {.gpa = gpa, .len = len, .kind = kind, .name = name};
	unsigned index = index_after(space, gpa);
	int rc = check_new(space, &r, index, err);

	if (rc < 0)
		return rc;
	r.host = host_map(len);
	if (!r.host)
		return umbra_err_set(err, ENOMEM,
				     "no address space for memory region %s, length %#llx: %s; "
				     "give the guest less memory",
				     name, (unsigned long long)len, strerror(errno));
	region_insert(space, index, &r);
	if (space->listener)
		rc = space->listener(space->listener_ctx, &space->region[index], true, err);
	if (rc < 0) {
		region_remove(space, index);
		host_unmap(r.host, len);
	}
	return rc;
}

int mem_set_listener(struct mem_space *space, mem_listener_fn fn, void *ctx, struct umbra_err *err)
{
	unsigned i;

	for (i = 0; fn && i < space->count; i++) {
		int rc = fn(ctx, &space->region[i], true, err);

		if (rc == 0)
			continue;
		while (i-- > 0)
			fn(ctx, &space->region[i], false, NULL);
		return rc;
	}
	space->listener = fn;
	space->listener_ctx = ctx;
	return 0;
}

void mem_set_write_hook(struct mem_space *space, mem_write_hook_fn fn, void *ctx)
{
	space->write_hook = fn;
	space->write_hook_ctx = ctx;
}

const struct mem_region *mem_find(const struct mem_space *space, gpa_t gpa)
{
	unsigned index = index_after(space, gpa);

	if (index == space->count || space->region[index].gpa > gpa)
		return NULL;
	return &space->region[index];
}

const struct mem_region *mem_region_at(const struct mem_space *space, unsigned index)
{
	return index < space->count ? &space->region[index] : NULL;
}

/* Eight guest bytes, whatever their type is to the rest of the program. */
typedef uint64_t __attribute__((may_alias)) guest_word;

/* Guest RAM may change under our feet: a vCPU stores to it while the debugger reads, and the guest
 * alone decides what it then means.  So these two are outside of what a race detector may judge.
 * They touch the guest side with aligned 8-byte accesses, so that a page table entry is never seen
 * or written by halves; volatile keeps the compiler from making a memcpy of it (which the detector
 * would see, and which promises no access size). */
__attribute__((no_sanitize("thread"))) static void copy_from_guest(uint8_t *dst, const uint8_t *src,
								   size_t len)
{
	for (; len > 0 && (uintptr_t)src % sizeof(guest_word) != 0; len--)
		*dst++ = *(const volatile uint8_t *)src++;
	for (; len >= sizeof(guest_word); len -= sizeof(guest_word)) {
		uint64_t word = *(const volatile guest_word *)(const void *)src;

		__builtin_memcpy(dst, &word, sizeof(word));
		dst += sizeof(word);
		src += sizeof(word);
	}
	for (; len > 0; len--)
		*dst++ = *(const volatile uint8_t *)src++;
}

__attribute__((no_sanitize("thread"))) static void copy_to_guest(uint8_t *dst, const uint8_t *src,
								 size_t len)
{
	for (; len > 0 && (uintptr_t)dst % sizeof(guest_word) != 0; len--)
		*(volatile uint8_t *)dst++ = *src++;
	for (; len >= sizeof(guest_word); len -= sizeof(guest_word)) {
		uint64_t word;

		__builtin_memcpy(&word, src, sizeof(word));
		*(volatile guest_word *)(void *)dst = word;
		dst += sizeof(word);
		src += sizeof(word);
	}
	for (; len > 0; len--)
		*(volatile uint8_t *)dst++ = *src++;
}

/* The host bytes at @gpa and how many of the next @len lie in the same region; 0 outside. */
static size_t run_at(const struct mem_space *space, gpa_t gpa, size_t len, uint8_t **out_host)
{
	const struct mem_region *r = mem_find(space, gpa);

	if (!r)
		return 0;
	*out_host = r->host + (gpa - r->gpa);
	return u64_min(len, r->len - (gpa - r->gpa));
}

/* No region ends past MEM_ADDR_BITS, so gpa + done cannot wrap while run_at finds bytes. */
size_t mem_peek(const struct mem_space *space, gpa_t gpa, void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		uint8_t *host;
		size_t n = run_at(space, gpa + done, len - done, &host);

		if (n == 0)
			break;
		copy_from_guest((uint8_t *)buf + done, host, n);
		done += n;
	}
	return done;
}

static void tell_write(const struct mem_space *space, gpa_t gpa, size_t len, bool is_done)
{
	if (space->write_hook)
		space->write_hook(space->write_hook_ctx, gpa, len, is_done);
}

size_t mem_poke(struct mem_space *space, gpa_t gpa, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		uint8_t *host;
		size_t n = run_at(space, gpa + done, len - done, &host);

		if (n == 0)
			break;
		tell_write(space, gpa + done, n, false);
		copy_to_guest(host, (const uint8_t *)buf + done, n);
		tell_write(space, gpa + done, n, true);
		done += n;
	}
	return done;
}

uint8_t *mem_ptr(const struct mem_space *space, gpa_t gpa, size_t len)
{
	const struct mem_region *r = mem_find(space, gpa);

	if (!r || !range_fits(gpa, len, r->gpa, r->len))
		return NULL;
	return r->host + (gpa - r->gpa);
}

bool mem_phys_read(void *ctx, gpa_t gpa, void *buf, size_t len)
{
	return mem_peek(ctx, gpa, buf, len) == len;
}

void mem_clear_ram(struct mem_space *space)
{
	unsigned i;

	for (i = 0; i < space->count; i++) {
		const struct mem_region *r = &space->region[i];

		if (r->kind != MEM_RAM)
			continue;
		tell_write(space, r->gpa, r->len, false);
		/* Anonymous private pages read as zero once they were given back (madvise(2));
		 * pages locked into memory are refused, and have to be zeroed in place. */
		if (madvise(r->host, r->len, MADV_DONTNEED) != 0)
			memset(r->host, 0, r->len);
		tell_write(space, r->gpa, r->len, true);
	}
}
