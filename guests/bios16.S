/* Firmware of 64 KiB, for -bios: starts at the reset vector in ROM below 4 GiB, tries to write there,
 * goes to its copy below 1 MiB and writes to that.  Linked at 0: offsets in the image are offsets
 * in segment 0xf000.
 * Source: SDM 3A 10.1.4 (first instruction executed). */

#define UART_PORT 0x3f8
#define EXIT_PORT 0xf4
#define STACK_TOP 0x7000
#define SHADOW	  0xf000
#define OLD	  0x5a
#define NEW	  0xa5

	.code16
	.section .text
	.global _start

/* In ROM: CS has base 0xffff0000 until the first far jump. */
in_rom:
	movb $NEW, %cs:probe
	cmpb $OLD, %cs:probe
	jne failed
	ljmp $SHADOW, $in_ram

in_ram:
	movb $NEW, %cs:probe
	cmpb $NEW, %cs:probe
	jne failed
	mov $passed_text, %si
	xor %ebx, %ebx
	jmp finish

failed:
	mov $failed_text, %si
	mov $1, %ebx

/* Print what CS:SI points to, and end the run with EBX. */
finish:
	mov $UART_PORT, %dx
next:
	mov %cs:(%si), %al
	inc %si
	test %al, %al
	jz end
	out %al, %dx
	jmp next
end:
	mov %ebx, %eax
	mov $EXIT_PORT, %dx
	out %eax, %dx
	hlt

probe:
	.byte OLD
passed_text:
	.asciz "bios16: the ROM stays, the RAM changes\n"
failed_text:
	.asciz "bios16: wrong\n"

	.org 0xfff0
_start:
	jmp in_rom
	.org 0x10000

	.section .note.GNU-stack, "", @progbits
