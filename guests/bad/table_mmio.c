/* A page table in the registers of the IO APIC: what lies behind its window is a present entry with
 * A and D clear, so that a walk wants to write there.  Static state: what the handler saw. */
#include "bad.h"

#define VECTOR_PF      14u
#define ALIAS	       0x200000000ul
#define WINDOW_ENTRY   2u /* the quadword at offset 0x10 */
#define REDIRECTION_LO 0x12u
#define ENTRY_VALUE    0x10003u /* masked, vector 3: or frame 0x10000, present, writable */

static volatile uint64_t pd[512] BAD_PAGE;
static volatile uint64_t fault_count;

/* MOV [RBX], RAX and MOV RAX, [RBX] have three bytes. */
static void on_fault(struct idt_frame *frame)
{
	fault_count++;
	frame->rip += 3;
}

int main(void)
{
	volatile uint64_t *pdpt = bad_pdpt();
	uint64_t address = ALIAS + WINDOW_ENTRY * 4096, value;

	idt_init();
	idt_set(VECTOR_PF, on_fault);
	*(volatile uint32_t *)BAD_IOAPIC = REDIRECTION_LO;
	*(volatile uint32_t *)(BAD_IOAPIC + 0x10) = ENTRY_VALUE;
	pdpt[8] = (uintptr_t)pd | PTE_PRESENT | PTE_WRITE;
	pd[0] = BAD_IOAPIC | PTE_PRESENT | PTE_WRITE;
	__asm__ volatile("movq (%%rbx), %%rax" : "=a"(value) : "b"(address) : "memory");
	__asm__ volatile("movq %%rax, (%%rbx)" : : "a"(0x55ul), "b"(address) : "memory");
	print_text("bad: a table in a device,");
	print_field("faults", fault_count);
	print_char('\n');
	return BAD_SURVIVED;
}
