/* Guest physical memory: sorted regions of RAM and ROM and the host pages that back them, with the
 * side-effect-free accesses that loaders and the debugger use.
 * A region is what KVM calls a memory slot.  The map changes only while no vCPU runs. */
#ifndef UMBRA_MEM_H
#define UMBRA_MEM_H

#include "umbra/err.h"
#include "umbra/types.h"

struct mem_space;

enum mem_kind { MEM_RAM, MEM_ROM };

struct mem_region {
	gpa_t gpa;    /* page-aligned */
	uint64_t len; /* bytes, page-aligned, not 0 */
	enum mem_kind kind;
	uint8_t *host;	  /* owned by the space; page-aligned */
	const char *name; /* static text for `info mtree` */
};

/* Called after a region was added; @is_added false before it goes. */
typedef int (*mem_listener_fn)(void *ctx, const struct mem_region *region, bool is_added,
			       struct umbra_err *err);

/* Called before (@is_done false) and after bytes of RAM or ROM change by anything but the guest
 * itself: loaders, debugger writes, planted breakpoints, snapshot restore.  @gpa..@gpa+@len lies
 * inside one region. */
typedef void (*mem_write_hook_fn)(void *ctx, gpa_t gpa, size_t len, bool is_done);

/* Errors: -ENOMEM. */
int mem_create(struct mem_space **out_space, struct umbra_err *err);
void mem_destroy(struct mem_space *space);

/* Add @len bytes of zeroed memory at @gpa; host pages are taken when first touched.
 * Errors: -EINVAL not page-aligned or past the end of the address space; -EEXIST overlaps a region
 * (the text names it); -ENOMEM.  The map is unchanged then.
 * Call: control thread, no vCPU running. */
int mem_add(struct mem_space *space, gpa_t gpa, uint64_t len, enum mem_kind kind, const char *name,
	    struct umbra_err *err);

/* Be told of the regions that exist (at once) and that come (later).  One listener. */
int mem_set_listener(struct mem_space *space, mem_listener_fn fn, void *ctx, struct umbra_err *err);
void mem_set_write_hook(struct mem_space *space, mem_write_hook_fn fn, void *ctx);

/* The region that holds @gpa, or NULL.  Valid until the map changes. */
const struct mem_region *mem_find(const struct mem_space *space, gpa_t gpa);
/* Region number @index in address order, or NULL past the last. */
const struct mem_region *mem_region_at(const struct mem_space *space, unsigned index);

/* Copy guest memory without any effect on the guest.  Returns the bytes copied: less than @len
 * when the range leaves RAM and ROM.  Call: control thread at any time (racy by nature while the
 * guest runs), a vCPU thread. */
size_t mem_peek(const struct mem_space *space, gpa_t gpa, void *buf, size_t len);
/* The same for writing; ROM is written too (loaders and the debugger may). */
size_t mem_poke(struct mem_space *space, gpa_t gpa, const void *buf, size_t len);

/* Host pointer to @len bytes at @gpa, all inside one region, or NULL. */
uint8_t *mem_ptr(const struct mem_space *space, gpa_t gpa, size_t len);

/* x86_phys_read_fn over a space (@ctx). */
bool mem_phys_read(void *ctx, gpa_t gpa, void *buf, size_t len);

/* A hash of all RAM and ROM, and how many pages are not zero.  Equal memory gives equal hashes on
 * every host; pages that nobody touched stay untouched.  Call: world STOPPED. */
uint64_t mem_hash(const struct mem_space *space, uint64_t *out_pages);

/* Zero all RAM and give its host pages back.  Call: control thread, no vCPU running. */
void mem_clear_ram(struct mem_space *space);

#endif
