/* From a loader's hand-over to main() in 64-bit mode.
 *
 * Assembled three times.  Plain: an ELF64 without a multiboot header, which umbra enters in 64-bit mode
 * at once.  With GUEST_MULTIBOOT: a multiboot 1 image, entered in flat 32-bit mode without paging,
 * which makes the way to 64-bit mode by itself; as ELF32 it starts under QEMU's -kernel too.
 * With GUEST_MULTIBOOT=2 the same with a multiboot 2 header.
 * Either way the guest then stands on its own GDT, page tables and stack.
 *
 * Source: Multiboot 0.6.96 3.1 and 3.2; Multiboot2 2.0 3.1 and 3.3; SDM 3A 9.8.5 (initializing IA-32e mode). */

#include "long_mode.inc"

#define PTE_TABLE  0x3	/* present, writable */
#define PTE_LARGE  0x83 /* present, writable, 2 MiB page */

#ifdef GUEST_MULTIBOOT
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x3 /* modules on page boundaries, memory information */

#define MB2_MAGIC 0xe85250d6
#define MB2_I386  0

	.section .multiboot, "a"
#if GUEST_MULTIBOOT == 2
	.balign 8
mb2_header:
	.long MB2_MAGIC
	.long MB2_I386
	.long mb2_header_end - mb2_header
	.long -(MB2_MAGIC + MB2_I386 + (mb2_header_end - mb2_header))
	.word 0, 0 /* the end tag: type, flags, size */
	.long 8
mb2_header_end:
#else
	.balign 4
	.long MB_MAGIC
	.long MB_FLAGS
	.long -(MB_MAGIC + MB_FLAGS)
#endif

	.section .text.boot, "ax"
	.code32
	.global _start
	.type _start, @function
_start:
	cli
	cld
	movl %ebx, boot_information
	enable_long_mode
	lgdt boot_gdt_pointer
	ljmp $CODE64, $boot_long
	.size _start, . - _start
#else
	.section .text.boot, "ax"
	.code64
	.global _start
	.type _start, @function
_start:
	cli
	cld
	movl $boot_pml4, %eax
	movq %rax, %cr3
	lgdt boot_gdt_pointer
	movl $boot_stack_top, %esp
	pushq $CODE64
	pushq $boot_long
	lretq
	.size _start, . - _start
#endif

	.code64
	.type boot_long, @function
boot_long:
	.cfi_startproc
	/* The outermost frame: a backtrace ends here. */
	.cfi_undefined rip
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %fs
	movl %eax, %gs
	movl %eax, %ss
	movl $boot_stack_top, %esp
	xorl %ebp, %ebp
	call main
	movl %eax, %edi
	call guest_exit
	ud2
	.cfi_endproc
	.size boot_long, . - boot_long

	.section .data
	.balign 16
	.global boot_gdt_pointer
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08: 64-bit code, privilege level 0 */
	.quad 0x00cf93000000ffff /* 0x10: data */
	.quad 0x00cf9b000000ffff /* 0x18: 32-bit code, for the way up of a second processor */
boot_gdt_pointer:
	.word . - boot_gdt - 1
	.quad boot_gdt

	/* The first 4 GiB, the local APIC included, mapped to themselves.  Tables written out here
	 * cost the guest no instruction. */
	.balign 0x1000
	.global boot_pml4
boot_pml4:
	.quad boot_pdpt + PTE_TABLE
	.fill 511, 8, 0
boot_pdpt:
	.quad boot_pd + PTE_TABLE
	.quad boot_pd + 0x1000 + PTE_TABLE
	.quad boot_pd + 0x2000 + PTE_TABLE
	.quad boot_pd + 0x3000 + PTE_TABLE
	.fill 508, 8, 0
boot_pd:
	.set page, 0
	.rept 4 * 512
	.quad page + PTE_LARGE
	.set page, page + 0x200000
	.endr

	.section .bss
	.balign 16
	/* Where the multiboot information is; 0 without one. */
	.global boot_information
boot_information:
	.skip 4
	.balign 16
boot_stack:
	.skip STACK_SIZE
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
