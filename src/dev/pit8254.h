/* The state of the 8254, and one counter of it: shared by pit8254.c, pit8254_counter.c and the unit
 * tests. Times are ticks of the 1193182 Hz clock.  Nothing counts: output and value are functions
 * of how many ticks have passed since the count was loaded.
 *
 *        written            loaded                      first change of OUT
 *   -------|------------------|----------------------------|----------->
 *        tick               start = tick + 1             e = tick - start
 */
#ifndef DEV_PIT8254_H
#define DEV_PIT8254_H

#include "umbra/blob.h"
#include "umbra/dev.h"
#include "umbra/types.h"

#define PIT_NEVER    INT64_MAX
#define PIT_COUNTERS 3u

/* Control word (8254 data sheet, figure 7). */
#define PIT_CONTROL_BCD	 0x01u
#define PIT_CONTROL_MODE 0x0eu
#define PIT_CONTROL_RW	 0x30u
#define PIT_CONTROL_KEPT 0x3fu

enum pit_rw { PIT_RW_LATCH = 0, PIT_RW_LSB = 1, PIT_RW_MSB = 2, PIT_RW_BOTH = 3 };

struct pit_counter {
	uint8_t control; /* the last control word's low six bits */
	bool gate;
	bool is_loaded;	   /* a count was loaded since the control word */
	bool is_counting;  /* else it stands still at `frozen` */
	bool has_new;	   /* `written` has not been loaded yet: waits for a trigger or switch_at */
	bool was_high;	   /* OUT when a trigger came: until `start` */
	uint16_t written;  /* count register */
	uint32_t period;   /* what was loaded: 1 (2 in modes 2 and 3) to 65536 */
	int64_t start;	   /* tick of the load */
	int64_t frozen;	   /* ticks since the load */
	int64_t switch_at; /* modes 2 and 3 with has_new: ticks since the load */

	/* The bus side. */
	bool is_write_msb, is_read_msb; /* the second byte of two is next */
	bool has_latch, has_status;
	uint8_t write_lsb;
	uint8_t status;
	uint16_t latch;
};

struct pit8254 {
	struct irq_line irq; /* [const] */
	bool is_irq_high;
	int64_t tick; /* the present */
	uint8_t port61;
	struct pit_counter counter[PIT_COUNTERS];
};

unsigned pit_counter_mode(const struct pit_counter *c);
enum pit_rw pit_counter_rw(const struct pit_counter *c);
/* Load what is to be loaded by @tick; before any other call for a later tick. */
void pit_counter_sync(struct pit_counter *c, int64_t tick);
bool pit_counter_is_high(const struct pit_counter *c, int64_t tick); /* OUT */
bool pit_counter_is_null(const struct pit_counter *c, int64_t tick); /* the count is not loaded */
uint16_t pit_counter_value(const struct pit_counter *c, int64_t tick);
/* The first tick after @tick at which OUT is another, or PIT_NEVER. */
int64_t pit_counter_next_edge(const struct pit_counter *c, int64_t tick);

void pit_counter_set_control(struct pit_counter *c, uint8_t control);
/* All bytes of a count were written. */
void pit_counter_set_count(struct pit_counter *c, uint16_t count, int64_t tick);
/* The first byte of two was written. */
void pit_counter_begin_count(struct pit_counter *c);
void pit_counter_set_gate(struct pit_counter *c, bool is_high, int64_t tick);

void pit_counter_save(const struct pit_counter *c, struct blob *out);
/* False: cut off, or not a state of a counter at @tick. */
bool pit_counter_load(struct pit_counter *c, struct blob *in, int64_t tick);

#endif
