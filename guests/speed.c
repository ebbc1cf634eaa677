/* Raw speed: each loop of speed_loops.c, then port output and page-table switching, between a line
 * that says "begin" and one that says "end"; whoever reads the UART has the clock.  A number as the
 * last word of the command line divides the counts.  On a back end
 * whose time stamp counter counts instructions the end line says how many there were. */
#include "guest.h"

#include "speed_loops.h"

#define CR0_MP	      0x2ul
#define CR0_EM	      0x4ul
#define CR4_OSFXSR    0x200ul
#define CR4_OSXMMEXC  0x400ul
#define PIO_COUNT     10000000u
#define CR3_COUNT     400000u
#define UART_SCRATCH  0x3ff /* PC16550D 8.10: a register without effect */
#define TABLE_ENTRIES 512u

static uint64_t second_pml4[TABLE_ENTRIES] __attribute__((aligned(4096)));

/* Multiboot 0.6.96 3.3. */
#define MB_CMDLINE    0x4u /* in flags */
#define MB_CMDLINE_AT 4u   /* in words */

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static void enable_fpu(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr0, %0" : "=r"(value));
	__asm__ volatile("mov %0, %%cr0" : : "r"((value | CR0_MP) & ~CR0_EM));
	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	__asm__ volatile("mov %0, %%cr4" : : "r"(value | CR4_OSFXSR | CR4_OSXMMEXC));
	__asm__ volatile("fninit");
}

static uint64_t run_pio(uint64_t count)
{
	uint32_t value = 0;

	__asm__ volatile("1:	out %%al, %%dx\n"
			 "	inc %%eax\n"
			 "	dec %1\n"
			 "	jnz 1b\n"
			 : "+a"(value), "+r"(count)
			 : "d"(UART_SCRATCH)
			 : "cc");
	return port_in8(UART_SCRATCH);
}

/* Two roots with the same mappings; a page is read after each switch. */
static uint64_t run_cr3(uint64_t count)
{
	uint64_t root, sum = 0;
	const volatile uint64_t *table;

	__asm__ volatile("mov %%cr3, %0" : "=r"(root));
	table = (const volatile uint64_t *)(root & ~0xffful);
	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		second_pml4[i] = table[i];
	__asm__ volatile("1:	mov %2, %%cr3\n"
			 "	add (%2), %0\n"
			 "	mov %3, %%cr3\n"
			 "	add (%2), %0\n"
			 "	sub $2, %1\n"
			 "	ja 1b\n"
			 : "+r"(sum), "+r"(count)
			 : "r"(second_pml4), "r"(root)
			 : "cc", "memory");
	return sum != 0;
}

/* The last word of the command line says how many times shorter than usual the loops shall be. */
static uint64_t read_share(void)
{
	const uint32_t *info = (const uint32_t *)(uintptr_t)boot_information;
	uint64_t share = 0;

	if (!info || !(info[0] & MB_CMDLINE))
		return 1;
	for (const char *p = (const char *)(uintptr_t)info[MB_CMDLINE_AT]; *p; p++)
		share = *p >= '0' && *p <= '9' ? share * 10 + (uint64_t)(*p - '0') : 0;
	return share ? share : 1;
}

static void measure(const struct speed_loop *loop, uint64_t share)
{
	uint64_t start, result, count = loop->count / share;

	print_text("speed: begin ");
	print_text(loop->name);
	print_text("\n");
	start = read_tsc();
	result = loop->run(count);
	start = read_tsc() - start;
	print_text("speed: end ");
	print_text(loop->name);
	print_field("ticks", start);
	print_field("count", count);
	print_field("result", result);
	print_text("\n");
}

int main(void)
{
	static const struct speed_loop machine[] = {{"pio", run_pio, PIO_COUNT},
						    {"cr3", run_cr3, CR3_COUNT}};

	uint64_t share = read_share();

	enable_fpu();
	for (unsigned i = 0; i < speed_loop_count; i++)
		measure(&speed_loops[i], share);
	for (unsigned i = 0; i < sizeof(machine) / sizeof(machine[0]); i++)
		measure(&machine[i], share);
	print_text("speed: done\n");
	return 0;
}
