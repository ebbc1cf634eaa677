/* The 8254 timer of a PC: its four ports, and port 0x61, which holds the gate of counter 2.
 * Counter 0's output is IRQ 0, counter 1 once refreshed memory, counter 2 drives the speaker.
 * Time is given by the owner; every access takes place at the time of the last pit8254_run.
 * Source: 8254 data sheet; PC/AT technical reference for port 0x61:
 *   7 0 | 6 0 | 5 OUT2 | 4 refresh toggle | 3, 2 error checks off | 1 speaker | 0 gate 2
 * DEVIATES: bits 7 and 6, the errors, are never set, and the speaker is silent. */
#include "pit8254.h"

#include "umbra/irqchip.h"

#include <errno.h>
#include <stdlib.h>

#define PIT_HZ	    1193182u
#define NS_PER_S    1000000000u
#define EDGES_SHOWN 3u /* the interrupt controller keeps one rise; three edges have one */
#define PIT_VERSION 1

#define READBACK_NO_COUNT  0x20u
#define READBACK_NO_STATUS 0x10u
#define STATUS_OUT	   0x80u
#define STATUS_NULL	   0x40u
#define RESET_CONTROL	   (PIT_RW_BOTH << 4 | 3 << 1) /* mode 3: OUT is high until programmed */

#define PORT61_GATE2   0x01u
#define PORT61_KEPT    0x0fu
#define PORT61_REFRESH 0x10u
#define PORT61_OUT2    0x20u
#define REFRESH_TICKS  18 /* between two toggles, 15 us: as BIOSes set up counter 1 */

/* Time. */

static int64_t ticks_of(uint64_t ns)
{
	return (int64_t)((unsigned __int128)ns * PIT_HZ / NS_PER_S);
}

/* The first nanosecond of @tick. */
static uint64_t ns_of(int64_t tick)
{
	unsigned __int128 ns = (unsigned __int128)tick * NS_PER_S + (PIT_HZ - 1);

	return (uint64_t)(ns / PIT_HZ);
}

static void irq_update(struct pit8254 *pit)
{
	bool is_high = pit_counter_is_high(&pit->counter[0], pit->tick);

	if (is_high == pit->is_irq_high)
		return;
	pit->is_irq_high = is_high;
	pit->irq.set(pit->irq.ctx, pit->irq.gsi, is_high);
}

/* Counter 0 has come to @tick, and its line shows it. */
static void counter0_to(struct pit8254 *pit, int64_t tick)
{
	pit_counter_sync(&pit->counter[0], tick);
	pit->tick = tick;
	irq_update(pit);
}

void pit8254_run(struct pit8254 *pit, uint64_t now_ns)
{
	int64_t now = ticks_of(now_ns);

	if (now <= pit->tick)
		return;
	for (unsigned i = 0; i < EDGES_SHOWN; i++) {
		int64_t edge = pit_counter_next_edge(&pit->counter[0], pit->tick);

		if (edge > now)
			break;
		counter0_to(pit, edge);
	}
	counter0_to(pit, now);
	for (unsigned i = 1; i < PIT_COUNTERS; i++)
		pit_counter_sync(&pit->counter[i], now);
}

uint64_t pit8254_next_edge(const struct pit8254 *pit)
{
	int64_t edge = pit_counter_next_edge(&pit->counter[0], pit->tick);

	return edge == PIT_NEVER ? IRQCHIP_NEVER : ns_of(edge);
}

/* Control words. */

static void latch_count(struct pit8254 *pit, struct pit_counter *c)
{
	if (c->has_latch)
		return;
	c->latch = pit_counter_value(c, pit->tick);
	c->has_latch = true;
	c->is_read_msb = false;
}

static void latch_status(struct pit8254 *pit, struct pit_counter *c)
{
	if (c->has_status)
		return;
	c->status = c->control;
	if (pit_counter_is_high(c, pit->tick))
		c->status |= STATUS_OUT;
	if (pit_counter_is_null(c, pit->tick))
		c->status |= STATUS_NULL;
	c->has_status = true;
}

static void read_back(struct pit8254 *pit, uint8_t value)
{
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		if (!(value >> (i + 1) & 1))
			continue;
		if (!(value & READBACK_NO_COUNT))
			latch_count(pit, &pit->counter[i]);
		if (!(value & READBACK_NO_STATUS))
			latch_status(pit, &pit->counter[i]);
	}
}

static void write_control(struct pit8254 *pit, uint8_t value)
{
	unsigned select = value >> 6;

	if (select == PIT_COUNTERS)
		read_back(pit, value);
	else if ((value & PIT_CONTROL_RW) == 0)
		latch_count(pit, &pit->counter[select]);
	else
		pit_counter_set_control(&pit->counter[select], value);
}

/* Counters. */

static void write_counter(struct pit8254 *pit, struct pit_counter *c, uint8_t value)
{
	switch (pit_counter_rw(c)) {
	case PIT_RW_LSB:
		pit_counter_set_count(c, value, pit->tick);
		break;
	case PIT_RW_MSB:
		pit_counter_set_count(c, (uint16_t)(value << 8), pit->tick);
		break;
	case PIT_RW_BOTH:
		if (c->is_write_msb) {
			pit_counter_set_count(c, (uint16_t)(c->write_lsb | value << 8), pit->tick);
		} else {
			c->write_lsb = value;
			pit_counter_begin_count(c);
		}
		c->is_write_msb = !c->is_write_msb;
		break;
	case PIT_RW_LATCH: /* no control word has it */
		break;
	}
}

static uint8_t read_counter(struct pit8254 *pit, struct pit_counter *c)
{
	uint16_t value = c->has_latch ? c->latch : pit_counter_value(c, pit->tick);
	bool is_msb = pit_counter_rw(c) == PIT_RW_MSB;

	if (c->has_status) {
		c->has_status = false;
		return c->status;
	}
	if (pit_counter_rw(c) == PIT_RW_BOTH) {
		is_msb = c->is_read_msb;
		c->is_read_msb = !is_msb;
	}
	if (is_msb || pit_counter_rw(c) != PIT_RW_BOTH)
		c->has_latch = false;
	return (uint8_t)(is_msb ? value >> 8 : value);
}

static uint8_t read_port61(const struct pit8254 *pit)
{
	uint8_t value = pit->port61;

	if (pit->tick / REFRESH_TICKS & 1)
		value |= PORT61_REFRESH;
	if (pit_counter_is_high(&pit->counter[2], pit->tick))
		value |= PORT61_OUT2;
	return value;
}

/* The bus. */

static uint64_t pit_read(void *state, uint64_t offset, unsigned width)
{
	struct pit8254 *pit = state;

	(void)width;
	if (offset == PIT8254_PORT61)
		return read_port61(pit);
	if (offset == PIT8254_CONTROL)
		return 0xff; /* the data sheet: no operation, the bus floats */
	return read_counter(pit, &pit->counter[offset]);
}

static void pit_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct pit8254 *pit = state;

	(void)width;
	if (offset == PIT8254_PORT61) {
		pit->port61 = (uint8_t)value & PORT61_KEPT;
		pit_counter_set_gate(&pit->counter[2], value & PORT61_GATE2, pit->tick);
	} else if (offset == PIT8254_CONTROL) {
		write_control(pit, (uint8_t)value);
	} else {
		write_counter(pit, &pit->counter[offset], (uint8_t)value);
	}
	irq_update(pit);
}

static void pit_reset(void *state)
{
	struct pit8254 *pit = state;

	pit->tick = 0;
	pit->port61 = 0;
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		pit->counter[i] = (struct pit_counter){.gate = i != 2};
		pit_counter_set_control(&pit->counter[i], RESET_CONTROL);
	}
	irq_update(pit);
}

/* Save, load, show. */

static void pit_save(const void *state, struct blob *out)
{
	const struct pit8254 *pit = state;

	blob_put_u8(out, PIT_VERSION);
	blob_put_u64(out, (uint64_t)pit->tick);
	blob_put_u8(out, pit->port61);
	for (unsigned i = 0; i < PIT_COUNTERS; i++)
		pit_counter_save(&pit->counter[i], out);
}

static int pit_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct pit8254 *pit = state;
	uint8_t version = blob_get_u8(in);
	int64_t tick = (int64_t)blob_get_u64(in);
	uint8_t port61 = blob_get_u8(in);
	struct pit_counter counter[PIT_COUNTERS];
	bool is_good = version == PIT_VERSION && !(port61 & ~PORT61_KEPT);

	for (unsigned i = 0; is_good && i < PIT_COUNTERS; i++)
		is_good = pit_counter_load(&counter[i], in, tick) &&
			  counter[i].gate == (i != 2 || (port61 & PORT61_GATE2));
	if (in->is_failed || !is_good)
		return umbra_err_set(err, EINVAL,
				     "pit: saved state has version %u (expected %d), is cut off or "
				     "is none that an 8254 can have",
				     version, PIT_VERSION);
	memcpy(pit->counter, counter, sizeof(counter));
	pit->tick = tick;
	pit->port61 = port61;
	irq_update(pit);
	return 0;
}

static void pit_show(const void *state, const struct print_sink *sink)
{
	const struct pit8254 *pit = state;

	print_to(sink, "pit: tick %lld, port 0x61 %02x\n", (long long)pit->tick, read_port61(pit));
	for (unsigned i = 0; i < PIT_COUNTERS; i++) {
		const struct pit_counter *c = &pit->counter[i];

		print_to(sink, "  %u: mode %u%s, gate %d, out %d, count %#x of %u%s\n", i,
			 pit_counter_mode(c), c->control & PIT_CONTROL_BCD ? " bcd" : "", c->gate,
			 pit_counter_is_high(c, pit->tick), pit_counter_value(c, pit->tick),
			 c->period, pit_counter_is_null(c, pit->tick) ? ", not loaded" : "");
	}
}

const struct dev_ops pit8254_ops = {
	.name = "pit",
	.widths = 1,
	.read = pit_read,
	.write = pit_write,
	.reset = pit_reset,
	.save = pit_save,
	.load = pit_load,
	.show = pit_show,
};

int pit8254_create(struct pit8254 **out_pit, struct irq_line irq, struct umbra_err *err)
{
	struct pit8254 *pit = calloc(1, sizeof(*pit));

	if (!pit)
		return umbra_err_set(err, ENOMEM, "no memory for the timer");
	pit->irq = irq;
	pit_reset(pit);
	*out_pit = pit;
	return 0;
}

void pit8254_destroy(struct pit8254 *pit)
{
	free(pit);
}
