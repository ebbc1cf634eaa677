/* Reads and writes of every width at every port, but for writes to those that end or restart the
 * machine, or copy memory. */
#include "bad.h"

#define PATTERN	    0xa5a5a5a5u
#define PORTS	    0x10000u
#define KNOWN_PORTS 0x1000u
#define SLOW_STRIDE 61u
#define UART_LCR    0x3fb
#define UART_8BITS  0x03
#define UART_FCR    0x3fa
#define UART_MCR    0x3fc

struct range {
	uint16_t first, last;
};

/* Keyboard controller, system control port, debug exit, fw_cfg's DMA, ACPI's control register,
 * reset.
 */
static const struct range untouched[] = {{0x64, 0x64},	 {0x92, 0x92},	 {0xf4, 0xf7},
					 {0x514, 0x51b}, {0x604, 0x605}, {0xcf8, 0xcfb}};

static bool may_write(unsigned port, unsigned width)
{
	for (unsigned i = 0; i < sizeof(untouched) / sizeof(untouched[0]); i++) {
		if (port <= untouched[i].last && port + width > untouched[i].first)
			return false;
	}
	return true;
}

static void touch(uint16_t port, unsigned width, bool is_write)
{
	uint32_t value = PATTERN;

	if (width == 1 && is_write)
		__asm__ volatile("outb %b0, %1" : : "a"(value), "d"(port));
	else if (width == 2 && is_write)
		__asm__ volatile("outw %w0, %1" : : "a"(value), "d"(port));
	else if (is_write)
		__asm__ volatile("outl %0, %1" : : "a"(value), "d"(port));
	else if (width == 1)
		__asm__ volatile("inb %1, %b0" : "=a"(value) : "d"(port));
	else if (width == 2)
		__asm__ volatile("inw %1, %w0" : "=a"(value) : "d"(port));
	else
		__asm__ volatile("inl %1, %0" : "=a"(value) : "d"(port));
}

/* Where each access leaves the guest, ports beyond all devices are not touched one by one. */
static bool is_kvm(void)
{
	uint32_t leaf = 0x40000000, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(leaf), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx == 0x4b4d564b; /* "KVMK" (KVM, Documentation/virt/kvm/x86/cpuid.rst) */
}

int main(void)
{
	unsigned stride = is_kvm() ? SLOW_STRIDE : 1;

	for (unsigned width = 1; width <= 4; width *= 2) {
		for (unsigned port = 0; port < PORTS; port += port < KNOWN_PORTS ? 1 : stride) {
			touch((uint16_t)port, width, false);
			if (port >= KNOWN_PORTS || may_write(port, width))
				touch((uint16_t)port, width, true);
		}
	}
	port_out8(UART_LCR, UART_8BITS);
	port_out8(UART_FCR, 0);
	port_out8(UART_MCR, 0);
	print_text("\nbad: all ports touched\n");
	return BAD_SURVIVED;
}
