/* The UART in loop mode and out of it, its line seen in the request register. */
#include "gen.h"

#include "wiring.h"

#include "src/dev/uart16550.h"

#define BURST_MAX 20u
#define WAIT_NS	  3000000u
#define SETTLE_NS 250000000u /* a time-out at the largest divisor that is left in place */

enum { RBR = 0, IER = 1, IIR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };

static uint16_t port(unsigned offset)
{
	return (uint16_t)(uart_place[0].base + offset);
}

static void out(struct sequence *s, unsigned offset, unsigned value)
{
	seq_out(s, port(offset), value);
}

static void add_divisor(struct rng *r, struct sequence *s)
{
	out(s, LCR, LCR_DLAB | rng_below(r, 0x80));
	out(s, 0, rng_below(r, 256));
	out(s, 1, rng_below(r, 256));
	seq_in(s, port(0));
	seq_in(s, port(1));
	out(s, 1, rng_below(r, 2));
	out(s, LCR, rng_one_in(r, 4) ? rng_below(r, 0x80) : 3);
}

static void add_fcr(struct rng *r, struct sequence *s)
{
	out(s, IIR, rng_one_in(r, 3) ? rng_below(r, 256) : FCR_ENABLE | rng_below(r, 4) << 6);
}

static void add_burst(struct rng *r, struct sequence *s)
{
	unsigned count = 1 + rng_below(r, BURST_MAX);

	for (unsigned i = 0; i < count; i++) {
		out(s, RBR, rng_below(r, 256));
		if (rng_one_in(r, 4))
			seq_in(s, port(IIR));
	}
	if (!rng_one_in(r, 4))
		seq_wait(s, SETTLE_NS);
}

static void add_reads(struct rng *r, struct sequence *s)
{
	unsigned count = 1 + rng_below(r, BURST_MAX);

	for (unsigned i = 0; i < count; i++) {
		seq_in(s, port(RBR));
		if (rng_one_in(r, 3))
			seq_in(s, port(LSR));
	}
	if (!rng_one_in(r, 4))
		seq_wait(s, SETTLE_NS);
}

static void add_mcr(struct rng *r, struct sequence *s)
{
	unsigned value = rng_below(r, 32);

	if (!rng_one_in(r, 3))
		value |= MCR_LOOP;
	if (!rng_one_in(r, 6))
		value |= MCR_OUT2;
	out(s, MCR, value);
}

static void add_one(struct rng *r, struct sequence *s)
{
	switch (rng_below(r, 16)) {
	case 0:
		add_divisor(r, s);
		break;
	case 1:
		add_fcr(r, s);
		break;
	case 2:
		add_burst(r, s);
		break;
	case 3:
		add_reads(r, s);
		break;
	case 4:
		add_mcr(r, s);
		break;
	case 5:
	case 6:
		out(s, IER, rng_below(r, 16));
		break;
	case 7:
		out(s, rng_below(r, 8), rng_below(r, 256));
		break;
	case 8:
		seq_wait(s, rng_below(r, WAIT_NS));
		break;
	case 9:
	case 10:
		seq_in(s, port(IIR));
		break;
	case 11:
	case 12:
		gen_pic_irr(s, PIC_MASTER);
		break;
	default:
		seq_in(s, port(rng_below(r, 8)));
		break;
	}
}

void gen_uart(struct rng *r, struct sequence *s)
{
	unsigned end = SEQ_OPS_MAX / 2;

	gen_quiet_timer(s);
	gen_pic_init(s, 0x11, 1);
	seq_out(s, PIC_ELCR, 1u << uart_place[0].irq);
	out(s, MCR, MCR_OUT2);
	while (s->count < end)
		add_one(r, s);
}
