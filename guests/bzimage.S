/* A bzImage that prints which entry it was given and its command line.  Linked at 0, so that labels
 * are offsets in the file; the code does not depend on where it is.
 * Source: Linux, Documentation/x86/boot.rst (6.1). */

#define UART_PORT    0x3f8
#define EXIT_PORT    0xf4
#define SETUP_SECTS  1
#define CMD_LINE_PTR 0x228 /* in the zero page, which RSI has */

	/* Print the digits @tens and @ones, a colon and the command line at @line, and end the run. */
	.macro tell tens, ones, line
	movw $UART_PORT, %dx
	movb $\tens, %al
	outb %al, %dx
	movb $\ones, %al
	outb %al, %dx
	movb $':', %al
	outb %al, %dx
	movl \line, %esi
1:	lodsb
	testb %al, %al
	jz 2f
	outb %al, %dx
	jmp 1b
2:	movb $'\n', %al
	outb %al, %dx
	xorl %eax, %eax
	movw $EXIT_PORT, %dx
	outl %eax, %dx
	hlt
	.endm

	.section .text
	.global _start
_start:
	.org 0x1f1
	.byte SETUP_SECTS
	.org 0x1f4
	.long (code_end - code) / 16 /* syssize */
	.org 0x1fe
	.word 0xaa55
	.byte 0xeb, header_end - header
header:
	.ascii "HdrS"
	.word 0x20f /* version */
	.org 0x211
	.byte 1 /* loadflags: LOADED_HIGH */
	.org 0x22c
	.long 0x7fffffff /* initrd_addr_max */
	.long 0x200000	 /* kernel_alignment */
	.byte 1		 /* relocatable_kernel */
	.byte 0
	.word 1	      /* xloadflags: XLF_KERNEL_64 */
	.long 0x7ff   /* cmdline_size */
	.org 0x258
	.quad 0x200000 /* pref_address */
	.long 0x10000  /* init_size */
	.long 0
	.long 0
header_end:

	.org (SETUP_SECTS + 1) * 512
code:
	.code32
	tell '3', '2', CMD_LINE_PTR(%esi)

	.org (SETUP_SECTS + 1) * 512 + 0x200
	.code64
	tell '6', '4', CMD_LINE_PTR(%rsi)
	.balign 16
code_end:

	.section .note.GNU-stack, "", @progbits
