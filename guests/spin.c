/* A busy guest that never ends by itself: it counts, and prints a dot now and then so that one can
 * see it run. */
#include "guest.h"

#define ROUNDS_PER_DOT 4096

volatile uint64_t spin_count;
volatile bool spin_is_over; /* a debugger may set it */

int main(void)
{
	print_text("spin: busy\n");
	while (!spin_is_over) {
		spin_count++;
		if (spin_count % ROUNDS_PER_DOT == 0)
			print_char('.');
	}
	return GUEST_PASS;
}
