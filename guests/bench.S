/* The guest that `make bench` measures with: 32-bit code without paging, entered by multiboot, so
 * that umbra and QEMU's -kernel run the very same image.  It loops over four pieces of work; the
 * client sets breakpoints on their labels. */

	.set	MAGIC, 0x1badb002
	.set	FLAGS, 0

	.text
	.code32
	/* The header has to lie in the first 8192 bytes of the file: the text begins with it. */
	.align	4
	.long	MAGIC, FLAGS, -(MAGIC + FLAGS)
	.globl	_start, bench_start, bench_loop, bench_range, bench_range_end, bench_pio
	.globl	bench_pio_end, bench_spin, bench_buffer
_start:
	cli
	mov	$stack_end, %esp
bench_start:
	nop

	/* bench_loop: the breakpoint of the breakpoint cycles, 4 instructions apart. */
	mov	$200000, %ecx
bench_loop:
	add	$1, %eax
	xor	%ecx, %edx
	dec	%ecx
	jnz	bench_loop

	/* bench_range: 40,000 instructions inside one range. */
	mov	$20000, %ecx
bench_range:
	dec	%ecx
	jnz	bench_range
bench_range_end:
	nop

	/* bench_pio: 20,000 port writes that leave the guest one by one. */
	mov	$20000, %ecx
	mov	$0xed, %edx
bench_pio:
	out	%al, %dx
	dec	%ecx
	jnz	bench_pio
bench_pio_end:
	nop

	/* bench_spin: to be interrupted. */
bench_spin:
	inc	%eax
	jmp	bench_spin

	.bss
	.align	4096
bench_buffer:
	.skip	8 << 20
stack:
	.skip	4096
stack_end:
