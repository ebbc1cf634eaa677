/* setjmp and its relatives: rbx, rbp, r12 to r15, rsp, rip, in the order of glibc's jmp_buf, in which
 * gdb looks for the address where longjmp goes; that address is not mangled here. */

#define RBX 0
#define RBP 8
#define R12 16
#define R13 24
#define R14 32
#define R15 40
#define RSP 48
#define RIP 56

	.text
	.globl	setjmp, _setjmp, sigsetjmp, __sigsetjmp
	.type	setjmp, @function
	.type	_setjmp, @function
setjmp:
_setjmp:
sigsetjmp:
__sigsetjmp:
	.cfi_startproc
	mov	%rbx, RBX(%rdi)
	mov	%rbp, RBP(%rdi)
	mov	%r12, R12(%rdi)
	mov	%r13, R13(%rdi)
	mov	%r14, R14(%rdi)
	mov	%r15, R15(%rdi)
	lea	8(%rsp), %rdx
	mov	%rdx, RSP(%rdi)
	mov	(%rsp), %rdx
	mov	%rdx, RIP(%rdi)
	xor	%eax, %eax
	ret
	.cfi_endproc

	.globl	longjmp, _longjmp, siglongjmp
	.type	longjmp, @function
	.type	_longjmp, @function
	.type	siglongjmp, @function
longjmp:
_longjmp:
siglongjmp:
	.cfi_startproc
	mov	%esi, %eax
	test	%eax, %eax
	jnz	1f
	inc	%eax
1:	mov	RBX(%rdi), %rbx
	mov	RBP(%rdi), %rbp
	mov	R12(%rdi), %r12
	mov	R13(%rdi), %r13
	mov	R14(%rdi), %r14
	mov	R15(%rdi), %r15
	mov	RSP(%rdi), %rsp
	jmp	*RIP(%rdi)
	.cfi_endproc

	.section .note.GNU-stack, "", @progbits
