/* Values of options. */
#include "values.h"

#include "umbra/nearest.h"
#include "umbra/types.h"

#include <errno.h>

#define NS_PER_SECOND 1000000000ull
#define MAX_SECONDS   1000000000ull /* 31 years; its nanoseconds fit 64 bits */

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* Read the digits at *@inout_text and move past them.  False: no digit, or too big a number. */
static bool take_digits(const char **inout_text, unsigned base, uint64_t *out_number)
{
	const char *p = *inout_text;
	uint64_t number = 0;

	while ((unsigned)digit_of(*p) < base) {
		if (__builtin_mul_overflow(number, base, &number) ||
		    __builtin_add_overflow(number, (unsigned)digit_of(*p), &number))
			return false;
		p++;
	}
	if (p == *inout_text)
		return false;
	*inout_text = p;
	*out_number = number;
	return true;
}

static bool take_number(const char **inout_text, uint64_t *out_number)
{
	const char *p = *inout_text;

	if (p[0] != '0' || (p[1] != 'x' && p[1] != 'X'))
		return take_digits(inout_text, 10, out_number);
	*inout_text += 2;
	return take_digits(inout_text, 16, out_number);
}

/* The limits are told in the base in which the number was written. */
static int out_of_range(const char *text, uint64_t min, uint64_t max, struct umbra_err *err)
{
	const bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');

	if (is_hex)
		return umbra_err_set(err, EINVAL, "%s is out of range, which is %#llx to %#llx",
				     text, (unsigned long long)min, (unsigned long long)max);
	return umbra_err_set(err, EINVAL, "%s is out of range, which is %llu to %llu", text,
			     (unsigned long long)min, (unsigned long long)max);
}

int value_number(const char *text, uint64_t min, uint64_t max, uint64_t *out_number,
		 struct umbra_err *err)
{
	const char *p = text;
	uint64_t number;

	if (!take_number(&p, &number) || *p)
		return umbra_err_set(err, EINVAL, "'%s' is not a number (123 or 0x7b)", text);
	if (number < min || number > max)
		return out_of_range(text, min, max, err);
	*out_number = number;
	return 0;
}

/* Bits to shift by for a suffix; -1 for an unknown one. */
static int shift_of_suffix(const char *suffix)
{
	if (suffix[0] && suffix[1])
		return -1;
	switch (suffix[0]) {
	case 'k':
	case 'K':
		return 10;
	case '\0':
	case 'm':
	case 'M':
		return 20;
	case 'g':
	case 'G':
		return 30;
	default:
		return -1;
	}
}

int value_size(const char *text, uint64_t min_bytes, uint64_t max_bytes, uint64_t *out_bytes,
	       struct umbra_err *err)
{
	const char *p = text;
	uint64_t number;
	int shift;

	if (!take_number(&p, &number) || (shift = shift_of_suffix(p)) < 0)
		return umbra_err_set(err, EINVAL,
				     "'%s' is not a size; write a number and K, M or G, as in 512M",
				     text);
	if (number > max_bytes >> shift || number << shift < min_bytes)
		return umbra_err_set(err, EINVAL, "%s is out of range, which is %lluM to %lluG",
				     text, (unsigned long long)min_bytes >> 20,
				     (unsigned long long)max_bytes >> 30);
	if (number << shift & (UMBRA_PAGE_SIZE - 1))
		return umbra_err_set(err, EINVAL, "%s is not a multiple of 4K", text);
	*out_bytes = number << shift;
	return 0;
}

/* Digits after the point, cut to nanoseconds. */
static bool take_fraction(const char **inout_text, uint64_t *out_ns)
{
	uint64_t weight = NS_PER_SECOND / 10;
	const char *p = *inout_text;

	*out_ns = 0;
	for (; digit_of(*p) < 10; p++) {
		*out_ns += weight * (unsigned)digit_of(*p);
		weight /= 10;
	}
	if (p == *inout_text)
		return false;
	*inout_text = p;
	return true;
}

int value_seconds(const char *text, uint64_t *out_ns, struct umbra_err *err)
{
	uint64_t seconds = 0, fraction = 0;
	const char *p = text;
	bool is_valid = *p == '.' || take_digits(&p, 10, &seconds);

	if (is_valid && *p == '.') {
		p++;
		is_valid = take_fraction(&p, &fraction);
	}
	if (!is_valid || *p)
		return umbra_err_set(err, EINVAL, "'%s' is not a time in seconds, as in 10 or 0.5",
				     text);
	if (seconds > MAX_SECONDS || seconds + fraction == 0)
		return umbra_err_set(err, EINVAL,
				     "%s is out of range; it must be above 0 and at "
				     "most %llu seconds",
				     text, MAX_SECONDS);
	*out_ns = seconds * NS_PER_SECOND + fraction;
	return 0;
}

int value_choice(const char *text, const char *const *words, size_t n, unsigned *out_index,
		 struct umbra_err *err)
{
	const char *near = nearest_word(text, words, n);
	char list[UMBRA_ERR_MAX / 4] = "";
	size_t i, len = 0;

	for (i = 0; i < n; i++) {
		if (strcmp(text, words[i]) == 0) {
			*out_index = (unsigned)i;
			return 0;
		}
	}
	for (i = 0; i < n && len + strlen(words[i]) + 3 < sizeof(list); i++) {
		if (i > 0)
			len = (size_t)(stpcpy(list + len, ", ") - list);
		len = (size_t)(stpcpy(list + len, words[i]) - list);
	}
	return umbra_err_set(err, EINVAL, "'%s' is not one of: %s%s%s%s", text, list,
			     near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

const char *value_after_key(const char *text, const char *key)
{
	size_t len = strlen(key);

	return strncmp(text, key, len) == 0 && text[len] == '=' ? text + len + 1 : NULL;
}
