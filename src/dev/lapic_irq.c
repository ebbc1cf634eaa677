/* The local APIC as a receiver and sender of interrupts: destinations, priorities, acceptance, the
 * local vector table and errors.
 * Source: SDM 3A 11.5 (local interrupts), 11.6 (IPIs), 11.8 (handling), 11.12.10 (x2APIC IDs).
 *
 * DEVIATES: there is no arbitration by bus; among the candidates of a lowest-priority message the
 * owner picks the one with the lowest lapic_arbitration.  Focus processors are not looked for.
 *
 * The spurious vector (SDM 3A 11.9) is for a request that goes away after the processor saw INTR
 * and before its INTA cycle.  Here no such time exists: lapic_take looks at IRR and at the priority
 * and acknowledges in one call.  What masks a request before it (TPR, CR8, an interrupt in service)
 * makes it wait; what takes it away (a reset, INIT) does so for the processor as well; and a level
 * that falls, or an LVT entry that is masked, leaves its bit in IRR.  So nothing is ever spurious
 * but an ExtINT, for which the 8259A has a vector of its own.
 *
 * An ExtINT is no vector: the processor is interrupted whatever its priority and gets its vector
 * from the 8259A pair.  By LINT0 it is a level, the pair's INTR; by message it is an edge of an IO
 * APIC pin, which waits here until it is taken, even if INTR has fallen by then. */
#include "lapic.h"

#define FIRST_VECTOR	  16u
#define DELIVERY_RESERVED 3u

/* Vectors in IRR, ISR and TMR: 32 in a register. */

static void vector_set(struct lapic *l, enum lapic_number first, unsigned vector, bool is_on)
{
	uint32_t *reg = &l->reg[first + vector / 32];
	uint32_t bit = 1u << (vector % 32);

	*reg = is_on ? *reg | bit : *reg & ~bit;
}

static bool vector_get(const struct lapic *l, enum lapic_number first, unsigned vector)
{
	return l->reg[first + vector / 32] >> (vector % 32) & 1;
}

static int vector_highest(const struct lapic *l, enum lapic_number first)
{
	for (int i = 7; i >= 0; i--) {
		uint32_t bits = l->reg[first + i];

		if (bits)
			return i * 32 + 31 - __builtin_clz(bits);
	}
	return LAPIC_NO_VECTOR;
}

/* Priorities (SDM 3A 11.8.3). */

uint32_t lapic_ppr(const struct lapic *l)
{
	int in_service = vector_highest(l, LAPIC_ISR);
	uint32_t isr_class = in_service < 0 ? 0 : (uint32_t)in_service & 0xf0;
	uint32_t tpr = l->reg[LAPIC_TPR];

	return (tpr & 0xf0) >= isr_class ? tpr : isr_class;
}

int lapic_pending(const struct lapic *l)
{
	int vector = lapic_is_on(l) ? vector_highest(l, LAPIC_IRR) : LAPIC_NO_VECTOR;

	if (vector < 0 || ((uint32_t)vector & 0xf0) <= (lapic_ppr(l) & 0xf0))
		return LAPIC_NO_VECTOR;
	return vector;
}

int lapic_take(struct lapic *l)
{
	int vector = lapic_pending(l);

	if (vector < 0)
		return vector;
	vector_set(l, LAPIC_IRR, (unsigned)vector, false);
	vector_set(l, LAPIC_ISR, (unsigned)vector, true);
	lapic_tell_changed(l);
	return vector;
}

unsigned lapic_arbitration(const struct lapic *l)
{
	return lapic_is_enabled(l) ? lapic_ppr(l) : 256;
}

/* Destinations (SDM 3A 11.6.2, 11.12.10). */

uint32_t lapic_logical_id(const struct lapic *l)
{
	if (lapic_is_x2(l))
		return (l->id >> 4) << 16 | 1u << (l->id & 15);
	return l->reg[LAPIC_LDR];
}

static bool is_physical_target(const struct lapic *l, uint32_t dest)
{
	return dest == (lapic_is_x2(l) ? l->id : l->reg[LAPIC_ID] >> 24);
}

/* DFR bits 31:28: all ones is the flat model, 0 the cluster model. */
static bool is_logical_target(const struct lapic *l, uint32_t dest)
{
	uint32_t id = lapic_logical_id(l);

	if (lapic_is_x2(l))
		return id >> 16 == dest >> 16 && (id & dest & 0xffff);
	if (dest > 0xff)
		return false;
	id >>= 24;
	switch (l->reg[LAPIC_DFR] >> 28) {
	case 0xf:
		return id & dest;
	case 0:
		return id >> 4 == dest >> 4 && (id & dest & 0xf);
	default:
		return false;
	}
}

bool lapic_is_target(const struct lapic *l, const struct apic_message *message)
{
	if (!lapic_is_on(l))
		return false;
	if (message->dest == (message->is_wide ? UINT32_MAX : 0xff))
		return true;
	return message->is_logical ? is_logical_target(l, message->dest)
				   : is_physical_target(l, message->dest);
}

/* Errors (SDM 3A 11.5.3): the first one since the last write of ESR interrupts. */
void lapic_error(struct lapic *l, uint32_t esr_bit)
{
	bool is_first = l->errors == 0;

	l->errors |= esr_bit;
	if (is_first)
		lapic_deliver_lvt(l, LAPIC_LVT_ERROR);
}

/* Acceptance (SDM 3A 11.8.4). */

static bool accept_vector(struct lapic *l, uint8_t vector, bool is_level)
{
	if (!lapic_is_enabled(l))
		return false;
	if (vector < FIRST_VECTOR) {
		lapic_error(l, ESR_RECEIVE_ILLEGAL);
		return false;
	}
	vector_set(l, LAPIC_IRR, vector, true);
	vector_set(l, LAPIC_TMR, vector, is_level);
	lapic_tell_changed(l);
	return true;
}

/* Not among what an APIC answers that is off by software (SDM 3A 11.4.7.2). */
static bool accept_extint(struct lapic *l)
{
	if (!lapic_is_enabled(l))
		return false;
	l->has_extint = true;
	lapic_tell_changed(l);
	return true;
}

static void signal(const struct lapic *l, enum apic_delivery delivery, uint8_t vector)
{
	l->hooks.signal(l->hooks.ctx, l->id, delivery, vector);
}

bool lapic_accept(struct lapic *l, const struct apic_message *message)
{
	if (!lapic_is_on(l))
		return false;
	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return accept_vector(l, message->vector, message->is_level);
	case APIC_INIT:
		lapic_reset_by_init(l);
		signal(l, APIC_INIT, 0);
		return true;
	case APIC_SMI:
	case APIC_NMI:
	case APIC_SIPI:
		signal(l, (enum apic_delivery)message->delivery, message->vector);
		return true;
	case APIC_EXTINT:
		return accept_extint(l);
	default: /* 3 is reserved */
		return false;
	}
}

/* Sending (SDM 3A 11.6.1).
 *
 *   19 18        15      14       12       11       10      8 7      0
 *   | shorthand | level | assert | status | logical | delivery | vector |
 *
 * INIT with level and no assert is INIT level de-assert, which processors of today ignore.  ExtINT
 * is the IO APIC's to send: in ICR its number is reserved, and so is 3. */
void lapic_send(struct lapic *l, uint32_t icr, uint32_t dest, bool is_wide)
{
	struct apic_message message = {
		.dest = dest,
		.vector = (uint8_t)icr,
		.delivery = icr >> 8 & 7,
		.is_logical = icr >> 11 & 1,
		.is_wide = is_wide,
		.shorthand = (enum apic_shorthand)(icr >> 18 & 3),
	};
	bool is_deassert = (icr >> 15 & 1) && !(icr >> 14 & 1);

	if ((message.delivery == APIC_INIT && is_deassert) ||
	    message.delivery == DELIVERY_RESERVED || message.delivery == APIC_EXTINT)
		return;
	if (message.delivery <= APIC_LOWEST && message.vector < FIRST_VECTOR) {
		lapic_error(l, ESR_SEND_ILLEGAL);
		return;
	}
	l->hooks.send(l->hooks.ctx, l->id, &message);
}

void lapic_self_ipi(struct lapic *l, uint8_t vector)
{
	if (vector < FIRST_VECTOR)
		lapic_error(l, ESR_SEND_ILLEGAL);
	else
		accept_vector(l, vector, false);
}

/* Local vector table (SDM 3A 11.5.1). */

static bool has_delivery_mode(enum lapic_number lvt)
{
	return lvt != LAPIC_LVT_TIMER && lvt != LAPIC_LVT_ERROR;
}

/* Of an entry ExtINT is a level that lapic_has_extint shows, no event, and for LINT0 only. */
void lapic_deliver_lvt(struct lapic *l, enum lapic_number lvt)
{
	uint32_t entry = l->reg[lvt];
	struct apic_message message = {
		.vector = entry & LVT_VECTOR,
		.delivery = has_delivery_mode(lvt) ? LVT_MODE(entry) : APIC_FIXED,
		.is_level = entry & LVT_RIRR,
	};

	if (entry & LVT_MASKED || message.delivery == APIC_LOWEST ||
	    message.delivery == APIC_SIPI || message.delivery == APIC_EXTINT)
		return;
	lapic_accept(l, &message);
}

static enum lapic_number lint_lvt(unsigned pin)
{
	return pin ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0;
}

/* Only fixed interrupts can be level-triggered. */
static bool is_lint_level(uint32_t entry)
{
	return (entry & LVT_LEVEL) && LVT_MODE(entry) == APIC_FIXED;
}

void lapic_serve_lint(struct lapic *l, unsigned pin)
{
	uint32_t *entry = &l->reg[lint_lvt(pin)];

	if (!is_lint_level(*entry))
		*entry &= ~LVT_RIRR;
	else if (l->lint[pin] && !(*entry & (LVT_MASKED | LVT_RIRR)) && lapic_is_enabled(l) &&
		 (*entry & LVT_VECTOR) >= FIRST_VECTOR) {
		*entry |= LVT_RIRR;
		lapic_deliver_lvt(l, lint_lvt(pin));
	}
}

void lapic_set_lint(struct lapic *l, unsigned pin, bool is_high)
{
	bool has_risen = is_high && !l->lint[pin];

	l->lint[pin] = is_high;
	if (is_lint_level(l->reg[lint_lvt(pin)]))
		lapic_serve_lint(l, pin);
	else if (has_risen)
		lapic_deliver_lvt(l, lint_lvt(pin));
	lapic_tell_changed(l);
}

/* An APIC that is off lets INTR through to the processor (SDM 3A 11.4.3). */
bool lapic_has_extint(const struct lapic *l)
{
	uint32_t entry = l->reg[LAPIC_LVT_LINT0];
	bool is_open = !(entry & LVT_MASKED) && LVT_MODE(entry) == APIC_EXTINT;

	return l->has_extint || (l->lint[0] && (is_open || !lapic_is_on(l)));
}

/* One INTA cycle answers both ways. */
void lapic_take_extint(struct lapic *l)
{
	l->has_extint = false;
	lapic_tell_changed(l);
}

bool lapic_has_open_nmi(const struct lapic *l)
{
	uint32_t entry = l->reg[LAPIC_LVT_LINT0];
	unsigned mode = LVT_MODE(entry);

	return lapic_is_on(l) && !(entry & LVT_MASKED) && (mode == APIC_NMI || mode == APIC_INIT);
}

/* EOI (SDM 3A 11.8.5). */
void lapic_end_of_interrupt(struct lapic *l)
{
	int vector = vector_highest(l, LAPIC_ISR);

	if (vector < 0)
		return;
	vector_set(l, LAPIC_ISR, (unsigned)vector, false);
	lapic_tell_changed(l);
	if (!vector_get(l, LAPIC_TMR, (unsigned)vector))
		return;
	for (unsigned pin = 0; pin < 2; pin++) {
		uint32_t *entry = &l->reg[lint_lvt(pin)];

		if (!(*entry & LVT_RIRR) || (*entry & LVT_VECTOR) != (uint32_t)vector)
			continue;
		*entry &= ~LVT_RIRR;
		lapic_serve_lint(l, pin);
	}
	l->hooks.eoi(l->hooks.ctx, (uint8_t)vector);
}
