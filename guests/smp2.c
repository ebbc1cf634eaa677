/* Two processors: the first brings up the second by INIT and SIPI; both print, then each counts in
 * a counter of its own until both have reached count_limit (which a debugger may raise). */
#include "smp.h"

#define AP_APIC_ID 1

struct counter {
	const char *name;
	volatile uint64_t count;
	volatile bool is_done;
};

struct counter bsp_counter = {"bsp", 0, false};
struct counter ap_counter = {"ap", 0, false};
volatile uint64_t count_limit = 4000;

static struct smp_lock print_lock;

static void say(const struct counter *counter, const char *text)
{
	smp_lock_take(&print_lock);
	print_text("smp2: ");
	print_text(counter->name);
	print_text(text);
	smp_lock_drop(&print_lock);
}

static void count_once(struct counter *counter)
{
	counter->count++;
}

static void count_up(struct counter *counter)
{
	say(counter, " is up\n");
	while (counter->count < count_limit)
		count_once(counter);
	say(counter, " is done\n");
	counter->is_done = true;
}

static void ap_main(void)
{
	count_up(&ap_counter);
	for (;;)
		__asm__ volatile("cli; hlt");
}

int main(void)
{
	smp_start(AP_APIC_ID, ap_main);
	count_up(&bsp_counter);
	while (!ap_counter.is_done)
		cpu_relax();
	return GUEST_PASS;
}
