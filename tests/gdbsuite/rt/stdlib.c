/* <stdlib.h>, <ctype.h>, <math.h> and <assert.h> for gdb's test programs, and the start and the end
 * of a run. Memory is handed out and never taken back. Source: C11 7.22, 7.4, 7.12. */
#include "rt.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXIT_PORT     0xf4
#define EXITS_MAX     32
#define ALIGNMENT     16u
#define ABORT_STATUS  134
#define TLS_ALIGNMENT 64 /* as link.ld has it */
#define MSR_FS_BASE   0xc0000100

void *__dso_handle;

static char *heap_next = rt_heap;
static void (*at_exit[EXITS_MAX])(void);
static int exit_count;
static unsigned int random_state = 1;

/* glibc's isprint() and its like are macros that look here; -128 to 255 are allowed. */
static unsigned short class_table[384];
static const unsigned short *class_of = class_table + 128;

/* Before each piece stands how long it is, for realloc. */
struct piece {
	size_t bytes;
	_Alignas(ALIGNMENT) char data[];
};

void *sbrk(intptr_t bytes)
{
	char *before = heap_next;

	if (bytes > RT_HEAP_END - (intptr_t)heap_next) {
		errno = ENOMEM;
		return (void *)-1;
	}
	heap_next += bytes;
	return before;
}

void *malloc(size_t bytes)
{
	struct piece *piece;

	if (bytes > RT_HEAP_END) {
		errno = ENOMEM;
		return NULL;
	}
	heap_next += -(uintptr_t)heap_next % ALIGNMENT;
	piece = sbrk((intptr_t)(sizeof(*piece) + bytes));
	if (piece == (void *)-1) {
		return NULL;
	}
	piece->bytes = bytes;
	return piece->data;
}

void free(void *data)
{
	(void)data;
}

void *calloc(size_t count, size_t bytes)
{
	size_t total;
	void *data;

	if (__builtin_mul_overflow(count, bytes, &total)) {
		return NULL;
	}
	data = malloc(total);
	return data ? memset(data, 0, total) : NULL;
}

void *realloc(void *data, size_t bytes)
{
	void *fresh = malloc(bytes);
	size_t old;

	if (data && fresh) {
		old = ((struct piece *)((char *)data - offsetof(struct piece, data)))->bytes;
		memcpy(fresh, data, old < bytes ? old : bytes);
	}
	return fresh;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	char *data = malloc(bytes + alignment);

	return data ? data + -(uintptr_t)data % alignment : NULL;
}

int atexit(void (*function)(void))
{
	if (exit_count == EXITS_MAX) {
		return -1;
	}
	at_exit[exit_count++] = function;
	return 0;
}

/* Destructors of static objects: the machine is switched off instead. */
int __cxa_atexit(void (*function)(void *), void *argument, void *object);
int __cxa_atexit(void (*function)(void *), void *argument, void *object)
{
	(void)function;
	(void)argument;
	(void)object;
	return 0;
}

void _exit(int status)
{
	for (;;) {
		rt_outb(EXIT_PORT, (uint8_t)status);
		__asm__ volatile("cli; hlt");
	}
}

void exit(int status)
{
	while (exit_count) {
		at_exit[--exit_count]();
	}
	_exit(status);
}

void abort(void)
{
	puts("abort");
	_exit(ABORT_STATUS);
}

void __assert_fail(const char *text, const char *file, unsigned int line, const char *function)
{
	printf("%s:%u: %s: assertion failed: %s\n", file, line, function, text);
	abort();
}

char *getenv(const char *name)
{
	(void)name;
	return NULL;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (isalpha((unsigned char)c)) {
		return tolower((unsigned char)c) - 'a' + 10;
	}
	return INT_MAX;
}

unsigned long strtoul(const char *restrict text, char **restrict out_end, int base)
{
	unsigned long value = 0;
	bool is_negative;

	while (isspace((unsigned char)*text)) {
		text++;
	}
	is_negative = *text == '-';
	text += *text == '-' || *text == '+';
	if ((base == 0 || base == 16) && text[0] == '0' && tolower((unsigned char)text[1]) == 'x') {
		text += 2;
		base = 16;
	} else if (base == 0) {
		base = *text == '0' ? 8 : 10;
	}
	for (; digit_of(*text) < base; text++) {
		value = value * (unsigned long)base + (unsigned long)digit_of(*text);
	}
	if (out_end) {
		*out_end = (char *)text;
	}
	return is_negative ? -value : value;
}

long strtol(const char *restrict text, char **restrict out_end, int base)
{
	return (long)strtoul(text, out_end, base);
}

int atoi(const char *text)
{
	return (int)strtol(text, NULL, 10);
}

long atol(const char *text)
{
	return strtol(text, NULL, 10);
}

int abs(int value)
{
	return value < 0 ? -value : value;
}

int rand(void)
{
	random_state = random_state * 1103515245u + 12345u;
	return (int)(random_state >> 16 & 0x7fff);
}

void srand(unsigned int seed)
{
	random_state = seed;
}

double fabs(double value)
{
	return value < 0 ? -value : value;
}

double sqrt(double value)
{
	__asm__("sqrtsd %0, %0" : "+x"(value));
	return value;
}

int toupper(int c)
{
	return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c;
}

int tolower(int c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

const unsigned short **__ctype_b_loc(void)
{
	return &class_of;
}

static unsigned short class_bits(int c)
{
	bool is_lower = c >= 'a' && c <= 'z', is_upper = c >= 'A' && c <= 'Z';
	bool is_digit = c >= '0' && c <= '9', is_alpha = is_lower || is_upper;
	int hex = tolower(c);

	return (unsigned short)((is_lower ? _ISlower : 0) | (is_upper ? _ISupper : 0) |
				(is_alpha ? _ISalpha : 0) | (is_digit ? _ISdigit : 0) |
				(is_alpha || is_digit ? _ISalnum : 0) |
				(is_digit || (hex >= 'a' && hex <= 'f') ? _ISxdigit : 0) |
				(c == ' ' || (c >= '\t' && c <= '\r') ? _ISspace : 0) |
				(c == ' ' || c == '\t' ? _ISblank : 0) |
				(c >= ' ' && c <= '~' ? _ISprint : 0) |
				(c > ' ' && c <= '~' ? _ISgraph : 0) |
				(c > ' ' && c <= '~' && !is_alpha && !is_digit ? _ISpunct : 0) |
				(c < ' ' || c == 127 ? _IScntrl : 0));
}

/* AMD64 ABI 3.4.6: FS has the address behind the thread's variables, where that address stands. */
static void set_thread(void)
{
	size_t bytes = (size_t)rt_tls_bytes;
	void **self;
	char *data = aligned_alloc(TLS_ALIGNMENT, bytes + TLS_ALIGNMENT);

	memset(data, 0, bytes);
	memcpy(data, rt_tls, (size_t)rt_tls_data_bytes);
	self = (void **)(data + bytes);
	*self = self;
	__asm__ volatile("wrmsr" ::"c"(MSR_FS_BASE), "a"((uint32_t)(uintptr_t)self), "d"(0));
}

void rt_init(void)
{
	void (**constructor)(void);
	int c;

	set_thread();
	rt_uart_init();
	for (c = 0; c < 128; c++) {
		class_table[128 + c] = class_bits(c);
	}
	for (constructor = rt_init_array; constructor < rt_init_array_end; constructor++) {
		(*constructor)();
	}
}
