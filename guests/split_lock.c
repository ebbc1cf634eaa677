/* Two processors count in variables that lie across the end of a page, by locked operations of
 * every kind.  Nothing that anybody added may be lost. */
#include "smp.h"

#define AP_APIC_ID 1
#define ROUNDS	   20000u
#define PAGE	   4096

/* Each at its own page's end: some bytes before it, the others behind. */
static uint8_t pages[6 * PAGE] __attribute__((aligned(PAGE)));
static volatile bool is_ap_done;

static void *across(unsigned page, unsigned before)
{
	return pages + (page + 1) * PAGE - before;
}

static void add_everywhere(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t old = *(volatile uint64_t *)across(3, 4), one = 1;

		__asm__ volatile("lock incl %0"
				 : "+m"(*(uint32_t *)across(0, 1))
				 :
				 : "memory", "cc");
		__asm__ volatile("lock addw $1, %0"
				 : "+m"(*(uint16_t *)across(1, 1))
				 :
				 : "memory", "cc");
		__asm__ volatile("lock xaddq %0, %1"
				 : "+r"(one), "+m"(*(uint64_t *)across(2, 3))
				 :
				 : "memory", "cc");
		while (!__sync_bool_compare_and_swap((uint64_t *)across(3, 4), old, old + 1))
			old = *(volatile uint64_t *)across(3, 4);
	}
}

static void ap_main(void)
{
	add_everywhere();
	is_ap_done = true;
	for (;;)
		__asm__ volatile("cli; hlt");
}

static bool is_right(void)
{
	return *(uint32_t *)across(0, 1) == 2 * ROUNDS &&
	       *(uint16_t *)across(1, 1) == (uint16_t)(2 * ROUNDS) &&
	       *(uint64_t *)across(2, 3) == 2 * ROUNDS && *(uint64_t *)across(3, 4) == 2 * ROUNDS;
}

int main(void)
{
	smp_start(AP_APIC_ID, ap_main);
	add_everywhere();
	while (!is_ap_done)
		cpu_relax();
	print_text(is_right() ? "split_lock: 2 cpus, all added up\n"
			      : "split_lock: something is lost\n");
	return is_right() ? GUEST_PASS : 1;
}
