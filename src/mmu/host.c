/* The last step of the picture, HVA -> HPA: the host's own paging, which only the host can tell of.
 * It is read when somebody asks and kept nowhere: the host moves pages as it likes. */
#include "umbra/mmu.h"

#include "umbra/pagemap.h"

#include <errno.h>

int mmu_host_page(const uint8_t *host, uint64_t *out_hpa)
{
	uintptr_t offset = (uintptr_t)host % UMBRA_PAGE_SIZE;
	uint64_t entry;
	int error = pagemap_read(host - offset, 1, &entry);

	if (error < 0)
		return error;
	if (!(entry & PAGEMAP_PRESENT))
		return -ENODATA;
	if (!(entry & PAGEMAP_PFN))
		return -EPERM;
	*out_hpa = (entry & PAGEMAP_PFN) * UMBRA_PAGE_SIZE + offset;
	return 0;
}
