/* Page tables where no RAM is. */
#include "bad.h"

int main(void)
{
	print_text("bad: CR3 in a hole\n");
	bad_set_cr3(BAD_HOLE);
	return GUEST_FAIL;
}
