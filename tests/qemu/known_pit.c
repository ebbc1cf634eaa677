/* The PIT's rows (known.h).  Sections are those of the 82C54 data sheet. */
#include "known.h"

#include "umbra/irqchip.h"

#include <stddef.h>

#define STATUS_OUT	   0x80u
#define STATUS_NULL	   0x40u
#define PORT61_GATE2	   0x01u
#define PORT61_CHECKS	   0x0cu
#define PORT61_REFRESH	   0x10u
#define PORT61_OUT2	   0x20u
#define CONTROL_COUNTER(v) ((v) >> 6)

/* Counter number @op accesses by its own port, or PIT_COUNTERS. */
static unsigned counter_of(const struct op *op, enum op_kind kind)
{
	unsigned index = op->port - PIT_COUNTER;

	return op->kind == kind && index < PIT_COUNTERS ? index : PIT_COUNTERS;
}

static const struct pit_counter *counter_at(const struct ours *o, const struct op *op,
					    enum op_kind kind)
{
	unsigned index = counter_of(op, kind);

	return index < PIT_COUNTERS ? &o->pit->counter[index] : NULL;
}

/* The counter that @op gives a mode; NULL when it is no control word for one. */
static const struct pit_counter *counter_set(const struct ours *o, const struct op *op)
{
	if (op->kind != OP_OUT || op->port != PIT_CONTROL || op->value >= PIT_READ_BACK ||
	    !(op->value & PIT_CONTROL_RW))
		return NULL;
	return &o->pit->counter[CONTROL_COUNTER(op->value)];
}

/* Counters, as a mask, that @op latches anything of. */
static unsigned latched_by(const struct op *op)
{
	if (op->kind != OP_OUT || op->port != PIT_CONTROL)
		return 0;
	if (op->value >= PIT_READ_BACK)
		return op->value >> 1 & 7;
	return op->value & PIT_CONTROL_RW ? 0 : 1u << CONTROL_COUNTER(op->value);
}

/* Does @op look at counter @index? */
static bool looks_at(const struct op *op, unsigned index)
{
	return counter_of(op, OP_IN) == index || (latched_by(op) >> index & 1);
}

static bool is_port61_read(const struct op *op)
{
	return op->kind == OP_IN && op->port == PIT_PORT61;
}

static bool is_status_read(const struct ours *o, const struct op *op)
{
	const struct pit_counter *c = counter_at(o, op, OP_IN);

	return c && c->has_status;
}

/* A counter that has a control word and no count yet, or the first byte of a new one in mode 0. */
static bool is_unloaded(const struct pit_counter *c)
{
	return !c->is_loaded || (pit_counter_mode(c) == 0 && c->is_write_msb);
}

/* Before its first control word a counter is undefined. */
static bool avoid_unprogrammed(const struct ours *o, const struct op *op)
{
	unsigned missing = ~o->pit_programmed;
	unsigned index = counter_of(op, OP_OUT);

	if (index == PIT_COUNTERS)
		index = counter_of(op, OP_IN);
	return (index < PIT_COUNTERS && (missing >> index & 1)) || (missing & latched_by(op));
}

static bool avoid_unloaded(const struct ours *o, const struct op *op)
{
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		const struct pit_counter *c = &o->pit->counter[i];

		if (looks_at(op, i) && is_unloaded(c))
			return true;
	}
	return false;
}

static uint16_t hide_unloaded(const struct ours *o, const struct op *op)
{
	return is_port61_read(op) && is_unloaded(&o->pit->counter[2]) ? PORT61_OUT2 : 0;
}

static uint16_t hide_irq0(const struct ours *o, const struct op *op)
{
	return op->kind == OP_IN && op->port == PIC_MASTER && o->is_irq0_vague ? 1u << PIT_IRQ : 0;
}

/* The first clock of a period. */
static uint16_t hide_late_rise(const struct ours *o, const struct op *op)
{
	const struct pit_counter *c = &o->pit->counter[0];

	if (op->kind != OP_IN || op->port != PIC_MASTER || pit_counter_mode(c) != 2 ||
	    !c->is_loaded)
		return 0;
	return (o->pit->tick - c->start) % c->period == 0 ? 1u << PIT_IRQ : 0;
}

static bool avoid_irq0(const struct ours *o, const struct op *op)
{
	return o->is_irq0_vague && known_is_acknowledge(o, op);
}

static bool avoid_triggered(const struct ours *o, const struct op *op)
{
	unsigned mode = op->value >> 1 & 7;

	return counter_set(o, op) && (mode == 1 || mode == 5);
}

static bool avoid_strobe(const struct ours *o, const struct op *op)
{
	return counter_set(o, op) && CONTROL_COUNTER(op->value) == 0 && (op->value >> 1 & 7) == 4;
}

static bool is_inverted(const struct pit_counter *c)
{
	return pit_counter_mode(c) == 2 || pit_counter_mode(c) == 4;
}

static uint16_t hide_inverted(const struct ours *o, const struct op *op)
{
	if (is_port61_read(op) && is_inverted(&o->pit->counter[2]))
		return PORT61_OUT2;
	return is_status_read(o, op) && is_inverted(counter_at(o, op, OP_IN)) ? STATUS_OUT : 0;
}

static bool avoid_bcd(const struct ours *o, const struct op *op)
{
	return counter_set(o, op) && (op->value & PIT_CONTROL_BCD);
}

static bool avoid_mode_alias(const struct ours *o, const struct op *op)
{
	return counter_set(o, op) && (op->value >> 1 & 7) > 5;
}

static uint16_t hide_null(const struct ours *o, const struct op *op)
{
	return is_status_read(o, op) ? STATUS_NULL : 0;
}

static uint16_t hide_odd(const struct ours *o, const struct op *op)
{
	const struct pit_counter *c = counter_at(o, op, OP_IN);

	return c && !c->has_status && pit_counter_mode(c) == 3 && (c->period & 1) ? 0xff : 0;
}

/* Modes 2 and 3 go on with the old count to the end of its period. */
static bool avoid_second_count(const struct ours *o, const struct op *op)
{
	const struct pit_counter *c = counter_at(o, op, OP_OUT);
	unsigned mode = c ? pit_counter_mode(c) : 0;

	return c && c->is_loaded && (mode == 2 || mode == 3);
}

static bool avoid_count_of_one(const struct ours *o, const struct op *op)
{
	const struct pit_counter *c = counter_at(o, op, OP_OUT);
	unsigned mode = c ? pit_counter_mode(c) : 0;
	bool is_one = c && (pit_counter_rw(c) == PIT_RW_LSB
				    ? op->value == 1
				    : pit_counter_rw(c) == PIT_RW_BOTH && c->is_write_msb &&
					      op->value == 0 && c->write_lsb == 1);

	return is_one && (mode == 2 || mode == 3);
}

/* QEMU's counter 2 goes on while its gate is low: it is left alone, and started again in the modes
 * that a rise of the gate starts. */
static bool avoid_gate(const struct ours *o, const struct op *op)
{
	const struct pit_counter *c = &o->pit->counter[2];
	unsigned mode = pit_counter_mode(c);

	if (op->kind == OP_OUT && op->port == PIT_PORT61)
		return c->gate && !(op->value & PORT61_GATE2) && (mode == 0 || mode == 4);
	return !c->gate &&
	       (looks_at(op, 2) || counter_set(o, op) == c || counter_at(o, op, OP_OUT) == c);
}

static uint16_t hide_gate(const struct ours *o, const struct op *op)
{
	return is_port61_read(op) && !o->pit->counter[2].gate ? PORT61_OUT2 : 0;
}

static uint16_t hide_port61(const struct ours *o, const struct op *op)
{
	(void)o;
	return is_port61_read(op) ? PORT61_REFRESH | PORT61_CHECKS : 0;
}

static uint16_t hide_control(const struct ours *o, const struct op *op)
{
	(void)o;
	return op->kind == OP_IN && op->port == PIT_CONTROL ? 0xff : 0;
}

static bool avoid_latched_control(const struct ours *o, const struct op *op)
{
	const struct pit_counter *c = counter_set(o, op);

	return c && (c->has_latch || c->has_status);
}

/* One flip-flop for reads, latched or not, or two? */
static bool avoid_half_read(const struct ours *o, const struct op *op)
{
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		const struct pit_counter *c = &o->pit->counter[i];

		if ((latched_by(op) >> i & 1) && !c->has_latch && c->is_read_msb)
			return true;
	}
	return false;
}

#define PACE                                                                                       \
	{                                                                                          \
		.shift = 3, .is_aligned = true                                                     \
	}
#define RAW_PACE                                                                                   \
	{                                                                                          \
		.shift = 3                                                                         \
	}
#define GATE2 "outb 0x61 1;"
#define INIT0 "outb 0x20 0x13; outb 0x21 0x20; outb 0x21 1;"

const struct known known_pit[] = {
	{.device = "pit",
	 .what = "a count is loaded at once, not with the next clock",
	 .decides = "Mode 0: OUT stays low until N + 1 clocks after the count is written",
	 .right = RIGHT_UMBRA,
	 /* The pace makes up for it: QEMU's loads come one clock later. */
	 .pace = RAW_PACE,
	 .listing = "outb 0x43 0x10; outb 0x40 100; clock_step 8381; inb 0x40 0x5b 0x5a"},
	{.device = "pit",
	 .what = "counters run in mode 3 before they are programmed",
	 .decides = "Programming: the state of the 82C54 is undefined after power-up",
	 .right = RIGHT_BOTH,
	 .avoids = avoid_unprogrammed,
	 .hides = hide_unloaded,
	 .pace = PACE,
	 .listing = "clock_step 10000; outb 0x43 0; inb 0x40 0x00 0xe4"},
	{.device = "pit",
	 .what = "after a control word the counter goes on with the old count",
	 .decides = "Programming: control logic is reset and OUT goes to its initial state at once",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_unloaded,
	 .hides = hide_unloaded,
	 .pace = PACE,
	 .listing = GATE2 "outb 0x43 0xb0; outb 0x42 100; outb 0x42 0; outb 0x43 0xb4;"
			  "outb 0x43 0xe8; inb 0x42 0xf4 0x34; outb 0x43 0x80; inb 0x42 0x00 0x63"},
	{.device = "pit",
	 .what = "IRQ 0 follows OUT only from the first count on",
	 .decides = "Programming: OUT goes to its initial state at once",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_irq0,
	 .hides = hide_irq0,
	 .pace = PACE,
	 .listing = "outb 0x43 0x30; outb 0x40 100; outb 0x40 100; outb 0x20 0x13; outb 0x21 0x20;"
		    "outb 0x21 1; outb 0x43 0x34; inb 0x20 0x01 0x00"},
	{.device = "pit",
	 .what = "modes 1 and 5 start with the count, not with the gate, and OUT is inverted",
	 .decides = "Mode 1, Mode 5: the counter is armed by the count and starts at the trigger",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_triggered,
	 .pace = PACE,
	 .listing = GATE2 "outb 0x43 0x92; outb 0x42 100; clock_step 100000; inb 0x61 0x31 0x11;"
			  "outb 0x61 0; outb 0x61 1; clock_step 10000; inb 0x61 0x01 0x21"},
	{.device = "pit",
	 .what = "in modes 2 and 4 OUT is inverted: a strobe that is high",
	 .decides = "Mode 2, Mode 4: OUT is initially high",
	 .right = RIGHT_UMBRA,
	 .hides = hide_inverted,
	 .pace = PACE,
	 .listing = "outb 0x43 0x34; outb 0x40 100; outb 0x40 0; clock_step 10000; outb 0x43 0xe2;"
		    "inb 0x40 0xb4 0x34"},
	{.device = "pit",
	 .what = "mode 2 of counter 0 gives IRQ 0 its rise a clock late",
	 .decides = "Mode 2, figure 17: OUT rises as the counter is loaded again",
	 .right = RIGHT_UMBRA,
	 .hides = hide_late_rise,
	 .pace = PACE,
	 .listing = "outb 0x43 0x14; outb 0x40 60;" INIT0 "outb 0x21 0xff; clock_step 48604;"
		    "inb 0x20 0x00 0x00; clock_step 800; inb 0x20 0x01 0x00; clock_step 800; inb "
		    "0x20 0x01 0x01"},
	{.device = "pit",
	 .what = "mode 4 of counter 0 gives IRQ 0 a rise a clock earlier",
	 .decides = "Mode 4: OUT is low for one clock at the end",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_strobe,
	 .pace = PACE,
	 .listing = "outb 0x43 0x18; outb 0x40 60;" INIT0 "outb 0x21 0xff; clock_step 49442;"
		    "inb 0x20 0x00 0x01; clock_step 800; inb 0x20 0x01 0x01"},
	{.device = "pit",
	 .what = "BCD is ignored",
	 .decides = "Control Word Format: BCD counter (4 decades)",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_bcd,
	 .pace = PACE,
	 .listing = "outb 0x43 0x15; outb 0x40 0x50; clock_step 25140; outb 0x43 0; inb 0x40 0x20 "
		    "0x32"},
	{.device = "pit",
	 .what = "modes 6 and 7 are mode 0",
	 .decides = "Control Word Format: M2 does not matter in modes 2 and 3",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_mode_alias,
	 .pace = PACE,
	 .listing = GATE2
	 "outb 0x43 0x9e; outb 0x42 100; outb 0x42 0; clock_step 10000; inb 0x61 0x31 0x11"},
	{.device = "pit",
	 .what = "the status has no null count bit",
	 .decides = "Read-Back Command, figure 13: null count operation",
	 .right = RIGHT_UMBRA,
	 .hides = hide_null,
	 .pace = PACE,
	 .listing = "outb 0x43 0x30; outb 0x40 0; outb 0x43 0xe2; inb 0x40 0x70 0x30"},
	{.device = "pit",
	 .what = "in mode 3 an odd count is not counted in twos from an even number",
	 .decides = "Mode 3: odd counts",
	 .right = RIGHT_UMBRA,
	 .hides = hide_odd,
	 .pace = PACE,
	 .listing = "outb 0x43 0x16; outb 0x40 7; clock_step 838; inb 0x40 0x04 0x05"},
	{.device = "pit",
	 .what = "in modes 2 and 3 a new count counts at once",
	 .decides = "Mode 2, Mode 3: a new count does not affect the current period or half",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_second_count,
	 .pace = PACE,
	 .listing = "outb 0x43 0x14; outb 0x40 100; clock_step 8380; outb 0x40 50;"
		    "clock_step 8380; inb 0x40 0x4e 0x28"},
	{.device = "pit",
	 .what = "a count of 1 in modes 2 and 3 is a period of 1",
	 .decides = "Mode 2: a count of 1 is illegal",
	 .right = RIGHT_BOTH,
	 .avoids = avoid_count_of_one,
	 .pace = PACE,
	 .listing = "outb 0x43 0x14; outb 0x40 1; clock_step 8380; inb 0x40 0x02 0x01"},
	{.device = "pit",
	 .what = "a low gate does not stop counter 2",
	 .decides = "Gate Pin Operations Summary, figure 22",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_gate,
	 .hides = hide_gate,
	 .pace = PACE,
	 .listing = GATE2 "outb 0x43 0x94; outb 0x42 100; clock_step 8380; outb 0x61 0;"
			  "clock_step 8380; inb 0x42 0x59 0x4e; inb 0x61 0x30 0x10"},
	{.device = "pit",
	 .what = "port 0x61: refresh toggles at each read, and bits 2 and 3 read as 0",
	 .decides = "none: IBM PC/AT Technical Reference, port 61 hex",
	 .right = RIGHT_UMBRA,
	 .hides = hide_port61,
	 .pace = PACE,
	 .listing = "outb 0x61 0x0f; inb 0x61 0x2f 0x33; inb 0x61 0x2f 0x23"},
	{.device = "pit",
	 .what = "the control register reads as 0",
	 .decides = "figure 14: a read of it is no operation, and the bus is left in 3-state",
	 .right = RIGHT_UMBRA,
	 .hides = hide_control,
	 .pace = PACE,
	 .listing = "inb 0x43 0xff 0x00"},
	{.device = "pit",
	 .what = "a control word leaves a latched count and status",
	 .decides =
		 "Counter Latch Command: latched until read or until the counter is reprogrammed",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_latched_control,
	 .pace = PACE,
	 .listing = "outb 0x43 0x14; outb 0x40 100; clock_step 8380; outb 0x43 0;"
		    "outb 0x43 0x14; outb 0x40 50; inb 0x40 0x32 0x5a"},
	{.device = "pit",
	 .what = "reads of a latch leave alone which byte of the counter is next",
	 .decides = "Counter Latch Command: both bytes must be read; between them it is left open",
	 .right = RIGHT_BOTH,
	 .avoids = avoid_half_read,
	 .pace = PACE,
	 .listing = "outb 0x43 0x34; outb 0x40 0; outb 0x40 0x80; clock_step 8380;"
		    "inb 0x40 0xf6 0xf6; outb 0x43 0;"
		    "inb 0x40 0xf6 0xf6; inb 0x40 0x7f 0x7f; inb 0x40 0xf5 0x7f"},
	{.device = NULL},
};
