/* The pair of PICs: lines that rise and fall, every command word, acknowledges and polls. */
#include "gen.h"

#include "wiring.h"

#include "src/dev/uart16550.h"

#define IER 1u
#define MCR 4u

struct pic_gen {
	struct rng *r;
	struct sequence *s;
	uint16_t high; /* UARTs whose line is high, as a mask */
};

void gen_pic_init(struct sequence *s, unsigned icw1, unsigned icw4)
{
	static const uint16_t chips[] = {PIC_MASTER, PIC_SLAVE};

	for (unsigned i = 0; i < 2; i++) {
		seq_out(s, chips[i], icw1);
		seq_out(s, chips[i] + 1, 0x20 + 8 * i);
		if (!(icw1 & 2))
			seq_out(s, chips[i] + 1, i ? 2 : 4);
		if (icw1 & 1)
			seq_out(s, chips[i] + 1, icw4);
	}
}

void gen_pic_irr(struct sequence *s, unsigned port)
{
	seq_out(s, (uint16_t)port, 0x0a);
	seq_in(s, (uint16_t)port);
}

static uint16_t some_chip(struct rng *r)
{
	return rng_one_in(r, 2) ? PIC_MASTER : PIC_SLAVE;
}

/* Lines change, never to what they are: QEMU's UART tells its line the same level again. */
static void add_line(struct pic_gen *g)
{
	unsigned i = rng_below(g->r, UART_COUNT);

	g->high ^= (uint16_t)(1u << i);
	seq_out(g->s, uart_place[i].base + IER, g->high >> i & 1 ? IER_THRE : 0);
}

static void add_ocw2(struct pic_gen *g)
{
	seq_out(g->s, some_chip(g->r),
		rng_one_in(g->r, 2) ? 0x20 : rng_below(g->r, 8) << 5 | rng_below(g->r, 8));
}

static void add_ocw3(struct pic_gen *g)
{
	uint16_t port = some_chip(g->r);

	seq_out(g->s, port, 0x08 | (rng_below(g->r, 256) & 0x67));
	if (rng_one_in(g->r, 2))
		seq_in(g->s, port + rng_below(g->r, 2));
}

static void add_read(struct pic_gen *g)
{
	uint16_t port = some_chip(g->r);

	if (rng_one_in(g->r, 4)) {
		seq_in(g->s, port + rng_below(g->r, 2));
		return;
	}
	seq_out(g->s, port, 0x0a + rng_below(g->r, 2));
	seq_in(g->s, port);
}

/* A chip that is set up half is good for nothing: mostly all words follow. */
static void add_init(struct pic_gen *g)
{
	uint16_t port = some_chip(g->r);
	unsigned icw1 = 0x10 | rng_below(g->r, 16);
	unsigned words = 1 + !(icw1 & 2) + (icw1 & 1);

	seq_out(g->s, port, icw1);
	if (rng_one_in(g->r, 8))
		words = rng_below(g->r, 4);
	for (unsigned i = 0; i < words; i++)
		seq_out(g->s, port + 1, rng_below(g->r, 256));
}

static void add_one(struct pic_gen *g)
{
	switch (rng_below(g->r, 32)) {
	case 0:
		add_init(g);
		break;
	case 1:
		seq_out(g->s, PIC_ELCR + rng_below(g->r, 2), rng_below(g->r, 256));
		break;
	case 2:
	case 3:
		seq_out(g->s, some_chip(g->r) + 1,
			rng_below(g->r, 256) & rng_below(g->r, 256) & rng_below(g->r, 256));
		break;
	case 4:
	case 5:
	case 6:
	case 7:
	case 8:
		add_ocw2(g);
		break;
	case 9:
	case 10:
		add_ocw3(g);
		break;
	case 11:
	case 12:
	case 13:
	case 14:
	case 15:
		add_read(g);
		break;
	case 16:
	case 17:
	case 18:
	case 19:
	case 20:
		seq_inta(g->s);
		break;
	default:
		add_line(g);
		break;
	}
}

void gen_pic(struct rng *r, struct sequence *s)
{
	struct pic_gen g = {.r = r, .s = s};
	unsigned end = SEQ_OPS_MAX - 16;

	for (unsigned i = 0; i < UART_COUNT; i++)
		seq_out(s, uart_place[i].base + MCR, MCR_OUT2);
	gen_quiet_timer(s);
	gen_pic_init(s, 0x11, rng_one_in(r, 4) ? 3 : 1);
	while (s->count < end)
		add_one(&g);
}
