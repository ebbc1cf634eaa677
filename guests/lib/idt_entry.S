/* Entry code of 48 vectors: one frame layout for all, struct idt_frame in idt.h.
 * Source: SDM 3A 6.15 (which exceptions push an error code: 8, 10..14, 17, 21, 29, 30). */

	.macro idt_stub vector, has_error
	.balign 16
idt_stub_\vector:
	.if \has_error == 0
	pushq $0
	.endif
	pushq $\vector
	jmp idt_common
	.endm

	.altmacro
	.macro idt_stub_of vector
	.if \vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21 || \
		\vector == 29 || \vector == 30
	idt_stub \vector, 1
	.else
	idt_stub \vector, 0
	.endif
	.endm
	.macro idt_address_of vector
	.quad idt_stub_\vector
	.endm

	.text
	.set vector, 0
	.rept 48
	idt_stub_of %vector
	.set vector, vector + 1
	.endr

	.type idt_common, @function
idt_common:
	pushq %rax
	pushq %rbx
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %rbp
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	cld
	movq %rsp, %rdi
	/* 22 words of 8 bytes lie on a stack that the processor aligned to 16. */
	call idt_dispatch
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rbp
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rbx
	popq %rax
	addq $16, %rsp
	iretq
	.size idt_common, . - idt_common

	.section .rodata
	.balign 8
	.global idt_stub_table
idt_stub_table:
	.set vector, 0
	.rept 48
	idt_address_of %vector
	.set vector, vector + 1
	.endr

	.section .note.GNU-stack, "", @progbits
