/* Formatted text into a print sink. */
#include "umbra/print.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINT_STACK_BYTES 512 /* most lines fit; longer ones are formatted on the heap */

void print_to(const struct print_sink *sink, const char *fmt, ...)
{
	char small[PRINT_STACK_BYTES];
	char *large;
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(small, sizeof(small), fmt, args);
	va_end(args);
	if (len < 0)
		return;
	if ((size_t)len < sizeof(small)) {
		sink->text(sink->ctx, small, (size_t)len);
		return;
	}
	large = malloc((size_t)len + 1);
	if (!large) {
		sink->text(sink->ctx, small, strlen(small));
		return;
	}
	va_start(args, fmt);
	vsnprintf(large, (size_t)len + 1, fmt, args);
	va_end(args);
	sink->text(sink->ctx, large, (size_t)len);
	free(large);
}
