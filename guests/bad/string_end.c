/* String instructions across the end of RAM, both ways, and from a port that nobody has. */
#include "bad.h"

#define RAM_END	    0x1000000ul /* as guests.cfg says */
#define COUNT	    4096ul
#define NOBODY_PORT 0x0d00u

static void in_words(uint64_t to, uint64_t count, uint16_t port)
{
	__asm__ volatile("rep insw" : "+D"(to), "+c"(count) : "d"(port) : "memory");
}

static void out_words(uint64_t from, uint64_t count, uint16_t port)
{
	__asm__ volatile("rep outsw" : "+S"(from), "+c"(count) : "d"(port) : "memory");
}

static void move(uint64_t to, uint64_t from, uint64_t count)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static void fill(uint64_t to, uint64_t count)
{
	uint64_t value = 0x1122334455667788;

	__asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(value) : "memory");
}

int main(void)
{
	uint64_t from = RAM_END - COUNT + 1;

	fill(from, COUNT / 4);
	in_words(from, COUNT, NOBODY_PORT);
	out_words(from, COUNT, NOBODY_PORT);
	move(from, from - COUNT, 2 * COUNT);
	move(from - 2 * COUNT, from, 2 * COUNT);
	print_text("bad: beyond the end of RAM\n");
	return *(volatile uint8_t *)(RAM_END + 1) == 0xff ? BAD_SURVIVED : GUEST_FAIL;
}
