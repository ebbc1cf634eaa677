/* `monitor info irq`: the interrupt lines of the machine, as pc.c wires them and as they stand.
 * Source: 8259A data sheet (IMR, IRR, ISR); 82093AA data sheet 3.2.4 (redirection entries). */
#include "vm_internal.h"

#include <stdio.h>

#define GSI_COUNT 24u

#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_RIRR    (1ull << 14)
#define ENTRY_LEVEL   (1ull << 15)
#define ENTRY_MASKED  (1ull << 16)

/* "0x21 requested": what the 8259A pair makes of the line. */
static void pic_text(const struct accel_irq *irq, char *text, size_t size)
{
	if (!irq->has_pic)
		snprintf(text, size, "-");
	else
		snprintf(text, size, "0x%02x%s%s%s", irq->vector,
			 irq->is_masked ? " masked" : " open", irq->is_requested ? " irr" : "",
			 irq->is_in_service ? " isr" : "");
}

/* "pin 1: 0x31 fixed to 0 edge": what the IO APIC makes of it. */
static void pin_text(const struct accel_irq *irq, char *text, size_t size)
{
	static const char *const delivery[8] = {"fixed", "lowest", "smi",  "reserved",
						"nmi",	 "init",   "none", "extint"};
	uint64_t entry = irq->redirection;

	if (!irq->has_pin)
		snprintf(text, size, "-");
	else if (entry & ENTRY_MASKED)
		snprintf(text, size, "pin %u: masked", irq->pin);
	else
		snprintf(text, size, "pin %u: 0x%02x %s to %s%u %s%s", irq->pin, (uint8_t)entry,
			 delivery[entry >> 8 & 7], entry & ENTRY_LOGICAL ? "set " : "",
			 (unsigned)(entry >> 56), entry & ENTRY_LEVEL ? "level" : "edge",
			 entry & ENTRY_RIRR ? " rirr" : "");
}

int vm_show_irqs(struct vm *vm, const struct print_sink *sink)
{
	print_to(sink, "line  now   8259A             IO APIC                        raised by\n");
	for (unsigned gsi = 0; gsi < GSI_COUNT; gsi++) {
		const char *user = pc_line_user(vm, gsi);
		struct accel_irq irq;
		char pic[32], pin[64];
		int error = vm->accel->irq_get(vm->accel_vm, gsi, &irq);

		if (error)
			return error;
		pic_text(&irq, pic, sizeof(pic));
		pin_text(&irq, pin, sizeof(pin));
		print_to(sink, "  %2u  %-4s  %-16s  %-29s  %s\n", gsi, irq.is_high ? "high" : "low",
			 pic, pin, user ? user : "nobody");
	}
	return 0;
}
