/* What the files of the runtime promise each other; everything else is the C library's. */
#ifndef TESTS_GDBSUITE_RT_H
#define TESTS_GDBSUITE_RT_H

#include <stdint.h>

/* Start of the memory behind the program, malloc's up to RT_HEAP_END.  Then come 2 MiB in pages of
 * 4 KiB, mmap's, and their page table.  A program may be larger than that: it has no memory to get.
 */
extern char rt_heap[];
#define RT_HEAP_END   0x3e00000
#define RT_MMAP_END   0x4000000
#define RT_PAGE_BYTES 0x1000u
extern uint64_t rt_mmap_table[];

/* The constructors of C++ and of __attribute__((constructor)). */
extern void (*rt_init_array[])(void);
extern void (*rt_init_array_end[])(void);

/* The variables of the thread, which lie before the address that FS has: how they begin, how many
 * bytes of that are in the program, and how many there are with those that begin as 0. */
extern char rt_tls[];
extern char rt_tls_data_bytes[], rt_tls_bytes[];

/* What start.S calls before main(). */
void rt_init(void);

/* The first serial port's line settings; one byte out; one byte in, waited for. */
void rt_uart_init(void);
void rt_uart_put(char c);
char rt_uart_get(void);

static inline void rt_outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

static inline uint8_t rt_inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

#endif
