/* What guest programs share: port I/O, text on the first UART, and the way out.
 *
 * A guest is a freestanding 64-bit program in supervisor mode: no FPU, no SSE, no `int n`, which
 * some hosts' KVM cannot run there.  Its main() returns 0 for pass, anything else for fail. */
#ifndef GUEST_H
#define GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_PASS 0u
#define GUEST_FAIL 1u

int main(void);

/* Address of the multiboot information (Multiboot 0.6.96 3.3); 0 when the guest was entered in
 * 64-bit mode at once. */
extern const uint32_t boot_information;

static inline void port_out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t port_in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

/* Let another hardware thread go first while this one waits for memory to change. */
static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* End the guest through isa-debug-exit at port 0xf4: the machine's exit status is @status with
 * umbra's --exit=plain, and (status << 1) | 1 otherwise.  Halts for good without that device. */
void guest_exit(unsigned status) __attribute__((noreturn));

/* Text on the UART at 0x3f8, polled; a newline goes out as it is. */
void print_char(char c);
void print_text(const char *text);
void print_dec(uint64_t value);
void print_hex(uint64_t value); /* with 0x */
/* "NAME VALUE" with a space in front, for lines built of several fields. */
void print_field(const char *name, uint64_t value);

#endif
