/* Where a person's text goes: monitor words and the `show` of a device print through a sink, so
 * that none of them knows whether a debugger, a terminal or a test is listening. */
#ifndef UMBRA_PRINT_H
#define UMBRA_PRINT_H

#include <stddef.h>

struct print_sink {
	void (*text)(void *ctx, const char *text, size_t len);
	void *ctx;
};

/* Format and hand over the whole text in one call; an empty text is handed over too.  Text that
 * does not fit while memory is short is cut. */
void print_to(const struct print_sink *sink, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
