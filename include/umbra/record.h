/* The only door through which time, host input and chance reach the guest.  Today it passes them
 * through; recording will write down, and replay will substitute, exactly what passes here.
 * Call: the holder of the device lock that the value is for; gate_input: the control thread. */
#ifndef UMBRA_RECORD_H
#define UMBRA_RECORD_H

#include "umbra/err.h"

#include <stddef.h>
#include <stdint.h>

struct gate;
struct gate_timer;

/* Errors: -ENOMEM, -EAGAIN. */
int gate_create(struct gate **out_gate, struct umbra_err *err);
/* Frees its timers too.  NULL is allowed. */
void gate_destroy(struct gate *gate);

/* Guest time: nanoseconds; starts near 0, never steps back but to 0 when the machine is reset,
 * after its devices were. */

#define GATE_NEVER UINT64_MAX /* a time that does not come */

uint64_t gate_now_ns(struct gate *gate);

/* Who counts guest time, and lets timers fire. */
struct gate_clock {
	/* The present; NULL: the host's monotonic clock, counted from gate_create. */
	uint64_t (*now_ns)(void *ctx);
	/* gate_deadline has become earlier than it was: whoever waits for it has to look again.
	 * Call: any thread, a device's lock held. */
	void (*deadline_moved)(void *ctx);
	void *ctx;
};
/* Both functions of the clock are optional.  Call: while the machine is built; the last one counts.
 */
void gate_set_clock(struct gate *gate, const struct gate_clock *clock);

/* The host's monotonic clock, counted from gate_create: for a clock that keeps pace with it. */
uint64_t gate_host_ns(const struct gate *gate);

/* The time of day at guest time 0, in seconds since 1970-01-01 00:00 UTC: the host's when the gate
 * was created, until it is set.  Call: gate_set_epoch_s, while the machine is built. */
int64_t gate_epoch_s(const struct gate *gate);
void gate_set_epoch_s(struct gate *gate, int64_t epoch_s);

/* A timer of a device, not armed yet.  @fn is called with no lock held, once for each time that it
 * was armed, at or after its deadline.  The gate owns it.
 * Call: while the machine is built.  Errors: -ENOMEM. */
int gate_timer_add(struct gate_timer **out_timer, struct gate *gate, void (*fn)(void *ctx),
		   void *ctx, struct umbra_err *err);
/* (Re)arm for guest time @deadline_ns; GATE_NEVER disarms.  Call: any thread, the device's lock
 * held. */
void gate_timer_arm(struct gate_timer *timer, uint64_t deadline_ns);
/* When the next timer is due, or GATE_NEVER.  Call: any thread. */
uint64_t gate_deadline(const struct gate *gate);
/* Let every timer fire that is due at the present, in the order of their deadlines (of equal ones,
 * of their creation).  Call: who counts the time, no lock held, one thread at a time. */
void gate_run(struct gate *gate);

/* @len bytes of host input for source number @source (a serial port's index) are about to reach
 * the guest.  Returns how many of them may be delivered now; @data may be rewritten in place. */
size_t gate_input(struct gate *gate, unsigned source, uint8_t *data, size_t len);

/* Fill @out with @len unpredictable bytes. */
void gate_random(struct gate *gate, void *out, size_t len);

#endif
