/* Reserved bits in an entry of each level give a page fault that says so; then one above the
 * guest's own code, for which no handler can be reached.  Static state: what the handler saw. */
#include "bad.h"

#define VECTOR_PF  14u
#define ERROR_RSVD 0x8u
#define ALIAS	   0x200000000ul /* 8 GiB: entry 8 of the table below */
#define LEVELS	   3u

static volatile uint64_t pd[512] BAD_PAGE, pt[512] BAD_PAGE;
static volatile uint64_t last_error, fault_count;

/* MOV RAX, [RBX] has three bytes. */
static void on_fault(struct idt_frame *frame)
{
	last_error = frame->error_code;
	fault_count++;
	frame->rip += 3;
}

static void load(uint64_t address)
{
	uint64_t value;

	__asm__ volatile("movq (%%rbx), %%rax" : "=a"(value) : "b"(address) : "memory");
}

int main(void)
{
	volatile uint64_t *pdpt = bad_pdpt();
	volatile uint64_t *level[LEVELS] = {&pdpt[8], &pd[0], &pt[0]};

	idt_init();
	idt_set(VECTOR_PF, on_fault);
	pdpt[8] = (uintptr_t)pd | PTE_PRESENT | PTE_WRITE;
	pd[0] = (uintptr_t)pt | PTE_PRESENT | PTE_WRITE;
	pt[0] = 0x100000 | PTE_PRESENT | PTE_WRITE;
	load(ALIAS);
	for (unsigned i = 0; i < LEVELS; i++) {
		*level[i] |= PTE_RSVD;
		bad_invlpg(ALIAS);
		load(ALIAS);
		*level[i] &= ~PTE_RSVD;
		bad_invlpg(ALIAS);
		if (fault_count != i + 1 || last_error != (ERROR_RSVD | 1))
			return GUEST_FAIL;
	}
	print_text("bad: three reserved bits, and one more\n");
	pdpt[0] |= PTE_RSVD;
	bad_set_cr3(bad_cr3());
	return GUEST_FAIL;
}
