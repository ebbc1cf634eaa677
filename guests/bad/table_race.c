/* One processor reads and writes through an entry that the other one changes all the time: not
 * there, read-only, another page, a reserved bit, a whole table.  Static state: shared by both. */
#include "bad.h"
#include "smp.h"

#define VECTOR_PF 14u
#define ALIAS	  0x200000000ul
#define ACCESSES  2000u

static volatile uint64_t pd[512] BAD_PAGE, pt[512] BAD_PAGE;
static volatile uint64_t page[2][512] BAD_PAGE;
static volatile uint64_t fault_count;
static volatile bool is_over, is_second_up;

/* Three bytes, as in reserved_bits.c. */
static void on_fault(struct idt_frame *frame)
{
	fault_count++;
	frame->rip += 3;
}

static void second(void)
{
	const uint64_t entries[] = {
		(uintptr_t)page[0] | PTE_PRESENT | PTE_WRITE,
		0,
		(uintptr_t)page[1] | PTE_PRESENT,
		(uintptr_t)page[1] | PTE_PRESENT | PTE_WRITE,
		(uintptr_t)page[0] | PTE_PRESENT | PTE_RSVD,
		BAD_HOLE | PTE_PRESENT | PTE_WRITE,
	};

	is_second_up = true;
	for (unsigned i = 0; !is_over; i++) {
		pt[0] = entries[i % (sizeof(entries) / sizeof(entries[0]))];
		pd[0] = i % 16 == 15 ? 0 : (uintptr_t)pt | PTE_PRESENT | PTE_WRITE;
	}
	for (;;)
		__asm__ volatile("cli; hlt");
}

int main(void)
{
	uint64_t value;

	idt_init();
	idt_set(VECTOR_PF, on_fault);
	pt[0] = (uintptr_t)page[0] | PTE_PRESENT | PTE_WRITE;
	pd[0] = (uintptr_t)pt | PTE_PRESENT | PTE_WRITE;
	bad_pdpt()[8] = (uintptr_t)pd | PTE_PRESENT | PTE_WRITE;
	smp_start(1, second);
	while (!is_second_up)
		cpu_relax();
	for (unsigned i = 0; i < ACCESSES; i++) {
		__asm__ volatile("movq (%%rbx), %%rax" : "=a"(value) : "b"(ALIAS) : "memory");
		__asm__ volatile("movq %%rax, (%%rbx)" : : "a"(value), "b"(ALIAS) : "memory");
		bad_invlpg(ALIAS);
	}
	is_over = true;
	print_text("bad: a table changed under walks\n");
	return BAD_SURVIVED;
}
