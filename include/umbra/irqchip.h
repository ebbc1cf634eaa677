/* The interrupt chips of a PC, for a back end that has none of its own: the 8259A pair, the 8254
 * timer, the IO APIC (82093AA) and local APICs.  Each is a state machine: no lock, thread or clock.
 * The owner holds its own lock around every call, gives the time as an argument, and is told of
 * outputs through function pointers, which are called inside the call that causes them.
 *
 * The *_ops have the chip as their state and a NULL destroy; where a chip needs the time, the owner
 * brings it to the present first (pit8254_run).  Port and address numbers are the owner's. */
#ifndef UMBRA_IRQCHIP_H
#define UMBRA_IRQCHIP_H

#include "umbra/bus.h"
#include "umbra/dev.h"
#include "umbra/err.h"
#include "umbra/types.h"

#define IRQCHIP_NEVER UINT64_MAX /* a time that does not come */

/* 8259A pair (8259A data sheet; ELCR: PIIX3 data sheet). */

struct pic8259;

/* What the pair calls its addresses: ports 0x20, 0xa0 and 0x4d0, two from each. */
enum { PIC8259_MASTER = 0, PIC8259_SLAVE = 2, PIC8259_ELCR = 4 };

extern const struct dev_ops pic8259_ops;

/* A pair as at power-up.  @intr is the master's INTR output; its gsi is passed back unused.
 * Errors: -ENOMEM. */
int pic8259_create(struct pic8259 **out_pic, struct irq_line intr, struct umbra_err *err);
void pic8259_destroy(struct pic8259 *pic); /* NULL is allowed */
/* Line @irq 0..15 is now @is_high; 2 is the cascade and ignored. */
void pic8259_set(struct pic8259 *pic, unsigned irq, bool is_high);
/* How input @irq 0..15 stands. */
struct pic8259_line {
	bool is_high, is_masked, is_requested, is_in_service;
	uint8_t vector;
};
struct pic8259_line pic8259_line(const struct pic8259 *pic, unsigned irq);
/* The two INTA cycles: the vector; that of a spurious IRQ 7 or 15 when the request went away.  INTR
 * falls during them and rises again for another request. */
uint8_t pic8259_acknowledge(struct pic8259 *pic);

/* 8254 timer (8254 data sheet), 1193182 Hz, with port 0x61. */

struct pit8254;

/* What the timer calls its addresses: ports 0x40 to 0x43, and 0x61. */
enum { PIT8254_COUNTER0 = 0, PIT8254_CONTROL = 3, PIT8254_PORT61 = 4 };

extern const struct dev_ops pit8254_ops;

/* A timer with no counter programmed.  @irq follows the output of counter 0.
 * Errors: -ENOMEM. */
int pit8254_create(struct pit8254 **out_pit, struct irq_line irq, struct umbra_err *err);
void pit8254_destroy(struct pit8254 *pit); /* NULL is allowed */
/* It is @now_ns: @irq changes as counter 0 has.  Of more than three changes since the last call at
 * least one rise is shown.  A time before the last one changes nothing. */
void pit8254_run(struct pit8254 *pit, uint64_t now_ns);
/* When counter 0's output changes next, or IRQCHIP_NEVER. */
uint64_t pit8254_next_edge(const struct pit8254 *pit);

/* Messages between APICs (SDM 3A 11.5.1, 11.6). */

enum apic_delivery {
	APIC_FIXED = 0,
	APIC_LOWEST = 1,
	APIC_SMI = 2,
	APIC_NMI = 4,
	APIC_INIT = 5,
	APIC_SIPI = 6,
	APIC_EXTINT = 7
};

enum apic_shorthand { APIC_TO_DEST, APIC_TO_SELF, APIC_TO_ALL, APIC_TO_OTHERS };

struct apic_message {
	uint32_t dest;
	uint8_t vector;
	uint8_t delivery; /* enum apic_delivery, or the reserved 3 */
	bool is_logical;
	bool is_level; /* level-triggered: its EOI is broadcast */
	bool is_wide;  /* dest has 32 bits (x2APIC), not 8 */
	enum apic_shorthand shorthand;
};

/* IO APIC (82093AA data sheet). */

#define IOAPIC_PINS 24u

struct ioapic;

/* Hands a message to the local APICs; true when one accepted it. */
typedef bool (*ioapic_send_fn)(void *ctx, const struct apic_message *message);

/* Offsets are those from 0xfec00000. */
extern const struct dev_ops ioapic_ops;

/* All pins masked.  Errors: -ENOMEM. */
int ioapic_create(struct ioapic **out_ioapic, ioapic_send_fn send, void *ctx,
		  struct umbra_err *err);
void ioapic_destroy(struct ioapic *ioapic); /* NULL is allowed */
/* The line at @pin 0..23 is now @is_high, which means asserted whatever the pin's polarity. */
void ioapic_set(struct ioapic *ioapic, unsigned pin, bool is_high);
/* The line at @pin 0..23, as it was set. */
bool ioapic_line(const struct ioapic *ioapic, unsigned pin);
/* The redirection entry of @pin 0..23 (82093AA 3.2.4). */
uint64_t ioapic_entry(const struct ioapic *ioapic, unsigned pin);
/* A local APIC ended a level-triggered interrupt. */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
/* True when a pin is set up to send NMI or INIT: what a CPU with IF=0 wakes for.  An SMI is for
 * owners that have system management mode, and lets a halted CPU go on halting (SDM 3C, auto HALT
 * restart). */
bool ioapic_has_open_nmi(const struct ioapic *ioapic);

/* Local APIC (SDM 3A chapter 11). */

struct lapic;

/* IA32_APIC_BASE besides the address (SDM 3A figure 11-5, 11-26). */
#define LAPIC_BASE_BSP	(1ull << 8)
#define LAPIC_BASE_EXTD (1ull << 10) /* x2APIC mode */
#define LAPIC_BASE_EN	(1ull << 11)

/* The present.  The timer counts @ns at 1 GHz through its divider; @tsc is what RDTSC gives. */
struct lapic_time {
	uint64_t ns, tsc;
};

struct lapic_hooks {
	void *ctx;
	/* ICR was written by APIC @id; the receiver may be itself. */
	void (*send)(void *ctx, unsigned id, const struct apic_message *message);
	/* EOI of a level-triggered interrupt: to the IO APICs. */
	void (*eoi)(void *ctx, uint8_t vector);
	/* NMI, SMI, INIT or SIPI (with @vector) for the processor of APIC @id. */
	void (*signal)(void *ctx, unsigned id, enum apic_delivery delivery, uint8_t vector);
	/* lapic_pending, lapic_has_extint or a deadline of APIC @id may have changed. */
	void (*changed)(void *ctx, unsigned id);
};

/* A table of what bus_add_device wants: reset, save, load and show; there is no read or write. */
extern const struct dev_ops lapic_ops;

/* APIC @id 0..254 as at power-up; number 0 is the bootstrap processor's.  Errors: -ENOMEM. */
int lapic_create(struct lapic **out_lapic, unsigned id, const struct lapic_hooks *hooks,
		 struct umbra_err *err);
void lapic_destroy(struct lapic *lapic); /* NULL is allowed */

/* IA32_APIC_BASE (SDM 3A 11.4.4, 11.12.1).  False, and nothing changed: #GP. */
uint64_t lapic_base(const struct lapic *lapic);
bool lapic_set_base(struct lapic *lapic, uint64_t base, unsigned phys_bits);

/* Registers by MMIO (xAPIC mode): @offset 0..0xff0, a multiple of 16. */
uint32_t lapic_read(struct lapic *lapic, unsigned offset, struct lapic_time now);
void lapic_write(struct lapic *lapic, unsigned offset, uint32_t value, struct lapic_time now);
/* By MSR: 0x800 to 0x8ff (x2APIC mode), and IA32_TSC_DEADLINE.  False: #GP. */
bool lapic_rdmsr(struct lapic *lapic, uint32_t index, uint64_t *out_value, struct lapic_time now);
bool lapic_wrmsr(struct lapic *lapic, uint32_t index, uint64_t value, struct lapic_time now);
/* CR8: bits 7:4 of the task priority. */
uint64_t lapic_cr8(const struct lapic *lapic);
void lapic_set_cr8(struct lapic *lapic, uint64_t cr8);

/* True when @message's destination (not its shorthand) names this APIC. */
bool lapic_is_target(const struct lapic *lapic, const struct apic_message *message);
/* Priority in the arbitration of lowest-priority messages: the lowest wins.  Above 255: takes no
 * part. */
unsigned lapic_arbitration(const struct lapic *lapic);
/* Take a message.  False: this APIC accepts none of its kind now. */
bool lapic_accept(struct lapic *lapic, const struct apic_message *message);
/* Input @pin (0 or 1) is now @is_high. */
void lapic_set_lint(struct lapic *lapic, unsigned pin, bool is_high);
/* True when the 8259A pair is to interrupt the processor, whatever its priority: its INTR is high
 * at input 0, which is open as ExtINT or the APIC off, or an ExtINT message came.  And taking it:
 * the caller then runs the INTA cycles (pic8259_acknowledge). */
bool lapic_has_extint(const struct lapic *lapic);
void lapic_take_extint(struct lapic *lapic);
/* True when LINT0 is set up for NMI or INIT. */
bool lapic_has_open_nmi(const struct lapic *lapic);

/* The vector that may interrupt the processor now, or -1; and taking it, which is looking and
 * acknowledging at once: the spurious vector is never taken (lapic_irq.c says why). */
int lapic_pending(const struct lapic *lapic);
int lapic_take(struct lapic *lapic);

/* When the timer fires next, or IRQCHIP_NEVER; in TSC-deadline mode the value of the TSC then. */
uint64_t lapic_timer_ns(const struct lapic *lapic);
uint64_t lapic_timer_tsc(const struct lapic *lapic);
/* Fire what is due. */
void lapic_tick(struct lapic *lapic, struct lapic_time now);

#endif
