/* The only door through which time, host input and chance reach the guest.  Today it passes them
 * through; recording will write down, and replay will substitute, exactly what passes here.
 * Call: the holder of the device lock that the value is for; gate_input: the control thread. */
#ifndef UMBRA_RECORD_H
#define UMBRA_RECORD_H

#include "umbra/err.h"

#include <stddef.h>
#include <stdint.h>

struct gate;

/* Errors: -ENOMEM. */
int gate_create(struct gate **out_gate, struct umbra_err *err);
void gate_destroy(struct gate *gate);

/* Nanoseconds of guest time; starts near 0, never steps back. */
uint64_t gate_now_ns(struct gate *gate);

/* @len bytes of host input for source number @source (a serial port's index) are about to reach
 * the guest.  Returns how many of them may be delivered now; @data may be rewritten in place. */
size_t gate_input(struct gate *gate, unsigned source, uint8_t *data, size_t len);

/* Fill @out with @len unpredictable bytes. */
void gate_random(struct gate *gate, void *out, size_t len);

#endif
