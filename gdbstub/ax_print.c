/* The printf of agent expressions: a format as C source has it, escapes and all, and 64-bit values.
 *
 * Conversions: d i u x X o c s p and %%, with flags, width, precision and lengths.  %s takes an
 * address in the target.  Floating point has no conversion here, as it has no opcode.
 * Source: Debugging with GDB, F.2 Bytecode Descriptions (printf). */
#include "ax.h"

#include <stdio.h>
#include <string.h>

#define STRING_MAX  4096u /* bytes that one %s prints */
#define NUMBER_MAX  96u
#define FIELD_MAX   80 /* widths and precisions beyond are cut to it */
#define STRING_STEP 64u

struct spec {
	bool is_left, has_plus, has_space, has_hash, has_zero, has_precision;
	int width, precision;
	unsigned bytes; /* of the value: 1, 2, 4 or 8 */
	char conversion;
};

static int take_field(const char **at)
{
	int value = 0;

	while (**at >= '0' && **at <= '9') {
		if (value < FIELD_MAX)
			value = value * 10 + (**at - '0');
		(*at)++;
	}
	return value < FIELD_MAX ? value : FIELD_MAX;
}

static void take_flags(const char **at, struct spec *spec)
{
	for (;; (*at)++) {
		switch (**at) {
		case '-':
			spec->is_left = true;
			break;
		case '+':
			spec->has_plus = true;
			break;
		case ' ':
			spec->has_space = true;
			break;
		case '#':
			spec->has_hash = true;
			break;
		case '0':
			spec->has_zero = true;
			break;
		default:
			return;
		}
	}
}

/* Lengths of the target's C: int is 4 bytes, long, size_t and the others 8. */
static void take_length(const char **at, struct spec *spec)
{
	spec->bytes = 4;
	if (**at == 'h') {
		(*at)++;
		spec->bytes = 2;
		if (**at == 'h') {
			(*at)++;
			spec->bytes = 1;
		}
		return;
	}
	while (**at && strchr("lzjt", **at)) {
		spec->bytes = 8;
		(*at)++;
	}
}

/* What stands behind a '%'; false for what is no conversion. */
static bool take_spec(const char **at, struct spec *spec)
{
	*spec = (struct spec){.width = 0};
	take_flags(at, spec);
	spec->width = take_field(at);
	if (**at == '.') {
		(*at)++;
		spec->has_precision = true;
		spec->precision = take_field(at);
	}
	take_length(at, spec);
	if (!**at || !strchr("diuxXocsp%", **at))
		return false;
	spec->conversion = *(*at)++;
	if (spec->conversion == 'p')
		spec->bytes = 8;
	return true;
}

int ax_format_check(const char *format)
{
	struct spec spec;
	int count = 0;

	while (*format) {
		if (*format == '\\' && format[1]) {
			format += 2;
			continue;
		}
		if (*format++ != '%')
			continue;
		if (!take_spec(&format, &spec))
			return -1;
		count += spec.conversion != '%';
	}
	return count;
}

static void put(const struct rsp_ax_env *env, const char *text, size_t len)
{
	if (len)
		env->print(env->ctx, text, len);
}

static void put_fill(const struct rsp_ax_env *env, char fill, int count)
{
	while (count-- > 0)
		put(env, &fill, 1);
}

/* @body, between blanks up to the width. */
static void put_field(const struct rsp_ax_env *env, const struct spec *spec, const char *body,
		      int len)
{
	if (!spec->is_left)
		put_fill(env, ' ', spec->width - len);
	put(env, body, (size_t)len);
	if (spec->is_left)
		put_fill(env, ' ', spec->width - len);
}

static uint64_t cut_value(const struct spec *spec, uint64_t value)
{
	unsigned shift = 64 - 8 * spec->bytes;

	if (spec->conversion == 'd' || spec->conversion == 'i')
		return (uint64_t)((int64_t)(value << shift) >> shift);
	return value << shift >> shift;
}

/* Digits of @value in front of @end; returns their start. */
static char *digits_before(char *end, uint64_t value, const struct spec *spec)
{
	const char *letters = spec->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	unsigned base = 10;

	if (spec->conversion == 'x' || spec->conversion == 'X' || spec->conversion == 'p')
		base = 16;
	else if (spec->conversion == 'o')
		base = 8;
	for (; value; value /= base)
		*--end = letters[value % base];
	return end;
}

static const char *prefix_of(const struct spec *spec, uint64_t value, bool is_negative)
{
	bool is_signed = spec->conversion == 'd' || spec->conversion == 'i';

	if (spec->conversion == 'p')
		return "0x";
	if (spec->has_hash && value && spec->conversion == 'x')
		return "0x";
	if (spec->has_hash && value && spec->conversion == 'X')
		return "0X";
	if (spec->has_hash && value && spec->conversion == 'o')
		return "0";
	if (!is_signed)
		return "";
	return is_negative ? "-" : spec->has_plus ? "+" : spec->has_space ? " " : "";
}

static void put_number(const struct rsp_ax_env *env, const struct spec *spec, uint64_t value)
{
	char room[NUMBER_MAX + FIELD_MAX];
	char *end = room + sizeof(room);
	bool is_signed = spec->conversion == 'd' || spec->conversion == 'i';
	bool is_negative;
	const char *prefix;
	int least = spec->has_precision ? spec->precision : 1;
	char *start;

	value = cut_value(spec, value);
	is_negative = is_signed && value >> 63;
	prefix = prefix_of(spec, value, is_negative);
	start = digits_before(end, is_negative ? 0 - value : value, spec);
	if (spec->has_zero && !spec->is_left && !spec->has_precision)
		least = spec->width - (int)strlen(prefix);
	if (!spec->has_precision && least < 1)
		least = 1;
	while (end - start < least)
		*--start = '0';
	for (size_t i = strlen(prefix); i > 0; i--)
		*--start = prefix[i - 1];
	put_field(env, spec, start, (int)(end - start));
}

/* A string of the target's, up to its NUL or the first byte that cannot be read. */
static void put_string(const struct rsp_ax_env *env, const struct spec *spec, uint64_t addr)
{
	size_t limit = spec->has_precision ? (size_t)spec->precision : STRING_MAX;
	char text[STRING_MAX];
	size_t len = 0;

	while (len < limit) {
		size_t want = limit - len < STRING_STEP ? limit - len : STRING_STEP;
		size_t got = env->mem_read(env->ctx, addr + len, (uint8_t *)text + len, want);
		size_t before_nul = strnlen(text + len, got);

		len += before_nul;
		if (before_nul < got || got < want)
			break;
	}
	put_field(env, spec, text, (int)len);
}

static void put_spec(const struct rsp_ax_env *env, const struct spec *spec, uint64_t value)
{
	char byte = (char)value;

	switch (spec->conversion) {
	case 's':
		put_string(env, spec, value);
		break;
	case 'c':
		put_field(env, spec, &byte, 1);
		break;
	default:
		put_number(env, spec, value);
		break;
	}
}

static unsigned take_octal(const char **at)
{
	unsigned value = 0;

	for (int i = 0; i < 3 && **at >= '0' && **at <= '7'; i++)
		value = value * 8 + (unsigned)(*(*at)++ - '0');
	return value;
}

/* What stands behind a backslash, as one byte. */
static char take_escape(const char **at)
{
	static const char from[] = "abefnrtv";
	static const char to[] = "\a\b\033\f\n\r\t\v";
	const char *known;
	char letter;

	if (**at >= '0' && **at <= '7')
		return (char)take_octal(at);
	letter = *(*at)++;
	known = strchr(from, letter);
	if (known)
		letter = to[known - from];
	return letter;
}

void ax_format_print(const struct rsp_ax_env *env, const struct ax_printf *what)
{
	const char *at = what->format;
	unsigned next = 0;
	struct spec spec;

	while (*at) {
		size_t plain = strcspn(at, "\\%");
		char byte;

		put(env, at, plain);
		at += plain;
		if (*at == '\\' && at[1]) {
			at++;
			byte = take_escape(&at);
			put(env, &byte, 1);
		} else if (*at == '%') {
			at++;
			if (!take_spec(&at, &spec))
				return;
			if (spec.conversion == '%')
				put(env, "%", 1);
			else if (next < what->count)
				put_spec(env, &spec, what->arg[next++]);
		} else if (*at) {
			at++; /* a backslash that nothing follows */
		}
	}
}
