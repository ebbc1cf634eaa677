/* Values of options: numbers, sizes, times and choices.  Errors: -EINVAL; the text says what was
 * expected, and its caller puts the option in front. */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include "umbra/err.h"

#include <stddef.h>
#include <stdint.h>

/* Decimal, or hexadecimal after 0x, from @min to @max. */
int value_number(const char *text, uint64_t min, uint64_t max, uint64_t *out_number,
		 struct umbra_err *err);
/* A number of bytes with suffix K, M or G (M when there is none), a multiple of 4 KiB. */
int value_size(const char *text, uint64_t min_bytes, uint64_t max_bytes, uint64_t *out_bytes,
	       struct umbra_err *err);
/* Seconds with an optional decimal fraction, more than 0. */
int value_seconds(const char *text, uint64_t *out_ns, struct umbra_err *err);
/* One of @words; @out_index says which. */
int value_choice(const char *text, const char *const *words, size_t n, unsigned *out_index,
		 struct umbra_err *err);
/* The text after "@key=" at the start of @text, or NULL when it starts otherwise. */
const char *value_after_key(const char *text, const char *key);

#endif
