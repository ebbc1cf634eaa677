/* The code and the tables of the guest: see smp_guest.h. */
#include "smp_guest.h"

#include <stddef.h>

/* Where things are; the assembly has the same numbers. */
#define PML4 0x1000ull
#define PDPT 0x2000ull
#define PD   0x3000ull
#define PT   0x4000ull /* the first 2 MiB, as they are */
/* The table that the pages of the rounds hang in, and its odd brother. */
#define TABLE_EVEN 0x6000ull
#define TABLE_ODD  0x5000ull
#define PAGE_EVEN  0x7000ull /* holds 0 */
#define PAGE_ODD   0x8000ull /* holds 1 */
#define IDT	   0x11000ull
#define GDT	   0x12000ull
#define ROUTINE	   0x14000ull /* the instruction that is rewritten */
#define STACKS	   0x20000ull
#define APIC_PAGE  0x1ff000ull

#define PTE_ALL	     0x7ull
#define PTE_UNCACHED 0x1bull
#define VECTOR	     0x40u
#define SELECTOR     8u

_Static_assert(offsetof(struct smp_guest_data, total) == 0x100, "the assembly counts on it");
_Static_assert(offsetof(struct smp_guest_data, own) == 0x140, "the assembly counts on it");

/* rdi = number of the vCPU, r12 = 64 times that, rbx = the data, rbp = the local APIC. */
extern const uint8_t smp_guest_start[], smp_guest_handler[], smp_guest_routine[], smp_guest_end[];
__asm__(".pushsection .rodata\n"
	".globl smp_guest_start, smp_guest_handler, smp_guest_routine, smp_guest_end\n"
	"smp_guest_start:\n"
	"	movl $0x1ff, 0xf0(%rbp)\n" /* the APIC is on */
	"	sti\n"
	"	test %edi, %edi\n"
	"	jz 10f\n"
	/* The others. */
	"1:	mov $1, %eax\n"
	"	lock xadd %rax, 0x100(%rbx)\n"
	"	incq 0x140(%rbx,%r12)\n"
	"	mov 0x200000, %rax\n" /* walks through the entry that changes */
	"	mov $0x14000, %edx\n"
	"	call *%rdx\n"
	"	lea 0x15000(%r12), %rsi\n"
	"	lea 0x16000(%r12), %rdi\n"
	"	mov $60, %ecx\n"
	"	rep movsb\n"
	"	mov %r12, %rdi\n"
	"	shr $6, %rdi\n"
	"	jmp 1b\n"
	/* The first; the others come up before. */
	"10:	mov 0x20(%rbx), %rdx\n"
	"17:	mov %rdx, %rax\n"
	"	shl $6, %rax\n"
	"18:	cmpq $0, 0x140(%rbx,%rax)\n"
	"	pause\n"
	"	je 18b\n"
	"	dec %rdx\n"
	"	jnz 17b\n"
	"19:	inc %r13\n"
	"	mov $0x6000, %esi\n"
	"	test $1, %r13b\n"
	"	jz 11f\n"
	"	mov $0x5000, %esi\n"
	"11:	lea -1(%r13), %rax\n"
	"	and $1, %eax\n"
	"	shl $12, %eax\n"
	"	add $0x7007, %eax\n"
	"	mov %rax, (%rsi)\n" /* still the page of the last round */
	"	lea 7(%rsi), %rax\n"
	"	mov %rax, 0x3008\n" /* in a table that the shadow does not know */
	"	mov $40, %ecx\n"
	"12:	mov $1, %eax\n"
	"	lock xadd %rax, 0x100(%rbx)\n"
	"	incq 0x140(%rbx,%r12)\n"
	"	dec %ecx\n"
	"	jnz 12b\n"
	"	mov %r13, %rax\n"
	"	and $1, %eax\n"
	"	shl $12, %eax\n"
	"	add $0x7007, %eax\n"
	"	mov %rax, (%rsi)\n" /* while the others come to know it */
	"	mov %r13d, 0x14001\n"
	"	mov %r13, (%rbx)\n"
	"	movl $0xc0040, 0x300(%rbp)\n" /* to all but itself */
	"	mov 0x20(%rbx), %rdx\n"
	"13:	test %rdx, %rdx\n"
	"	jz 15f\n"
	"14:	cmp %r13, 0x40(%rbx,%rdx,8)\n"
	"	pause\n"
	"	jne 14b\n"
	"	dec %rdx\n"
	"	jmp 13b\n"
	"15:	cmp 8(%rbx), %r13\n"
	"	jb 19b\n"
	"	mov $0, %al\n"
	"	out %al, $0xf4\n"
	"16:	hlt\n"
	"	jmp 16b\n"
	"smp_guest_handler:\n"
	"	push %rax\n"
	"	push %rcx\n"
	"	push %rdx\n"
	"	mov (%rbx), %rcx\n"
	"	invlpg 0x200000\n"
	"	mov 0x200000, %rax\n"
	"	mov %rcx, %rdx\n"
	"	and $1, %edx\n"
	"	cmp %rax, %rdx\n"
	"	je 20f\n"
	"	lock incq 0x10(%rbx)\n"
	"20:	mov %cr3, %rax\n" /* serializes */
	"	mov %rax, %cr3\n"
	"	mov $0x14000, %edx\n"
	"	call *%rdx\n"
	"	cmp %eax, %ecx\n"
	"	je 21f\n"
	"	lock incq 0x18(%rbx)\n"
	"21:	mov %r12, %rdx\n"
	"	shr $6, %rdx\n"
	"	mov %rcx, 0x40(%rbx,%rdx,8)\n"
	"	movl $0, 0xb0(%rbp)\n"
	"	pop %rdx\n"
	"	pop %rcx\n"
	"	pop %rax\n"
	"	iretq\n"
	"smp_guest_routine:\n"
	"	mov $0, %eax\n"
	"	ret\n"
	"smp_guest_end:\n"
	".popsection\n");

static void poke64(struct mem_space *mem, gpa_t gpa, uint64_t value)
{
	uint8_t bytes[8];

	le64_put(bytes, value);
	mem_poke(mem, gpa, bytes, sizeof(bytes));
}

static void load_tables(struct mem_space *mem)
{
	poke64(mem, PML4, PDPT | PTE_ALL);
	poke64(mem, PDPT, PD | PTE_ALL);
	poke64(mem, PD, PT | PTE_ALL);
	poke64(mem, PD + 8, TABLE_EVEN | PTE_ALL);
	for (uint64_t i = 0; i < 512; i++)
		poke64(mem, PT + 8 * i, i << 12 | PTE_ALL);
	poke64(mem, PT + APIC_PAGE / 512, 0xfee00000 | PTE_UNCACHED);
	poke64(mem, TABLE_EVEN, PAGE_EVEN | PTE_ALL);
	poke64(mem, PAGE_ODD, 1);
}

static void load_gate(struct mem_space *mem)
{
	uint64_t handler = SMP_GUEST_CODE + (uint64_t)(smp_guest_handler - smp_guest_start);

	poke64(mem, GDT + SELECTOR, 0x00af9b000000ffff);
	poke64(mem, GDT + SELECTOR + 8, 0x00cf93000000ffff);
	poke64(mem, IDT + VECTOR * 16,
	       (handler & 0xffff) | SELECTOR << 16 | 0x8e0000000000 | (handler >> 16) << 48);
}

void smp_guest_load(struct mem_space *mem, unsigned vcpus, uint64_t rounds)
{
	load_tables(mem);
	load_gate(mem);
	mem_poke(mem, SMP_GUEST_CODE, smp_guest_start, (size_t)(smp_guest_end - smp_guest_start));
	mem_poke(mem, ROUTINE, smp_guest_routine, (size_t)(smp_guest_end - smp_guest_routine));
	poke64(mem, SMP_GUEST_DATA + offsetof(struct smp_guest_data, limit), rounds);
	poke64(mem, SMP_GUEST_DATA + offsetof(struct smp_guest_data, mates), vcpus - 1);
}

void smp_guest_state(unsigned index, struct x86_state *out_st)
{
	x86_state_reset(out_st);
	out_st->seg[X86_CS] = x86_seg_flat(SELECTOR, true, 64, 0);
	for (unsigned i = 0; i < X86_SEG_COUNT; i++) {
		if (i != X86_CS)
			out_st->seg[i] = x86_seg_flat(SELECTOR + 8, false, 32, 0);
	}
	out_st->gdtr = (struct x86_table_reg){.base = GDT, .limit = 23};
	out_st->idtr = (struct x86_table_reg){.base = IDT, .limit = 0xfff};
	out_st->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_WP | X86_CR0_PG;
	out_st->cr3 = PML4;
	out_st->cr4 = X86_CR4_PAE;
	out_st->efer = X86_EFER_LME | X86_EFER_LMA;
	if (index != 0)
		out_st->apic_base &= ~(1ull << 8); /* not the bootstrap processor */
	out_st->rip = SMP_GUEST_CODE;
	out_st->gpr[X86_RDI] = index;
	out_st->gpr[X86_R12] = 64 * index;
	out_st->gpr[X86_RBX] = SMP_GUEST_DATA;
	out_st->gpr[X86_RBP] = APIC_PAGE;
	out_st->gpr[X86_RSP] = STACKS + 0x1000 * (index + 1);
}
