/* Entry of a test program: from where umbra starts an ELF64 (long mode, RAM mapped one to one) to
 * main(), with what a C program expects of its surroundings: SSE, a stack, and a page at address 0
 * that is not there.  Tables of its own: 2 MiB pages for the first GiB, but for the first one, where
 * page 0 is, and for the one that mmap() hands out, whose pages munmap() takes away. */

#define PAGE		0x003			/* present, writable */
#define PAGE_LARGE	0x083
#define MMAP_START	0x3e00000		/* as rt.h has it */
#define CR0_EM_TS	0x00c
#define CR0_MP		0x002
#define CR4_FXSR_XMM	0x600			/* OSFXSR, OSXMMEXCPT */

	.section .text.start, "ax", @progbits
	.globl	_start
_start:
	.cfi_startproc
	.cfi_undefined rip
	cld
	lea	rt_stack_top(%rip), %rsp
	xor	%ebp, %ebp

	lea	pt(%rip), %rdi
	lea	8(%rdi), %rdx			/* page 0 stays absent */
	mov	$0x1000 + PAGE, %eax
	mov	$511, %ecx
1:	mov	%rax, (%rdx)
	add	$0x1000, %rax
	add	$8, %rdx
	loop	1b

	lea	pd(%rip), %rdx
	lea	PAGE(%rdi), %rax
	mov	%rax, (%rdx)
	add	$8, %rdx
	mov	$0x200000 + PAGE_LARGE, %eax
	mov	$511, %ecx
2:	mov	%rax, (%rdx)
	add	$0x200000, %rax
	add	$8, %rdx
	loop	2b

	lea	rt_mmap_table(%rip), %rdi
	mov	$MMAP_START + PAGE, %eax
	mov	$512, %ecx
3:	mov	%rax, (%rdi)
	add	$0x1000, %rax
	add	$8, %rdi
	loop	3b
	lea	rt_mmap_table + PAGE(%rip), %rax
	mov	%rax, pd + (MMAP_START >> 21) * 8(%rip)

	lea	pd + PAGE(%rip), %rax
	mov	%rax, pdpt(%rip)
	lea	pdpt + PAGE(%rip), %rax
	mov	%rax, pml4(%rip)
	lea	pml4(%rip), %rax
	mov	%rax, %cr3

	mov	%cr4, %rax
	or	$CR4_FXSR_XMM, %rax
	mov	%rax, %cr4
	mov	%cr0, %rax
	and	$~CR0_EM_TS, %rax
	or	$CR0_MP, %rax
	mov	%rax, %cr0
	fninit

	call	rt_init
	mov	$1, %edi
	lea	argv(%rip), %rsi
	lea	environment(%rip), %rdx
	mov	%rdx, environ(%rip)
	xor	%eax, %eax
	call	main
	mov	%eax, %edi
	call	exit
4:	cli
	hlt
	jmp	4b
	.cfi_endproc

	.section .rodata
name:	.asciz	"guest"

	.data
	.align	8
argv:	.quad	name, 0
	.globl	environ, __environ
environ:
__environ:
	.quad	0
environment:
	.quad	0

	.bss
	.align	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pd:	.skip	4096
pt:	.skip	4096
	.globl	rt_mmap_table
rt_mmap_table:
	.skip	4096
	.skip	0x100000
rt_stack_top:

	.section .note.GNU-stack, "", @progbits
