/* The gate as long as nothing is recorded: the host's clock counted from the machine's creation,
 * the host's input as it comes, the kernel's random numbers.  No other file of the machine may ask
 * the host for any of these, so that a recording of the gate is a recording of the machine. */
#include "umbra/record.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#define NS_PER_S 1000000000ull

struct gate {
	uint64_t start_ns; /* [const] host time at creation */
};

static uint64_t host_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

int gate_create(struct gate **out_gate, struct umbra_err *err)
{
	struct gate *gate = malloc(sizeof(*gate));

	if (!gate)
		return umbra_err_set(err, ENOMEM, "no memory for the record gate");
	gate->start_ns = host_now_ns();
	*out_gate = gate;
	return 0;
}

void gate_destroy(struct gate *gate)
{
	free(gate);
}

uint64_t gate_now_ns(struct gate *gate)
{
	return host_now_ns() - gate->start_ns;
}

size_t gate_input(struct gate *gate, unsigned source, uint8_t *data, size_t len)
{
	(void)gate;
	(void)source;
	(void)data;
	return len;
}

void gate_random(struct gate *gate, void *out, size_t len)
{
	uint8_t *at = out;

	(void)gate;
	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);

		/* Without flags only a signal can interrupt it (getrandom(2)), and a short count is
		 * gone on with. */
		if (got < 0)
			continue;
		at += got;
		len -= (size_t)got;
	}
}
