/* The fixed hardware of ACPI that a PC without system management mode needs: the event and control
 * blocks PM1a, and the power management timer.
 *   +0  PM1_STS  15 WAK | 10 RTC | 9 SLPBTN | 8 PWRBTN | 5 GBL | 4 BM | 0 TMR     write 1 to clear
 *   +2  PM1_EN            10 RTC | 9 SLPBTN | 8 PWRBTN | 5 GBL        | 0 TMR
 *   +4  PM1_CNT  13 SLP_EN (reads 0) | 12..10 SLP_TYP | 2 GBL_RLS (reads 0) | 1 BM_RLD | 0 SCI_EN
 *   +8  PM_TMR   32 bits, 3.579545 MHz
 * The SCI is high while a status bit and its enable bit are set.  Of the events, the timer's flip
 * of its top bit, the power button and the clock's alarm happen here.  There is no sleep button
 * (the FADT says so), and nobody who would release the global lock; GBL_EN is kept all the same,
 * since systems read it back.  SCI_EN always reads 1: there is no legacy mode, and no SMI_CMD to
 * leave it by. Any width at any address is a sequence of byte accesses at one moment.
 *
 * Source: ACPI 6.5, 4.8.3 (registers), 4.8.2.1 (timer), 4.8.2.2.1 (power button), 4.8.2.2.4 (alarm)
 *
 * DEVIATES: a sleep state that no \_Sx object announces is not entered, and SLP_EN does nothing
 * then. */
#include "acpipm.h"

#include <errno.h>
#include <stdlib.h>

#define PM_TIMER_HZ 3579545u
#define NS_PER_S    1000000000u
#define HALF_BITS   31 /* the top bit's number */

#define EVENT_TIMER   (1u << 0)
#define EVENT_GLOBAL  (1u << 5)
#define EVENT_BUTTON  (1u << 8)
#define EVENT_RTC     (1u << 10)
#define STATUS_EVENTS (EVENT_TIMER | EVENT_BUTTON | EVENT_RTC)
#define ENABLE_KEPT   (EVENT_TIMER | EVENT_GLOBAL | EVENT_BUTTON | EVENT_RTC)

#define CONTROL_SCI_EN	  (1u << 0)
#define CONTROL_BM_RLD	  (1u << 1)
#define CONTROL_SLP_SHIFT 10
#define CONTROL_SLP_TYP	  (7u << CONTROL_SLP_SHIFT)
#define CONTROL_SLP_EN	  (1u << 13)
#define CONTROL_KEPT	  (CONTROL_BM_RLD | CONTROL_SLP_TYP)

#define ACPIPM_VERSION 1

/* Time.  The product has up to 86 bits, the quotient at most 56. */

static uint64_t ticks_of(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * PM_TIMER_HZ / NS_PER_S);
}

/* The first nanosecond of @tick, or GATE_NEVER. */
static uint64_t ns_of(uint64_t tick)
{
	unsigned __int128 ns = (unsigned __int128)tick * NS_PER_S + (PM_TIMER_HZ - 1);

	ns /= PM_TIMER_HZ;
	return ns < GATE_NEVER ? (uint64_t)ns : GATE_NEVER;
}

static uint64_t now_ticks(const struct acpipm *pm)
{
	return ticks_of(gate_now_ns(pm->config.gate));
}

/* The timer's status bit is found out when somebody looks.  A clock that started anew, as the
 * machine's does at a reset, is no flip. */
static void catch_up(struct acpipm *pm, uint64_t ticks)
{
	uint64_t half = ticks >> HALF_BITS;

	if (half > pm->half)
		pm->status |= EVENT_TIMER;
	pm->half = half;
}

/* A timer is armed only while its event would raise the line: an idle guest wakes nobody. */
static uint64_t deadline(const struct acpipm *pm)
{
	if (!(pm->enable & EVENT_TIMER) || (pm->status & EVENT_TIMER))
		return GATE_NEVER;
	return ns_of((pm->half + 1) << HALF_BITS);
}

static void update(struct acpipm *pm)
{
	bool is_high = pm->status & pm->enable;
	uint64_t deadline_ns = deadline(pm);

	if (is_high != pm->is_sci_high) {
		pm->is_sci_high = is_high;
		pm->config.sci.set(pm->config.sci.ctx, pm->config.sci.gsi, is_high);
	}
	if (deadline_ns != pm->armed_ns) {
		pm->armed_ns = deadline_ns;
		gate_timer_arm(pm->timer, deadline_ns);
	}
}

/* Registers. */

static uint8_t byte_get(const struct acpipm *pm, uint64_t offset, uint64_t ticks)
{
	uint8_t bytes[ACPIPM_PORTS] = {0};

	le16_put(bytes + ACPIPM_STATUS, pm->status);
	le16_put(bytes + ACPIPM_ENABLE, pm->enable);
	le16_put(bytes + ACPIPM_CONTROL, pm->control | CONTROL_SCI_EN);
	le32_put(bytes + ACPIPM_TIMER, (uint32_t)ticks);
	return bytes[offset];
}

static uint64_t acpipm_read(void *state, uint64_t offset, unsigned width)
{
	struct acpipm *pm = state;
	uint64_t ticks = now_ticks(pm);
	uint64_t value = 0;

	catch_up(pm, ticks);
	while (width-- > 0)
		value = value << 8 | byte_get(pm, offset + width, ticks);
	update(pm);
	return value;
}

static void write_control(struct acpipm *pm, uint32_t value)
{
	unsigned type = (value & CONTROL_SLP_TYP) >> CONTROL_SLP_SHIFT;

	pm->control = (uint16_t)(value & CONTROL_KEPT);
	if ((value & CONTROL_SLP_EN) && type == ACPIPM_TYPE_S5)
		pm->config.hook.post(pm->config.hook.ctx, MACHINE_POWEROFF, 0);
}

static void byte_put(struct acpipm *pm, uint64_t offset, uint8_t value)
{
	unsigned shift = offset & 1 ? 8 : 0;
	uint32_t mask = 0xffu << shift, bits = (uint32_t)value << shift;

	switch (offset & ~1ull) {
	case ACPIPM_STATUS:
		pm->status &= (uint16_t)~bits;
		break;
	case ACPIPM_ENABLE:
		pm->enable = (uint16_t)(((pm->enable & ~mask) | bits) & ENABLE_KEPT);
		break;
	case ACPIPM_CONTROL:
		write_control(pm, (pm->control & ~mask) | bits);
		break;
	default: /* the timer cannot be written (4.8.3.3) */
		break;
	}
}

static void acpipm_write(void *state, uint64_t offset, unsigned width, uint64_t value)
{
	struct acpipm *pm = state;

	catch_up(pm, now_ticks(pm));
	for (unsigned i = 0; i < width; i++)
		byte_put(pm, offset + i, (uint8_t)(value >> 8 * i));
	update(pm);
}

/* Events from outside. */

static void timer_flipped(void *state, void *arg)
{
	struct acpipm *pm = state;

	(void)arg;
	pm->armed_ns = GATE_NEVER;
	catch_up(pm, now_ticks(pm));
	update(pm);
}

static void timer_fired(void *ctx)
{
	struct acpipm *pm = ctx;

	bus_with_device(pm->dev, timer_flipped, NULL);
}

/* @arg: the event's bit. */
static void event_happened(void *state, void *arg)
{
	struct acpipm *pm = state;
	const uint16_t *event = arg;

	catch_up(pm, now_ticks(pm));
	pm->status |= *event;
	update(pm);
}

void acpipm_press_button(struct device *dev)
{
	uint16_t event = EVENT_BUTTON;

	bus_with_device(dev, event_happened, &event);
}

void acpipm_ring_alarm(struct device *dev)
{
	uint16_t event = EVENT_RTC;

	bus_with_device(dev, event_happened, &event);
}

/* The rest of the device. */

void acpipm_power_up(struct acpipm *pm)
{
	pm->status = 0;
	pm->enable = 0;
	pm->control = 0;
	pm->half = now_ticks(pm) >> HALF_BITS;
	update(pm);
}

static void acpipm_reset(void *state)
{
	acpipm_power_up(state);
}

static void acpipm_save(const void *state, struct blob *out)
{
	const struct acpipm *pm = state;

	blob_put_u8(out, ACPIPM_VERSION);
	blob_put_u16(out, pm->status);
	blob_put_u16(out, pm->enable);
	blob_put_u16(out, pm->control);
	blob_put_u64(out, pm->half);
}

static int acpipm_load(void *state, struct blob *in, struct umbra_err *err)
{
	struct acpipm *pm = state;
	uint8_t version = blob_get_u8(in);
	uint16_t status = blob_get_u16(in), enable = blob_get_u16(in), control = blob_get_u16(in);
	uint64_t half = blob_get_u64(in);

	if (in->is_failed || version != ACPIPM_VERSION || (status & ~STATUS_EVENTS) ||
	    (enable & ~ENABLE_KEPT) || (control & ~CONTROL_KEPT) ||
	    half > ticks_of(UINT64_MAX) >> HALF_BITS)
		return umbra_err_set(err, EINVAL,
				     "acpi-pm: saved state has version %u, status %#x, enable %#x, "
				     "control %#x; expected version %d, bits %#x, %#x, %#x",
				     version, status, enable, control, ACPIPM_VERSION,
				     STATUS_EVENTS, ENABLE_KEPT, CONTROL_KEPT);
	pm->status = status;
	pm->enable = enable;
	pm->control = control;
	pm->half = half;
	update(pm);
	return 0;
}

static void acpipm_show(const void *state, const struct print_sink *sink)
{
	const struct acpipm *pm = state;

	print_to(sink, "acpi-pm: status %04x enable %04x control %04x timer %08x sci %s\n",
		 pm->status, pm->enable, pm->control | CONTROL_SCI_EN, (uint32_t)now_ticks(pm),
		 pm->is_sci_high ? "high" : "low");
}

const struct dev_ops acpipm_ops = {
	.name = "acpi-pm",
	.widths = 1 | 2 | 4,
	.read = acpipm_read,
	.write = acpipm_write,
	.reset = acpipm_reset,
	.save = acpipm_save,
	.load = acpipm_load,
	.show = acpipm_show,
	.destroy = free,
};

int acpipm_create(struct bus *bus, const struct acpipm_config *config, struct device **out_dev,
		  struct umbra_err *err)
{
	static const struct {
		uint16_t offset, len;
	} blocks[] = {{ACPIPM_EVT, ACPIPM_EVT_LEN},
		      {ACPIPM_CNT, ACPIPM_CNT_LEN},
		      {ACPIPM_TMR, ACPIPM_TMR_LEN}};
	struct acpipm *pm = calloc(1, sizeof(*pm));
	int error = 0;

	if (pm) {
		pm->config = *config;
		pm->armed_ns = GATE_NEVER;
		pm->dev = bus_add_device(bus, &acpipm_ops, pm);
	}
	if (!pm || !pm->dev) {
		free(pm);
		return umbra_err_set(err, ENOMEM, "no memory for acpi-pm");
	}
	for (unsigned i = 0; i < UMBRA_ARRAY_SIZE(blocks) && !error; i++)
		error = bus_map(pm->dev, BUS_PIO, config->base + (uint64_t)blocks[i].offset,
				blocks[i].len, blocks[i].offset, err);
	if (!error)
		error = gate_timer_add(&pm->timer, config->gate, timer_fired, pm, err);
	if (error)
		return error;
	acpipm_power_up(pm);
	*out_dev = pm->dev;
	return 0;
}
