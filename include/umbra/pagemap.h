/* What the host's kernel keeps under pages of this process.
 * Source: Linux, Documentation/admin-guide/mm/pagemap.rst. */
#ifndef UMBRA_PAGEMAP_H
#define UMBRA_PAGEMAP_H

#include <stddef.h>
#include <stdint.h>

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_PFN	((1ull << 55) - 1) /* of a present page; 0 without CAP_SYS_ADMIN */

/* Read the entries of the @count pages from @start (page-aligned) on; no page is touched by it.
 * Errors: what open and read give; -EIO a short read. */
int pagemap_read(const void *start, size_t count, uint64_t *out_entries);

#endif
