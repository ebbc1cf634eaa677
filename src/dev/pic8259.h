/* The state of the pair of 8259As: shared by pic8259.c and the tests that look into it. */
#ifndef DEV_PIC8259_H
#define DEV_PIC8259_H

#include "umbra/dev.h"
#include "umbra/types.h"

#define PIC_CASCADE 2u /* the master's input that is the slave's INT */
#define PIC_NO_IRQ  (-1)

/* Modes that are on: as saved. */
enum pic_flag {
	PIC_NEEDS_ICW4 = 1 << 0,
	PIC_SINGLE = 1 << 1,
	PIC_LTIM = 1 << 2, /* every input is level-triggered */
	PIC_AUTO_EOI = 1 << 3,
	PIC_NESTED = 1 << 4,	  /* special fully nested mode */
	PIC_AUTO_ROTATE = 1 << 5, /* rotate in automatic EOI mode */
	PIC_SPECIAL_MASK = 1 << 6,
	PIC_READ_ISR = 1 << 7,
	PIC_POLL = 1 << 8, /* the next read acknowledges */
	PIC_FLAGS = (1 << 9) - 1
};

struct pic_chip {
	uint8_t level; /* inputs as they are driven; not touched by reset */
	uint8_t edges; /* rises not yet acknowledged */
	uint8_t isr, imr, elcr, base;
	uint8_t lowest; /* the input with the lowest priority now */
	uint8_t step;	/* the next ICW, or 0 outside of initialisation */
	uint16_t flags; /* mask of enum pic_flag */
};

struct pic8259 {
	struct irq_line intr; /* [const] */
	bool is_intr_high;
	struct pic_chip chip[2]; /* master, slave */
};

/* The input that asks for service and may have it, or PIC_NO_IRQ. */
int pic_chip_requested(const struct pic_chip *c);

#endif
