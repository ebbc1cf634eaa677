/* Random sequences: weighted, aware of what the registers mean, and without a thought for what is
 * known to differ, which is dropped later. */
#ifndef UMBRA_QEMU_GEN_H
#define UMBRA_QEMU_GEN_H

#include "sequence.h"

#include "tests/diff/rng.h"

struct group {
	const char *name;
	struct pace pace;
	/* Fill @s, which is empty but for its pace. */
	void (*fill)(struct rng *r, struct sequence *s);
};

void gen_uart(struct rng *r, struct sequence *s);
void gen_pic(struct rng *r, struct sequence *s);
void gen_pit(struct rng *r, struct sequence *s);
void gen_rtc(struct rng *r, struct sequence *s);

/* Counter 0 comes to its end, and to a rest, before the PICs are set up. */
void gen_quiet_timer(struct sequence *s);
/* Set both PICs up: ICW1 with @icw1, ICW4 with @icw4 where there is one. */
void gen_pic_init(struct sequence *s, unsigned icw1, unsigned icw4);
/* Read a PIC's request register. */
void gen_pic_irr(struct sequence *s, unsigned port);

#endif
