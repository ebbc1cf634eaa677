/* The local APIC's saved form and its picture for a person. */
#include "lapic.h"

#include <errno.h>

#define LAPIC_STATE_VERSION 2
#define BASE_BITS	    (~(uint64_t)0xfff | LAPIC_BASE_BSP | LAPIC_BASE_EXTD | LAPIC_BASE_EN)

void lapic_save(const void *state, struct blob *out)
{
	const struct lapic *l = state;

	blob_put_u8(out, LAPIC_STATE_VERSION);
	blob_put_u8(out, (uint8_t)l->id);
	blob_put_u8(out, (uint8_t)(l->lint[0] | l->lint[1] << 1 | l->has_extint << 2));
	blob_put_u64(out, l->base);
	blob_put_u32(out, l->errors);
	blob_put_u64(out, l->due_ns);
	blob_put_u64(out, l->tsc_deadline);
	for (unsigned i = 0; i < LAPIC_NUMBERS; i++)
		blob_put_u32(out, l->reg[i]);
}

/* What the register's table row lets nobody change is as at reset.  The vectors and ESR, which the
 * chip itself fills, are held against their own rules. */
static bool is_reg_possible(const struct lapic *l, const struct lapic_reg *reg)
{
	uint32_t fixed = ~(reg->writable | reg->ignored);
	uint32_t value = l->reg[reg->number];

	switch (reg->number) {
	case LAPIC_ISR:
	case LAPIC_TMR:
	case LAPIC_IRR:
		return !(value & 0xffff); /* vectors 0 to 15 are never accepted */
	case LAPIC_ESR:
		return !(value & ~ESR_BITS);
	case LAPIC_ICR_HIGH:
		return lapic_is_x2(l) || !(value & fixed);
	default:
		return (value & fixed) == (reg->at_reset & fixed);
	}
}

static bool is_possible(const struct lapic *l, uint8_t inputs)
{
	uint32_t known[LAPIC_NUMBERS] = {0};

	for (unsigned i = 0; i < lapic_reg_count; i++) {
		for (unsigned n = 0; n < lapic_regs[i].count; n++)
			known[lapic_regs[i].number + n] = 1;
		if (!is_reg_possible(l, &lapic_regs[i]))
			return false;
	}
	for (unsigned n = 0; n < LAPIC_NUMBERS; n++) {
		if (!known[n] && l->reg[n])
			return false;
	}
	if ((l->base & ~BASE_BITS) || (lapic_is_x2(l) && !lapic_is_on(l)))
		return false;
	return !(l->errors & ~ESR_BITS) && inputs <= 7 && (lapic_is_on(l) || !l->has_extint);
}

int lapic_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct lapic *l = state;
	struct lapic loaded = *l;
	uint8_t version = blob_get_u8(in);
	uint8_t id = blob_get_u8(in);
	uint8_t inputs = blob_get_u8(in);

	loaded.lint[0] = inputs & 1;
	loaded.lint[1] = inputs >> 1 & 1;
	loaded.has_extint = inputs >> 2 & 1;
	loaded.base = blob_get_u64(in);
	loaded.errors = blob_get_u32(in);
	loaded.due_ns = blob_get_u64(in);
	loaded.tsc_deadline = blob_get_u64(in);
	for (unsigned i = 0; i < LAPIC_NUMBERS; i++)
		loaded.reg[i] = blob_get_u32(in);
	if (in->is_failed || version != LAPIC_STATE_VERSION || id != l->id ||
	    !is_possible(&loaded, inputs))
		return umbra_err_set(
			err, EINVAL,
			"lapic %u: saved state has version %u (expected %d) and id %u, "
			"is cut off or has bits that no local APIC holds",
			l->id, version, LAPIC_STATE_VERSION, id);
	*l = loaded;
	lapic_tell_changed(l);
	return 0;
}

/* Show. */

static void show_vectors(const struct lapic *l, const char *name, enum lapic_number first,
			 const struct print_sink *sink)
{
	print_to(sink, "  %s", name);
	for (unsigned v = 0; v < 256; v++) {
		if (l->reg[first + v / 32] >> (v % 32) & 1)
			print_to(sink, " %02x", v);
	}
	print_to(sink, "\n");
}

static void show_lvt(const struct lapic *l, const struct print_sink *sink)
{
	static const char *const delivery[8] = {"fixed", "reserved", "smi",	 "reserved",
						"nmi",	 "init",     "reserved", "extint"};

	for (unsigned i = 0; i < lapic_reg_count; i++) {
		const struct lapic_reg *reg = &lapic_regs[i];
		uint32_t v = l->reg[reg->number];

		if (reg->number < LAPIC_LVT_TIMER || reg->number > LAPIC_LVT_ERROR)
			continue;
		print_to(sink, "  %-11s %05x vector %02x %s%s\n", reg->name, v, v & LVT_VECTOR,
			 delivery[LVT_MODE(v)], v & LVT_MASKED ? ", masked" : "");
	}
}

void lapic_show(const void *state, const struct print_sink *sink)
{
	const struct lapic *l = state;
	const char *mode = !lapic_is_on(l) ? "off" : lapic_is_x2(l) ? "x2APIC" : "xAPIC";

	print_to(sink, "lapic %u: %s at %#llx%s, %s by software, logical id %08x\n", l->id, mode,
		 (unsigned long long)(l->base & UMBRA_PAGE_MASK),
		 l->base & LAPIC_BASE_BSP ? ", bootstrap processor" : "",
		 l->reg[LAPIC_SVR] & LAPIC_SVR_ENABLED ? "on" : "off", lapic_logical_id(l));
	print_to(sink, "  tpr %02x ppr %02x svr %03x esr %02x icr %08x %08x\n", l->reg[LAPIC_TPR],
		 lapic_ppr(l), l->reg[LAPIC_SVR], l->reg[LAPIC_ESR], l->reg[LAPIC_ICR_HIGH],
		 l->reg[LAPIC_ICR]);
	if (l->has_extint)
		print_to(sink, "  an ExtINT message waits\n");
	show_vectors(l, "irr", LAPIC_IRR, sink);
	show_vectors(l, "isr", LAPIC_ISR, sink);
	show_vectors(l, "tmr", LAPIC_TMR, sink);
	show_lvt(l, sink);
	print_to(sink, "  timer: initial %u, divide %x", l->reg[LAPIC_INITIAL],
		 l->reg[LAPIC_DIVIDE]);
	if (l->due_ns != IRQCHIP_NEVER)
		print_to(sink, ", fires at %llu ns", (unsigned long long)l->due_ns);
	if (l->tsc_deadline)
		print_to(sink, ", fires at tsc %llu", (unsigned long long)l->tsc_deadline);
	print_to(sink, "\n");
}
