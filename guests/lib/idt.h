/* Interrupts and exceptions of a guest: an IDT of 48 vectors, 0x20..0x2f for the 8259 pair. */
#ifndef GUEST_IDT_H
#define GUEST_IDT_H

#include "guest.h"

#define IDT_VECTORS  48u
#define IDT_PIC_BASE 0x20u

/* What the entry code leaves on the stack: its own pushes, then the processor's (SDM 3A 6.14.2). */
struct idt_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector;
	uint64_t error_code; /* 0 where the processor pushes none */
	uint64_t rip, cs, rflags, rsp, ss;
};

/* A handler may change the frame, which is what the guest then returns to. */
typedef void (*idt_handler)(struct idt_frame *frame);

/* Load the IDT; a vector without a handler ends the guest with a report. */
void idt_init(void);
void idt_set(unsigned vector, idt_handler handler);

#endif
