/* Exceptions handled by the guest itself: divide error, invalid opcode, general protection and page
 * fault, each provoked once, reported, checked against what it must be, and left behind.
 * Static state: the expectation that a provocation leaves for the handler.
 * Source: SDM 3A 6.15 (vectors, error codes and saved RIP of each). */
#include "idt.h"

#define UNMAPPED_ADDRESS 0x7fff12345000ul /* far above the 4 GiB that are mapped */
#define BAD_SELECTOR	 0xf8		  /* past the end of the GDT */

enum fault_vector { FAULT_DE = 0, FAULT_UD = 6, FAULT_GP = 13, FAULT_PF = 14 };

/* Run INSN, which must fault, with rax = @operand: remember its address and where to go on. */
#define FAULT_PROVOKE(insn, operand)                                                               \
	__asm__ volatile("movq $1f, %[at]\n\t"                                                     \
			 "movq $2f, %[resume]\n"                                                   \
			 "1:\t" insn "\n"                                                          \
			 "2:"                                                                      \
			 : [at] "=m"(fault_at), [resume] "=m"(fault_resume)                        \
			 : "a"(operand)                                                            \
			 : "memory", "cc")

volatile uint64_t fault_at, fault_resume;
volatile uint64_t fault_error;
volatile unsigned fault_count, wrong_count;

static uint64_t read_cr2(void)
{
	uint64_t value;

	__asm__ volatile("movq %%cr2, %0" : "=r"(value));
	return value;
}

static void on_fault(struct idt_frame *frame)
{
	bool is_right = frame->rip == fault_at && frame->error_code == fault_error;

	if (frame->vector == FAULT_PF && read_cr2() != UNMAPPED_ADDRESS)
		is_right = false;
	fault_count++;
	if (!is_right)
		wrong_count++;
	print_text("faults:");
	print_field("vector", frame->vector);
	print_field("error", frame->error_code);
	print_field("rip", frame->rip);
	if (frame->vector == FAULT_PF)
		print_field("cr2", read_cr2());
	print_text(is_right ? " right\n" : " WRONG\n");
	frame->rip = fault_resume;
}

static void divide_by_zero(void)
{
	fault_error = 0;
	FAULT_PROVOKE("divl %%eax", 0ul);
}

static void run_invalid_opcode(void)
{
	fault_error = 0;
	FAULT_PROVOKE("ud2", 0ul);
}

static void load_bad_selector(void)
{
	fault_error = BAD_SELECTOR;
	FAULT_PROVOKE("movl %%eax, %%fs", (uint64_t)BAD_SELECTOR);
}

static void write_unmapped(void)
{
	fault_error = 2; /* a write, by the supervisor, of a page that is not present */
	FAULT_PROVOKE("movq %%rax, (%%rax)", UNMAPPED_ADDRESS);
}

int main(void)
{
	idt_init();
	idt_set(FAULT_DE, on_fault);
	idt_set(FAULT_UD, on_fault);
	idt_set(FAULT_GP, on_fault);
	idt_set(FAULT_PF, on_fault);
	divide_by_zero();
	run_invalid_opcode();
	load_bad_selector();
	write_unmapped();
	print_text("faults: ");
	print_dec(fault_count);
	print_text(" handled, ");
	print_dec(wrong_count);
	print_text(" wrong\n");
	return fault_count == 4 && wrong_count == 0 ? GUEST_PASS : GUEST_FAIL;
}
