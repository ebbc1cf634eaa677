/* Error texts: formatting into the caller's struct, nothing else.  No allocation, so that running
 * out of memory can be reported too. */
#include "umbra/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int umbra_err_set(struct umbra_err *err, int code, const char *fmt, ...)
{
	va_list args;

	if (err) {
		va_start(args, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, args);
		va_end(args);
	}
	return -code;
}

void umbra_err_prefix(struct umbra_err *err, const char *fmt, ...)
{
	char old[UMBRA_ERR_MAX];
	va_list args;
	size_t used;

	if (!err)
		return;
	memcpy(old, err->text, sizeof(old));
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof(err->text) - used, ": %s", old);
}
