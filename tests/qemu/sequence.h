/* A sequence of port operations and steps of time, and its listing.  A listing's lines are those of
 * QEMU's test protocol, so that a person can give them to it too, and `inta`, which it has not:
 *
 *   outb PORT VALUE        inb PORT        clock_step NS        inta
 *
 * `inta` lets the processor take one interrupt, if INTR is on: 0x100 + its vector, or 0.  Behind an
 * inb or inta a listing may have two numbers, umbra's and QEMU's result.  Numbers are as in C;
 * lines end at a newline or a semicolon, and # begins a comment. */
#ifndef UMBRA_QEMU_SEQUENCE_H
#define UMBRA_QEMU_SEQUENCE_H

#include <stdbool.h>
#include <stdint.h>

#define SEQ_OPS_MAX 2000u

enum op_kind {
	OP_OUT,
	OP_IN,
	OP_WAIT, /* clock_step */
	OP_INTA,
};

struct op {
	enum op_kind kind;
	uint16_t port;
	uint8_t value;
	uint32_t ns;
};

/* How time goes by: QEMU's processor takes 2^shift ns for each instruction. */
struct pace {
	unsigned shift;
	/* Every operation comes at one phase of the 8254's clock (image.h). */
	bool is_aligned;
};

struct sequence {
	struct pace pace;
	unsigned count;
	struct op op[SEQ_OPS_MAX];
};

/* What the operations of a sequence gave: 0 for those that give nothing. */
struct results {
	uint16_t value[SEQ_OPS_MAX];
};

/* What does not fit is dropped. */
void seq_add(struct sequence *s, struct op op);
void seq_out(struct sequence *s, uint16_t port, unsigned value);
void seq_in(struct sequence *s, uint16_t port);
void seq_wait(struct sequence *s, uint32_t ns);
void seq_inta(struct sequence *s);

/* Does @op have a result? */
bool op_has_result(const struct op *op);

/* Print operations @first to before @end, one a line that begins with "# "; results where @ours is
 * not NULL, and a mark where they differ. */
void seq_print(const struct sequence *s, const struct results *ours, const struct results *theirs,
	       unsigned first, unsigned end);
/* Append the listing @text; the two numbers of a line go to @ours and @theirs, which may be NULL.
 * False: a line is none, and it is printed. */
bool seq_parse(struct sequence *s, const char *text, struct results *ours, struct results *theirs);

#endif
