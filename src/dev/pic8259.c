/* The pair of 8259A interrupt controllers of a PC: the slave's INT is the master's input 2.
 * Every change ends in pair_update, which carries the slave's output to the master and the
 * master's to the processor, so no path can forget it.
 * Source: 8259A data sheet (ICW1..4, OCW1..3, special modes); PIIX3 data sheet (ELCR).
 *
 * DEVIATES: an edge stays requested when its line falls before the acknowledge (the data sheet
 * makes that a spurious IRQ 7), since devices here pulse their lines in no time.
 * DEVIATES: vectors are given as in 8086 mode whatever ICW4 says, and ICW3 is swallowed: nothing
 * else is wired. */
#include "pic8259.h"

#include "umbra/irqchip.h"

#include <errno.h>
#include <stdlib.h>

#define ICW1_IC4     0x01u
#define ICW1_SNGL    0x02u
#define ICW1_LTIM    0x08u
#define ICW1_SELECT  0x10u
#define ICW2_BASE    0xf8u
#define ICW4_AEOI    0x02u
#define ICW4_SFNM    0x10u
#define OCW3_SELECT  0x08u
#define OCW3_RIS     0x01u
#define OCW3_RR	     0x02u
#define OCW3_POLL    0x04u
#define OCW3_SMM     0x20u
#define OCW3_ESMM    0x40u
#define OCW2_LEVEL   0x07u
#define POLL_REQUEST 0x80u

#define SPURIOUS    7u
#define PIC_VERSION 1
#define ELCR_MASTER 0xf8u /* 0, 1 and 2 are always edges */
#define ELCR_SLAVE  0xdeu /* 8 and 13 too */

/* Priority. */

static bool has(const struct pic_chip *c, enum pic_flag flag)
{
	return c->flags & flag;
}

static void flag_set(struct pic_chip *c, enum pic_flag flag, bool is_on)
{
	c->flags = (uint16_t)(is_on ? c->flags | flag : c->flags & ~flag);
}

static uint8_t level_inputs(const struct pic_chip *c)
{
	return has(c, PIC_LTIM) ? 0xff : c->elcr;
}

/* IRR as it reads. */
static uint8_t irr_of(const struct pic_chip *c)
{
	uint8_t by_level = level_inputs(c);

	return (uint8_t)((c->edges & ~by_level) | (c->level & by_level));
}

/* The number of places of @irq behind the highest priority. */
static unsigned rank(const struct pic_chip *c, int irq)
{
	return ((unsigned)irq - c->lowest - 1) & 7;
}

static int highest_of(const struct pic_chip *c, uint8_t inputs)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned irq = (c->lowest + i) & 7;

		if (inputs >> irq & 1)
			return (int)irq;
	}
	return PIC_NO_IRQ;
}

/* In special mask mode a masked level in service neither blocks others nor is ended by a
 * non-specific EOI. */
static uint8_t effective_isr(const struct pic_chip *c)
{
	return has(c, PIC_SPECIAL_MASK) ? c->isr & (uint8_t)~c->imr : c->isr;
}

/* In special fully nested mode a slave in service may ask again for something more urgent. */
int pic_chip_requested(const struct pic_chip *c)
{
	int irq = highest_of(c, irr_of(c) & (uint8_t)~c->imr);
	int busy = highest_of(c, effective_isr(c));

	if (irq == PIC_NO_IRQ || busy == PIC_NO_IRQ || rank(c, irq) < rank(c, busy))
		return irq;
	return irq == busy && irq == PIC_CASCADE && has(c, PIC_NESTED) ? irq : PIC_NO_IRQ;
}

static void input_set(struct pic_chip *c, unsigned irq, bool is_high)
{
	uint8_t bit = (uint8_t)(1u << irq);

	if (is_high && !(c->level & bit))
		c->edges |= bit;
	c->level = is_high ? c->level | bit : c->level & (uint8_t)~bit;
}

static void intr_set(struct pic8259 *pic, bool is_high)
{
	if (is_high == pic->is_intr_high)
		return;
	pic->is_intr_high = is_high;
	pic->intr.set(pic->intr.ctx, pic->intr.gsi, is_high);
}

static void pair_update(struct pic8259 *pic)
{
	input_set(&pic->chip[0], PIC_CASCADE, pic_chip_requested(&pic->chip[1]) != PIC_NO_IRQ);
	intr_set(pic, pic_chip_requested(&pic->chip[0]) != PIC_NO_IRQ);
}

/* Acknowledge. */

static int chip_take(struct pic_chip *c)
{
	int irq = pic_chip_requested(c);
	uint8_t bit;

	if (irq == PIC_NO_IRQ)
		return PIC_NO_IRQ;
	bit = (uint8_t)(1u << irq);
	c->edges &= (uint8_t)~bit;
	if (!has(c, PIC_AUTO_EOI))
		c->isr |= bit;
	else if (has(c, PIC_AUTO_ROTATE))
		c->lowest = (uint8_t)irq;
	return irq;
}

/* INT falls during an acknowledge, so that another request is a new edge. */

static int master_take(struct pic8259 *pic)
{
	int irq = chip_take(&pic->chip[0]);

	intr_set(pic, false);
	return irq;
}

static int slave_take(struct pic8259 *pic)
{
	int irq = chip_take(&pic->chip[1]);

	input_set(&pic->chip[0], PIC_CASCADE, false);
	return irq;
}

uint8_t pic8259_acknowledge(struct pic8259 *pic)
{
	const struct pic_chip *from = &pic->chip[0];
	int irq = master_take(pic);

	if (irq == PIC_CASCADE) {
		from = &pic->chip[1];
		irq = slave_take(pic);
	}
	pair_update(pic);
	return from->base | (irq == PIC_NO_IRQ ? SPURIOUS : (uint8_t)irq);
}

static uint8_t chip_poll(struct pic8259 *pic, struct pic_chip *c)
{
	int irq = c == &pic->chip[1] ? slave_take(pic) : master_take(pic);

	flag_set(c, PIC_POLL, false);
	pair_update(pic);
	return irq == PIC_NO_IRQ ? SPURIOUS : POLL_REQUEST | (uint8_t)irq;
}

void pic8259_set(struct pic8259 *pic, unsigned irq, bool is_high)
{
	if (irq > 15 || irq == PIC_CASCADE)
		return;
	input_set(&pic->chip[irq >> 3], irq & 7, is_high);
	pair_update(pic);
}

struct pic8259_line pic8259_line(const struct pic8259 *pic, unsigned irq)
{
	const struct pic_chip *c = &pic->chip[irq >> 3 & 1];
	unsigned input = irq & 7;

	return (struct pic8259_line){
		.is_high = c->level >> input & 1,
		.is_masked = c->imr >> input & 1,
		.is_requested = irr_of(c) >> input & 1,
		.is_in_service = c->isr >> input & 1,
		.vector = c->base | (uint8_t)input,
	};
}

/* Command words. */

/* What ICW1 clears; the inputs must rise again to be seen. */
static void chip_init(struct pic_chip *c)
{
	c->edges = 0;
	c->isr = 0;
	c->imr = 0;
	c->lowest = 7;
	c->step = 0;
	c->flags = 0;
}

static void write_icw1(struct pic_chip *c, uint8_t value)
{
	chip_init(c);
	flag_set(c, PIC_NEEDS_ICW4, value & ICW1_IC4);
	flag_set(c, PIC_SINGLE, value & ICW1_SNGL);
	flag_set(c, PIC_LTIM, value & ICW1_LTIM);
	c->step = 2;
}

/* Special fully nested mode is for requests that come by the cascade, which the slave has not. */
static void write_icw(struct pic_chip *c, bool is_master, uint8_t value)
{
	unsigned step = c->step;

	if (step == 2)
		c->base = value & ICW2_BASE;
	if (step == 4) {
		flag_set(c, PIC_AUTO_EOI, value & ICW4_AEOI);
		flag_set(c, PIC_NESTED, is_master && (value & ICW4_SFNM));
	}
	if (step == 2 && !has(c, PIC_SINGLE))
		c->step = 3;
	else
		c->step = step < 4 && has(c, PIC_NEEDS_ICW4) ? 4 : 0;
}

static void end_of_interrupt(struct pic_chip *c, int irq, bool rotate)
{
	if (irq == PIC_NO_IRQ)
		return;
	c->isr &= (uint8_t) ~(1u << irq);
	if (rotate)
		c->lowest = (uint8_t)irq;
}

/* Bits 7 to 5: rotate, specific, EOI. */
static void write_ocw2(struct pic_chip *c, uint8_t value)
{
	uint8_t level = value & OCW2_LEVEL;

	switch (value >> 5) {
	case 0: /* no rotation in automatic EOI mode */
	case 4:
		flag_set(c, PIC_AUTO_ROTATE, value >> 5 == 4);
		break;
	case 1: /* non-specific EOI */
	case 5: /* and rotate */
		end_of_interrupt(c, highest_of(c, effective_isr(c)), value >> 5 == 5);
		break;
	case 3: /* specific EOI */
	case 7: /* and rotate */
		end_of_interrupt(c, level, value >> 5 == 7);
		break;
	case 6: /* set priority */
		c->lowest = level;
		break;
	default: /* 2: no operation */
		break;
	}
}

static void write_ocw3(struct pic_chip *c, uint8_t value)
{
	if (value & OCW3_ESMM)
		flag_set(c, PIC_SPECIAL_MASK, value & OCW3_SMM);
	if (value & OCW3_POLL)
		flag_set(c, PIC_POLL, true);
	else if (value & OCW3_RR)
		flag_set(c, PIC_READ_ISR, value & OCW3_RIS);
}

static void write_command(struct pic_chip *c, uint8_t value)
{
	if (value & ICW1_SELECT)
		write_icw1(c, value);
	else if (value & OCW3_SELECT)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
}

static void write_data(struct pic_chip *c, bool is_master, uint8_t value)
{
	if (c->step)
		write_icw(c, is_master, value);
	else
		c->imr = value; /* OCW1 */
}

/* The bus. */

static uint8_t elcr_mask(unsigned chip)
{
	return chip == 0 ? ELCR_MASTER : ELCR_SLAVE;
}

static uint64_t pic_read(void *state, uint64_t offset, unsigned width)
{
	struct pic8259 *pic = state;
	struct pic_chip *c = &pic->chip[offset >> 1 & 1];

	(void)width;
	if (offset >= PIC8259_ELCR)
		return pic->chip[offset & 1].elcr;
	if (has(c, PIC_POLL))
		return chip_poll(pic, c);
	if (offset & 1)
		return c->imr;
	return has(c, PIC_READ_ISR) ? c->isr : irr_of(c);
}

static void pic_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct pic8259 *pic = state;
	struct pic_chip *c = &pic->chip[offset >> 1 & 1];

	(void)width;
	if (offset >= PIC8259_ELCR)
		pic->chip[offset & 1].elcr = (uint8_t)value & elcr_mask(offset & 1);
	else if (offset & 1)
		write_data(c, c == &pic->chip[0], (uint8_t)value);
	else
		write_command(c, (uint8_t)value);
	pair_update(pic);
}

static void pic_reset(void *state)
{
	struct pic8259 *pic = state;

	for (unsigned i = 0; i < 2; i++) {
		chip_init(&pic->chip[i]);
		pic->chip[i].base = 0;
		pic->chip[i].elcr = 0;
	}
	pair_update(pic);
}

/* Save, load, show. */

static void chip_save(const struct pic_chip *c, struct blob *out)
{
	blob_put_u8(out, c->level);
	blob_put_u8(out, c->edges);
	blob_put_u8(out, c->isr);
	blob_put_u8(out, c->imr);
	blob_put_u8(out, c->elcr);
	blob_put_u8(out, c->base);
	blob_put_u8(out, c->lowest);
	blob_put_u8(out, c->step);
	blob_put_u16(out, c->flags);
}

static void chip_load(struct pic_chip *c, struct blob *in)
{
	c->level = blob_get_u8(in);
	c->edges = blob_get_u8(in);
	c->isr = blob_get_u8(in);
	c->imr = blob_get_u8(in);
	c->elcr = blob_get_u8(in);
	c->base = blob_get_u8(in);
	c->lowest = blob_get_u8(in);
	c->step = blob_get_u8(in);
	c->flags = blob_get_u16(in);
}

static bool is_chip_possible(const struct pic_chip *c, unsigned index)
{
	return !(c->elcr & ~elcr_mask(index)) && !(c->base & ~ICW2_BASE) && c->lowest <= 7 &&
	       c->step <= 4 && c->step != 1 && !(c->flags & ~PIC_FLAGS);
}

static void pic_save(const void *state, struct blob *out)
{
	const struct pic8259 *pic = state;

	blob_put_u8(out, PIC_VERSION);
	chip_save(&pic->chip[0], out);
	chip_save(&pic->chip[1], out);
}

static int pic_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct pic8259 *pic = state;
	uint8_t version = blob_get_u8(in);
	struct pic_chip chip[2];
	bool is_slave_high;

	chip_load(&chip[0], in);
	chip_load(&chip[1], in);
	is_slave_high = chip[0].level >> PIC_CASCADE & 1;
	if (in->is_failed || version != PIC_VERSION || !is_chip_possible(&chip[0], 0) ||
	    !is_chip_possible(&chip[1], 1) ||
	    is_slave_high != (pic_chip_requested(&chip[1]) != PIC_NO_IRQ))
		return umbra_err_set(err, EINVAL,
				     "pic: saved state has version %u (expected %d), is cut off or "
				     "has bits that no 8259A pair holds",
				     version, PIC_VERSION);
	pic->chip[0] = chip[0];
	pic->chip[1] = chip[1];
	pair_update(pic);
	return 0;
}

static void pic_show(const void *state, const struct print_sink *sink)
{
	static const struct {
		enum pic_flag flag;
		const char *name;
	} modes[] = {
		{PIC_SINGLE, "single"},	     {PIC_LTIM, "level"},
		{PIC_AUTO_EOI, "auto-eoi"},  {PIC_NESTED, "special-fully-nested"},
		{PIC_AUTO_ROTATE, "rotate"}, {PIC_SPECIAL_MASK, "special-mask"},
		{PIC_POLL, "poll"},
	};
	const struct pic8259 *pic = state;

	print_to(sink, "pic: intr %s\n", pic->is_intr_high ? "high" : "low");
	for (unsigned i = 0; i < 2; i++) {
		const struct pic_chip *c = &pic->chip[i];

		print_to(sink, "  %-6s irr %02x isr %02x imr %02x elcr %02x vector %02x lowest %u",
			 i ? "slave" : "master", irr_of(c), c->isr, c->imr, c->elcr, c->base,
			 c->lowest);
		for (size_t m = 0; m < UMBRA_ARRAY_SIZE(modes); m++) {
			if (has(c, modes[m].flag))
				print_to(sink, " %s", modes[m].name);
		}
		print_to(sink, c->step ? ", waits for ICW%u\n" : "\n", c->step);
	}
}

const struct dev_ops pic8259_ops = {
	.name = "pic",
	.widths = 1,
	.read = pic_read,
	.write = pic_write,
	.reset = pic_reset,
	.save = pic_save,
	.load = pic_load,
	.show = pic_show,
};

int pic8259_create(struct pic8259 **out_pic, struct irq_line intr, struct umbra_err *err)
{
	struct pic8259 *pic = calloc(1, sizeof(*pic));

	if (!pic)
		return umbra_err_set(err, ENOMEM, "no memory for the interrupt controllers");
	pic->intr = intr;
	pic_reset(pic);
	*out_pic = pic;
	return 0;
}

void pic8259_destroy(struct pic8259 *pic)
{
	free(pic);
}
