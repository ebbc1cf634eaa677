/* What the tables in guest memory say of the machine: numbers that pc.c decides on, for the
 * encoders of this folder, which know formats only. */
#ifndef VM_FACTS_H
#define VM_FACTS_H

#include "umbra/types.h"

#define FACTS_PORT_RANGES 2
#define FACTS_NO_IRQ	  0xff

/* A device of the ISA kind. */
struct isa_facts {
	const char *name; /* of four letters, for the ACPI namespace */
	const char *hid;  /* its kind: "PNP0501" */
	unsigned uid;	  /* among those of its kind */
	uint8_t irq;	  /* or FACTS_NO_IRQ */
	struct {
		uint16_t base;
		uint8_t len; /* 0: there is none */
	} port[FACTS_PORT_RANGES];
};

struct pc_facts {
	unsigned cpus; /* their APIC ids are 0 and on; 0 starts the others */
	uint32_t lapic, ioapic;
	uint8_t ioapic_id;
	uint8_t pin_of_irq0; /* the other ISA irqs have the pin of their number */
	uint16_t pm_base;    /* struct acpipm_config's */
	uint8_t sci;
	uint16_t reset_port;
	uint8_t reset_value;
	uint8_t century; /* CMOS index */
	uint16_t crtc;	 /* port */
	const struct isa_facts *device;
	unsigned device_count;
};

#endif
