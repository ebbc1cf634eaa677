/* See catch.h.  Pure. */
#include "catch.h"

#include "stop.h"

#include "umbra/types.h"

#include <string.h>

#define SIGINFO_BYTES 128u
#define SIGNAL_TRAP   5u

static bool has(const uint8_t set[RSP_SIGNAL_BYTES], unsigned signal)
{
	return set[signal / 8] >> signal % 8 & 1;
}

static bool is_empty(const uint8_t set[RSP_SIGNAL_BYTES])
{
	for (unsigned i = 0; i < RSP_SIGNAL_BYTES; i++) {
		if (set[i])
			return false;
	}
	return true;
}

static void note_changes(struct catch *c, const uint8_t was[RSP_SIGNAL_BYTES],
			 const uint8_t is[RSP_SIGNAL_BYTES])
{
	for (unsigned i = 0; i < RSP_SIGNAL_BYTES; i++)
		c->touched[i] |= was[i] ^ is[i];
}

/* gdb empties the table while it steps over a breakpoint, to hear of everything; that is not the
 * person's word. */
void catch_pass(struct catch *c, const uint8_t set[RSP_SIGNAL_BYTES])
{
	if (is_empty(set))
		return;
	if (c->has_pass)
		note_changes(c, c->pass, set);
	memcpy(c->pass, set, sizeof(c->pass));
	c->has_pass = true;
}

void catch_program(struct catch *c, const uint8_t set[RSP_SIGNAL_BYTES])
{
	if (c->has_program)
		note_changes(c, c->program, set);
	memcpy(c->program, set, sizeof(c->program));
	c->has_program = true;
}

void catch_clear(struct catch *c)
{
	*c = (struct catch){.takes_all = false};
}

uint32_t catch_vectors(const struct catch *c)
{
	uint32_t vectors = c->wanted.vectors;

	for (unsigned vector = 0; vector < 32; vector++) {
		unsigned signal = stop_signal_of(vector);
		bool counts = c->takes_all || has(c->touched, signal);

		/* SIGTRAP is what breakpoints are. */
		if (signal != SIGNAL_TRAP && counts && !has(c->pass, signal))
			vectors |= 1u << vector;
	}
	return vectors;
}

size_t catch_siginfo(const struct accel_caught *caught, uint64_t pc, uint8_t *out, size_t size)
{
	if (caught->kind != ACCEL_CAUGHT_EXCEPTION || size < SIGINFO_BYTES)
		return 0;
	memset(out, 0, SIGINFO_BYTES);
	le32_put(out, stop_signal_of(caught->number));
	le32_put(out + 4, caught->error);
	le32_put(out + 8, caught->number);
	le64_put(out + 16, caught->number == X86_EXC_PF ? caught->cr2 : pc);
	return SIGINFO_BYTES;
}
