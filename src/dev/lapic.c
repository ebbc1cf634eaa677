/* The local APIC's registers: what each access by MMIO (xAPIC) or MSR (x2APIC) reads and changes,
 * the modes, and reset.  The table lapic_regs says who may do what to which bits.
 * Source: SDM 3A 11.4 (base, reset, SVR), 11.5, 11.6, 11.8, 11.12 (x2APIC).
 *
 * DEVIATES: after reset LINT0 of the bootstrap processor is open as ExtINT, as in KVM: a guest that
 * starts without firmware gets its 8259A interrupts. */
#include "lapic.h"

#include <errno.h>
#include <stdlib.h>

#define MSR_X2APIC	 0x800u
#define MSR_X2APIC_COUNT 0x100u
#define MSR_TSC_DEADLINE 0x6e0u

#define ICR_WRITABLE   0x000ccfffu
#define ICR_WIDE       0xffffffff000cdfffull /* bit 12, once the status, may be written */
#define LVT_STATUS     (1u << 12)
#define LINT_READ_ONLY (LVT_STATUS | LVT_RIRR)
#define LINT0_EXTINT   (APIC_EXTINT << 8)
#define VERSION_VALUE  0x00050014u /* six local vectors, no suppression of EOI broadcasts */
#define BASE_LOW_KEPT  (LAPIC_BASE_BSP | LAPIC_BASE_EXTD | LAPIC_BASE_EN)

/* Registers. */

static uint32_t read_id(const struct lapic *l, struct lapic_time now)
{
	(void)now;
	return lapic_is_x2(l) ? l->id : l->reg[LAPIC_ID];
}

static uint32_t read_ppr(const struct lapic *l, struct lapic_time now)
{
	(void)now;
	return lapic_ppr(l);
}

static uint32_t read_ldr(const struct lapic *l, struct lapic_time now)
{
	(void)now;
	return lapic_logical_id(l);
}

static void write_tpr(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	l->reg[LAPIC_TPR] = value;
	lapic_tell_changed(l);
}

static void write_eoi(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)value;
	(void)now;
	lapic_end_of_interrupt(l);
}

/* The bits below the model are all ones. */
static void write_dfr(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	l->reg[LAPIC_DFR] = value | 0x0fffffff;
}

/* SDM 3A 11.4.7.2: switching the APIC off by software masks every local interrupt. */
static void write_svr(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	l->reg[LAPIC_SVR] = value;
	for (unsigned n = LAPIC_LVT_TIMER; n <= LAPIC_LVT_ERROR && !lapic_is_enabled(l); n++)
		l->reg[n] |= LVT_MASKED;
	lapic_tell_changed(l);
}

/* What was found since the last write becomes readable. */
static void write_esr(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)value;
	(void)now;
	l->reg[LAPIC_ESR] = l->errors;
	l->errors = 0;
}

/* As xAPIC: the destination is in bits 31:24 of the upper half. */
static void write_icr(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	l->reg[LAPIC_ICR] = value;
	lapic_send(l, value, l->reg[LAPIC_ICR_HIGH] >> 24, false);
}

/* The mask cannot be cleared while the APIC is off by software. */
static uint32_t lvt_value(const struct lapic *l, uint32_t value)
{
	return lapic_is_enabled(l) ? value : value | LVT_MASKED;
}

static void write_lvt_timer(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	lapic_timer_set_lvt(l, lvt_value(l, value));
}

static void write_lvt_thermal(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	l->reg[LAPIC_LVT_THERMAL] = lvt_value(l, value);
}

static void write_lvt_perf(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	l->reg[LAPIC_LVT_PERF] = lvt_value(l, value);
}

static void write_lvt_error(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	l->reg[LAPIC_LVT_ERROR] = lvt_value(l, value);
}

static void write_lint(struct lapic *l, unsigned pin, uint32_t value)
{
	uint32_t *entry = &l->reg[pin ? LAPIC_LVT_LINT1 : LAPIC_LVT_LINT0];

	*entry = (*entry & LVT_RIRR) | lvt_value(l, value);
	lapic_serve_lint(l, pin);
	lapic_tell_changed(l);
}

static void write_lint0(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	write_lint(l, 0, value);
}

static void write_lint1(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	write_lint(l, 1, value);
}

static void write_self_ipi(struct lapic *l, uint32_t value, struct lapic_time now)
{
	(void)now;
	lapic_self_ipi(l, (uint8_t)value);
}

/* ICR is one register of 64 bits in x2APIC mode: lapic_wrmsr knows. */
const struct lapic_reg lapic_regs[] = {
	{"id", LAPIC_ID, 1, LAPIC_RW | LAPIC_RX, 0xff000000, 0, 0, read_id, NULL},
	{"version", LAPIC_VERSION, 1, LAPIC_R | LAPIC_RX, 0, 0, VERSION_VALUE, NULL, NULL},
	{"tpr", LAPIC_TPR, 1, LAPIC_RW | LAPIC_RWX, 0xff, 0, 0, NULL, write_tpr},
	{"apr", LAPIC_APR, 1, LAPIC_R, 0, 0, 0, NULL, NULL},
	{"ppr", LAPIC_PPR, 1, LAPIC_R | LAPIC_RX, 0, 0, 0, read_ppr, NULL},
	{"eoi", LAPIC_EOI, 1, LAPIC_W | LAPIC_WX, 0, 0, 0, NULL, write_eoi},
	{"rrd", LAPIC_RRD, 1, LAPIC_R, 0, 0, 0, NULL, NULL},
	{"ldr", LAPIC_LDR, 1, LAPIC_RW | LAPIC_RX, 0xff000000, 0, 0, read_ldr, NULL},
	{"dfr", LAPIC_DFR, 1, LAPIC_RW, 0xf0000000, 0, 0xffffffff, NULL, write_dfr},
	{"svr", LAPIC_SVR, 1, LAPIC_RW | LAPIC_RWX, 0x3ff, 0, 0xff, NULL, write_svr},
	{"isr", LAPIC_ISR, 8, LAPIC_R | LAPIC_RX, 0, 0, 0, NULL, NULL},
	{"tmr", LAPIC_TMR, 8, LAPIC_R | LAPIC_RX, 0, 0, 0, NULL, NULL},
	{"irr", LAPIC_IRR, 8, LAPIC_R | LAPIC_RX, 0, 0, 0, NULL, NULL},
	{"esr", LAPIC_ESR, 1, LAPIC_RW | LAPIC_RWX, 0, 0, 0, NULL, write_esr},
	{"icr", LAPIC_ICR, 1, LAPIC_RW | LAPIC_RWX, ICR_WRITABLE, 0, 0, NULL, write_icr},
	{"icr-high", LAPIC_ICR_HIGH, 1, LAPIC_RW, 0xff000000, 0, 0, NULL, NULL},
	{"lvt-timer", LAPIC_LVT_TIMER, 1, LAPIC_RW | LAPIC_RWX, 0x700ff, LVT_STATUS, LVT_MASKED,
	 NULL, write_lvt_timer},
	{"lvt-thermal", LAPIC_LVT_THERMAL, 1, LAPIC_RW | LAPIC_RWX, 0x107ff, LVT_STATUS, LVT_MASKED,
	 NULL, write_lvt_thermal},
	{"lvt-perf", LAPIC_LVT_PERF, 1, LAPIC_RW | LAPIC_RWX, 0x107ff, LVT_STATUS, LVT_MASKED, NULL,
	 write_lvt_perf},
	{"lvt-lint0", LAPIC_LVT_LINT0, 1, LAPIC_RW | LAPIC_RWX, 0x1a7ff, LINT_READ_ONLY, LVT_MASKED,
	 NULL, write_lint0},
	{"lvt-lint1", LAPIC_LVT_LINT1, 1, LAPIC_RW | LAPIC_RWX, 0x1a7ff, LINT_READ_ONLY, LVT_MASKED,
	 NULL, write_lint1},
	{"lvt-error", LAPIC_LVT_ERROR, 1, LAPIC_RW | LAPIC_RWX, 0x100ff, LVT_STATUS, LVT_MASKED,
	 NULL, write_lvt_error},
	{"initial-count", LAPIC_INITIAL, 1, LAPIC_RW | LAPIC_RWX, 0xffffffff, 0, 0, NULL,
	 lapic_timer_set_initial},
	{"current-count", LAPIC_CURRENT, 1, LAPIC_R | LAPIC_RX, 0, 0, 0, lapic_timer_count, NULL},
	{"divide", LAPIC_DIVIDE, 1, LAPIC_RW | LAPIC_RWX, 0xb, 0, 0, NULL, lapic_timer_set_divide},
	{"self-ipi", LAPIC_SELF_IPI, 1, LAPIC_WX, 0xff, 0, 0, NULL, write_self_ipi},
};
const unsigned lapic_reg_count = UMBRA_ARRAY_SIZE(lapic_regs);

static const struct lapic_reg *reg_find(unsigned number)
{
	for (unsigned i = 0; i < lapic_reg_count; i++) {
		if (number - lapic_regs[i].number < lapic_regs[i].count)
			return &lapic_regs[i];
	}
	return NULL;
}

static uint32_t reg_read(const struct lapic *l, const struct lapic_reg *reg, unsigned number,
			 struct lapic_time now)
{
	return reg->read ? reg->read(l, now) : l->reg[number];
}

static void reg_write(struct lapic *l, const struct lapic_reg *reg, uint32_t value,
		      struct lapic_time now)
{
	value &= reg->writable;
	if (reg->write)
		reg->write(l, value, now);
	else
		l->reg[reg->number] = value;
}

/* MMIO. */

uint32_t lapic_read(struct lapic *l, unsigned offset, struct lapic_time now)
{
	const struct lapic_reg *reg = reg_find(offset >> 4);

	lapic_tick(l, now);
	if (!reg || reg->number == LAPIC_SELF_IPI) {
		lapic_error(l, ESR_REGISTER);
		return 0;
	}
	return reg->access & LAPIC_R ? reg_read(l, reg, offset >> 4, now) : 0;
}

void lapic_write(struct lapic *l, unsigned offset, uint32_t value, struct lapic_time now)
{
	const struct lapic_reg *reg = reg_find(offset >> 4);

	lapic_tick(l, now);
	if (!reg || reg->number == LAPIC_SELF_IPI)
		lapic_error(l, ESR_REGISTER);
	else if (reg->access & LAPIC_W)
		reg_write(l, reg, value, now);
}

/* MSRs (SDM 3A 11.12.1.2, 11.12.1.3). */

static const struct lapic_reg *msr_find(const struct lapic *l, uint32_t index,
					enum lapic_access access)
{
	uint32_t number = index - MSR_X2APIC;
	const struct lapic_reg *reg;

	if (number >= LAPIC_NUMBERS || !lapic_is_x2(l))
		return NULL;
	reg = reg_find(number);
	return reg && (reg->access & access) ? reg : NULL;
}

bool lapic_rdmsr(struct lapic *l, uint32_t index, uint64_t *out_value, struct lapic_time now)
{
	const struct lapic_reg *reg = msr_find(l, index, LAPIC_RX);

	lapic_tick(l, now);
	if (index == MSR_TSC_DEADLINE) {
		*out_value = lapic_timer_deadline(l);
		return true;
	}
	if (!reg)
		return false;
	*out_value = reg_read(l, reg, index - MSR_X2APIC, now);
	if (reg->number == LAPIC_ICR)
		*out_value |= (uint64_t)l->reg[LAPIC_ICR_HIGH] << 32;
	return true;
}

static bool write_wide_icr(struct lapic *l, uint64_t value)
{
	if (value & ~ICR_WIDE)
		return false;
	l->reg[LAPIC_ICR] = (uint32_t)value & ICR_WRITABLE;
	l->reg[LAPIC_ICR_HIGH] = (uint32_t)(value >> 32);
	lapic_send(l, l->reg[LAPIC_ICR], l->reg[LAPIC_ICR_HIGH], true);
	return true;
}

bool lapic_wrmsr(struct lapic *l, uint32_t index, uint64_t value, struct lapic_time now)
{
	const struct lapic_reg *reg = msr_find(l, index, LAPIC_WX);

	lapic_tick(l, now);
	if (index == MSR_TSC_DEADLINE) {
		lapic_timer_set_deadline(l, value, now);
		return true;
	}
	if (reg && reg->number == LAPIC_ICR)
		return write_wide_icr(l, value);
	if (!reg || (value & ~(uint64_t)(reg->writable | reg->ignored)))
		return false;
	reg_write(l, reg, (uint32_t)value, now);
	return true;
}

/* CR8 works whatever the mode. */

uint64_t lapic_cr8(const struct lapic *l)
{
	return l->reg[LAPIC_TPR] >> 4;
}

void lapic_set_cr8(struct lapic *l, uint64_t cr8)
{
	l->reg[LAPIC_TPR] = (uint32_t)(cr8 & 15) << 4;
	lapic_tell_changed(l);
}

/* Modes and reset. */

static void reset_registers(struct lapic *l)
{
	memset(l->reg, 0, sizeof(l->reg));
	for (unsigned i = 0; i < lapic_reg_count; i++)
		l->reg[lapic_regs[i].number] = lapic_regs[i].at_reset;
	if (l->base & LAPIC_BASE_BSP)
		l->reg[LAPIC_LVT_LINT0] = LINT0_EXTINT;
	l->reg[LAPIC_ID] = l->id << 24;
	l->errors = 0;
	l->has_extint = false;
	l->due_ns = IRQCHIP_NEVER;
	l->tsc_deadline = 0;
	lapic_tell_changed(l);
}

void lapic_reset_by_init(struct lapic *l)
{
	uint32_t id = l->reg[LAPIC_ID];

	reset_registers(l);
	l->reg[LAPIC_ID] = id;
}

static void lapic_reset(void *state)
{
	struct lapic *l = state;

	l->base = LAPIC_BASE_GPA | LAPIC_BASE_EN | (l->id == 0 ? LAPIC_BASE_BSP : 0);
	reset_registers(l);
}

uint64_t lapic_base(const struct lapic *l)
{
	return l->base;
}

/* SDM 3A figure 11-27: x2APIC mode is entered from xAPIC mode only and left by switching off. */
static bool is_transition(uint64_t from, uint64_t to)
{
	bool is_on = to & LAPIC_BASE_EN;
	bool is_x2 = to & LAPIC_BASE_EXTD;

	if (is_x2 && (!is_on || !(from & LAPIC_BASE_EN)))
		return false;
	return is_x2 || !is_on || !(from & LAPIC_BASE_EXTD);
}

bool lapic_set_base(struct lapic *l, uint64_t base, unsigned phys_bits)
{
	uint64_t address = ((1ull << phys_bits) - 1) & UMBRA_PAGE_MASK;
	bool is_switched_off = (l->base & LAPIC_BASE_EN) && !(base & LAPIC_BASE_EN);

	if ((base & ~(address | BASE_LOW_KEPT)) || !is_transition(l->base, base))
		return false;
	l->base = base;
	if (is_switched_off)
		reset_registers(l);
	lapic_tell_changed(l);
	return true;
}

const struct dev_ops lapic_ops = {
	.name = "lapic",
	.reset = lapic_reset,
	.save = lapic_save,
	.load = lapic_load,
	.show = lapic_show,
};

int lapic_create(struct lapic **out_lapic, unsigned id, const struct lapic_hooks *hooks,
		 struct umbra_err *err)
{
	struct lapic *l = calloc(1, sizeof(*l));

	if (!l)
		return umbra_err_set(err, ENOMEM, "no memory for local APIC %u", id);
	l->hooks = *hooks;
	l->id = id;
	lapic_reset(l);
	*out_lapic = l;
	return 0;
}

void lapic_destroy(struct lapic *l)
{
	free(l);
}
