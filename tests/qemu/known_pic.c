/* The PIC's rows (known.h).  Sections are those of the 8259A data sheet. */
#include "known.h"

#include "umbra/irqchip.h"

#include <stddef.h>

#define ICW1_LTIM   0x08u
#define ICW4_SFNM   0x10u
#define OCW3_SELECT 0x08u
#define OCW3_POLL   0x04u
#define OCW3_SMM    0x20u
#define OCW3_ESMM   0x40u
#define OCW3_RR	    0x02u

/* The chip that @op accesses at its port @offset; NULL when there is none. */
static const struct pic_chip *chip_at(const struct ours *o, const struct op *op, enum op_kind kind,
				      unsigned offset)
{
	if (op->kind != kind)
		return NULL;
	if (op->port == PIC_MASTER + offset)
		return &o->pic->chip[0];
	return op->port == PIC_SLAVE + offset ? &o->pic->chip[1] : NULL;
}

static bool is_icw1(const struct op *op)
{
	return op->value & PIC_ICW1;
}

/* What acknowledges, and so depends on every request: a poll or an interrupt. */
bool known_is_acknowledge(const struct ours *o, const struct op *op)
{
	const struct pic_chip *c = chip_at(o, op, OP_IN, 0);

	if (!c)
		c = chip_at(o, op, OP_IN, 1);
	return op->kind == OP_INTA || (c && (c->flags & PIC_POLL));
}

static uint16_t hide_poll_level(const struct ours *o, const struct op *op)
{
	const struct pic_chip *c = chip_at(o, op, OP_IN, 0);

	if (!c)
		c = chip_at(o, op, OP_IN, 1);
	return c && (c->flags & PIC_POLL) && pic_chip_requested(c) == PIC_NO_IRQ ? 0x07 : 0;
}

static bool avoid_masked_eoi(const struct ours *o, const struct op *op)
{
	const struct pic_chip *c = chip_at(o, op, OP_OUT, 0);
	unsigned command = op->value >> 5;

	return c && !is_icw1(op) && !(op->value & OCW3_SELECT) && (command == 1 || command == 5) &&
	       (c->flags & PIC_SPECIAL_MASK) && (c->isr & c->imr);
}

static bool avoid_ltim(const struct ours *o, const struct op *op)
{
	return chip_at(o, op, OP_OUT, 0) && is_icw1(op) && (op->value & ICW1_LTIM);
}

static bool avoid_nested(const struct ours *o, const struct op *op)
{
	const struct pic_chip *c = chip_at(o, op, OP_OUT, 1);

	return c == &o->pic->chip[0] && c->step == 4 && (op->value & ICW4_SFNM);
}

/* Bits of the ELCR that change while their input is high or requested. */
static bool avoid_elcr(const struct ours *o, const struct op *op)
{
	unsigned index = op->port - PIC_ELCR;
	const struct pic_chip *c = &o->pic->chip[index & 1];

	return op->kind == OP_OUT && index < 2 && ((c->elcr ^ op->value) & (c->level | c->edges));
}

/* The slave's INT is an edge of the master's that was seen already. */
static bool avoid_master_icw1(const struct ours *o, const struct op *op)
{
	return op->kind == OP_OUT && op->port == PIC_MASTER && is_icw1(op) &&
	       (o->pic->chip[0].level >> PIC_CASCADE & 1);
}

static bool avoid_poll_and_read(const struct ours *o, const struct op *op)
{
	return chip_at(o, op, OP_OUT, 0) && !is_icw1(op) && (op->value & OCW3_SELECT) &&
	       (op->value & OCW3_POLL) && (op->value & OCW3_RR);
}

/* An acknowledge of one of the slave's requests while it has another. */
static bool avoid_slave_auto_eoi(const struct ours *o, const struct op *op)
{
	const struct pic_chip *slave = &o->pic->chip[1];
	int irq = pic_chip_requested(slave);
	uint8_t others;

	if (irq == PIC_NO_IRQ || !(slave->flags & PIC_AUTO_EOI) || !known_is_acknowledge(o, op))
		return false;
	if (slave->elcr & 1u << irq)
		return true;
	others = (slave->edges | (slave->level & slave->elcr)) & (uint8_t)~slave->imr;
	return others & ~(1u << irq);
}

/* OCW3 that turns special mask mode on or off, and INT with it. */
static bool avoid_special_mask(const struct ours *o, const struct op *op)
{
	const struct pic_chip *c = chip_at(o, op, OP_OUT, 0);
	struct pic_chip after;

	if (!c || is_icw1(op) || !(op->value & OCW3_SELECT) || !(op->value & OCW3_ESMM))
		return false;
	after = *c;
	after.flags &= (uint16_t)~PIC_SPECIAL_MASK;
	after.flags |= op->value & OCW3_SMM ? PIC_SPECIAL_MASK : 0;
	return (pic_chip_requested(c) == PIC_NO_IRQ) != (pic_chip_requested(&after) == PIC_NO_IRQ);
}

static uint16_t hide_base(const struct ours *o, const struct op *op)
{
	bool is_unset = o->pic->chip[0].step == 2 || o->pic->chip[1].step == 2;

	return op->kind == OP_INTA && is_unset ? 0xf8 : 0;
}

#define PACE                                                                                       \
	{                                                                                          \
		.shift = 10                                                                        \
	}

/* UART 0 at line 4 and UART 5 at line 9 are lines that are switched by IER (wiring.h). */
#define LINES	  "outb 0x3fc 8; outb 0x2fc 8; outb 0x21c 8;"
#define INIT	  "outb 0x20 0x11; outb 0x21 0x20; outb 0x21 4; outb 0x21 1;"
#define INIT_BOTH INIT "outb 0xa0 0x11; outb 0xa1 0x28; outb 0xa1 2; outb 0xa1 1;"

const struct known known_pic[] = {
	{.device = "pic",
	 .what = "a poll without a request reads as level 0, not 7",
	 .decides = "Poll Command: the level means something only when bit 7 is 1",
	 .right = RIGHT_BOTH,
	 .hides = hide_poll_level,
	 .pace = PACE,
	 .listing = INIT "outb 0x20 0x0c; inb 0x20 0x07 0x00"},
	{.device = "pic",
	 .what = "in special mask mode a non-specific EOI ends a level that is masked",
	 .decides = "End of Interrupt (EOI): an IS bit that is masked is not cleared by it",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_masked_eoi,
	 .pace = PACE,
	 .listing = LINES INIT "outb 0x3f9 2; inta 0x124 0x124; outb 0x21 0x10; outb 0x20 0x68;"
			       "outb 0x20 0x20; outb 0x20 0x0b; inb 0x20 0x10 0x00"},
	{.device = "pic",
	 .what = "ICW1's LTIM is ignored",
	 .decides = "Initialization Command Words 1 and 2: LTIM = 1 is level interrupt mode",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_ltim,
	 .pace = PACE,
	 .listing = LINES "outb 0x20 0x19; outb 0x21 0x20; outb 0x21 4; outb 0x21 1;"
			  "outb 0x3f9 2; outb 0x3f9 0; inb 0x20 0x01 0x10"},
	{.device = "pic",
	 .what = "in special fully nested mode a slave in service does not block lower levels",
	 .decides = "The Special Fully Nest Mode: further requests from the slave are recognized",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_nested,
	 .pace = PACE,
	 .listing = LINES INIT_BOTH "outb 0x20 0x11; outb 0x21 0x20; outb 0x21 4; outb 0x21 0x11;"
				    "outb 0x219 2; inta 0x129 0x129; outb 0x3f9 2; inta 0 0x124"},
	{.device = "pic",
	 .what = "a change of the ELCR acts only when the input changes next",
	 .decides =
		 "none: PIIX3 data sheet, ELCR1 and ELCR2, select what the input is compared with",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_elcr,
	 .pace = PACE,
	 .listing = LINES INIT "outb 0x3f9 2; inta 0x124 0x124; inb 0x20 0x00 0x00;"
			       "outb 0x4d0 0x10; inb 0x20 0x10 0x00"},
	{.device = "pic",
	 .what = "after ICW1 the slave's INT, high all the time, is a new edge for the master",
	 .decides = "Initialization Command Words: an input must make a low-to-high transition",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_master_icw1,
	 .pace = PACE,
	 .listing = LINES INIT_BOTH "outb 0x219 2;" INIT
				    "inb 0x20 0x00 0x00; outb 0xa1 1; inb 0x20 0x00 0x04"},
	{.device = "pic",
	 .what = "OCW3 with both P and RR also selects the register for later reads",
	 .decides =
		 "Reading the 8259A Status: polling overrides the status read when P and RR are 1",
	 .right = RIGHT_BOTH,
	 .avoids = avoid_poll_and_read,
	 .pace = PACE,
	 .listing = LINES INIT
	 "outb 0x3f9 2; inta 0x124 0x124; outb 0x20 0x0f; inb 0x20 0x07 0x00; inb 0x20 0x00 0x10"},
	{.device = "pic",
	 .what = "with automatic EOI the slave's INT stays high from one request to the next",
	 .decides = "Automatic End of Interrupt Mode: the level is in service until the last INTA",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_slave_auto_eoi,
	 .pace = PACE,
	 .listing = LINES INIT_BOTH
	 "outb 0x22c 8; outb 0xa0 0x11; outb 0xa1 0x28; outb 0xa1 2; outb 0xa1 3;"
	 "outb 0x219 2; outb 0x229 2; inta 0x129 0x129; outb 0x20 0x20; inta 0x12b 0"},
	{.device = "pic",
	 .what = "ICW1 makes the vectors' base 0",
	 .decides = "Initialization Command Words 1 and 2, a to f: not one of ICW1's effects",
	 .right = RIGHT_UMBRA,
	 .hides = hide_base,
	 .pace = PACE,
	 .listing = LINES INIT "outb 0x20 0x11; outb 0x3f9 2; inta 0x124 0x104"},
	{.device = "pic",
	 .what = "INT shows special mask mode only with the next change of something else",
	 .decides = "Special Mask Mode: it enables interrupts from all other levels",
	 .right = RIGHT_UMBRA,
	 .avoids = avoid_special_mask,
	 .pace = PACE,
	 .listing = LINES INIT "outb 0x2f9 2; inta 0x123 0x123; outb 0x3f9 2; outb 0x21 8;"
			       "outb 0x20 0x68; inta 0x124 0x000"},
	{.device = NULL},
};
