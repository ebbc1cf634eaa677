/* One flat image through real, protected and long mode: at 0x1000 in 16-bit code, then 32-bit, then
 * 64-bit, each with an instruction that only its own mode decodes as it is meant.  For debuggers that
 * have no symbol file.  Its stops stand at fixed offsets:
 *
 *	0x1000  real mode        0x1100  protected mode        0x1200  64-bit mode
 *
 * Sources: SDM 3A 9.9.1 (switching to protected mode), 9.8.5 (to IA-32e mode). */

#define SELECTOR_CODE32 0x08
#define SELECTOR_CODE64 0x10
#define SELECTOR_DATA	0x18

#define PML4 0x4000
#define PDPT 0x5000
#define PD   0x6000
#define PRESENT_WRITABLE 3
#define PD_LARGE	 0x83

	.section .text
	.global _start
	.code16
_start:
	mov $0x1234, %ax
	cli
	xor %bx, %bx
	mov %bx, %ds
	lgdtl gdt_pointer
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $SELECTOR_CODE32, $protected

	.org 0x100
	.code32
protected:
	mov $0x12345678, %eax
	mov $SELECTOR_DATA, %ax
	mov %ax, %ds
	mov %ax, %ss
	movl $(PDPT | PRESENT_WRITABLE), PML4
	movl $(PD | PRESENT_WRITABLE), PDPT
	movl $PD_LARGE, PD
	mov $PML4, %eax
	mov %eax, %cr3
	mov %cr4, %eax
	or $0x20, %eax		/* PAE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx	/* EFER */
	rdmsr
	or $0x100, %eax		/* LME */
	wrmsr
	mov %cr0, %eax
	or $0x80000000, %eax	/* PG */
	mov %eax, %cr0
	ljmp $SELECTOR_CODE64, $long

	.org 0x200
	.code64
long:
	movabs $0x123456789abcdef0, %rax
	mov $0x3f8, %edx
	mov $'6', %al
	out %al, %dx
	mov $'4', %al
	out %al, %dx
	mov $'\n', %al
	out %al, %dx
	mov $0xf4, %edx
	xor %eax, %eax
	out %eax, %dx
	hlt

	.align 8
gdt:
	.quad 0
	.quad 0x00cf9a000000ffff
	.quad 0x00af9a000000ffff
	.quad 0x00cf92000000ffff
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.section .note.GNU-stack, "", @progbits
