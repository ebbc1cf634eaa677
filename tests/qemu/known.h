/* The differences between umbra's devices and QEMU's that are known, each with the section of the
 * data sheet that decides it: a table, and what the random sequences do about its rows.
 *
 * A row avoids operations that would bring the two apart, or hides bits of results; and it has a
 * listing that shows the difference, with both results, so that a row that no longer holds is
 * found out. */
#ifndef UMBRA_QEMU_KNOWN_H
#define UMBRA_QEMU_KNOWN_H

#include "ours.h"

enum known_right {
	RIGHT_UMBRA,
	RIGHT_QEMU,
	RIGHT_BOTH, /* the data sheet leaves it open */
};

struct known {
	const char *device;
	const char *what;
	const char *decides; /* the data sheet's section */
	enum known_right right;
	/* What the devices are like is what @o is like before @op; both may be NULL. */
	bool (*avoids)(const struct ours *o, const struct op *op);
	uint16_t (*hides)(const struct ours *o, const struct op *op); /* bits of its result */
	struct pace pace;
	const char *listing;
};

/* A table for each device; it ends with a row without a device. */
extern const struct known known_uart[];
extern const struct known known_pic[];
extern const struct known known_pit[];
extern const struct known known_rtc[];

/* known_before for the clock (known_rtc.c). */
void known_note_rtc(struct ours *o, const struct op *op);

/* All rows, counted from 0; NULL past the last. */
const struct known *known_row(unsigned index);

/* For rows: does @op acknowledge what the PIC asks for, as an interrupt or by a poll? */
bool known_is_acknowledge(const struct ours *o, const struct op *op);

/* Does a row avoid @op? */
bool known_is_avoided(const struct ours *o, const struct op *op);
/* The bits of @op's result that rows hide. */
uint16_t known_hidden(const struct ours *o, const struct op *op);
/* @op is about to be done, or was: note what rows need to know of QEMU in @o. */
void known_before(struct ours *o, const struct op *op);
void known_after(struct ours *o, const struct op *op);

#endif
