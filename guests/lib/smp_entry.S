/* The way of a second processor from its SIPI (real mode, CS = 0x0800, IP = 0) to 64-bit mode, in
 * the tables of the first one.  smp.c copies it to 0x8000.
 * Source: SDM 3A 8.4.3 (MP initialization protocol), 9.8.5 (initializing IA-32e mode). */

#include "long_mode.inc"

#define CODE32	   0x18
#define CR0_PE	   0x1
#define PLACE	   0x8000 /* where this runs */

	.section .rodata
	.balign 16
	.global smp_trampoline
	.global smp_trampoline_end
	.code16
smp_trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl smp_gdt_pointer - smp_trampoline
	movl %cr0, %eax
	orl $CR0_PE, %eax
	movl %eax, %cr0
	ljmpl $CODE32, $(smp_protected - smp_trampoline + PLACE)

	.code32
smp_protected:
	movw $DATA, %ax
	movw %ax, %ds
	movw %ax, %es
	movw %ax, %ss
	enable_long_mode
	ljmp $CODE64, $smp_long

	/* A copy of the GDT, since real mode reaches only the first megabyte. */
	.balign 8
smp_gdt:
	.quad 0
	.quad 0x00af9b000000ffff
	.quad 0x00cf93000000ffff
	.quad 0x00cf9b000000ffff
smp_gdt_pointer:
	.word . - smp_gdt - 1
	.long smp_gdt - smp_trampoline + PLACE
smp_trampoline_end:

	.text
	.code64
	.type smp_long, @function
smp_long:
	.cfi_startproc
	.cfi_undefined rip
	movl $DATA, %eax
	movl %eax, %fs
	movl %eax, %gs
	/* The copy of the GDT may be overwritten now. */
	lgdt boot_gdt_pointer
	movl $smp_stack_top, %esp
	xorl %ebp, %ebp
	call *smp_entry
	ud2
	.cfi_endproc
	.size smp_long, . - smp_long

	.section .bss
	.balign 16
smp_stack:
	.skip STACK_SIZE
smp_stack_top:

	.section .note.GNU-stack, "", @progbits
