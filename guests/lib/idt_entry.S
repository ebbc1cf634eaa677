/* Entry code of 48 vectors: one frame layout for all, struct idt_frame in idt.h.  Its frame
 * information leads a debugger to what was interrupted; the CFA is the end of what the processor
 * pushed.
 * Source: SDM 3A 6.15 (which exceptions push an error code: 8, 10..14, 17, 21, 29, 30). */

	.cfi_sections .debug_frame

	/* Bytes from the CFA down to the words that the processor pushed. */
	.set FRAME_RIP, -40
	.set FRAME_RFLAGS, -24
	.set FRAME_RSP, -16
	.set DWARF_RFLAGS, 49

	/* @bytes lie on the stack. */
	.macro idt_cfi bytes
	.cfi_startproc simple
	.cfi_signal_frame
	.cfi_def_cfa rsp, \bytes
	.cfi_offset rip, FRAME_RIP
	.cfi_offset DWARF_RFLAGS, FRAME_RFLAGS
	.cfi_offset rsp, FRAME_RSP
	.endm

	.macro idt_push value
	pushq \value
	.cfi_adjust_cfa_offset 8
	.endm

	.macro idt_save register
	idt_push %\register
	.cfi_rel_offset \register, 0
	.endm

	.macro idt_restore register
	popq %\register
	.cfi_adjust_cfa_offset -8
	.cfi_restore \register
	.endm

	.macro idt_stub vector, has_error
	.balign 16
	.type idt_stub_\vector, @function
idt_stub_\vector:
	.if \has_error == 0
	idt_cfi 40
	idt_push $0
	.else
	idt_cfi 48
	.endif
	idt_push $\vector
	jmp idt_common
	.cfi_endproc
	.size idt_stub_\vector, . - idt_stub_\vector
	.endm

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
	.altmacro
	.rept 48
	idt_stub_of %vector
	.set vector, vector + 1
	.endr
	.noaltmacro

	.type idt_common, @function
idt_common:
	idt_cfi 56
	idt_save rax
	idt_save rbx
	idt_save rcx
	idt_save rdx
	idt_save rsi
	idt_save rdi
	idt_save rbp
	idt_save r8
	idt_save r9
	idt_save r10
	idt_save r11
	idt_save r12
	idt_save r13
	idt_save r14
	idt_save r15
	cld
	movq %rsp, %rdi
	/* 22 words of 8 bytes lie on a stack that the processor aligned to 16. */
	call idt_dispatch
	idt_restore r15
	idt_restore r14
	idt_restore r13
	idt_restore r12
	idt_restore r11
	idt_restore r10
	idt_restore r9
	idt_restore r8
	idt_restore rbp
	idt_restore rdi
	idt_restore rsi
	idt_restore rdx
	idt_restore rcx
	idt_restore rbx
	idt_restore rax
	addq $16, %rsp
	.cfi_adjust_cfa_offset -16
	iretq
	.cfi_endproc
	.size idt_common, . - idt_common

	.section .rodata
	.balign 8
	.global idt_stub_table
idt_stub_table:
	.set vector, 0
	.altmacro
	.rept 48
	idt_address_of %vector
	.set vector, vector + 1
	.endr
	.noaltmacro

	.section .note.GNU-stack, "", @progbits
