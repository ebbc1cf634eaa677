/* The local APIC's timer: a count-down at 1 GHz divided by 1 to 128, or a value of the TSC.
 * What is kept is when it reaches 0; the count is computed from that.
 * Source: SDM 3A 11.5.4. */
#include "lapic.h"

#define TIMER_MODE_SHIFT 17

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE, TIMER_RESERVED };

static enum timer_mode mode_of(uint32_t lvt)
{
	return (enum timer_mode)(lvt >> TIMER_MODE_SHIFT & 3);
}

static bool is_tsc_mode(const struct lapic *l)
{
	return mode_of(l->reg[LAPIC_LVT_TIMER]) == TIMER_TSC_DEADLINE;
}

/* SDM 3A figure 11-10: bits 3, 1 and 0 give 2, 4 ... 128, 1. */
static unsigned divide_shift(const struct lapic *l)
{
	uint32_t divide = l->reg[LAPIC_DIVIDE];

	return ((divide & 3) + (divide >> 1 & 4) + 1) & 7;
}

/* A count that has begun is not yet gone. */
uint32_t lapic_timer_count(const struct lapic *l, struct lapic_time now)
{
	unsigned shift = divide_shift(l);
	uint64_t left;

	if (l->due_ns == IRQCHIP_NEVER || l->due_ns <= now.ns)
		return 0;
	left = l->due_ns - now.ns;
	return (uint32_t)((left + (1u << shift) - 1) >> shift);
}

static void start(struct lapic *l, uint32_t count, struct lapic_time now)
{
	l->due_ns = IRQCHIP_NEVER;
	if (count)
		l->due_ns = now.ns + ((uint64_t)count << divide_shift(l));
	lapic_tell_changed(l);
}

/* In TSC-deadline mode the write is ignored. */
void lapic_timer_set_initial(struct lapic *l, uint32_t count, struct lapic_time now)
{
	if (is_tsc_mode(l))
		return;
	l->reg[LAPIC_INITIAL] = count;
	start(l, count, now);
}

/* The count goes on from where it is, at the new speed. */
void lapic_timer_set_divide(struct lapic *l, uint32_t divide, struct lapic_time now)
{
	uint32_t left = lapic_timer_count(l, now);

	l->reg[LAPIC_DIVIDE] = divide;
	start(l, left, now);
}

/* Going to or from TSC-deadline mode disarms the timer; otherwise the count goes on. */
void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt)
{
	bool was_tsc = is_tsc_mode(l);

	l->reg[LAPIC_LVT_TIMER] = lvt;
	if (is_tsc_mode(l) != was_tsc) {
		l->due_ns = IRQCHIP_NEVER;
		l->tsc_deadline = 0;
		l->reg[LAPIC_INITIAL] = 0;
	}
	lapic_tell_changed(l);
}

/* Outside of its mode the MSR reads 0 and ignores writes. */
uint64_t lapic_timer_deadline(const struct lapic *l)
{
	return l->tsc_deadline;
}

void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc, struct lapic_time now)
{
	if (!is_tsc_mode(l) || !lapic_is_on(l))
		return;
	l->tsc_deadline = tsc;
	lapic_tell_changed(l);
	lapic_tick(l, now);
}

static bool is_masked(const struct lapic *l)
{
	return l->reg[LAPIC_LVT_TIMER] & LVT_MASKED;
}

/* Nobody sees a masked timer expire, so nobody need wake for it; lapic_tick catches up. */
uint64_t lapic_timer_ns(const struct lapic *l)
{
	return is_masked(l) ? IRQCHIP_NEVER : l->due_ns;
}

uint64_t lapic_timer_tsc(const struct lapic *l)
{
	return is_masked(l) || !l->tsc_deadline ? IRQCHIP_NEVER : l->tsc_deadline;
}

/* Periods that passed unseen give one interrupt: IRR has one bit. */
static void expire(struct lapic *l, uint64_t now_ns)
{
	uint64_t period = (uint64_t)l->reg[LAPIC_INITIAL] << divide_shift(l);

	if (mode_of(l->reg[LAPIC_LVT_TIMER]) == TIMER_PERIODIC && period)
		l->due_ns += ((now_ns - l->due_ns) / period + 1) * period;
	else
		l->due_ns = IRQCHIP_NEVER;
}

void lapic_tick(struct lapic *l, struct lapic_time now)
{
	if (l->due_ns <= now.ns && l->due_ns != IRQCHIP_NEVER) {
		expire(l, now.ns);
		lapic_deliver_lvt(l, LAPIC_LVT_TIMER);
		lapic_tell_changed(l);
	}
	if (l->tsc_deadline && l->tsc_deadline <= now.tsc) {
		l->tsc_deadline = 0;
		lapic_deliver_lvt(l, LAPIC_LVT_TIMER);
		lapic_tell_changed(l);
	}
}
