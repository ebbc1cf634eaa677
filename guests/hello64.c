/* A program to be debugged: functions with arguments and locals, a structure, an array, a
 * recursion, and a loop that is one source line. */
#include "guest.h"

struct shape {
	const char *name;
	int width, height;
	int area; /* 0 until measured */
};

int exit_status = GUEST_PASS; /* a debugger may write another one */
int measured_count;
struct shape shapes[] = {{"square", 4, 4, 0}, {"plank", 12, 2, 0}, {"sheet", 5, 7, 0}};
const int weights[8] = {1, 2, 3, 4, 5, 6, 7, 8};

static int shape_measure(struct shape *shape)
{
	int area = shape->width * shape->height;

	shape->area = area;
	measured_count++;
	return area;
}

static int shapes_measure(void)
{
	int total = 0;
	unsigned i;

	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		total += shape_measure(&shapes[i]);
	return total;
}

static uint64_t factorial(unsigned n)
{
	if (n <= 1)
		return 1;
	return n * factorial(n - 1);
}

static int weigh(void)
{
	int sum = 0;
	int i = 0;

	/* Fifty rounds in one line, which a debugger's `next` takes as one. */
	for (i = 0; i < 50; sum += weights[i++ & 7])
		;
	return sum;
}

static void report(const char *what, uint64_t value)
{
	print_text("hello64: ");
	print_text(what);
	print_char(' ');
	print_dec(value);
	print_char('\n');
}

int main(void)
{
	int total, weight;

	print_text("hello64: hello from 64-bit mode\n");
	total = shapes_measure();
	report("total area", (uint64_t)total);
	weight = weigh();
	report("weight", (uint64_t)weight);
	report("6! is", factorial(6));
	return exit_status;
}
