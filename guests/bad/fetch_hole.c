/* Code where no RAM is. */
#include "bad.h"

int main(void)
{
	print_text("bad: code in a hole\n");
	((void (*)(void))BAD_HOLE)();
	return GUEST_FAIL;
}
