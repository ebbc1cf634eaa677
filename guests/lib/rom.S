/* A firmware that only enters a 32-bit guest: for machines without a multiboot loader.
 *
 * Sixty-four KiB that end where the processor starts.  It copies the guest's bytes from the ROM to
 * 1 MiB, clears what follows them up to guest_end, and jumps to _start in the state that a
 * multiboot loader hands over.  Both symbols come from the guest that this is linked with;
 * GUEST_BYTES names the file with its bytes.
 *
 * Source: SDM 3A 9.1.4 (first instruction) and 9.9.1 (protected mode); Multiboot 0.6.96 3.2, 3.3. */

#define ROM_BASE   0xf0000
#define GUEST_BASE 0x100000
#define CODE32	   0x08
#define DATA32	   0x10
#define CR0_PE	   1
#define MB_MAGIC   0x2badb002
#define MB_CMDLINE 4
#define UART_LCR   0x3fb
#define UART_LCR_8BITS 3
#define CMDLINE	   0xffe0 /* 16 bytes */
#define RESET	   0xfff0 /* the first instruction */
#define ROM_SIZE   0x10000

	.text
rom:
	.code16
rom_start:
	cli
	/* Characters of eight bits on the first UART (PC16550D 8.1), as firmware leaves it. */
	movw	$UART_LCR, %dx
	movb	$UART_LCR_8BITS, %al
	outb	%al, %dx
	lgdtl	%cs:gdt_pointer - rom
	movl	%cr0, %eax
	orl	$CR0_PE, %eax
	movl	%eax, %cr0
	ljmpl	$CODE32, $rom_protected

	.code32
rom_protected:
	movl	$DATA32, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	cld
	movl	$guest_bytes, %esi
	movl	$GUEST_BASE, %edi
	movl	$guest_bytes_end - guest_bytes, %ecx
	rep movsb
	movl	$guest_end, %ecx
	subl	%edi, %ecx
	xorl	%eax, %eax
	rep stosb
	movl	$MB_MAGIC, %eax
	movl	$rom_information, %ebx
	ljmp	$CODE32, $_start

	.balign 8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	/* Nothing but a command line. */
	.balign 4
rom_information:
	.long	MB_CMDLINE, 0, 0, 0, rom_cmdline
	.fill	17, 4, 0

guest_bytes:
	.incbin	GUEST_BYTES
guest_bytes_end:

	/* Empty; whoever makes use of the ROM may write another one here.  A guest that does not fit
	 * moves backwards, which the assembler refuses. */
	.org	CMDLINE
rom_cmdline:
	.org	RESET
	.code16
	ljmp	$ROM_BASE >> 4, $rom_start - rom
	.org	ROM_SIZE

	.section .note.GNU-stack, "", @progbits
