/* The seed: a 16-bit program of twelve bytes at 0x1000 that adds BL to AL and prints the sum as a
 * digit on the UART.  It is run with RAX = RBX = 2, and halts.  See guests.cfg. */

	.code16
	.section .text
	.global _start
_start:
	mov $0x3f8, %dx
	add %bl, %al
	add $'0', %al
	.global out_digit
out_digit:
	out %al, (%dx)
	mov $'\n', %al
	.global out_newline
out_newline:
	out %al, (%dx)
	.global end
end:
	hlt

	.section .note.GNU-stack, "", @progbits
