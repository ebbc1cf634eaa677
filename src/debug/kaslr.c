/* Where a Linux kernel put itself.
 *
 * A 64-bit kernel lives between __START_KERNEL_map and the modules, its text at the start of a 2
 * MiB page, and unmaps what lies before it in its first instructions (arch/x86/kernel/head64.c): so
 * the first page that is mapped there is the text, with KASLR or without.
 *
 * With page table isolation a process runs on tables of its own that hold the entry code alone.
 * They are the second page of a pair, and the kernel's are the first (arch/x86/mm/pti.c). */
#include "kaslr.h"

#define KERNEL_MAP_START 0xffffffff80000000ull
#define KERNEL_MAP_END	 0xffffffffc0000000ull
#define KERNEL_ALIGN	 0x200000ull
#define PTI_USER_PAGE	 (1ull << 12)

bool kaslr_find(const struct x86_state *st, x86_phys_read_fn read, void *ctx, gva_t *out_text)
{
	struct x86_state kernel = *st;
	struct x86_walk walk;

	if (!(st->efer & X86_EFER_LMA))
		return false;
	if (x86_cpl_of(st) == 3)
		kernel.cr3 &= ~PTI_USER_PAGE;
	for (gva_t va = KERNEL_MAP_START; va < KERNEL_MAP_END; va += KERNEL_ALIGN) {
		if (x86_walk(&kernel, va, read, ctx, &walk) == 0) {
			*out_text = va;
			return true;
		}
	}
	return false;
}
