/* Serial output as fast as it can be written, FLOOD_KIB kibibytes of it. */
#include "bad.h"

#ifndef FLOOD_KIB
#define FLOOD_KIB 256ull
#endif

static const char line[1024] = {[0 ... 1022] = '.', [1023] = '\n'};

int main(void)
{
	for (uint64_t i = 0; i < FLOOD_KIB; i++) {
		const char *from = line;
		uint64_t count = sizeof(line);

		__asm__ volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0x3f8) : "memory");
	}
	return BAD_SURVIVED;
}
