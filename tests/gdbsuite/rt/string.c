/* <string.h> and <strings.h> for gdb's test programs: short, not fast. Source: C11 7.24, POSIX. */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void *memset(void *to, int byte, size_t bytes)
{
	unsigned char *p = to;

	while (bytes--) {
		*p++ = (unsigned char)byte;
	}
	return to;
}

void bzero(void *to, size_t bytes)
{
	memset(to, 0, bytes);
}

void *memmove(void *to, const void *from, size_t bytes)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	if (d < s) {
		while (bytes--) {
			*d++ = *s++;
		}
	} else {
		while (bytes--) {
			d[bytes] = s[bytes];
		}
	}
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	return memmove(to, from, bytes);
}

int memcmp(const void *one, const void *other, size_t bytes)
{
	const unsigned char *a = one, *b = other;

	for (; bytes; bytes--, a++, b++) {
		if (*a != *b) {
			return *a - *b;
		}
	}
	return 0;
}

size_t strlen(const char *text)
{
	size_t n = 0;

	while (text[n]) {
		n++;
	}
	return n;
}

int strncmp(const char *one, const char *other, size_t limit)
{
	for (; limit; limit--, one++, other++) {
		if (*one != *other || !*one) {
			return (unsigned char)*one - (unsigned char)*other;
		}
	}
	return 0;
}

int strcmp(const char *one, const char *other)
{
	return strncmp(one, other, SIZE_MAX);
}

int strcasecmp(const char *one, const char *other)
{
	while (*one && tolower((unsigned char)*one) == tolower((unsigned char)*other)) {
		one++;
		other++;
	}
	return tolower((unsigned char)*one) - tolower((unsigned char)*other);
}

char *strncpy(char *restrict to, const char *restrict from, size_t limit)
{
	size_t i = 0;

	for (; i < limit && from[i]; i++) {
		to[i] = from[i];
	}
	for (; i < limit; i++) {
		to[i] = 0;
	}
	return to;
}

char *strcpy(char *restrict to, const char *restrict from)
{
	return memcpy(to, from, strlen(from) + 1);
}

char *strcat(char *restrict to, const char *restrict from)
{
	strcpy(to + strlen(to), from);
	return to;
}

char *strdup(const char *text)
{
	char *copy = malloc(strlen(text) + 1);

	return copy ? strcpy(copy, text) : NULL;
}

char *strrchr(const char *text, int byte)
{
	const char *found = NULL;

	for (;; text++) {
		if (*text == (char)byte) {
			found = text;
		}
		if (!*text) {
			return (char *)found;
		}
	}
}

char *strchr(const char *text, int byte)
{
	for (; *text != (char)byte; text++) {
		if (!*text) {
			return NULL;
		}
	}
	return (char *)text;
}

char *index(const char *text, int byte)
{
	return strchr(text, byte);
}

char *strstr(const char *text, const char *part)
{
	size_t length = strlen(part);

	for (; strncmp(text, part, length); text++) {
		if (!*text) {
			return NULL;
		}
	}
	return (char *)text;
}
