/* The guest's IDT.  Static state: the table that the processor reads, and the handlers.
 * Source: SDM 3A 6.14.1 (64-bit gate descriptors). */
#include "idt.h"

#define IDT_CODE_SELECTOR  0x08
#define IDT_INTERRUPT_GATE 0x8e00 /* present, privilege level 0, interrupts off at entry */

struct idt_gate {
	uint16_t offset_low;
	uint16_t selector;
	uint16_t flags;
	uint16_t offset_mid;
	uint32_t offset_high;
	uint32_t reserved;
};

struct idt_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

extern const uint64_t idt_stub_table[IDT_VECTORS]; /* idt_entry.S */
void idt_dispatch(struct idt_frame *frame);

static struct idt_gate idt_gates[IDT_VECTORS];
static idt_handler idt_handlers[IDT_VECTORS];

static void idt_unexpected(struct idt_frame *frame)
{
	print_text("guest: unexpected");
	print_field("vector", frame->vector);
	print_field("error", frame->error_code);
	print_field("rip", frame->rip);
	print_char('\n');
	guest_exit(GUEST_FAIL);
}

/* Called by the entry code. */
void idt_dispatch(struct idt_frame *frame)
{
	idt_handlers[frame->vector](frame);
}

void idt_set(unsigned vector, idt_handler handler)
{
	idt_handlers[vector] = handler;
}

void idt_init(void)
{
	const struct idt_pointer pointer = {sizeof(idt_gates) - 1, (uintptr_t)idt_gates};
	unsigned i;

	for (i = 0; i < IDT_VECTORS; i++) {
		uint64_t stub = idt_stub_table[i];

		idt_handlers[i] = idt_unexpected;
		idt_gates[i].offset_low = (uint16_t)stub;
		idt_gates[i].selector = IDT_CODE_SELECTOR;
		idt_gates[i].flags = IDT_INTERRUPT_GATE;
		idt_gates[i].offset_mid = (uint16_t)(stub >> 16);
		idt_gates[i].offset_high = (uint32_t)(stub >> 32);
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}
