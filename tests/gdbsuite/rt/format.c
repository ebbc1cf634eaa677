/* The printf family for gdb's test programs: flags "-" and "0", width, precision, and the
 * conversions that those programs use. Source: C11 7.21.6.1. DEVIATES: no exponents; "%g" and "%e"
 * are like "%f" with as many digits as are needed, up to the precision. */
#include "rt.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 96 /* of one number with its precision */

/* Where the text goes: to @buffer, which holds @size bytes, or to the console when that is null. */
struct output {
	char *buffer;
	size_t size;
	size_t length;
};

/* One conversion: "%-08.3lx". */
struct conversion {
	bool is_left, is_zero_padded, is_upper;
	int width;
	int precision; /* -1 when there is none */
	int longs;     /* how many of l, z, j, t, q */
	bool is_long_double;
};

static void put(struct output *out, char c)
{
	if (!out->buffer) {
		putchar(c);
	} else if (out->length + 1 < out->size) {
		out->buffer[out->length] = c;
	}
	out->length++;
}

static void put_padded(struct output *out, const struct conversion *how, const char *text,
		       int length)
{
	int i;

	for (i = length; !how->is_left && i < how->width; i++) {
		put(out, ' ');
	}
	for (i = 0; i < length; i++) {
		put(out, text[i]);
	}
	for (i = length; how->is_left && i < how->width; i++) {
		put(out, ' ');
	}
}

static void put_number(struct output *out, const struct conversion *how, unsigned long value,
		       unsigned int base, const char *prefix)
{
	char text[DIGITS_MAX + 4];
	const char *digits = how->is_upper ? "0123456789ABCDEF" : "0123456789abcdef";
	int least = how->precision, first = (int)sizeof(text), last = first, prefixed;

	prefixed = (int)strlen(prefix);
	if (least < 0) {
		least = how->is_zero_padded && !how->is_left ? how->width - prefixed : 1;
	}
	if (least > DIGITS_MAX) {
		least = DIGITS_MAX;
	}
	for (; value || last - first < least; value /= base) {
		text[--first] = digits[value % base];
	}
	while (prefixed) {
		text[--first] = prefix[--prefixed];
	}
	put_padded(out, how, text + first, last - first);
}

static void put_signed(struct output *out, const struct conversion *how, long value)
{
	put_number(out, how, value < 0 ? -(unsigned long)value : (unsigned long)value, 10,
		   value < 0 ? "-" : "");
}

static void put_string(struct output *out, const struct conversion *how, const char *text)
{
	int length = 0;

	if (!text) {
		text = "(null)";
	}
	while (text[length] && (how->precision < 0 || length < how->precision)) {
		length++;
	}
	put_padded(out, how, text, length);
}

static void put_double(struct output *out, const struct conversion *how, long double value,
		       bool is_trimmed)
{
	int precision = how->precision < 0 ? 6 : how->precision;
	char text[DIGITS_MAX * 2];
	bool is_negative = value < 0;
	long double half = 0.5L;
	int i, length;

	if (precision > DIGITS_MAX / 2) {
		precision = DIGITS_MAX / 2;
	}
	for (i = 0; i < precision; i++) {
		half /= 10;
	}
	value = (is_negative ? -value : value) + half;
	if (value >= (long double)ULONG_MAX) {
		put_string(out, how, is_negative ? "-inf" : "inf");
		return;
	}
	length =
		snprintf(text, sizeof(text), "%s%lu", is_negative ? "-" : "", (unsigned long)value);
	value -= (long double)(unsigned long)value;
	if (precision) {
		text[length++] = '.';
	}
	for (i = 0; i < precision; i++) {
		value *= 10;
		text[length++] = (char)('0' + (int)value);
		value -= (int)value;
	}
	while (is_trimmed && precision && (text[length - 1] == '0' || text[length - 1] == '.')) {
		precision = text[--length] == '.' ? 0 : precision;
	}
	put_padded(out, how, text, length);
}

static int parse_count(const char **at, va_list *arguments)
{
	int count = 0;

	if (**at == '*') {
		(*at)++;
		return va_arg(*arguments, int);
	}
	for (; isdigit((unsigned char)**at); (*at)++) {
		count = count * 10 + **at - '0';
	}
	return count;
}

static struct conversion parse(const char **at, va_list *arguments)
{
	struct conversion how = {.precision = -1};

	for (; **at && strchr("-0#+ ", **at); (*at)++) {
		how.is_left |= **at == '-';
		how.is_zero_padded |= **at == '0';
	}
	how.width = parse_count(at, arguments);
	if (**at == '.') {
		(*at)++;
		how.precision = parse_count(at, arguments);
	}
	for (; **at && strchr("hlzjtqL", **at); (*at)++) {
		how.is_long_double |= **at == 'L';
		how.longs += **at != 'h' && **at != 'L';
	}
	how.is_upper = **at == 'X';
	return how;
}

static unsigned long next_unsigned(const struct conversion *how, va_list *arguments)
{
	return how->longs ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned int);
}

static void put_conversion(struct output *out, const struct conversion *how, char letter,
			   va_list *arguments)
{
	switch (letter) {
	case 'd':
	case 'i':
		put_signed(out, how,
			   how->longs ? va_arg(*arguments, long) : va_arg(*arguments, int));
		break;
	case 'u':
		put_number(out, how, next_unsigned(how, arguments), 10, "");
		break;
	case 'o':
		put_number(out, how, next_unsigned(how, arguments), 8, "");
		break;
	case 'x':
	case 'X':
		put_number(out, how, next_unsigned(how, arguments), 16, "");
		break;
	case 'p':
		put_number(out, how, va_arg(*arguments, unsigned long), 16, "0x");
		break;
	case 'c':
		put_padded(out, how, &(char){(char)va_arg(*arguments, int)}, 1);
		break;
	case 's':
		put_string(out, how, va_arg(*arguments, const char *));
		break;
	case 'f':
	case 'F':
	case 'e':
	case 'g':
		put_double(out, how,
			   how->is_long_double ? va_arg(*arguments, long double)
					       : va_arg(*arguments, double),
			   letter == 'g');
		break;
	default:
		put(out, letter);
	}
}

static int format(struct output *out, const char *text, va_list arguments)
{
	struct conversion how;
	va_list rest;

	va_copy(rest, arguments);
	for (; *text; text++) {
		if (*text != '%') {
			put(out, *text);
			continue;
		}
		text++;
		how = parse(&text, &rest);
		if (!*text) {
			break;
		}
		put_conversion(out, &how, *text, &rest);
	}
	va_end(rest);
	if (out->buffer && out->size) {
		out->buffer[out->length < out->size ? out->length : out->size - 1] = 0;
	}
	return (int)out->length;
}

int vprintf(const char *restrict text, va_list arguments)
{
	struct output out = {0};

	return format(&out, text, arguments);
}

int vfprintf(FILE *restrict stream, const char *restrict text, va_list arguments)
{
	(void)stream;
	return vprintf(text, arguments);
}

int vsnprintf(char *restrict buffer, size_t size, const char *restrict text, va_list arguments)
{
	struct output out = {.buffer = buffer ? buffer : &(char){0}, .size = size};

	return format(&out, text, arguments);
}

int printf(const char *restrict text, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, text);
	length = vprintf(text, arguments);
	va_end(arguments);
	return length;
}

int fprintf(FILE *restrict stream, const char *restrict text, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, text);
	length = vfprintf(stream, text, arguments);
	va_end(arguments);
	return length;
}

int sprintf(char *restrict buffer, const char *restrict text, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, text);
	length = vsnprintf(buffer, INT_MAX, text, arguments);
	va_end(arguments);
	return length;
}

int snprintf(char *restrict buffer, size_t size, const char *restrict text, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, text);
	length = vsnprintf(buffer, size, text, arguments);
	va_end(arguments);
	return length;
}
