/* The guest that `make bench` measures with: 32-bit code without paging, entered by multiboot, so
 * that umbra and QEMU's -kernel run the very same image.  The client jumps to a piece of work with
 * a count of turns in ECX and a breakpoint at bench_end, which lies on a page of its own, because
 * some servers slow down the whole page that a breakpoint is on. */

	.set	MAGIC, 0x1badb002
	.set	FLAGS, 0
	.set	WORDS, 256	/* of bench_page that bench_store goes round in */

	.text
	.code32
	/* The header has to lie in the first 8192 bytes of the file: the text begins with it. */
	.align	4
	.long	MAGIC, FLAGS, -(MAGIC + FLAGS)
	.globl	_start, bench_start, bench_loop, bench_range, bench_range_end, bench_pio
	.globl	bench_spin, bench_alu, bench_beside, bench_store, bench_end
	.globl	bench_page, bench_near, bench_far, bench_buffer
_start:
	cli
	mov	$stack_end, %esp
bench_start:
	nop
	jmp	bench_spin

	/* bench_loop: the breakpoint of the breakpoint cycles, 4 instructions apart. */
bench_loop:
	add	$1, %eax
	xor	%ecx, %edx
	dec	%ecx
	jnz	bench_loop
	jmp	bench_end

	/* bench_range: stepped through, 2 instructions a turn. */
bench_range:
	dec	%ecx
	jnz	bench_range
bench_range_end:
	jmp	bench_end

	/* bench_pio: port writes that leave the guest one by one. */
bench_pio:
	mov	$0xed, %edx
1:	out	%al, %dx
	dec	%ecx
	jnz	1b
	jmp	bench_end

	/* bench_spin: to be interrupted. */
bench_spin:
	inc	%eax
	jmp	bench_spin

	/* bench_alu: registers only, 8 instructions a turn.  bench_beside is never reached, and lies
	 * on the same page. */
bench_alu:
	add	%edx, %eax
	xor	%eax, %esi
	rol	$7, %esi
	lea	3(%eax, %esi, 4), %edi
	sub	%edi, %edx
	shr	$1, %edi
	dec	%ecx
	jnz	bench_alu
	jmp	bench_end
bench_beside:
	nop

	/* bench_store: a load and a store within one page, 7 instructions a turn. */
bench_store:
	xor	%ebx, %ebx
1:	mov	bench_page(, %ebx, 4), %eax
	add	%ecx, %eax
	mov	%eax, bench_page(, %ebx, 4)
	inc	%ebx
	and	$WORDS - 1, %ebx
	dec	%ecx
	jnz	1b
	jmp	bench_end

	.align	4096
bench_end:
	nop
	jmp	bench_spin

	.bss
	.align	4096
	/* Written all the time; bench_near, on the same page, is not. */
bench_page:
	.skip	2048
bench_near:
	.skip	2048
bench_far:
	.skip	4096
bench_buffer:
	.skip	8 << 20
stack:
	.skip	4096
stack_end:
