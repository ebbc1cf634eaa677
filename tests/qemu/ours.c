/* See ours.h. */
#include "ours.h"

#include "umbra/irqchip.h"

#include "known.h"

#include <stdlib.h>
#include <string.h>

const struct uart_place uart_place[UART_COUNT] = {
	{0x3f8, 4},  {0x2f8, 3},  {0x200, 5},  {0x208, 6},  {0x210, 7},	 {0x218, 9},
	{0x220, 10}, {0x228, 11}, {0x230, 12}, {0x238, 14}, {0x240, 15},
};

/* The clock. */

static uint64_t clock_now(void *ctx)
{
	const struct ours *o = ctx;

	return o->now_ns;
}

/* Timers fire at their own time, the 8254's edges between them included. */
void ours_run_to(struct ours *o, uint64_t ns)
{
	uint64_t next;

	while ((next = gate_deadline(o->gate)) <= ns) {
		o->now_ns = next > o->now_ns ? next : o->now_ns;
		pit8254_run(o->pit, o->now_ns);
		gate_run(o->gate);
	}
	o->now_ns = ns;
	pit8254_run(o->pit, ns);
}

/* The chips. */

static void intr_set(void *ctx, unsigned gsi, bool is_high)
{
	struct ours *o = ctx;

	(void)gsi;
	o->is_intr_high = is_high;
}

static void irq_set(void *ctx, unsigned gsi, bool is_high)
{
	struct ours *o = ctx;

	pic8259_set(o->pic, gsi, is_high);
}

static struct irq_line line(struct ours *o, unsigned irq)
{
	return (struct irq_line){.set = irq_set, .ctx = o, .gsi = irq};
}

static int map(struct device *dev, uint16_t base, unsigned len, unsigned offset)
{
	return dev ? bus_map(dev, BUS_PIO, base, len, offset, NULL) : -1;
}

/* The timer's place is before the PICs', as on the software CPU: a reset lets its line rise before
 * they forget it. */
static int build_chips(struct ours *o)
{
	struct irq_line intr = {.set = intr_set, .ctx = o};
	struct device *pit, *pic;

	if (pic8259_create(&o->pic, intr, NULL) < 0 ||
	    pit8254_create(&o->pit, line(o, PIT_IRQ), NULL) < 0)
		return -1;
	pit = bus_add_device(o->bus, &pit8254_ops, o->pit);
	pic = bus_add_device(o->bus, &pic8259_ops, o->pic);
	return map(pit, PIT_COUNTER, 4, PIT8254_COUNTER0) |
	       map(pit, PIT_PORT61, 1, PIT8254_PORT61) | map(pic, PIC_MASTER, 2, PIC8259_MASTER) |
	       map(pic, PIC_SLAVE, 2, PIC8259_SLAVE) | map(pic, PIC_ELCR, 2, PIC8259_ELCR);
}

static int build_uarts(struct ours *o)
{
	for (unsigned i = 0; i < UART_COUNT; i++) {
		struct uart16550 *uart = malloc(sizeof(*uart));

		if (!uart)
			return -1;
		uart16550_init(uart, "uart", line(o, uart_place[i].irq), NULL);
		uart->dev = bus_add_device(o->bus, &uart->ops, uart);
		if (!uart->dev) {
			free(uart);
			return -1;
		}
		o->uart[i] = uart;
		if (map(uart->dev, uart_place[i].base, UART16550_PORTS, 0) < 0)
			return -1;
	}
	return 0;
}

static void state_of(void *state, void *out)
{
	*(void **)out = state;
}

/* mc146818_create keeps the device to itself, and the bus knows who is at a port. */
static int build_rtc(struct ours *o)
{
	const struct mc146818_config config = {.base = RTC_INDEX,
					       .irq = line(o, RTC_IRQ),
					       .gate = o->gate,
					       .pc = {.low_bytes = 1 << 20, .cpus = 1}};
	struct bus_region_info info = {.base = 0};
	unsigned i = 0;

	if (mc146818_create(o->bus, &config, NULL) < 0)
		return -1;
	while (info.base != RTC_INDEX && bus_region_at(o->bus, BUS_PIO, i, &info))
		i++;
	bus_with_device((struct device *)(uintptr_t)info.dev, state_of, &o->rtc);
	return 0;
}

/* In this order; a row for each chip. */
static int (*const builders[])(struct ours *o) = {
	build_chips,
	build_uarts,
	build_rtc,
};

bool ours_open(struct ours *o)
{
	struct gate_clock clock = {.now_ns = clock_now, .ctx = o};

	*o = (struct ours){.is_irq0_vague = true};
	if (bus_create(&o->bus, NULL) < 0 || gate_create(&o->gate, NULL) < 0)
		return false;
	gate_set_clock(o->gate, &clock);
	gate_set_epoch_s(o->gate, EPOCH_S);
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(builders); i++) {
		if (builders[i](o) < 0)
			return false;
	}
	bus_reset(o->bus);
	return true;
}

void ours_close(struct ours *o)
{
	bus_destroy(o->bus);
	gate_destroy(o->gate);
	pic8259_destroy(o->pic);
	pit8254_destroy(o->pit);
}

const struct uart16550 *ours_uart_at(const struct ours *o, uint16_t port, unsigned *out_offset)
{
	for (unsigned i = 0; i < UART_COUNT; i++) {
		*out_offset = port - uart_place[i].base;
		if (*out_offset < UART16550_PORTS)
			return o->uart[i];
	}
	return NULL;
}

/* Operations. */

uint16_t ours_do(struct ours *o, const struct op *op)
{
	uint8_t value = op->value;

	switch (op->kind) {
	case OP_OUT:
		bus_pio(o->bus, op->port, true, 1, 1, &value);
		return 0;
	case OP_IN:
		bus_pio(o->bus, op->port, false, 1, 1, &value);
		return value;
	case OP_INTA:
		return o->is_intr_high ? 0x100 | pic8259_acknowledge(o->pic) : 0;
	case OP_WAIT:
		break;
	}
	return 0;
}

static enum verdict run_ops(struct ours *o, struct sequence *s, const struct image *image,
			    enum ours_mode mode, struct results *out, struct results *hidden)
{
	enum verdict verdict = VERDICT_DONE;

	for (unsigned i = 0; i < s->count; i++) {
		struct op *op = &s->op[i];
		bool is_early = s->pace.is_aligned && op_is_load(op);

		ours_run_to(o, image->time_ns[i] - (is_early ? PIT_TICK_NS : 0));
		if (mode != OURS_BLIND && known_is_avoided(o, op)) {
			verdict = VERDICT_KNOWN;
			if (mode == OURS_CHECK)
				return verdict;
			*op = (struct op){.kind = OP_WAIT};
		}
		hidden->value[i] = mode == OURS_BLIND ? 0 : known_hidden(o, op);
		known_before(o, op);
		out->value[i] = ours_do(o, op);
		known_after(o, op);
	}
	return verdict;
}

enum verdict ours_run(struct sequence *s, const struct image *image, enum ours_mode mode,
		      struct results *out, struct results *hidden)
{
	enum verdict verdict = VERDICT_FAILED;
	struct ours o;

	if (ours_open(&o))
		verdict = run_ops(&o, s, image, mode, out, hidden);
	ours_close(&o);
	return verdict;
}
