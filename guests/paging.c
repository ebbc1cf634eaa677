/* The page tables of three paging modes, changed under the processor's eyes: 32-bit, PAE, and
 * 4-level in compatibility mode.  The same checks run in each: large pages, aliases, remapping,
 * table writes through several mappings, accessed and dirty bits, rights, two roots.
 *
 * A 32-bit program that stands alone (guests/lib is 64-bit code), in an ELF32 with a multiboot
 * header.  Source: SDM 3A 4.3, 4.4, 4.5; Multiboot 0.6.96 3.1. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned u32;
typedef unsigned long long u64;

#define MB_MAGIC  0x1badb002u
#define PORT_UART 0x3f8
#define PORT_EXIT 0xf4 /* isa-debug-exit; 0 says pass */

#define PTE_P  0x1u
#define PTE_W  0x2u
#define PTE_U  0x4u
#define PTE_A  0x20u
#define PTE_D  0x40u
#define PTE_PS 0x80u

#define CR0_WP	 0x10000u
#define CR0_PG	 0x80000000u
#define CR4_PSE	 0x10u
#define CR4_PAE	 0x20u
#define MSR_EFER 0xc0000080u
#define EFER_LME 0x100u

#define POOL	    0x400000u /* page tables come from here */
#define FRAME_A	    0x600000u /* two frames for data, marked at their start */
#define FRAME_B	    0x601000u
#define BIG_FRAME   0x800000u
#define MARK_A	    0xaaaa1111u
#define MARK_B	    0xbbbb2222u
#define MARK_BIG    0xcccc3333u
#define TEST_VA	    0x40001000u /* nothing near it is mapped otherwise */
#define ALIAS_VA    0x40002000u
#define TABLE_VA    0x40003000u /* the page table of TEST_VA, twice */
#define TABLE_VA2   0x40004000u
#define BIG_VA	    0x50000000u
#define IDENTITY_MB 16

/* Within the first 8 KiB of the file: the linker puts sections of this name in front of all code.
 */
__attribute__((section(".text.unlikely.multiboot"), used)) static const u32 multiboot_header[3] = {
	MB_MAGIC, 0, -MB_MAGIC};

/* What differs between the modes. */
struct mode {
	const char *name;
	u32 levels;
	u32 entry_bytes;
	u32 index_bits; /* of every level but PAE's top, which has 2 */
	u32 big_bytes;
};
static const struct mode MODES[] = {
	{"32bit", 2, 4, 10, 4u << 20},
	{"pae", 3, 8, 9, 2u << 20},
	{"4level", 4, 8, 9, 2u << 20},
};

static const struct mode *mode;
static u32 pool_next, check_count, wrong_count;
/* What the last page fault left, by the handlers below. */
volatile u32 fault_count, fault_error, fault_address;

static void out8(u16 port, u8 value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print_text(const char *text)
{
	while (*text)
		out8(PORT_UART, (u8)*text++);
}

static void print_dec(u32 value)
{
	if (value >= 10)
		print_dec(value / 10);
	out8(PORT_UART, (u8)('0' + value % 10));
}

static void check(const char *what, u32 is_right)
{
	check_count++;
	wrong_count += !is_right;
	print_text("paging: ");
	print_text(mode->name);
	print_text(" ");
	print_text(what);
	print_text(is_right ? " right\n" : " WRONG\n");
}

static volatile u32 *at(u32 address)
{
	return (volatile u32 *)address;
}

static void invlpg(u32 va)
{
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static void load_cr3(u32 root)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

/* Tables.  They are reached through the identity mapping. */

static u64 entry_get(u32 table, u32 index)
{
	volatile u32 *p = at(table + index * mode->entry_bytes);

	return mode->entry_bytes == 4 ? *p : (u64)p[1] << 32 | *p;
}

static void entry_set(u32 table, u32 index, u64 value)
{
	volatile u32 *p = at(table + index * mode->entry_bytes);

	if (mode->entry_bytes == 8)
		p[1] = (u32)(value >> 32);
	*p = (u32)value;
}

static u32 table_new(void)
{
	u32 table = pool_next;

	pool_next += 0x1000;
	for (u32 i = 0; i < 1024; i++)
		at(table)[i] = 0;
	return table;
}

static u32 index_of(u32 va, u32 level)
{
	u32 shift = 12 + mode->index_bits * (level - 1);

	return shift >= 32 ? 0 : va >> shift & ((1u << mode->index_bits) - 1);
}

/* The table of @va at @level; missing ones above it are made. */
static u32 table_for(u32 root, u32 va, u32 level)
{
	u32 table = root;

	for (u32 l = mode->levels; l > level; l--) {
		u64 entry = entry_get(table, index_of(va, l));

		if (!(entry & PTE_P)) {
			/* PAE's top entries have no rights of their own (SDM 3A 4.4.1). */
			u32 is_pdpte = mode->levels == 3 && l == 3;

			entry = table_new() | (is_pdpte ? PTE_P : PTE_P | PTE_W | PTE_U);
			entry_set(table, index_of(va, l), entry);
		}
		table = (u32)entry & ~0xfffu;
	}
	return table;
}

static void map(u32 root, u32 va, u32 pa, u32 flags)
{
	entry_set(table_for(root, va, 1), index_of(va, 1), pa | flags);
}

static u32 pte_of(u32 root, u32 va)
{
	return (u32)entry_get(table_for(root, va, 1), index_of(va, 1));
}

static void set_pte(u32 root, u32 va, u32 value)
{
	map(root, va, value, 0);
	invlpg(va);
}

static void map_big(u32 root, u32 va, u32 pa)
{
	entry_set(table_for(root, va, 2), index_of(va, 2), pa | PTE_P | PTE_W | PTE_PS);
}

static u32 root_new(void)
{
	u32 root = table_new();

	for (u32 pa = 0; pa < (u32)IDENTITY_MB << 20; pa += 0x1000)
		map(root, pa, pa, PTE_P | PTE_W);
	/* PAE's top entries count only when CR3 is loaded: all that are needed are there by then.
	 */
	table_for(root, TEST_VA, 1);
	return root;
}

/* Checks, all with paging on and @root in CR3. */

static void check_alias(u32 root)
{
	set_pte(root, TEST_VA, FRAME_A | PTE_P | PTE_W);
	set_pte(root, ALIAS_VA, FRAME_A | PTE_P | PTE_W);
	at(TEST_VA)[1] = 0x1234;
	check("alias", *at(TEST_VA) == MARK_A && at(ALIAS_VA)[1] == 0x1234);
}

static void check_remap(u32 root)
{
	u32 before = *at(TEST_VA);

	set_pte(root, TEST_VA, FRAME_B | PTE_P | PTE_W);
	check("remap", before == MARK_A && *at(TEST_VA) == MARK_B && *at(ALIAS_VA) == MARK_A);
}

/* The entry is written through either of two mappings of its table, and read back by both. */
static void check_table_writes(u32 root)
{
	u32 table = table_for(root, TEST_VA, 1);
	u32 word = index_of(TEST_VA, 1) * mode->entry_bytes / 4;
	u32 first, second;

	set_pte(root, TABLE_VA, table | PTE_P | PTE_W);
	set_pte(root, TABLE_VA2, table | PTE_P | PTE_W);
	at(TABLE_VA)[word] = FRAME_A | PTE_P | PTE_W;
	invlpg(TEST_VA);
	first = *at(TEST_VA);
	__asm__ volatile("lock; xchgl %0, %1"
			 : "=r"(second), "+m"(*at(TABLE_VA2 + word * 4))
			 : "0"(FRAME_B | PTE_P | PTE_W));
	invlpg(TEST_VA);
	check("table writes", first == MARK_A && *at(TEST_VA) == MARK_B &&
				      (second & ~0xfffu) == FRAME_A &&
				      (at(TABLE_VA)[word] & ~0xfffu) == FRAME_B);
}

static void check_accessed_dirty(u32 root)
{
	u32 fresh, read, written, cleared;

	set_pte(root, TEST_VA, FRAME_A | PTE_P | PTE_W);
	fresh = pte_of(root, TEST_VA);
	(void)*at(TEST_VA);
	read = pte_of(root, TEST_VA);
	at(TEST_VA)[2] = 1;
	written = pte_of(root, TEST_VA);
	set_pte(root, TEST_VA, FRAME_A | PTE_P | PTE_W);
	(void)*at(TEST_VA);
	cleared = pte_of(root, TEST_VA);
	check("accessed and dirty", !(fresh & (PTE_A | PTE_D)) && (read & PTE_A) &&
					    !(read & PTE_D) && (written & PTE_D) &&
					    (cleared & PTE_A) && !(cleared & PTE_D));
}

/* A read-only page: the handler makes it writable and the store is done again. */
static void check_fault(u32 root)
{
	u32 count = fault_count;

	set_pte(root, TEST_VA, FRAME_A | PTE_P);
	at(TEST_VA)[3] = 0x77;
	check("write protection", fault_count == count + 1 && fault_error == 3 &&
					  fault_address == TEST_VA + 12 && at(ALIAS_VA)[3] == 0x77);
	set_pte(root, TEST_VA, 0);
	check("not present", *at(TEST_VA) == MARK_A && fault_count == count + 2 &&
				     fault_error == 0 && fault_address == TEST_VA);
}

static void check_big(u32 root)
{
	u32 table;

	map_big(root, BIG_VA, BIG_FRAME);
	check("large page", *at(BIG_VA) == MARK_BIG && at(BIG_VA + mode->big_bytes)[-1] ==
							       at(BIG_FRAME + mode->big_bytes)[-1]);
	table = table_new();
	for (u32 i = 0; i < 1u << mode->index_bits; i++)
		entry_set(table, i, (i == 1 ? FRAME_B : BIG_FRAME + i * 0x1000) | PTE_P | PTE_W);
	entry_set(table_for(root, BIG_VA, 2), index_of(BIG_VA, 2), table | PTE_P | PTE_W);
	load_cr3(root);
	check("large page split", *at(BIG_VA) == MARK_BIG && *at(BIG_VA + 0x1000) == MARK_B);
}

static void check_roots(u32 root)
{
	u32 other = root_new();
	u32 here, there;

	map(root, TEST_VA, FRAME_A, PTE_P | PTE_W);
	map(other, TEST_VA, FRAME_B, PTE_P | PTE_W);
	load_cr3(root);
	here = *at(TEST_VA);
	load_cr3(other);
	there = *at(TEST_VA);
	load_cr3(root);
	check("two roots", here == MARK_A && there == MARK_B && *at(TEST_VA) == MARK_A);
}

/* The four entries of PAE are registers: memory counts when CR3 is loaded (SDM 3A 4.4.1). */
static void check_pdpte(u32 root)
{
	u64 saved = entry_get(root, index_of(TEST_VA, 3));
	u32 other, before;

	if (mode->levels != 3)
		return;
	other = root_new();
	map(other, TEST_VA, FRAME_B, PTE_P | PTE_W);
	entry_set(root, index_of(TEST_VA, 3), entry_get(other, index_of(TEST_VA, 3)));
	invlpg(TEST_VA);
	before = *at(TEST_VA);
	load_cr3(root);
	check("pdpte registers", before == MARK_A && *at(TEST_VA) == MARK_B);
	entry_set(root, index_of(TEST_VA, 3), saved);
	load_cr3(root);
}

/* Turning paging on and off. */

static u32 cr0_get(void)
{
	u32 value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	return value;
}

static void cr0_set(u32 value)
{
	__asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static void cr4_set(u32 value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static void efer_set(u32 value)
{
	__asm__ volatile("wrmsr" : : "c"(MSR_EFER), "a"(value), "d"(0));
}

/* Interrupt gates: vector 14 only, to the entry of 32-bit code or of 64-bit code. */

extern u8 fault_entry32[], fault_entry64[];
static u32 idt[64 * 4];
static u64 gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff};

struct table_register {
	u16 limit;
	u32 base;
} __attribute__((packed));

static void load_tables(void)
{
	u32 is_long = mode->levels == 4;
	u32 entry = (u32)(is_long ? fault_entry64 : fault_entry32);
	u32 *gate = &idt[14 * (is_long ? 4 : 2)];
	struct table_register gdtr = {sizeof(gdt) - 1, (u32)gdt};
	struct table_register idtr = {sizeof(idt) - 1, (u32)idt};

	for (u32 i = 0; i < sizeof(idt) / sizeof(*idt); i++)
		idt[i] = 0;
	gate[0] = (entry & 0xffff) | (is_long ? 0x18u : 0x8u) << 16;
	gate[1] = (entry & 0xffff0000) | 0x8e00;
	__asm__ volatile("lgdt %0\n\tlidt %1\n\t"
			 "mov %2, %%ds\n\tmov %2, %%es\n\tmov %2, %%ss\n\t"
			 "ljmp $8, $1f\n1:"
			 :
			 : "m"(gdtr), "m"(idtr), "r"(0x10)
			 : "memory");
}

static u32 current_root;

/* Called by both entries: make the page of the fault FRAME_A, writable. */
void fault_fix(void);
void fault_fix(void)
{
	fault_count++;
	set_pte(current_root, fault_address & ~0xfffu, FRAME_A | PTE_P | PTE_W);
}

static void run_mode(const struct mode *m)
{
	mode = m;
	pool_next = POOL;
	*at(FRAME_A) = MARK_A;
	*at(FRAME_B) = MARK_B;
	*at(BIG_FRAME) = MARK_BIG;
	load_tables();
	current_root = root_new();
	cr4_set(m->levels == 2 ? CR4_PSE : CR4_PAE);
	efer_set(m->levels == 4 ? EFER_LME : 0);
	load_cr3(current_root);
	cr0_set(cr0_get() | CR0_PG | CR0_WP);
	check_alias(current_root);
	check_remap(current_root);
	check_table_writes(current_root);
	check_accessed_dirty(current_root);
	check_fault(current_root);
	check_big(current_root);
	check_roots(current_root);
	check_pdpte(current_root);
	cr0_set(cr0_get() & ~CR0_PG);
}

void kmain(void);
void kmain(void)
{
	for (u32 i = 0; i < sizeof(MODES) / sizeof(*MODES); i++)
		run_mode(&MODES[i]);
	print_text("paging: ");
	print_dec(check_count);
	print_text(" checks, ");
	print_dec(wrong_count);
	print_text(" wrong\n");
	out8(PORT_EXIT, wrong_count != 0);
}

/* The entry of 64-bit code stays in it only to take the frame apart: the C code above runs as
 * 32-bit code in compatibility mode, reached by a far return and left by a far jump. */
__asm__(".section .text\n"
	".globl _start, fault_entry32, fault_entry64\n"
	".type _start, @function\n"
	"_start:\n"
	"	mov $stack_end, %esp\n"
	"	xor %ebp, %ebp\n"
	"	call kmain\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	".size _start, . - _start\n"
	"fault_entry32:\n"
	"	pusha\n"
	"	mov 32(%esp), %eax\n"
	"	mov %eax, fault_error\n"
	"	mov %cr2, %eax\n"
	"	mov %eax, fault_address\n"
	"	call fault_fix\n"
	"	popa\n"
	"	add $4, %esp\n"
	"	iret\n"
	".code64\n"
	"fault_entry64:\n"
	"	push %rax\n"
	"	push %rcx\n"
	"	push %rdx\n"
	"	push %rbx\n"
	"	mov 32(%rsp), %eax\n"
	"	mov $fault_error, %ecx\n"
	"	mov %eax, (%rcx)\n"
	"	mov %cr2, %rax\n"
	"	mov $fault_address, %ecx\n"
	"	mov %eax, (%rcx)\n"
	"	mov $2f, %ecx\n"
	"	push $8\n"
	"	push %rcx\n"
	"	lretq\n"
	".code32\n"
	"2:	call fault_fix\n"
	"	ljmp $0x18, $3f\n"
	".code64\n"
	"3:	pop %rbx\n"
	"	pop %rdx\n"
	"	pop %rcx\n"
	"	pop %rax\n"
	"	add $8, %rsp\n"
	"	iretq\n"
	".code32\n"
	".local stack\n"
	".comm stack, 8192, 16\n"
	".set stack_end, stack + 8192\n");
