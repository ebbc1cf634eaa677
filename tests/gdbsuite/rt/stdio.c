/* <stdio.h> for gdb's test programs: each stream is the first serial port, and there are no files.
 * A line ends with a bare newline, to which the host's terminal adds its carriage return.
 * Source: C11 7.21; PC16550D. */
#include "rt.h"

#include <stdio.h>
#include <string.h>

#define UART	     0x3f8
#define UART_IER     (UART + 1)
#define UART_FCR     (UART + 2)
#define UART_LCR     (UART + 3)
#define UART_MCR     (UART + 4)
#define UART_LSR     (UART + 5)
#define LSR_READY    0x01
#define LSR_EMPTY    0x20
#define FCR_CLEAR    0x07
#define LCR_8N1	     0x03
#define LCR_DLAB     0x80
#define MCR_DTR_RTS  0x03
#define DIVISOR_FAST 1

/* glibc's own type: only the addresses are of any use. */
static FILE streams[3];
FILE *stdin = &streams[0];
FILE *stdout = &streams[1];
FILE *stderr = &streams[2];

void rt_uart_init(void)
{
	rt_outb(UART_IER, 0);
	rt_outb(UART_LCR, LCR_DLAB);
	rt_outb(UART, DIVISOR_FAST);
	rt_outb(UART_IER, 0);
	rt_outb(UART_LCR, LCR_8N1);
	rt_outb(UART_FCR, FCR_CLEAR);
	rt_outb(UART_MCR, MCR_DTR_RTS);
}

void rt_uart_put(char c)
{
	while (!(rt_inb(UART_LSR) & LSR_EMPTY)) {
	}
	rt_outb(UART, (uint8_t)c);
}

char rt_uart_get(void)
{
	while (!(rt_inb(UART_LSR) & LSR_READY)) {
	}
	return (char)rt_inb(UART);
}

int putchar(int c)
{
	rt_uart_put((char)c);
	return (unsigned char)c;
}

int fputc(int c, FILE *stream)
{
	(void)stream;
	return putchar(c);
}

int putc(int c, FILE *stream)
{
	return fputc(c, stream);
}

int fputs(const char *restrict text, FILE *restrict stream)
{
	for (; *text; text++) {
		fputc(*text, stream);
	}
	return 0;
}

int puts(const char *text)
{
	fputs(text, stdout);
	return putchar('\n');
}

void perror(const char *text)
{
	puts(text);
}

size_t fwrite(const void *restrict data, size_t bytes, size_t count, FILE *restrict stream)
{
	const char *p = data;
	size_t i;

	for (i = 0; i < bytes * count; i++) {
		fputc(p[i], stream);
	}
	return count;
}

int getchar(void)
{
	char c = rt_uart_get();

	return c == '\r' ? '\n' : (unsigned char)c;
}

int fgetc(FILE *stream)
{
	(void)stream;
	return getchar();
}

int getc(FILE *stream)
{
	return fgetc(stream);
}

char *fgets(char *restrict line, int size, FILE *restrict stream)
{
	int length = 0;

	while (length + 1 < size && (!length || line[length - 1] != '\n')) {
		line[length++] = (char)fgetc(stream);
	}
	line[length] = 0;
	return line;
}

/* Nothing that gdb's programs read by a format is needed. */
int __isoc99_sscanf(const char *text, const char *format, ...);
int __isoc99_sscanf(const char *text, const char *format, ...)
{
	(void)text;
	(void)format;
	return 0;
}

int __isoc99_scanf(const char *format, ...);
int __isoc99_scanf(const char *format, ...)
{
	(void)format;
	return 0;
}

int fflush(FILE *stream)
{
	(void)stream;
	return 0;
}

int setvbuf(FILE *restrict stream, char *restrict buffer, int mode, size_t bytes)
{
	(void)stream;
	(void)buffer;
	(void)mode;
	(void)bytes;
	return 0;
}

void setbuf(FILE *restrict stream, char *restrict buffer)
{
	(void)stream;
	(void)buffer;
}

int fileno(FILE *stream)
{
	return (int)(stream - streams);
}

FILE *fopen(const char *restrict path, const char *restrict mode)
{
	(void)path;
	(void)mode;
	return NULL;
}

int fclose(FILE *stream)
{
	(void)stream;
	return 0;
}
