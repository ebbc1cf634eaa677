/* The local APIC's state and its registers as a table: shared by lapic*.c and the unit tests, which
 * walk the same table.
 *
 *   lapic.c        registers by MMIO and MSR, modes, reset     lapic_timer.c   the timer
 *   lapic_irq.c    messages, priorities, local interrupts      lapic_state.c   save, load, show
 */
#ifndef DEV_LAPIC_H
#define DEV_LAPIC_H

#include "umbra/irqchip.h"

/* Numbers of the registers: MMIO offset / 16, and MSR - 0x800 (SDM 3A tables 11-1 and 11-6). */
enum lapic_number {
	LAPIC_ID = 0x02,
	LAPIC_VERSION = 0x03,
	LAPIC_TPR = 0x08,
	LAPIC_APR = 0x09,
	LAPIC_PPR = 0x0a,
	LAPIC_EOI = 0x0b,
	LAPIC_RRD = 0x0c,
	LAPIC_LDR = 0x0d,
	LAPIC_DFR = 0x0e,
	LAPIC_SVR = 0x0f,
	LAPIC_ISR = 0x10, /* eight of each, 32 vectors in one */
	LAPIC_TMR = 0x18,
	LAPIC_IRR = 0x20,
	LAPIC_ESR = 0x28,
	LAPIC_ICR = 0x30,
	LAPIC_ICR_HIGH = 0x31,
	LAPIC_LVT_TIMER = 0x32,
	LAPIC_LVT_THERMAL = 0x33,
	LAPIC_LVT_PERF = 0x34,
	LAPIC_LVT_LINT0 = 0x35,
	LAPIC_LVT_LINT1 = 0x36,
	LAPIC_LVT_ERROR = 0x37,
	LAPIC_INITIAL = 0x38,
	LAPIC_CURRENT = 0x39,
	LAPIC_DIVIDE = 0x3e,
	LAPIC_SELF_IPI = 0x3f,
	LAPIC_NUMBERS = 0x40
};

#define LAPIC_BASE_GPA	  0xfee00000ull
#define LAPIC_SVR_ENABLED 0x100u

/* Local vector table (SDM 3A figure 11-8). */
#define LVT_VECTOR  0xffu
#define LVT_RIRR    (1u << 14)
#define LVT_LEVEL   (1u << 15)
#define LVT_MASKED  (1u << 16)
#define LVT_MODE(v) ((v) >> 8 & 7)

/* Error status (SDM 3A figure 11-9). */
#define ESR_SEND_ILLEGAL    (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)
#define ESR_REGISTER	    (1u << 7)
#define ESR_BITS	    (ESR_SEND_ILLEGAL | ESR_RECEIVE_ILLEGAL | ESR_REGISTER)

#define LAPIC_NO_VECTOR (-1)

struct lapic {
	struct lapic_hooks hooks;    /* [const] */
	unsigned id;		     /* [const] initial ID */
	uint64_t base;		     /* IA32_APIC_BASE */
	uint32_t reg[LAPIC_NUMBERS]; /* LAPIC_ID as in xAPIC mode */
	uint32_t errors;	     /* since the last write to ESR */
	bool lint[2];		     /* inputs as they are driven; not touched by reset */
	bool has_extint;	     /* an ExtINT message came and was not taken */
	uint64_t due_ns;	     /* the count reaches 0, or IRQCHIP_NEVER */
	uint64_t tsc_deadline;	     /* IA32_TSC_DEADLINE; 0 = not armed */
};

/* Who may do what to a register. */
enum lapic_access {
	LAPIC_R = 1 << 0, /* xAPIC mode */
	LAPIC_W = 1 << 1,
	LAPIC_RX = 1 << 2, /* x2APIC mode */
	LAPIC_WX = 1 << 3,
	LAPIC_RW = LAPIC_R | LAPIC_W,
	LAPIC_RWX = LAPIC_RX | LAPIC_WX
};

struct lapic_reg {
	const char *name;
	uint8_t number, count;
	uint8_t access;	   /* mask of enum lapic_access */
	uint32_t writable; /* bits that a write stores; in x2APIC mode others raise #GP, but for: */
	uint32_t ignored;  /* read-only bits that may be written there */
	uint32_t at_reset;
	/* NULL: what is stored. */
	uint32_t (*read)(const struct lapic *l, struct lapic_time now);
	/* Instead of storing; @value is cut to @writable. */
	void (*write)(struct lapic *l, uint32_t value, struct lapic_time now);
};

extern const struct lapic_reg lapic_regs[];
extern const unsigned lapic_reg_count;

static inline bool lapic_is_on(const struct lapic *l)
{
	return l->base & LAPIC_BASE_EN;
}

static inline bool lapic_is_x2(const struct lapic *l)
{
	return l->base & LAPIC_BASE_EXTD;
}

/* Enabled by software too: accepts fixed interrupts. */
static inline bool lapic_is_enabled(const struct lapic *l)
{
	return lapic_is_on(l) && (l->reg[LAPIC_SVR] & LAPIC_SVR_ENABLED);
}

static inline void lapic_tell_changed(const struct lapic *l)
{
	l->hooks.changed(l->hooks.ctx, l->id);
}

/* lapic.c: as after INIT: the ID and IA32_APIC_BASE stay. */
void lapic_reset_by_init(struct lapic *l);

/* lapic_irq.c */
uint32_t lapic_logical_id(const struct lapic *l); /* LDR as it reads */
uint32_t lapic_ppr(const struct lapic *l);
void lapic_error(struct lapic *l, uint32_t esr_bit);
/* An entry of the local vector table fires. */
void lapic_deliver_lvt(struct lapic *l, enum lapic_number lvt);
void lapic_end_of_interrupt(struct lapic *l);
void lapic_send(struct lapic *l, uint32_t icr, uint32_t dest, bool is_wide);
void lapic_self_ipi(struct lapic *l, uint8_t vector);
/* Level-triggered inputs: look whether they ask (again). */
void lapic_serve_lint(struct lapic *l, unsigned pin);

/* lapic_timer.c */
uint32_t lapic_timer_count(const struct lapic *l, struct lapic_time now);
void lapic_timer_set_initial(struct lapic *l, uint32_t count, struct lapic_time now);
void lapic_timer_set_divide(struct lapic *l, uint32_t divide, struct lapic_time now);
/* LVT_TIMER becomes @lvt. */
void lapic_timer_set_lvt(struct lapic *l, uint32_t lvt);
uint64_t lapic_timer_deadline(const struct lapic *l);
void lapic_timer_set_deadline(struct lapic *l, uint64_t tsc, struct lapic_time now);

/* lapic_state.c */
void lapic_save(const void *state, struct blob *out);
int lapic_load(void *state, struct blob *in, struct umbra_err *err);
void lapic_show(const void *state, const struct print_sink *sink);

#endif
